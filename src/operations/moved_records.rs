//! Records that follow their application to its new address.

use super::Workspace;
use crate::{graph::moved_addresses, model::Snapshot};

/// Moves the records of applications that have another name in the file than in the state, so that nothing of them is
/// replaced.
pub fn move_records(workspace: &Workspace, snapshot: &mut Snapshot) {
    for (old, new) in moved_addresses(&workspace.stack, snapshot) {
        let Some(entry) = snapshot.resources.remove(&old) else { continue };
        workspace.tell(format!("{old} is {new} from now on"));
        snapshot.resources.insert(new.clone(), entry);
        let entries = snapshot.resources.values_mut().map(|entry| &mut entry.dependencies);
        let intents = snapshot.intents.values_mut().map(|intent| &mut intent.dependencies);
        for dependencies in entries.chain(intents) {
            if dependencies.remove(&old) {
                dependencies.insert(new.clone());
            }
        }
    }
}
