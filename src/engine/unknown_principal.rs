//! EKS refuses a principal that IAM does not have yet, with the same answer as one that does not exist.

use super::{budget, step::Task};
use crate::model::{CallError, Desired as _, ErrorKind};
use crate::resources::iam_role;
use serde_json::Value;
use std::{sync::PoisonError, time::Duration};

/// The words of EKS's answer: `The specified principalArn is invalid: invalid principal.`
const WORDS: &str = "invalid principal";

impl Task<'_> {
    /// Returns how long a call that failed so is retried; none if it is not. A principal that is not the stack's existed
    /// before the run, unless it was created by others just now.
    pub(super) fn patience(&self, error: &CallError) -> Option<Duration> {
        match self.unknown_principal(error) {
            Some(_) => Some(budget::UNKNOWN_PRINCIPAL),
            None => budget::patience(error.class),
        }
    }

    /// Returns the error with what to do about a principal that does not exist.
    pub(super) fn explained(&self, error: CallError) -> CallError {
        let Some(principal) = self.unknown_principal(&error).map(str::to_owned) else { return error };
        let message = format!("{} ({principal})", error.message.trim_end_matches('.'));
        CallError { message, ..error }.hint(format!(
            "check that {principal} exists: `cluster.access[].principalArn` names an IAM role or user, with its path"
        ))
    }

    /// Returns the principal that EKS does not know and that is no role of the stack.
    fn unknown_principal(&self, error: &CallError) -> Option<&str> {
        let said =
            error.class == ErrorKind::Eventual && error.service == "eks" && error.message.contains(WORDS);
        let principal = self.want.get("principal").and_then(Value::as_str).filter(|_| said)?;
        let entries = self.shared.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let mut roles = entries.values().filter(|entry| entry.kind == iam_role::Spec::KIND);
        let own = roles.any(|role| role.live.get("arn").and_then(Value::as_str) == Some(principal));
        (!own).then_some(principal)
    }
}
