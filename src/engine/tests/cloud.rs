//! A cloud in memory, and a state whose writes end with the power.

use super::super::World;
use crate::{
    aws::classify,
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
    /// When it was deleted. Lists go on with it for a while.
    pub(super) gone: Option<Instant>,
    pub(super) token: String,
}

impl Thing {
    /// The address in its tags; none where it carries none.
    pub(super) fn address(&self) -> Option<&str> {
        self.body["tags"][tag::RESOURCE].as_str()
    }
}

/// How old a signature may be.
pub(super) const SIGNATURE: Duration = Duration::from_mins(15);

/// What the cloud does wrong, and when the power goes.
#[derive(Clone, Copy, Default)]
pub(super) struct Trouble {
    /// How long lists lag behind creates and deletes.
    pub(super) lag: Duration,
    /// Every n-th create works, and its answer is lost.
    pub(super) lose_every: usize,
    /// After so many effects, nothing has an effect any more.
    pub(super) fuse: Option<usize>,
}

/// A cloud with kinds that take neither token nor name (`plain`), a token (`tokened`, `single`) or a name (`named`).
#[derive(Clone)]
pub(super) struct Cloud {
    pub(super) things: Arc<Mutex<Vec<Thing>>>,
    pub(super) trouble: Arc<Mutex<Trouble>>,
    pub(super) creates: Arc<Mutex<usize>>,
    /// When its time began: all processes' clocks agree.
    pub(super) born: Instant,
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
            busy: Arc::default(),
        }
    }

    /// One effect; the power may go before it.
    pub(super) fn spend(&self) -> Result<(), Fault> {
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
        self.things.lock().unwrap().iter().filter(|thing| thing.gone.is_none()).count()
    }

    /// Puts tags on what an attempt made, in a call of its own.
    pub(super) fn tag(&self, intent: &Intent, tags: &Value) {
        let mut things = self.things.lock().unwrap();
        if let Some(thing) = things.iter_mut().find(|thing| thing.token == intent.token) {
            thing.body["tags"] = tags.clone();
            thing.body["tags"][tag::INTENT] = json!(intent.nonce);
        }
    }

    /// Seconds since its time began.
    pub(super) fn now(&self) -> i64 {
        i64::try_from(self.born.elapsed().as_secs()).unwrap()
    }

    /// Every cloud's refusals are classed as AWS's are.
    fn refusal(operation: &str, code: &str) -> Fault {
        let class = classify("ec2", operation, code, Some(400), "");
        Fault { code: code.to_owned(), ..Fault::new(class, code) }
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
        mends: false,
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
        hides: false,
        unseen: |live, _| Ok(live.clone()),
    }
}

#[async_trait]
impl World for Cloud {
    fn kind(&self, name: &str) -> Option<Kind> {
        match name {
            "plain" => Some(kind_of("plain", Identity::OwnerTag)),
            "tokened" => Some(kind_of("tokened", Identity::Token)),
            "single" => Some(kind_of("single", Identity::Token)),
            "named" => Some(kind_of("named", Identity::Name)),
            _ => None,
        }
    }

    fn kinds(&self) -> Vec<&'static str> {
        vec!["plain", "tokened", "single", "named"]
    }

    async fn find(&self, kind: &str, _: &[Ask]) -> Result<Vec<Found<Value>>, Fault> {
        // What has a name is not listed, but asked for.
        let lag = if kind == "named" { Duration::ZERO } else { self.trouble.lock().unwrap().lag };
        let things = self.things.lock().unwrap();
        let listed = |thing: &&Thing| {
            thing.kind == kind
                && thing.made.elapsed() >= lag
                && thing.gone.is_none_or(|gone| gone.elapsed() < lag)
        };
        let found = |thing: &Thing| {
            Some(Found { address: Address::from(thing.address()?), live: thing.body.clone() })
        };
        Ok(things.iter().filter(listed).filter_map(found).collect())
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
        if u64::try_from(self.now() - intent.signed_at).unwrap_or_default() > SIGNATURE.as_secs() {
            return Err(Cloud::refusal("CreateVpc", "RequestExpired"));
        }
        let mut creates = self.creates.lock().unwrap();
        *creates += 1;
        let lose_every = self.trouble.lock().unwrap().lose_every;
        let mut things = self.things.lock().unwrap();
        let name = want["tags"][tag::RESOURCE].as_str();
        let mut there = things.iter().filter(|thing| thing.kind == kind && thing.gone.is_none());
        if kind == "named" && there.any(|thing| thing.address() == name) {
            return Err(Cloud::refusal("CreateKeyPair", "InvalidKeyPair.Duplicate"));
        }
        // A token is remembered also where what it made is gone by now.
        let again =
            matches!(kind, "tokened" | "single") && things.iter().any(|thing| thing.token == intent.token);
        if !again {
            let mut body = want.clone();
            body["id"] = json!(format!("{kind}-{creates}"));
            body["tags"][tag::INTENT] = json!(intent.nonce);
            things.push(Thing {
                kind: kind.to_owned(),
                body,
                made: Instant::now(),
                gone: None,
                token: intent.token.clone(),
            });
        }
        if lose_every > 0 && creates.is_multiple_of(lose_every) {
            return Err(Fault::new(Class::Ambiguous, "no answer"));
        }
        Ok(())
    }

    async fn sync(&self, _: &str, want: &Value, live: &Value) -> Result<(), Fault> {
        self.spend()?;
        let mut things = self.things.lock().unwrap();
        let mut there = things.iter_mut().filter(|thing| thing.gone.is_none());
        match there.find(|thing| thing.body["id"] == live["id"]) {
            Some(thing) => thing.body["size"] = want["size"].clone(),
            None => return Err(Fault::new(Class::Gone, "it is not there")),
        }
        Ok(())
    }

    async fn delete(&self, _: &str, live: &Value) -> Result<(), Fault> {
        self.spend()?;
        let mut things = self.things.lock().unwrap();
        if things.iter().any(|thing| thing.gone.is_none() && thing.body["parent"] == live["id"]) {
            return Err(Fault::new(Class::Conflict, "something stands on it"));
        }
        let mut there = things.iter_mut().filter(|thing| thing.gone.is_none());
        if let Some(thing) = there.find(|thing| thing.body["id"] == live["id"]) {
            thing.gone = Some(Instant::now());
        }
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
