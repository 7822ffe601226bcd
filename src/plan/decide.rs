//! The decision on one wanted resource: create, adopt, update, replace, nothing, or a refusal.

use super::{
    claims::ownership_of,
    compare::{drift, from_nothing, managed_tags, origin},
    names::as_found,
    ownership::Ownership,
    plan_input::Input,
    refusals::{Stop, not_ours, refusal, tags_lost},
};
use crate::model::{
    Action, Address, CallError, Change, Changes, Entry, Kind, Node, Note, Observation, Origin, Plan,
    PlannedChange, Readiness, Refresh, references, resolve,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What was decided on one wanted resource.
pub(super) struct Decision {
    pub(super) action: Option<Action>,
    pub(super) live: Value,
    /// The spec to apply, if a part of the wanted one is not applied.
    pub(super) spec: Option<Value>,
    /// Fields of the live form that an update changes.
    pub(super) computed: &'static [&'static str],
    /// Whether it is created again or replaced because the account changed.
    pub(super) by_drift: bool,
    /// Whether AWS is deleting it: the new one waits for the end of that.
    pub(super) deleting: bool,
}

impl Decision {
    fn create(by_drift: bool, deleting: bool) -> Self {
        Decision {
            action: Some(Action::Create),
            live: Value::Null,
            spec: None,
            computed: &[],
            by_drift,
            deleting,
        }
    }
}

/// What is needed to decide on one resource.
struct Case<'a> {
    input: &'a Input<'a>,
    node: &'a Node,
    kind: Kind,
    entry: Option<&'a Entry>,
    decisions: &'a BTreeMap<Address, Decision>,
    want: Value,
}

pub(super) fn decide(
    input: &Input<'_>,
    node: &Node,
    decisions: &BTreeMap<Address, Decision>,
    plan: &mut Plan,
) -> Result<Decision, Stop> {
    let kind =
        (input.kinds)(&node.kind).ok_or_else(|| CallError::bug(format!("unknown kind: {}", node.kind)))?;
    let entry = input.snapshot.resources.get(&node.address);
    let want = resolve(&node.spec, &|address, field| {
        let decision = decisions.get(address)?;
        let settled = match decision.action {
            Some(Action::Create | Action::Replace) => false,
            Some(Action::Update | Action::Adopt) => !decision.computed.contains(&field),
            Some(Action::Delete) | None => true,
        };
        decision.live.get(field).filter(|value| settled && !value.is_null()).cloned()
    });
    let found = input.observed.found.get(&node.address).filter(|found| found.kind == node.kind);
    let want = match found {
        Some(found) => as_found(kind, &node.address, want, &found.live),
        None => want,
    };
    let case = Case { input, node, kind, entry, decisions, want };
    let leaving = entry.is_some_and(|entry| entry.leaving);
    let Some(found) = found else {
        if let Some(error) = input.observed.failed.get(&node.kind) {
            return Err(error.clone().into());
        }
        let why = if leaving { "an earlier run deleted it" } else { "deleted outside provisioner" };
        return Ok(case.create(plan, why, false));
    };
    if leaving && (kind.deleted)(&found.live)? {
        return Ok(case.create(plan, "an earlier run deleted it", false));
    }
    case.compare(found, plan)
}

impl Case<'_> {
    fn change(&self, action: Action, origin: Origin, fields: Changes, note: Option<String>) -> PlannedChange {
        let Node { address, kind, stage, .. } = self.node;
        let (address, kind, stage) = (address.clone(), kind.clone(), *stage);
        PlannedChange { address, kind, stage, action, origin, fields, note, loses: None }
    }

    fn create(&self, plan: &mut Plan, why: &str, deleting: bool) -> Decision {
        let (origin, note) = match self.entry {
            // What an earlier run deleted was not deleted by others.
            Some(entry) if entry.leaving => (Origin::File, Some(why.to_owned())),
            Some(_) => (Origin::Drift, Some(why.to_owned())),
            None => (Origin::File, deleting.then(|| why.to_owned())),
        };
        plan.changes.push(self.change(Action::Create, origin, from_nothing(&self.want), note));
        Decision::create(self.entry.is_some(), deleting)
    }

    fn refuse(&self, reason: impl Into<String>, hint: impl Into<String>) -> Stop {
        let Node { address, kind, stage, .. } = self.node;
        refusal(address, kind, *stage, reason, hint).into()
    }

    /// Decides on what exists.
    fn compare(mut self, found: &Observation, plan: &mut Plan) -> Result<Decision, Stop> {
        let kind = self.kind;
        let own = self.own(found)?;
        let readiness = (kind.ready)(&found.live)?;
        if let Readiness::Suspended { why, remedy } = &readiness {
            return Err(self.refuse(why, format!("`{remedy}`")));
        }
        if (kind.deleting)(&found.live)? {
            let why = "is being deleted outside provisioner; created again when that has ended";
            return Ok(self.create(plan, why, true));
        }
        let not_applied = (kind.not_applied)(&self.want, &found.live, self.entry.map(|entry| &entry.spec))?;
        let applied = not_applied.as_ref().map(|it| it.spec.clone()).filter(|spec| *spec != self.want);
        if let Some(spec) = &applied {
            self.want.clone_from(spec);
        }
        let live = managed_tags(&self.want, self.entry.map(|entry| &entry.spec), &found.live);
        let mut changes = (kind.diff)(&self.want, &live)?;
        if let Some(reason) = (kind.validate_change)(&self.want, &found.live)? {
            return Err(self.refuse(reason, "change the file"));
        }
        let parent = self.recreated_parent();
        if let Some((parent, field)) = &parent {
            let old = found.live.get(*field).cloned().unwrap_or_default();
            let new = json!({"ref": parent, "field": "name"});
            changes.0.push(Change { path: (*field).to_owned(), old, new, forces_replace: true });
        }
        // Tags alone change no computed field.
        let moved = changes.0.iter().any(|change| !change.path.starts_with("tags"));
        let mut note = (own == Ownership::Leftover).then(|| {
            "an AWS service created it for a resource of this name that no longer exists; what it contains is kept".to_owned()
        });
        let mut replace = changes.force_replace();
        if let Readiness::Failed(reason) = readiness {
            note = Some(format!("it failed: {reason}"));
            replace = true;
        }
        // A deletion that did not begin is not continued where it would lose data.
        let leaving = self.entry.is_some_and(|entry| entry.leaving);
        if leaving && (kind.holds)(&found.live)?.is_none() {
            note = Some("an earlier run began to delete it".to_owned());
            replace = true;
        }
        let by_drift = replace && self.is_drift(&changes);
        let mut loses = None;
        if replace {
            let of_parent = parent.is_some() && changes.0.iter().filter(|it| it.forces_replace).count() == 1;
            loses = self.may_replace(found, &own, &changes, note.as_deref(), by_drift, of_parent)?;
        }
        let action = match (replace, self.entry) {
            (true, _) => Some(Action::Replace),
            // All stacks share the backend: its creation by another machine is not a change.
            (false, None) if self.input.snapshot.owner().is_backend() && changes.is_empty() => None,
            (false, None) => Some(Action::Adopt),
            (false, Some(_)) if changes.is_empty() => None,
            (false, Some(_)) => Some(Action::Update),
        };
        // A new one is created with all that is wanted.
        let spec = applied.filter(|_| !replace);
        plan.notes.extend(not_applied.filter(|_| !replace).map(|it| Note {
            address: self.node.address.clone(),
            kind: self.node.kind.clone(),
            stage: self.node.stage,
            message: it.message,
            hint: Some(it.hint),
            pending: it.pending,
        }));
        match action {
            Some(action) => {
                let cause = match replace && changes.is_empty() {
                    true => Origin::Drift,
                    false => origin(&changes, &self.want, self.entry),
                };
                if let (Origin::File, Some(entry)) = (cause, self.entry) {
                    mark_drift(&changes, &self.want, entry, &mut note);
                }
                plan.changes.push(PlannedChange { loses, ..self.change(action, cause, changes, note) });
            }
            None => self.keep(found, leaving, plan),
        }
        let computed = if moved { kind.computed_on_update } else { &[] };
        Ok(Decision { action, live: found.live.clone(), spec, computed, by_drift, deleting: false })
    }

    /// Whose it is, if it may be changed.
    fn own(&self, found: &Observation) -> Result<Ownership, Stop> {
        let address = &self.node.address;
        let own = ownership_of(self.input, address, found);
        match (&own, self.input.consent.adopts(address)) {
            (Ownership::Ours, _)
            | (Ownership::Unproven, Some(_))
            | (Ownership::Foreign { .. } | Ownership::Leftover | Ownership::TagsLost, Some(true)) => Ok(own),
            (Ownership::Leftover, _) if self.input.observed.leftovers.contains(address) => Ok(own),
            (Ownership::TagsLost, _) => {
                let owner = self.input.snapshot.owner();
                let (reason, hint) = tags_lost(&owner, address, self.kind.info, &found.live);
                Err(self.refuse(reason, hint))
            }
            _ => {
                let owner = self.input.snapshot.owner();
                let (reason, hint) = not_ours(&own, &owner, address, self.kind.info, &found.live);
                Err(self.refuse(reason, hint))
            }
        }
    }

    /// Whether everything that replaces it changed in the account, and nothing in the file.
    fn is_drift(&self, changes: &Changes) -> bool {
        let by_drift = |change: &Change| {
            let references = references(&change.new);
            match references.is_empty() {
                true => self.entry.is_some_and(|entry| drift(change, &self.want, entry)),
                false => references.iter().all(|at| self.decisions.get(at).is_some_and(|it| it.by_drift)),
            }
        };
        changes.0.iter().filter(|change| change.forces_replace).all(by_drift)
    }

    /// What the replacement loses, if it is allowed at all.
    fn may_replace(
        &self,
        found: &Observation,
        own: &Ownership,
        changes: &Changes,
        failed: Option<&str>,
        by_drift: bool,
        of_parent: bool,
    ) -> Result<Option<String>, Stop> {
        let (kind, address, consent) = (self.kind, &self.node.address, self.input.consent);
        let forced = changes.0.iter().filter(|change| change.forces_replace);
        let fields: Vec<&str> = forced.map(|change| change.path.as_str()).collect();
        let cause = match (fields.as_slice(), failed) {
            ([], Some(failed)) => failed.to_owned(),
            (fields, _) => fields.join(", "),
        };
        if *own == Ownership::TagsLost {
            let owner = self.input.snapshot.owner();
            let (reason, hint) = tags_lost(&owner, address, kind.info, &found.live);
            return Err(self.refuse(format!("{reason} ({cause})"), hint));
        }
        if kind.protected && consent.protect {
            let reason = format!("the stack is protected, and {address} would be replaced: {cause}");
            return Err(self.refuse(reason, "undo that change, or set `protect: false`"));
        }
        // What never was ready holds nothing.
        if self.entry.is_none() || of_parent {
            return Ok(None);
        }
        if let Some(field) = (kind.deletion_guard)(&found.live)? {
            let reason = format!("would be replaced ({cause}), but `{field}` is enabled");
            let hint =
                format!("undo that change, or set `{field}: false`, run `provisioner up`, and try again");
            return Err(self.refuse(reason, hint));
        }
        let Some(holds) = (kind.holds)(&found.live)? else { return Ok(None) };
        if by_drift && !consent.replaces(address) {
            let reason = format!("drift would replace it ({cause}), which loses {holds}");
            let hint =
                format!("undo the drift, or allow the replacement with `provisioner up --replace {address}`");
            return Err(self.refuse(reason, hint));
        }
        Ok(Some(holds.to_owned()))
    }

    /// Leaves it as it is, and brings its record up to date.
    fn keep(&self, found: &Observation, leaving: bool, plan: &mut Plan) {
        let node = self.node;
        plan.standing.insert(node.address.clone(), found.live.clone());
        let current = |entry: &Entry| {
            entry.spec == self.want
                && entry.live == found.live
                && entry.dependencies == node.dependencies()
                && entry.update.is_none()
        };
        if leaving || !self.entry.is_some_and(current) {
            plan.refresh.push(Refresh {
                address: node.address.clone(),
                kind: node.kind.clone(),
                stage: node.stage,
                spec: self.want.clone(),
                live: found.live.clone(),
                dependencies: node.dependencies().into_iter().collect(),
            });
        }
    }

    /// Returns the parent that is replaced and that it is in only by name, and its field with that name.
    fn recreated_parent(&self) -> Option<(Address, &'static str)> {
        let (parent, field) = self.kind.parent?;
        let replaced = |address: &Address| {
            let replaced = self.decisions.get(address).is_some_and(|it| it.action == Some(Action::Replace));
            replaced && self.input.graph.get(address).is_some_and(|it| it.kind == parent)
        };
        Some((self.node.dependencies().into_iter().find(replaced)?, field))
    }
}

/// In a change that the file asks for, names the fields that changed in the account.
fn mark_drift(changes: &Changes, want: &Value, entry: &Entry, note: &mut Option<String>) {
    let drifted: Vec<&str> = changes
        .0
        .iter()
        .filter(|change| drift(change, want, entry))
        .map(|change: &Change| change.path.as_str())
        .collect();
    if !drifted.is_empty() && note.is_none() {
        *note = Some(format!("changed outside provisioner: {}", drifted.join(", ")));
    }
}
