//! The record of a run: when each step started and ended, and which of them decided how long the run took.

use super::{Action, Event, Plan, Stage, StepId, StepState};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Version of the record's form. A record of another version is not read.
const FORMAT: u32 = 1;

/// The record of the last operation on a stack. Times are milliseconds since its first step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Timeline {
    /// Version of the form.
    pub format: u32,
    /// What ran: `provisioner up`.
    pub command: String,
    /// When it began, in UTC, in the format of RFC 3339.
    pub began: String,
    /// The steps that were started, in the order of their start.
    pub steps: Vec<TimelineStep>,
}

/// A step of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TimelineStep {
    /// The step.
    pub id: StepId,
    /// The kind of its resource.
    pub kind: String,
    /// The stage of its resource.
    pub stage: Stage,
    /// The action that the plan showed.
    pub action: Action,
    /// What it waited for.
    pub after: Vec<StepId>,
    /// When its part of the operation began: an approved stage, or all of it.
    pub run: u64,
    /// When it started.
    pub started: u64,
    /// When AWS had accepted its calls, and it only waited for them to take effect.
    pub waiting: Option<u64>,
    /// When it ended; none if the run ended first.
    pub ended: Option<u64>,
    /// Whether it failed.
    pub failed: bool,
}

/// Where the time of a chain of steps went, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    /// AWS carried out what it had accepted.
    pub aws: u64,
    /// Calls and their answers, and the work of this program.
    pub calls: u64,
    /// Between the end of one step and the start of the next one.
    pub between: u64,
}

impl Timeline {
    /// Returns the record of an operation without steps.
    pub fn new(command: &str, began: String) -> Self {
        Timeline { format: FORMAT, command: command.to_owned(), began, steps: Vec::new() }
    }

    /// Returns whether this program knows the record's form.
    pub fn is_known(&self) -> bool {
        self.format == FORMAT
    }

    /// Notes an event of the run of a plan that began at `run`.
    pub fn note(&mut self, plan: &Plan, event: &Event, run: u64, now: u64) {
        let (id, state, failed) = match event {
            Event::Step { address, verb, state, .. } => {
                (StepId { verb: *verb, address: address.clone() }, state.clone(), false)
            }
            Event::StepFailed { verb, problem, .. } => match &problem.address {
                Some(address) => (StepId { verb: *verb, address: address.clone() }, StepState::Done, true),
                None => return,
            },
            _ => return,
        };
        if state == StepState::Started {
            self.steps.extend(plan.steps.iter().find(|step| step.id == id).map(|step| TimelineStep {
                id: id.clone(),
                kind: step.kind.clone(),
                stage: step.stage,
                action: step.action,
                after: step.after.clone(),
                run,
                started: now,
                waiting: None,
                ended: None,
                failed: false,
            }));
            return;
        }
        let Some(step) = self.steps.iter_mut().rev().find(|step| step.id == id && step.run == run) else {
            return;
        };
        if let StepState::Waiting(_) = state {
            step.waiting.get_or_insert(now);
        } else {
            step.ended = Some(now);
            step.failed = failed;
        }
    }

    /// Returns when the last step ended.
    pub fn end(&self) -> u64 {
        self.steps.iter().map(TimelineStep::last_seen).max().unwrap_or_default()
    }

    /// Returns the chain of steps that decided how long the operation took, in order: each one waited for the one before it.
    pub fn critical_path(&self) -> Vec<&TimelineStep> {
        let by_id: BTreeMap<&StepId, &TimelineStep> =
            self.steps.iter().map(|step| (&step.id, step)).collect();
        let last = |steps: &mut dyn Iterator<Item = &'_ TimelineStep>| -> Option<StepId> {
            steps.max_by_key(|step| step.last_seen()).map(|step| step.id.clone())
        };
        let mut path = Vec::new();
        let mut seen: BTreeSet<StepId> = BTreeSet::new();
        let mut next = last(&mut self.steps.iter());
        while let Some(step) = next.as_ref().and_then(|id| by_id.get(id)).copied() {
            if !seen.insert(step.id.clone()) {
                break;
            }
            path.push(step);
            let direct = step.after.iter().filter_map(|id| by_id.get(id).copied());
            let mut direct = direct.filter(|first| first.ended.is_some_and(|ended| ended <= step.started));
            let mut earlier = self.steps.iter().filter(|it| it.ended.is_some_and(|ended| ended <= step.run));
            next = last(&mut direct).or_else(|| last(&mut earlier));
        }
        path.reverse();
        path
    }

    /// Returns where the time of the critical path went.
    pub fn shares(&self) -> Shares {
        let mut shares = Shares::default();
        let mut before = 0;
        for step in self.critical_path() {
            shares.between = shares.between.saturating_add(step.started.saturating_sub(before));
            shares.aws = shares.aws.saturating_add(step.aws());
            shares.calls = shares.calls.saturating_add(step.took().saturating_sub(step.aws()));
            before = step.last_seen();
        }
        shares
    }
}

impl TimelineStep {
    /// Returns when it ended, or what was last heard of it.
    pub fn last_seen(&self) -> u64 {
        self.ended.or(self.waiting).unwrap_or(self.started)
    }

    /// Returns how long it took.
    pub fn took(&self) -> u64 {
        self.last_seen().saturating_sub(self.started)
    }

    /// Returns how long AWS took for what it had accepted.
    pub fn aws(&self) -> u64 {
        self.waiting.map_or(0, |waiting| self.last_seen().saturating_sub(waiting))
    }
}

#[cfg(test)]
mod tests {
    use super::{examples::small, *};
    use crate::model::Address;

    #[test]
    fn the_critical_path_leads_from_the_end_to_what_was_waited_for() {
        let timeline = small();
        let path: Vec<&str> =
            timeline.critical_path().into_iter().map(|step| step.id.address.as_str()).collect();
        assert_eq!(path, ["network/vpc", "cluster/eks", "cluster/node-group/default"]);
        assert_eq!(timeline.end(), 690_000);
        assert_eq!(timeline.shares(), Shares { aws: 640_000, calls: 20_000, between: 30_000 });
        let shares = timeline.shares();
        assert_eq!(shares.aws + shares.calls + shares.between, timeline.end());
    }

    #[test]
    fn a_part_that_was_approved_later_follows_what_ended_before_it() {
        let mut timeline = small();
        for step in &mut timeline.steps {
            step.after.clear();
            step.run =
                if step.id.address == Address::new("cluster/node-group/default") { 560_000 } else { 0 };
        }
        let path: Vec<&str> =
            timeline.critical_path().into_iter().map(|step| step.id.address.as_str()).collect();
        assert_eq!(path, ["cluster/eks", "cluster/node-group/default"]);
    }

    #[test]
    fn an_empty_record_has_no_path() {
        assert_eq!(Timeline::default().critical_path(), Vec::<&TimelineStep>::new());
        assert_eq!(Timeline::default().shares(), Shares::default());
        assert!(!Timeline::default().is_known());
    }
}

/// Records for tests.
#[cfg(test)]
pub mod examples {
    use super::*;
    use crate::model::{Address, Plan, Step, Verb};

    /// A cluster after its VPC, a node group after the cluster, and a NAT gateway that nothing waits for.
    pub fn small() -> Timeline {
        let step = |address: &str, stage, after: &[&str]| Step::example("thing", stage, address, after);
        let plan = Plan {
            steps: vec![
                step("network/vpc", Stage::Network, &[]),
                step("network/nat-gateway/<b>", Stage::Network, &["network/vpc"]),
                step("cluster/eks", Stage::Cluster, &["network/vpc"]),
                step("cluster/node-group/default", Stage::Cluster, &["cluster/eks"]),
            ],
            ..Plan::default()
        };
        let event = |address: &str, stage, state| Event::Step {
            address: Address::new(address),
            kind: "thing".to_owned(),
            stage,
            action: Action::Create,
            verb: Verb::Ensure,
            state,
        };
        let waiting = || StepState::Waiting("creating".to_owned());
        let mut timeline = Timeline::new("provisioner up", "2026-12-01T04:00:00Z".to_owned());
        for (address, stage, [started, waits, ended]) in [
            ("network/vpc", Stage::Network, [0, 0, 10]),
            ("network/nat-gateway/<b>", Stage::Network, [10, 12, 120]),
            ("cluster/eks", Stage::Cluster, [20, 25, 560]),
            ("cluster/node-group/default", Stage::Cluster, [580, 585, 690]),
        ] {
            let mut note = |state, now: u64| {
                timeline.note(&plan, &event(address, stage, state), 0, now * 1000);
            };
            note(StepState::Started, started);
            if waits > 0 {
                note(waiting(), waits);
                note(waiting(), waits + 1);
            }
            note(StepState::Done, ended);
        }
        timeline
    }
}
