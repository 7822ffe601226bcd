//! Holding the lease of a stack, and reading the state under it.

use super::{OperationError, RunControl, Workspace, machine, unusable_key::explained};
use crate::{
    engine::{LeaseGuard, LeaseRequest, StateWriter, acquire},
    model::{CallError, ErrorKind, Owner, Phase, Snapshot},
    store::{LeaseStore, Register},
};
use std::{sync::Arc, time::Duration};

/// What a run holds while it works on a stack: the lease, and the state under it.
pub struct Held {
    /// The lease.
    pub lease: LeaseGuard,
    /// The recorded state, and its register, which writes under the lease's fence.
    pub writer: StateWriter,
}

/// Returns the recorded state, or that of a new stack if only a tombstone or nothing is recorded.
pub async fn read_state(workspace: &Workspace, register: &mut Register) -> Result<Snapshot, OperationError> {
    let (account, region) = (&workspace.target.identity.account, &workspace.stack.region);
    let fresh = || {
        let lineage = uuid::Uuid::new_v4().to_string();
        Snapshot::new(&Owner { stack: workspace.stack.name.clone(), lineage }, account, region)
    };
    let read = match workspace.patient(async || Ok(register.read().await?)).await {
        Err(failure) => return Err(explained(workspace, failure).await),
        Ok(read) => read,
    };
    let Some(mut snapshot) = read else { return Ok(fresh()) };
    snapshot.restore_retired();
    snapshot.belongs_to(&workspace.stack.name, account, region).map_err(|error| {
        let error = CallError::new(ErrorKind::Refused, format!("{}: {error}", register.location()));
        error.hint("check the account, the region and the stack's name")
    })?;
    if snapshot.phase == Phase::Destroyed && snapshot.resources.is_empty() {
        return Ok(Snapshot { epoch: snapshot.epoch, ..fresh() });
    }
    Ok(snapshot)
}

/// Returns the recorded state as [`read_state`] does, without holding the lease.
pub async fn recorded(workspace: &Workspace) -> Result<Snapshot, OperationError> {
    read_state(workspace, &mut workspace.state.register(0)).await
}

async fn take(workspace: &Workspace, control: &RunControl, least: u64) -> Result<LeaseGuard, OperationError> {
    let store: Arc<dyn LeaseStore> = Arc::new(workspace.state.lease());
    let (me, patience) = (workspace.state.holder(), workspace.state.lock_timeout);
    let request = LeaseRequest { me, at_least: least, patience };
    let (shutdown, events) = (&control.shutdown, &control.events);
    match acquire(store, request, &machine::LocalMachine, shutdown, events).await {
        Err(error) => Err(explained(workspace, error.into()).await),
        Ok(lease) => Ok(lease),
    }
}

/// Acquires the lease without reading the state, which may be damaged.
pub async fn hold_alone(
    workspace: &Workspace,
    control: &RunControl,
) -> Result<(LeaseGuard, Register), OperationError> {
    // A new lock table counts fences from 1 again. The state holds the last fence, if it can be read.
    let known = recorded(workspace).await.map_or(0, |snapshot| snapshot.epoch);
    let lease = take(workspace, control, known.saturating_add(1)).await?;
    let register = workspace.state.register(lease.fence());
    Ok((lease, register))
}

/// Acquires the lease, and reads the state under it.
pub async fn hold(workspace: &Workspace, control: &RunControl) -> Result<Held, OperationError> {
    let mut least = 0;
    loop {
        let held = take(workspace, control, least).await?;
        let mut register = workspace.state.register(held.fence());
        match read_state(workspace, &mut register).await {
            // A new lock table counts fences from 1 again. The state holds the last fence.
            Ok(snapshot) if snapshot.epoch >= held.fence() => {
                least = snapshot.epoch.saturating_add(1);
                held.release().await?;
            }
            Ok(snapshot) => return Ok(Held { lease: held, writer: StateWriter { snapshot, register } }),
            Err(failure) => {
                give_back(workspace, held).await;
                return Err(failure);
            }
        }
    }
}

/// Releases the lease. If that fails, the lease expires.
pub async fn give_back(workspace: &Workspace, lease: LeaseGuard) {
    let fence = lease.fence();
    let released = tokio::time::timeout(Duration::from_millis(1500), lease.release()).await;
    if !matches!(released, Ok(Ok(()))) {
        workspace.warn(format!(
            "the state lock (fence {fence}) could not be released; it expires within two minutes"
        ));
    }
}
