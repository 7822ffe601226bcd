//! Each protection switched off in turn, in what lies between the engine and the rest: the same schedules that find nothing
//! in the whole program find what is missing. This shows that they can see.

use super::{
    schedules::{Wrong, run},
    wires::Wire,
};
use crate::{
    engine::{Pace, World},
    model::{Class, Fault, Identity, Intent, Snapshot, Writer},
    store::{MemoryState, StateStore, Stored},
};
use serde_json::{Value, json};

/// Within so many schedules each of them must be missed.
const MOST: u64 = 2_000;

/// The protection that is switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sabotage {
    /// None is.
    None,
    /// What a run reads of the state has no intents in it.
    Intent,
    /// The store ignores which version is to be replaced.
    CompareAndSwap,
    /// What is read back names another writer.
    ReadBack,
    /// Each call has a random token.
    OwnToken,
    /// A create without an answer is sent again at once.
    RetryOff,
    /// All waits are over at once.
    Settle,
    /// A call is signed when it is sent.
    SigningTime,
    /// Tags come in a call of their own, after the create.
    TagOnCreate,
}

impl Sabotage {
    pub(super) fn pace(self) -> Pace {
        if self == Sabotage::Settle { Pace(1e6) } else { Pace::default() }
    }

    /// A create call, on its way from the engine to the network.
    pub(super) async fn create(
        self,
        wire: &Wire,
        kind: &str,
        want: &Value,
        mut intent: Intent,
    ) -> Result<(), Fault> {
        match self {
            Sabotage::OwnToken => {
                intent.token = wire.life.dice.lock().unwrap().below(1 << 31).to_string();
            }
            Sabotage::SigningTime => intent.signed_at = wire.life.site.cloud.now(),
            Sabotage::RetryOff => {
                for _ in 0..2 {
                    match wire.send(kind, want, &intent).await {
                        Err(fault) if fault.class == Class::Ambiguous => {}
                        answer => return answer,
                    }
                }
            }
            // What has a name is found by it, and not by its tags.
            Sabotage::TagOnCreate if wire.kind(kind).is_some_and(|it| it.identity != Identity::Name) => {
                let mut bare = want.clone();
                bare["tags"] = json!({});
                wire.send(kind, &bare, &intent).await?;
                wire.life.effect(false).await;
                wire.life.site.cloud.tag(&intent, &want["tags"]);
                return Ok(());
            }
            _ => {}
        }
        wire.send(kind, want, &intent).await
    }

    /// The condition under which the state is written.
    pub(super) async fn condition(self, state: &MemoryState, expected: Option<&str>) -> Option<String> {
        match self {
            Sabotage::CompareAndSwap => state.read().await.unwrap().map(|stored| stored.etag),
            _ => expected.map(str::to_owned),
        }
    }

    /// What is read of the state.
    pub(super) fn read(self, stored: Stored) -> Stored {
        let other = |change: &dyn Fn(&mut Snapshot)| {
            let mut snapshot = Snapshot::decode(&stored.bytes).unwrap();
            change(&mut snapshot);
            Stored { bytes: snapshot.encode().unwrap(), etag: stored.etag.clone() }
        };
        match self {
            Sabotage::Intent => other(&|snapshot| snapshot.intents.clear()),
            Sabotage::ReadBack => other(&|snapshot| {
                snapshot.writer =
                    Writer { owner: "another".into(), write_id: "another".into(), ..Writer::default() };
            }),
            _ => stored,
        }
    }
}

#[test]
fn each_protection_is_missed_when_it_is_switched_off() {
    let (mut unseen, mut last) = (Vec::new(), 0);
    for weak in [
        Sabotage::Intent,
        Sabotage::CompareAndSwap,
        Sabotage::ReadBack,
        Sabotage::OwnToken,
        Sabotage::RetryOff,
        Sabotage::Settle,
        Sabotage::SigningTime,
        Sabotage::TagOnCreate,
    ] {
        // A fork is no harm by itself; what comes of it is.
        let missed = (0..MOST).find_map(|seed| {
            run(seed, weak, false)
                .0
                .err()
                .filter(|(wrong, _)| *wrong != Wrong::Forked)
                .map(|wrong| (seed, wrong))
        });
        match missed {
            Some((seed, (wrong, text))) => {
                println!("| {weak:?} | {wrong:?}: {text} | {} |", seed + 1);
                last = last.max(seed);
            }
            None => unseen.push(weak),
        }
    }
    assert!(unseen.is_empty(), "nobody misses {unseen:?} in {MOST} schedules");
    for seed in 0..=last {
        let (verdict, _) = run(seed, Sabotage::None, false);
        assert!(verdict.is_ok(), "with nothing switched off, schedule {seed}: {verdict:?}");
    }
}
