//! Events of a run, for its display, and its outcome. Correctness does not depend on events.

use super::{Action, Address, Forecast, Report, Stage, StepError, Totals, Verb};

/// Progress of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepState {
    /// The engine started it.
    Started,
    /// It waits and looks again later, for this reason.
    Waiting(String),
    /// It is complete.
    Done,
}

/// Event of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A run starts.
    RunStarted {
        /// Number of its steps.
        steps: usize,
        /// How long they should take.
        forecast: Forecast,
    },
    /// A step progressed.
    Step {
        /// Address of the resource.
        address: Address,
        /// Name of its kind.
        kind: String,
        /// Stage of the resource.
        stage: Stage,
        /// Action as the plan shows it.
        action: Action,
        /// Which half of a replacement it is; else it follows from the action.
        verb: Verb,
        /// Where it stands.
        state: StepState,
    },
    /// A step failed; steps that do not depend on it continue.
    StepFailed {
        /// Name of its kind.
        kind: String,
        /// Stage of the resource.
        stage: Stage,
        /// Action as the plan shows it.
        action: Action,
        /// Which half of a replacement it is; else it follows from the action.
        verb: Verb,
        /// What went wrong.
        problem: Box<StepError>,
    },
    /// A signal arrived: no further step is started.
    Stopping,
    /// A message for people, such as the reason for a wait.
    Notice(String),
    /// The run ended.
    RunEnded {
        /// Changes that are done.
        done: Totals,
        /// Number of failed steps.
        failed: usize,
        /// How many changes are not done.
        left: usize,
    },
}

/// Outcome of a run. Not a `Result`, so that `?` cannot drop an interruption.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub enum Outcome {
    /// Every step is complete.
    Done(Report),
    /// Some steps failed, and steps that depend on them were not started.
    Partial(Report),
    /// A signal or the loss of the lock ended the run early.
    Stopped(Report),
}

impl Outcome {
    /// Returns the same end with this report.
    pub fn with_report(self, report: Report) -> Outcome {
        match self {
            Outcome::Done(_) => Outcome::Done(report),
            Outcome::Partial(_) => Outcome::Partial(report),
            Outcome::Stopped(_) => Outcome::Stopped(report),
        }
    }

    /// Returns the report, however the run ended.
    pub fn report(&self) -> &Report {
        match self {
            Outcome::Done(report) | Outcome::Partial(report) | Outcome::Stopped(report) => report,
        }
    }
}
