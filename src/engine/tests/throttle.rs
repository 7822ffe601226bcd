//! An account whose API throttles early: the run adapts its rate instead of repeating refused calls.

use super::{
    super::{Provider, Run, Settings, ShutdownSignal, StateWriter, observe},
    cloud::{Cloud, CloudFaults},
    decide, owner, settings,
};
use crate::{
    model::{
        Address, CallError, ErrorKind, Graph, Intent, Kind, Node, Outcome, Snapshot, Stage, UpdateId,
        UpdateOutcome,
    },
    resources::{FoundResource, Lookup},
    store::{MemoryState, Register},
};
use async_trait::async_trait;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};
use tokio::{sync::mpsc::unbounded_channel, time::Instant};

/// Cloud that accepts one create per second, and bursts of five.
#[derive(Clone)]
struct Narrow {
    cloud: Cloud,
    /// Calls that it would accept now, the time of that count, and the number of refused calls.
    bucket: Arc<Mutex<(f64, Instant, usize)>>,
}

#[async_trait]
impl Provider for Narrow {
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
        {
            let mut bucket = self.bucket.lock().unwrap();
            bucket.0 = (bucket.0 + bucket.1.elapsed().as_secs_f64()).min(5.0);
            bucket.1 = Instant::now();
            if bucket.0 < 1.0 {
                bucket.2 += 1;
                return Err(CallError::new(ErrorKind::Throttled, "Rate exceeded"));
            }
            bucket.0 -= 1.0;
        }
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
        self.cloud.delete(kind, live).await
    }

    fn fresh(&self) -> Box<dyn Provider> {
        Box::new(self.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn a_throttled_run_adapts_its_rate() {
    let cloud = Cloud::new(CloudFaults::default());
    let narrow = Narrow { cloud: cloud.clone(), bucket: Arc::new(Mutex::new((5.0, Instant::now(), 0))) };
    let mut graph = Graph::default();
    for number in 0..120 {
        let address = Address::from(format!("thing/{number}").as_str());
        let spec = json!({"parent": null, "size": 1, "tags": owner().tags(&address)});
        let (kind, after, follows) = ("plain".to_owned(), BTreeSet::new(), BTreeSet::new());
        let node = Node { address: address.clone(), kind, stage: Stage::Network, spec, after, follows };
        graph.nodes.insert(address, node);
    }
    let snapshot = Snapshot::new(&owner(), "1", "r");
    let observed = observe(&narrow, &graph, &snapshot, false).await.unwrap();
    let plan = decide(&cloud, &graph, &snapshot, &observed);
    let start = Instant::now();
    let settings = Settings { parallelism: 16, ..settings(&cloud, "run") };
    let (events, _kept) = unbounded_channel();
    let run =
        Run { provider: Arc::new(narrow.clone()), settings, shutdown: ShutdownSignal::default(), events };
    let register = Register::new(Arc::new(MemoryState::default()), "run", 1);
    let outcome = run.execute(&plan, &mut StateWriter { snapshot, register }).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    assert_eq!(cloud.count(), 120);
    let (refused, seconds) = (narrow.bucket.lock().unwrap().2, start.elapsed().as_secs());
    // 115 of them take at least 115 seconds. Sixteen steps that each retried independently would be refused
    // several hundred times.
    assert!(refused < 120, "{refused} refusals");
    assert!(seconds < 240, "{seconds} s");
}
