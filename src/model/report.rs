//! What a run did, step by step. Last words, the `result` line and the exit code are derived from this value alone.

use super::{Action, Address, Origin, Plan, StepError, StepId, Totals, Verb};
use std::collections::{BTreeMap, BTreeSet};

/// What was sent for a step, and what the strongest answer was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sent {
    /// No call that writes was sent.
    #[default]
    Nothing,
    /// Calls were sent, and all of them refused.
    Refused,
    /// A call had no answer: it may have had its effect.
    Unanswered,
    /// A call was accepted.
    Accepted,
}

/// How far a step came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StepProgress {
    /// It was not started.
    #[default]
    Waiting,
    /// It was started, and the run ended before it did.
    Unfinished,
    /// It failed.
    Failed,
    /// Nothing had to be done, as what was to be deleted belongs to another: only its record was dropped.
    Dropped,
    /// It is done.
    Done,
}

/// What is known of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepReport {
    /// What was sent for it.
    pub sent: Sent,
    /// How far it came.
    pub progress: StepProgress,
}

/// One change of the plan, with its steps.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ChangeReport {
    action: Action,
    origin: Origin,
    steps: BTreeSet<StepId>,
}

/// What one or several runs did.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    changes: BTreeMap<Address, ChangeReport>,
    steps: BTreeMap<StepId, StepReport>,
    /// What failed, in the order of failing.
    pub problems: Vec<StepError>,
    /// What each step that was still running when the run ended waited for.
    pub waiting: BTreeMap<Address, String>,
    /// Whether all that was done is in the state.
    pub saved: bool,
}

impl Default for Report {
    fn default() -> Self {
        Report {
            changes: BTreeMap::new(),
            steps: BTreeMap::new(),
            problems: Vec::new(),
            waiting: BTreeMap::new(),
            saved: true,
        }
    }
}

impl Report {
    /// Returns the report of a plan of which nothing was done yet.
    pub fn new(plan: &Plan) -> Self {
        let mut report = Report::default();
        for change in &plan.changes {
            let (action, origin, steps) = (change.action, change.origin, BTreeSet::new());
            report.changes.insert(change.address.clone(), ChangeReport { action, origin, steps });
        }
        for step in &plan.steps {
            report.steps.insert(step.id.clone(), StepReport::default());
            // The old form of what is replaced by creation first has an address of its own.
            let exact = report.changes.contains_key(&step.id.address);
            let of = if exact { step.id.address.as_str() } else { step.id.address.base() };
            if let Some(change) = report.changes.get_mut(of) {
                change.steps.insert(step.id.clone());
            }
        }
        report
    }

    /// Notes what became of a step.
    pub fn note(&mut self, id: &StepId, sent: Sent, progress: StepProgress) {
        let step = self.steps.entry(id.clone()).or_default();
        step.sent = step.sent.max(sent);
        step.progress = progress;
    }

    /// Notes what was sent for a step.
    pub fn sent(&mut self, id: &StepId, sent: Sent) {
        let step = self.steps.entry(id.clone()).or_default();
        step.sent = step.sent.max(sent);
    }

    /// Returns whether a step was started and did not end.
    pub fn is_unfinished(&self, id: &StepId) -> bool {
        self.progress(id) == StepProgress::Unfinished
    }

    /// Notes what a step waited for when its run ended.
    pub fn waits(&mut self, id: &StepId, why: Option<String>) {
        self.waiting.extend(why.map(|why| (id.address.clone(), why)));
    }

    /// Notes that every step is done, by whichever run. What this run sent stays as it is.
    pub fn finish(&mut self) {
        self.waiting.clear();
        let open = self.steps.values_mut().filter(|step| step.progress != StepProgress::Dropped);
        open.for_each(|step| step.progress = StepProgress::Done);
    }

    /// Takes over what another run did, of a part of the same plan or of another one.
    pub fn absorb(&mut self, other: &Report) {
        for (address, change) in &other.changes {
            // Of a part, the steps are known, and counted where the whole plan has them.
            let known = !change.steps.is_empty() && change.steps.iter().all(|id| self.steps.contains_key(id));
            if !known {
                self.changes.entry(address.clone()).or_insert_with(|| change.clone());
            }
        }
        for (id, step) in &other.steps {
            self.note(id, step.sent, step.progress);
        }
        self.problems.extend(other.problems.iter().cloned());
        self.waiting.extend(other.waiting.clone());
        self.saved &= other.saved;
    }

    /// Takes over what a rollback did of the same resources: what it sent and what failed. What it is a rollback of stays
    /// undone.
    pub fn absorb_rollback(&mut self, other: &Report) {
        for (id, step) in &other.steps {
            self.sent(id, step.sent);
        }
        self.problems.extend(other.problems.iter().cloned());
        self.saved &= other.saved;
    }

    fn progress(&self, id: &StepId) -> StepProgress {
        self.steps.get(id).map(|step| step.progress).unwrap_or_default()
    }

    fn is_done(&self, change: &ChangeReport) -> bool {
        !change.steps.is_empty() && change.steps.iter().all(|id| self.progress(id) == StepProgress::Done)
    }

    /// Whether nothing of a change is left to do.
    fn is_over(&self, change: &ChangeReport) -> bool {
        let over = |id: &StepId| matches!(self.progress(id), StepProgress::Done | StepProgress::Dropped);
        !change.steps.is_empty() && change.steps.iter().all(over)
    }

    /// Returns how many changes are done. A replacement is one, and done with its second half.
    pub fn done(&self) -> Totals {
        let mut totals = Totals::default();
        for change in self.changes.values().filter(|change| self.is_done(change)) {
            totals.count(change.action, change.origin);
        }
        totals
    }

    /// Returns the number of changes in all.
    pub fn planned(&self) -> usize {
        self.changes.len()
    }

    /// Returns how many changes are not done: failed, unfinished and waiting ones.
    pub fn left(&self) -> usize {
        self.changes.values().filter(|change| !self.is_over(change)).count()
    }

    /// Returns whether AWS may not be as it was before.
    pub fn changed(&self) -> bool {
        self.steps.values().any(|step| step.sent >= Sent::Unanswered)
    }

    /// Returns whether everything was done.
    pub fn is_complete(&self) -> bool {
        let done = |step: &StepReport| matches!(step.progress, StepProgress::Done | StepProgress::Dropped);
        self.problems.is_empty() && self.steps.values().all(done)
    }

    /// Returns the replaced resources whose old form is deleted and whose new one does not exist.
    pub fn not_created_again(&self) -> Vec<&Address> {
        self.halves(Verb::Remove, Verb::Ensure)
    }

    /// Returns the replaced resources whose new form exists and whose old one is not deleted yet.
    pub fn not_deleted_yet(&self) -> Vec<&Address> {
        self.halves(Verb::Ensure, Verb::Remove)
    }

    /// Returns the replacements of which only one half is done.
    fn halves(&self, done: Verb, open: Verb) -> Vec<&Address> {
        let has = |change: &ChangeReport, verb: Verb, is_done: bool| {
            let mut of = change.steps.iter().filter(|id| id.verb == verb);
            of.any(|id| (self.progress(id) == StepProgress::Done) == is_done)
        };
        let half = |change: &ChangeReport| {
            change.action == Action::Replace && has(change, done, true) && has(change, open, false)
        };
        self.changes.iter().filter(|(_, change)| half(change)).map(|(address, _)| address).collect()
    }

    /// Returns the resources for which a call was sent that had, or may have had, its effect, and whose step is not done.
    pub fn unfinished(&self) -> Vec<&Address> {
        let begun = |step: &StepReport| step.sent >= Sent::Unanswered && step.progress != StepProgress::Done;
        let found: BTreeSet<&Address> =
            self.steps.iter().filter(|(_, step)| begun(step)).map(|(id, _)| &id.address).collect();
        found.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CallError, Changes, ErrorKind, PlannedChange, Stage, Step};

    /// A plan of these changes, with their steps.
    fn plan(changes: &[(&str, Action, &[StepId])]) -> Plan {
        let step = |id: &StepId, action| Step {
            id: id.clone(),
            kind: "thing".into(),
            stage: Stage::Network,
            action,
            spec: serde_json::Value::Null,
            live: serde_json::Value::Null,
            dependencies: Vec::new(),
            after: Vec::new(),
            retires: None,
        };
        let change = |address: &str, action| PlannedChange {
            address: address.into(),
            kind: "thing".into(),
            stage: Stage::Network,
            action,
            origin: Origin::File,
            fields: Changes::default(),
            note: None,
            loses: None,
        };
        Plan {
            changes: changes.iter().map(|(address, action, _)| change(address, *action)).collect(),
            steps: changes
                .iter()
                .flat_map(|(_, action, ids)| ids.iter().map(|id| step(id, *action)))
                .collect(),
            ..Plan::default()
        }
    }

    #[test]
    fn a_replacement_counts_once_and_a_half_is_told() {
        let (address, old) = (Address::from("a"), Address::from("a").retired("x"));
        let (ensure, remove) = (StepId::ensure(&address), StepId::remove(&address));
        let first = plan(&[("a", Action::Replace, &[remove.clone(), ensure.clone()])]);
        let mut report = Report::new(&first);
        assert_eq!((report.left(), report.changed(), report.is_complete()), (1, false, false));
        report.note(&remove, Sent::Accepted, StepProgress::Done);
        report.note(&ensure, Sent::Refused, StepProgress::Failed);
        assert_eq!((report.not_created_again(), report.left(), report.changed()), (vec![&address], 1, true));
        assert!(report.unfinished().is_empty() && report.done().changes() == 0);
        report.note(&ensure, Sent::Accepted, StepProgress::Done);
        assert!(report.is_complete() && report.done().replace == 1 && report.left() == 0);

        let (retire, created) = (StepId::remove(&old), plan(&[("a", Action::Replace, &[])]));
        let mut created = Plan { steps: first.steps.clone(), ..created };
        created.steps[0].id = retire.clone();
        let mut report = Report::new(&created);
        report.note(&ensure, Sent::Accepted, StepProgress::Done);
        report.note(&retire, Sent::Unanswered, StepProgress::Unfinished);
        assert_eq!((report.not_deleted_yet(), report.unfinished()), (vec![&address], vec![&old]));
        assert_eq!((report.done().changes(), report.left()), (0, 1));
    }

    #[test]
    fn parts_add_up_and_a_rollback_does_nothing_twice() {
        let (a, b) = (StepId::ensure(&"a".into()), StepId::remove(&"b#x".into()));
        let whole = plan(&[
            ("a", Action::Create, std::slice::from_ref(&a)),
            ("b", Action::Replace, std::slice::from_ref(&b)),
        ]);
        let mut report = Report::new(&whole);
        let mut part = Report::new(&plan(&[("b#x", Action::Delete, std::slice::from_ref(&b))]));
        part.note(&b, Sent::Accepted, StepProgress::Done);
        report.absorb(&part);
        assert_eq!(
            (report.planned(), report.done().replace, report.done().delete, report.left()),
            (2, 1, 0, 1)
        );
        report.note(&a, Sent::Accepted, StepProgress::Failed);
        let mut back = Report::new(&Plan {
            changes: Vec::new(),
            ..plan(&[("a", Action::Update, std::slice::from_ref(&a))])
        });
        back.note(&a, Sent::Accepted, StepProgress::Done);
        back.problems.push(CallError::new(ErrorKind::Other, "x").into());
        report.absorb_rollback(&back);
        assert_eq!((report.left(), report.problems.len(), report.done().changes()), (1, 1, 1));
        assert!(!report.is_complete());
    }
}
