//! What carries the stack's tags and is in no record: reported by `plan` and `status`, and deleted only if the state proves
//! that it is the stack's, or a person says so.

use crate::common::Provider;
use serde_json::{Value, json};

const NETWORK: &str = "name: shop\nregion: eu-central-1\nnetwork: {nat: none, flowLogs: false}\n";

fn up() -> Provider {
    let world = Provider::new(NETWORK);
    world.sandbox(600);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    world
}

/// Python that finds the stack's VPC and its tags.
const TAGS: &str = "ec2 = client('ec2')\n\
    vpc = ec2.describe_vpcs(Filters=[{'Name': 'tag:provisioner:stack', 'Values': ['shop']}])['Vpcs'][0]\n\
    tags = {t['Key']: t['Value'] for t in vpc['Tags'] if t['Key'].startswith('provisioner:')}\n\
    def listed(tags):\n    return [{'Key': k, 'Value': v} for k, v in tags.items()]\n";

fn counts(world: &Provider) -> Value {
    world.boto3(
        "ec2 = client('ec2')\nf = [{'Name': 'tag:provisioner:stack', 'Values': ['shop']}]\n\
         print(json.dumps({'vpcs': len(ec2.describe_vpcs(Filters=f)['Vpcs']),\n  \
         'addresses': len(ec2.describe_addresses(Filters=f)['Addresses']),\n  \
         'groups': [g['logGroupName'] for g in client('logs').describe_log_groups()['logGroups']]}))",
    )
}

#[test]
fn twins_and_unrecorded_things_are_reported_and_left() {
    let world = up();
    // A twin at an address of the file; things of kinds that neither file nor state has; and things of others. Anyone who
    // may write tags could have tagged them.
    world.boto3(&format!(
        "{TAGS}twin = ec2.create_vpc(CidrBlock='10.0.0.0/16', TagSpecifications=[{{'ResourceType': 'vpc', 'Tags': listed(tags)}}])\n\
         lost = dict(tags, **{{'provisioner:resource': 'network/nat-address'}})\n\
         ec2.allocate_address(Domain='vpc', TagSpecifications=[{{'ResourceType': 'elastic-ip', 'Tags': listed(lost)}}])\n\
         foreign = dict(lost, **{{'provisioner:lineage': 'another'}})\n\
         client('logs').create_log_group(logGroupName='/foreign', tags=foreign)\n\
         client('logs').create_log_group(logGroupName='/untagged')\nprint('null')"
    ));
    let plan = world.run(&["plan", "--sandbox", "--json", "--detailed-exitcode"]).with(0);
    let strays = plan.lines("stray");
    let kinds: Vec<String> = strays.iter().map(|stray| text(&stray["kind"])).collect();
    assert_eq!(kinds, ["elastic_ip", "vpc"], "{}", plan.out);
    let status = world.run(&["status", "--sandbox"]).with(0);
    assert_eq!(status.out.matches("provisioner state import").count(), 2, "{}", status.out);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    let all = json!({"vpcs": 2, "addresses": 1, "groups": ["/foreign", "/untagged"]});
    assert_eq!(counts(&world), all);
    // `down` needs a person to say that they are its own, and keeps the state for that.
    let down = world.run(&["down", "--sandbox", "--yes"]).with(6);
    assert!(down.err.contains("network/nat-address") && down.err.contains("state import"), "{}", down.err);
    assert_eq!(counts(&world), json!({"vpcs": 1, "addresses": 1, "groups": ["/foreign", "/untagged"]}));
    for stray in strays {
        let (address, id) = (text(&stray["address"]), text(&stray["id"]));
        // The twin is alone at its address by now.
        let address = address.split('#').next().unwrap();
        world.stack("name: shop\nregion: eu-central-1\n");
        world.run(&["state", "import", address, &id, "--sandbox", "--yes"]).with(0);
    }
    world.run(&["down", "--sandbox", "--yes"]).with(6);
    assert_eq!(counts(&world), json!({"vpcs": 0, "addresses": 0, "groups": ["/foreign", "/untagged"]}));
}

#[test]
fn what_comes_while_up_is_at_work_is_reported_at_its_end() {
    let world = up();
    world.stack(&NETWORK.replace("nat: none", "nat: single"));
    // While the run waits for its NAT gateway, a create arrives that this run did not send.
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
    crate::common::Ended::of(&run.wait_with_output().unwrap()).with(0);
    assert_eq!(counts(&world)["vpcs"], 2);
    let plan = world.run(&["plan", "--sandbox", "--json", "--detailed-exitcode"]).with(0);
    assert_eq!(plan.lines("stray").len(), 1, "{}", plan.out);
}

#[test]
fn what_was_forgotten_is_left_by_up_and_removed_by_down() {
    let world = Provider::new(&NETWORK.replace(", flowLogs: false", ""));
    world.sandbox(600);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    let address = "network/flow-log-group";
    world.run(&["state", "forget", address, "--sandbox", "--yes"]).with(0);
    world.stack(NETWORK);
    world.run(&["up", "--sandbox", "--yes", "--replace", "network/key"]).with(0);
    assert_eq!(counts(&world)["groups"].as_array().map(Vec::len), Some(1));
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    let status = world.run(&["status", "--sandbox"]).with(0);
    assert!(status.out.contains("it was removed with `provisioner state forget`"), "{}", status.out);
    world.run(&["down", "--sandbox", "--yes"]).with(0);
    assert_eq!(counts(&world), json!({"vpcs": 0, "addresses": 0, "groups": []}));
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
