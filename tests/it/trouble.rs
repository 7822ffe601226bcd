//! What goes wrong in EKS and around it, and how a run ends then: by the right retry, or at once with what to do.

use crate::common::{Ended, Provider};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const STACK: &str = "name: shop\nregion: eu-central-1\nnetwork: {zones: 2}\n\
    nodeGroups: [{name: main, instanceTypes: [t3.large]}]\n";

/// How much faster than AWS: slow enough that a wait of minutes would be seen.
const SCALE: u32 = 120;

fn world(stack: &str, config: &Value) -> Provider {
    let world = Provider::new(stack);
    world.sandbox(SCALE);
    let mut all = config.clone();
    all["timeScale"] = json!(SCALE);
    world.configure(&all);
    world
}

/// The cause is fixed: the next run ends the work, and nothing differs.
fn succeeds_after_the_fix(world: &Provider) {
    world.configure(&json!({"timeScale": 600}));
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
}

fn error(run: &Ended, address: &str) -> Value {
    run.lines("error")
        .into_iter()
        .find(|line| line["address"] == address)
        .unwrap_or_else(|| panic!("{}", run.out))
}

#[test]
fn a_role_that_cannot_be_assumed_yet_is_waited_for() {
    // IAM's new role takes its time to reach EKS: 20 s of AWS's.
    let denied = |on: &str, message: &str| {
        json!({"on": on, "kind": "error", "code": "InvalidParameterException", "status": 400, "message": message,
            "seconds": 20.0 / f64::from(SCALE)})
    };
    let world = world(
        STACK,
        &json!({"faults": [
            denied("eks:CreateCluster", "Role with arn: arn:aws:iam::123456789012:role/shop-eu-central-1-cluster, could not be assumed because it does not exist or the trusted entity is not correct"),
            denied("eks:CreateNodegroup", "The role with name shop-eu-central-1-nodes cannot be found."),
        ]}),
    );
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    let clusters = world.boto3("print(json.dumps([client('eks').list_clusters()['clusters'], client('eks').list_nodegroups(clusterName='shop')['nodegroups']]))");
    assert_eq!(clusters, json!([["shop"], ["main"]]));
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
}

#[test]
fn a_principal_that_does_not_exist_is_named_within_a_minute() {
    let ghost = "arn:aws:iam::123456789012:role/ghost";
    let text = format!("{STACK}cluster: {{access: [{{principalArn: '{ghost}', policy: view}}]}}\n");
    let world = world(&text, &json!({}));
    let failed = world.run(&["up", "--sandbox", "--yes", "--json"]).with(6);
    let said = error(&failed, "cluster/access/role/ghost");
    assert!(said["message"].as_str().unwrap().contains(ghost), "{said}");
    assert!(said["hint"].as_str().unwrap().contains(&format!("check that {ghost} exists")), "{said}");
    // From the first refusal to the last.
    let calls = world.boto3("print(urllib.request.urlopen(e + '/_ext/log').read().decode())");
    let refused = calls
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["action"] == "CreateAccessEntry" && it["status"] == 400);
    let times: Vec<f64> = refused.filter_map(|call| call["time"].as_f64()).collect();
    assert!(times.len() > 2 && times[times.len() - 1] - times[0] < 60.0, "{times:?}");
    world.boto3(
        "trust = {'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Principal': {'Service': 'ec2.amazonaws.com'}, 'Action': 'sts:AssumeRole'}]}\n\
         client('iam').create_role(RoleName='ghost', AssumeRolePolicyDocument=json.dumps(trust))\nprint('null')",
    );
    succeeds_after_the_fix(&world);
}

#[test]
fn an_add_on_that_degrades_is_explained() {
    let message = "The add-on is unhealthy because it doesn't have the desired number of replicas.";
    let world = world(
        STACK,
        &json!({"health": [{"on": "addon/coredns", "status": "DEGRADED", "code": "InsufficientNumberOfReplicas", "message": message}]}),
    );
    let failed = world.run(&["up", "--sandbox", "--yes", "--json"]).with(6);
    let said = error(&failed, "cluster/addon/coredns");
    let text = said["message"].as_str().unwrap();
    assert!(text.contains("InsufficientNumberOfReplicas") && text.contains(message), "{text}");
    assert!(said["hint"].as_str().unwrap().contains("kubectl get events"), "{said}");
    // Its neighbours are made.
    let others = world.boto3("print(json.dumps(client('eks').describe_addon(clusterName='shop', addonName='metrics-server')['addon']['status']))");
    assert_eq!(others, "ACTIVE");
    let status = world.run(&["status", "--sandbox"]).with(0);
    assert!(status.out.contains("InsufficientNumberOfReplicas"), "{}", status.out);
    succeeds_after_the_fix(&world);
}

#[test]
fn nodes_that_do_not_join_are_told_at_once() {
    let message = "Instances failed to join the kubernetes cluster";
    let world = world(
        STACK,
        &json!({"health": [{"on": "nodegroup/main", "status": "CREATE_FAILED", "code": "NodeCreationFailure", "message": message}]}),
    );
    let failed = world.run(&["up", "--sandbox", "--yes", "--json"]).with(6);
    let said = error(&failed, "cluster/node-group/main");
    assert!(said["message"].as_str().unwrap().contains("NodeCreationFailure"), "{said}");
    let hint = said["hint"].as_str().unwrap();
    assert!(hint.contains("ECR") && hint.contains("node role"), "{hint}");
    succeeds_after_the_fix(&world);
    let groups =
        world.boto3("print(json.dumps(client('eks').list_nodegroups(clusterName='shop')['nodegroups']))");
    assert_eq!(groups, json!(["main"]));
}

#[test]
fn instances_that_cannot_start_are_told_long_before_eks_gives_up() {
    let message = "You have requested more vCPU capacity than your current vCPU limit of 32 allows";
    let world = world(
        STACK,
        &json!({"health": [{"on": "nodegroup/main", "status": "CREATING", "code": "VcpuLimitExceeded", "message": message}]}),
    );
    let started = Instant::now();
    let failed = world.run(&["up", "--sandbox", "--yes", "--json"]).with(6);
    // EKS itself tries for most of half an hour.
    assert!(started.elapsed() < Duration::from_mins(5), "{:?}", started.elapsed());
    let said = error(&failed, "cluster/node-group/main");
    assert!(said["message"].as_str().unwrap().contains(message), "{said}");
    assert!(said["hint"].as_str().unwrap().contains("Service Quotas"), "{said}");
    succeeds_after_the_fix(&world);
}

#[test]
fn a_quota_ends_its_branch_at_once_and_the_rest_is_made() {
    let world = world(
        "name: shop\nregion: eu-central-1\nnetwork: {zones: 2, nat: per-zone}\n",
        // The quota's value was read before another caller used it up.
        &json!({"faults": [{"on": "ec2:AllocateAddress", "kind": "error", "code": "AddressLimitExceeded", "status": 400,
            "skip": 1, "message": "The maximum number of addresses has been reached."}]}),
    );
    let failed = world.run(&["up", "--sandbox", "--yes", "--json"]).with(6);
    let errors = failed.lines("error");
    let quota = errors.iter().find(|line| line["code"] == "AddressLimitExceeded").unwrap();
    assert_eq!(quota["class"], "quota");
    assert!(quota["hint"].as_str().unwrap().to_lowercase().contains("quota"), "{quota}");
    let calls = world.boto3("print(urllib.request.urlopen(e + '/_ext/log').read().decode())");
    let asked = calls.as_array().unwrap().iter().filter(|call| call["action"] == "AllocateAddress").count();
    assert_eq!(asked, 2, "one that worked, one that was refused and not repeated");
    let made = world.boto3("print(json.dumps([len(client('ec2').describe_nat_gateways()['NatGateways']), len(client('ec2').describe_flow_logs()['FlowLogs'])]))");
    assert_eq!(made, json!([1, 1]));
    succeeds_after_the_fix(&world);
}

#[test]
fn a_denial_ends_its_branch_at_once_and_says_which_right_is_missing() {
    let message = "User: arn:aws:iam::123456789012:user/sandbox is not authorized to perform: eks:CreateAddon on resource: *";
    let world = world(
        STACK,
        &json!({"faults": [{"on": "eks:CreateAddon", "kind": "error", "code": "AccessDeniedException", "status": 403, "message": message}]}),
    );
    let failed = world.run(&["up", "--sandbox", "--yes", "--json"]).with(6);
    let said = error(&failed, "cluster/addon/vpc-cni");
    assert_eq!(said["class"], "denied");
    assert!(said["message"].as_str().unwrap().contains("eks:CreateAddon"), "{said}");
    assert!(said["hint"].as_str().is_some_and(|hint| hint.contains("policy")), "{said}");
    let calls = world.boto3("print(urllib.request.urlopen(e + '/_ext/log').read().decode())");
    let asked = calls.as_array().unwrap().iter().filter(|call| call["action"] == "CreateAddon").count();
    assert!(asked <= 4, "each add-on that waits for no node once at most; {asked}");
    // Nodes would not become ready without the network's add-on; the rest of the stack does not wait for it.
    let made = world.boto3("print(json.dumps([client('eks').list_nodegroups(clusterName='shop')['nodegroups'], len(client('eks').list_access_entries(clusterName='shop')['accessEntries'])]))");
    assert_eq!(made[0], json!([]));
    assert!(made[1].as_u64().unwrap() > 0);
    succeeds_after_the_fix(&world);
}

#[test]
fn a_protected_cluster_is_not_deleted() {
    let world = world(STACK, &json!({}));
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    let protected = world.boto3(
        "print(json.dumps(client('eks').describe_cluster(name='shop')['cluster']['deletionProtection']))",
    );
    assert_eq!(protected, true);
    // `down` says that it lifts the protection, and does it as a step of its plan.
    let down = world.run(&["down", "--sandbox", "--yes"]).with(0);
    assert!(down.err.contains("protection"), "{}", down.err);
    let clusters = world.boto3("print(json.dumps(client('eks').list_clusters()['clusters']))");
    assert_eq!(clusters, json!([]));
}

/// Where the sandbox's `myip` says that this machine is.
const HERE: &str = "203.0.113.7";

/// Moves the API server away from the caller, behind this program's back.
fn close(world: &Provider) {
    world.boto3(
        "eks = client('eks')\neks.update_cluster_config(name='shop', resourcesVpcConfig={'publicAccessCidrs': ['198.51.100.0/24']})\n\
         import time\n\
         while eks.describe_cluster(name='shop')['cluster']['status'] != 'ACTIVE': time.sleep(0.1)\nprint('null')",
    );
}

#[test]
fn an_api_server_that_does_not_answer_stops_neither_the_plan_that_opens_it_nor_its_end() {
    let world =
        world(&format!("{STACK}controllers: {{clusterAutoscaler: true}}\n"), &json!({"callerAddress": HERE}));
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    close(&world);
    let plan = world.run(&["plan", "--sandbox"]).with(0);
    assert!(
        plan.out.contains("publicCidrs") && plan.out.contains("not compared"),
        "{}{}",
        plan.out,
        plan.err
    );
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);

    // Without a load balancer all that is in the cluster may go with it.
    close(&world);
    let down = world.run(&["down", "--sandbox", "--yes"]).with(0);
    assert!(down.err.contains("are deleted with it") && down.err.contains("finds nothing"), "{}", down.err);
}

#[test]
fn whom_the_cluster_does_not_know_is_let_in_before_anything_else() {
    let stack = |app: &str| format!("{STACK}app: {{replicas: 0, {app}}}\n");
    let world = world(&stack("env: {A: one}"), &json!({}));
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    let forget = || {
        world.boto3(
            "eks = client('eks')\nwho = 'arn:aws:iam::123456789012:user/sandbox'\n\
             eks.delete_access_entry(clusterName='shop', principalArn=who)\nprint('null')",
        )
    };
    forget();
    world.stack(&stack("env: {A: two}"));
    let up = world.run(&["up", "--sandbox", "--yes"]).with(0);
    assert!(
        up.err.contains("application/configmap/demo-application/demo-application: updated"),
        "{}",
        up.err
    );
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);

    // A load balancer would stay: its controller must hear of the end.
    forget();
    let refused = world.run(&["down", "--sandbox", "--yes"]).with(3);
    assert!(refused.err.contains("has a load balancer that would be left behind"), "{}", refused.err);
    assert!(refused.err.contains("up --target cluster/access"), "{}", refused.err);
    world.run(&["up", "--sandbox", "--yes", "--target", "cluster/access"]).with(0);
    let down = world.run(&["down", "--sandbox", "--yes"]).with(0);
    assert!(down.err.contains("finds nothing"), "{}", down.err);
}

#[test]
fn a_private_api_server_ends_up_after_the_cluster_and_can_be_opened_or_removed() {
    let stack = |public: bool| {
        format!(
            "{STACK}cluster: {{endpoint: {{public: {public}}}}}\ncontrollers: {{clusterAutoscaler: true}}\n"
        )
    };
    let world = world(&stack(false), &json!({"callerAddress": HERE}));
    let up = world.run(&["up", "--sandbox", "--yes"]).with(6);
    assert!(up.err.contains("nothing can be deployed from here"), "before anything is made: {}", up.err);
    assert!(
        up.err.contains("the application is not deployed") && up.err.contains("inside the VPC"),
        "{}",
        up.err
    );
    assert_eq!(world.aws(&["eks", "describe-cluster", "--name", "shop"])["cluster"]["status"], "ACTIVE");
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(2);
    world.stack(&stack(true));
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    world.stack(&stack(false));
    world.run(&["up", "--sandbox", "--yes", "--target", "cluster/eks"]).with(0);
    let down = world.run(&["down", "--sandbox", "--yes"]).with(0);
    assert!(down.err.contains("are deleted with it") && down.err.contains("finds nothing"), "{}", down.err);
}
