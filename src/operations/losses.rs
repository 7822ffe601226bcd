//! The changes of a plan that lose data, and the word that each of them needs.

use super::PlanOptions;
use crate::model::{Action, CallError, ErrorKind, LeftBehind, Plan, PlannedChange, StepError};

/// Returns the changes whose loss of data the options do not accept, each with what is lost.
pub fn unaccepted<'a>(
    plan: &'a Plan,
    options: &'a PlanOptions,
) -> impl Iterator<Item = (&'a PlannedChange, &'a str)> {
    let accepted = |change: &PlannedChange| options.replace.iter().any(|it| it == change.address.as_str());
    plan.changes.iter().filter(move |it| !accepted(it)).filter_map(|it| Some((it, it.loses.as_deref()?)))
}

/// Returns the refusal of a change that loses data and was not accepted.
pub fn refusal_of(change: &PlannedChange, loses: &str) -> StepError {
    let verb = if change.action == Action::Delete { "deleting" } else { "replacing" };
    let consent = change.consent().unwrap_or_default();
    let error = CallError::new(ErrorKind::Refused, format!("{verb} it loses {loses}"))
        .hint(format!("undo the change, or confirm it with `{consent}`"));
    StepError::at(&change.address, error, LeftBehind::Nothing)
}
