//! Which step waits for which. What adds comes before what takes away: a deletion waits for every creation and update
//! of its plan, and the removal half of a replacement for all that its new half depends on, unless that is what waits
//! for the removal.

use super::order::topological;
use crate::model::{Action, Address, CallError, StepId};
use std::collections::{BTreeMap, BTreeSet};

/// What each step waits for.
pub(super) type Waits = BTreeMap<StepId, BTreeSet<StepId>>;

/// One change, as far as its order goes.
#[derive(Clone, Debug)]
pub(super) struct Change {
    /// What happens to the resource.
    pub action: Action,
    /// Whether AWS is deleting it: the creation waits for the end of that.
    pub deleting: bool,
    /// What the wanted form depends on; empty for a deletion.
    pub wanted: BTreeSet<Address>,
    /// The nearest changes below the wanted form, through what stays as it is.
    pub needs: BTreeSet<Address>,
    /// What the recorded form depends on.
    pub recorded: BTreeSet<Address>,
    /// Updated before it if both are updated, whatever depends on what.
    pub follows: BTreeSet<Address>,
    /// Deletions that free what its creation takes and only one resource can have, such as a block of addresses.
    pub takes_over: BTreeSet<Address>,
    /// What can be deleted only while this exists.
    pub outlives: BTreeSet<Address>,
    /// The address of the old form while both exist. Set for kinds that are replaced by creation first.
    pub retired: Option<Address>,
}

impl Change {
    /// The step that removes it, if there is one.
    fn removal(&self, address: &Address) -> Option<StepId> {
        match (self.action, &self.retired) {
            (Action::Replace, Some(retired)) => Some(StepId::remove(retired)),
            (Action::Replace | Action::Delete, _) => Some(StepId::remove(address)),
            _ if self.deleting => Some(StepId::remove(address)),
            (Action::Create | Action::Update | Action::Adopt, _) => None,
        }
    }

    /// The step that creates or updates it, if there is one.
    fn ensure(&self, address: &Address) -> Option<StepId> {
        (self.action != Action::Delete).then(|| StepId::ensure(address))
    }
}

/// Returns what each step waits for. A replacement by creation first whose creation would wait for its own removal, as in a
/// cluster that is replaced, becomes one by deletion first: its `retired` is cleared.
///
/// # Errors
/// Changes that wait for each other by their dependencies alone.
pub(super) fn waits(changes: &mut BTreeMap<Address, Change>) -> Result<Waits, CallError> {
    loop {
        let waits = by_dependencies(changes);
        let order = Order::new(waits);
        let bound = changes.iter().filter(|(address, change)| {
            let own = change.retired.as_ref().map(StepId::remove);
            own.is_some_and(|own| order.after(&own).contains(&StepId::ensure(address)))
        });
        let bound: Vec<Address> = bound.map(|(address, _)| address.clone()).collect();
        if bound.is_empty() {
            topological(&order.waits)?;
            return Ok(removals_last(changes, order.waits));
        }
        for address in bound {
            if let Some(change) = changes.get_mut(&address) {
                change.retired = None;
            }
        }
    }
}

/// What no order can do without.
fn by_dependencies(changes: &BTreeMap<Address, Change>) -> Waits {
    let mut waits = Waits::new();
    // A dependency on an address is one on all that serves under it, also on what is being replaced.
    let mut removals: BTreeMap<&str, Vec<StepId>> = BTreeMap::new();
    for (address, change) in changes {
        waits.extend(change.ensure(address).map(|id| (id, BTreeSet::new())));
        if let Some(id) = change.removal(address) {
            removals.entry(address.base()).or_default().push(id.clone());
            waits.insert(id, BTreeSet::new());
        }
    }
    let known: BTreeSet<StepId> = waits.keys().cloned().collect();
    let mut wait = |id: &StepId, first: StepId| {
        if known.contains(&first)
            && first != *id
            && let Some(before) = waits.get_mut(id)
        {
            before.insert(first);
        }
    };
    for (address, change) in changes {
        let (ensure, removal) = (change.ensure(address), change.removal(address));
        if let Some(ensure) = &ensure {
            change.wanted.iter().for_each(|on| wait(ensure, StepId::ensure(on)));
        }
        match (&ensure, &removal, &change.retired) {
            (Some(ensure), Some(removal), Some(_)) => wait(removal, ensure.clone()),
            (Some(ensure), Some(removal), None) => wait(ensure, removal.clone()),
            _ => {}
        }
        // What depended on a thing is deleted, or lets go of it, before the thing is deleted.
        for on in &change.recorded {
            let last = match (&removal, &ensure) {
                (Some(removal), _) => removal,
                (None, Some(ensure)) if !change.wanted.contains(on) => ensure,
                _ => continue,
            };
            removals.get(on.as_str()).into_iter().flatten().for_each(|gone| wait(gone, last.clone()));
        }
    }
    // Both exist: the order in which they were created no longer counts.
    let updated = |address: &Address| changes.get(address).is_some_and(|it| it.action == Action::Update);
    for (address, change) in changes.iter().filter(|(address, _)| updated(address)) {
        for first in change.follows.iter().filter(|first| updated(first)) {
            let (first, then) = (StepId::ensure(first), StepId::ensure(address));
            if let Some(before) = waits.get_mut(&first) {
                before.remove(&then);
            }
            if let Some(before) = waits.get_mut(&then) {
                before.insert(first);
            }
        }
    }
    waits
}

/// Adds that removals wait for what they can wait for. Nothing is added that would close a circle.
fn removals_last(changes: &BTreeMap<Address, Change>, waits: Waits) -> Waits {
    let mut order = Order::new(waits);
    for (address, change) in changes.iter().filter(|(_, change)| change.action == Action::Delete) {
        let others = change.outlives.iter().filter_map(|other| changes.get(other)?.removal(other));
        order.add(&StepId::remove(address), others.collect());
    }
    for (address, change) in changes {
        if let (Some(ensure), false) = (change.ensure(address), change.takes_over.is_empty()) {
            order.add(&ensure, change.takes_over.iter().map(StepId::remove).collect());
        }
    }
    // The halves of replacements by deletion first come first: their new halves are among what deletions wait for.
    for (address, change) in changes {
        if let (Action::Replace, None) = (change.action, &change.retired) {
            order.add(&StepId::remove(address), change.needs.iter().map(StepId::ensure).collect());
        }
    }
    let ensures: BTreeSet<StepId> =
        changes.iter().filter_map(|(address, change)| change.ensure(address)).collect();
    for (address, change) in changes {
        let last = change.action == Action::Delete || change.retired.is_some();
        if let Some(removal) = change.removal(address).filter(|_| last) {
            order.add(&removal, ensures.clone());
        }
    }
    order.waits
}

/// What waits for what, in both directions.
struct Order {
    waits: Waits,
    waiters: Waits,
}

impl Order {
    fn new(waits: Waits) -> Self {
        let mut waiters = Waits::new();
        for (id, before) in &waits {
            for first in before {
                waiters.entry(first.clone()).or_default().insert(id.clone());
            }
        }
        Order { waits, waiters }
    }

    /// All that waits for `first`, directly or not, and `first`.
    fn after(&self, first: &StepId) -> BTreeSet<StepId> {
        let mut found = BTreeSet::from([first.clone()]);
        let mut open = vec![first.clone()];
        while let Some(next) = open.pop() {
            for id in self.waiters.get(&next).into_iter().flatten() {
                if found.insert(id.clone()) {
                    open.push(id.clone());
                }
            }
        }
        found
    }

    /// Lets `id` wait for those of `firsts` that do not wait for it. What others of them wait for is left out.
    fn add(&mut self, id: &StepId, mut firsts: BTreeSet<StepId>) {
        let after = self.after(id);
        firsts.retain(|first| self.waits.contains_key(first) && !after.contains(first));
        let before = firsts.iter().filter_map(|first| self.waits.get(first));
        let implied: BTreeSet<StepId> = before.flatten().cloned().collect();
        for first in firsts.difference(&implied) {
            self.waits.entry(id.clone()).or_default().insert(first.clone());
            self.waiters.entry(first.clone()).or_default().insert(id.clone());
        }
    }
}

#[cfg(test)]
#[path = "step_order_tests.rs"]
mod tests;
