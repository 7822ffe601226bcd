//! Running a plan: every step as soon as what it waits for is done, those on the longest path first.

use super::{
    expected_times::forecast,
    find_batcher::FindBatcher,
    journal::{Journal, StateWriter},
    provider::Provider,
    rates::Rates,
    replacement::recorded_or_begun,
    settings::Settings,
    shared::Shared,
    shutdown::{ShutdownPhase, ShutdownSignal},
    step::{Failed, Task},
};
use crate::model::{
    Action, Address, CallError, Entry, ErrorKind, Event, Intent, KindInfo, LeftBehind, Outcome, Plan, Record,
    Report, Sent, Snapshot, Step, StepError, StepId, StepProgress, Verb, references, resolve,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::mpsc::UnboundedSender, task::JoinSet};

/// One run over one state.
pub struct Run {
    /// What is acted on.
    pub provider: Arc<dyn Provider>,
    /// How.
    pub settings: Settings,
    /// The wish to end.
    pub shutdown: ShutdownSignal,
    /// Where events go.
    pub events: UnboundedSender<Event>,
}

/// How one step ended.
enum Ended {
    Live(Value),
    Gone,
    /// Only its record was dropped: it is not the stack's.
    Dropped,
    Failed(Failed),
}

impl Run {
    /// Carries the plan out and records it. What `writer` holds afterwards is what was recorded; [`Report::saved`] tells
    /// whether all of it could be written.
    pub async fn execute(&self, plan: &Plan, writer: &mut StateWriter) -> Outcome {
        let before = writer.snapshot.clone();
        let (journal, entries) = Journal::new();
        let writes = entries.write_to(writer, self.settings.pace, &self.shutdown);
        let (mut report, written) = tokio::join!(self.steps(plan, &before, journal), writes);
        report.saved = written.saved;
        let lost = written.error.as_ref().is_some_and(|error| error.class == ErrorKind::Lost);
        if let Some(error) = written.error {
            report.problems.push(StepError { address: None, error, left: LeftBehind::Unknown });
        }
        let (done, failed, left) = (report.done(), report.problems.len(), report.left());
        self.tell(Event::RunEnded { done, failed, left });
        let ends = self.shutdown.state() > ShutdownPhase::Running || lost;
        match (ends, report.is_complete()) {
            (_, true) => Outcome::Done(report),
            (true, false) => Outcome::Stopped(report),
            (false, false) => Outcome::Partial(report),
        }
    }

    /// Carries the plan out. The journal ends with it.
    async fn steps(&self, plan: &Plan, before: &Snapshot, journal: Journal) -> Report {
        for refresh in &plan.refresh {
            let entry = Entry {
                kind: refresh.kind.clone(),
                stage: refresh.stage,
                spec: refresh.spec.clone(),
                live: refresh.live.clone(),
                dependencies: refresh.dependencies.iter().cloned().collect(),
                leaving: false,
                update: None,
            };
            journal.note(Record::Applied(refresh.address.clone(), Box::new(entry)));
        }
        for dropped in &plan.dropped {
            journal.note(Record::Deleted(dropped.address.clone()));
        }
        let shared = Arc::new(self.shared(before, journal.clone()));
        let typical =
            |kind: &str| self.provider.kind(kind).map_or(KindInfo::DEFAULT.typical, |kind| kind.typical);
        let forecast = forecast(plan, before, self.settings.pace, &typical);
        self.tell(Event::RunStarted { steps: plan.steps.len(), forecast });
        let mut progress = RunProgress::new(plan, before, shared, self.settings.parallelism);
        progress.run().await;
        journal.close();
        progress.report()
    }

    fn shared(&self, before: &Snapshot, journal: Journal) -> Shared {
        let rates = Arc::new(Rates::new(self.settings.pace));
        Shared {
            batcher: FindBatcher::new(Arc::clone(&self.provider), Arc::clone(&rates)),
            rates,
            provider: Arc::clone(&self.provider),
            journal,
            events: self.events.clone(),
            shutdown: self.shutdown.clone(),
            settings: self.settings.clone(),
            owner: before.owner(),
            entries: Mutex::new(before.resources.clone()),
            abandoned: Mutex::new(before.abandoned.clone()),
            sent: Arc::default(),
        }
    }

    fn tell(&self, event: Event) {
        // There may be no listener.
        let _ = self.events.send(event);
    }
}

struct RunProgress<'a> {
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
    /// The addresses of what is replaced by creation first, by that under which the old one is recorded.
    retired: BTreeMap<&'a Address, &'a Address>,
    report: Report,
}

impl<'a> RunProgress<'a> {
    fn new(plan: &'a Plan, before: &'a Snapshot, shared: Arc<Shared>, parallelism: usize) -> Self {
        let steps: BTreeMap<_, _> = plan.steps.iter().map(|step| (&step.id, step)).collect();
        let waits = plan.steps.iter().map(|step| (&step.id, step.after.iter().collect())).collect();
        let recorded = before.resources.iter().map(|(address, entry)| (address.clone(), entry.live.clone()));
        let standing = plan.standing.iter().map(|(address, live)| (address.clone(), live.clone()));
        RunProgress {
            weight: weights(plan, before, &|kind| {
                shared.provider.kind(kind).map_or(KindInfo::DEFAULT.typical, |kind| kind.typical)
            }),
            lives: recorded.chain(standing).collect(),
            steps,
            waits,
            before,
            shared,
            parallelism: parallelism.max(1),
            busy: BTreeSet::new(),
            retired: plan
                .steps
                .iter()
                .filter_map(|it| Some((it.retires.as_ref()?, &it.id.address)))
                .collect(),
            report: Report::new(plan),
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
                        let entry = self.entry(&step);
                        self.report.note(&step.id, Sent::Nothing, StepProgress::Unfinished);
                        let intent = self.before.intents.get(&step.id.address).cloned();
                        running.spawn(async move {
                            (step.id.clone(), work(&shared, &step, want, entry, intent).await)
                        });
                    }
                    Err(error) => {
                        self.busy.remove(step.kind.as_str());
                        self.report.note(&step.id, Sent::Nothing, StepProgress::Failed);
                        self.report.problems.push(StepError::at(
                            &step.id.address,
                            error,
                            LeftBehind::Nothing,
                        ));
                    }
                }
            }
            let repeating = self.shared.journal.is_repeating();
            if running.is_empty() && !repeating {
                return;
            }
            tokio::select! {
                Some(ended) = running.join_next() => match ended {
                    Ok((id, ended)) => self.end(&id, ended),
                    Err(error) => self.report.problems.push(CallError::bug(error.to_string()).into()),
                },
                () = self.shared.journal.decided(), if repeating => {}
                () = self.shared.shutdown.reached(ShutdownPhase::Immediate) => {
                    running.shutdown().await;
                    return;
                }
            }
        }
    }

    /// The heaviest of the steps that wait for nothing.
    fn next(&mut self) -> Option<&'a Step> {
        if self.shared.shutdown.state() > ShutdownPhase::Running || !self.shared.journal.takes_records() {
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
        if self.shared.provider.kind(&step.kind).is_some_and(|kind| kind.serial) {
            self.busy.insert(&step.kind);
        }
        Some(step)
    }

    /// Returns what was recorded before the run of the resource that `step` is about.
    fn entry(&self, step: &Step) -> Option<Entry> {
        let address = &step.id.address;
        match self.retired.get(address) {
            Some(replaced) => {
                let Snapshot { resources, intents, .. } = self.before;
                recorded_or_begun(resources.get(*replaced), intents.get(*replaced), &step.live)
            }
            None => self.before.resources.get(address).cloned(),
        }
    }

    fn resolved(&self, step: &Step) -> Result<Value, CallError> {
        let want = resolve(&step.spec, &|address, field| {
            self.lives.get(address)?.get(field).filter(|value| !value.is_null()).cloned()
        });
        match references(&want).first().filter(|_| step.id.verb == Verb::Ensure) {
            None => Ok(want),
            Some(missing) => {
                Err(CallError::bug(format!("nothing is known of {missing}, which {} needs", step.id.address)))
            }
        }
    }

    fn end(&mut self, id: &StepId, ended: Ended) {
        let Some((id, step)) = self.steps.get_key_value(id).map(|(id, step)| (*id, *step)) else { return };
        self.busy.remove(step.kind.as_str());
        let mut progress = StepProgress::Done;
        match ended {
            Ended::Live(live) => {
                self.lives.insert(id.address.clone(), live);
            }
            Ended::Gone => {
                self.lives.remove(&id.address);
            }
            Ended::Dropped => {
                self.lives.remove(&id.address);
                progress = StepProgress::Dropped;
            }
            Ended::Failed((error, _)) if error.class == ErrorKind::Interrupted => return,
            Ended::Failed((error, left)) => {
                let problem = StepError::at(&id.address, error, left_by(step, left));
                let event = Event::StepFailed {
                    kind: step.kind.clone(),
                    stage: step.stage,
                    action: step.action,
                    verb: step.id.verb,
                    problem: Box::new(problem.clone()),
                };
                let _ = self.shared.events.send(event);
                self.report.note(id, Sent::Nothing, StepProgress::Failed);
                self.report.problems.push(problem);
                return;
            }
        }
        self.report.note(id, Sent::Nothing, progress);
        for before in self.waits.values_mut() {
            before.remove(id);
        }
    }

    /// What was done, and what was sent for it.
    fn report(&self) -> Report {
        let mut report = self.report.clone();
        for id in self.steps.keys() {
            report.sent(id, self.shared.sent.of(id));
            if report.is_unfinished(id) {
                report.waits(id, self.shared.sent.why(id));
            }
        }
        report
    }
}

/// Returns what a failed step leaves, if it was not to create.
fn left_by(step: &Step, left: LeftBehind) -> LeftBehind {
    match (step.id.verb, step.action, left) {
        (Verb::Remove, _, LeftBehind::Recorded | LeftBehind::Nothing) => LeftBehind::Kept,
        (Verb::Ensure, Action::Update | Action::Adopt, LeftBehind::Nothing) => LeftBehind::Unchanged,
        (Verb::Ensure, Action::Update | Action::Adopt, LeftBehind::Recorded) => LeftBehind::Changed,
        (_, _, left) => left,
    }
}

async fn work(
    shared: &Shared,
    step: &Step,
    want: Value,
    entry: Option<Entry>,
    intent: Option<Intent>,
) -> Ended {
    let mut task = Task { shared, step, want, entry, intent, former: None };
    match (step.id.verb, step.action) {
        (Verb::Ensure, Action::Replace) => match &step.retires {
            Some(retired) => task.replace_first(retired).await.map_or_else(Ended::Failed, Ended::Live),
            None => task.create_replacement().await.map_or_else(Ended::Failed, Ended::Live),
        },
        (Verb::Ensure, _) => task.ensure().await.map_or_else(Ended::Failed, Ended::Live),
        (Verb::Remove, _) => match task.remove().await {
            Ok(true) => Ended::Gone,
            Ok(false) => Ended::Dropped,
            Err(failed) => Ended::Failed(failed),
        },
    }
}

/// The expected seconds from the start of each step to the end of the last one that waits for it.
fn weights<'a>(
    plan: &'a Plan,
    before: &Snapshot,
    typical: &dyn Fn(&str) -> Duration,
) -> BTreeMap<&'a StepId, u64> {
    let mut weights: BTreeMap<&StepId, u64> = BTreeMap::new();
    let mut ahead: BTreeMap<&StepId, u64> = BTreeMap::new();
    for step in plan.steps.iter().rev() {
        let learned = before.outputs.get(&format!("duration/{}", step.kind)).and_then(Value::as_u64);
        let own = learned.unwrap_or_else(|| typical(&step.kind).as_secs());
        let weight = own.saturating_add(ahead.get(&step.id).copied().unwrap_or_default());
        weights.insert(&step.id, weight);
        for first in &step.after {
            let there = ahead.entry(first).or_default();
            *there = (*there).max(weight);
        }
    }
    weights
}
