//! How a run is watched and stopped from outside.

use super::{OperationError, Operator, Question};
use crate::{
    engine::{ShutdownPhase, ShutdownSignal},
    model::{CallError, ErrorKind, Event},
};
use tokio::sync::mpsc::UnboundedSender;

/// The two lines between a run and the caller: events out, the wish to stop in.
#[derive(Clone, Debug)]
pub struct RunControl {
    /// Stops the run.
    pub shutdown: ShutdownSignal,
    /// Where the events of the run go. Their receiver may be dropped.
    pub events: UnboundedSender<Event>,
}

impl RunControl {
    /// Returns the control of a run that sends its events there.
    pub fn new(events: UnboundedSender<Event>) -> Self {
        RunControl { shutdown: ShutdownSignal::default(), events }
    }

    /// Runs `work`, which only reads, and drops it when the run is to stop.
    pub async fn reading<T>(
        &self,
        work: impl Future<Output = Result<T, OperationError>>,
    ) -> Result<T, OperationError> {
        tokio::select! {
            done = work => done,
            () = self.shutdown.reached(ShutdownPhase::Draining) => {
                Err(CallError::new(ErrorKind::Interrupted, "interrupted before anything was changed").into())
            }
        }
    }

    /// Asks the operator. The wish to stop counts as a no.
    pub async fn approved(&self, operator: &dyn Operator, question: Question<'_>) -> bool {
        tokio::select! {
            answer = operator.approve(question) => answer,
            () = self.shutdown.reached(ShutdownPhase::Draining) => false,
        }
    }
}
