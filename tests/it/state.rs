//! `state`: history, rollback, pull, push, forget, import; each under the lease, each as one more version.

use crate::common::{Provider, example};
use serde_json::{Value, json};
use std::fs;

fn up(stack: &str) -> Provider {
    let world = Provider::new(stack);
    world.sandbox(600);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    world
}

const NETWORK: &str = "name: shop\nregion: eu-central-1\nnetwork: {nat: none}\n";

fn pull(world: &Provider) -> Value {
    serde_json::from_str(&world.run(&["state", "pull", "--sandbox"]).with(0).out).unwrap()
}

fn settled(world: &Provider) {
    let plan = world.run(&["plan", "--sandbox", "--json", "--detailed-exitcode"]).with(0);
    assert_eq!(plan.out.lines().count(), 1, "{}", plan.out);
}

/// Takes the state object away, as a person with the console can.
fn lose(world: &Provider) {
    world.boto3(
        "s3 = client('s3')\nbucket = s3.list_buckets()['Buckets'][0]['Name']\n\
         for v in s3.list_object_versions(Bucket=bucket)['Versions']:\n    \
         s3.delete_object(Bucket=bucket, Key=v['Key'], VersionId=v['VersionId'])\nprint('null')",
    );
}

#[test]
fn history_shows_every_version_and_rollback_makes_one_of_them_the_newest() {
    let world = up(NETWORK);
    let first = pull(&world);
    world.stack("name: shop\nregion: eu-central-1\nnetwork: {nat: none, flowLogs: false}\n");
    let lost = ["--replace", "network/flow-log-group", "--replace", "network/key"];
    world.run(&[&["up", "--sandbox", "--yes"], &lost[..]].concat()).with(0);
    let second = pull(&world);
    assert!(second["version"].as_u64() > first["version"].as_u64());

    let history = world.run(&["state", "history", "--sandbox", "--json", "--limit", "1000"]).with(0);
    let versions = history.lines("version");
    let numbers: Vec<u64> = versions.iter().map(|line| line["version"].as_u64().unwrap()).collect();
    let newest = second["version"].as_u64().unwrap();
    assert_eq!(numbers, (1..=newest).rev().collect::<Vec<_>>(), "a chain without a gap");
    assert_eq!(versions[0]["newest"], true);
    assert!(versions[0]["writer"]["by"].as_str().unwrap().contains("provisioner up"), "{}", versions[0]);
    let text = world.run(&["state", "history", "--sandbox", "--limit", "2"]).with(0);
    assert!(text.err.contains("for 90 days") && text.err.contains("the newest 100"), "{}", text.err);
    assert_eq!(text.out.lines().count(), 2, "{}", text.out);

    let refused = world.run(&["state", "rollback", "4711", "--sandbox", "--yes"]).with(3);
    assert!(refused.err.contains("state history"), "{}", refused.err);
    let number = first["version"].to_string();
    let refused = world.run(&["state", "rollback", &number, "--sandbox"]).with(3);
    assert!(refused.err.contains("--yes"), "{}", refused.err);
    let back = world.run(&["state", "rollback", &number, "--sandbox", "--yes"]).with(0);
    assert!(back.err.contains("+ network/flow-log"), "{}", back.err);
    let third = pull(&world);
    assert_eq!(third["resources"], first["resources"]);
    assert_eq!(third["version"].as_u64(), Some(newest + 1), "no version is written over");
    // AWS is as the file says; the records that came back without their things go again.
    let plan = world.run(&["plan", "--sandbox", "--json", "--detailed-exitcode"]).with(2);
    assert!(plan.lines("change").iter().all(|line| line["origin"] == "drift"), "{}", plan.out);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    settled(&world);
}

#[test]
fn a_lost_state_is_not_rebuilt_while_tags_were_copied() {
    let world = up(NETWORK);
    let copies = world.boto3(
        "ec2 = client('ec2')
stack = [{'Name': 'tag:provisioner:stack', 'Values': ['shop']}]
vpc = ec2.describe_vpcs(Filters=stack)['Vpcs'][0]
copy = ec2.create_vpc(CidrBlock='10.77.0.0/16')['Vpc']['VpcId']
ec2.create_tags(Resources=[copy], Tags=[t for t in vpc['Tags'] if not t['Key'].startswith('aws:')])
print(json.dumps([vpc['VpcId'], copy]))",
    );
    lose(&world);
    let import = &["state", "import", "--from-tags", "--sandbox", "--yes"];
    let refused = world.run(import).with(3);
    for id in copies.as_array().unwrap() {
        assert!(refused.err.contains(id.as_str().unwrap()), "{id}: {}", refused.err);
    }
    world.boto3(&format!(
        "client('ec2').delete_tags(Resources=[{}], Tags=[{{'Key': f'provisioner:{{key}}'}} for key in ('stack', 'lineage', \
         'resource', 'intent')]); print('null')",
        copies[1]
    ));
    world.run(import).with(0);
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    world.run(&["down", "--sandbox", "--yes"]).with(0);
    let left = world.boto3(
        "print(json.dumps([v['VpcId'] for v in client('ec2').describe_vpcs()['Vpcs'] if not v['IsDefault']]))",
    );
    assert_eq!(left, json!([copies[1]]));
}

#[test]
fn a_lost_state_is_rebuilt_from_tags_alone() {
    let world = up(&example("no-internet.yaml").replace("us-east-1", "eu-central-1"));
    let before = pull(&world);
    lose(&world);
    let import = world.run(&["state", "import", "--from-tags", "--sandbox", "--yes"]).with(0);
    assert!(import.err.contains("+ cluster/eks"), "{}", import.err);
    let after = pull(&world);
    let addresses =
        |state: &Value| -> Vec<String> { state["resources"].as_object().unwrap().keys().cloned().collect() };
    assert_eq!(addresses(&after), addresses(&before));
    assert_eq!(after["lineage"], before["lineage"]);
    settled(&world);
    let refused = world.run(&["state", "import", "--from-tags", "--sandbox", "--yes"]).with(3);
    assert!(refused.err.contains("--force"), "{}", refused.err);
    world.run(&["down", "--sandbox", "--yes"]).with(0);
}

#[test]
fn versions_that_a_lost_state_had_chosen_are_read_off_what_is_there() {
    let file = "name: shop\nregion: eu-central-1\nnetwork: {zones: 2}\ncluster: {version: \"1.33\"}\n\
        nodeGroups: [{name: main, instanceTypes: [t3.large]}]\n";
    let world = Provider::new(file);
    world.sandbox(60);
    world.configure(&json!({"timeScale": 600, "bottlerocket": "1.53.0-5a1c93d7"}));
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    // A file that names no version leaves the one that was chosen, and a newer release waits to be asked for.
    world.stack(&file.replace("cluster: {version: \"1.33\"}", "cluster: {}"));
    world.configure(&json!({"timeScale": 600}));
    settled(&world);
    lose(&world);
    world.run(&["state", "import", "--from-tags", "--sandbox", "--yes"]).with(0);
    settled(&world);
}

#[test]
fn what_is_forgotten_stays_in_aws_and_is_nobodys_to_remove() {
    let world = up(NETWORK);
    let refused = world.run(&["state", "forget", "network/vpcc", "--sandbox", "--yes"]).with(3);
    assert!(refused.err.contains("network/vpcc"), "{}", refused.err);
    world.run(&["state", "forget", "network/flow-log-group", "--sandbox", "--yes"]).with(0);
    let groups = "print(json.dumps(len(client('logs').describe_log_groups()['logGroups'])))";
    assert_eq!(world.boto3(groups), 1);
    assert!(pull(&world)["resources"].get("network/flow-log-group").is_none());
    // It carries the stack's tags and is in its file: the next run takes it up again, and makes no other.
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    assert_eq!(world.boto3(groups), 1);
    settled(&world);
}

#[test]
fn a_file_is_pushed_unless_the_state_moved_on() {
    let world = up(NETWORK);
    let path = |name: &str| world.path().join(name).display().to_string();
    fs::write(path("old.json"), world.run(&["state", "pull", "--sandbox"]).with(0).out).unwrap();
    world.run(&["state", "push", &path("old.json"), "--sandbox", "--yes"]).with(0);
    world.run(&["state", "push", &path("old.json"), "--sandbox", "--yes", "--json"]).with(3);
    let forced = world.run(&["state", "push", &path("old.json"), "--force", "--sandbox", "--yes"]).with(0);
    assert!(forced.err.contains("written"), "{}", forced.err);
    settled(&world);

    let text = fs::read_to_string(path("old.json")).unwrap();
    fs::write(path("edited.json"), text.replace("10.0.0.0/16", "10.9.0.0/16")).unwrap();
    let refused =
        world.run(&["state", "push", &path("edited.json"), "--force", "--sandbox", "--yes"]).with(3);
    assert!(refused.err.contains("integrity"), "{}", refused.err);
    world.stack("name: other\nregion: eu-central-1\nnetwork: {nat: none}\n");
    let refused = world.run(&["state", "push", &path("old.json"), "--sandbox", "--yes"]).with(3);
    assert!(refused.err.contains("belongs to stack shop"), "{}", refused.err);
}

#[test]
fn a_damaged_state_is_taken_back_to_a_sound_version() {
    let world = up(NETWORK);
    let sound = pull(&world)["version"].to_string();
    world.boto3(
        "s3 = client('s3')\nbucket = s3.list_buckets()['Buckets'][0]['Name']\n\
         o = s3.get_object(Bucket=bucket, Key='shop/state.json')\n\
         s3.put_object(Bucket=bucket, Key='shop/state.json', Body=o['Body'].read()[:1000], IfMatch=o['ETag'])\nprint('null')",
    );
    let refused = world.run(&["up", "--sandbox", "--yes"]).with(3);
    assert!(refused.err.contains("state history"), "{}", refused.err);
    let history = world.run(&["state", "history", "--sandbox", "--limit", "2"]).with(0);
    assert!(history.out.lines().next().unwrap().contains("invalid"), "{}", history.out);
    world.run(&["state", "rollback", &sound, "--sandbox", "--yes"]).with(0);
    // The one that cannot be read may have the next number.
    let sound: u64 = sound.parse().unwrap();
    assert_eq!(pull(&world)["version"].as_u64(), Some(sound + 2));
    settled(&world);
}
