//! The facts of a stack whose state is lost, read off what is there: so that the first plan after it moves nothing.

use super::{VERSION, addons, nodes};
use crate::{
    cli::session::{SHARES, ZONES},
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

/// Remembers in the snapshot which zones, versions and releases there are.
pub fn recall(stack: &Stack, snapshot: &mut Snapshot, observed: &Observed) {
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
            snapshot.outputs.insert(ZONES.to_owned(), json!(zones));
            snapshot.outputs.insert(SHARES.to_owned(), json!(shares));
        }
    }
    let clusters: Vec<(Address, eks_cluster::Live)> = live(observed, "eks_cluster");
    let Some((_, cluster)) = clusters.first() else { return };
    snapshot.outputs.insert(VERSION.to_owned(), json!(cluster.version));
    let pins: BTreeMap<String, addons::Pin> = live::<addon::Live>(observed, "addon")
        .into_iter()
        .map(|(_, addon)| {
            let pin = addons::Pin { version: addon.version, minor: cluster.version.clone(), named: false };
            (addon.name, pin)
        })
        .collect();
    snapshot.outputs.insert(addons::PINS.to_owned(), json!(pins));
    let pins: BTreeMap<String, nodes::Pin> = live::<node_group::Live>(observed, "node_group")
        .into_iter()
        .map(|(_, group)| {
            let arch = if group.ami_type.ends_with("ARM_64") { "arm64" } else { "x86_64" };
            (group.name, nodes::Pin { release: group.release, minor: group.version, arch: arch.to_owned() })
        })
        .collect();
    snapshot.outputs.insert(nodes::PINS.to_owned(), json!(pins));
}
