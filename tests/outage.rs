//! What a run stands on goes away in the middle: the bucket, the credentials. It ends with a sentence that says what to do,
//! and that is enough.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

mod common;

use common::World;
use serde_json::{Value, json};

const STACK: &str =
    "name: shop\nregion: eu-central-1\nnetwork: {zones: 2, nat: single}\nrepositories: [{name: shop/web}]\n";

fn world(faults: &Value) -> World {
    let world = World::new(STACK);
    world.run(&["sandbox", "start", "--time-scale", "600"]).with(0);
    world.configure(&json!({"timeScale": 600, "faults": faults}));
    world
}

fn calm(world: &World) {
    world.configure(&json!({"timeScale": 600}));
}

fn settled(world: &World) {
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    let twins = world.boto3(
        "ec2 = client('ec2')
print(json.dumps([len([v for v in ec2.describe_vpcs()['Vpcs'] if not v['IsDefault']]),
    len(ec2.describe_internet_gateways()['InternetGateways']), len(ec2.describe_addresses()['Addresses']),
    len([n for n in ec2.describe_nat_gateways()['NatGateways'] if n['State'] == 'available']),
    len([s for s in ec2.describe_subnets()['Subnets'] if not s['DefaultForAz']])]))",
    );
    assert_eq!(twins, json!([1, 1, 1, 1, 4]));
}

/// The file that the last run left when it could not write.
fn left(world: &World) -> String {
    let files = std::fs::read_dir(world.path().join("state/sandbox")).unwrap();
    let names = files.map(|entry| entry.unwrap().path());
    let mut unsaved: Vec<_> =
        names.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("unsaved-")).collect();
    assert_eq!(unsaved.len(), 1, "{unsaved:?}");
    unsaved.remove(0).display().to_string()
}

#[test]
fn a_bucket_out_of_reach_leaves_a_copy_that_can_be_pushed() {
    // The backend and the first steps are made; then the bucket takes no write any more.
    let world = world(&json!([{"on": "s3:PutObject", "kind": "lost_request", "skip": 6}]));
    let failed = world.run(&["up", "--sandbox", "--yes"]).with(6);
    assert!(failed.err.contains("state push"), "{}", failed.err);
    let path = left(&world);
    calm(&world);
    world.run(&["state", "push", &path, "--sandbox", "--yes"]).with(0);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    settled(&world);
}

#[test]
fn a_bucket_out_of_reach_needs_no_push_either() {
    let world = world(&json!([{"on": "s3:PutObject", "kind": "lost_request", "skip": 8}]));
    world.run(&["up", "--sandbox", "--yes"]).with(6);
    calm(&world);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    settled(&world);
}

#[test]
fn credentials_that_expire_half_way_are_named_and_renewed_ones_end_it() {
    let world = world(&json!([
        {"on": "*:*", "kind": "error", "code": "ExpiredToken", "status": 400, "skip": 120,
            "message": "The provided token has expired."}
    ]));
    let failed = world.run(&["up", "--sandbox", "--yes"]).with(6);
    assert!(failed.err.contains("ExpiredToken") && failed.err.contains("log in"), "{}", failed.err);
    calm(&world);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    settled(&world);
}

#[test]
fn without_a_lock_table_that_answers_nothing_begins() {
    let world = world(&json!([]));
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    world.stack(&STACK.replace("nat: single", "nat: none"));
    world.configure(&json!({"timeScale": 600, "faults": [
        {"on": "dynamodb:*", "kind": "error", "code": "AccessDeniedException", "status": 400, "message": "no"}]}));
    world.run(&["up", "--sandbox", "--yes"]).with(7);
    calm(&world);
    let gateways = world.boto3(
        "print(json.dumps([n['State'] for n in client('ec2').describe_nat_gateways()['NatGateways']]))",
    );
    assert_eq!(gateways, json!(["available"]));
}
