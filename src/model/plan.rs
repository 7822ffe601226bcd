//! What `up` and `down` are going to do: decided once, then only carried out.

use super::{Address, Changes, Snapshot, Stage};
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

/// What was found in the account, by address; what is not in it was looked for and is not there, or nobody asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Observed {
    /// The finds.
    pub found: BTreeMap<Address, Observation>,
}

/// What happens to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Made.
    Create,
    /// Changed in place.
    Update,
    /// Removed and made anew.
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
    /// What the resource stands on, kept in the state for its removal.
    pub dependencies: Vec<Address>,
    /// Steps that must be done before this one starts.
    pub after: Vec<StepId>,
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
    /// What it stands on.
    pub dependencies: Vec<Address>,
}

/// How many of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Made.
    pub create: usize,
    /// Changed in place.
    pub update: usize,
    /// Made anew.
    pub replace: usize,
    /// Removed.
    pub delete: usize,
    /// Taken over.
    pub adopt: usize,
    /// Of all these, the ones that are there because the account moved.
    pub drift: usize,
}

impl Totals {
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
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// How many of each.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for change in &self.changes {
            let count = match change.action {
                Action::Create => &mut totals.create,
                Action::Update => &mut totals.update,
                Action::Replace => &mut totals.replace,
                Action::Delete => &mut totals.delete,
                Action::Adopt => &mut totals.adopt,
            };
            *count += 1;
            if change.origin == Origin::Drift {
                totals.drift += 1;
            }
        }
        totals
    }

    /// The part of the plan that belongs to one stage. Its steps no longer wait for steps of other stages, which
    /// have been run before.
    pub fn stage(&self, stage: Stage) -> Plan {
        self.part(|of, _| of == stage)
    }

    /// The removals of what `snapshot` knows nothing of.
    pub fn strays(&self, snapshot: &Snapshot) -> Plan {
        let stray = |address: &Address| {
            !snapshot.resources.contains_key(address) && !snapshot.intents.contains_key(address)
        };
        let gone = self.changes.iter().filter(|change| change.action == Action::Delete);
        let gone: BTreeSet<&Address> =
            gone.map(|change| &change.address).filter(|address| stray(address)).collect();
        self.part(|_, address| gone.contains(address))
    }

    fn part(&self, wanted: impl Fn(Stage, &Address) -> bool) -> Plan {
        let of = |step: &&Step| wanted(step.stage, &step.id.address);
        let mut steps: Vec<Step> = self.steps.iter().filter(of).cloned().collect();
        let names: BTreeSet<StepId> = steps.iter().map(|step| step.id.clone()).collect();
        steps.iter_mut().for_each(|step| step.after.retain(|id| names.contains(id)));
        let changes = self.changes.iter().filter(|change| wanted(change.stage, &change.address));
        let refresh = self.refresh.iter().filter(|refresh| wanted(refresh.stage, &refresh.address));
        Plan {
            changes: changes.cloned().collect(),
            steps,
            refresh: refresh.cloned().collect(),
            standing: self.standing.clone(),
        }
    }
}
