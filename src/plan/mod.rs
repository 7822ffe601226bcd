//! (Graph, Snapshot, Observed) -> Plan. Pure, total and sorted: the same input gives the same plan.

mod claims;
mod compare;
mod decide;
mod dependents;
mod json;
mod keep_ahead;
mod make;
mod markdown;
mod names;
mod order;
mod ownership;
mod plan_input;
mod refusals;
mod removals;
mod result_text;
mod step_order;
mod steps;
mod text;

pub use compare::managed_tags;
pub use dependents::left_dependents;
pub use json::{change_json, note_json, stray_json, summary_json};
pub use make::make;
pub use markdown::markdown;
pub use names::{fill_names, take_back};
pub use ownership::{
    Ownership, aws_name, created_by, is_abandoned_create, is_part_of_parent, judge, names_parent,
    of_no_parent, tag_of,
};
pub use plan_input::{Consent, Input, Strays};
pub use refusals::{not_ours, tags_lost};
pub use result_text::{result_json, stopped_text, success_text, waiting_lines};
pub use text::{counts, render, render_notes};

#[cfg(test)]
mod order_tests;
#[cfg(test)]
mod ownership_tests;
#[cfg(test)]
mod refusal_tests;
#[cfg(test)]
mod tests;
