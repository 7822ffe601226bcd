//! An account whose API takes few calls: the run finds its pace instead of asking again and again.

use super::{
    super::{Halt, Pace, Run, Settings, World, observe},
    cloud::{Cloud, Trouble},
    decide, owner,
};
use crate::{
    model::{Address, Class, Fault, Graph, Intent, Kind, Node, Outcome, Process, Snapshot, Stage},
    resources::{Ask, Found},
    store::{MemoryState, Register},
};
use async_trait::async_trait;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};
use tokio::{sync::mpsc::unbounded_channel, time::Instant};

/// A cloud that takes one create a second, and five at once.
#[derive(Clone)]
struct Narrow {
    cloud: Cloud,
    /// What it would take now, when that was counted, and how often it refused.
    bucket: Arc<Mutex<(f64, Instant, usize)>>,
}

#[async_trait]
impl World for Narrow {
    fn kind(&self, name: &str) -> Option<Kind> {
        self.cloud.kind(name)
    }

    fn kinds(&self) -> Vec<&'static str> {
        self.cloud.kinds()
    }

    async fn find(&self, kind: &str, asks: &[Ask]) -> Result<Vec<Found<Value>>, Fault> {
        self.cloud.find(kind, asks).await
    }

    async fn create(&self, kind: &str, want: &Value, intent: &Intent) -> Result<(), Fault> {
        {
            let mut bucket = self.bucket.lock().unwrap();
            bucket.0 = (bucket.0 + bucket.1.elapsed().as_secs_f64()).min(5.0);
            bucket.1 = Instant::now();
            if bucket.0 < 1.0 {
                bucket.2 += 1;
                return Err(Fault::new(Class::Throttled, "Rate exceeded"));
            }
            bucket.0 -= 1.0;
        }
        self.cloud.create(kind, want, intent).await
    }

    async fn sync(&self, kind: &str, want: &Value, live: &Value) -> Result<(), Fault> {
        self.cloud.sync(kind, want, live).await
    }

    async fn delete(&self, kind: &str, live: &Value) -> Result<(), Fault> {
        self.cloud.delete(kind, live).await
    }

    async fn blockers(&self, kind: &str, live: &Value) -> Vec<String> {
        self.cloud.blockers(kind, live).await
    }

    fn fresh(&self) -> Box<dyn World> {
        Box::new(self.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn a_throttled_run_finds_its_pace() {
    let cloud = Cloud::new(Trouble::default());
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
    let settings = Settings {
        parallelism: 16,
        pace: Pace::default(),
        run: "run".to_owned(),
        process: Process::default(),
        is_dead: Arc::new(|_| true),
        now: Arc::new(move || i64::try_from(start.elapsed().as_secs()).unwrap()),
    };
    let (events, _kept) = unbounded_channel();
    let run = Run { world: Arc::new(narrow.clone()), settings, halt: Halt::default(), events };
    let register = Register::new(Arc::new(MemoryState::default()), "run", 1);
    let (outcome, _) = run.execute(&plan, snapshot, register).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    assert_eq!(cloud.count(), 120);
    let (refused, seconds) = (narrow.bucket.lock().unwrap().2, start.elapsed().as_secs());
    // 115 of them take 115 seconds at the least. Sixteen steps that each asked again by their own clock would be refused
    // several hundred times.
    assert!(refused < 120, "{refused} refusals");
    assert!(seconds < 240, "{seconds} s");
}
