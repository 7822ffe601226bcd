//! Seeded schedules: three operators at once who die, stand still, rob each other of the lease and want different things;
//! lists that lag, calls and answers that are lost or late, to the cloud, the state and the lock table. After each, one
//! operator alone: nothing is lost, nothing is doubled, nothing is left to do.
//!
//! `PROVISIONER_SCHEDULES=1000000 cargo test --release --lib schedules` runs a million, `PROVISIONER_FROM` says from which
//! on; `PROVISIONER_SEED` runs one of them, and tells what happened in it.

use super::{
    cloud::{Cloud, Thing, Trouble},
    decide,
    fate::{Dice, Fate},
    graph,
    operator::{Site, brief, live},
    owner,
    sabotage::Sabotage,
    wires::ON_ITS_WAY,
};
use crate::{
    engine::observe,
    model::{Address, Graph, In, Outcome, Snapshot},
    store::StateStore,
};
use futures_util::future::join_all;
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// How many run where nobody says.
const USUAL: u64 = 10_000;

/// How lists may lag, in seconds.
const LAG: u64 = 40;

/// What may not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// An operator alone does not come to the end.
    CannotEnd,
    /// Two things are at one address.
    Doubled,
    /// A thing is not there, or the state does not know it.
    Lost,
    /// A thing is there that nobody wants, or that nobody can tell whose it is.
    LeftOver,
    /// The plan is not empty.
    StillToDo,
    /// A version of the state does not go on from the one before.
    Forked,
}

pub(super) type Verdict = Result<(), (Wrong, String)>;

fn wrong<T>(wrong: Wrong, text: impl Into<String>) -> Result<T, (Wrong, String)> {
    Err((wrong, text.into()))
}

/// A file: all of it, all of it changed, parts of it, one thing elsewhere, or nothing.
fn file(dice: &mut Dice, named: bool) -> Graph {
    let mut graph = graph(if dice.one_in(3) { 2 } else { 1 });
    if named {
        graph.nodes.get_mut("leaf").unwrap().kind = "named".to_owned();
    }
    match dice.below(6) {
        0 | 1 => {}
        2 => graph.nodes.retain(|address, _| address.as_str() != "leaf"),
        3 => graph.nodes.retain(|address, _| address.as_str() != "left"),
        4 => {
            graph.nodes.get_mut("leaf").unwrap().spec["parent"] =
                json!(In::<String>::of(&"left".into(), "id"));
        }
        _ => graph.nodes.clear(),
    }
    graph
}

/// One schedule, and what is wrong after it, if anything.
async fn schedule(site: &Site, dice: &mut Dice) -> Verdict {
    let named = dice.one_in(2);
    if dice.one_in(2) {
        let first = live(site.clone(), Fate::alone(0, 0), dice.fork(), file(dice, named));
        let _ = first.await;
    }
    let three: Vec<_> = (1..=3)
        .map(|number| live(site.clone(), Fate::draw(dice, number), dice.fork(), file(dice, named)))
        .collect();
    join_all(three).await;
    let (last, host) = (file(dice, named), dice.below(2));
    let mut verdict = Ok(());
    for number in [8, 9] {
        let ended = live(site.clone(), Fate::alone(number, host), dice.fork(), last.clone()).await;
        tokio::time::sleep(Duration::from_secs(ON_ITS_WAY + LAG)).await;
        verdict = match ended {
            Some(Ok(Outcome::Done(_))) => judge(site, &last).await,
            Some(Ok(outcome)) => wrong(Wrong::CannotEnd, brief(&outcome) + &unknown(site).await),
            other => wrong(Wrong::CannotEnd, format!("{other:?}")),
        };
        if verdict.is_ok() {
            break;
        }
    }
    verdict
}

/// The state, or that of a stack of which nothing is there yet.
async fn recorded(site: &Site) -> Snapshot {
    let stored = site.state.read().await.unwrap();
    stored.map_or_else(|| Snapshot::new(&owner(), "1", "r"), |it| Snapshot::decode(&it.bytes).unwrap())
}

/// What is there, and in neither the state nor an open intent of it.
async fn unknown(site: &Site) -> String {
    let snapshot = recorded(site).await;
    let things = site.cloud.things.lock().unwrap();
    let known = |thing: &&Thing| {
        snapshot.resources.values().any(|entry| entry.live["id"] == thing.body["id"])
            || snapshot.intents.values().any(|intent| intent.token == thing.token)
    };
    let strays = things.iter().filter(|thing| thing.gone.is_none() && !known(thing));
    strays.map(|thing| format!("; nobody knows of {}", thing.body["id"].as_str().unwrap())).collect()
}

/// Whether what is there is what `file` wants and the state says, and nothing is left to do.
async fn judge(site: &Site, file: &Graph) -> Verdict {
    let snapshot = recorded(site).await;
    let mut there: BTreeMap<Address, Vec<String>> = BTreeMap::new();
    for thing in site.cloud.things.lock().unwrap().iter().filter(|thing| thing.gone.is_none()) {
        let id = thing.body["id"].as_str().unwrap().to_owned();
        match thing.address() {
            Some(address) => there.entry(Address::from(address)).or_default().push(id),
            None => return wrong(Wrong::LeftOver, format!("{id}, without a tag")),
        }
    }
    for (address, ids) in &there {
        let recorded = snapshot.resources.get(address).and_then(|entry| entry.live["id"].as_str());
        match ids.as_slice() {
            [_] if !file.nodes.contains_key(address) => return wrong(Wrong::LeftOver, address.as_str()),
            [id] if recorded == Some(id) => {}
            [id] => return wrong(Wrong::Lost, format!("{id} at {address}; the state has {recorded:?}")),
            twins => return wrong(Wrong::Doubled, format!("{} at {address}", twins.join(", "))),
        }
    }
    if let Some(missing) = file.nodes.keys().find(|address| !there.contains_key(*address)) {
        return wrong(Wrong::Lost, format!("nothing is at {missing}"));
    }
    let observed = observe(&site.cloud, file, &snapshot, false).await.unwrap();
    let plan = decide(&site.cloud, file, &snapshot, &observed);
    if !plan.changes.is_empty() {
        return wrong(Wrong::StillToDo, format!("{:?}", plan.changes));
    }
    Ok(())
}

/// Whether each version of the state names the one before, and was written under no lower fence.
fn chain(site: &Site) -> Verdict {
    let (mut before, mut epoch) = (String::new(), 0);
    for (bytes, version) in site.versions.lock().unwrap().iter().zip(1..) {
        let snapshot = Snapshot::decode(bytes).unwrap();
        if snapshot.previous != before || snapshot.version != version || snapshot.epoch < epoch {
            return wrong(Wrong::Forked, format!("version {version}"));
        }
        (before, epoch) = (Snapshot::hash(bytes), snapshot.epoch);
    }
    Ok(())
}

/// The schedule of this seed: what is wrong after it, and what happened in it.
pub(super) fn run(seed: u64, weak: Sabotage, told: bool) -> (Verdict, Vec<String>) {
    // A runtime each: what a dead process left running must not reach into the next schedule.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut dice = Dice::new(seed);
        let lag = dice.seconds(LAG);
        let cloud = Cloud::new(Trouble { lag, ..Trouble::default() });
        let site = Site::new(cloud, dice.one_in(2), weak, told);
        let verdict = schedule(&site, &mut dice).await;
        // Every version is read and hashed once more: too dear to be done each time.
        let verdict = if seed.is_multiple_of(8) { verdict.and_then(|()| chain(&site)) } else { verdict };
        (verdict, site.told())
    })
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn no_schedule_loses_or_doubles_anything() {
    if let Some(seed) = from_environment("PROVISIONER_SEED") {
        let (verdict, told) = run(seed, Sabotage::None, true);
        println!("{}", told.join("\n"));
        assert!(verdict.is_ok(), "{verdict:?}");
        return;
    }
    let first = from_environment("PROVISIONER_FROM").unwrap_or(0);
    let end = first + from_environment("PROVISIONER_SCHEDULES").unwrap_or(USUAL);
    let (next, workers) =
        (AtomicU64::new(first), std::thread::available_parallelism().map_or(1, usize::from));
    let work = || {
        let mut wrong = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end || wrong.len() >= 3 {
                return wrong;
            }
            wrong.extend(run(seed, Sabotage::None, false).0.err().map(|what| (seed, what)));
        }
    };
    let mut wrong: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    wrong.sort_by_key(|(seed, _)| *seed);
    assert!(wrong.is_empty(), "PROVISIONER_SEED=n tells what happened in one:\n{wrong:#?}");
}

#[test]
fn a_seed_says_everything() {
    for seed in 0..40 {
        assert_eq!(run(seed, Sabotage::None, true), run(seed, Sabotage::None, true), "seed {seed}");
    }
}
