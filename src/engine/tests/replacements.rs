//! Replacements: by creation first without a gap, wherever the power goes; and what is said of one whose second half fails.

use super::{
    alone,
    cloud::{Cloud, CloudFaults},
    process, sweep,
};
use crate::{
    model::{Address, Graph, In, Outcome, Snapshot},
    plan::{result_json, stopped_text},
    store::{MemoryState, StateStore as _},
};
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// A root, a group on it of this type, and what uses the group.
fn groups(name: &str, of_type: &str) -> Graph {
    let mut graph = alone("plain", &["root"], &json!({}));
    let parent = In::<String>::of(&"root".into(), "id");
    let address = format!("group/{name}");
    let group = alone("grouped", &[&address], &json!({"parent": parent, "name": name, "type": of_type}));
    let mut user = alone("plain", &["user"], &json!({}));
    user.nodes.get_mut("user").unwrap().after.insert(address.as_str().into());
    graph.nodes.extend(group.nodes.into_iter().chain(user.nodes));
    graph
}

async fn recorded(state: &MemoryState) -> Snapshot {
    Snapshot::decode(&state.read().await.unwrap().unwrap().bytes).unwrap()
}

/// The sweep over a change of groups, after which exactly one exists; there was none at no time.
async fn without_a_gap(trouble: CloudFaults, after: &Graph) {
    let seen = sweep(trouble, Some(&groups("main", "a")), after, 3).await;
    assert!(seen.iter().all(|cloud| *cloud.gaps.lock().unwrap() == 0), "there was a time without a group");
    assert!(seen.iter().all(|cloud| cloud.groups().len() == 1));
}

#[tokio::test(start_paused = true)]
async fn a_power_cut_anywhere_in_a_replacement_leaves_a_group_and_then_the_new_one() {
    without_a_gap(CloudFaults::default(), &groups("main", "b")).await;
}

#[tokio::test(start_paused = true)]
async fn the_same_with_answers_that_are_lost() {
    let trouble = CloudFaults { lag: Duration::from_secs(20), lose_every: 2, ..CloudFaults::default() };
    without_a_gap(trouble, &groups("main", "b")).await;
}

#[tokio::test(start_paused = true)]
async fn the_same_with_another_name_in_the_file() {
    without_a_gap(CloudFaults::default(), &groups("other", "a")).await;
}

#[tokio::test(start_paused = true)]
async fn a_replacement_that_is_refused_leaves_the_old_one_as_it_was() {
    let (cloud, state) = (Cloud::new(CloudFaults::default()), Arc::new(MemoryState::default()));
    let _ = process(&cloud, &state, &groups("main", "a"), "one").await;
    let before = recorded(&state).await;
    cloud.trouble.lock().unwrap().refuse = Some("grouped");
    for run in ["two", "three"] {
        let (plan, outcome) = process(&cloud, &state, &groups("main", "typo"), run).await;
        let report = outcome.report();
        assert_eq!(plan.totals().replace, 1, "{plan:?}");
        assert!(matches!(outcome, Outcome::Partial(_)) && !report.changed(), "{outcome:?}");
        assert!(
            stopped_text(report).starts_with("nothing changed; 1 of 1 change left"),
            "{}",
            stopped_text(report)
        );
        assert_eq!(cloud.groups(), ["main"]);
        assert_eq!(recorded(&state).await.resources, before.resources);
    }
    let (plan, _) = process(&cloud, &state, &groups("main", "a"), "four").await;
    assert_eq!(plan.changes, [], "the file is as it was");
    cloud.trouble.lock().unwrap().refuse = None;
    let (_, outcome) = process(&cloud, &state, &groups("main", "b"), "five").await;
    assert!(matches!(&outcome, Outcome::Done(report) if report.done().replace == 1), "{outcome:?}");
    let name = recorded(&state).await.resources[&Address::from("group/main")].live["name"].clone();
    assert_eq!(json!(cloud.groups()), json!([name]));
    assert!(name.as_str().unwrap().starts_with("main-"), "{name}");
    let (_, outcome) = process(&cloud, &state, &Graph::default(), "six").await;
    assert!(matches!(outcome, Outcome::Done(_)) && cloud.count() == 0, "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_removed_stays_until_what_is_new_exists() {
    let (cloud, state) = (Cloud::new(CloudFaults::default()), Arc::new(MemoryState::default()));
    let _ = process(&cloud, &state, &alone("plain", &["old"], &json!({})), "one").await;
    cloud.trouble.lock().unwrap().refuse = Some("named");
    let after = alone("named", &["new"], &json!({}));
    let (_, outcome) = process(&cloud, &state, &after, "two").await;
    assert_eq!((cloud.count(), outcome.report().left(), outcome.report().changed()), (1, 2, false));
    assert!(recorded(&state).await.resources.contains_key(&Address::from("old")));
    cloud.trouble.lock().unwrap().refuse = None;
    let (_, outcome) = process(&cloud, &state, &after, "three").await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    assert_eq!(cloud.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_replacement_whose_second_half_fails_is_told() {
    let (cloud, state) = (Cloud::new(CloudFaults::default()), Arc::new(MemoryState::default()));
    let _ = process(&cloud, &state, &alone("named", &["one"], &json!({"type": "a"})), "one").await;
    cloud.trouble.lock().unwrap().refuse = Some("named");
    let after = alone("named", &["one"], &json!({"type": "b"}));
    let (_, outcome) = process(&cloud, &state, &after, "two").await;
    let report = outcome.report();
    assert!(report.changed(), "{report:?}");
    assert_eq!(
        stopped_text(report),
        "1 deleted, not created again: one; 1 of 1 change left; the state is saved: run again to resume"
    );
    let line = result_json(report);
    assert_eq!((&line["left"], &line["replace"], &line["changed"]), (&json!(1), &json!(0), &json!(true)));
    assert_eq!(line["notCreatedAgain"], json!(["one"]));
    // What an earlier run deleted is not drift.
    cloud.trouble.lock().unwrap().refuse = None;
    let (plan, outcome) = process(&cloud, &state, &after, "three").await;
    assert_eq!((plan.totals().create, plan.totals().drift), (1, 0));
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
}
