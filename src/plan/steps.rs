//! The steps behind the changes, in an order that respects what each waits for.

use super::{
    decide::Decision,
    names::{as_found, renamed, retired, successor},
    order::topological,
    plan_input::Input,
    step_order::{Change, waits},
};
use crate::model::{
    Action, Address, CallError, Entry, Intent, Kind, Node, Plan, PlannedChange, Step, StepId,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Adds the steps to a plan whose changes are decided.
pub(super) fn add_steps(
    input: &Input<'_>,
    plan: &mut Plan,
    decisions: &BTreeMap<Address, Decision>,
) -> Result<(), CallError> {
    let planning = Planning { input, decisions };
    let ensured: BTreeSet<&Address> =
        plan.changes.iter().filter(|it| it.action != Action::Delete).map(|it| &it.address).collect();
    let mut order: BTreeMap<Address, Change> = BTreeMap::new();
    for change in &plan.changes {
        order.insert(change.address.clone(), planning.ordered(change, &ensured, &plan.changes)?);
    }
    let waits = waits(&mut order)?;
    let mut steps: BTreeMap<StepId, Step> = BTreeMap::new();
    for change in &mut plan.changes {
        let retired = order.get(&change.address).and_then(|order| order.retired.clone());
        let made = planning.steps_of(change, retired)?;
        steps.extend(made.into_iter().map(|step| (step.id.clone(), step)));
    }
    for id in topological(&waits)? {
        let mut step = steps.remove(&id).ok_or_else(|| CallError::bug(format!("step {id} not found")))?;
        step.after = waits.get(&id).into_iter().flatten().cloned().collect();
        plan.steps.push(step);
    }
    Ok(())
}

struct Planning<'a> {
    input: &'a Input<'a>,
    decisions: &'a BTreeMap<Address, Decision>,
}

impl Planning<'_> {
    fn entry(&self, address: &Address) -> Option<&Entry> {
        self.input.snapshot.resources.get(address)
    }

    fn intent(&self, address: &Address) -> Option<&Intent> {
        self.input.snapshot.intents.get(address)
    }

    fn kind(&self, name: &str) -> Result<Kind, CallError> {
        (self.input.kinds)(name).ok_or_else(|| CallError::bug(format!("unknown kind `{name}`")))
    }

    /// Whether AWS is deleting what is there.
    fn is_deleting(&self, address: &Address) -> bool {
        self.decisions.get(address).is_some_and(|decision| decision.deleting)
    }

    fn wanted(&self, change: &PlannedChange) -> Option<&Node> {
        self.input.graph.get(&change.address).filter(|_| change.action != Action::Delete)
    }

    /// What was seen of the resource.
    fn live(&self, address: &Address) -> Value {
        match self.decisions.get(address) {
            Some(decision) => decision.live.clone(),
            None => {
                self.input.observed.found.get(address).map(|found| found.live.clone()).unwrap_or_default()
            }
        }
    }

    /// What the recorded form depends on, else what the create call that was begun depends on.
    fn recorded(&self, change: &PlannedChange) -> BTreeSet<Address> {
        let recorded = self.entry(&change.address).map(|entry| &entry.dependencies);
        if let Some(found) = recorded.or(self.intent(&change.address).map(|intent| &intent.dependencies)) {
            return found.clone();
        }
        // Found without a record: as the file wants it.
        let is_replaced = change.action == Action::Replace || self.is_deleting(&change.address);
        self.wanted(change).filter(|_| is_replaced).map(Node::dependencies).unwrap_or_default()
    }

    fn ordered(
        &self,
        change: &PlannedChange,
        ensured: &BTreeSet<&Address>,
        changes: &[PlannedChange],
    ) -> Result<Change, CallError> {
        let node = self.wanted(change);
        let wanted = node.map(Node::dependencies).unwrap_or_default();
        let retired = match change.action {
            Action::Replace => {
                retired(self.kind(&change.kind)?, &change.address, &self.live(&change.address))
            }
            _ => None,
        };
        Ok(Change {
            action: change.action,
            deleting: self.is_deleting(&change.address),
            needs: self.nearest(&wanted, ensured),
            wanted,
            recorded: self.recorded(change),
            follows: node.map(|node| node.follows.clone()).unwrap_or_default(),
            takes_over: self.takes_over(change, changes)?,
            outlives: self.outlives(change, changes)?,
            retired,
        })
    }

    /// The nearest of `ensured` below `wanted`, through what stays as it is.
    fn nearest(&self, wanted: &BTreeSet<Address>, ensured: &BTreeSet<&Address>) -> BTreeSet<Address> {
        let (mut found, mut seen, mut open) = (BTreeSet::new(), wanted.clone(), wanted.clone());
        while let Some(next) = open.pop_first() {
            if ensured.contains(&next) {
                found.insert(next);
            } else if let Some(node) = self.input.graph.get(&next) {
                open.extend(node.dependencies().into_iter().filter(|below| seen.insert(below.clone())));
            }
        }
        found
    }

    /// The changes whose removal needs what the deletion of `change` takes away.
    fn outlives(
        &self,
        change: &PlannedChange,
        changes: &[PlannedChange],
    ) -> Result<BTreeSet<Address>, CallError> {
        let kinds = self.kind(&change.kind)?.outlives;
        let needs = changes.iter().filter(|other| kinds.contains(&other.kind.as_str()));
        Ok(needs.map(|other| other.address.clone()).collect())
    }

    /// The deletions that free what the creation of `change` takes.
    fn takes_over(
        &self,
        change: &PlannedChange,
        changes: &[PlannedChange],
    ) -> Result<BTreeSet<Address>, CallError> {
        let kind = self.kind(&change.kind)?;
        let Some(node) = self.wanted(change).filter(|_| !kind.exclusive.is_empty()) else {
            return Ok(BTreeSet::new());
        };
        // What is to be adopted may be the very resource that is deleted under another address.
        let is_new = matches!(change.action, Action::Create | Action::Replace | Action::Adopt);
        let frees = |other: &&PlannedChange| {
            let entry = self.entry(&other.address).filter(|entry| entry.kind == node.kind);
            other.action == Action::Delete
                && entry.is_some_and(|entry| {
                    kind.exclusive.iter().all(|field| entry.spec.get(field) == node.spec.get(field))
                })
        };
        let freed = changes.iter().filter(|_| is_new).filter(frees);
        Ok(freed.map(|other| other.address.clone()).collect())
    }

    /// The steps of one change. With `retired`, the old resource is deleted under that address after the new one is created.
    fn steps_of(&self, change: &mut PlannedChange, retired: Option<Address>) -> Result<Vec<Step>, CallError> {
        let live = self.live(&change.address);
        let step = |id: StepId, spec: Value, dependencies: BTreeSet<Address>| Step {
            id,
            kind: change.kind.clone(),
            stage: change.stage,
            action: change.action,
            spec,
            live: live.clone(),
            dependencies: dependencies.into_iter().collect(),
            after: Vec::new(),
            retires: None,
        };
        let mut steps = Vec::new();
        // What AWS is deleting is waited for like a removal.
        let deleting = self.is_deleting(&change.address);
        if deleting || matches!(change.action, Action::Delete | Action::Replace) {
            let spec = self.entry(&change.address).map(|entry| &entry.spec);
            let spec = spec.or(self.intent(&change.address).map(|intent| &intent.request));
            let id = StepId::remove(retired.as_ref().unwrap_or(&change.address));
            steps.push(step(id, spec.cloned().unwrap_or_default(), self.recorded(change)));
        }
        if let Some(node) = self.wanted(change) {
            let kind = self.kind(&change.kind)?;
            let old = retired.as_ref().and_then(|_| live.get("name")?.as_str());
            let new = old.map(|old| successor(node, kind, old, self.input.graph, self.input.snapshot));
            let spec = match &new {
                Some(name) => renamed(&node.spec, name),
                None => as_found(kind, &change.address, node.spec.clone(), &live),
            };
            let ensure = step(StepId::ensure(&change.address), spec, node.dependencies());
            steps.push(Step { retires: retired.clone(), ..ensure });
            if let (Some(new), Some(old)) = (new, old) {
                let order = format!("{new} is created first, then {old} is deleted");
                change.note = Some(match change.note.take() {
                    Some(note) => format!("{note}; {order}"),
                    None => order,
                });
            }
        }
        Ok(steps)
    }
}
