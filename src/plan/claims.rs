//! Whose the observed resources are, by all that file and state know: parents and abandoned creates included.

use super::{
    ownership::{Ownership, is_abandoned_create, is_part_of_parent, judge, names_parent, of_no_parent},
    plan_input::Input,
};
use crate::model::{Address, Kind, Node, Observation};
use serde_json::Value;
use std::collections::BTreeSet;

/// Returns whose the resource found at `address` is. One that is part of another resource must name a recorded one,
/// because a forged record can claim any.
pub(super) fn ownership_of(input: &Input<'_>, address: &Address, found: &Observation) -> Ownership {
    let Some(kind) = (input.kinds)(&found.kind) else { return Ownership::Unproven };
    let dependencies = dependencies(input, address);
    let parents: Vec<(&Address, &Observation)> = dependencies
        .iter()
        .filter(|at| *at != address)
        .filter_map(|at| input.observed.found.get_key_value(at))
        .collect();
    let (snapshot, owner) = (input.snapshot, input.snapshot.owner());
    let entry = snapshot.resources.get(address);
    if is_part_of_parent(kind, &owner, entry, &found.live) {
        let named = parents.iter().find(|(_, it)| names_parent(kind, &found.live, &it.kind, &it.live));
        return match named {
            Some((at, parent)) => part_of(at, ownership_of(input, at, parent)),
            // A list that lags may leave the parent out.
            None if dependencies.iter().any(|at| is_missing_parent(input, kind, &found.live, at)) => {
                Ownership::Ours
            }
            None => of_no_parent(),
        };
    }
    let intent = snapshot.intents.get(address);
    let own = match is_abandoned_create(&snapshot.abandoned, &owner, address, &found.live) {
        true => Ownership::Ours,
        false => judge(kind, &owner, entry, intent, &found.live),
    };
    let housed = kind.parent.and_then(|(of, _)| parents.iter().find(|(_, parent)| parent.kind == of));
    match housed.map(|(at, parent)| (at, ownership_of(input, at, parent))) {
        Some((at, foreign @ Ownership::Foreign { .. })) => part_of(at, foreign),
        _ => own,
    }
}

/// What `address` depends on, in the file and in the state.
fn dependencies(input: &Input<'_>, address: &Address) -> BTreeSet<Address> {
    let mut all = input.graph.get(address).map(Node::dependencies).unwrap_or_default();
    let (resources, intents) = (&input.snapshot.resources, &input.snapshot.intents);
    all.extend(resources.get(address).into_iter().flat_map(|entry| entry.dependencies.clone()));
    all.extend(intents.get(address).into_iter().flat_map(|intent| intent.dependencies.clone()));
    all
}

/// Whether `live` names what is recorded at `parent` and was not found.
fn is_missing_parent(input: &Input<'_>, kind: Kind, live: &Value, parent: &Address) -> bool {
    let entry = input.snapshot.resources.get(parent).filter(|_| !input.observed.found.contains_key(parent));
    entry.is_some_and(|entry| names_parent(kind, live, &entry.kind, &entry.live))
}

fn part_of(parent: &Address, own: Ownership) -> Ownership {
    match own {
        Ownership::Foreign { who } => Ownership::Foreign { who: format!("is part of {parent}, which {who}") },
        own => own,
    }
}

/// Returns why a resource that could not be looked at is not the stack's: its parent is not.
pub(super) fn foreign_parent(input: &Input<'_>, address: &Address, kind: Kind) -> Option<String> {
    let (of, _) = kind.parent?;
    let found = &input.observed.found;
    let dependencies = dependencies(input, address);
    let mut parents =
        dependencies.iter().filter_map(|at| found.get_key_value(at)).filter(|(_, it)| it.kind == of);
    parents.find_map(|(at, parent)| match part_of(at, ownership_of(input, at, parent)) {
        Ownership::Foreign { who } => Some(who),
        _ => None,
    })
}
