//! A resource of the stack that cannot be deleted.

use crate::{
    aws::Obstacle,
    model::{Address, CallError, ErrorKind, LeftBehind, StepError},
};

/// One resource of the stack that cannot be deleted, and why.
#[derive(Clone, Debug)]
pub struct BlockedDeletion {
    /// The resource of the stack.
    pub address: Address,
    /// What blocks it.
    pub obstacle: Obstacle,
}

impl BlockedDeletion {
    /// Returns it as the problem of a run.
    pub fn problem(&self) -> StepError {
        let message = format!("{} blocks its deletion", self.obstacle);
        let error = CallError::new(ErrorKind::Refused, message).hint(self.obstacle.hint.clone());
        StepError::at(&self.address, error, LeftBehind::Nothing)
    }
}
