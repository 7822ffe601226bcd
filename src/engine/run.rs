//! Running a plan: every step as soon as what it waits for is done, those on the longest path first.

use super::{
    budget::{self, Pace},
    halt::{Halt, Halting},
    journal::{Closed, Journal},
    looks::Looks,
    rates::Rates,
    shared::Shared,
    step::{Failed, Task},
    world::World,
};
use crate::{
    model::{
        Action, Address, Class, Entry, Event, Fault, Intent, LeftBehind, Origin, Outcome, Plan, Problem,
        Process, Record, Report, Snapshot, Step, StepId, Totals, Verb, references, resolve,
    },
    store::Register,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::AtomicBool, atomic::Ordering},
};
use tokio::{sync::mpsc::UnboundedSender, task::JoinSet};

/// What a run is told beside its plan.
#[derive(Clone)]
pub struct Settings {
    /// How many steps at once.
    pub parallelism: usize,
    /// How fast the world moves.
    pub pace: Pace,
    /// This run (a UUID).
    pub run: String,
    /// This process.
    pub process: Process,
    /// Tells whether a process is certainly dead.
    pub is_dead: Arc<dyn Fn(&Process) -> bool + Send + Sync>,
    /// Seconds since 1970.
    pub now: Arc<dyn Fn() -> i64 + Send + Sync>,
}

/// One run over one state.
pub struct Run {
    /// What is acted on.
    pub world: Arc<dyn World>,
    /// How.
    pub settings: Settings,
    /// The wish to end.
    pub halt: Halt,
    /// Where events go.
    pub events: UnboundedSender<Event>,
}

/// How one step ended.
enum Ended {
    Live(Value),
    Gone,
    Failed(Failed),
}

impl Run {
    /// Carries the plan out and records it. What was written last is in what is given back.
    pub async fn execute(&self, plan: &Plan, snapshot: Snapshot, register: Register) -> (Outcome, Closed) {
        let before = snapshot.clone();
        let journal = Journal::open(snapshot, register);
        for refresh in &plan.refresh {
            let entry = Entry {
                kind: refresh.kind.clone(),
                stage: refresh.stage,
                spec: refresh.spec.clone(),
                live: refresh.live.clone(),
                dependencies: refresh.dependencies.iter().cloned().collect(),
                leaving: false,
            };
            journal.note(Record::Done(refresh.address.clone(), Box::new(entry)));
        }
        let rates = Arc::new(Rates::new(self.settings.pace));
        let shared = Arc::new(Shared {
            looks: Looks::new(Arc::clone(&self.world), Arc::clone(&rates)),
            rates,
            world: Arc::clone(&self.world),
            journal: journal.clone(),
            events: self.events.clone(),
            halt: self.halt.clone(),
            pace: self.settings.pace,
            owner: before.owner(),
            run: self.settings.run.clone(),
            process: self.settings.process.clone(),
            is_dead: Arc::clone(&self.settings.is_dead),
            now: Arc::clone(&self.settings.now),
            changed: AtomicBool::new(false),
        });
        self.tell(Event::RunStarted { steps: plan.steps.len() });
        let mut progress = Progress::new(plan, &before, shared, self.settings.parallelism);
        progress.run().await;
        let mut report = progress.report(plan);
        let closed = match journal.close().await {
            Ok(closed) => closed,
            // The task that keeps the journal ended before its time; what is written is written.
            Err(fault) => Closed { snapshot: before, register: lost_register(self), failed: Some(fault) },
        };
        report.saved = closed.failed.is_none();
        if let Some(fault) = &closed.failed {
            report.problems.push(Problem { address: None, fault: fault.clone(), left: LeftBehind::Unknown });
        }
        self.tell(Event::RunEnded { done: report.done, failed: report.problems.len(), left: report.left });
        let lost = closed.failed.as_ref().is_some_and(|fault| fault.class == Class::Lost);
        let outcome =
            match (self.halt.state() > Halting::No || lost, report.problems.is_empty() && report.left == 0) {
                (_, true) => Outcome::Done(report),
                (true, false) => Outcome::Stopped(report),
                (false, false) => Outcome::Partial(report),
            };
        (outcome, closed)
    }

    fn tell(&self, event: Event) {
        // Nobody may be listening.
        let _ = self.events.send(event);
    }
}

fn lost_register(run: &Run) -> Register {
    Register::new(Arc::new(crate::store::MemoryState::default()), &run.settings.run, 0)
}

struct Progress<'a> {
    steps: BTreeMap<&'a StepId, &'a Step>,
    /// What each unstarted step still waits for.
    waits: BTreeMap<&'a StepId, BTreeSet<&'a StepId>>,
    weight: BTreeMap<&'a StepId, u64>,
    lives: BTreeMap<Address, Value>,
    before: &'a Snapshot,
    shared: Arc<Shared>,
    parallelism: usize,
    /// Kinds of which AWS takes one at a time, and one is under way.
    busy: BTreeSet<&'a str>,
    done: Vec<&'a StepId>,
    problems: Vec<Problem>,
    interrupted: usize,
}

impl<'a> Progress<'a> {
    fn new(plan: &'a Plan, before: &'a Snapshot, shared: Arc<Shared>, parallelism: usize) -> Self {
        let steps: BTreeMap<_, _> = plan.steps.iter().map(|step| (&step.id, step)).collect();
        let waits = plan.steps.iter().map(|step| (&step.id, step.after.iter().collect())).collect();
        let recorded = before.resources.iter().map(|(address, entry)| (address.clone(), entry.live.clone()));
        let standing = plan.standing.iter().map(|(address, live)| (address.clone(), live.clone()));
        Progress {
            weight: weights(plan, before),
            lives: recorded.chain(standing).collect(),
            steps,
            waits,
            before,
            shared,
            parallelism: parallelism.max(1),
            busy: BTreeSet::new(),
            done: Vec::new(),
            problems: Vec::new(),
            interrupted: 0,
        }
    }

    async fn run(&mut self) {
        let mut running: JoinSet<(StepId, Ended)> = JoinSet::new();
        loop {
            while running.len() < self.parallelism {
                let Some(step) = self.next() else { break };
                match self.resolved(step) {
                    Ok(want) => {
                        let (shared, step) = (Arc::clone(&self.shared), step.clone());
                        let entry = self.before.resources.get(&step.id.address).cloned();
                        let intent = self.before.intents.get(&step.id.address).cloned();
                        running.spawn(async move {
                            (step.id.clone(), work(&shared, &step, want, entry, intent).await)
                        });
                    }
                    Err(fault) => {
                        self.busy.remove(step.kind.as_str());
                        self.problems.push(Problem::at(&step.id.address, fault, LeftBehind::Nothing));
                    }
                }
            }
            tokio::select! {
                ended = running.join_next() => match ended {
                    Some(Ok((id, ended))) => self.end(&id, ended),
                    Some(Err(error)) => self.problems.push(Fault::bug(error.to_string()).into()),
                    None => return,
                },
                () = self.shared.halt.reached(Halting::Now) => {
                    self.interrupted = self.interrupted.saturating_add(running.len());
                    running.shutdown().await;
                    return;
                }
            }
        }
    }

    /// The heaviest of the steps that wait for nothing.
    fn next(&mut self) -> Option<&'a Step> {
        if self.shared.halt.state() > Halting::No || self.shared.journal.is_broken() {
            return None;
        }
        let idle =
            |id: &StepId| self.steps.get(id).is_some_and(|step| !self.busy.contains(step.kind.as_str()));
        let free = self.waits.iter().filter(|(_, before)| before.is_empty()).map(|(id, _)| *id);
        let id = free
            .filter(|id| idle(id))
            .max_by_key(|id| (self.weight.get(id).copied().unwrap_or_default(), std::cmp::Reverse(*id)))?;
        self.waits.remove(id);
        let step = self.steps.get(id).copied()?;
        if self.shared.world.kind(&step.kind).is_some_and(|kind| kind.one_at_a_time) {
            self.busy.insert(&step.kind);
        }
        Some(step)
    }

    fn resolved(&self, step: &Step) -> Result<Value, Fault> {
        let want = resolve(&step.spec, &|address, field| {
            self.lives.get(address)?.get(field).filter(|value| !value.is_null()).cloned()
        });
        match references(&want).first().filter(|_| step.id.verb == Verb::Ensure) {
            None => Ok(want),
            Some(missing) => {
                Err(Fault::bug(format!("nothing is known of {missing}, which {} needs", step.id.address)))
            }
        }
    }

    fn end(&mut self, id: &StepId, ended: Ended) {
        let Some((id, step)) = self.steps.get_key_value(id).map(|(id, step)| (*id, *step)) else { return };
        self.busy.remove(step.kind.as_str());
        match ended {
            Ended::Live(live) => {
                self.lives.insert(id.address.clone(), live);
            }
            Ended::Gone => {
                self.lives.remove(&id.address);
            }
            Ended::Failed((fault, _)) if fault.class == Class::Interrupted => {
                self.interrupted = self.interrupted.saturating_add(1);
                return;
            }
            Ended::Failed((fault, left)) => {
                let problem = Problem::at(&id.address, fault, left);
                let event = Event::StepFailed {
                    kind: step.kind.clone(),
                    stage: step.stage,
                    action: step.action,
                    problem: Box::new(problem.clone()),
                };
                let _ = self.shared.events.send(event);
                self.problems.push(problem);
                return;
            }
        }
        self.done.push(id);
        for before in self.waits.values_mut() {
            before.remove(id);
        }
    }

    fn report(&self, plan: &Plan) -> Report {
        let mut done = Totals::default();
        for change in &plan.changes {
            let last = if change.action == Action::Delete { Verb::Remove } else { Verb::Ensure };
            if !self.done.iter().any(|id| id.verb == last && id.address == change.address) {
                continue;
            }
            let count = match change.action {
                Action::Create => &mut done.create,
                Action::Update => &mut done.update,
                Action::Replace => &mut done.replace,
                Action::Delete => &mut done.delete,
                Action::Adopt => &mut done.adopt,
            };
            *count = count.saturating_add(1);
            if change.origin == Origin::Drift {
                done.drift = done.drift.saturating_add(1);
            }
        }
        Report {
            done,
            problems: self.problems.clone(),
            left: self.waits.len().saturating_add(self.interrupted),
            changed: self.shared.changed.load(Ordering::Relaxed),
            saved: true,
        }
    }
}

async fn work(
    shared: &Shared,
    step: &Step,
    want: Value,
    entry: Option<Entry>,
    intent: Option<Intent>,
) -> Ended {
    let mut task = Task { shared, step, want, entry, intent };
    match step.id.verb {
        Verb::Ensure => {
            // After a removal in the same run, what was recorded before is no longer there.
            if step.action == Action::Replace {
                (task.entry, task.intent) = (None, None);
                let fresh = Step { live: Value::Null, ..step.clone() };
                let mut task = Task { step: &fresh, ..task };
                return task.ensure().await.map_or_else(Ended::Failed, Ended::Live);
            }
            task.ensure().await.map_or_else(Ended::Failed, Ended::Live)
        }
        Verb::Remove => match task.remove().await {
            Ok(()) => Ended::Gone,
            Err(failed) => Ended::Failed(failed),
        },
    }
}

/// The expected seconds from the start of each step to the end of the last one that waits for it.
fn weights<'a>(plan: &'a Plan, before: &Snapshot) -> BTreeMap<&'a StepId, u64> {
    let mut weights: BTreeMap<&StepId, u64> = BTreeMap::new();
    let mut ahead: BTreeMap<&StepId, u64> = BTreeMap::new();
    for step in plan.steps.iter().rev() {
        let learned = before.outputs.get(&format!("duration/{}", step.kind)).and_then(Value::as_u64);
        let own = learned.unwrap_or_else(|| budget::expected(&step.kind).as_secs());
        let weight = own.saturating_add(ahead.get(&step.id).copied().unwrap_or_default());
        weights.insert(&step.id, weight);
        for first in &step.after {
            let there = ahead.entry(first).or_default();
            *there = (*there).max(weight);
        }
    }
    weights
}
