//! The state of a run that could not write it to its bucket.

use super::Workspace;
use crate::{model::Snapshot, os::write_private};

/// Writes a state that could not be written to its bucket to a local file.
pub fn dump(workspace: &Workspace, snapshot: &mut Snapshot) {
    let name = format!("unsaved-{}-{}.json", snapshot.stack, snapshot.version);
    let path = workspace.folders.state.join(name);
    let written = snapshot
        .encode()
        .map_err(|error| error.to_string())
        .and_then(|bytes| write_private(&path, &bytes).map_err(|error| error.to_string()));
    match written {
        Ok(()) => workspace.warn(format!(
            "the state could not be written; a copy is in {}. When the bucket is reachable, run \
             `provisioner state push {}` if no other run changed the stack since, or repeat the command, \
             which finds unrecorded resources by their tags",
            path.display(),
            path.display()
        )),
        Err(error) => {
            workspace
                .warn(format!("the state could be written neither to its bucket nor to a file: {error}"));
        }
    }
}
