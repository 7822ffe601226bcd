//! What a service creates again after its deletion: deleted for two minutes, left if anyone touched it, adopted by the next run.

use super::{
    super::{Provider, Run, Settings, ShutdownSignal, StateWriter, observe},
    alone,
    cloud::{Cloud, CloudFaults},
    owner, prepare, process, settings,
};
use crate::{
    model::{
        Action, CallError, Event, Graph, Intent, Kind, Outcome, Plan, ServiceMade, Snapshot, UpdateId,
        UpdateOutcome,
    },
    resources::{FoundResource, Lookup},
    store::{MemoryState, Register},
};
use async_trait::async_trait;
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::mpsc::unbounded_channel, time::Instant};

/// Cloud with a service that creates the resource of the kind `named` again.
#[derive(Clone)]
struct Reviving {
    cloud: Cloud,
    /// When, in seconds after the deletion.
    times: &'static [u64],
    /// The tags of what it creates.
    tags: Value,
    /// Since when the resource exists for which the service creates it.
    maker: Maker,
    past: Arc<Mutex<Past>>,
}

/// The resource for which the service creates the other, of another owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Maker {
    Missing,
    SinceTheDeletion,
    Existing,
}

#[derive(Debug, Default)]
struct Past {
    deleted: Option<Instant>,
    /// How many of the times are over.
    created: usize,
    revived: Option<Value>,
    changed: Vec<Value>,
}

impl Reviving {
    fn new(times: &'static [u64], tags: Value) -> Self {
        let cloud = Cloud::new(CloudFaults::default());
        Reviving { cloud, times, tags, maker: Maker::Missing, past: Arc::default() }
    }

    fn revived(&self) -> Option<Value> {
        let mut past = self.past.lock().unwrap();
        let (since, created) = (past.deleted?.elapsed().as_secs(), past.created);
        let due = self.times.iter().filter(|at| **at <= since).count();
        past.created = due;
        if due > created && past.revived.is_none() {
            let id = format!("revived-{due}");
            past.revived =
                Some(json!({"id": id, "name": null, "parent": null, "size": null, "tags": self.tags}));
        }
        past.revived.clone()
    }

    /// Changes what was created again, if it exists.
    fn change(&self, want: &Value) -> bool {
        let mut past = self.past.lock().unwrap();
        let Some(revived) = &mut past.revived else { return false };
        revived["tags"] = want["tags"].clone();
        revived["size"] = want["size"].clone();
        let changed = revived.clone();
        past.changed.push(changed);
        true
    }

    /// Deletes what was created again, if it is that.
    fn end(&self, live: &Value) -> bool {
        let mut past = self.past.lock().unwrap();
        let is_revived = past.revived.as_ref().is_some_and(|revived| revived["id"] == live["id"]);
        match is_revived {
            true => past.revived = None,
            false => past.deleted = Some(Instant::now()),
        }
        is_revived
    }
}

#[async_trait]
impl Provider for Reviving {
    fn kind(&self, name: &str) -> Option<Kind> {
        let service_made = |live: &Value| {
            let untouched = live["tags"].as_object().is_none_or(serde_json::Map::is_empty);
            Ok(Some(ServiceMade { by: "maker", name: "m".to_owned(), while_set: "logs", untouched }))
        };
        Some(Kind { service_made, ..self.cloud.kind(name)? })
    }

    fn kinds(&self) -> Vec<&'static str> {
        self.cloud.kinds()
    }

    async fn find(&self, kind: &str, lookups: &[Lookup]) -> Result<Vec<FoundResource<Value>>, CallError> {
        let found = |live| FoundResource { address: lookups[0].address.clone(), live };
        if kind == "maker" {
            assert_eq!(lookups[0].name.as_deref(), Some("m"));
            let exists = match self.maker {
                Maker::Missing => false,
                Maker::SinceTheDeletion => self.past.lock().unwrap().deleted.is_some(),
                Maker::Existing => true,
            };
            return Ok(exists.then(|| found(json!({"name": "m"}))).into_iter().collect());
        }
        let mut all = self.cloud.find(kind, lookups).await?;
        all.extend(self.revived().filter(|_| all.is_empty()).map(found));
        Ok(all)
    }

    async fn create(&self, kind: &str, want: &Value, intent: &Intent) -> Result<(), CallError> {
        self.cloud.create(kind, want, intent).await
    }

    async fn sync(&self, kind: &str, want: &Value, live: &Value) -> Result<Option<UpdateId>, CallError> {
        match self.change(want) {
            true => Ok(None),
            false => self.cloud.sync(kind, want, live).await,
        }
    }

    async fn outcome(&self, kind: &str, live: &Value, id: &str) -> Result<UpdateOutcome, CallError> {
        self.cloud.outcome(kind, live, id).await
    }

    async fn running_update(&self, kind: &str, live: &Value) -> Result<Option<UpdateId>, CallError> {
        self.cloud.running_update(kind, live).await
    }

    async fn delete(&self, kind: &str, live: &Value) -> Result<(), CallError> {
        match self.end(live) {
            true => Ok(()),
            false => self.cloud.delete(kind, live).await,
        }
    }

    fn fresh(&self) -> Box<dyn Provider> {
        Box::new(self.clone())
    }
}

/// One run: what it planned, how it ended, what it told, and how long it took.
struct Told {
    plan: Plan,
    outcome: Outcome,
    notices: Vec<String>,
    took: Duration,
}

async fn run(place: &Reviving, state: &Arc<MemoryState>, graph: &Graph, shutdown: ShutdownSignal) -> Told {
    let mut register = Register::new(state.clone(), "run", 1);
    let mut snapshot = register.read().await.unwrap().unwrap_or_else(|| Snapshot::new(&owner(), "1", "r"));
    let graph = &prepare(&place.cloud, graph, &mut snapshot);
    let observed = observe(place, graph, &snapshot, false).await.unwrap();
    let kinds = |name: &str| place.kind(name);
    let consent = &super::Consent::default();
    let strays = super::Strays::Keep;
    let input = super::Input {
        graph,
        snapshot: &snapshot,
        observed: &observed,
        targets: &[],
        strays,
        consent,
        kinds: &kinds,
    };
    let plan = super::make(&input).unwrap();
    let settings = Settings { drain: false, ..settings(&place.cloud, "run") };
    let (events, mut heard) = unbounded_channel();
    let run = Run { provider: Arc::new(place.clone()), settings, shutdown, events };
    let start = Instant::now();
    let outcome = run.execute(&plan, &mut StateWriter { snapshot, register }).await;
    let took = start.elapsed();
    drop(run);
    let mut notices = Vec::new();
    while let Ok(event) = heard.try_recv() {
        if let Event::Notice(text) = event {
            notices.push(text);
        }
    }
    Told { plan, outcome, notices, took }
}

fn wanted() -> Graph {
    alone("named", &["one"], &json!({}))
}

/// Creates the resource and deletes it.
async fn deleted(place: &Reviving) -> (Arc<MemoryState>, Told) {
    let state = Arc::new(MemoryState::default());
    let _ = process(&place.cloud, &state, &wanted(), "zero").await;
    let told = run(place, &state, &Graph::default(), ShutdownSignal::default()).await;
    assert!(matches!(told.outcome, Outcome::Done(_)), "{:?}", told.outcome);
    (state, told)
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_is_deleted_as_often_as_it_does() {
    let place = Reviving::new(&[30, 60, 90, 120], json!({}));
    let (_, told) = deleted(&place).await;
    assert!((120..150).contains(&told.took.as_secs()), "{:?}", told.took);
    let past = place.past.lock().unwrap();
    assert_eq!((past.created, &past.revived, place.cloud.count()), (4, &None, 0));
}

#[tokio::test(start_paused = true)]
async fn what_others_touched_or_use_is_left() {
    let place = Reviving::new(&[30], json!({"team": "web"}));
    let _ = deleted(&place).await;
    assert!(place.past.lock().unwrap().revived.is_some());
    // One with the name of the maker exists: nothing is looked for.
    let place = Reviving { maker: Maker::SinceTheDeletion, ..Reviving::new(&[30], json!({})) };
    let (_, told) = deleted(&place).await;
    assert!(told.took < Duration::from_secs(30), "{:?}", told.took);
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(place.revived().is_some());
}

#[tokio::test(start_paused = true)]
async fn what_another_owner_uses_is_not_deleted() {
    let place = Reviving { maker: Maker::Existing, ..Reviving::new(&[], json!({})) };
    let (_, told) = deleted(&place).await;
    assert_eq!(place.cloud.count(), 1);
    assert!(told.notices[0].contains("is used by m of another owner"), "{:?}", told.notices);
}

#[tokio::test(start_paused = true)]
async fn a_signal_ends_the_look_and_the_deletion_is_complete() {
    let place = Reviving::new(&[60], json!({}));
    let state = Arc::new(MemoryState::default());
    let _ = process(&place.cloud, &state, &wanted(), "zero").await;
    let shutdown = ShutdownSignal::default();
    let signal = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        shutdown.escalate();
    };
    let nothing = Graph::default();
    let (told, ()) = tokio::join!(run(&place, &state, &nothing, shutdown.clone()), signal);
    assert!(matches!(&told.outcome, Outcome::Done(report) if report.saved), "{:?}", told.outcome);
    assert!(told.took < Duration::from_secs(22), "{:?}", told.took);
    assert!(told.notices[0].contains("the next `provisioner up` adopts it"), "{:?}", told.notices);
}

#[tokio::test(start_paused = true)]
async fn the_next_run_adopts_what_came_later() {
    let place = Reviving::new(&[300], json!({}));
    let (state, _) = deleted(&place).await;
    tokio::time::sleep(Duration::from_mins(5)).await;
    let told = run(&place, &state, &wanted(), ShutdownSignal::default()).await;
    let actions: Vec<Action> = told.plan.changes.iter().map(|change| change.action).collect();
    assert_eq!((actions, told.plan.refusals.len()), (vec![Action::Adopt], 0));
    assert!(matches!(told.outcome, Outcome::Done(_)), "{:?}", told.outcome);
    let changed = place.past.lock().unwrap().changed.clone();
    assert_eq!((changed.len(), &changed[0]["id"], &changed[0]["size"]), (1, &json!("revived-1"), &json!(1)));
    assert_eq!(*place.cloud.creates.lock().unwrap(), 1);
    let told = run(&place, &state, &wanted(), ShutdownSignal::default()).await;
    assert!(told.plan.is_empty(), "{:#?}", told.plan);
}

#[tokio::test(start_paused = true)]
async fn what_is_used_or_touched_is_not_adopted() {
    for (tags, maker) in [(json!({}), Maker::SinceTheDeletion), (json!({"team": "web"}), Maker::Missing)] {
        let place = Reviving { maker, ..Reviving::new(&[300], tags) };
        let (state, _) = deleted(&place).await;
        tokio::time::sleep(Duration::from_mins(5)).await;
        let told = run(&place, &state, &wanted(), ShutdownSignal::default()).await;
        assert_eq!((told.plan.refusals.len(), told.plan.changes.len()), (1, 0));
        assert!(told.plan.refusals[0].reason.contains("was not created by provisioner"));
        assert!(place.past.lock().unwrap().changed.is_empty());
    }
}
