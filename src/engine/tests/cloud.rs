//! A cloud in memory, and a state whose writes end with the power.

use super::super::World;
use crate::{
    model::{Address, Changes, Class, Departure, Fault, Identity, Intent, Kind, Ready, tag},
    resources::{Ask, Found},
    store::{MemoryState, StateStore, Stored},
};
use async_trait::async_trait;
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;

/// A thing in the cloud.
#[derive(Clone)]
pub(super) struct Thing {
    pub(super) kind: String,
    pub(super) body: Value,
    pub(super) made: Instant,
    pub(super) token: String,
}

/// What the cloud does wrong, and when the power goes.
#[derive(Clone, Copy, Default)]
pub(super) struct Trouble {
    /// How long lists lag behind creates.
    pub(super) lag: Duration,
    /// Every n-th create works, and its answer is lost.
    pub(super) lose_every: usize,
    /// After so many effects, nothing has an effect any more.
    pub(super) fuse: Option<usize>,
}

/// A cloud with two kinds: `plain`, which takes neither token nor name, and `tokened`.
#[derive(Clone)]
pub(super) struct Cloud {
    pub(super) things: Arc<Mutex<Vec<Thing>>>,
    pub(super) trouble: Arc<Mutex<Trouble>>,
    pub(super) creates: Arc<Mutex<usize>>,
    /// When its time began: all processes' clocks agree.
    pub(super) born: Instant,
    /// What one process has left to spend, where that is limited.
    pub(super) own: Option<Arc<Mutex<usize>>>,
    /// Creates of the kind `single` that are under way, and the most there were at once.
    pub(super) busy: Arc<Mutex<(usize, usize)>>,
}

pub(super) fn dead() -> Fault {
    Fault::new(Class::Interrupted, "the power is gone")
}

impl Cloud {
    pub(super) fn new(trouble: Trouble) -> Self {
        Cloud {
            things: Arc::default(),
            trouble: Arc::new(Mutex::new(trouble)),
            creates: Arc::default(),
            born: Instant::now(),
            own: None,
            busy: Arc::default(),
        }
    }

    /// The same cloud for a process that dies after so many effects.
    pub(super) fn mortal(&self, effects: usize) -> Self {
        Cloud { own: Some(Arc::new(Mutex::new(effects))), ..self.clone() }
    }

    /// One effect; the power may go before it.
    pub(super) fn spend(&self) -> Result<(), Fault> {
        if let Some(own) = &self.own {
            let mut left = own.lock().unwrap();
            *left = left.checked_sub(1).ok_or_else(dead)?;
        }
        match &mut self.trouble.lock().unwrap().fuse {
            None => Ok(()),
            Some(0) => Err(dead()),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }

    pub(super) fn count(&self) -> usize {
        self.things.lock().unwrap().len()
    }
}

pub(super) fn changes(want: &Value, live: &Value) -> Result<Changes, Fault> {
    Ok(Changes::default()
        .fixed("parent", &want["parent"], &live["parent"])
        .mutable("size", &want["size"], &live["size"])
        .mutable("tags", &want["tags"], &live["tags"]))
}

pub(super) fn kind_of(name: &'static str, identity: Identity) -> Kind {
    Kind {
        name,
        identity,
        tagged: true,
        departure: Departure::Deleted,
        iam: &[],
        one_at_a_time: name == "single",
        moves: &[],
        within: None,
        named: None,
        diff: changes,
        ready: |live| {
            Ok(match live["trouble"].as_str() {
                Some(trouble) => Ready::Troubled(trouble.to_owned()),
                None => Ready::Yes,
            })
        },
        refuse: |_, _| Ok(None),
        farewell: |_| Ok(None),
    }
}

#[async_trait]
impl World for Cloud {
    fn kind(&self, name: &str) -> Option<Kind> {
        match name {
            "plain" => Some(kind_of("plain", Identity::OwnerTag)),
            "tokened" => Some(kind_of("tokened", Identity::Token)),
            "single" => Some(kind_of("single", Identity::Token)),
            _ => None,
        }
    }

    fn kinds(&self) -> Vec<&'static str> {
        vec!["plain", "tokened", "single"]
    }

    async fn find(&self, kind: &str, _: &[Ask]) -> Result<Vec<Found<Value>>, Fault> {
        let lag = self.trouble.lock().unwrap().lag;
        let things = self.things.lock().unwrap();
        let seen = things.iter().filter(|thing| thing.kind == kind && thing.made.elapsed() >= lag);
        Ok(seen
            .map(|thing| Found {
                address: Address::from(thing.body["tags"][tag::RESOURCE].as_str().unwrap()),
                live: thing.body.clone(),
            })
            .collect())
    }

    async fn create(&self, kind: &str, want: &Value, intent: &Intent) -> Result<(), Fault> {
        self.spend()?;
        if kind == "single" {
            let busy = |more: bool| {
                let mut busy = self.busy.lock().unwrap();
                busy.0 = if more { busy.0 + 1 } else { busy.0 - 1 };
                busy.1 = busy.1.max(busy.0);
            };
            busy(true);
            tokio::time::sleep(Duration::from_secs(30)).await;
            busy(false);
        }
        let mut creates = self.creates.lock().unwrap();
        *creates += 1;
        let mut things = self.things.lock().unwrap();
        let again = kind != "plain" && things.iter().any(|thing| thing.token == intent.token);
        if !again {
            let mut body = want.clone();
            body["id"] = json!(format!("{kind}-{creates}"));
            body["tags"][tag::INTENT] = json!(intent.nonce);
            things.push(Thing {
                kind: kind.to_owned(),
                body,
                made: Instant::now(),
                token: intent.token.clone(),
            });
        }
        let lose_every = self.trouble.lock().unwrap().lose_every;
        if lose_every > 0 && creates.is_multiple_of(lose_every) {
            return Err(Fault::new(Class::Ambiguous, "no answer"));
        }
        Ok(())
    }

    async fn sync(&self, _: &str, want: &Value, live: &Value) -> Result<(), Fault> {
        self.spend()?;
        let mut things = self.things.lock().unwrap();
        if let Some(thing) = things.iter_mut().find(|thing| thing.body["id"] == live["id"]) {
            thing.body["size"] = want["size"].clone();
        }
        Ok(())
    }

    async fn delete(&self, _: &str, live: &Value) -> Result<(), Fault> {
        self.spend()?;
        let mut things = self.things.lock().unwrap();
        if things.iter().any(|thing| thing.body["parent"] == live["id"]) {
            return Err(Fault::new(Class::Conflict, "something stands on it"));
        }
        things.retain(|thing| thing.body["id"] != live["id"]);
        Ok(())
    }

    async fn blockers(&self, _: &str, _: &Value) -> Vec<String> {
        Vec::new()
    }

    fn fresh(&self) -> Box<dyn World> {
        Box::new(self.clone())
    }
}

/// A state whose writes end with the power.
pub(super) struct Powered {
    pub(super) state: Arc<MemoryState>,
    pub(super) cloud: Cloud,
}

#[async_trait]
impl StateStore for Powered {
    async fn read(&self) -> Result<Option<Stored>, Fault> {
        self.state.read().await
    }

    async fn write(&self, bytes: &[u8], expected: Option<&str>) -> Result<String, Fault> {
        self.cloud.spend()?;
        self.state.write(bytes, expected).await
    }

    fn place(&self) -> String {
        "memory".to_owned()
    }
}
