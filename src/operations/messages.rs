//! What an operation tells the operator, and asks: a person at a terminal, or a program.

use super::{Conclusion, OperationError, blocked_deletion::BlockedDeletion};
use crate::model::{Address, Plan, PlannedChange, Stage, StepError, Stray};
use async_trait::async_trait;
use std::time::Duration;

/// Message of an operation that needs no answer. Correctness does not depend on messages.
#[derive(Clone, Copy, Debug)]
pub enum Message<'a> {
    /// Something that may not be as it was intended.
    Warning(&'a str),
    /// What the operation does, or does not do.
    Info(&'a str),
    /// What is of interest only to those who ask for more (`-v`).
    Detail(&'a str),
    /// The operation waits, for this reason.
    Waiting(&'a str),
    /// Something that is refused or failed. The operation may continue.
    Problem(&'a StepError),
    /// An error that ends a part of the operation.
    Failure(&'a OperationError),
    /// What a run would change, before it is approved.
    Changes {
        /// The stack, its region and its account.
        place: &'a str,
        /// Changes of the backend.
        backend: &'a Plan,
        /// Changes of the stack.
        plan: &'a Plan,
        /// How long the run should take.
        expected: Duration,
    },
    /// What a run would delete, before it is approved.
    Deletions {
        /// The stack, its region and its account.
        place: &'a str,
        /// The deletions.
        plan: &'a Plan,
    },
    /// What blocks deletions, before the others are approved.
    Blocked {
        /// The blocked resources.
        blocked: &'a [BlockedDeletion],
        /// Whether nothing else is to be deleted, so that these are the errors that the operation ends with.
        all: bool,
    },
    /// What the adoption of one resource changes, before it is approved.
    Adoption(&'a Plan),
    /// Addresses that a change of the state removes and adds, before it is approved.
    Records {
        /// Addresses that are recorded no longer.
        removed: &'a [Address],
        /// Addresses that become recorded.
        added: &'a [Address],
    },
    /// The file differs from the resources that a state was rebuilt from, in these changes.
    Differences(&'a Plan),
    /// A run ended.
    Concluded {
        /// The stack, its region and its account.
        place: &'a str,
        /// What it did.
        conclusion: &'a Conclusion,
    },
}

/// Question of an operation. Without approval nothing of what it asks about is done.
#[derive(Clone, Copy, Debug)]
pub enum Question<'a> {
    /// Whether to create a stack whose file described another stack before, which still exists.
    AnotherStack(&'a str),
    /// Whether to carry out a part of a plan; without a stage, the deletions that wait for all stages.
    Part(Option<Stage>, &'a Plan),
    /// Whether to make a change that loses this data.
    Loss(&'a PlannedChange, &'a str),
    /// Whether to delete all that was shown, of the stack in this place.
    Deletion(&'a str),
    /// Whether to delete, too, resources of which nothing proves that they are the stack's.
    Strays(&'a [Stray]),
    /// Whether to delete this state bucket and its lock table.
    BackendRemoval(&'a str),
    /// Whether to create this bucket and this lock table for a state that is to be rebuilt.
    BackendCreation(&'a str, &'a str),
    /// Whether to adopt the resource that AWS calls so as this address.
    Adoption(&'a str, &'a Address),
    /// Whether to record the resource that AWS calls so as this address, although the file does not ask for it.
    Record(&'a str, &'a Address),
    /// Whether to write the state of the stack in this place.
    StateChange(&'a str),
}

impl Question<'_> {
    /// Returns whether the approval of the operation as a whole includes this. Loss of data and what may be another's have
    /// to be approved one by one.
    pub fn is_included(&self) -> bool {
        !matches!(self, Question::AnotherStack(_) | Question::Loss(..) | Question::Strays(_))
    }
}

/// The person or program that started an operation: is told about it, and decides.
#[async_trait]
pub trait Operator: Send + Sync {
    /// Takes a message.
    fn tell(&self, message: Message<'_>);

    /// Answers a question.
    async fn approve(&self, question: Question<'_>) -> bool;
}

/// Operator that approved the operation as a whole and reads no messages.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unattended;

#[async_trait]
impl Operator for Unattended {
    fn tell(&self, _message: Message<'_>) {}

    async fn approve(&self, question: Question<'_>) -> bool {
        question.is_included()
    }
}
