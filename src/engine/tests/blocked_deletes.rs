//! Deletions that AWS refuses: what a person must remove ends them soon, what ends alone is waited for.

use super::{
    super::{Pace, Provider, Run, Settings, ShutdownSignal, StateWriter, observe},
    alone,
    cloud::{Cloud, CloudFaults},
    decide, owner, prepare, process, settings,
};
use crate::{
    model::{
        Blocker, CallError, Entry, ErrorKind, Event, Graph, Intent, Kind, Outcome, Snapshot, StepState,
        UpdateId, UpdateOutcome,
    },
    resources::{FoundResource, Lookup},
    store::{MemoryState, Register},
};
use async_trait::async_trait;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::mpsc::unbounded_channel, time::Instant};

/// What blocks the deletion at a time after the first delete call.
type Blocks = fn(Duration) -> Vec<Blocker>;

/// Cloud in which resources of others block deletions.
#[derive(Clone)]
struct Crowded {
    cloud: Cloud,
    blocks: Blocks,
    since: Arc<Mutex<Option<Instant>>>,
    /// Whether delete calls are accepted, to fail later.
    accepts: bool,
    /// The kinds of what the engine said that the stack holds.
    held: Arc<Mutex<BTreeSet<String>>>,
}

impl Crowded {
    fn now(&self) -> Vec<Blocker> {
        (self.blocks)(self.since.lock().unwrap().get_or_insert_with(Instant::now).elapsed())
    }
}

#[async_trait]
impl Provider for Crowded {
    fn kind(&self, name: &str) -> Option<Kind> {
        self.cloud.kind(name)
    }

    fn kinds(&self) -> Vec<&'static str> {
        self.cloud.kinds()
    }

    async fn find(&self, kind: &str, lookups: &[Lookup]) -> Result<Vec<FoundResource<Value>>, CallError> {
        self.cloud.find(kind, lookups).await
    }

    async fn create(&self, kind: &str, want: &Value, intent: &Intent) -> Result<(), CallError> {
        self.cloud.create(kind, want, intent).await
    }

    async fn sync(&self, kind: &str, want: &Value, live: &Value) -> Result<Option<UpdateId>, CallError> {
        self.cloud.sync(kind, want, live).await
    }

    async fn outcome(&self, kind: &str, live: &Value, id: &str) -> Result<UpdateOutcome, CallError> {
        self.cloud.outcome(kind, live, id).await
    }

    async fn running_update(&self, kind: &str, live: &Value) -> Result<Option<UpdateId>, CallError> {
        self.cloud.running_update(kind, live).await
    }

    async fn delete(&self, kind: &str, live: &Value) -> Result<(), CallError> {
        match self.accepts || self.now().is_empty() {
            true => self.cloud.delete(kind, live).await,
            false => Err(CallError::new(ErrorKind::Conflict, "it has dependencies")),
        }
    }

    async fn blockers(&self, _: &str, _: &Value, held: &[Entry]) -> Vec<Blocker> {
        self.held.lock().unwrap().extend(held.iter().map(|entry| entry.kind.clone()));
        self.now()
    }

    fn fresh(&self) -> Box<dyn Provider> {
        Box::new(self.clone())
    }
}

/// How a deletion ended: what it waited for, and how long it took.
struct Told {
    outcome: Outcome,
    waits: Vec<String>,
    took: Duration,
    held: BTreeSet<String>,
    count: usize,
}

impl Told {
    fn error(&self) -> &CallError {
        &self.outcome.report().problems[0].error
    }
}

/// Creates one resource, deletes it under these conditions at this pace, and lets `failing` of the accepted deletions fail.
async fn deleted(blocks: Blocks, pace: f64, failing: usize) -> Told {
    let (cloud, state) = (Cloud::new(CloudFaults::default()), Arc::new(MemoryState::default()));
    let _ = process(&cloud, &state, &alone("named", &["one"], &json!({})), "zero").await;
    cloud.trouble.lock().unwrap().failing_deletes = failing;
    let mut register = Register::new(state, "run", 1);
    let mut snapshot = register.read().await.unwrap().unwrap_or_else(|| Snapshot::new(&owner(), "1", "r"));
    let graph = &prepare(&cloud, &Graph::default(), &mut snapshot);
    let observed = observe(&cloud, graph, &snapshot, false).await.unwrap();
    let plan = decide(&cloud, graph, &snapshot, &observed);
    let (since, held) = (Arc::default(), Arc::default());
    let crowded = Crowded { cloud: cloud.clone(), blocks, since, accepts: failing > 0, held };
    let settings = Settings { pace: Pace(pace), drain: false, ..settings(&cloud, "run") };
    let (events, mut heard) = unbounded_channel();
    let shutdown = ShutdownSignal::default();
    let run = Run { provider: Arc::new(crowded.clone()), settings, shutdown, events };
    let start = Instant::now();
    let outcome = run.execute(&plan, &mut StateWriter { snapshot, register }).await;
    let took = start.elapsed();
    drop(run);
    let mut waits = Vec::new();
    while let Ok(event) = heard.try_recv() {
        if let Event::Step { state: StepState::Waiting(why), .. } = event {
            waits.push(why);
        }
    }
    let held = crowded.held.lock().unwrap().clone();
    Told { outcome, waits, took, held, count: cloud.count() }
}

fn bastion() -> Blocker {
    let what = "instance i-1 \"bastion\" (network interface eni-1)".to_owned();
    Blocker { what, ends: false, soon: false, hint: "terminate it".to_owned() }
}

fn gateway() -> Blocker {
    let what = "network interface eni-2 (Interface for NAT Gateway nat-1)".to_owned();
    Blocker { what, ends: true, soon: false, hint: "delete the NAT gateway nat-1".to_owned() }
}

fn balancer() -> Blocker {
    let what = "load balancer k8s-web (network interface eni-3)".to_owned();
    Blocker { what, ends: true, soon: true, hint: "delete it".to_owned() }
}

#[tokio::test(start_paused = true)]
async fn what_only_a_person_can_remove_ends_a_deletion_within_two_minutes() {
    let told = deleted(|_| vec![bastion(), gateway()], 1.0, 0).await;
    assert!(told.took < Duration::from_mins(2) && told.took > Duration::from_mins(1), "{:?}", told.took);
    assert!(matches!(told.outcome, Outcome::Partial(_)), "{:?}", told.outcome);
    assert_eq!(
        told.error().message,
        "it has dependencies; blocked by instance i-1 \"bastion\" (network interface eni-1)"
    );
    assert_eq!(told.error().hint.as_deref(), Some("terminate it; then run the same command again"));
    assert_eq!((told.held, told.count), (["named".to_owned()].into(), 1));
    // A faster target gets some time of its own, too.
    let told = deleted(|_| vec![bastion()], 600.0, 0).await;
    assert!((10..20).contains(&told.took.as_secs()), "{:?}", told.took);
}

#[tokio::test(start_paused = true)]
async fn what_a_person_removed_just_now_blocks_for_as_long_as_lists_show_it() {
    let told = deleted(|since| if since.as_secs() < 60 { vec![bastion()] } else { Vec::new() }, 1.0, 0).await;
    assert!(matches!(told.outcome, Outcome::Done(_)), "{:?}", told.outcome);
    assert_eq!(told.count, 0);
}

#[tokio::test(start_paused = true)]
async fn what_ends_alone_is_waited_for_and_named() {
    let told =
        deleted(|since| if since.as_secs() < 900 { vec![gateway()] } else { Vec::new() }, 1.0, 0).await;
    assert!(matches!(told.outcome, Outcome::Done(_)), "{:?}", told.outcome);
    assert!(told.took >= Duration::from_mins(15), "{:?}", told.took);
    let named = "waiting for the end of network interface eni-2 (Interface for NAT Gateway nat-1)";
    assert!(told.waits.iter().any(|why| why.ends_with(named)), "{:?}", told.waits);
    let told = deleted(|_| vec![gateway()], 1.0, 0).await;
    assert!((20..22).contains(&(told.took.as_secs() / 60)), "{:?}", told.took);
    assert!(told.error().message.ends_with(named), "{}", told.error().message);
}

#[tokio::test(start_paused = true)]
async fn what_should_end_soon_is_waited_for_two_minutes() {
    let told =
        deleted(|since| if since.as_secs() < 80 { vec![balancer(), gateway()] } else { Vec::new() }, 1.0, 0)
            .await;
    assert!(matches!(told.outcome, Outcome::Done(_)), "{:?}", told.outcome);
    let named = "waiting for the end of load balancer k8s-web";
    assert!(told.waits.iter().any(|why| why.contains(named)), "{:?}", told.waits);
    let told = deleted(|_| vec![balancer(), gateway()], 1.0, 0).await;
    assert!((120..170).contains(&told.took.as_secs()), "{:?}", told.took);
    let named = "blocked by load balancer k8s-web (network interface eni-3)";
    assert!(told.error().message.ends_with(named), "{}", told.error().message);
}

#[tokio::test(start_paused = true)]
async fn something_that_appears_later_has_its_own_time() {
    let told = deleted(
        |since| match since.as_secs() {
            ..600 => vec![gateway()],
            _ => vec![gateway(), bastion()],
        },
        1.0,
        0,
    )
    .await;
    assert!((600 + 90..600 + 120).contains(&told.took.as_secs()), "{:?}", told.took);
    assert!(told.error().message.contains("bastion"), "{}", told.error().message);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_aws_gives_up_is_repeated_once_if_a_person_must_act() {
    let told = deleted(|_| vec![bastion()], 1.0, 9).await;
    assert!(told.took < Duration::from_mins(2), "{:?}", told.took);
    assert!(told.error().message.contains("blocked by instance i-1"), "{}", told.error().message);
}
