//! What a run tells while it runs, and how it ends. Nothing correct depends on events.

use super::{Action, Address, Problem, Stage, Totals};

/// Where a step stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepState {
    /// The engine took it up.
    Started,
    /// It looks again later, and why.
    Waiting(String),
    /// It is done.
    Done,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A run of so many steps begins.
    RunStarted {
        /// How many steps there are.
        steps: usize,
    },
    /// A step moved.
    Step {
        /// The resource.
        address: Address,
        /// Its kind.
        kind: String,
        /// Its stage.
        stage: Stage,
        /// What is being done.
        action: Action,
        /// Where it stands.
        state: StepState,
    },
    /// A step failed; the rest that does not stand on it goes on.
    StepFailed {
        /// Its kind.
        kind: String,
        /// Its stage.
        stage: Stage,
        /// What is being done.
        action: Action,
        /// What went wrong.
        problem: Box<Problem>,
    },
    /// A signal came: nothing new is started.
    Stopping,
    /// A long wait before the run can begin, for people.
    Notice(String),
    /// The run ended.
    RunEnded {
        /// What was done.
        done: Totals,
        /// How many steps failed.
        failed: usize,
        /// How many steps were not reached.
        left: usize,
    },
}

/// What a run came to. Not a `Result`, so that nobody can pass over an interruption with `?`.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub enum Outcome {
    /// Every step is done.
    Done(Report),
    /// Some steps failed, and with them those that stand on them.
    Partial(Report),
    /// A signal, or a lost lease, ended the run early.
    Stopped(Report),
}

impl Outcome {
    /// The report, however the run ended.
    pub fn report(&self) -> &Report {
        match self {
            Outcome::Done(report) | Outcome::Partial(report) | Outcome::Stopped(report) => report,
        }
    }
}

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// What was done.
    pub done: Totals,
    /// What failed, in the order of failing.
    pub problems: Vec<Problem>,
    /// Steps that were not reached or not finished.
    pub left: usize,
    /// Whether any call that writes was sent: it decides between the exit codes 1 and 6.
    pub changed: bool,
    /// Whether all that was done is in the state.
    pub saved: bool,
}
