//! Reads of the state and its lease that need no plan, and the release of another run's lease.

use super::{OperationError, Workspace, backend::backend_is_there, lease_holding, lost_state::lost_state};
use crate::{
    engine::{describe_holder, release_for_good},
    model::{CallError, ErrorKind, LeaseHolder, Snapshot},
    store::LeaseStore as _,
};

/// Checks that a state exists, as far as its backend tells.
///
/// # Errors
/// Says how to create it, or how to rebuild one that was lost.
pub async fn check_state_exists(workspace: &Workspace) -> Result<(), OperationError> {
    if backend_is_there(workspace).await? {
        return Ok(());
    }
    if let Some(lost) = lost_state(workspace, false, None).await? {
        return Err(lost.into());
    }
    let text = format!("{}: no state found, because the backend does not exist yet", workspace.location());
    let hint = "run `provisioner up` to create the backend and the stack, or `up --target backend` for the backend alone";
    Err(CallError::new(ErrorKind::Gone, text).hint(hint).into())
}

/// Returns the recorded state, or an empty one if none is recorded.
pub async fn recorded_state(workspace: &Workspace) -> Result<Snapshot, OperationError> {
    lease_holding::recorded(workspace).await
}

/// Returns the holder of the lease, if it is held.
pub async fn lease_holder(workspace: &Workspace) -> Result<Option<LeaseHolder>, OperationError> {
    Ok(workspace.state.lease().read().await?.holder)
}

/// Returns who holds a lease, and since when, for people.
pub fn holder_text(holder: &LeaseHolder) -> String {
    describe_holder(holder)
}

/// Releases the lease of another run that has this fence, and returns that run. If it is still active, its next write fails.
pub async fn release_lease(workspace: &Workspace, fence: u64) -> Result<LeaseHolder, OperationError> {
    Ok(release_for_good(&workspace.state.lease(), fence).await?)
}
