//! `policy`: what it allows is enough for a stack's whole life, and no more than the program calls.

use crate::common::{Ended, Provider, example};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const SECRET: (&str, &str) = ("PLATFORM_TOKEN", "correct horse");

fn run(world: &Provider, args: &[&str]) -> Ended {
    Ended::of(&world.command(args).env(SECRET.0, SECRET.1).output().unwrap())
}

/// The stack's policy, and that of the caller that creates its backend.
fn policies(world: &Provider) -> [Value; 2] {
    [&["policy", "--sandbox"][..], &["policy", "--sandbox", "--bootstrap"]]
        .map(|args| serde_json::from_str(&run(world, args).with(0).out).unwrap())
}

/// The caller may do this and nothing else.
fn allow(world: &Provider, documents: &[Value]) {
    world.configure(&json!({"timeScale": 600, "callerPolicy": documents}));
}

fn actions(policy: &Value) -> BTreeSet<String> {
    let statements = policy["Statement"].as_array().unwrap();
    let actions = statements.iter().flat_map(|statement| statement["Action"].as_array().unwrap());
    actions.map(|action| action.as_str().unwrap().to_owned()).collect()
}

/// Up, a change, and down, each by a caller who has the policy of the file at hand and no other right.
fn lives(file: &str, edits: &[(&str, &str)]) {
    let world = Provider::new(&example(file));
    world.sandbox(600);
    allow(&world, &policies(&world));
    run(&world, &["up", "--sandbox", "--yes"]).with(0);
    let first = policies(&world)[0].clone();
    let text = edits.iter().fold(example(file), |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text.replace(from, to)
    });
    world.stack(&text);
    // What the new file no longer has is removed under the old file's policy. The backend is there: its rights are not
    // needed any more.
    let [second, bootstrap] = policies(&world);
    allow(&world, &[first, second.clone()]);
    run(&world, &["up", "--sandbox", "--yes"]).with(0);
    allow(&world, std::slice::from_ref(&second));
    run(&world, &["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    run(&world, &["status", "--sandbox"]).with(0);
    run(&world, &["down", "--sandbox", "--yes"]).with(0);
    allow(&world, &[second, bootstrap]);
    run(&world, &["down", "--sandbox", "--yes", "--backend"]).with(0);
}

#[test]
fn a_closed_stack_lives_on_its_policy() {
    lives("no-internet.yaml", &[("value: hello", "value: goodbye"), ("diskGiB: 40", "diskGiB: 60")]);
}

#[test]
fn a_stack_with_everything_lives_on_its_policy() {
    lives(
        "many-groups.yaml",
        &[
            ("{controller: {replicaCount: 2}}", "{controller: {replicaCount: 3}}"),
            ("  - name: tools\n    selectors:\n      - {namespace: tools}\n", ""),
            ("rotationDays: 180", "rotationDays: 365"),
            ("retentionDays: 400", "retentionDays: 30"),
            ("upgradePolicy: extended", "upgradePolicy: standard"),
            ("AmazonS3ReadOnlyAccess", "AmazonSQSReadOnlyAccess"),
        ],
    );
}

#[test]
fn one_right_less_is_one_denial_with_its_name() {
    let world = Provider::new("name: shop\nregion: eu-central-1\nnetwork: {nat: none}\n");
    world.sandbox(600);
    let [mut policy, bootstrap] = policies(&world);
    assert!(actions(&policy).contains("ec2:CreateSubnet"));
    for statement in policy["Statement"].as_array_mut().unwrap() {
        statement["Action"].as_array_mut().unwrap().retain(|action| action != "ec2:CreateSubnet");
    }
    allow(&world, &[policy, bootstrap]);
    let denied = run(&world, &["up", "--sandbox", "--yes"]).with(6);
    assert!(denied.err.contains("ec2:CreateSubnet"), "{}", denied.err);
}

#[test]
fn a_network_needs_no_rights_of_a_cluster_and_nothing_but_a_bootstrap_makes_a_bucket() {
    let world =
        Provider::new("name: shop\nregion: eu-central-1\naccount: \"123456789012\"\nnetwork: {nat: none}\n");
    let [policy, bootstrap] = [&["policy"][..], &["policy", "--bootstrap"]]
        .map(|args| serde_json::from_str::<Value>(&world.run(args).with(0).out).unwrap());
    let (network, backend) = (actions(&policy), actions(&bootstrap));
    assert!(
        !network.iter().any(|action| action.starts_with("eks:") || action.starts_with("ecr:")),
        "{network:?}"
    );
    assert!(backend.contains("s3:CreateBucket") && !network.contains("s3:CreateBucket"));
    let wild = |policy: &Value| {
        policy.to_string().contains("\"*:*\"") || policy.to_string().contains("\"Action\":\"*\"")
    };
    assert!(!wild(&policy) && !wild(&bootstrap));
}

#[test]
fn a_long_policy_is_written_in_files_that_iam_takes() {
    let world = Provider::new(
        &example("no-internet.yaml")
            .replace("region: us-east-1", "region: us-east-1\naccount: \"123456789012\""),
    );
    let whole = world.run(&["policy"]).with(0);
    assert!(whole.err.contains("6144"), "{}", whole.err);
    let whole: Value = serde_json::from_str(&whole.out).unwrap();
    let files = world.run(&["policy", "--out", "policies"]).with(0);
    let mut all = BTreeSet::new();
    for file in files.out.lines() {
        let text = std::fs::read_to_string(world.path().join(file)).unwrap();
        assert!(text.chars().filter(|character| !character.is_whitespace()).count() <= 6144, "{file}");
        all.extend(actions(&serde_json::from_str(&text).unwrap()));
    }
    assert!(files.out.lines().count() > 1);
    assert_eq!(all, actions(&whole));
}
