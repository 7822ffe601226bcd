//! Whose the observed resources are, by all that file and state know: parents and abandoned creates included.

use super::{
    ownership::{Ownership, is_abandoned_create, is_part_of_parent, judge, names_parent},
    plan_input::Input,
};
use crate::model::{Address, Kind, Node, Observation};
use std::collections::BTreeSet;

/// Returns whose the resource found at `address` is. When `removing`, one that is part of another resource must name
/// a recorded parent, because a forged record can claim any.
pub(super) fn ownership_of(
    input: &Input<'_>,
    address: &Address,
    found: &Observation,
    removing: bool,
) -> Ownership {
    let Some(kind) = (input.kinds)(&found.kind) else { return Ownership::Unproven };
    let dependencies = dependencies(input, address);
    let parents: Vec<(&Address, &Observation, Kind)> = dependencies
        .iter()
        .filter(|at| *at != address)
        .filter_map(|at| {
            let (at, parent) = input.observed.found.get_key_value(at)?;
            Some((at, parent, (input.kinds)(&parent.kind)?))
        })
        .collect();
    let (snapshot, owner) = (input.snapshot, input.snapshot.owner());
    let entry = snapshot.resources.get(address);
    if is_part_of_parent(kind, &owner, entry, &found.live) {
        let tagged: Vec<_> = parents.iter().filter(|(_, _, kind)| kind.tagged).collect();
        let named = tagged.iter().find(|(_, parent, _)| names_parent(&found.live, &parent.live));
        return match named.or_else(|| tagged.first().filter(|_| !removing)) {
            Some((at, parent, _)) => part_of(at, ownership_of(input, at, parent, removing)),
            None if removing && tagged.len() == parents_of(input, &dependencies) => {
                Ownership::Foreign { who: "is not part of any resource that this stack records".to_owned() }
            }
            None => Ownership::Ours,
        };
    }
    let intent = snapshot.intents.get(address);
    let own = match is_abandoned_create(&snapshot.abandoned, &owner, address, &found.live) {
        true => Ownership::Ours,
        false => judge(kind, &owner, entry, intent, &found.live),
    };
    let housed = kind.parent.and_then(|(of, _)| parents.iter().find(|(_, parent, _)| parent.kind == of));
    match housed.map(|(at, parent, _)| (at, ownership_of(input, at, parent, removing))) {
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

/// How many of `dependencies` can carry tags, whether they exist or not.
fn parents_of(input: &Input<'_>, dependencies: &BTreeSet<Address>) -> usize {
    let kind = |at: &Address| {
        let recorded = input.snapshot.resources.get(at).map(|entry| entry.kind.as_str());
        (input.kinds)(recorded.or(input.graph.get(at).map(|node| node.kind.as_str()))?)
    };
    dependencies.iter().filter_map(kind).filter(|kind| kind.tagged).count()
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
    parents.find_map(|(at, parent)| match part_of(at, ownership_of(input, at, parent, true)) {
        Ownership::Foreign { who } => Some(who),
        _ => None,
    })
}
