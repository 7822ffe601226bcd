//! (Graph, Snapshot, Observed) -> Plan. Pure, total and sorted: the same input gives the same plan.

mod compare;
mod json;
mod make;
mod order;
mod text;

pub use compare::{check_owner, managed_tags};
pub use json::{change_json, summary_json};
pub use make::{Input, Strays, make};
pub use text::{counts, render};

#[cfg(test)]
mod tests;
