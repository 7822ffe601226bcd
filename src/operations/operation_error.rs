//! The error that ends an operation.

use crate::{
    model::{CallError, ErrorKind, StepError},
    stack::Diagnostics,
};

/// Error that ends an operation. What the operation changed before it is in its [`Conclusion`](super::Conclusion).
#[derive(Clone, Debug, thiserror::Error)]
pub enum OperationError {
    /// The stack file is invalid.
    #[error("{0}")]
    File(#[from] Diagnostics),
    /// A check or an API call failed.
    #[error("{0}")]
    Step(StepError),
}

impl From<CallError> for OperationError {
    fn from(error: CallError) -> Self {
        OperationError::Step(error.into())
    }
}

impl OperationError {
    /// Returns the error for what a rule refuses.
    pub fn refused(message: impl Into<String>, hint: impl Into<String>) -> Self {
        CallError::new(ErrorKind::Refused, message).hint(hint).into()
    }
}
