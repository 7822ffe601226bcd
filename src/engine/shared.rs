//! The data that all steps of a run share.

use super::{
    find_batcher::FindBatcher, host::Liveness, journal::Journal, provider::Provider, rates::Rates,
    settings::Settings, shutdown::ShutdownSignal,
};
use crate::model::{Address, Entry, Event, Owner, Process, Sent, StepId};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::mpsc::UnboundedSender;

/// Data that all steps of a run share.
pub(super) struct Shared {
    /// Provider that the steps act on.
    pub provider: Arc<dyn Provider>,
    /// Batcher of the lookups.
    pub batcher: Arc<FindBatcher>,
    /// Rate limits of the calls.
    pub rates: Arc<Rates>,
    /// Journal, which writes the records.
    pub journal: Journal,
    /// Receiver of the events.
    pub events: UnboundedSender<Event>,
    /// Signal to end the run early.
    pub shutdown: ShutdownSignal,
    /// What the run was told beside its plan.
    pub settings: Settings,
    /// Stack that the resources belong to.
    pub owner: Owner,
    /// What is recorded, with what this run has applied so far.
    pub entries: Mutex<BTreeMap<Address, Entry>>,
    /// The nonces of creates that may have been accepted although nothing was found of them.
    pub abandoned: Mutex<BTreeMap<String, Address>>,
    /// What was sent for each step.
    pub sent: Arc<SentCalls>,
}

impl Shared {
    /// Returns whether a person told this run to adopt or delete the resource, even if it has another owner.
    pub(super) fn is_approved(&self, address: &Address) -> bool {
        self.settings.approved.contains(address)
    }

    /// Returns whether `process` has certainly ended.
    pub(super) fn is_dead(&self, process: &Process) -> bool {
        self.settings.host.liveness(process) == Liveness::Dead
    }
}

/// What was sent for each step, what the strongest answer was, and what it waits for.
#[derive(Default)]
pub(super) struct SentCalls(Mutex<BTreeMap<StepId, Calls>>);

#[derive(Clone, Default)]
struct Calls {
    /// The strongest answer so far.
    answered: Sent,
    /// Calls that were sent and have no answer yet.
    open: usize,
    /// What the step waited for last.
    why: Option<String>,
}

impl SentCalls {
    fn with(&self, id: &StepId, change: impl FnOnce(&mut Calls)) {
        change(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(id.clone()).or_default());
    }

    /// Notes that a call is on its way.
    pub fn open(&self, id: &StepId) {
        self.with(id, |calls| calls.open = calls.open.saturating_add(1));
    }

    /// Notes how a call that was on its way was answered.
    pub fn close(&self, id: &StepId, sent: Sent) {
        self.with(id, |calls| {
            calls.open = calls.open.saturating_sub(1);
            calls.answered = calls.answered.max(sent);
        });
    }

    /// Notes that a part of a call was accepted.
    pub fn accepted(&self, id: &StepId) {
        self.with(id, |calls| calls.answered = Sent::Accepted);
    }

    /// Notes what a step waits for.
    pub fn waits(&self, id: &StepId, why: &str) {
        self.with(id, |calls| calls.why = Some(why.to_owned()));
    }

    /// Returns what a step waited for last.
    pub fn why(&self, id: &StepId) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id)?.why.clone()
    }

    /// Returns what was sent for a step.
    pub fn of(&self, id: &StepId) -> Sent {
        let calls =
            self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned().unwrap_or_default();
        // A call that was cut off may have had its effect.
        if calls.open > 0 { calls.answered.max(Sent::Unanswered) } else { calls.answered }
    }
}
