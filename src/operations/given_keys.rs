//! The keys that the file gives: whether they can be used.

use super::{OperationError, Workspace, backend::KEY};
use crate::{
    aws::suspended_key,
    model::{Address, PlanRefusal, Stage},
};

/// Refuses if the key that the file gives for the stack is disabled or scheduled for deletion.
pub async fn check_given_key(workspace: &Workspace) -> Result<(), OperationError> {
    let Some(arn) = &workspace.stack.encryption.key_arn else { return Ok(()) };
    match suspended_key(&workspace.target.clients, arn).await? {
        Some((why, remedy)) => {
            Err(workspace.stack.diagnostic("encryption.keyArn", why, Some(format!("`{remedy}`"))).into())
        }
        None => Ok(()),
    }
}

/// Returns the refusal if the key that the file gives for the state is disabled or scheduled for deletion. The plan of
/// the backend has the refusal of a key of its own.
pub async fn given_state_key_refusal(workspace: &Workspace) -> Result<Option<PlanRefusal>, OperationError> {
    let Some(arn) = &workspace.state.backend.key_arn else { return Ok(None) };
    let suspended = suspended_key(&workspace.target.clients, arn).await?;
    Ok(suspended.map(|(why, remedy)| PlanRefusal {
        address: Address::from(KEY),
        kind: "kms_key".to_owned(),
        stage: Stage::Backend,
        reason: format!("{why}, the state of every stack included"),
        hint: format!("`{remedy}`"),
        blocks: Vec::new(),
    }))
}
