//! The facts of a stack whose state is lost, read from its live resources so that the next plan changes
//! nothing.

use super::{
    AUTO_MODE, VERSION, addon_versions,
    chosen_zones::{SHARES, ZONES},
    endpoint_zones::pins_from_live,
    node_releases,
};
use crate::{
    model::{Address, Observed, Snapshot},
    resources::{addon, eks_cluster, node_group, subnet},
    stack::{Stack, layout},
};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::collections::BTreeMap;

fn live<T: DeserializeOwned>(observed: &Observed, kind: &str) -> Vec<(Address, T)> {
    let of_kind = observed.found.iter().filter(|(_, found)| found.kind == kind);
    of_kind
        .filter_map(|(at, found)| Some((at.clone(), serde_json::from_value(found.live.clone()).ok()?)))
        .collect()
}

/// Records the zones, versions and releases of the live resources in the snapshot.
pub fn facts_from_live(stack: &Stack, snapshot: &mut Snapshot, observed: &Observed) {
    if let Some(network) = stack.network.as_ref().filter(|network| network.existing.is_none()) {
        let blocks = layout::blocks(network.cidr.0, layout::MAX_ZONES).unwrap_or_default();
        let subnets: Vec<(Address, subnet::Live)> = live(observed, "subnet");
        let share = |subnet: &subnet::Live| {
            let block = blocks.iter().find(|block| block.cidr.to_string() == subnet.cidr)?;
            Some((subnet.zone.clone(), block.zone_index))
        };
        let shares: BTreeMap<String, usize> =
            subnets.iter().filter_map(|(_, subnet)| share(subnet)).collect();
        let mut zones: Vec<&String> = shares.keys().collect();
        zones.sort_by_key(|zone| shares.get(*zone));
        if !zones.is_empty() {
            let names: Vec<String> = zones.iter().map(|zone| (*zone).clone()).collect();
            pins_from_live(stack, &names, snapshot, observed);
            snapshot.outputs.insert(ZONES.to_owned(), json!(zones));
            snapshot.outputs.insert(SHARES.to_owned(), json!(shares));
        }
    }
    let clusters: Vec<(Address, eks_cluster::Live)> = live(observed, "eks_cluster");
    let Some((_, cluster)) = clusters.first() else { return };
    snapshot.outputs.insert(VERSION.to_owned(), json!(cluster.version));
    if cluster.auto_mode.enabled {
        snapshot.outputs.insert(AUTO_MODE.to_owned(), json!(true));
    }
    let pins: BTreeMap<String, addon_versions::AddonPin> = live::<addon::Live>(observed, "addon")
        .into_iter()
        .map(|(_, addon)| {
            let pin = addon_versions::AddonPin {
                version: addon.version,
                minor: cluster.version.clone(),
                named: false,
            };
            (addon.name, pin)
        })
        .collect();
    snapshot.outputs.insert(addon_versions::PINS.to_owned(), json!(pins));
    let pins: BTreeMap<String, node_releases::ReleasePin> = live::<node_group::Live>(observed, "node_group")
        .into_iter()
        .map(|(_, group)| {
            let arch = if group.ami_type.ends_with("ARM_64") { "arm64" } else { "x86_64" };
            (
                group.name,
                node_releases::ReleasePin {
                    release: group.release,
                    minor: group.version,
                    arch: arch.to_owned(),
                },
            )
        })
        .collect();
    snapshot.outputs.insert(node_releases::PINS.to_owned(), json!(pins));
}
