//! Properties of the order of steps, over random changes.

use super::{Change, Order, Waits, by_dependencies, waits};
use crate::{
    model::{Action, Address, StepId, Verb},
    plan::order::topological,
};
use proptest::{collection::vec, prelude::*};
use std::collections::{BTreeMap, BTreeSet};

/// What is drawn for one resource: its action, whether it is replaced by creation first, what it depends on, and whether its
/// recorded form depended on the same.
type Drawn = (u8, bool, Vec<prop::sample::Index>, u8);

fn address(number: usize) -> Address {
    Address::new(format!("thing/{number:02}"))
}

/// The changes of a graph whose resources depend on earlier ones; resources of action 5 stay as they are.
fn changes(drawn: &[Drawn]) -> BTreeMap<Address, Change> {
    let wanted: Vec<BTreeSet<usize>> = drawn
        .iter()
        .enumerate()
        .map(|(number, (.., on, _))| {
            let below = |index: &prop::sample::Index| (number > 0).then(|| index.index(number));
            on.iter().filter_map(below).filter(|on| drawn[*on].0 != 4 || drawn[number].0 == 4).collect()
        })
        .collect();
    let addresses = |numbers: &BTreeSet<usize>| numbers.iter().map(|number| address(*number)).collect();
    let stays = |number: usize| drawn[number].0 > 4;
    let needs = |number: usize| {
        let (mut found, mut open) = (BTreeSet::new(), wanted[number].clone());
        while let Some(next) = open.pop_first() {
            match stays(next) {
                true => open.extend(wanted[next].iter().copied()),
                false => drop(found.insert(next)),
            }
        }
        found
    };
    let change = |(number, (action, first, on, moved)): (usize, &Drawn)| {
        let action = match action {
            0 => Action::Create,
            1 => Action::Update,
            2 | 3 => Action::Replace,
            4 => Action::Delete,
            _ => return None,
        };
        let all = on.iter().filter(|_| number > 0).map(|index| index.index(number)).collect();
        let recorded = match action {
            Action::Create => BTreeSet::new(),
            // It let go of what it depended on.
            Action::Update if *moved == 0 => number.checked_sub(1).into_iter().collect(),
            _ => all,
        };
        let is_deleted = action == Action::Delete;
        Some((
            address(number),
            Change {
                action,
                deleting: false,
                wanted: if is_deleted { BTreeSet::new() } else { addresses(&wanted[number]) },
                needs: if is_deleted { BTreeSet::new() } else { addresses(&needs(number)) },
                recorded: addresses(&recorded),
                follows: BTreeSet::new(),
                takes_over: BTreeSet::new(),
                outlives: BTreeSet::new(),
                retired: (action == Action::Replace && *first).then(|| address(number).retired("old")),
            },
        ))
    };
    drawn.iter().enumerate().filter_map(change).collect()
}

/// All that `id` waits for, directly or not.
fn before(waits: &Waits, id: &StepId) -> BTreeSet<StepId> {
    let (mut found, mut open) = (BTreeSet::new(), vec![id.clone()]);
    while let Some(next) = open.pop() {
        let firsts = waits.get(&next).into_iter().flatten();
        open.extend(firsts.filter(|first| found.insert((*first).clone())).cloned());
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_taken_away_before_what_may_fail_and_is_needed_instead(
        drawn in vec((0_u8..7, any::<bool>(), vec(any::<prop::sample::Index>(), 0..4), 0_u8..4), 1..14)
    ) {
        let mut all = changes(&drawn);
        // Changes that wait for each other by their dependencies alone have no order.
        let Ok(found) = waits(&mut all) else { return Ok(()) };
        let order = topological(&found);
        prop_assert!(order.is_ok(), "{order:?}");
        // What cannot be otherwise: what the dependencies say, what each new form needs, and that the halves of replacements
        // wait for that, which comes before the order of deletions.
        let mut forced = by_dependencies(&all);
        for (address, change) in all.iter().filter(|(_, change)| change.action != Action::Delete) {
            let needs = change.needs.iter().map(StepId::ensure).filter(|id| found.contains_key(id));
            forced.entry(StepId::ensure(address)).or_default().extend(needs);
        }
        let halves = all.iter().filter(|(_, it)| it.action == Action::Replace && it.retired.is_none());
        for id in halves.map(|(address, _)| StepId::remove(address)) {
            forced.entry(id.clone()).or_default().extend(found[&id].iter().cloned());
        }
        let (forced, all_found) = (Order::new(forced), Order::new(found.clone()));
        let removals: Vec<StepId> = all.iter().filter_map(|(address, change)| change.removal(address)).collect();
        let bound: BTreeSet<StepId> = removals.iter().flat_map(|removal| forced.after(removal)).collect();
        for (address, change) in &all {
            let Some(removal) = change.removal(address) else { continue };
            let first = before(&found, &removal);
            let needed: BTreeSet<StepId> = match (change.action, &change.retired) {
                (Action::Replace, None) => change.needs.iter().map(StepId::ensure).collect(),
                _ => found.keys().filter(|id| id.verb == Verb::Ensure).cloned().collect(),
            };
            // What waits for no removal by force comes before all of them; the rest wherever that closes no circle.
            let after = all_found.after(&removal);
            for ensure in needed.iter().filter(|id| found.contains_key(id)) {
                let is_free = !bound.contains(ensure) || !after.contains(ensure);
                prop_assert!(!is_free || first.contains(ensure), "{removal} does not wait for {ensure}");
            }
        }
        // The new form of what is replaced by creation first exists before the old one is deleted.
        for (address, change) in &all {
            if let Some(retired) = &change.retired {
                prop_assert!(before(&found, &StepId::remove(retired)).contains(&StepId::ensure(address)));
            }
        }
    }
}
