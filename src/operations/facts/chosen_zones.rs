//! Availability zones and their shares of the address space. Both are pinned, since a zone that AWS adds must not move
//! subnets.

use super::super::{OperationError, Workspace};
use crate::{
    aws::zones,
    graph::{Context, cluster_name, cluster_zones},
    model::{Snapshot, counted},
    stack::{Zones, layout},
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The key of the chosen zones in the state's outputs.
pub(super) const ZONES: &str = "zones";

/// The key of the zones' shares of the address space in the state's outputs.
pub(super) const SHARES: &str = "zoneShares";

/// Returns the zones that the state records.
pub fn recorded_zones(snapshot: &Snapshot) -> Vec<&str> {
    let zones = snapshot.outputs.get(ZONES).and_then(Value::as_array);
    zones.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Records the chosen zones in the snapshot.
pub fn record_zones(context: &Context, snapshot: &mut Snapshot) {
    if !context.zones.is_empty() {
        snapshot.outputs.insert(ZONES.to_owned(), json!(context.zones));
        snapshot.outputs.insert(SHARES.to_owned(), json!(context.shares));
    }
}

/// Returns each zone's share of the address space: the recorded one, else the next free one.
///
/// # Errors
/// A recorded share that no layout has: the subnets would be planned elsewhere, or not at all.
pub(super) fn shares(
    snapshot: &Snapshot,
    zones: &[String],
) -> Result<BTreeMap<String, usize>, OperationError> {
    let recorded = snapshot.outputs.get(SHARES).cloned().unwrap_or_default();
    let recorded = if recorded.is_null() { json!({}) } else { recorded };
    let refused = |what: &Value| {
        let message =
            format!("the state: `{SHARES}` is out of range (0 to {}): {what}", layout::MAX_ZONES - 1);
        let hint = "restore an older version with `provisioner state rollback`";
        OperationError::refused(message, hint)
    };
    let shares: BTreeMap<String, usize> =
        serde_json::from_value(recorded.clone()).map_err(|_| refused(&recorded))?;
    let distinct: BTreeSet<&usize> = shares.values().collect();
    match shares.values().find(|share| **share >= layout::MAX_ZONES) {
        Some(share) => Err(refused(&json!(share))),
        None if distinct.len() < shares.len() => Err(refused(&recorded)),
        None => Ok(layout::shares(zones, &shares)),
    }
}

/// Returns the zones of the stack: those that the file names, or the recorded ones and, if it asks for more, others.
pub(super) async fn chosen_zones(
    workspace: &Workspace,
    snapshot: &Snapshot,
) -> Result<Vec<String>, OperationError> {
    let Some(network) = workspace.stack.network.as_ref().filter(|network| network.existing.is_none()) else {
        return Ok(Vec::new());
    };
    let recorded = snapshot.outputs.get(ZONES).and_then(Value::as_array);
    let mut chosen: Vec<String> =
        recorded.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    match &network.zones {
        Zones::Names(names) if names.iter().all(|name| chosen.contains(name)) => {
            Ok(in_recorded_order(&chosen, names))
        }
        Zones::Names(names) => {
            let there = zones(&workspace.target.clients).await?;
            for (index, name) in names.iter().enumerate() {
                if !there.iter().any(|zone| zone.name == *name) {
                    let known: Vec<&str> = there.iter().map(|zone| zone.name.as_str()).collect();
                    let message = format!(
                        "zone `{name}` does not exist in {} for this account",
                        workspace.stack.region
                    );
                    let help = Some(format!("expected one of: {}", known.join(", ")));
                    return Err(workspace
                        .stack
                        .diagnostic(&format!("network.zones[{index}]"), message, help)
                        .into());
                }
            }
            Ok(in_recorded_order(&chosen, names))
        }
        Zones::Count(count) => {
            let count = usize::from(*count);
            if chosen.len() < count {
                let there = zones(&workspace.target.clients).await?;
                let fit = there.into_iter().filter(|zone| zone.takes_clusters).map(|zone| zone.name);
                let more: Vec<String> = fit.filter(|name| !chosen.contains(name)).collect();
                chosen.extend(more);
            }
            if chosen.len() < count {
                let message = format!(
                    "{} has only {} for this account ({count} requested)",
                    workspace.stack.region,
                    counted(chosen.len(), "zone")
                );
                return Err(workspace.stack.diagnostic("network.zones", message, None).into());
            }
            chosen.truncate(count);
            Ok(chosen)
        }
    }
}

/// Returns the zones that the file names, the recorded ones first and in their order: a single NAT gateway stays in the first
/// one, whatever the order in the file.
fn in_recorded_order(recorded: &[String], names: &[String]) -> Vec<String> {
    let known = recorded.iter().filter(|zone| names.contains(zone));
    known.chain(names.iter().filter(|zone| !recorded.contains(zone))).cloned().collect()
}

/// Returns the zones of the recorded cluster, all of which must be among `zones`.
pub(super) fn kept_zones(
    workspace: &Workspace,
    snapshot: &Snapshot,
    zones: &[String],
) -> Result<Vec<String>, OperationError> {
    let network = workspace.stack.network.as_ref().filter(|network| network.existing.is_none());
    if network.is_none() || workspace.stack.cluster.is_none() {
        return Ok(Vec::new());
    }
    let kept = cluster_zones(snapshot);
    let missing: Vec<&str> = kept.iter().filter(|zone| !zones.contains(zone)).map(String::as_str).collect();
    if missing.is_empty() {
        return Ok(zones.iter().filter(|zone| kept.contains(zone)).cloned().collect());
    }
    let message = format!(
        "cluster {} was created in {}, and EKS keeps it in these zones ({} missing)",
        cluster_name(&workspace.stack),
        kept.join(", "),
        missing.join(", ")
    );
    let help = Some("keep these zones in the file; other zones can be added".to_owned());
    Err(workspace.stack.diagnostic("network.zones", message, help).into())
}

#[cfg(test)]
mod tests {
    use super::in_recorded_order;

    #[test]
    fn the_order_of_zones_in_the_file_does_not_matter_once_they_are_recorded() {
        let list = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
        let chosen = |recorded, names| in_recorded_order(&list(recorded), &list(names)).concat();
        assert_eq!((chosen("", "cab"), chosen("cab", "abc")), ("cab".to_owned(), "cab".to_owned()));
        assert_eq!((chosen("ca", "abc"), chosen("cab", "dba")), ("cab".to_owned(), "abd".to_owned()));
    }
}
