//! Bottlerocket releases: the newest when a group is made, pinned until the version moves or somebody asks.

use super::{Failure, Session};
use crate::{aws::bottlerocket_releases, model::Snapshot, stack::cluster::Arch};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// The state's name for the pins.
pub(super) const PINS: &str = "releases";

/// The release that a node group runs, and what it was chosen for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pin {
    pub(super) release: String,
    pub(super) minor: String,
    pub(super) arch: String,
}

/// AWS's name of an architecture.
pub fn arch_name(arch: Arch) -> &'static str {
    match arch {
        Arch::X86 => "x86_64",
        Arch::Arm => "arm64",
    }
}

impl Session {
    pub(super) async fn releases(
        &self,
        snapshot: &mut Snapshot,
        minor: &str,
    ) -> Result<BTreeMap<String, String>, Failure> {
        let recorded = snapshot.outputs.get(PINS).cloned().unwrap_or_default();
        let recorded: BTreeMap<String, Pin> = serde_json::from_value(recorded).unwrap_or_default();
        let stands = |name: &str, arch: &str| {
            let pin = recorded.get(name).filter(|pin| pin.minor == minor && pin.arch == arch);
            pin.filter(|_| !self.upgrade_nodes).cloned()
        };
        let groups: Vec<(&str, &str)> =
            self.stack.node_groups.iter().map(|group| (group.name.as_str(), arch_name(group.arch))).collect();
        let open: BTreeSet<&str> = groups
            .iter()
            .filter(|(name, arch)| stands(name, arch).is_none())
            .map(|(_, arch)| *arch)
            .collect();
        let newest =
            if open.is_empty() { BTreeMap::new() } else { self.newest_releases(minor, &open).await? };
        let mut pins = BTreeMap::new();
        for (name, arch) in groups {
            let fresh = || Pin {
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

    /// The newest releases, by architecture.
    pub async fn newest_releases(
        &self,
        minor: &str,
        architectures: &BTreeSet<&str>,
    ) -> Result<BTreeMap<String, String>, Failure> {
        let list: Vec<&str> = architectures.iter().copied().collect();
        Ok(bottlerocket_releases(&self.target.clients, minor, &list).await?)
    }
}
