//! What would lose what it depends on.

use crate::model::{Action, Address, Observed, Plan, Snapshot};
use std::collections::{BTreeMap, BTreeSet};

/// Returns the resources that exist, depend on something that `plan` deletes and are not deleted by it, each with what it
/// depends on. A resource whose record is dropped belongs to another owner, and loses nothing of this stack's.
pub fn left_dependents(
    plan: &Plan,
    snapshot: &Snapshot,
    observed: &Observed,
) -> BTreeMap<Address, BTreeSet<Address>> {
    let deleted: BTreeSet<&Address> =
        plan.changes.iter().filter(|it| it.action == Action::Delete).map(|it| &it.address).collect();
    let recorded = snapshot.resources.iter().map(|(address, entry)| (address, &entry.dependencies));
    let existing = recorded.filter(|(address, _)| observed.found.contains_key(*address));
    let intended = snapshot.intents.iter().map(|(address, intent)| (address, &intent.dependencies));
    let dropped: BTreeSet<&Address> = plan.dropped.iter().map(|it| &it.address).collect();
    let left = existing
        .chain(intended)
        .filter(|(address, _)| !deleted.contains(*address) && !dropped.contains(*address));
    let lost = left.map(|(address, on)| {
        let lost: BTreeSet<Address> = on.iter().filter(|on| deleted.contains(*on)).cloned().collect();
        (address.clone(), lost)
    });
    lost.filter(|(_, lost)| !lost.is_empty()).collect()
}
