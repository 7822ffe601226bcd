//! What carries the stack's tags and is in no record: shown by `plan` and `status`, removed by `up`, unless somebody
//! asked to leave it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

mod common;

use common::World;
use serde_json::{Value, json};

const NETWORK: &str = "name: shop\nregion: eu-central-1\nnetwork: {nat: none, flowLogs: false}\n";

fn up() -> World {
    let world = World::new(NETWORK);
    world.run(&["sandbox", "start", "--time-scale", "600"]).with(0);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    world
}

/// Python that finds the stack's VPC and its tags.
const TAGS: &str = "ec2 = client('ec2')\n\
    vpc = ec2.describe_vpcs(Filters=[{'Name': 'tag:provisioner:stack', 'Values': ['shop']}])['Vpcs'][0]\n\
    tags = {t['Key']: t['Value'] for t in vpc['Tags'] if t['Key'].startswith('provisioner:')}\n\
    def listed(tags):\n    return [{'Key': k, 'Value': v} for k, v in tags.items()]\n";

fn counts(world: &World) -> Value {
    world.boto3(
        "ec2 = client('ec2')\nf = [{'Name': 'tag:provisioner:stack', 'Values': ['shop']}]\n\
         print(json.dumps({'vpcs': len(ec2.describe_vpcs(Filters=f)['Vpcs']),\n  \
         'addresses': len(ec2.describe_addresses(Filters=f)['Addresses']),\n  \
         'groups': [g['logGroupName'] for g in client('logs').describe_log_groups()['logGroups']]}))",
    )
}

#[test]
fn twins_and_unrecorded_things_are_shown_and_removed_by_the_next_up() {
    let world = up();
    // A twin at an address of the file; things of kinds that neither file nor state has; and things of others.
    world.boto3(&format!(
        "{TAGS}twin = ec2.create_vpc(CidrBlock='10.0.0.0/16', TagSpecifications=[{{'ResourceType': 'vpc', 'Tags': listed(tags)}}])\n\
         lost = dict(tags, **{{'provisioner:resource': 'network/nat-address'}})\n\
         ec2.allocate_address(Domain='vpc', TagSpecifications=[{{'ResourceType': 'elastic-ip', 'Tags': listed(lost)}}])\n\
         foreign = dict(lost, **{{'provisioner:lineage': 'another'}})\n\
         client('logs').create_log_group(logGroupName='/foreign', tags=foreign)\n\
         client('logs').create_log_group(logGroupName='/untagged')\nprint('null')"
    ));
    let plan = world.run(&["plan", "--sandbox", "--json", "--detailed-exitcode"]).with(2);
    let changes: Vec<(String, String)> =
        plan.lines("change").iter().map(|c| (text(&c["action"]), text(&c["kind"]))).collect();
    assert_eq!(
        changes,
        [("delete".into(), "elastic_ip".into()), ("delete".into(), "vpc".into())],
        "{}",
        plan.out
    );
    let status = world.run(&["status", "--sandbox"]).with(0);
    assert_eq!(status.out.matches("the next `up` removes it").count(), 2, "{}", status.out);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    assert_eq!(counts(&world), json!({"vpcs": 1, "addresses": 0, "groups": ["/foreign", "/untagged"]}));
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
}

#[test]
fn what_comes_while_up_is_at_work_is_removed_at_its_end() {
    let world = up();
    world.stack(&NETWORK.replace("nat: none", "nat: single"));
    // While the run waits for its NAT gateway, a create arrives that nobody waits for any more.
    world.configure(&json!({"timeScale": 600, "faults": [
        {"on": "ec2:CreateNatGateway", "kind": "hold_response", "times": 1}]}));
    let run = world.start(&["up", "--sandbox", "--yes"]);
    world.boto3(&format!(
        "{TAGS}import time\n\
         for _ in range(300):\n    \
         if ec2.describe_nat_gateways()['NatGateways']: break\n    time.sleep(0.1)\n\
         ec2.create_vpc(CidrBlock='10.0.0.0/16', TagSpecifications=[{{'ResourceType': 'vpc', 'Tags': listed(tags)}}])\n\
         urllib.request.urlopen(urllib.request.Request(e + '/_ext/release', b'', method='POST'))\nprint('null')"
    ));
    let ended = common::Ended::of(&run.wait_with_output().unwrap()).with(0);
    assert!(ended.err.contains("not in its state"), "{}", ended.err);
    assert_eq!(counts(&world)["vpcs"], 1);
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
}

#[test]
fn what_was_forgotten_is_left_by_up_and_removed_by_down() {
    let world = World::new(&NETWORK.replace(", flowLogs: false", ""));
    world.run(&["sandbox", "start", "--time-scale", "600"]).with(0);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    let address = "network/flow-log-group";
    world.run(&["state", "forget", address, "--sandbox", "--yes"]).with(0);
    world.stack(NETWORK);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    assert_eq!(counts(&world)["groups"].as_array().map(Vec::len), Some(1));
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    let status = world.run(&["status", "--sandbox"]).with(0);
    assert!(status.out.contains("it was forgotten by hand"), "{}", status.out);
    world.run(&["down", "--sandbox", "--yes"]).with(0);
    assert_eq!(counts(&world), json!({"vpcs": 0, "addresses": 0, "groups": []}));
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
