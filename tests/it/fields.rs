//! Every field of the file does something: its change shows in the plan, and its value reaches AWS, where boto3 looks.
//!
//! Each group of fields has a stack of its own. Its fields are changed one at a time and planned, each plan compared with
//! what this change alone should show; then all at once are made so, and AWS is asked for each value.

use crate::common::Provider;
use case::Case;
use serde_json::Value;

mod case;
mod cluster;
mod delivery;
mod existing;
mod fargate;
mod network;
mod nodes;
mod place;
mod schema;

#[test]
fn network_key_and_tags() {
    network::group().go();
}

#[test]
fn control_plane_people_and_addons() {
    cluster::group().go();
}

#[test]
fn node_groups() {
    nodes::group().go();
}

#[test]
fn fargate_profiles() {
    fargate::group().go();
}

#[test]
fn delivery() {
    delivery::group().go();
}

#[test]
fn a_network_that_is_there() {
    existing::group().go();
}

#[test]
fn name_region_and_state() {
    place::group().go();
}

/// Fields whose effect is all inside the objects of the cluster: `tests/it/application.rs`, `tests/it/app_settings.rs`. The other fields of `app` name
/// what is made in AWS, and have cases; but what `app.builder` calls is docker, podman or buildah: `tests/it/image.rs`.
const IN_THE_CLUSTER: &[&str] = &[
    "app.builder",
    "app.certificateArn",
    "app.command",
    "app.env",
    "app.health",
    "app.hosts",
    "app.manifests",
    "app.maxReplicas",
    "app.port",
    "app.replicas",
    "app.resources",
    "app.secrets",
];

/// Several applications have the fields of one, and images that exist need a registry: `tests/it/apps.rs`.
const SEVERAL: &[&str] = &["app.copy", "app.image", "app.name", "apps"];

/// Fields that say who calls: `tests/it/assumed_role.rs`.
const WHO_CALLS: &[&str] = &["externalId", "roleArn"];

#[test]
fn every_field_of_the_schema_has_a_case() {
    let world = Provider::new("");
    let schema: Value = serde_json::from_str(&world.run(&["schema"]).with(0).out).unwrap();
    let leaves = schema::leaves(&schema);
    let exempt = |path: &str, prefix: &str| {
        path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let elsewhere: Vec<&&str> = IN_THE_CLUSTER.iter().chain(SEVERAL).chain(WHO_CALLS).collect();
    for prefix in &elsewhere {
        assert!(leaves.iter().any(|leaf| exempt(&leaf.path, prefix)), "{prefix} is no field any more");
    }
    let groups = [
        cluster::group(),
        delivery::group(),
        existing::group(),
        fargate::group(),
        network::group(),
        nodes::group(),
        place::group(),
    ];
    let all = || groups.iter().flat_map(|group| &group.cases);
    let tried: Vec<(String, Value)> =
        all().filter(|case| case.says_something()).flat_map(Case::subject).collect();
    let reached: Vec<(String, Value)> =
        all().filter(|case| case.reaches_aws()).flat_map(Case::subject).collect();
    let silent: Vec<(String, Value)> =
        all().filter(|case| case.says_nothing()).flat_map(Case::subject).collect();
    // A word is tried as well where it is what a case changes.
    let first: Vec<(String, Value)> =
        groups.iter().flat_map(|group| schema::values("", &group.base())).collect();
    let mut without = Vec::new();
    for leaf in leaves.iter().filter(|leaf| !elsewhere.iter().any(|prefix| exempt(&leaf.path, prefix))) {
        let fits = |(path, _): &&(String, Value)| schema::fits(path, &leaf.path);
        let cases = tried.iter().filter(fits).count();
        let found = match &leaf.word {
            _ if leaf.neutral => cases == 0 && silent.iter().any(|it| fits(&it)),
            Some(word) => {
                cases > 0 && tried.iter().chain(&first).filter(fits).any(|(_, value)| value == word)
            }
            // One that takes a number or a text is there twice.
            None => cases >= leaves.iter().filter(|other| *other == leaf).count(),
        };
        if !found || !(leaf.neutral || reached.iter().any(|it| fits(&it))) {
            without.push(leaf);
        }
    }
    assert!(without.is_empty(), "fields without a case in tests/fields: {without:#?}");
}
