//! Bottlerocket releases: the newest when a node group is created, then pinned until its version changes or
//! an upgrade is requested.

use super::super::{OperationError, Workspace};
use crate::{
    aws::bottlerocket_releases,
    model::{Address, Snapshot, is_newer},
    stack::cluster::Arch,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// The key of the pins in the state's outputs.
pub(super) const PINS: &str = "releases";

/// The release that was chosen for a node group, and what it was chosen for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ReleasePin {
    pub(super) release: String,
    pub(super) minor: String,
    pub(super) arch: String,
}

/// Returns AWS's name for an architecture.
pub fn arch_name(arch: Arch) -> &'static str {
    match arch {
        Arch::X86 => "x86_64",
        Arch::Arm => "arm64",
    }
}

pub(super) async fn releases(
    workspace: &Workspace,
    upgrade: bool,
    snapshot: &mut Snapshot,
    minor: &str,
) -> Result<BTreeMap<String, String>, OperationError> {
    let recorded = snapshot.outputs.get(PINS).cloned().unwrap_or_default();
    let mut recorded: BTreeMap<String, ReleasePin> = serde_json::from_value(recorded).unwrap_or_default();
    for (name, pin) in &mut recorded {
        // A release that was newer than the pin when the state was written was kept.
        let running = running_release(snapshot, name, &pin.minor);
        let newer = running.filter(|running| is_newer(running, &pin.release));
        pin.release = newer.unwrap_or_else(|| pin.release.clone());
    }
    let stands = |name: &str, arch: &str| {
        let pin = recorded.get(name).filter(|pin| pin.minor == minor && pin.arch == arch);
        pin.filter(|_| !upgrade).cloned()
    };
    let groups: Vec<(&str, &str)> = workspace
        .stack
        .node_groups
        .iter()
        .map(|group| (group.name.as_str(), arch_name(group.arch)))
        .collect();
    let open: BTreeSet<&str> =
        groups.iter().filter(|(name, arch)| stands(name, arch).is_none()).map(|(_, arch)| *arch).collect();
    let newest =
        if open.is_empty() { BTreeMap::new() } else { newest_releases(workspace, minor, &open).await? };
    let mut pins = BTreeMap::new();
    for (name, arch) in groups {
        let fresh = || ReleasePin {
            release: newest.get(arch).cloned().unwrap_or_default(),
            minor: minor.to_owned(),
            arch: arch.to_owned(),
        };
        pins.insert(name.to_owned(), stands(name, arch).unwrap_or_else(fresh));
    }
    let releases = pins.iter().map(|(name, pin)| (name.clone(), pin.release.clone())).collect();
    snapshot.outputs.insert(PINS.to_owned(), json!(pins));
    Ok(releases)
}

/// Returns the newest releases, by architecture.
async fn newest_releases(
    workspace: &Workspace,
    minor: &str,
    architectures: &BTreeSet<&str>,
) -> Result<BTreeMap<String, String>, OperationError> {
    let list: Vec<&str> = architectures.iter().copied().collect();
    Ok(bottlerocket_releases(&workspace.target.clients, minor, &list).await?)
}

/// Returns the release that the state recorded as running for this Kubernetes minor.
fn running_release(snapshot: &Snapshot, group: &str, minor: &str) -> Option<String> {
    let live = &snapshot.resources.get(&Address::new(format!("cluster/node-group/{group}")))?.live;
    let text = |field: &str| live.get(field).and_then(|value| value.as_str());
    (text("version") == Some(minor)).then(|| text("release").map(str::to_owned)).flatten()
}
