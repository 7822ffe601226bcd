//! Making a plan.

use super::{
    compare::{check_owner, drift, from_nothing, managed_tags, origin},
    order::topological,
};
use crate::model::{
    Action, Address, Change, Changes, Class, Entry, Fault, Graph, Kind, Node, Observed, Origin, Owner, Plan,
    PlannedChange, Ready, Refresh, Snapshot, Stage, Step, StepId, resolve, tag,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What to do with resources that carry the stack's tags and are in neither file nor state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strays {
    /// Leave them; `status` shows them.
    Keep,
    /// Remove those that nobody asked to leave with `state forget`.
    Remove,
    /// Remove them all: `down` leaves nothing.
    RemoveAll,
}

/// What a plan is made from.
pub struct Input<'a> {
    /// What is wanted, already reduced to the targets.
    pub graph: &'a Graph,
    /// What is recorded.
    pub snapshot: &'a Snapshot,
    /// What is there.
    pub observed: &'a Observed,
    /// Addresses or stages that removals are limited to; empty: none.
    pub targets: &'a [String],
    /// What to do with strays.
    pub strays: Strays,
    /// The kinds by name.
    pub kinds: &'a dyn Fn(&str) -> Option<Kind>,
}

/// What was decided on one wanted resource.
struct Decision {
    action: Option<Action>,
    live: Value,
    /// Fields of the live form that an update changes.
    moves: &'static [&'static str],
}

/// Makes the plan.
///
/// # Errors
/// A resource that is somebody else's, a kind that is not known, or a cycle.
pub fn make(input: &Input<'_>) -> Result<Plan, Fault> {
    let mut plan = Plan::default();
    let mut decisions: BTreeMap<Address, Decision> = BTreeMap::new();
    let edges =
        input.graph.nodes.iter().map(|(address, node)| (address.clone(), node.dependencies())).collect();
    let owner = input.snapshot.owner();
    for address in topological(&edges)? {
        if let Some(node) = input.graph.get(&address) {
            let decision = decide(input, &owner, node, &decisions, &mut plan)?;
            decisions.insert(address, decision);
        }
    }
    removals(input, &mut plan);
    plan.changes.sort_by(|a, b| (a.stage, &a.address).cmp(&(b.stage, &b.address)));
    plan.steps = steps(input, &plan, &decisions)?;
    Ok(plan)
}

fn decide(
    input: &Input<'_>,
    owner: &Owner,
    node: &Node,
    decisions: &BTreeMap<Address, Decision>,
    plan: &mut Plan,
) -> Result<Decision, Fault> {
    let kind = (input.kinds)(&node.kind).ok_or_else(|| Fault::bug(format!("no such kind: {}", node.kind)))?;
    let entry = input.snapshot.resources.get(&node.address);
    let want = resolve(&node.spec, &|address, field| {
        let decision = decisions.get(address)?;
        let settled = match decision.action {
            Some(Action::Create | Action::Replace) => false,
            Some(Action::Update | Action::Adopt) => !decision.moves.contains(&field),
            Some(Action::Delete) | None => true,
        };
        decision.live.get(field).filter(|value| settled && !value.is_null()).cloned()
    });
    let change = |action, origin, fields, note| PlannedChange {
        address: node.address.clone(),
        kind: node.kind.clone(),
        stage: node.stage,
        action,
        origin,
        fields,
        note,
    };

    let Some(found) = input.observed.found.get(&node.address).filter(|found| found.kind == node.kind) else {
        let (origin, note) = match entry {
            Some(_) => (Origin::Drift, Some("it was removed by somebody else".to_owned())),
            None => (Origin::File, None),
        };
        plan.changes.push(change(Action::Create, origin, from_nothing(&want), note));
        return Ok(Decision { action: Some(Action::Create), live: Value::Null, moves: &[] });
    };
    check_owner(kind, owner, &node.address, entry.is_some(), &want, &found.live)?;
    let live = managed_tags(&want, entry.map(|entry| &entry.spec), &found.live);
    let mut changes = (kind.diff)(&want, &live)?;
    if let Some(reason) = (kind.refuse)(&want, &found.live)? {
        return Err(Fault::new(Class::Refused, format!("{}: {reason}", node.address)).hint("change the file"));
    }
    if let Some((parent, field)) = made_anew(input, kind, node, decisions) {
        let old = found.live.get(field).cloned().unwrap_or_default();
        let new = json!({"ref": parent, "field": "name"});
        changes.0.push(Change { path: field.to_owned(), old, new, forces_replace: true });
    }
    // Tags alone move nothing.
    let moved = changes.0.iter().any(|change| !change.path.starts_with("tags"));
    let mut note = None;
    let mut replace = changes.force_replace();
    if let Ready::Failed(reason) = (kind.ready)(&found.live)? {
        note = Some(format!("it failed: {reason}"));
        replace = true;
    }
    if entry.is_some_and(|entry| entry.leaving) {
        note = Some("an earlier run began to remove it".to_owned());
        replace = true;
    }
    let action = match (replace, entry) {
        (true, _) => Some(Action::Replace),
        // The backend is all stacks' own: that another machine made it is no change.
        (false, None) if shared(&want) && changes.is_empty() => None,
        (false, None) => Some(Action::Adopt),
        (false, Some(_)) if changes.is_empty() => None,
        (false, Some(_)) => Some(Action::Update),
    };
    if let Some(action) = action {
        let cause =
            if replace && changes.is_empty() { Origin::Drift } else { origin(&changes, &want, entry) };
        if let (Origin::File, Some(entry)) = (cause, entry) {
            mark_drift(&mut changes, &want, entry, &mut note);
        }
        plan.changes.push(change(action, cause, changes, note));
    } else {
        plan.standing.insert(node.address.clone(), found.live.clone());
        let current = |entry: &Entry| {
            entry.spec == want && entry.live == found.live && entry.dependencies == node.dependencies()
        };
        if !entry.is_some_and(current) {
            plan.refresh.push(Refresh {
                address: node.address.clone(),
                kind: node.kind.clone(),
                stage: node.stage,
                spec: want,
                live: found.live.clone(),
                dependencies: node.dependencies().into_iter().collect(),
            });
        }
    }
    Ok(Decision { action, live: found.live.clone(), moves: if moved { kind.moves } else { &[] } })
}

/// What the resource lives in by a name alone, where that is made anew, and the field with the name.
fn made_anew<'a>(
    input: &Input<'_>,
    kind: Kind,
    node: &Node,
    decisions: &BTreeMap<Address, Decision>,
) -> Option<(Address, &'a str)> {
    let (parent, field) = kind.within?;
    let anew = |address: &Address| {
        let replaced = decisions.get(address).is_some_and(|it| it.action == Some(Action::Replace));
        replaced && input.graph.get(address).is_some_and(|it| it.kind == parent)
    };
    Some((node.dependencies().into_iter().find(anew)?, field))
}

fn shared(want: &Value) -> bool {
    want.get("tags").is_some_and(|tags| tags.get(tag::BACKEND).is_some())
}

/// In a change that the file asks for, names the fields that moved in the account.
fn mark_drift(changes: &mut Changes, want: &Value, entry: &Entry, note: &mut Option<String>) {
    let drifted: Vec<&str> = changes
        .0
        .iter()
        .filter(|change| drift(change, want, entry))
        .map(|change: &Change| change.path.as_str())
        .collect();
    if !drifted.is_empty() && note.is_none() {
        *note = Some(format!("changed by somebody else: {}", drifted.join(", ")));
    }
}

/// What is recorded, begun or tagged as the stack's and no longer wanted.
fn removals(input: &Input<'_>, plan: &mut Plan) {
    let selected = |address: &Address, stage: Stage| {
        input.targets.is_empty() || input.targets.iter().any(|t| address.is_within(t) || stage.name() == t)
    };
    let mut gone = |address: &Address, kind: &str, stage: Stage, origin, note: Option<&str>| {
        if !input.graph.nodes.contains_key(address) && selected(address, stage) {
            plan.changes.push(PlannedChange {
                address: address.clone(),
                kind: kind.to_owned(),
                stage,
                action: Action::Delete,
                origin,
                fields: Changes::default(),
                note: note.map(str::to_owned),
            });
        }
    };
    for (address, entry) in &input.snapshot.resources {
        match input.observed.found.get(address) {
            Some(found) => {
                let farewell =
                    (input.kinds)(&entry.kind).and_then(|kind| (kind.farewell)(&found.live).ok()?);
                gone(address, &entry.kind, entry.stage, Origin::File, farewell.as_deref());
            }
            None => gone(
                address,
                &entry.kind,
                entry.stage,
                Origin::Drift,
                Some("it is gone already; its record goes"),
            ),
        }
    }
    for (address, intent) in &input.snapshot.intents {
        if !input.snapshot.resources.contains_key(address) {
            gone(address, &intent.kind, intent.stage, Origin::File, Some("an earlier run began to make it"));
        }
    }
    if input.strays != Strays::Keep {
        let forgotten = input.snapshot.forgotten();
        for (address, found) in &input.observed.found {
            let known = input.snapshot.resources.contains_key(address)
                || input.snapshot.intents.contains_key(address);
            let lineage =
                found.live.get("tags").and_then(|tags| tags.get(tag::LINEAGE)).and_then(Value::as_str);
            let left = input.strays == Strays::Remove && forgotten.contains(address);
            if !known && !left && lineage == Some(&input.snapshot.lineage) {
                gone(
                    address,
                    &found.kind,
                    Stage::Network,
                    Origin::Drift,
                    Some("tagged as this stack's, not in its state"),
                );
            }
        }
    }
}

/// The steps behind the changes, in an order that respects what each waits for.
fn steps(
    input: &Input<'_>,
    plan: &Plan,
    decisions: &BTreeMap<Address, Decision>,
) -> Result<Vec<Step>, Fault> {
    let mut made: BTreeMap<StepId, Step> = BTreeMap::new();
    for change in &plan.changes {
        let entry = input.snapshot.resources.get(&change.address);
        let live = match decisions.get(&change.address) {
            Some(decision) => decision.live.clone(),
            None => {
                input.observed.found.get(&change.address).map(|found| found.live.clone()).unwrap_or_default()
            }
        };
        let step = |id: StepId, spec: Value, dependencies: BTreeSet<Address>| Step {
            id,
            kind: change.kind.clone(),
            stage: change.stage,
            action: change.action,
            spec,
            live: live.clone(),
            dependencies: dependencies.into_iter().collect(),
            after: Vec::new(),
        };
        if matches!(change.action, Action::Delete | Action::Replace) {
            let id = StepId::remove(&change.address);
            let intent = input.snapshot.intents.get(&change.address);
            let spec = entry.map(|e| e.spec.clone()).or_else(|| intent.map(|i| i.request.clone()));
            let dependencies = entry
                .map(|e| e.dependencies.clone())
                .or_else(|| intent.map(|i| i.dependencies.clone()))
                .or_else(|| input.graph.get(&change.address).map(Node::dependencies));
            made.insert(id.clone(), step(id, spec.unwrap_or(json!(null)), dependencies.unwrap_or_default()));
        }
        if let (true, Some(node)) = (change.action != Action::Delete, input.graph.get(&change.address)) {
            let id = StepId::ensure(&change.address);
            made.insert(id.clone(), step(id, node.spec.clone(), node.dependencies()));
        }
    }
    let edges = waits(input, &made);
    topological(&edges)?
        .into_iter()
        .map(|id| {
            let mut step = made.remove(&id).ok_or_else(|| Fault::bug(format!("no step {id}")))?;
            step.after = edges.get(&id).into_iter().flatten().cloned().collect();
            Ok(step)
        })
        .collect()
}

/// What each step waits for.
fn waits(input: &Input<'_>, made: &BTreeMap<StepId, Step>) -> BTreeMap<StepId, BTreeSet<StepId>> {
    let recorded = |address: &Address| -> BTreeSet<Address> {
        match (input.snapshot.resources.get(address), made.get(&StepId::remove(address))) {
            (Some(entry), _) => entry.dependencies.clone(),
            (None, Some(step)) => step.dependencies.iter().cloned().collect(),
            (None, None) => BTreeSet::new(),
        }
    };
    let mut edges: BTreeMap<StepId, BTreeSet<StepId>> =
        made.keys().map(|id| (id.clone(), BTreeSet::new())).collect();
    let mut wait = |first: StepId, then: &StepId| {
        if made.contains_key(&first)
            && let Some(before) = edges.get_mut(then)
        {
            before.insert(first);
        }
    };
    for (id, step) in made {
        let (ensure, remove) = (StepId::ensure(&id.address), StepId::remove(&id.address));
        if *id == ensure {
            wait(remove, id);
            step.dependencies.iter().for_each(|dependency| wait(StepId::ensure(dependency), id));
        }
        // What stood on a thing goes, or lets go of it, before the thing goes.
        for dependency in recorded(&id.address) {
            let target = StepId::remove(&dependency);
            let lets_go = *id == ensure && !step.dependencies.contains(&dependency);
            if *id != ensure || (lets_go && !made.contains_key(&StepId::remove(&id.address))) {
                wait(id.clone(), &target);
            }
        }
    }
    // Both are there: the order of their making no longer counts.
    for id in made.iter().filter(|(_, step)| step.action == Action::Update).map(|(id, _)| id) {
        let follows = input.graph.get(&id.address).map(|node| &node.follows);
        for first in follows.into_iter().flatten() {
            let before = StepId::ensure(first);
            if made.get(&before).is_some_and(|step| step.action == Action::Update) {
                if let Some(waits) = edges.get_mut(&before) {
                    waits.remove(id);
                }
                if let Some(waits) = edges.get_mut(id) {
                    waits.insert(before);
                }
            }
        }
    }
    edges
}
