//! One step: making a resource be as wanted, or taking it away.

use super::{
    advice::{advice, hopeless},
    budget::{self, Backoff},
    halt::Halting,
    observe::choose,
    rates::Use,
    shared::Shared,
};
use crate::{
    aws::{Listener, Said, heard},
    model::{
        Address, Changes, Class, Entry, Event, Fault, Intent, Kind, LeftBehind, Ready, Record, Step,
        StepState,
    },
    plan::{check_owner, managed_tags},
    resources::Ask,
};
use serde_json::Value;
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::Instant;

/// How often a resource is corrected before the engine gives up on it.
const ROUNDS: u32 = 12;

/// A step on its way.
pub struct Task<'a> {
    pub shared: &'a Shared,
    pub step: &'a Step,
    /// The wanted spec with every reference resolved; for a removal, the recorded one.
    pub want: Value,
    /// What was recorded before the run.
    pub entry: Option<Entry>,
    /// A create whose end an earlier run did not learn.
    pub intent: Option<Intent>,
}

/// What a failed step leaves.
pub type Failed = (Fault, LeftBehind);

impl Task<'_> {
    pub(super) fn address(&self) -> &Address {
        &self.step.id.address
    }

    pub(super) fn kind(&self) -> Result<Kind, Fault> {
        self.shared
            .world
            .kind(&self.step.kind)
            .ok_or_else(|| Fault::bug(format!("no such kind: {}", self.step.kind)))
    }

    pub(super) fn tell(&self, state: StepState) {
        // Nobody may be listening.
        let _ = self.shared.events.send(Event::Step {
            address: self.address().clone(),
            kind: self.step.kind.clone(),
            stage: self.step.stage,
            action: self.step.action,
            state,
        });
    }

    /// What a long call says goes where the step's own events go.
    fn listener(&self) -> Listener {
        let events = self.shared.events.clone();
        let (address, kind) = (self.address().clone(), self.step.kind.clone());
        let (stage, action) = (self.step.stage, self.step.action);
        Arc::new(move |said| {
            let event = match said {
                Said::Notice(text) => Event::Notice(format!("{address}: {text}")),
                Said::Progress(text) => {
                    let state = StepState::Waiting(text);
                    Event::Step { address: address.clone(), kind: kind.clone(), stage, action, state }
                }
            };
            let _ = events.send(event);
        })
    }

    /// Waits, and says for what.
    ///
    /// # Errors
    /// [`Class::Interrupted`] when the run is to end: nothing is waited for then.
    pub(super) async fn pause(&self, time: Duration, why: &str) -> Result<(), Fault> {
        self.tell(StepState::Waiting(why.to_owned()));
        tokio::select! {
            () = tokio::time::sleep(time) => Ok(()),
            () = self.shared.halt.reached(Halting::Drain) => {
                Err(Fault::new(Class::Interrupted, format!("interrupted while waiting: {why}")))
            }
        }
    }

    /// Waits until its service takes another call that writes.
    pub(super) async fn turn(&self) -> Result<(), Fault> {
        let service = self.kind()?.service();
        let time = self.shared.rates.take(service, Use::Write);
        if time.is_zero() {
            return Ok(());
        }
        self.pause(time, &format!("its turn: {service} takes only so many calls a second")).await
    }

    /// Sends a call that writes, and lets the rates hear how it went.
    pub(super) async fn send<T>(&self, call: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        self.shared.changed.store(true, Ordering::Relaxed);
        let answer = heard(self.listener(), call).await;
        let throttled = answer.as_ref().is_err_and(|fault| fault.class == Class::Throttled);
        self.shared.rates.heard(self.kind()?.service(), Use::Write, throttled);
        answer
    }

    /// One look, repeated while AWS does not answer.
    pub(super) async fn look(&self) -> Result<Option<Value>, Fault> {
        let last = match (&self.entry, &self.step.live) {
            (Some(entry), _) => entry.live.clone(),
            (None, live) => live.clone(),
        };
        let recorded = last.get("id").cloned();
        let ask = Ask { address: self.address().clone(), want: self.want.clone(), last, name: None };
        let mut retry = Retry::default();
        loop {
            match self.shared.looks.look(&self.step.kind, ask.clone()).await {
                Ok(mut lives) => {
                    let nonce = self.intent.as_ref().map(|intent| intent.nonce.as_str());
                    let chosen = choose(&lives, recorded.as_ref(), nonce);
                    return Ok(chosen.map(|index| lives.swap_remove(index)));
                }
                Err(fault) => self.again(&mut retry, fault).await?,
            }
        }
    }

    /// Waits before another try of what failed with `fault`, or gives the fault back when its class or its budget says so.
    pub(super) async fn again(&self, retry: &mut Retry, fault: Fault) -> Result<(), Fault> {
        let since = *retry.since.get_or_insert_with(Instant::now);
        match budget::patience(fault.class) {
            Some(patience) if since.elapsed() < patience => {
                let time = retry.backoff.next().unwrap_or_default();
                self.pause(time, &format!("{}: {}", fault.class.name(), brief(&fault))).await
            }
            _ => Err(fault),
        }
    }

    /// Makes the resource be as wanted. Returns its live form.
    pub async fn ensure(&mut self) -> Result<Value, Failed> {
        self.tell(StepState::Started);
        let started = Instant::now();
        let nothing = |fault: Fault| (fault, LeftBehind::Nothing);
        let mut live = match self.intent.take() {
            Some(intent) => {
                self.recover(&intent, true).await.map_err(|fault| (fault, LeftBehind::Unknown))?
            }
            None => None,
        };
        if live.is_none() && !self.step.live.is_null() {
            live = self.look().await.map_err(nothing)?;
        }
        let made = live.is_none();
        if made {
            live = self.create().await?;
        }
        let live = self.settle(live, made).await.map_err(|fault| (fault, LeftBehind::Recorded))?;
        self.tell(StepState::Done);
        let seconds = started.elapsed().as_secs();
        if made && seconds > 1 {
            let name = format!("duration/{}", self.step.kind);
            self.shared.journal.note(Record::Output(name, Value::from(seconds)));
        }
        Ok(live)
    }

    /// Sends the create call, its intent written ahead. Returns what is there, if it shows already.
    async fn create(&mut self) -> Result<Option<Value>, Failed> {
        let mut retry = Retry::default();
        loop {
            if self.shared.halt.state() > Halting::No {
                return Err((
                    Fault::new(Class::Interrupted, "interrupted before it was made"),
                    LeftBehind::Nothing,
                ));
            }
            // Before the intent, whose time the call is signed with.
            self.turn().await.map_err(|fault| (fault, LeftBehind::Nothing))?;
            let intent = self.begin();
            let record = Record::Begin(self.address().clone(), Box::new(intent.clone()));
            self.shared.journal.commit(record).await.map_err(|fault| (fault, LeftBehind::Nothing))?;
            self.intent = Some(intent.clone());
            let late = (self.shared.now)() - intent.signed_at;
            if u64::try_from(late).unwrap_or_default() >= budget::SEND_WITHIN.as_secs() {
                self.void();
                continue;
            }
            let create = self.shared.world.create(&self.step.kind, &self.want, &intent);
            let fault = match self.send(create).await {
                Ok(()) => {
                    self.shared.journal.note(Record::Made(self.address().clone()));
                    return Ok(None);
                }
                Err(fault) => fault,
            };
            let unknown = |fault: Fault| (fault, LeftBehind::Unknown);
            match fault.class {
                Class::Ambiguous => {
                    self.tell(StepState::Waiting(format!("no answer to the create call: {}", brief(&fault))));
                    if let Some(live) = self.recover(&intent, true).await.map_err(unknown)? {
                        return Ok(Some(live));
                    }
                }
                Class::Exists => {
                    if let Some(live) = self.look().await.map_err(unknown)? {
                        // It came between plan and create: whose it is was not asked of it yet.
                        let owner = &self.shared.owner;
                        let recorded = self.entry.is_some();
                        let kind = self.kind().map_err(unknown)?;
                        let ours = check_owner(kind, owner, self.address(), recorded, &self.want, &live);
                        if let Err(fault) = ours {
                            self.void();
                            return Err((fault, LeftBehind::Nothing));
                        }
                        return Ok(Some(live));
                    }
                    self.void();
                    return Err((fault.hint("something that this stack did not make is in its place: remove it, or change the stack"), LeftBehind::Nothing));
                }
                _ => self.void(),
            }
            self.again(&mut retry, fault).await.map_err(|fault| (fault, LeftBehind::Nothing))?;
        }
    }

    fn void(&mut self) {
        self.intent = None;
        self.shared.journal.note(Record::Void(self.address().clone()));
    }

    fn begin(&self) -> Intent {
        let nonce = uuid::Uuid::new_v4().to_string();
        Intent {
            kind: self.step.kind.clone(),
            stage: self.step.stage,
            token: Intent::token(&self.shared.owner.lineage, self.address(), &nonce),
            nonce,
            signed_at: (self.shared.now)(),
            request: self.want.clone(),
            dependencies: self.step.dependencies.iter().cloned().collect(),
            owner: self.shared.run.clone(),
            process: self.shared.process.clone(),
            made: false,
        }
    }

    /// Waits until what was made shows. Lists lag behind creates.
    pub(super) async fn appear(&self) -> Result<Value, Fault> {
        let deadline = Instant::now() + budget::to_ready(&self.step.kind);
        let mut backoff = Backoff::polling(self.shared.pace);
        loop {
            if let Some(live) = self.look().await? {
                return Ok(live);
            }
            if Instant::now() >= deadline {
                return Err(self.late("it was made and does not show"));
            }
            self.pause(backoff.next().unwrap_or_default(), "made; does not show yet").await?;
        }
    }

    pub(super) fn late(&self, what: &str) -> Fault {
        Fault::new(Class::Deadline, format!("{}: {what}", self.address())).hint("run again to go on waiting")
    }

    /// Waits until it can be used, corrects what differs, and records it.
    async fn settle(&self, live: Option<Value>, made: bool) -> Result<Value, Fault> {
        let kind = self.kind()?;
        let recorded = self.entry.as_ref().map(|entry| &entry.spec);
        let (mut retry, mut rounds) = (Retry::default(), 0_u32);
        let mut next = match live {
            Some(live) => live,
            None => self.appear().await?,
        };
        loop {
            // What a rollout of a broken spec waits for is a better spec.
            let live = match kind.mends && !self.differs(kind, recorded, &next)?.is_empty() {
                true => next,
                false => self.ready(kind, next).await?,
            };
            let managed = managed_tags(&self.want, recorded, &live);
            let changes = (kind.diff)(&self.want, &managed)?;
            if changes.is_empty() {
                self.done(&live);
                return Ok(live);
            }
            if let Some(change) = changes.0.iter().find(|change| change.forces_replace) {
                let what = if made { "AWS made it with another" } else { "it has another" };
                let text = format!(
                    "{what} `{}` than asked for: {} instead of {}",
                    change.path, change.old, change.new
                );
                return Err(
                    Fault::new(Class::Other, text).hint("`provisioner plan` shows what to do about it")
                );
            }
            rounds = rounds.saturating_add(1);
            if rounds > ROUNDS {
                let paths: Vec<&str> = changes.0.iter().map(|change| change.path.as_str()).collect();
                return Err(
                    self.late(&format!("these fields do not take their wanted value: {}", paths.join(", ")))
                );
            }
            self.turn().await?;
            match self.send(self.shared.world.sync(&self.step.kind, &self.want, &managed)).await {
                Ok(()) if rounds > 1 => {
                    // A read that lags shows the old value; another correction would only repeat the first.
                    self.pause(retry.backoff.next().unwrap_or_default(), "changed; does not show yet")
                        .await?;
                }
                Ok(()) => {}
                Err(fault) => {
                    rounds = rounds.saturating_sub(1);
                    self.again(&mut retry, fault).await?;
                }
            }
            next = self.appear().await?;
        }
    }

    fn differs(&self, kind: Kind, recorded: Option<&Value>, live: &Value) -> Result<Changes, Fault> {
        (kind.diff)(&self.want, &managed_tags(&self.want, recorded, live))
    }

    /// Waits until `live` can be used.
    async fn ready(&self, kind: Kind, live: Value) -> Result<Value, Fault> {
        let deadline = Instant::now() + budget::to_ready(&self.step.kind);
        let (mut backoff, mut live) = (Backoff::polling(self.shared.pace), live);
        let mut troubled: Option<Instant> = None;
        loop {
            let state = (kind.ready)(&live)?;
            if !matches!(state, Ready::Troubled(_)) {
                troubled = None;
            }
            match state {
                Ready::Yes => return Ok(live),
                Ready::Failed(reason) => {
                    let hint = advice(&reason).unwrap_or("the next run makes it anew: mend the cause first");
                    return Err(Fault::new(Class::Other, format!("it failed: {reason}")).hint(hint));
                }
                Ready::Troubled(reason) => {
                    let since = *troubled.get_or_insert_with(Instant::now);
                    if since.elapsed() >= self.shared.pace.of(budget::TROUBLE) || hopeless(&reason) {
                        let hint = advice(&reason).unwrap_or(
                            "mend the cause, then run again; `provisioner status` shows how it is",
                        );
                        return Err(Fault::new(Class::Other, reason).hint(hint));
                    }
                    self.pause(backoff.next().unwrap_or_default(), &reason).await?;
                }
                Ready::Wait(reason) if Instant::now() >= deadline => {
                    return Err(self
                        .late(&format!("still {reason} after {} s", budget::to_ready(kind.name).as_secs())));
                }
                Ready::Wait(reason) => self.pause(backoff.next().unwrap_or_default(), &reason).await?,
            }
            live = self.appear().await?;
        }
    }

    fn done(&self, live: &Value) {
        let entry = Entry {
            kind: self.step.kind.clone(),
            stage: self.step.stage,
            spec: self.want.clone(),
            live: live.clone(),
            dependencies: self.step.dependencies.iter().cloned().collect(),
            leaving: false,
        };
        self.shared.journal.note(Record::Done(self.address().clone(), Box::new(entry)));
    }
}

/// One error in a few words, for the line of a step.
fn brief(fault: &Fault) -> String {
    let text = if fault.message.is_empty() { &fault.code } else { &fault.message };
    text.chars().take(160).collect()
}

/// A row of tries of one thing.
#[derive(Default)]
pub(super) struct Retry {
    since: Option<Instant>,
    backoff: Backoff,
}
