//! Updates that AWS carries out after its answer, and deletions that fail afterwards: each is followed to its end, also
//! by a run that only finds it, and none is sent again without need.

use super::{
    cloud::{Cloud, CloudFaults, UPDATE_TIME},
    owner, process,
};
use crate::{
    model::{Address, CallError, Graph, Node, Outcome, Snapshot, Stage},
    store::{MemoryState, StateStore},
};
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// One thing whose updates take their time.
fn graph(size: u32) -> Graph {
    let address = Address::from("slow");
    let spec = json!({"parent": null, "size": size, "tags": owner().tags(&address)});
    let node = Node {
        address: address.clone(),
        kind: "slow".to_owned(),
        stage: Stage::Cluster,
        spec,
        after: Default::default(),
        follows: Default::default(),
    };
    let mut graph = Graph::default();
    graph.nodes.insert(address, node);
    graph
}

struct Stack {
    cloud: Cloud,
    state: Arc<MemoryState>,
}

impl Stack {
    /// The thing exists in size 1, and the cloud is faulty from now on.
    async fn with(faults: CloudFaults) -> Self {
        let stack = Stack { cloud: Cloud::new(CloudFaults::default()), state: Arc::default() };
        let outcome = stack.run(&graph(1)).await;
        assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
        *stack.cloud.trouble.lock().unwrap() = faults;
        stack
    }

    async fn run(&self, graph: &Graph) -> Outcome {
        process(&self.cloud, &self.state, graph, &uuid::Uuid::new_v4().to_string()).await.1
    }

    /// How many updates were ever accepted.
    fn updates(&self) -> usize {
        self.cloud.updates.lock().unwrap().len()
    }

    async fn recorded_update(&self) -> Option<String> {
        let bytes = self.state.read().await.unwrap().unwrap().bytes;
        Snapshot::decode(&bytes).unwrap().resources[&Address::from("slow")].update.clone()
    }
}

#[track_caller]
fn failed(outcome: &Outcome) -> CallError {
    match outcome {
        Outcome::Partial(report) => report.problems[0].error.clone(),
        other => panic!("{other:?}"),
    }
}

fn failing(code: &'static str, times: usize) -> CloudFaults {
    CloudFaults { failing_updates: Some((code, times)), ..CloudFaults::default() }
}

#[tokio::test(start_paused = true)]
async fn an_update_that_fails_is_sent_once_and_its_reason_is_reported() {
    let stack = Stack::with(failing("PodEvictionFailure", 1)).await;
    let error = failed(&stack.run(&graph(2)).await);
    assert_eq!((error.code.as_str(), stack.updates()), ("PodEvictionFailure", 1));
    assert_eq!(error.message, "update failed: PodEvictionFailure: max retries (node-1)");
    let hint = error.hint.unwrap();
    assert!(hint.contains("PodDisruptionBudget") && hint.contains("forceUpdate"), "{hint}");
    assert_eq!(stack.recorded_update().await, None);
    // The user asked once more.
    assert!(matches!(stack.run(&graph(2)).await, Outcome::Done(_)));
    assert_eq!(stack.updates(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_update_that_fails_for_a_passing_cause_is_sent_once_more() {
    let stack = Stack::with(failing("InternalFailure", 1)).await;
    assert!(matches!(stack.run(&graph(2)).await, Outcome::Done(_)));
    assert_eq!(stack.updates(), 2);
    let stack = Stack::with(failing("InternalFailure", 9)).await;
    assert_eq!(failed(&stack.run(&graph(2)).await).code, "InternalFailure");
    assert_eq!(stack.updates(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_read_that_lags_behind_an_update_does_not_repeat_it() {
    let stack =
        Stack::with(CloudFaults { update_lag: Duration::from_secs(20), ..CloudFaults::default() }).await;
    assert!(matches!(stack.run(&graph(2)).await, Outcome::Done(_)));
    assert_eq!(stack.updates(), 1);
    // A value that never shows ends the step, and not with further updates.
    stack.cloud.trouble.lock().unwrap().update_lag = UPDATE_TIME * 100;
    let error = failed(&stack.run(&graph(3)).await);
    assert!(error.message.contains("fields do not take their value: size"), "{error:?}");
    assert_eq!(stack.updates(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_update_whose_answer_was_lost_is_found_and_followed() {
    for (times, code) in [(0, ""), (1, "PodEvictionFailure")] {
        let faults = CloudFaults { lose_update: true, ..failing("PodEvictionFailure", times) };
        let stack = Stack::with(faults).await;
        let outcome = stack.run(&graph(2)).await;
        match code {
            "" => assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}"),
            code => assert_eq!(failed(&outcome).code, code),
        }
        assert_eq!(stack.updates(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_follows_the_update_of_one_that_was_killed() {
    for (times, code) in [(0, ""), (1, "PodEvictionFailure")] {
        let stack = Stack::with(failing("PodEvictionFailure", times)).await;
        let killed = tokio::time::timeout(UPDATE_TIME / 2, stack.run(&graph(2))).await;
        assert!(killed.is_err(), "it was still waiting");
        assert_eq!(stack.recorded_update().await.as_deref(), Some("update-0"));
        let outcome = stack.run(&graph(2)).await;
        match code {
            "" => assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}"),
            code => assert_eq!(failed(&outcome).code, code, "its end is told by the run that finds it"),
        }
        assert_eq!((stack.updates(), stack.recorded_update().await), (1, None));
    }
    // It ended while nothing ran: nothing is left to do but to forget its id.
    let stack = Stack::with(CloudFaults::default()).await;
    let killed = tokio::time::timeout(UPDATE_TIME / 2, stack.run(&graph(2))).await;
    assert!(killed.is_err());
    tokio::time::sleep(UPDATE_TIME).await;
    assert!(matches!(stack.run(&graph(2)).await, Outcome::Done(_)));
    assert_eq!((stack.updates(), stack.recorded_update().await), (1, None));
}

#[tokio::test(start_paused = true)]
async fn a_power_cut_anywhere_in_an_update_leaves_one_update() {
    for fuse in 0.. {
        let stack = Stack::with(CloudFaults { fuse: Some(fuse), ..CloudFaults::default() }).await;
        let first = stack.run(&graph(2)).await;
        let survived = stack.cloud.trouble.lock().unwrap().fuse.take().is_some_and(|left| left > 0);
        let second = stack.run(&graph(2)).await;
        assert!(matches!(second, Outcome::Done(_)), "power cut after {fuse}: {second:?}");
        assert_eq!((stack.updates(), stack.recorded_update().await), (1, None), "power cut after {fuse}");
        if survived && matches!(first, Outcome::Done(_)) {
            assert!(fuse > 1, "only {fuse} effects");
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_fails_is_repeated_a_few_times_and_then_ends_with_the_reason() {
    let stack = Stack::with(CloudFaults { failing_deletes: 2, ..CloudFaults::default() }).await;
    assert!(matches!(stack.run(&Graph::default()).await, Outcome::Done(_)));
    assert_eq!((*stack.cloud.deletes.lock().unwrap(), stack.cloud.count()), (3, 0));

    let stack = Stack::with(CloudFaults { failing_deletes: 99, ..CloudFaults::default() }).await;
    let error = failed(&stack.run(&Graph::default()).await);
    let reason = "not deleted after 4 delete calls: DependencyViolation: sg-1 is in use";
    assert_eq!((error.message.as_str(), *stack.cloud.deletes.lock().unwrap()), (reason, 4));
    // The cause is gone: the next run ends it.
    stack.cloud.trouble.lock().unwrap().failing_deletes = 0;
    assert!(matches!(stack.run(&Graph::default()).await, Outcome::Done(_)));
    assert_eq!(stack.cloud.count(), 0);
}
