//! Looks that many steps share: what is asked for within a moment goes out as one call for the kind, so that the number
//! of calls grows with kinds and not with resources.

use super::{
    rates::{Rates, Use},
    world::World,
};
use crate::{
    model::{Class, Fault, Kind},
    resources::Ask,
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::oneshot;

/// How long a look waits for others to join it.
const GATHER: Duration = Duration::from_millis(25);

/// Every live form found at one address: more than one where there are twins.
type Finds = Vec<Value>;
type Waiting = Vec<(Ask, oneshot::Sender<Result<Finds, Fault>>)>;

/// Gathers looks by kind.
pub struct Looks {
    world: Arc<dyn World>,
    rates: Arc<Rates>,
    waiting: Mutex<BTreeMap<String, Waiting>>,
}

impl Looks {
    /// Looks into `world`, as fast as `rates` allow.
    pub fn new(world: Arc<dyn World>, rates: Arc<Rates>) -> Arc<Self> {
        Arc::new(Looks { world, rates, waiting: Mutex::default() })
    }

    /// What is at the address that `ask` names.
    pub async fn look(self: &Arc<Self>, kind: &str, ask: Ask) -> Result<Finds, Fault> {
        let (sender, receiver) = oneshot::channel();
        let first = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let list = waiting.entry(kind.to_owned()).or_default();
            list.push((ask, sender));
            list.len() == 1
        };
        if first {
            let (looks, kind) = (Arc::clone(self), kind.to_owned());
            tokio::spawn(async move {
                tokio::time::sleep(GATHER).await;
                looks.send(&kind).await;
            });
        }
        receiver.await.unwrap_or_else(|_| Err(Fault::bug("a look that nobody took")))
    }

    async fn send(&self, kind: &str) {
        let service = self.world.kind(kind).as_ref().map_or("", Kind::service);
        tokio::time::sleep(self.rates.take(service, Use::Read)).await;
        let gathered =
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(kind).unwrap_or_default();
        let (asks, senders): (Vec<Ask>, Vec<_>) = gathered.into_iter().unzip();
        let answer = self.world.fresh().find(kind, &asks).await;
        let throttled = answer.as_ref().is_err_and(|fault| fault.class == Class::Throttled);
        self.rates.heard(service, Use::Read, throttled);
        for (ask, sender) in asks.into_iter().zip(senders) {
            let mine = answer.clone().map(|found| {
                found
                    .into_iter()
                    .filter(|found| found.address == ask.address)
                    .map(|found| found.live)
                    .collect()
            });
            // A step that was cut off no longer listens.
            let _ = sender.send(mine);
        }
    }
}
