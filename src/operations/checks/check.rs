//! One check of `doctor`, and what checks examine.

use super::super::Workspace;
use crate::model::{CallError, ErrorKind, Graph, PlanRefusal, Snapshot, StepError};

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckState {
    /// The check passed.
    Ok,
    /// The check failed, but `up` can succeed.
    Warn,
    /// The check failed, and `up` would fail.
    Fail,
    /// The check could not be carried out.
    Unknown,
}

/// One check: its name, result and message, and a hint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// Its result.
    pub state: CheckState,
    /// Its message.
    pub text: String,
    /// The hint.
    pub to_do: Option<String>,
}

impl Check {
    pub(super) fn new(name: &'static str, state: CheckState, text: impl Into<String>) -> Self {
        Check { name, state, text: text.into(), to_do: None }
    }

    pub(super) fn then(self, to_do: impl Into<String>) -> Self {
        Check { to_do: Some(to_do.into()), ..self }
    }

    /// Returns the check for an answer of AWS. A query that AWS does not answer, or not this caller, says nothing about
    /// the stack, so that the result is unknown.
    pub(super) fn of(name: &'static str, answer: Result<Check, CallError>) -> Self {
        use ErrorKind::{Ambiguous, Denied, Other, Throttled, Unsupported};
        match answer {
            Ok(check) => check,
            Err(error) if matches!(error.class, Ambiguous | Denied | Other | Throttled | Unsupported) => {
                Check {
                    to_do: error.hint.clone(),
                    ..Check::new(name, CheckState::Unknown, format!("not checked: {error}"))
                }
            }
            Err(error) => Check::failed(name, &error),
        }
    }

    /// Returns the failed check that a refusal of the plan is.
    pub(super) fn refused(name: &'static str, refusal: &PlanRefusal) -> Check {
        let text = format!("{}: {}", refusal.address, refusal.reason);
        Check::new(name, CheckState::Fail, text).then(refusal.hint.clone())
    }

    /// Returns the failed check that a refusal before the first change is.
    pub(super) fn refused_step(refusal: &StepError) -> Check {
        let check = Check::failed("plan", &refusal.error);
        let place = refusal.address.as_ref().map(|address| format!("{address}: ")).unwrap_or_default();
        Check { text: format!("{place}{}", check.text), ..check }
    }

    pub(super) fn failed(name: &'static str, error: &CallError) -> Self {
        Check { to_do: error.hint.clone(), ..Check::new(name, CheckState::Fail, error.to_string()) }
    }
}

/// What the checks examine.
pub struct DoctorContext<'a> {
    /// The stack and where it is.
    pub(super) workspace: &'a Workspace,
    /// What is recorded of it.
    pub(super) snapshot: &'a Snapshot,
    /// The desired resources.
    pub(super) graph: &'a Graph,
}

impl DoctorContext<'_> {
    /// Returns how many resources of a kind `up` would create.
    pub(super) fn new_ones(&self, kind: &str) -> usize {
        let of_kind = self.graph.nodes.values().filter(|node| node.kind == kind);
        of_kind.filter(|node| !self.snapshot.resources.contains_key(&node.address)).count()
    }
}
