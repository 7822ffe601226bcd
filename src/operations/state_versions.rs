//! The versions of the state in the bucket.

use super::{OperationError, RunControl, Workspace, state_edits::edit};
use crate::{
    model::{CallError, ErrorKind, Snapshot, SnapshotError},
    resources::state_bucket::{KEPT_DAYS, KEPT_VERSIONS},
    store::{S3State, StateStore as _, Version},
};

/// One version of the state object.
#[derive(Debug)]
pub struct StateVersion {
    /// Its ID in the bucket.
    pub id: String,
    /// When it was written.
    pub at: String,
    /// Whether it is the newest.
    pub newest: bool,
    /// Whether it only says that the object was deleted.
    pub deleted: bool,
    /// Its content, valid or not.
    pub content: Result<Snapshot, SnapshotError>,
}

/// Which versions the bucket keeps, as a sentence.
pub fn versions_kept() -> String {
    format!(
        "the bucket keeps each version for {KEPT_DAYS} days after the next one, and the newest {KEPT_VERSIONS} for longer"
    )
}

/// Returns the newest versions, at most `limit`, newest first.
pub async fn state_versions(
    workspace: &Workspace,
    limit: usize,
) -> Result<Vec<StateVersion>, OperationError> {
    let store = workspace.state.store();
    let mut versions = Vec::new();
    for version in store.versions(limit).await? {
        let content = read(&store, &version).await?;
        let Version { id, at, newest, deleted } = version;
        versions.push(StateVersion { id, at, newest, deleted, content });
    }
    Ok(versions)
}

async fn read(store: &S3State, version: &Version) -> Result<Result<Snapshot, SnapshotError>, CallError> {
    if version.deleted {
        return Ok(Err(SnapshotError::Empty));
    }
    Ok(Snapshot::decode(&store.read_version(&version.id).await?))
}

/// Returns the bytes of the state document in the bucket, valid or not.
pub async fn state_document(workspace: &Workspace) -> Result<Vec<u8>, OperationError> {
    match workspace.state.store().read().await? {
        Some(stored) => Ok(stored.bytes),
        None => {
            Err(CallError::new(ErrorKind::Gone, format!("{}: no state found", workspace.location())).into())
        }
    }
}

/// Returns an older version, named by its number or its ID in the bucket.
pub async fn older_state(workspace: &Workspace, wanted: &str) -> Result<Snapshot, OperationError> {
    let store = workspace.state.store();
    let hint = "list the versions with `provisioner state history`";
    let mut older = None;
    for version in store.versions(usize::MAX).await? {
        let named = version.id == wanted;
        match read(&store, &version).await? {
            Ok(snapshot) if named || snapshot.version.to_string() == wanted => {
                older = Some(snapshot);
                break;
            }
            Err(error) if named => {
                return Err(OperationError::refused(
                    format!("version {wanted} cannot be restored: {error}"),
                    hint,
                ));
            }
            _ => {}
        }
    }
    let older = older
        .ok_or_else(|| OperationError::refused(format!("version {wanted} not found in the bucket"), hint))?;
    let (account, region) = (&workspace.target.identity.account, &workspace.stack.region);
    older
        .belongs_to(&workspace.stack.name, account, region)
        .map_err(|error| OperationError::refused(format!("version {wanted}: {error}"), hint))?;
    Ok(older)
}

/// Restores an older version of the state, after approval. Nothing in AWS changes, and the next plan shows the differences.
/// Returns whether it was written.
pub async fn roll_back_state(
    workspace: &Workspace,
    control: &RunControl,
    older: Snapshot,
) -> Result<bool, OperationError> {
    edit(workspace, control, |newest| async move {
        let version = match newest {
            Some(Ok(newest)) => newest.version,
            // No number is given twice.
            _ => highest_number(workspace).await?.max(older.version),
        };
        Ok(Snapshot { version, ..older })
    })
    .await
}

/// Returns the highest number that a version in the bucket has, or may have: those that cannot be read count as one each.
async fn highest_number(workspace: &Workspace) -> Result<u64, OperationError> {
    let store = workspace.state.store();
    let mut unread = 0_u64;
    for version in store.versions(usize::MAX).await? {
        match read(&store, &version).await? {
            Ok(snapshot) => return Ok(snapshot.version.saturating_add(unread)),
            Err(_) if version.deleted => {}
            Err(_) => unread = unread.saturating_add(1),
        }
    }
    Ok(unread)
}
