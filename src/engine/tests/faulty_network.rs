//! The network between a process and the cloud, the state and the lock table: calls are late or lost, or
//! their answers are. Here `sabotage` switches protections off.

use super::operator::{Life, after_all_else};
use crate::{
    engine::Provider,
    model::{CallError, ErrorKind, Intent, Kind, LeaseHolder, UpdateId, UpdateOutcome, tag},
    resources::{FoundResource, Lookup},
    store::{LeaseItem, LeaseStore, MemoryState, StateStore, Stored, Taken, memory::Mishap},
};
use async_trait::async_trait;
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

/// Longest delay, in seconds, of a call whose sender no longer waits. Together with the lag of lists it is
/// shorter than the engine's `SETTLE`.
pub(super) const ON_ITS_WAY: u64 = 60;

/// Fate of one call that writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Luck {
    Fine,
    LostAnswer,
    LostRequest,
    /// The call arrives after this delay, and its answer is lost.
    Late(Duration),
    Throttled,
}

impl Luck {
    fn draw(life: &Life) -> Self {
        let mut rng = life.rng.lock().unwrap();
        match rng.below(24) {
            0 | 1 => Luck::LostAnswer,
            2 => Luck::LostRequest,
            3 => Luck::Late(rng.seconds(ON_ITS_WAY)),
            4 => Luck::Throttled,
            _ => Luck::Fine,
        }
    }
}

pub(super) fn silence() -> CallError {
    CallError::new(ErrorKind::Ambiguous, "no answer")
}

fn throttled() -> CallError {
    CallError::new(ErrorKind::Throttled, "too many calls")
}

/// Cloud as one process reaches it.
#[derive(Clone)]
pub(super) struct RemoteProvider {
    pub(super) life: Arc<Life>,
}

impl RemoteProvider {
    /// Sends one create call, which may be late or lost.
    pub(super) async fn send(&self, kind: &str, want: &Value, intent: &Intent) -> Result<(), CallError> {
        let (luck, time) = (Luck::draw(&self.life), self.life.rng.lock().unwrap().seconds(3));
        let what = intent.request["tags"][tag::RESOURCE].as_str().unwrap_or_default();
        self.life.tell(|| format!("create {what}: {luck:?}"));
        let late = match luck {
            Luck::Throttled => return Err(throttled()),
            Luck::LostRequest => return Err(silence()),
            Luck::Late(late) => late,
            Luck::Fine | Luck::LostAnswer => time,
        };
        let (life, kind, want, intent) =
            (Arc::clone(&self.life), kind.to_owned(), want.clone(), intent.clone());
        // The call arrives even if its process has died by then.
        let landing = tokio::spawn(async move {
            sleep(late).await;
            let answer = life.site.cloud.create(&kind, &want, &intent).await;
            let what = intent.request["tags"][tag::RESOURCE].as_str().unwrap_or_default();
            life.tell(|| format!("create {what} arrives: {answer:?}"));
            answer
        });
        match luck {
            Luck::Late(_) => {
                sleep(time).await;
                Err(silence())
            }
            Luck::LostAnswer => {
                let _ = landing.await;
                Err(silence())
            }
            _ => landing.await.unwrap(),
        }
    }

    /// A call that may be repeated.
    async fn change<T: Send + 'static>(
        &self,
        what: String,
        call: impl Future<Output = Result<T, CallError>> + Send + 'static,
    ) -> Result<T, CallError> {
        self.life.effect(false).await;
        let luck = Luck::draw(&self.life);
        self.life.tell(|| format!("{what}: {luck:?}"));
        match luck {
            Luck::Throttled => Err(throttled()),
            Luck::LostRequest => Err(silence()),
            Luck::Late(late) => {
                tokio::spawn(async move {
                    sleep(late).await;
                    call.await
                });
                Err(silence())
            }
            Luck::LostAnswer => call.await.and(Err(silence())),
            Luck::Fine => call.await,
        }
    }
}

#[async_trait]
impl Provider for RemoteProvider {
    fn kind(&self, name: &str) -> Option<Kind> {
        self.life.site.cloud.kind(name)
    }

    fn kinds(&self) -> Vec<&'static str> {
        self.life.site.cloud.kinds()
    }

    async fn find(&self, kind: &str, lookups: &[Lookup]) -> Result<Vec<FoundResource<Value>>, CallError> {
        self.life.awake().await;
        let luck = self.life.rng.lock().unwrap().below(64);
        match luck {
            0 => Err(silence()),
            1 => Err(throttled()),
            _ => self.life.site.cloud.find(kind, lookups).await,
        }
    }

    async fn create(&self, kind: &str, want: &Value, intent: &Intent) -> Result<(), CallError> {
        self.life.effect(true).await;
        self.life.site.weak.create(self, kind, want, intent.clone()).await
    }

    async fn outcome(&self, kind: &str, live: &Value, id: &str) -> Result<UpdateOutcome, CallError> {
        self.life.awake().await;
        self.life.site.cloud.outcome(kind, live, id).await
    }

    async fn running_update(&self, kind: &str, live: &Value) -> Result<Option<UpdateId>, CallError> {
        self.life.awake().await;
        self.life.site.cloud.running_update(kind, live).await
    }

    async fn sync(&self, kind: &str, want: &Value, live: &Value) -> Result<Option<UpdateId>, CallError> {
        let (cloud, kind) = (self.life.site.cloud.clone(), kind.to_owned());
        let (want, there) = (want.clone(), live.clone());
        let call = async move { cloud.sync(&kind, &want, &there).await };
        self.change(format!("change {}", live["id"]), call).await
    }

    async fn delete(&self, kind: &str, live: &Value) -> Result<(), CallError> {
        let (cloud, kind, there) = (self.life.site.cloud.clone(), kind.to_owned(), live.clone());
        let call = async move { cloud.delete(&kind, &there).await };
        self.change(format!("delete {}", live["id"]), call).await
    }

    fn fresh(&self) -> Box<dyn Provider> {
        Box::new(self.clone())
    }
}

/// State as one process reaches it.
pub(super) struct RemoteState {
    pub(super) life: Arc<Life>,
}

/// Writes the state, and keeps each accepted version.
async fn put(
    life: &Life,
    bytes: &[u8],
    expected: Option<&str>,
    mishap: Option<Mishap>,
) -> Result<String, CallError> {
    let state: &MemoryState = &life.site.state;
    let expected = life.site.weak.condition(state, expected).await;
    let before = state.versions();
    if let Some(mishap) = mishap {
        state.next(mishap);
    }
    let answer = state.write(bytes, expected.as_deref()).await;
    if state.versions() > before {
        life.site.versions.lock().unwrap().push(bytes.to_vec());
    }
    life.tell(|| {
        format!("state of {} on its {before}: {answer:?}", expected.as_deref().unwrap_or("nothing"))
    });
    answer
}

#[async_trait]
impl StateStore for RemoteState {
    async fn read(&self) -> Result<Option<Stored>, CallError> {
        self.life.awake().await;
        if self.life.rng.lock().unwrap().one_in(16) {
            return Err(silence());
        }
        let stored = self.life.site.state.read().await?;
        Ok(stored.map(|stored| self.life.site.weak.read(stored)))
    }

    async fn write(&self, bytes: &[u8], expected: Option<&str>) -> Result<String, CallError> {
        self.life.effect(false).await;
        let (luck, time) = (Luck::draw(&self.life), self.life.rng.lock().unwrap().seconds(1));
        let mishap = match luck {
            Luck::Throttled => return Err(throttled()),
            Luck::LostRequest => Some(Mishap::LostRequest),
            Luck::LostAnswer => Some(Mishap::LostAnswer),
            Luck::Fine | Luck::Late(_) => None,
        };
        let late = if let Luck::Late(late) = luck { late } else { time };
        let (life, bytes, expected) = (Arc::clone(&self.life), bytes.to_vec(), expected.map(str::to_owned));
        let landing = tokio::spawn(async move {
            sleep(late).await;
            put(&life, &bytes, expected.as_deref(), mishap).await
        });
        match luck {
            Luck::Late(_) => {
                sleep(time).await;
                Err(silence())
            }
            _ => landing.await.unwrap(),
        }
    }

    fn location(&self) -> String {
        "memory".to_owned()
    }
}

/// Lock table as one process reaches it.
pub(super) struct RemoteLease {
    pub(super) life: Arc<Life>,
}

impl RemoteLease {
    async fn mishap(&self) {
        self.life.awake().await;
        let (luck, mut missed) = (self.life.rng.lock().unwrap().below(16), self.life.missed.lock().unwrap());
        *missed = luck < 2 && !(self.life.scenario.heard && *missed);
        if *missed {
            self.life.site.lease.next(if luck == 0 { Mishap::LostAnswer } else { Mishap::LostRequest });
        }
    }
}

#[async_trait]
impl LeaseStore for RemoteLease {
    async fn read(&self) -> Result<LeaseItem, CallError> {
        self.life.awake().await;
        self.life.site.lease.read().await
    }

    async fn take(
        &self,
        holder: &LeaseHolder,
        over: Option<&LeaseHolder>,
        at_least: u64,
    ) -> Result<Taken, CallError> {
        self.mishap().await;
        self.life.site.lease.take(holder, over, at_least).await
    }

    async fn heartbeat(&self, holder: &LeaseHolder, record: &str) -> Result<(), CallError> {
        self.life.awake().await;
        if self.life.site.deaf {
            return Ok(());
        }
        self.mishap().await;
        let answer = self.life.site.lease.heartbeat(holder, record).await;
        after_all_else().await;
        answer
    }

    async fn release(&self, holder: &LeaseHolder) -> Result<(), CallError> {
        self.life.awake().await;
        self.life.site.lease.release(holder).await
    }
}
