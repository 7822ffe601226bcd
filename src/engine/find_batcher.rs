//! Batches lookups: those of one kind that arrive within a moment are sent as one find call, so that the
//! number of calls grows with the number of kinds and not of resources.

use super::{
    provider::Provider,
    rates::{Rates, Use},
};
use crate::{
    model::{CallError, ErrorKind},
    resources::Lookup,
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::oneshot;

/// How long the first lookup of a batch waits for others.
const BATCH_WINDOW: Duration = Duration::from_millis(25);

/// Live forms found at one address: more than one if the resource was created twice.
type Finds = Vec<Value>;
type Waiting = Vec<(Lookup, oneshot::Sender<Result<Finds, CallError>>)>;

/// The lookups of one kind.
#[derive(Default)]
struct Batch {
    waiting: Waiting,
    /// Whether a task sends them.
    is_served: bool,
}

/// Collects the lookups of a run into batches by kind, of which one is sent at a time.
pub struct FindBatcher {
    provider: Arc<dyn Provider>,
    rates: Arc<Rates>,
    batches: Mutex<BTreeMap<String, Batch>>,
}

impl FindBatcher {
    /// Returns a batcher that sends its calls to `provider` within the limits of `rates`.
    pub fn new(provider: Arc<dyn Provider>, rates: Arc<Rates>) -> Arc<Self> {
        Arc::new(FindBatcher { provider, rates, batches: Mutex::default() })
    }

    /// Returns the live forms at the address of `lookup`.
    pub async fn find(self: &Arc<Self>, kind: &str, lookup: Lookup) -> Result<Finds, CallError> {
        let (sender, receiver) = oneshot::channel();
        let first = {
            let mut batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
            let batch = batches.entry(kind.to_owned()).or_default();
            batch.waiting.push((lookup, sender));
            !std::mem::replace(&mut batch.is_served, true)
        };
        if first {
            let (batcher, kind) = (Arc::clone(self), kind.to_owned());
            tokio::spawn(async move {
                tokio::time::sleep(BATCH_WINDOW).await;
                batcher.serve(&kind).await;
            });
        }
        receiver.await.unwrap_or_else(|_| Err(CallError::bug("a lookup was dropped without an answer")))
    }

    /// Sends lookups of a kind until none waits. What arrives during a call goes together into the next one, except for a kind
    /// that may not answer for long.
    async fn serve(self: &Arc<Self>, kind: &str) {
        let is_slow = self.provider.kind(kind).is_some_and(|kind| kind.may_be_unreachable);
        while let Some(gathered) = self.gathered(kind).await {
            let (batcher, name) = (Arc::clone(self), kind.to_owned());
            let sending = tokio::spawn(async move { batcher.send(&name, gathered).await });
            if !is_slow {
                // After a panic, the lookups of this call get an error, and the others are sent.
                let _ = sending.await;
            }
        }
    }

    /// Returns the lookups that wait, as soon as a call may be sent; `None` if there are none, which ends the task.
    async fn gathered(&self, kind: &str) -> Option<Waiting> {
        let batches = || self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut batches = batches();
            let batch = batches.get_mut(kind)?;
            if batch.waiting.is_empty() {
                batch.is_served = false;
                return None;
            }
        }
        tokio::time::sleep(self.rates.take(self.service(kind), Use::Read)).await;
        let gathered = std::mem::take(&mut batches().get_mut(kind)?.waiting);
        Some(gathered)
    }

    fn service(&self, kind: &str) -> &'static str {
        self.provider.kind(kind).as_ref().map_or("", |kind| kind.service())
    }

    async fn send(&self, kind: &str, gathered: Waiting) {
        let service = self.service(kind);
        let (lookups, senders): (Vec<Lookup>, Vec<_>) = gathered.into_iter().unzip();
        let answer = self.provider.fresh().find(kind, &lookups).await;
        let throttled = answer.as_ref().is_err_and(|error| error.class == ErrorKind::Throttled);
        self.rates.record_answer(service, Use::Read, throttled);
        for (lookup, sender) in lookups.into_iter().zip(senders) {
            let mine = answer.clone().map(|found| {
                found
                    .into_iter()
                    .filter(|found| found.address == lookup.address)
                    .map(|found| found.live)
                    .collect()
            });
            // Fails if the step was cancelled.
            let _ = sender.send(mine);
        }
    }
}
