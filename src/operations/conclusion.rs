//! What an operation did in all its runs, and how it ended.

use super::OperationError;
use crate::model::{Outcome, Plan, Report, StepError};

/// How an operation ended. What its runs did is in the report, however it ended.
#[derive(Clone, Debug, Default)]
pub enum End {
    /// The runs ended, or nothing was to be done.
    #[default]
    Ran,
    /// The plan refuses resources, so nothing was changed.
    Refused {
        /// Number of refused resources.
        refused: usize,
        /// Whether the plan holds changes as well.
        others: bool,
    },
    /// A loss of data was not approved, so nothing was changed.
    LossNotApproved,
    /// A part was not approved, and is left with all that follows it.
    NotApproved,
    /// An error ended it, before or between the runs.
    Failed(OperationError),
}

/// What an operation did in all its runs, and how it ended. Not a `Result`, so that `?` cannot drop what was changed.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Conclusion {
    /// What the runs did.
    pub report: Report,
    /// Whether a signal, a timeout or a lost lease ended a run early.
    pub stopped: bool,
    /// How the operation ended.
    pub end: End,
}

impl Conclusion {
    /// Notes what is to be done, so that all of it counts as left until it is done.
    pub fn intend(&mut self, plan: &Plan) {
        self.report.absorb(&Report::new(plan));
    }

    /// Notes how a run ended.
    pub fn add(&mut self, outcome: &Outcome) {
        self.report.absorb(outcome.report());
        self.stopped |= matches!(outcome, Outcome::Stopped(_));
    }

    /// Notes how the rollback of a run ended.
    pub fn add_rollback(&mut self, outcome: &Outcome) {
        self.report.absorb_rollback(outcome.report());
        self.stopped |= matches!(outcome, Outcome::Stopped(_));
    }

    /// Notes why the rest is not started.
    pub fn fail(&mut self, problem: StepError) {
        self.report.problems.push(problem);
    }

    /// Returns whether AWS may not be as it was before the operation.
    pub fn changed(&self) -> bool {
        self.report.changed()
    }

    /// Returns whether the operation did all that it was to do.
    pub fn is_complete(&self) -> bool {
        matches!(self.end, End::Ran) && self.report.is_complete()
    }

    /// Returns the conclusion with how the operation ended.
    pub fn ended(self, result: Result<End, OperationError>) -> Self {
        Conclusion { end: result.unwrap_or_else(End::Failed), ..self }
    }
}

/// Returns how an operation ends that carries out these plans, if one of them refuses anything.
pub fn refused(plans: &[&Plan]) -> Option<End> {
    let refused: usize = plans.iter().map(|plan| plan.refusals.len()).sum();
    (refused > 0).then(|| End::Refused { refused, others: plans.iter().any(|plan| !plan.is_empty()) })
}
