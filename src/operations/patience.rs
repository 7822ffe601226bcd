//! Patience with the reads that come before a run.

use super::{Message, OperationError, Operator};
use crate::{engine::through_throttling, model::CallError};

/// Repeats `read` while AWS throttles it.
pub async fn patiently<T>(
    operator: &dyn Operator,
    read: impl AsyncFnMut() -> Result<T, OperationError>,
) -> Result<T, OperationError> {
    through_throttling(read, failed_call, |text| operator.tell(Message::Waiting(text))).await
}

fn failed_call(error: &OperationError) -> Option<&CallError> {
    match error {
        OperationError::Step(problem) => Some(&problem.error),
        OperationError::File(_) => None,
    }
}
