//! The changes that `up` and `down` make: decided once, then only applied.

use super::{Address, CallError, Changes, Note, Snapshot, Stage};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// What is there of one resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Its kind's name.
    pub kind: String,
    /// Its serialised live form.
    pub live: Value,
}

/// What was found in the account, by address. What is missing was looked for and does not exist, or was not asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Observed {
    /// The finds.
    pub found: BTreeMap<Address, Observation>,
    /// The kinds that could not be looked at, and why. Nothing is known of their resources.
    #[serde(skip)]
    pub failed: BTreeMap<String, CallError>,
    /// Where an AWS service left what it created for a resource of the same name that no longer exists.
    #[serde(skip)]
    pub leftovers: BTreeSet<Address>,
}

/// What happens to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Made.
    Create,
    /// Changed in place.
    Update,
    /// Deleted and created again, or created under another name before the old one is deleted.
    Replace,
    /// Removed.
    Delete,
    /// There already and ours by its tags: taken into the state, and corrected where it differs.
    Adopt,
}

impl Action {
    /// The name in output.
    pub fn name(self) -> &'static str {
        match self {
            Action::Create => "create",
            Action::Update => "update",
            Action::Replace => "replace",
            Action::Delete => "delete",
            Action::Adopt => "adopt",
        }
    }
}

/// Why a change is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The file asks for something else than what was recorded.
    File,
    /// The account is not as recorded.
    Drift,
}

/// One line of a plan, for people and for JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedChange {
    /// The resource.
    pub address: Address,
    /// Its kind's name.
    pub kind: String,
    /// Its stage.
    pub stage: Stage,
    /// What happens.
    pub action: Action,
    /// Why.
    pub origin: Origin,
    /// The fields that differ; for a create, the wanted spec; empty for a delete.
    pub fields: Changes,
    /// What a person should know beside that.
    pub note: Option<String>,
    /// The data that it loses, for people; only a deletion or replacement loses any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loses: Option<String>,
}

impl PlannedChange {
    /// Returns the option that allows its loss of data; `None` if it loses none.
    pub fn consent(&self) -> Option<String> {
        self.loses.as_ref().map(|_| format!("--replace {}", self.address))
    }
}

/// A resource that is not planned, because a rule forbids what would be done to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanRefusal {
    /// The resource.
    pub address: Address,
    /// Its kind's name.
    pub kind: String,
    /// Its stage.
    pub stage: Stage,
    /// Why, without the address.
    pub reason: String,
    /// What to do, as an imperative.
    pub hint: String,
    /// The resources that depend on it and are not planned either.
    pub blocks: Vec<Address>,
}

/// A record that is dropped without a call to AWS: what has its name or id belongs to another owner now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dropped {
    /// The recorded resource.
    pub address: Address,
    /// Its kind's name.
    pub kind: String,
    /// Its stage.
    pub stage: Stage,
    /// Why it is not this stack's: `ROLE was not created by provisioner`.
    pub reason: String,
}

/// A resource that carries the stack's tags, which anyone can write, and that the state does not record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stray {
    /// The address in its tags; of several at one, `ADDRESS#ID`.
    pub address: Address,
    /// Its kind's name.
    pub kind: String,
    /// What AWS calls it.
    pub id: String,
    /// Whether `state forget` dropped its record, so that `up` leaves it.
    pub forgotten: bool,
}

/// The two things the engine can be told to do with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Take it away.
    Remove,
    /// Make it be as wanted.
    Ensure,
}

/// A step's name: a replacement has two steps at one address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StepId {
    /// What is done.
    pub verb: Verb,
    /// To which resource.
    pub address: Address,
}

impl StepId {
    /// `Ensure` of `address`.
    pub fn ensure(address: &Address) -> Self {
        StepId { verb: Verb::Ensure, address: address.clone() }
    }

    /// `Remove` of `address`.
    pub fn remove(address: &Address) -> Self {
        StepId { verb: Verb::Remove, address: address.clone() }
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.verb {
            Verb::Remove => "remove",
            Verb::Ensure => "ensure",
        };
        write!(f, "{verb} {}", self.address)
    }
}

/// One thing for the engine to do, with all it needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its name.
    pub id: StepId,
    /// The resource's kind.
    pub kind: String,
    /// The resource's stage.
    pub stage: Stage,
    /// What people are told that this is.
    pub action: Action,
    /// `Ensure`: the wanted spec, references unresolved. `Remove`: the spec that was recorded, or `null`.
    pub spec: Value,
    /// The live form that was seen when the plan was made; `null` where there was none.
    pub live: Value,
    /// What the resource depends on, kept in the state for its deletion.
    pub dependencies: Vec<Address>,
    /// Steps that must be done before this one starts.
    pub after: Vec<StepId>,
    /// `Ensure` of a replacement by creation first: the address under which the old resource is recorded from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retires: Option<Address>,
}

#[cfg(test)]
impl Step {
    /// A creation for tests, which waits for the creations at `after`.
    pub fn example(kind: &str, stage: Stage, address: &str, after: &[&str]) -> Self {
        let ensure = |address: &str| StepId::ensure(&Address::new(address));
        Step {
            id: ensure(address),
            kind: kind.to_owned(),
            stage,
            action: Action::Create,
            spec: Value::Null,
            live: Value::Null,
            dependencies: Vec::new(),
            after: after.iter().map(|address| ensure(address)).collect(),
            retires: None,
        }
    }
}

/// A resource that needs nothing done, whose record is out of date.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refresh {
    /// The resource.
    pub address: Address,
    /// Its kind's name.
    pub kind: String,
    /// Its stage.
    pub stage: Stage,
    /// The wanted spec, resolved.
    pub spec: Value,
    /// What is there.
    pub live: Value,
    /// What it depends on.
    pub dependencies: Vec<Address>,
}

/// How many of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Made.
    pub create: usize,
    /// Changed in place.
    pub update: usize,
    /// Replaced.
    pub replace: usize,
    /// Removed.
    pub delete: usize,
    /// Taken over.
    pub adopt: usize,
    /// Of all these, the ones that are there because the account moved.
    pub drift: usize,
}

impl Totals {
    /// Counts one change.
    pub(super) fn count(&mut self, action: Action, origin: Origin) {
        let count = match action {
            Action::Create => &mut self.create,
            Action::Update => &mut self.update,
            Action::Replace => &mut self.replace,
            Action::Delete => &mut self.delete,
            Action::Adopt => &mut self.adopt,
        };
        *count = count.saturating_add(1);
        if origin == Origin::Drift {
            self.drift = self.drift.saturating_add(1);
        }
    }

    /// Both together.
    pub fn plus(self, other: Totals) -> Totals {
        Totals {
            create: self.create.saturating_add(other.create),
            update: self.update.saturating_add(other.update),
            replace: self.replace.saturating_add(other.replace),
            delete: self.delete.saturating_add(other.delete),
            adopt: self.adopt.saturating_add(other.adopt),
            drift: self.drift.saturating_add(other.drift),
        }
    }

    /// How many changes there are in all.
    pub fn changes(&self) -> usize {
        self.create + self.update + self.replace + self.delete + self.adopt
    }
}

/// A whole plan. The engine takes no decision that is not in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// For people, by stage and address.
    pub changes: Vec<PlannedChange>,
    /// For the engine, in an order that respects `after`.
    pub steps: Vec<Step>,
    /// Records to bring up to date, without a call to AWS.
    pub refresh: Vec<Refresh>,
    /// Live forms of resources that have no step, for the references of those that have.
    pub standing: BTreeMap<Address, Value>,
    /// What moved in the account and is kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
    /// Resources that are not planned. As long as there is one, `up` changes nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<PlanRefusal>,
    /// Records that are dropped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<Dropped>,
    /// What is reported and left as it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strays: Vec<Stray>,
}

impl Plan {
    /// Whether there is nothing to do in the account.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Whether neither the account nor the state changes.
    pub fn changes_nothing(&self) -> bool {
        self.changes.is_empty() && self.refresh.is_empty() && self.dropped.is_empty()
    }

    /// How many of each.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for change in &self.changes {
            totals.count(change.action, change.origin);
        }
        totals
    }

    /// The part of the plan that belongs to one stage. Its steps no longer wait for steps of other stages, which
    /// have been run before.
    pub fn stage(&self, stage: Stage) -> Plan {
        self.part(|of, _| of == stage)
    }

    /// Returns the removals of what `snapshot` records nothing of.
    pub fn stray_removals(&self, snapshot: &Snapshot) -> Plan {
        let stray = |address: &Address| {
            !snapshot.resources.contains_key(address) && !snapshot.intents.contains_key(address)
        };
        let gone = self.changes.iter().filter(|change| change.action == Action::Delete);
        let gone: BTreeSet<&Address> =
            gone.map(|change| &change.address).filter(|address| stray(address)).collect();
        self.part(|_, address| gone.contains(address))
    }

    /// The part of the plan that concerns one resource. Its steps wait for no other.
    pub fn of(&self, address: &Address) -> Plan {
        self.part(|_, at| at == address)
    }

    /// The plan without what concerns these resources.
    pub fn without(&self, kept: &BTreeSet<Address>) -> Plan {
        if kept.is_empty() {
            return self.clone();
        }
        let part = self.part(|_, address| !kept.contains(address));
        Plan { refusals: self.refusals.clone(), strays: self.strays.clone(), ..part }
    }

    pub(super) fn part(&self, wanted: impl Fn(Stage, &Address) -> bool) -> Plan {
        let of = |step: &&Step| wanted(step.stage, &step.id.address);
        let mut steps: Vec<Step> = self.steps.iter().filter(of).cloned().collect();
        let names: BTreeSet<StepId> = steps.iter().map(|step| step.id.clone()).collect();
        steps.iter_mut().for_each(|step| step.after.retain(|id| names.contains(id)));
        let changes = self.changes.iter().filter(|change| wanted(change.stage, &change.address));
        let refresh = self.refresh.iter().filter(|refresh| wanted(refresh.stage, &refresh.address));
        let dropped = self.dropped.iter().filter(|dropped| wanted(dropped.stage, &dropped.address));
        Plan {
            changes: changes.cloned().collect(),
            steps,
            refresh: refresh.cloned().collect(),
            standing: self.standing.clone(),
            dropped: dropped.cloned().collect(),
            notes: self.notes.iter().filter(|note| wanted(note.stage, &note.address)).cloned().collect(),
            ..Plan::default()
        }
    }
}
