//! The local record of the stacks that this folder's files created, by which a changed `region` or `name` is noticed; and
//! the copies of states that could not be written.

use super::{
    OperationError, Question, RunControl, Workspace, backend::BackendStatus, lost_state::lost_state, role_of,
};
use crate::{
    model::{CallError, ErrorKind, Phase, Snapshot},
    os::write_private,
    store::{S3State, StateStore as _},
};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// One stack that exists, as far as this folder knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StackRecord {
    /// The stack's name.
    pub stack: String,
    /// The account, twelve digits.
    pub account: String,
    /// The region.
    pub region: String,
    /// The state bucket.
    pub bucket: String,
    /// The name of the stack file.
    pub file: String,
}

/// The hint for a file that describes another stack than before.
pub const TO_DO: &str = "change `name` or `region` back, or run `provisioner down` with the old values first; to have both, delete the \
     record";

impl StackRecord {
    fn path(&self, folder: &Path) -> PathBuf {
        folder.join(format!("stack-{}-{}-{}.json", self.stack, self.region, self.account))
    }

    /// Returns whether both are of the same file and account, and are not the same stack.
    fn was_changed_to(&self, other: &StackRecord) -> bool {
        self.file == other.file
            && self.account == other.account
            && (&self.stack, &self.region) != (&other.stack, &other.region)
    }
}

/// Returns the readable records of a folder with their paths, in order of their paths.
fn records(folder: &Path) -> Vec<(PathBuf, StackRecord)> {
    let mut found: Vec<(PathBuf, StackRecord)> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let name = path.file_name()?.to_str()?;
            let named = name.strip_prefix("stack-").and_then(|rest| rest.strip_suffix(".json")).is_some();
            let record = serde_json::from_slice(&std::fs::read(&path).ok().filter(|_| named)?).ok()?;
            Some((path, record))
        })
        .collect();
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    found
}

/// Returns the version in the name of a copy of a stack's state.
fn copied_version(name: &str, stack: &str) -> Option<u64> {
    name.strip_prefix(&format!("unsaved-{stack}-"))?.strip_suffix(".json")?.parse().ok()
}

fn own_record(workspace: &Workspace) -> StackRecord {
    let file = workspace.folders.file.file_name().unwrap_or_default();
    StackRecord {
        stack: workspace.stack.name.clone(),
        account: workspace.target.identity.account.clone(),
        region: workspace.stack.region.clone(),
        bucket: workspace.state.backend.bucket.clone(),
        file: file.to_string_lossy().into_owned(),
    }
}

/// Keeps the local record as the state is: it exists while the stack does. Deletes the copies of this state that older
/// runs could not write, whose content is now in what was written.
pub fn record_stack(workspace: &Workspace, snapshot: &Snapshot) {
    let (folder, record) = (&workspace.folders.state, own_record(workspace));
    let path = record.path(folder);
    // Only a warning depends on the record, so that nothing fails for it.
    if snapshot.resources.is_empty() && snapshot.intents.is_empty() {
        let _ = std::fs::remove_file(&path);
    } else if let Ok(bytes) = serde_json::to_vec_pretty(&record) {
        let _ = write_private(&path, &bytes);
    }
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let version = copied_version(&name.to_string_lossy(), &snapshot.stack);
        let of_this = || {
            let bytes = std::fs::read(entry.path()).ok()?;
            Snapshot::decode(&bytes).ok().filter(|copy| copy.lineage == snapshot.lineage)
        };
        if version.is_some_and(|version| version <= snapshot.version) && of_this().is_some() {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Returns the warning for a file that described another stack before, which still exists, if `snapshot` says that
/// this one does not exist yet.
pub async fn other_stack(workspace: &Workspace, snapshot: &Snapshot) -> Option<String> {
    if !snapshot.resources.is_empty() || !snapshot.intents.is_empty() {
        return None;
    }
    let (own, (path, other)) = (own_record(workspace), former_stack(workspace).await?);
    Some(format!(
        "{} described stack `{}` in {} before, which still exists (recorded in {}); it now describes another \
         stack, `{}` in {}",
        own.file,
        other.stack,
        other.region,
        path.display(),
        own.stack,
        own.region
    ))
}

/// Returns which stack the file described before, if this one does not exist and that one does.
pub async fn last_stack(workspace: &Workspace) -> Option<CallError> {
    let (path, StackRecord { stack, region, .. }) = former_stack(workspace).await?;
    let own = workspace.location();
    let text = format!(
        "{own} does not exist; this folder's last stack was {stack} in {region}, which still exists (recorded in {})",
        path.display()
    );
    let hint = format!("set `name: {stack}` and `region: {region}` to work on that stack");
    Some(CallError::new(ErrorKind::Refused, text).hint(hint))
}

/// Returns the record of the stack that the file described before and that still exists, with its path.
async fn former_stack(workspace: &Workspace) -> Option<(PathBuf, StackRecord)> {
    let own = own_record(workspace);
    for (path, other) in records(&workspace.folders.state) {
        if !other.was_changed_to(&own) {
            continue;
        }
        if has_ended(workspace, &other).await {
            let _ = std::fs::remove_file(&path);
            continue;
        }
        return Some((path, other));
    }
    None
}

/// Checks that the state of a stack that is to be created is not elsewhere, and that the file does not describe another
/// stack than before. The operator decides on the latter.
pub async fn check_place(
    workspace: &Workspace,
    control: &RunControl,
    backend: &BackendStatus,
    snapshot: &Snapshot,
) -> Result<(), OperationError> {
    if let Some(lost) = lost_state(workspace, backend.bucket, Some(snapshot)).await? {
        return Err(lost.into());
    }
    let Some(text) = other_stack(workspace, snapshot).await else { return Ok(()) };
    match control.approved(workspace.operator.as_ref(), Question::AnotherStack(&text)).await {
        true => Ok(()),
        false => Err(OperationError::refused(text, TO_DO)),
    }
}

/// Returns whether the state of a recorded stack says that it was deleted. A state that cannot be read says nothing.
async fn has_ended(workspace: &Workspace, record: &StackRecord) -> bool {
    let clients = match record.region == workspace.stack.region {
        true => workspace.target.clients.clone(),
        false => workspace.target.endpoint.clients(&record.region, role_of(&workspace.stack)).await,
    };
    let store = S3State::new(clients, &record.account, &record.bucket, &record.stack);
    match store.read().await {
        Ok(Some(stored)) => {
            Snapshot::decode(&stored.bytes).is_ok_and(|state| state.phase == Phase::Destroyed)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(stack: &str, region: &str, file: &str) -> StackRecord {
        let text = |text: &str| text.to_owned();
        StackRecord {
            stack: text(stack),
            account: text("123456789012"),
            region: text(region),
            bucket: text("b"),
            file: text(file),
        }
    }

    #[test]
    fn a_file_that_describes_another_stack_is_told_from_another_file() {
        let one = record("shop", "eu-central-1", "stack.yaml");
        assert!(one.was_changed_to(&record("shop", "eu-west-1", "stack.yaml")));
        assert!(one.was_changed_to(&record("store", "eu-central-1", "stack.yaml")));
        assert!(!one.was_changed_to(&one));
        assert!(!one.was_changed_to(&record("store", "eu-central-1", "other.yaml")));
        let elsewhere = StackRecord { account: "210987654321".into(), ..record("a", "b", "stack.yaml") };
        assert!(!one.was_changed_to(&elsewhere));
    }

    #[test]
    fn a_copy_is_known_by_its_name_and_another_stacks_is_not() {
        assert_eq!(copied_version("unsaved-shop-7.json", "shop"), Some(7));
        assert_eq!(copied_version("unsaved-shop-eu-7.json", "shop"), None);
        assert_eq!(copied_version("unsaved-shop-7.json.bak", "shop"), None);
        assert_eq!(copied_version("unsaved-store-7.json", "shop"), None);
    }
}
