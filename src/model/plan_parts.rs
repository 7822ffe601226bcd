//! A plan in parts, for the journey that asks before each: one part a stage, and a last one for what waits for later stages.

use super::{Action, Address, Plan, PlannedChange, Stage, StepId, Verb};
use std::collections::{BTreeMap, BTreeSet};

impl Plan {
    /// Returns the parts in the order in which they run; those of a stage carry its name. A deletion that waits for a later
    /// stage is in the last part, and with it all that waits for that deletion.
    pub fn parts(&self) -> Vec<(Option<Stage>, Plan)> {
        let late = self.late();
        let replaced: BTreeMap<&Address, &PlannedChange> =
            self.changes.iter().map(|change| (&change.address, change)).collect();
        let mut parts: Vec<(Option<Stage>, Plan)> = Vec::new();
        for stage in Stage::ALL {
            parts.push((Some(stage), self.only(&|id, of| of == stage && !late.contains(id))));
        }
        let mut last = self.only(&|id, _| late.contains(id));
        last.refresh.clear();
        // The old half of what is created first is a deletion of its own by then.
        for id in late.iter().filter(|id| !replaced.contains_key(&id.address)) {
            let change = replaced.get(&Address::from(id.address.base())).copied();
            last.changes.extend(change.map(|change| PlannedChange {
                address: id.address.clone(),
                action: Action::Delete,
                fields: super::Changes::default(),
                note: None,
                ..change.clone()
            }));
        }
        parts.push((None, last));
        parts
    }

    /// The steps that wait, directly or not, for a step of a later stage than their own.
    fn late(&self) -> BTreeSet<StepId> {
        let stages: BTreeMap<&StepId, Stage> = self.steps.iter().map(|step| (&step.id, step.stage)).collect();
        let halves: BTreeSet<&Address> = self.steps.iter().map(|step| &step.id.address).collect();
        let mut late: BTreeSet<StepId> = BTreeSet::new();
        loop {
            let before = late.len();
            for step in &self.steps {
                let waits = step.after.iter().any(|first| {
                    late.contains(first) || stages.get(first).is_some_and(|stage| *stage > step.stage)
                });
                // Nothing is deleted in one part and created again only in the last one.
                let other = StepId::ensure(&step.id.address);
                let split =
                    step.id.verb == Verb::Remove && halves.contains(&other.address) && late.contains(&other);
                if waits || split {
                    late.insert(step.id.clone());
                }
            }
            if late.len() == before {
                return late;
            }
        }
    }

    /// Returns the part of the plan for the addresses that `wanted` accepts.
    pub fn of_addresses(&self, wanted: &dyn Fn(&Address) -> bool) -> Plan {
        let mut plan = self.only(&|id, _| wanted(&Address::from(id.address.base())));
        plan.refusals = self.refusals.iter().filter(|it| wanted(&it.address)).cloned().collect();
        plan
    }

    fn only(&self, wanted: &dyn Fn(&StepId, Stage) -> bool) -> Plan {
        let steps = self.steps.iter().filter(|step| wanted(&step.id, step.stage));
        let addresses: BTreeSet<&Address> = steps.map(|step| &step.id.address).collect();
        let has_steps = |address: &Address| self.steps.iter().any(|step| step.id.address == *address);
        let mut plan = self.part(|_, address| addresses.contains(address));
        plan.steps.retain(|step| wanted(&step.id, step.stage));
        let names: BTreeSet<StepId> = plan.steps.iter().map(|step| step.id.clone()).collect();
        plan.steps.iter_mut().for_each(|step| step.after.retain(|id| names.contains(id)));
        // What only a record needs belongs to its stage.
        let refresh = self.refresh.iter().filter(|it| wanted(&StepId::ensure(&it.address), it.stage));
        plan.refresh = refresh.filter(|it| !has_steps(&it.address)).cloned().collect();
        plan
    }
}
