//! Looking at everything that is wanted or recorded, without changing anything.

use super::{made_by_service::leftovers, provider::Provider};
use crate::{
    model::{Address, CallError, ErrorKind, Graph, Observation, Observed, Snapshot, tag},
    resources::{FoundResource, Lookup},
};
use futures_util::future::join_all;
use serde_json::Value;
use std::collections::BTreeMap;

/// What is there of the graph's, the state's and the journal's resources, and what else of their kinds carries the
/// stack's tags; with `sweep`, of any kind.
pub async fn observe(
    provider: &dyn Provider,
    graph: &Graph,
    snapshot: &Snapshot,
    sweep: bool,
) -> Result<Observed, CallError> {
    let kinds = if sweep { provider.kinds() } else { Vec::new() };
    let lookups = kinds.into_iter().map(|kind| (kind, Vec::new())).collect();
    look(provider, graph, snapshot, lookups).await
}

/// [`observe`] with a sweep, and with what the tagging API lists under the stack's tags: addresses and ARNs. What is
/// found by its name alone is found so.
pub async fn sweep(
    provider: &dyn Provider,
    graph: &Graph,
    snapshot: &Snapshot,
    tagged: &[(Address, String)],
) -> Result<Observed, CallError> {
    let lookups = provider.kinds().into_iter().map(|name| {
        let before = provider.kind(name).and_then(|kind| kind.arn_prefix);
        let named = tagged.iter().filter_map(|(address, arn)| {
            let known = snapshot.resources.contains_key(address) || snapshot.intents.contains_key(address);
            let (_, name) = arn.split_once(before?).filter(|_| !known && graph.get(address).is_none())?;
            Some(Lookup {
                address: address.clone(),
                want: Value::Null,
                recorded: Value::Null,
                name: Some(name.to_owned()),
            })
        });
        (name, named.collect())
    });
    look(provider, graph, snapshot, lookups.collect()).await
}

async fn look<'a>(
    provider: &'a dyn Provider,
    graph: &'a Graph,
    snapshot: &'a Snapshot,
    mut lookups: BTreeMap<&'a str, Vec<Lookup>>,
) -> Result<Observed, CallError> {
    for (address, entry) in &snapshot.resources {
        lookups.entry(&entry.kind).or_default().push(Lookup {
            address: address.clone(),
            want: graph
                .get(address)
                .filter(|node| node.kind == entry.kind)
                .map_or(&entry.spec, |node| &node.spec)
                .clone(),
            recorded: entry.live.clone(),
            name: None,
        });
    }
    for (address, intent) in
        snapshot.intents.iter().filter(|(address, _)| !snapshot.resources.contains_key(*address))
    {
        let (address, want) = (address.clone(), intent.request.clone());
        lookups.entry(&intent.kind).or_default().push(Lookup {
            address,
            want,
            recorded: Value::Null,
            name: None,
        });
    }
    for (address, node) in &graph.nodes {
        if !snapshot.resources.contains_key(address) && !snapshot.intents.contains_key(address) {
            let (address, want) = (address.clone(), node.spec.clone());
            lookups.entry(&node.kind).or_default().push(Lookup {
                address,
                want,
                recorded: Value::Null,
                name: None,
            });
        }
    }
    let provider = provider.fresh();
    // The plan refuses what is recorded under an unknown kind.
    lookups.retain(|kind, _| provider.kind(kind).is_some());
    let rounds = lookups.iter().map(|(kind, lookups)| {
        let provider = &provider;
        async move { (*kind, seen(provider.as_ref(), kind, lookups).await) }
    });
    let mut observed = Observed::default();
    for (kind, found) in join_all(rounds).await {
        let found = match found {
            Ok(found) => found,
            // Whether it is needed is for the plan to say: its resources may all depend on one that is not the stack's.
            // What the caller may not look at is the plan's to tell, too.
            Err(error)
                if error.class == ErrorKind::Denied
                    || lookups.get(kind).is_some_and(|lookups| !lookups.is_empty()) =>
            {
                observed.failed.insert(kind.to_owned(), error);
                continue;
            }
            Err(error) => return Err(error),
        };
        for (address, lives) in by_address(found) {
            let recorded = snapshot.resources.get(&address).and_then(|entry| entry.live.get("id"));
            let nonce = snapshot.intents.get(&address).map(|intent| intent.nonce.as_str());
            for (at, live) in name_twins(address, lives, recorded, nonce) {
                observed.found.insert(at, Observation { kind: kind.to_owned(), live });
            }
        }
    }
    observed.leftovers = leftovers(provider.as_ref(), snapshot, &observed.found).await;
    Ok(observed)
}

fn by_address(found: Vec<FoundResource<Value>>) -> BTreeMap<Address, Vec<Value>> {
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

/// Returns the index of the resource to use if several are at one address: the recorded one, else the open intent's, else
/// the first.
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

/// What is found of a kind. If a kind that may be unreachable does not answer, what is recorded: what makes it answer
/// may be part of the plan.
async fn seen(
    provider: &dyn Provider,
    kind: &str,
    lookups: &[Lookup],
) -> Result<Vec<FoundResource<Value>>, CallError> {
    let hiding = provider.kind(kind).filter(|kind| kind.may_be_unreachable);
    match (patiently(provider, kind, lookups, if hiding.is_some() { 1 } else { 8 }).await, hiding) {
        (Err(error), Some(kind)) if error.class == ErrorKind::Ambiguous => {
            let recorded = lookups.iter().filter(|lookup| !lookup.recorded.is_null());
            let marked = recorded.map(|lookup| {
                let live = (kind.assume_recorded)(&lookup.recorded, &error.message)?;
                Ok(FoundResource { address: lookup.address.clone(), live })
            });
            marked.collect()
        }
        (answer, _) => answer,
    }
}

/// A look that is throttled or unanswered is taken again a few times, and so is one that a second read ended with "not
/// found": it lags behind the list that showed the resource.
async fn patiently(
    provider: &dyn Provider,
    kind: &str,
    lookups: &[Lookup],
    more: u32,
) -> Result<Vec<FoundResource<Value>>, CallError> {
    let mut backoff = super::budget::Backoff::default();
    for _ in 0..more {
        match provider.find(kind, lookups).await {
            Err(error)
                if matches!(
                    error.class,
                    ErrorKind::Throttled | ErrorKind::Ambiguous | ErrorKind::Gone | ErrorKind::Eventual
                ) =>
            {
                tokio::time::sleep(backoff.next().unwrap_or_default()).await;
            }
            answer => return answer,
        }
    }
    provider.find(kind, lookups).await
}
