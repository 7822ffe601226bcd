//! Updates that EKS carries out after its answer, judged by how they end; deletions that fail afterwards; and versions and
//! sizes that moved on in the account. EKS's own record of updates and the log of calls are the witnesses.

use crate::common::{Ended, Provider, until};
use serde_json::{Value, json};

const SCALE: u32 = 600;
const EVICTION: &str = "Reached max retries while trying to evict pods from nodes in node group main";

/// A stack with these fields of its node group and these of the file.
fn stack(group: &str, rest: &str) -> String {
    format!(
        "name: shop\nregion: eu-central-1\nnetwork: {{zones: 2}}\n\
         nodeGroups: [{{name: main, instanceTypes: [t3.large]{group}}}]\n{rest}"
    )
}

fn up(stack: &str, config: &Value) -> Provider {
    let world = Provider::new(stack);
    world.sandbox(SCALE);
    configure(&world, config);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    world
}

fn configure(world: &Provider, config: &Value) {
    let mut all = config.clone();
    all["timeScale"] = all.get("timeScale").cloned().unwrap_or(json!(SCALE));
    world.configure(&all);
}

fn health(on: &str, status: &str, code: &str, message: &str, resources: &[&str]) -> Value {
    json!({"health": [{"on": on, "status": status, "code": code, "message": message, "resourceIds": resources}]})
}

fn eviction() -> Value {
    let node = "ip-10-0-0-7.eu-central-1.compute.internal";
    health("nodegroup/main", "UPDATE_FAILED", "PodEvictionFailure", EVICTION, &[node])
}

fn error(run: &Ended, address: &str) -> Value {
    let errors = run.lines("error");
    errors.into_iter().find(|line| line["address"] == address).unwrap_or_else(|| panic!("{}", run.out))
}

/// How many calls of each of these actions the log has.
fn calls<const N: usize>(world: &Provider, actions: [&str; N]) -> [usize; N] {
    let log = world.boto3("print(urllib.request.urlopen(e + '/_ext/log').read().decode())");
    let log = log.as_array().unwrap();
    actions.map(|action| log.iter().filter(|call| call["action"] == action).count())
}

/// EKS's own record of the updates of a resource: type, status and codes, oldest first.
fn record(world: &Provider, of: &str) -> Value {
    world.boto3(&format!(
        "eks = client('eks')\nfound = [eks.describe_update(name='shop', updateId=u{of})['update'] \
         for u in eks.list_updates(name='shop'{of})['updateIds']]\n\
         print(json.dumps([[u['type'], u['status'], [x['errorCode'] for x in u['errors']]] for u in found]))"
    ))
}

/// Nothing differs, and `up` changes nothing.
#[track_caller]
fn settled(world: &Provider) {
    let plan = world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    assert!(!plan.out.contains("note:"), "{}", plan.out);
}

#[test]
fn a_node_group_update_that_fails_is_sent_once_and_its_reason_reported() {
    let world = up(&stack(", diskGiB: 20", ""), &json!({}));
    configure(&world, &eviction());
    world.stack(&stack(", diskGiB: 40", ""));
    let failed = world.run(&["up", "--sandbox", "--yes", "--json"]).with(6);
    let said = error(&failed, "cluster/node-group/main");
    assert_eq!((&said["code"], &said["left"]), (&json!("PodEvictionFailure"), &json!("changed")));
    let message = said["message"].as_str().unwrap();
    for part in ["PodEvictionFailure", EVICTION, "ip-10-0-0-7.eu-central-1.compute.internal"] {
        assert!(message.contains(part), "{part} in {message}");
    }
    let hint = said["hint"].as_str().unwrap();
    assert!(hint.contains("PodDisruptionBudget") && hint.contains("forceUpdate"), "{hint}");
    assert_eq!(calls(&world, ["UpdateNodegroupVersion"]), [1]);
    let updates = json!([["VersionUpdate", "Failed", ["PodEvictionFailure"]]]);
    assert_eq!(record(&world, ", nodegroupName='main'"), updates);

    // The next run sends it, once, and says the same as text, with the address once.
    let failed = world.run(&["up", "--sandbox", "--yes"]).with(6);
    assert!(failed.err.contains("error: cluster/node-group/main: update failed: PodEv"), "{}", failed.err);
    assert!(failed.err.contains("left behind: it stands as before, or changed in part"), "{}", failed.err);
    assert_eq!(calls(&world, ["UpdateNodegroupVersion"]), [2]);

    // The word that ends the pods is plan-neutral, and the update then succeeds.
    world.stack(&stack(", diskGiB: 40, forceUpdate: true", ""));
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    assert_eq!(calls(&world, ["UpdateNodegroupVersion"]), [3]);
    settled(&world);
    world.stack(&stack(", diskGiB: 40", ""));
    settled(&world);
}

#[test]
fn an_update_that_fails_for_a_cause_of_aws_is_sent_once_more() {
    let world = up(&stack("", ""), &json!({}));
    let fault = |times: u32| {
        json!({"faults": [{"on": "eks:UpdateNodegroup*", "kind": "update_fails", "times": times,
            "code": "InternalFailure", "message": "try again"}]})
    };
    configure(&world, &fault(1));
    world.stack(&stack(", labels: {a: b}", ""));
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    let of = ", nodegroupName='main'";
    let failed = json!(["ConfigUpdate", "Failed", ["InternalFailure"]]);
    assert_eq!(record(&world, of), json!([failed, ["ConfigUpdate", "Successful", []]]));
    settled(&world);

    configure(&world, &fault(9));
    world.stack(&stack(", labels: {a: c}", ""));
    let run = world.run(&["up", "--sandbox", "--yes", "--json"]).with(6);
    assert_eq!(error(&run, "cluster/node-group/main")["code"], "InternalFailure");
    assert_eq!(record(&world, of).as_array().unwrap().len(), 4, "twice, and no more");
}

#[test]
fn a_run_that_was_killed_leaves_its_update_to_the_next_one() {
    let world = up(&stack(", diskGiB: 20", ""), &json!({}));
    configure(&world, &json!({"timeScale": 0.1}));
    world.stack(&stack(", diskGiB: 40", ""));
    let mut child = world.start(&["up", "--sandbox", "--yes"]);
    let update = |world: &Provider| {
        let state = world.run(&["state", "pull", "--sandbox"]).with(0);
        let state: Value = serde_json::from_str(&state.out).unwrap();
        (state["resources"]["cluster/node-group/main"]["update"].clone(), state["schema"].clone())
    };
    until("the update is in the state", || !update(&world).0.is_null());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(update(&world).1, 2, "an older program says that it cannot read this");

    configure(&world, &eviction());
    // Nothing was changed by the run that reports it.
    let failed = world.run(&["up", "--sandbox", "--yes", "--json"]).with(1);
    let said = error(&failed, "cluster/node-group/main");
    assert!(said["message"].as_str().unwrap().contains(EVICTION), "{said}");
    assert_eq!(calls(&world, ["UpdateNodegroupVersion"]), [1], "the second run follows and sends none");
    assert_eq!(update(&world), (Value::Null, json!(1)));
    configure(&world, &json!({}));
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    assert_eq!(calls(&world, ["UpdateNodegroupVersion"]), [2]);
    settled(&world);
}

#[test]
fn updates_of_cluster_and_add_on_fail_with_their_reason_and_are_corrected_later() {
    let world = up(&stack("", ""), &json!({}));
    configure(
        &world,
        &health("cluster", "UPDATE_FAILED", "IpNotAvailable", "no address left", &["subnet-1"]),
    );
    world.stack(&stack("", "cluster: {logging: {types: [api]}}\n"));
    let failed = world.run(&["up", "--sandbox", "--yes", "--json"]).with(6);
    let message = error(&failed, "cluster/eks")["message"].as_str().unwrap().to_owned();
    assert!(message.contains("IpNotAvailable: no address left (subnet-1)"), "{message}");
    assert_eq!(record(&world, ""), json!([["LoggingUpdate", "Failed", ["IpNotAvailable"]]]));
    configure(&world, &json!({}));
    world.run(&["up", "--sandbox", "--yes"]).with(0);

    configure(&world, &health("addon/vpc-cni", "UPDATE_FAILED", "ConfigurationConflict", "conflict", &[]));
    let configured = "cluster: {logging: {types: [api]}, addons: [{name: vpc-cni, configuration: {env: {WARM_ENI_TARGET: \"1\"}}}]}\n";
    world.stack(&stack("", configured));
    let failed = world.run(&["up", "--sandbox", "--yes", "--json"]).with(6);
    assert_eq!(error(&failed, "cluster/addon/vpc-cni")["code"], "ConfigurationConflict");
    assert_eq!(calls(&world, ["UpdateAddon"]), [1]);
    // The add-on is UPDATE_FAILED by now, which only another update cures.
    configure(&world, &json!({}));
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    assert_eq!(calls(&world, ["UpdateAddon"]), [2]);
    settled(&world);
}

#[test]
fn a_deletion_that_fails_is_repeated_told_and_ended() {
    let two = "name: shop\nregion: eu-central-1\nnetwork: {zones: 2}\n\
        nodeGroups: [{name: main}, {name: extra}]\ncluster: {addons: [{name: metrics-server, enabled: ENABLED}]}\n";
    let world = up(&two.replace("ENABLED", "true"), &json!({}));
    let one = two.replace(", {name: extra}", "");
    let blocked = "DependencyViolation - resource has a dependent object";
    let code = "Ec2SecurityGroupDeletionFailure";
    configure(&world, &health("nodegroup/extra", "DELETE_FAILED", code, blocked, &["sg-0123456789abcdef0"]));
    world.stack(&one.replace("ENABLED", "true"));
    let failed = world.run(&["up", "--sandbox", "--yes", "--json"]).with(6);
    let message = error(&failed, "cluster/node-group/extra")["message"].as_str().unwrap().to_owned();
    for part in ["after 4 delete calls", code, blocked, "sg-0123456789abcdef0"] {
        assert!(message.contains(part), "{part} in {message}");
    }
    assert_eq!(calls(&world, ["DeleteNodegroup"]), [4]);
    let status = world.run(&["status", "--sandbox"]).with(0);
    assert!(status.out.contains(blocked), "{}", status.out);
    configure(&world, &json!({}));
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    let groups =
        world.boto3("print(json.dumps(client('eks').list_nodegroups(clusterName='shop')['nodegroups']))");
    assert_eq!(groups, json!(["main"]));

    configure(&world, &health("addon/metrics-server", "DELETE_FAILED", "AccessDenied", "not allowed", &[]));
    world.stack(&one.replace("ENABLED", "false"));
    let failed = world.run(&["up", "--sandbox", "--yes", "--json"]).with(6);
    let message = error(&failed, "cluster/addon/metrics-server")["message"].as_str().unwrap().to_owned();
    assert!(message.contains("AccessDenied: not allowed"), "{message}");
    configure(&world, &json!({}));
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    let addons = world.boto3("print(json.dumps(client('eks').list_addons(clusterName='shop')['addons']))");
    assert!(!addons.as_array().unwrap().contains(&json!("metrics-server")), "{addons}");
    settled(&world);
}

/// What this command of boto3 does on the cluster `shop`, waited for.
fn by_hand(world: &Provider, code: &str) {
    world.boto3(&format!(
        "eks = client('eks')\n{code}\nimport time\n\
         def busy():\n    yield eks.describe_cluster(name='shop')['cluster']['status']\n    \
         yield eks.describe_nodegroup(clusterName='shop', nodegroupName='main')['nodegroup']['status']\n    \
         yield eks.describe_addon(clusterName='shop', addonName='vpc-cni')['addon']['status']\n\
         while 'UPDATING' in busy(): time.sleep(0.05)\nprint('null')"
    ));
}

const RUNS: &str = "
eks = client('eks')
group = eks.describe_nodegroup(clusterName='shop', nodegroupName='main')['nodegroup']
print(json.dumps([group['releaseVersion'], group['scalingConfig']['desiredSize'],
    eks.describe_addon(clusterName='shop', addonName='vpc-cni')['addon']['addonVersion']]))";

#[test]
fn what_moved_ahead_is_kept_told_once_and_not_planned_back() {
    let old = json!({"bottlerocket": "1.53.0-5a1c93d7"});
    let world = up(&stack("", ""), &old);
    configure(&world, &json!({}));
    by_hand(
        &world,
        "eks.update_nodegroup_version(clusterName='shop', nodegroupName='main', releaseVersion='1.54.0-2f6b08ec')",
    );
    by_hand(
        &world,
        "eks.update_nodegroup_config(clusterName='shop', nodegroupName='main', scalingConfig={'desiredSize': 4})",
    );
    by_hand(
        &world,
        "eks.update_addon(clusterName='shop', addonName='vpc-cni', addonVersion='v1.21.1-eksbuild.3')",
    );
    let plan = world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    for part in ["1.54.0-2f6b08ec", "4 nodes", "v1.21.1-eksbuild.3"] {
        assert!(plan.out.contains(part), "{part} in {}", plan.out);
    }
    let lines = world.run(&["plan", "--sandbox", "--json"]).with(0);
    let addresses: Vec<Value> =
        lines.lines("notice").into_iter().map(|line| line["address"].clone()).collect();
    assert_eq!(addresses, ["cluster/addon/vpc-cni", "cluster/node-group/main"]);
    assert_eq!(lines.lines("change").len(), 0);
    let status = world.run(&["status", "--sandbox"]).with(0);
    assert!(status.out.contains("drift cluster/addon/vpc-cni: vpc-cni runs v1.21.1"), "{}", status.out);

    // `up` records it, changes nothing, and no one hears of it again.
    let before = calls(&world, ["UpdateNodegroupVersion", "UpdateNodegroupConfig", "UpdateAddon"]);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    let runs = json!(["1.54.0-2f6b08ec", 4, "v1.21.1-eksbuild.3"]);
    assert_eq!(world.boto3(RUNS), runs);
    settled(&world);
    // Other changes leave it alone, too; a bound takes the size along.
    world.stack(&stack(", max: 3, labels: {a: b}", ""));
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    assert_eq!(world.boto3(RUNS), json!(["1.54.0-2f6b08ec", 3, "v1.21.1-eksbuild.3"]));
    let after = calls(&world, ["UpdateNodegroupVersion", "UpdateNodegroupConfig", "UpdateAddon"]);
    assert_eq!([after[0], after[1], after[2]], [before[0], before[1] + 1, before[2]]);
    settled(&world);

    // What the file names is brought back, since EKS takes an older add-on and any size.
    world.stack(&stack(
        ", max: 3, desired: 2, labels: {a: b}",
        "cluster: {addons: [{name: vpc-cni, version: v1.20.5-eksbuild.1}]}\n",
    ));
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    assert_eq!(world.boto3(RUNS), json!(["1.54.0-2f6b08ec", 2, "v1.20.5-eksbuild.1"]));
    settled(&world);
}

#[test]
fn a_group_without_its_auto_scaling_group_is_replaced() {
    let world = up(&stack("", ""), &json!({}));
    let lost =
        health("nodegroup/main", "DEGRADED", "AutoScalingGroupNotFound", "no such group", &["eks-main"]);
    configure(&world, &lost);
    let plan = world.run(&["plan", "--sandbox", "--json", "--detailed-exitcode"]).with(2);
    let changes = plan.lines("change");
    let change = changes.iter().find(|line| line["address"] == "cluster/node-group/main").unwrap();
    assert_eq!((&change["action"], &change["origin"]), (&json!("replace"), &json!("drift")));
    assert!(change["note"].as_str().unwrap().contains("AutoScalingGroupNotFound"), "{change}");
    // Any other trouble is waited out or told, and replaces nothing.
    let unwell = health("nodegroup/main", "DEGRADED", "AsgInstanceLaunchFailures", "no capacity", &[]);
    configure(&world, &unwell);
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
}

#[test]
fn a_group_whose_auto_scaling_group_is_suspended_is_left_with_the_command_that_resumes_it() {
    let world = up(&stack("", ""), &json!({}));
    // Others suspend these by design: the cluster autoscaler's users the first.
    let suspend = |processes: &str| {
        world.boto3(&format!(
            "group = client('eks').describe_nodegroup(clusterName='shop', nodegroupName='main')['nodegroup']\n\
             name = group['resources']['autoScalingGroups'][0]['name']\n\
             client('autoscaling').suspend_processes(AutoScalingGroupName=name, ScalingProcesses={processes})\n\
             print(json.dumps(name))"
        ))
    };
    suspend("['AZRebalance', 'AlarmNotification']");
    settled(&world);
    let group = suspend("['Launch']");
    let resume = format!(
        "aws autoscaling resume-processes --auto-scaling-group-name {} --scaling-processes Launch",
        group.as_str().unwrap()
    );
    world.stack(&stack("", "").replace("t3.large", "t3.xlarge"));
    let before = calls(&world, ["CreateNodegroup", "DeleteNodegroup"]);
    for command in [&["plan"][..], &["up", "--yes"]] {
        let refused = world.run(&[command, &["--sandbox", "--json"]].concat()).with(3);
        let said = error(&refused, "cluster/node-group/main");
        assert_eq!(said["message"], "its Auto Scaling group has suspended processes: Launch");
        assert_eq!(said["hint"], format!("`{resume}`"));
    }
    assert_eq!(calls(&world, ["CreateNodegroup", "DeleteNodegroup"]), before, "nothing is replaced");
    let words: Vec<&str> = resume.split(' ').skip(1).collect();
    world.aws(&words);
    world.stack(&stack("", ""));
    settled(&world);
}
