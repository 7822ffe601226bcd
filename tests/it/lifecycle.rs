//! The main job, with the real binary on the sandbox: a network is created, compared, repaired, deleted.

use crate::common::{Ended, Provider, until};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const NETWORK: &str = "name: shop\nregion: eu-central-1\nnetwork: {nat: none}\n";

/// How many things there are that a stack could have left, by kind.
const CENSUS: &str = "
ec2 = client('ec2')
print(json.dumps({
    'vpcs': len([v for v in ec2.describe_vpcs()['Vpcs'] if not v['IsDefault']]),
    'subnets': len([s for s in ec2.describe_subnets()['Subnets'] if not s['DefaultForAz']]),
    'gateways': len(ec2.describe_internet_gateways()['InternetGateways']),
    'nat': len([n for n in ec2.describe_nat_gateways()['NatGateways'] if n['State'] != 'deleted']),
    'addresses': len(ec2.describe_addresses()['Addresses']),
    'endpoints': len(ec2.describe_vpc_endpoints()['VpcEndpoints']),
    'groups': len([g for g in ec2.describe_security_groups()['SecurityGroups'] if g['GroupName'] != 'default']),
    'interfaces': len(ec2.describe_network_interfaces()['NetworkInterfaces']),
    'flowLogs': len(ec2.describe_flow_logs()['FlowLogs']),
    'logGroups': len(client('logs').describe_log_groups()['logGroups']),
    'roles': len([r for r in client('iam').list_roles()['Roles'] if 'shop' in r['RoleName']]),
}))";

fn none_left(census: &Value) -> bool {
    census.as_object().unwrap().values().all(|count| count == 0)
}

#[test]
fn a_network_is_created_compared_repaired_and_deleted() {
    let world = Provider::new(NETWORK);
    let plan = world.run(&["plan", "--sandbox", "--json", "--detailed-exitcode"]).with(2);
    let created = plan.lines("change").len();
    assert_eq!(plan.lines("summary")[0]["create"], created);
    world.run(&["up", "--sandbox", "--yes"]).with(0);

    // Unchanged: no line but the summary, and no exit code but 0.
    let plan = world.run(&["plan", "diff", "--sandbox", "--json", "--detailed-exitcode"]).with(0);
    assert_eq!(plan.out.lines().count(), 1, "{}", plan.out);
    let text = world.run(&["plan", "--sandbox"]).with(0);
    assert_eq!((text.out.as_str(), text.err.lines().count()), ("", 1), "{}", text.err);

    // The AWS CLI sees what the file says.
    let vpcs = world.aws(&["ec2", "describe-vpcs", "--filters", "Name=tag:provisioner:stack,Values=shop"]);
    assert_eq!(vpcs["Vpcs"][0]["CidrBlock"], "10.0.0.0/16");
    let vpc = vpcs["Vpcs"][0]["VpcId"].as_str().unwrap().to_owned();

    // Everything that can carry tags carries the three.
    let bare = world.boto3(&format!(
        "
ec2, keys = client('ec2'), {{'provisioner:stack', 'provisioner:resource', 'provisioner:lineage'}}
here = [{{'Name': 'vpc-id', 'Values': ['{vpc}']}}]
groups = ec2.describe_security_groups(Filters=here)['SecurityGroups']
rules = [{{'Name': 'group-id', 'Values': [group['GroupId'] for group in groups]}}]
things = [*groups, *ec2.describe_subnets(Filters=here)['Subnets'], *ec2.describe_vpc_endpoints(Filters=here)['VpcEndpoints'],
    *[t for t in ec2.describe_route_tables(Filters=here)['RouteTables'] if not any(a['Main'] for a in t['Associations'])],
    *ec2.describe_security_group_rules(Filters=rules)['SecurityGroupRules'],
    *ec2.describe_internet_gateways()['InternetGateways'], *ec2.describe_flow_logs()['FlowLogs']]
assert len(things) > 20, things
print(json.dumps([t for t in things if keys - {{tag['Key'] for tag in t.get('Tags', [])}}], default=str))"
    ));
    assert_eq!(bare, json!([]));

    // A rule removed, and one added, behind its back.
    let group =
        world.aws(&["ec2", "describe-security-groups", "--filters", "Name=group-name,Values=shop-endpoints"]);
    let group = group["SecurityGroups"][0]["GroupId"].as_str().unwrap().to_owned();
    let rules = world.aws(&[
        "ec2",
        "describe-security-group-rules",
        "--filters",
        &format!("Name=group-id,Values={group}"),
    ]);
    assert_eq!(
        rules["SecurityGroupRules"].as_array().unwrap().len(),
        1,
        "the allow-all of AWS is taken out: {rules}"
    );
    let rule = rules["SecurityGroupRules"][0]["SecurityGroupRuleId"].as_str().unwrap();
    world.aws(&[
        "ec2",
        "revoke-security-group-ingress",
        "--group-id",
        &group,
        "--security-group-rule-ids",
        rule,
    ]);
    let ssh = ["--protocol", "tcp", "--port", "22", "--cidr", "0.0.0.0/0"];
    world.aws(&[&["ec2", "authorize-security-group-ingress", "--group-id", &group][..], &ssh].concat());
    let plan = world.run(&["plan", "diff", "--sandbox", "--json", "--detailed-exitcode"]).with(2);
    let drift: BTreeMap<String, String> = plan
        .lines("change")
        .iter()
        .map(|line| {
            (line["address"].as_str().unwrap().to_owned(), format!("{} {}", line["action"], line["origin"]))
        })
        .collect();
    let expected = [
        ("network/security-group-rule/endpoints-https", "\"create\" \"drift\""),
        ("network/security-group/endpoints", "\"update\" \"drift\""),
    ];
    assert_eq!(drift, expected.map(|(a, b)| (a.to_owned(), b.to_owned())).into());
    let status = world.run(&["status", "--sandbox"]).with(0);
    assert!(
        status.out.contains("drift network/security-group-rule/endpoints-https: deleted outside provisioner"),
        "{}",
        status.out
    );
    let up = world.run(&["up", "--sandbox", "--yes", "--json"]).with(0);
    assert_eq!(up.lines("result")[0]["create"], 1);
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);

    let shown = world.run(&["state", "show", "network/vpc", "--sandbox"]).with(0);
    assert!(shown.out.contains(&vpc), "{}", shown.out);
    assert_eq!(world.run(&["state", "list", "--sandbox"]).with(0).out.lines().count(), created - 3);

    let down = world.run(&["down", "--sandbox", "--yes"]).with(0);
    assert!(down.err.contains("proof: a query for the tag provisioner:stack=shop"), "{}", down.err);
    let census = world.boto3(CENSUS);
    assert!(none_left(&census), "{census}");
    world.run(&["down", "--sandbox", "--yes"]).with(0);

    // The same name again is another stack.
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    world.run(&["down", "--sandbox", "--yes", "--backend"]).with(0);
    assert!(none_left(&world.boto3(CENSUS)));
    assert_eq!(world.boto3("print(json.dumps(len(client('s3').list_buckets()['Buckets'])))"), 0);
}

#[test]
fn nat_gateways_come_and_go_and_nothing_else_moves() {
    let stack = |nat: &str| {
        format!(
            "name: shop\nregion: eu-central-1\nnetwork:\n  nat: {nat}\n  endpoints: [s3]\n  flowLogs: false\n"
        )
    };
    let world = Provider::new(&stack("none"));
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    let changes = |nat: &str| {
        world.stack(&stack(nat));
        let plan = world.run(&["plan", "--sandbox", "--json"]).with(0);
        let summary = plan.lines("summary")[0].clone();
        world.run(&["up", "--sandbox", "--yes"]).with(0);
        world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
        ["create", "update", "replace", "delete"].map(|field| summary[field].as_u64().unwrap())
    };
    // An address, a gateway and three routes; two more of each gateway; and back.
    assert_eq!(changes("single"), [5, 0, 0, 0]);
    assert_eq!(changes("per-zone"), [4, 2, 0, 0]);
    assert_eq!(changes("single"), [0, 2, 0, 4]);
    assert_eq!(changes("none"), [0, 0, 0, 5]);
    let census = world.boto3(CENSUS);
    assert_eq!((&census["nat"], &census["addresses"]), (&json!(0), &json!(0)));
}

#[test]
fn a_second_up_is_told_who_holds_the_lease_and_a_dead_one_is_taken_over() {
    let world = Provider::new(NETWORK);
    // Slow enough to be met at work.
    world.sandbox(8);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    world.stack("name: shop\nregion: eu-central-1\nnetwork: {nat: per-zone}\n");
    let mut first = world.start(&["up", "--sandbox", "--yes"]);
    let lease = "print(json.dumps(client('dynamodb').get_item(TableName='provisioner-lock', \
        Key={'stack': {'S': 'shop'}}, ConsistentRead=True).get('Item', {})))";
    until("the lease is taken", || !world.boto3(lease)["owner"].is_null());
    let second = world.run(&["up", "--sandbox", "--yes"]).with(4);
    assert!(
        second.err.contains(&format!("pid {}", first.id())) && second.err.contains("state unlock"),
        "{}",
        second.err
    );
    first.kill().unwrap();
    first.wait().unwrap();
    let third = world.run(&["up", "--sandbox", "--yes"]).with(0);
    assert!(third.err.contains("taking over from"), "{}", third.err);
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    let census = world.boto3(CENSUS);
    assert_eq!((&census["nat"], &census["addresses"], &census["vpcs"]), (&json!(3), &json!(3), &json!(1)));
}

#[test]
fn two_first_runs_at_once_make_one_backend_and_one_stack() {
    let world = Provider::new("name: shop\nregion: eu-central-1\nnetwork: {nat: none, flowLogs: false}\n");
    world.sandbox(8);
    let mut both = [world.start(&["up", "--sandbox", "--yes"]), world.start(&["up", "--sandbox", "--yes"])];
    let codes = both.each_mut().map(|run| run.wait().unwrap().code());
    assert!(codes.contains(&Some(0)) && codes.iter().all(|code| matches!(code, Some(0 | 4))), "{codes:?}");
    let keys = "print(json.dumps(len(client('kms').list_keys()['Keys'])))";
    assert_eq!((&world.boto3(CENSUS)["vpcs"], &world.boto3(keys)), (&json!(1), &json!(1)));
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
}

#[test]
fn an_unchanged_plan_takes_few_calls_and_no_more_for_more_resources() {
    let world = Provider::new(NETWORK);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    let few = world.calls(&["plan", "--sandbox"]);
    // Fourteen of them look at the backend.
    assert!(few.len() <= 40, "{} calls: {few:?}", few.len());
    world.boto3(
        "
ec2 = client('ec2')
vpc = ec2.describe_vpcs(Filters=[{'Name': 'tag:provisioner:stack', 'Values': ['shop']}])['Vpcs'][0]['VpcId']
tags = lambda n: [{'ResourceType': 'subnet', 'Tags': [{'Key': 'provisioner:stack', 'Value': 'shop'},
    {'Key': 'provisioner:resource', 'Value': 'network/subnet/extra-%d' % n}]}]
for n in range(40):
    ec2.create_subnet(VpcId=vpc, CidrBlock='10.0.%d.%d/28' % (224 + n // 16, n % 16 * 16), TagSpecifications=tags(n))
print('null')",
    );
    let many = world.calls(&["plan", "--sandbox"]);
    assert_eq!(many.len(), few.len(), "{many:?}");
}

#[test]
fn an_existing_network_is_changed_by_its_role_tags_alone() {
    let world = Provider::new(NETWORK);
    world.sandbox(60);
    let made = world.boto3(
        "
ec2 = client('ec2')
vpc = ec2.create_vpc(CidrBlock='10.9.0.0/16')['Vpc']['VpcId']
subnet = lambda n: ec2.create_subnet(VpcId=vpc, CidrBlock='10.9.%d.0/24' % n)['Subnet']['SubnetId']
subnets = [subnet(n) for n in range(3)]
ec2.create_tags(Resources=subnets[:1], Tags=[{'Key': 'kubernetes.io/role/internal-elb', 'Value': '1'}])
print(json.dumps([vpc, *subnets]))",
    );
    let id = |index: usize| made[index].as_str().unwrap();
    world.stack(&format!(
        "name: shop\nregion: eu-central-1\nnetwork:\n  existing:\n    vpcId: {}\n    privateSubnetIds: [{}, {}]\n    publicSubnetIds: [{}]\n",
        id(0),
        id(1),
        id(2),
        id(3)
    ));
    let tags = "print(json.dumps([sorted(t['Key'] for t in s.get('Tags', [])) for s in client('ec2').describe_subnets(\
        Filters=[{'Name': 'cidr-block', 'Values': ['10.9.0.0/24', '10.9.1.0/24', '10.9.2.0/24']}])['Subnets']]))";
    let before = world.boto3(tags);
    let up = world.run(&["up", "--sandbox", "--yes", "--json"]).with(0);
    assert_eq!(up.lines("result")[0]["create"], 6, "three subnets' tags and the backend");
    let after = world.boto3(tags);
    assert!(after.to_string().contains("kubernetes.io/role/elb"), "{after}");
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    world.run(&["down", "--sandbox", "--yes"]).with(0);
    assert_eq!(world.boto3(tags), before, "the tag that was there stays, the others go");
}

#[test]
fn an_interrupted_run_saves_and_the_next_one_ends_it() {
    let world = Provider::new("name: shop\nregion: eu-central-1\nnetwork: {nat: single}\n");
    world.sandbox(10);
    let mut first = world.start(&["up", "--sandbox", "--yes"]);
    let pending =
        "print(json.dumps([n['State'] for n in client('ec2').describe_nat_gateways()['NatGateways']]))";
    until("the gateway is pending", || world.boto3(pending) == json!(["pending"]));
    let pid = rustix::process::Pid::from_raw(i32::try_from(first.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(first.wait().unwrap().code(), Some(5));
    let status = world.run(&["status", "--sandbox"]).with(0);
    assert!(status.out.contains("lock: free") && status.out.contains("unfinished"), "{}", status.out);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    assert_eq!(world.boto3(CENSUS)["nat"], 1);
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_called_that_writes() {
    let world = Provider::new(NETWORK);
    let refused = world.run(&["up", "--sandbox"]).with(3);
    assert!(refused.err.contains("--yes"), "{}", refused.err);
    world.stack("name: shop\nregion: eu-central-1\nnetwork: {zones: [eu-central-1a, eu-central-1z]}\n");
    let refused = world.run(&["plan", "--sandbox"]).with(3);
    assert!(
        refused.err.contains("stack.yaml:3:34") && refused.err.contains("eu-central-1b"),
        "{}",
        refused.err
    );
    world.stack("name: shop\nregion: eu-central-1\naccount: \"999999999999\"\nnetwork: {}\n");
    world.run(&["up", "--sandbox", "--yes"]).with(3);
    world.stack("name: shop\nregion: eu-central-1\ncluster: {version: \"1.12\"}\n");
    let refused = world.run(&["plan", "--sandbox"]).with(3);
    assert!(refused.err.contains("1.12"), "{}", refused.err);
    world.stack("name: shop\nregion: eu-central-1\nprotect: true\nnetwork: {}\n");
    world.run(&["down", "--sandbox", "--yes"]).with(3);
    world.run(&["plan", "--stack", "nowhere.yaml"]).with(3);
    world.run(&["plan", "--frobnicate"]).with(3);
    let made = world.boto3("print(json.dumps(len(client('s3').list_buckets()['Buckets'])))");
    assert_eq!(made, 0);
}

#[test]
fn a_saved_plan_is_applied_exactly_or_not_at_all() {
    let world = Provider::new(NETWORK);
    world.run(&["plan", "--sandbox", "--out", "plan.json"]).with(0);
    world.run(&["up", "plan.json", "--sandbox", "--yes"]).with(0);
    let refused = world.run(&["up", "plan.json", "--sandbox", "--yes"]).with(3);
    assert!(refused.err.contains("no longer holds"), "{}", refused.err);
}

#[test]
fn it_is_small_and_starts_at_once() {
    let world = Provider::new(NETWORK);
    world.sandbox(60);
    let code = "
import json, resource, subprocess, sys
run = lambda *words: subprocess.run([sys.argv[1], *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
for _ in range(10):
    run('--version')
used = resource.getrusage(resource.RUSAGE_CHILDREN)
run('up', '--sandbox', '--yes')
print(json.dumps([(used.ru_utime + used.ru_stime) * 100, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024]))";
    // A Python of its own: a process is as large as the one that it is forked from.
    let mut witness = std::process::Command::new(crate::common::python());
    witness.args(["-c", code, env!("CARGO_BIN_EXE_provisioner")]).current_dir(world.path());
    let said = Ended::of(&witness.output().unwrap()).with(0);
    let (milliseconds, megabytes): (f64, f64) = serde_json::from_str(&said.out).unwrap();
    println!("--version {milliseconds:.1} ms of a processor, up {megabytes:.0} MB");
    // Without optimisation the program is eight times as large, and all of it is mapped at the start.
    let most = if cfg!(debug_assertions) { 80.0 } else { 20.0 };
    assert!(milliseconds < most && megabytes < 100.0, "{milliseconds} ms, {megabytes} MB");
}
