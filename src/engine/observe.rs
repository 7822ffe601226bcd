//! Looking at everything that is wanted or recorded, without changing anything.

use super::world::World;
use crate::{
    model::{Address, Class, Fault, Graph, Observation, Observed, Snapshot, tag},
    resources::{Ask, Found},
};
use futures_util::future::try_join_all;
use serde_json::Value;
use std::collections::BTreeMap;

/// What is there of the graph's, the state's and the journal's resources, and what else of their kinds carries the
/// stack's tags; with `sweep`, of any kind.
pub async fn observe(
    world: &dyn World,
    graph: &Graph,
    snapshot: &Snapshot,
    sweep: bool,
) -> Result<Observed, Fault> {
    let kinds = if sweep { world.kinds() } else { Vec::new() };
    let asks = kinds.into_iter().map(|kind| (kind, Vec::new())).collect();
    look(world, graph, snapshot, asks).await
}

/// [`observe`] with a sweep, and with what the tagging API lists under the stack's tags: addresses and ARNs. What is
/// found by its name alone is found so.
pub async fn sweep(
    world: &dyn World,
    graph: &Graph,
    snapshot: &Snapshot,
    tagged: &[(Address, String)],
) -> Result<Observed, Fault> {
    let asks = world.kinds().into_iter().map(|name| {
        let before = world.kind(name).and_then(|kind| kind.named);
        let named = tagged.iter().filter_map(|(address, arn)| {
            let known = snapshot.resources.contains_key(address) || snapshot.intents.contains_key(address);
            let (_, name) = arn.split_once(before?).filter(|_| !known && graph.get(address).is_none())?;
            Some(Ask {
                address: address.clone(),
                want: Value::Null,
                last: Value::Null,
                name: Some(name.to_owned()),
            })
        });
        (name, named.collect())
    });
    look(world, graph, snapshot, asks.collect()).await
}

async fn look<'a>(
    world: &'a dyn World,
    graph: &'a Graph,
    snapshot: &'a Snapshot,
    mut asks: BTreeMap<&'a str, Vec<Ask>>,
) -> Result<Observed, Fault> {
    for (address, entry) in &snapshot.resources {
        asks.entry(&entry.kind).or_default().push(Ask {
            address: address.clone(),
            want: graph
                .get(address)
                .filter(|node| node.kind == entry.kind)
                .map_or(&entry.spec, |node| &node.spec)
                .clone(),
            last: entry.live.clone(),
            name: None,
        });
    }
    for (address, intent) in
        snapshot.intents.iter().filter(|(address, _)| !snapshot.resources.contains_key(*address))
    {
        let (address, want) = (address.clone(), intent.request.clone());
        asks.entry(&intent.kind).or_default().push(Ask { address, want, last: Value::Null, name: None });
    }
    for (address, node) in &graph.nodes {
        if !snapshot.resources.contains_key(address) && !snapshot.intents.contains_key(address) {
            let (address, want) = (address.clone(), node.spec.clone());
            asks.entry(&node.kind).or_default().push(Ask { address, want, last: Value::Null, name: None });
        }
    }
    let world = world.fresh();
    let rounds = asks.iter().map(|(kind, asks)| {
        let world = &world;
        async move { Ok((*kind, seen(world.as_ref(), kind, asks).await?)) }
    });
    let mut observed = Observed::default();
    for (kind, found) in try_join_all(rounds).await? {
        for (address, lives) in by_address(found) {
            let recorded = snapshot.resources.get(&address).and_then(|entry| entry.live.get("id"));
            let nonce = snapshot.intents.get(&address).map(|intent| intent.nonce.as_str());
            for (at, live) in name_twins(address, lives, recorded, nonce) {
                observed.found.insert(at, Observation { kind: kind.to_owned(), live });
            }
        }
    }
    Ok(observed)
}

fn by_address(found: Vec<Found<Value>>) -> BTreeMap<Address, Vec<Value>> {
    let mut map: BTreeMap<Address, Vec<Value>> = BTreeMap::new();
    for found in found {
        map.entry(found.address).or_default().push(found.live);
    }
    map
}

/// The one that counts keeps the address; a twin gets its id behind it, and is a stray.
fn name_twins(
    address: Address,
    lives: Vec<Value>,
    recorded: Option<&Value>,
    nonce: Option<&str>,
) -> Vec<(Address, Value)> {
    let Some(chosen) = choose(&lives, recorded, nonce) else { return Vec::new() };
    let named = lives.into_iter().enumerate().map(|(index, live)| {
        let id = live.get("id").and_then(Value::as_str).unwrap_or_default();
        let at = if index == chosen { address.clone() } else { Address::new(format!("{address}#{id}")) };
        (at, live)
    });
    named.collect()
}

/// Of several at one address: the recorded one, else the one of the open intent, else the first.
pub fn choose(lives: &[Value], recorded: Option<&Value>, nonce: Option<&str>) -> Option<usize> {
    let by_id = || lives.iter().position(|live| recorded.is_some() && live.get("id") == recorded);
    let by_nonce = || {
        lives.iter().position(|live| {
            let seen = live.get("tags").and_then(|tags| tags.get(tag::INTENT)).and_then(Value::as_str);
            nonce.is_some() && seen == nonce
        })
    };
    by_id().or_else(by_nonce).or((!lives.is_empty()).then_some(0))
}

/// What is found of a kind. Where nobody answers for one that hides, what is recorded: what makes it answer may be part of the
/// plan.
async fn seen(world: &dyn World, kind: &str, asks: &[Ask]) -> Result<Vec<Found<Value>>, Fault> {
    let hiding = world.kind(kind).filter(|kind| kind.hides);
    match (patiently(world, kind, asks, if hiding.is_some() { 1 } else { 8 }).await, hiding) {
        (Err(fault), Some(kind)) if fault.class == Class::Ambiguous => {
            let recorded = asks.iter().filter(|ask| !ask.last.is_null());
            let marked = recorded.map(|ask| {
                let live = (kind.unseen)(&ask.last, &fault.message)?;
                Ok(Found { address: ask.address.clone(), live })
            });
            marked.collect()
        }
        (answer, _) => answer,
    }
}

/// A look that is throttled or unanswered is taken again a few times.
async fn patiently(
    world: &dyn World,
    kind: &str,
    asks: &[Ask],
    more: u32,
) -> Result<Vec<Found<Value>>, Fault> {
    let mut backoff = super::budget::Backoff::default();
    for _ in 0..more {
        match world.find(kind, asks).await {
            Err(fault) if matches!(fault.class, Class::Throttled | Class::Ambiguous) => {
                tokio::time::sleep(backoff.next().unwrap_or_default()).await;
            }
            answer => return answer,
        }
    }
    world.find(kind, asks).await
}
