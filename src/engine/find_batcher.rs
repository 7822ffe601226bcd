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

/// Collects the lookups of a run into batches by kind.
pub struct FindBatcher {
    provider: Arc<dyn Provider>,
    rates: Arc<Rates>,
    waiting: Mutex<BTreeMap<String, Waiting>>,
}

impl FindBatcher {
    /// Returns a batcher that sends its calls to `provider` within the limits of `rates`.
    pub fn new(provider: Arc<dyn Provider>, rates: Arc<Rates>) -> Arc<Self> {
        Arc::new(FindBatcher { provider, rates, waiting: Mutex::default() })
    }

    /// Returns the live forms at the address of `lookup`.
    pub async fn find(self: &Arc<Self>, kind: &str, lookup: Lookup) -> Result<Finds, CallError> {
        let (sender, receiver) = oneshot::channel();
        let first = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let list = waiting.entry(kind.to_owned()).or_default();
            list.push((lookup, sender));
            list.len() == 1
        };
        if first {
            let (batcher, kind) = (Arc::clone(self), kind.to_owned());
            tokio::spawn(async move {
                tokio::time::sleep(BATCH_WINDOW).await;
                batcher.send(&kind).await;
            });
        }
        receiver.await.unwrap_or_else(|_| Err(CallError::bug("a lookup was dropped without an answer")))
    }

    async fn send(&self, kind: &str) {
        let service = self.provider.kind(kind).as_ref().map_or("", |kind| kind.service());
        tokio::time::sleep(self.rates.take(service, Use::Read)).await;
        let gathered =
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(kind).unwrap_or_default();
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
