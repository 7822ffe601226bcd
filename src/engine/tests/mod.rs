//! The engine against a cloud in memory, under paused time: lists lag, answers are lost, and the power fails
//! after every write of the state and every call that writes.

mod blocked_deletes;
mod cloud;
mod cloud_groups;
mod drains;
mod faulty_network;
mod late_creations;
mod operator;
mod power;
mod replacements;
mod sabotage;
mod scenario;
mod schedules;
mod slow_updates;
mod state_outage;
mod throttle;

use super::{Host, Liveness, Pace, Provider, Run, Settings, ShutdownSignal, StateWriter, observe};
use crate::{
    model::{
        Action, Address, CallError, Entry, ErrorKind, Graph, In, Intent, Node, Outcome, Owner, Plan, Process,
        Record, Report, Snapshot, Stage, StepError,
    },
    plan::{Consent, Input, Strays, fill_names, make},
    store::{MemoryState, Register, StateStore},
};
use cloud::{Cloud, CloudFaults};
use power::Powered;
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::{sync::mpsc::unbounded_channel, time::Instant};

fn owner() -> Owner {
    Owner { stack: "s".into(), lineage: "l".into() }
}

/// Returns a root, two resources that depend on it, and one that depends on the second of these.
fn graph(size: u32) -> Graph {
    let mut graph = Graph::default();
    let mut add = |address: &str, kind: &str, parent: Option<&str>| {
        let address = Address::from(address);
        let parent = parent.map(|parent| In::<String>::of(&parent.into(), "id"));
        let spec = json!({"parent": parent, "size": size, "tags": owner().tags(&address)});
        let (kind, after, follows) = (kind.to_owned(), BTreeSet::new(), BTreeSet::new());
        graph
            .nodes
            .insert(address.clone(), Node { address, kind, stage: Stage::Network, spec, after, follows });
    };
    add("root", "plain", None);
    add("left", "tokened", Some("root"));
    add("right", "plain", Some("root"));
    add("leaf", "plain", Some("right"));
    graph
}

fn decide(cloud: &Cloud, graph: &Graph, snapshot: &Snapshot, observed: &crate::model::Observed) -> Plan {
    let kinds = |name: &str| cloud.kind(name);
    // What the protocol let through is to be seen, and not swept away.
    let consent = &Consent::default();
    make(&Input { graph, snapshot, observed, targets: &[], strays: Strays::Keep, consent, kinds: &kinds })
        .unwrap()
}

/// The graph with the names of what is recorded, as every command prepares it.
fn prepare(cloud: &Cloud, graph: &Graph, snapshot: &mut Snapshot) -> Graph {
    snapshot.restore_retired();
    let mut graph = graph.clone();
    fill_names(&mut graph, snapshot, &|name| cloud.kind(name));
    graph
}

/// The machine of a process without others: every other one is dead.
struct AloneHost(Cloud);

impl Host for AloneHost {
    fn epoch_seconds(&self) -> i64 {
        self.0.now()
    }

    fn since_boot(&self) -> Duration {
        self.0.born.elapsed()
    }

    fn liveness(&self, _: &Process) -> Liveness {
        Liveness::Dead
    }
}

/// The settings of the process `run`, without others on its machine.
fn settings(cloud: &Cloud, run: &str) -> Settings {
    Settings {
        parallelism: 4,
        pace: Pace::default(),
        run: run.to_owned(),
        process: Process::default(),
        host: Arc::new(AloneHost(cloud.clone())),
        approved: BTreeSet::new(),
        drain: true,
    }
}

/// One process: reads the state, plans, and runs until the end or until the power goes.
async fn process(cloud: &Cloud, state: &Arc<MemoryState>, graph: &Graph, run: &str) -> (Plan, Outcome) {
    let store = Arc::new(Powered { state: Arc::clone(state), cloud: cloud.clone() });
    let mut register = Register::new(store, run, 1);
    let mut snapshot = register.read().await.unwrap().unwrap_or_else(|| Snapshot::new(&owner(), "1", "r"));
    let graph = &prepare(cloud, graph, &mut snapshot);
    let observed = observe(cloud, graph, &snapshot, false).await.unwrap();
    let plan = decide(cloud, graph, &snapshot, &observed);
    if let Some(refusal) = plan.refusals.first() {
        let problem = StepError::general(CallError::new(ErrorKind::Refused, refusal.reason.clone()));
        let mut report = Report::default();
        report.problems.push(problem);
        return (plan, Outcome::Partial(report));
    }
    let settings = settings(cloud, run);
    let (events, _kept) = unbounded_channel();
    let run =
        Run { provider: Arc::new(cloud.clone()), settings, shutdown: ShutdownSignal::default(), events };
    let outcome = run.execute(&plan, &mut StateWriter { snapshot, register }).await;
    (plan, outcome)
}

/// Runs to the end of `graph`, with the power going after every effect in turn, and once more with power; then nothing
/// is lost, nothing is doubled, and there is nothing left to do. Returns the clouds.
async fn sweep(trouble: CloudFaults, before: Option<&Graph>, graph: &Graph, expected: usize) -> Vec<Cloud> {
    let (mut fuse, mut clouds) = (0, Vec::new());
    loop {
        let cloud = Cloud::new(trouble);
        let state = Arc::new(MemoryState::default());
        if let Some(before) = before {
            let _ = process(&cloud, &state, before, "zero").await;
        }
        cloud.trouble.lock().unwrap().fuse = Some(fuse);
        let (_, first) = process(&cloud, &state, graph, "one").await;
        let survived = cloud.trouble.lock().unwrap().fuse.is_some_and(|left| left > 0);
        cloud.trouble.lock().unwrap().fuse = None;
        let (_, second) = process(&cloud, &state, graph, "two").await;
        assert!(matches!(second, Outcome::Done(_)), "power cut after {fuse}: {second:?}");
        tokio::time::sleep(trouble.lag).await;
        assert_eq!(cloud.count(), expected, "power cut after {fuse}");
        let (plan, _) = process(&cloud, &state, graph, "three").await;
        assert_eq!(plan.changes, [], "power cut after {fuse}");
        if survived && matches!(first, Outcome::Done(_)) {
            assert!(fuse > 5, "only {fuse} effects");
            return clouds;
        }
        clouds.push(cloud);
        fuse += 1;
    }
}

#[tokio::test(start_paused = true)]
async fn a_power_cut_anywhere_in_a_first_run_loses_and_doubles_nothing() {
    sweep(CloudFaults::default(), None, &graph(1), 4).await;
}

#[tokio::test(start_paused = true)]
async fn the_same_with_lists_that_lag_and_answers_that_are_lost() {
    let trouble = CloudFaults { lag: Duration::from_secs(20), lose_every: 2, ..CloudFaults::default() };
    sweep(trouble, None, &graph(1), 4).await;
}

#[tokio::test(start_paused = true)]
async fn the_same_in_a_change_and_in_a_removal() {
    let mut smaller = graph(2);
    smaller.nodes.remove("leaf");
    sweep(CloudFaults::default(), Some(&graph(1)), &smaller, 3).await;
    sweep(CloudFaults::default(), Some(&graph(1)), &Graph::default(), 0).await;
}

/// Writes a state in which a dead run intended to create `address` ten minutes ago by the clock of `process`;
/// with `entry`, as a replacement of that one.
async fn begun(state: &Arc<MemoryState>, graph: &Graph, address: &str, entry: Option<Entry>) -> Intent {
    let node = &graph.nodes[&Address::from(address)];
    let intent = Intent {
        kind: node.kind.clone(),
        stage: node.stage,
        nonce: "n".into(),
        token: "t".into(),
        signed_at: -600,
        request: node.spec.clone(),
        dependencies: BTreeSet::new(),
        owner: "one".into(),
        process: Process::default(),
        made: false,
    };
    let mut snapshot = Snapshot::new(&owner(), "1", "r");
    snapshot.resources.extend(entry.map(|entry| (address.into(), entry)));
    snapshot.apply(Record::CreateIntended(address.into(), Box::new(intent.clone())));
    let store: Arc<dyn StateStore> = Arc::<MemoryState>::clone(state);
    Register::new(store, "one", 1).write(&mut snapshot).await.unwrap();
    intent
}

#[tokio::test(start_paused = true)]
async fn a_create_that_was_sent_long_after_its_intent_is_waited_for() {
    let cloud = Cloud::new(CloudFaults { lag: Duration::from_secs(60), ..CloudFaults::default() });
    let (state, mut graph) = (Arc::default(), graph(1));
    graph.nodes.retain(|address, _| address.as_str() == "root");
    let intent = begun(&state, &graph, "root", None).await;
    cloud.create("plain", &intent.request, &intent).await.unwrap();
    let (_, outcome) = process(&cloud, &state, &graph, "two").await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    assert_eq!(cloud.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_unfinished_replacement_is_deleted_with_the_rest_though_lists_lag() {
    let cloud = Cloud::new(CloudFaults { lag: Duration::from_secs(60), ..CloudFaults::default() });
    let (state, graph) = (Arc::default(), graph(1));
    let entry = Entry {
        kind: "plain".into(),
        stage: Stage::Network,
        spec: graph.nodes["root"].spec.clone(),
        live: json!({"id": "plain-0"}),
        dependencies: BTreeSet::new(),
        leaving: false,
        update: None,
    };
    let intent = begun(&state, &graph, "root", Some(entry)).await;
    cloud.create("plain", &intent.request, &intent).await.unwrap();
    let (_, outcome) = process(&cloud, &state, &Graph::default(), "two").await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    assert_eq!(cloud.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_another_run_intended_is_claimed_before_it_is_repeated() {
    let cloud = Cloud::new(CloudFaults { fuse: Some(1), ..CloudFaults::default() });
    let (state, mut graph): (Arc<MemoryState>, _) = (Arc::default(), graph(1));
    graph.nodes.retain(|address, _| address.as_str() == "left");
    graph.nodes.values_mut().for_each(|node| node.spec["parent"] = Value::Null);
    begun(&state, &graph, "left", None).await;
    let _ = process(&cloud, &state, &graph, "two").await;
    let stored = Snapshot::decode(&state.read().await.unwrap().unwrap().bytes).unwrap();
    assert_eq!((stored.intents["left"].owner.as_str(), cloud.count()), ("two", 0));
    cloud.trouble.lock().unwrap().fuse = None;
    let (_, outcome) = process(&cloud, &state, &graph, "three").await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    assert_eq!((cloud.count(), cloud.things.lock().unwrap()[0].token.as_str()), (1, "t"));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_repeated_is_signed_with_the_time_of_its_claim() {
    let cloud = Cloud::new(CloudFaults::default());
    let (state, graph) = (Arc::default(), alone("tokened", &["one"], &json!({})));
    begun(&state, &graph, "one", None).await;
    // By then AWS refuses a call that was signed when the intent was written.
    tokio::time::sleep(Duration::from_mins(10)).await;
    let (_, outcome) = process(&cloud, &state, &graph, "two").await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    assert_eq!(cloud.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_a_dead_run_created_and_deleted_is_created_again() {
    for fuse in 0.. {
        let cloud = Cloud::new(CloudFaults::default());
        let (state, graph) = (Arc::default(), alone("tokened", &["one"], &json!({})));
        let intent = begun(&state, &graph, "one", None).await;
        cloud.create("tokened", &intent.request, &intent).await.unwrap();
        cloud.trouble.lock().unwrap().fuse = Some(fuse);
        let _ = process(&cloud, &state, &Graph::default(), "two").await;
        let survived = cloud.trouble.lock().unwrap().fuse.take() > Some(0);
        // The token of an open intent would return the deleted resource every time.
        let (_, outcome) = process(&cloud, &state, &graph, "three").await;
        assert!(matches!(outcome, Outcome::Done(_)), "power cut after {fuse}: {outcome:?}");
        assert_eq!(cloud.count(), 1, "power cut after {fuse}");
        if survived {
            assert!(fuse > 2, "only {fuse} effects");
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_a_late_call_may_take_is_waited_for_before_it_is_used_again() {
    let cloud = Cloud::new(CloudFaults::default());
    let (state, graph) = (Arc::default(), alone("named", &["one"], &json!({})));
    let intent = begun(&state, &graph, "one", None).await;
    let late = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let _ = cloud.create("named", &intent.request, &intent).await;
    };
    let runs = async {
        let _ = process(&cloud, &state, &graph, "two").await;
        process(&cloud, &state, &Graph::default(), "three").await
    };
    let ((_, outcome), ()) = tokio::join!(runs, late);
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    assert_eq!(cloud.count(), 0, "it arrived after its name was released");
}

#[tokio::test(start_paused = true)]
async fn a_signal_ends_all_waits_and_what_was_created_is_found_again() {
    let cloud = Cloud::new(CloudFaults { lag: Duration::from_secs(60), ..CloudFaults::default() });
    let state = Arc::new(MemoryState::default());
    let snapshot = Snapshot::new(&owner(), "1", "r");
    let plan = decide(&cloud, &graph(1), &snapshot, &crate::model::Observed::default());
    assert!(plan.changes.iter().all(|change| change.action == Action::Create));
    let (events, _kept) = unbounded_channel();
    let shutdown = ShutdownSignal::default();
    let settings = settings(&cloud, "one");
    let run = Run { provider: Arc::new(cloud.clone()), settings, shutdown: shutdown.clone(), events };
    let signal = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        shutdown.escalate();
    };
    let started = Instant::now();
    let register = Register::new(state.clone(), "one", 1);
    let mut writer = StateWriter { snapshot, register };
    let (outcome, ()) = tokio::join!(run.execute(&plan, &mut writer), signal);
    assert!(
        matches!(&outcome, Outcome::Stopped(report) if report.left() == 4 && report.saved),
        "{outcome:?}"
    );
    assert!(started.elapsed() < Duration::from_secs(11), "{:?}", started.elapsed());
    let (_, second) = process(&cloud, &state, &graph(1), "two").await;
    assert!(matches!(second, Outcome::Done(_)), "{second:?}");
    assert_eq!(cloud.count(), 4);
}

/// Returns independent resources of one kind with these fields, one at each address.
fn alone(kind: &str, addresses: &[&str], fields: &Value) -> Graph {
    let mut graph = Graph::default();
    for address in addresses {
        let address = Address::from(*address);
        let mut spec = json!({"parent": null, "size": 1, "tags": owner().tags(&address)});
        spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let (kind, after, follows) = (kind.to_owned(), BTreeSet::new(), BTreeSet::new());
        graph
            .nodes
            .insert(address.clone(), Node { address, kind, stage: Stage::Network, spec, after, follows });
    }
    graph
}

#[tokio::test(start_paused = true)]
async fn a_degraded_resource_is_waited_for_only_if_waiting_can_help() {
    for (trouble, least, most) in [("InsufficientNumberOfReplicas", 180, 200), ("NodeCreationFailure", 0, 5)]
    {
        let cloud = Cloud::new(CloudFaults::default());
        let state = Arc::new(MemoryState::default());
        let started = Instant::now();
        let graph = alone("plain", &["one"], &json!({"trouble": trouble}));
        let (_, outcome) = process(&cloud, &state, &graph, "one").await;
        let seconds = started.elapsed().as_secs();
        assert!((least..=most).contains(&seconds), "{trouble}: {seconds} s");
        let problem = &outcome.report().problems[0];
        assert!(problem.error.message.contains(trouble), "{problem:?}");
        assert!(problem.error.hint.is_some(), "{problem:?}");
        // It exists and is recorded, and the next run does not create another.
        let _ = process(&cloud, &state, &graph, "two").await;
        assert_eq!(cloud.count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_serial_kind_is_created_one_at_a_time() {
    let (cloud, state) = (Cloud::new(CloudFaults::default()), Arc::new(MemoryState::default()));
    let graph = alone("single", &["one", "two", "three"], &json!({}));
    let (_, outcome) = process(&cloud, &state, &graph, "one").await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    assert_eq!((cloud.count(), cloud.busy.lock().unwrap().1), (3, 1));
}
