//! Changes of the state that a person makes: they replace it under the lease.

use super::{
    Conclusion, Message, OperationError, PlanOptions, Question, RunControl, RunOptions, Workspace,
    backend::backend_status,
    backend_creation::make_backend,
    conclusion::End,
    lease_holding::{give_back, hold_alone},
    lost_state::lost_state,
    rebuilding::rebuilt,
    stack_record::record_stack,
};
use crate::model::{Address, CallError, ErrorKind, Snapshot, SnapshotError, counted};
use std::{collections::BTreeSet, path::Path};

/// The state in the bucket, valid or not. `None` if it does not exist.
pub(super) type StoredState = Option<Result<Snapshot, SnapshotError>>;

/// Acquires the lease, computes the next version from the current one with `change`, tells which addresses
/// are added and removed, asks, and writes it. Returns whether it was written.
pub(super) async fn edit<C, F>(
    workspace: &Workspace,
    control: &RunControl,
    change: C,
) -> Result<bool, OperationError>
where
    C: FnOnce(StoredState) -> F,
    F: Future<Output = Result<Snapshot, OperationError>>,
{
    let (lease, mut register) = hold_alone(workspace, control).await?;
    let work = async {
        let before = register.over().await?;
        let recorded = |found: &StoredState| match found {
            Some(Ok(snapshot)) => names(snapshot),
            _ => BTreeSet::new(),
        };
        let old = recorded(&before);
        let sound = before.as_ref().and_then(|stored| stored.as_ref().ok()).cloned();
        let mut next = change(before).await?;
        // What is no longer recorded is still known to be this stack's.
        if let Some(before) = &sound {
            next.abandon_unrecorded(before);
        }
        let new = names(&next);
        let removed: Vec<Address> = old.difference(&new).cloned().collect();
        let added: Vec<Address> = new.difference(&old).cloned().collect();
        workspace.operator.tell(Message::Records { removed: &removed, added: &added });
        let place = workspace.location();
        if !control.approved(workspace.operator.as_ref(), Question::StateChange(&place)).await {
            return Ok(false);
        }
        register.count_from(next.version);
        register.write(&mut next).await?;
        record_stack(workspace, &next);
        workspace.tell(format!("{place}: state version {} written", next.version));
        Ok(true)
    };
    let result = control.reading(work).await;
    give_back(workspace, lease).await;
    result
}

fn names(snapshot: &Snapshot) -> BTreeSet<Address> {
    snapshot.resources.keys().chain(snapshot.intents.keys()).cloned().collect()
}

/// Returns the state in the bucket if it is valid.
fn sound(found: StoredState, place: &str) -> Result<Snapshot, OperationError> {
    match found {
        Some(Ok(snapshot)) => Ok(snapshot),
        Some(Err(error)) => {
            let hint =
                "list older versions with `provisioner state history`, and restore one with `state rollback`";
            Err(OperationError::refused(format!("{place}: {error}"), hint))
        }
        None => Err(CallError::new(ErrorKind::Gone, format!("{place}: no state found")).into()),
    }
}

/// Writes a state document from a file, such as one that a run saved when it could not write
/// the state. Returns whether it was written.
pub async fn push_state(
    workspace: &Workspace,
    control: &RunControl,
    path: &Path,
    force: bool,
) -> Result<bool, OperationError> {
    let shown = path.display();
    let refused = |why: String, hint: &str| OperationError::refused(format!("{shown}: {why}"), hint);
    let bytes = std::fs::read(path).map_err(|error| {
        refused(error.to_string(), "pass a file that `provisioner state pull` or a failed run wrote")
    })?;
    let given = Snapshot::decode(&bytes).map_err(|error| {
        refused(error.to_string(), "push the file as it was written; nothing was changed")
    })?;
    let (account, region) = (&workspace.target.identity.account, &workspace.stack.region);
    given
        .belongs_to(&workspace.stack.name, account, region)
        .map_err(|error| refused(error.to_string(), "check the account, the region and the stack's name"))?;
    edit(workspace, control, |found| async move {
        if let (Some(Ok(there)), false) = (&found, force) {
            let hint = "compare it with `provisioner state pull`, or pass `--force` to overwrite that state";
            if there.lineage != given.lineage {
                let why = format!(
                    "it belongs to another stack of this name (lineage {}, expected {})",
                    given.lineage, there.lineage
                );
                return Err(refused(why, hint));
            }
            if there.version > given.version {
                let why =
                    format!("version {} is older than the recorded version {}", given.version, there.version);
                return Err(refused(why, hint));
            }
        }
        Ok(given)
    })
    .await
}

/// Removes resources from the state; they stay in AWS. Returns whether it was written.
pub async fn forget_records(
    workspace: &Workspace,
    control: &RunControl,
    addresses: &[Address],
) -> Result<bool, OperationError> {
    let place = workspace.location();
    edit(workspace, control, |found| async move {
        let mut snapshot = sound(found, &place)?;
        for address in addresses {
            let recorded = snapshot.resources.remove(address).is_some();
            let begun = snapshot.intents.remove(address).is_some();
            if !recorded && !begun {
                let hint = "list the addresses with `provisioner state list`";
                return Err(OperationError::refused(format!("{address}: not found in the state"), hint));
            }
            snapshot.forget(address.clone());
        }
        Ok(snapshot)
    })
    .await
}

/// Returns why the state is missing together with its backend; `None` if the backend exists.
///
/// # Errors
/// Refuses if nothing carries the stack's tag: `up` creates the first backend.
pub async fn missing_backend(workspace: &Workspace) -> Result<Option<CallError>, OperationError> {
    let status = backend_status(workspace).await?;
    if status.exists {
        return Ok(None);
    }
    let Some(lost) = lost_state(workspace, status.bucket, None).await? else {
        let text = format!("{}: no state found", workspace.location());
        return Err(CallError::new(ErrorKind::Gone, text)
            .hint("run `provisioner up` to create the stack and its state")
            .into());
    };
    Ok(Some(lost))
}

/// Creates the backend that a lost state was in again, after approval. Without it there is nowhere to write a state.
pub async fn restore_backend(workspace: &Workspace, run: RunOptions, control: &RunControl) -> Conclusion {
    let (bucket, table) = (&workspace.state.backend.bucket, &workspace.state.backend.table);
    let mut conclusion = Conclusion::default();
    let question = Question::BackendCreation(bucket, table);
    if !control.approved(workspace.operator.as_ref(), question).await {
        return conclusion.ended(Ok(End::NotApproved));
    }
    let result = make_backend(workspace, run, control).await.map(|outcome| {
        conclusion.add(&outcome);
        End::Ran
    });
    conclusion.ended(result)
}

/// Rebuilds a lost state from the resources that carry the stack's tags; with `force`, also over a valid one. Returns whether
/// it was written.
pub async fn rebuild_state(
    workspace: &Workspace,
    options: &PlanOptions,
    control: &RunControl,
    force: bool,
) -> Result<bool, OperationError> {
    let place = workspace.location();
    edit(workspace, control, |found| async move {
        if let (Some(Ok(there)), false) = (&found, force)
            && !there.resources.is_empty()
        {
            let text =
                format!("{place}: a valid state with {} exists", counted(there.resources.len(), "resource"));
            return Err(OperationError::refused(text, "pass `--force` to rebuild it anyway"));
        }
        let (snapshot, plan) = rebuilt(workspace, options).await?;
        workspace.operator.tell(Message::Differences(&plan));
        Ok(snapshot)
    })
    .await
}
