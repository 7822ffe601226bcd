//! Switches each protection off in turn, in the network between the engine and the cloud, the state and the
//! lock table. The schedules that find no error in the whole program then find one, which shows that they can
//! see it.

use super::{
    faulty_network::RemoteProvider,
    schedules::{Wrong, run},
};
use crate::{
    engine::{Pace, Provider},
    model::{CallError, ErrorKind, Identity, Intent, Snapshot, Writer},
    store::{MemoryState, StateStore, Stored},
};
use serde_json::{Value, json};

/// Number of schedules within which the loss of each protection must be seen.
const MAX_SEEDS: u64 = 2_000;

/// Protection that is switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sabotage {
    /// All protections are on.
    None,
    /// A run reads the state without its intents.
    Intent,
    /// The store ignores which version a write replaces.
    CompareAndSwap,
    /// The state that is read back names another writer.
    ReadBack,
    /// Each call has a random token.
    OwnToken,
    /// A create without an answer is repeated at once.
    RetryOff,
    /// All waits end at once.
    Settle,
    /// A call is signed when it is sent, not when its intent is written.
    SigningTime,
    /// Tags are set by a separate call after the create.
    TagOnCreate,
}

impl Sabotage {
    pub(super) fn pace(self) -> Pace {
        if self == Sabotage::Settle { Pace(1e6) } else { Pace::default() }
    }

    /// Sends a create call from the engine to the network.
    pub(super) async fn create(
        self,
        wire: &RemoteProvider,
        kind: &str,
        want: &Value,
        mut intent: Intent,
    ) -> Result<(), CallError> {
        match self {
            Sabotage::OwnToken => {
                intent.token = wire.life.rng.lock().unwrap().below(1 << 31).to_string();
            }
            Sabotage::SigningTime => intent.signed_at = wire.life.site.cloud.now(),
            Sabotage::RetryOff => {
                for _ in 0..2 {
                    match wire.send(kind, want, &intent).await {
                        Err(error) if error.class == ErrorKind::Ambiguous => {}
                        answer => return answer,
                    }
                }
            }
            // A resource with a name is found by the name, not by its tags.
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

    /// Returns the version that a write of the state must replace.
    pub(super) async fn condition(self, state: &MemoryState, expected: Option<&str>) -> Option<String> {
        match self {
            Sabotage::CompareAndSwap => state.read().await.unwrap().map(|stored| stored.etag),
            _ => expected.map(str::to_owned),
        }
    }

    /// Returns what a run reads of the state.
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
        // A fork only counts if it leads to another error.
        let missed = (0..MAX_SEEDS).find_map(|seed| {
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
    assert!(unseen.is_empty(), "the loss of {unseen:?} was not seen in {MAX_SEEDS} schedules");
    for seed in 0..=last {
        let (verdict, _) = run(seed, Sabotage::None, false);
        assert!(verdict.is_ok(), "with all protections, schedule {seed}: {verdict:?}");
    }
}
