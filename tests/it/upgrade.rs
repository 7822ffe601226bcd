//! Kubernetes upgrades: one minor, in the right order; and Bottlerocket releases, taken only on request.

use crate::common::{Provider, until};
use serde_json::{Value, json};

fn stack(version: &str) -> String {
    format!(
        "name: shop\nregion: eu-central-1\nnetwork: {{zones: 2}}\ncluster: {{version: \"{version}\"}}\n\
         nodeGroups: [{{name: main, instanceTypes: [t3.large]}}]\n"
    )
}

fn up(version: &str) -> Provider {
    let world = Provider::new(&stack(version));
    world.sandbox(600);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    world
}

const VERSIONS: &str = "
eks = client('eks')
group = eks.describe_nodegroup(clusterName='shop', nodegroupName='main')['nodegroup']
print(json.dumps([eks.describe_cluster(name='shop')['cluster']['version'], group['version'], group['releaseVersion'],
    {name: eks.describe_addon(clusterName='shop', addonName=name)['addon']['addonVersion'] for name in ('kube-proxy', 'vpc-cni')}]))";

/// The order in which steps ended.
fn ended(run: &crate::common::Ended) -> Vec<String> {
    let steps = run.lines("step").into_iter().filter(|line| line["state"] == "done");
    steps.map(|line| line["address"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn one_minor_moves_control_plane_then_add_ons_then_nodes_in_one_plan() {
    let world = up("1.33");
    let before = world.boto3(VERSIONS);
    assert_eq!((&before[0], &before[1]), (&json!("1.33"), &json!("1.33")));
    world.stack(&stack("1.34"));
    let plan = world.run(&["plan", "--sandbox", "--json", "--detailed-exitcode"]).with(2);
    let change = |address: &str| -> Value {
        plan.lines("change").into_iter().find(|line| line["address"] == address).unwrap()
    };
    assert_eq!(change("cluster/eks")["fields"][0]["path"], "version");
    assert_eq!(change("cluster/node-group/main")["action"], "update");
    assert!(plan.lines("change").iter().all(|line| line["action"] == "update"), "{}", plan.out);

    let run = world.run(&["up", "--sandbox", "--yes", "--json"]).with(0);
    let order = ended(&run);
    let place = |address: &str| order.iter().position(|done| done == address).unwrap();
    assert!(place("cluster/eks") < place("cluster/addon/kube-proxy"), "{order:?}");
    assert!(place("cluster/addon/kube-proxy") < place("cluster/node-group/main"), "{order:?}");
    assert!(place("cluster/addon/vpc-cni") <= place("cluster/node-group/main"), "{order:?}");

    let after = world.boto3(VERSIONS);
    assert_eq!((&after[0], &after[1]), (&json!("1.34"), &json!("1.34")));
    assert!(after[3]["kube-proxy"].as_str().unwrap().starts_with("v1.34."), "{after}");
    // EKS's own record says when each update began: the control plane's is the first of all.
    let began = world.boto3(
        "
eks = client('eks')
at = lambda **of: max(eks.describe_update(name='shop', updateId=u, **of)['update']['createdAt'].timestamp()
    for u in eks.list_updates(name='shop', **of)['updateIds'])
print(json.dumps([at(), at(addonName='kube-proxy'), at(nodegroupName='main')]))",
    );
    let began: Vec<f64> = began.as_array().unwrap().iter().map(|at| at.as_f64().unwrap()).collect();
    assert!(began[0] <= began[1] && began[1] <= began[2], "{began:?}");
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
}

#[test]
fn a_rollback_moves_nodes_then_add_ons_then_the_control_plane() {
    let world = up("1.34");
    world.stack(&stack("1.35"));
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    world.stack(&stack("1.34"));
    let plan = world.run(&["plan", "--sandbox", "--json", "--detailed-exitcode"]).with(2);
    let changed: Vec<Value> =
        plan.lines("change").into_iter().map(|line| json!([line["action"], line["address"]])).collect();
    for address in ["cluster/eks", "cluster/addon/kube-proxy", "cluster/node-group/main"] {
        assert!(changed.contains(&json!(["update", address])), "{changed:?}");
    }
    assert!(changed.iter().all(|change| change[0] == "update"), "{changed:?}");

    // Interrupted between the nodes and the control plane: the next run continues in the same direction.
    world.configure(&json!({"timeScale": 600, "faults": [{"on": "eks:UpdateClusterVersion", "kind": "error",
        "code": "AccessDeniedException", "status": 403, "times": 1}]}));
    world.run(&["up", "--sandbox", "--yes", "--json"]).with(6);
    let between = world.boto3(VERSIONS);
    assert_eq!((&between[0], &between[1]), (&json!("1.35"), &json!("1.34")), "{between}");
    let run = world.run(&["up", "--sandbox", "--yes", "--json"]).with(0);
    assert_eq!(ended(&run).last().map(String::as_str), Some("cluster/eks"), "{}", run.out);

    let after = world.boto3(VERSIONS);
    assert_eq!((&after[0], &after[1]), (&json!("1.34"), &json!("1.34")));
    assert!(after[3]["kube-proxy"].as_str().unwrap().starts_with("v1.34."), "{after}");
    let types = world.boto3(
        "
eks = client('eks')
print(json.dumps(sorted(eks.describe_update(name='shop', updateId=u)['update']['type']
    for u in eks.list_updates(name='shop')['updateIds'])))",
    );
    assert_eq!(types, json!(["VersionRollback", "VersionUpdate"]), "EKS's own record");
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    world.stack(&stack("1.33"));
    let refused = world.run(&["plan", "--sandbox"]).with(3);
    assert!(refused.err.contains("its last change was a rollback"), "{}", refused.err);
}

#[test]
fn a_rollback_into_extended_support_is_refused_unless_the_cluster_pays_for_it() {
    let world = up("1.33");
    world.stack(&stack("1.34"));
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    world.stack(&stack("1.33"));
    for args in [&["plan", "--sandbox"][..], &["up", "--sandbox", "--yes"]] {
        let refused = world.run(args).with(3);
        let said = "1.33 is in extended support, and `cluster.upgradePolicy` is `standard`";
        assert!(refused.err.contains(said), "{}", refused.err);
    }
    assert_eq!(world.boto3(VERSIONS)[1], "1.34", "no node was touched");
    world.stack(&stack("1.33").replace("\"1.33\"", "\"1.33\", upgradePolicy: extended"));
    let up = world.run(&["up", "--sandbox", "--yes"]).with(0);
    assert!(up.err.contains("standard support of Kubernetes 1.33 ended on 2026-07-29"), "{}", up.err);
    assert_eq!(world.boto3(VERSIONS)[0], "1.33");
}

#[test]
fn an_insight_of_eks_blocks_an_upgrade_until_it_is_forced() {
    let world = up("1.34");
    world.configure(
        &json!({"timeScale": 600, "insights": [{"name": "Deprecated APIs removed in Kubernetes v1.35",
        "status": "ERROR", "reason": "a client calls a removed API"}]}),
    );
    world.boto3(
        "
import time
eks = client('eks')
eks.start_insights_refresh(clusterName='shop')
while eks.describe_insights_refresh(clusterName='shop')['status'] == 'IN_PROGRESS':
    time.sleep(0.2)
print('null')",
    );
    world.stack(&stack("1.35"));
    for args in [&["plan", "--sandbox"][..], &["up", "--sandbox", "--yes"]] {
        let refused = world.run(args).with(3);
        assert!(refused.err.contains("Deprecated APIs removed") && refused.err.contains("--force-upgrade"));
    }
    assert_eq!(world.boto3(VERSIONS)[0], "1.34");
    world.run(&["up", "--sandbox", "--yes", "--force-upgrade"]).with(0);
    assert_eq!(world.boto3(VERSIONS)[0], "1.35");
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
}

#[test]
fn two_minors_at_once_and_a_downgrade_are_refused_with_the_reason() {
    let world = up("1.33");
    let writes = |args: &[&str]| {
        world.boto3(
            "urllib.request.urlopen(urllib.request.Request(e + '/_ext/log', method='DELETE'))\nprint('null')",
        );
        let refused = world.run(args).with(3);
        let calls = world.boto3("print(urllib.request.urlopen(e + '/_ext/log').read().decode())");
        let made: Vec<String> = calls
            .as_array()
            .unwrap()
            .iter()
            .map(|call| call["action"].as_str().unwrap().to_owned())
            .collect();
        assert!(
            !made.iter().any(|action| action.starts_with("Update") && action.contains("Cluster")),
            "{made:?}"
        );
        refused
    };
    for (version, why) in [("1.35", "one minor"), ("1.32", "back")] {
        world.stack(&stack(version));
        for args in [&["plan", "--sandbox"][..], &["up", "--sandbox", "--yes"]] {
            let refused = writes(args);
            assert!(refused.err.contains("1.33") && refused.err.contains(version), "{}", refused.err);
            assert!(refused.err.contains(why), "{why} in: {}", refused.err);
        }
    }
}

#[test]
fn a_newer_bottlerocket_shows_and_waits_to_be_asked_for() {
    let world = Provider::new(&stack("1.35"));
    world.sandbox(600);
    world.configure(&json!({"timeScale": 600, "bottlerocket": "1.53.0-5a1c93d7"}));
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    world.configure(&json!({"timeScale": 600}));
    assert_eq!(world.boto3(VERSIONS)[2], "1.53.0-5a1c93d7");

    let status = world.run(&["status", "--sandbox"]).with(0);
    assert!(
        status.out.contains("1.53.0-5a1c93d7") && status.out.contains("1.54.0-2f6b08ec available"),
        "{}",
        status.out
    );
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    assert_eq!(world.boto3(VERSIONS)[2], "1.53.0-5a1c93d7");

    let plan = world.run(&["plan", "--sandbox", "--upgrade-nodes", "--json", "--detailed-exitcode"]).with(2);
    let changes = plan.lines("change");
    assert_eq!(changes.len(), 1, "{}", plan.out);
    assert_eq!(changes[0]["fields"][0]["path"], "release");
    world.run(&["up", "--sandbox", "--upgrade-nodes", "--yes"]).with(0);
    assert_eq!(world.boto3(VERSIONS)[2], "1.54.0-2f6b08ec");
    // What was asked for once stays.
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    let status = world.run(&["status", "--sandbox"]).with(0);
    assert!(!status.out.contains(" available)"), "{}", status.out);
}

#[test]
fn a_cluster_that_eks_upgraded_is_drift_and_blocks_nothing() {
    let unnamed = stack("1.33").replace("version: \"1.33\"", "");
    let world = up("1.33");
    world.boto3("print(json.dumps(client('eks').update_cluster_version(name='shop', version='1.34')['update']['id']))");
    let running = "print(json.dumps(client('eks').describe_cluster(name='shop')['cluster']['version']))";
    until("the upgrade runs", || world.boto3(running) == "1.34");
    // The file still says 1.33: one line tells what it needs.
    let plan = world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    assert!(plan.out.contains("cluster/eks") && plan.out.contains("1.34"), "{}", plan.out);
    assert!(plan.out.contains("hint: set `cluster.version: \"1.34\"` in the stack file"), "{}", plan.out);
    let status = world.run(&["status", "--sandbox"]).with(0);
    assert!(
        status.out.contains("Kubernetes 1.34") && status.out.contains("drift cluster/eks"),
        "{}",
        status.out
    );
    // Everything else is planned and applied, and the line stays until the file says so.
    world.stack(&stack("1.33").replace("}]", ", labels: {a: b}}]"));
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    assert_eq!(world.boto3(VERSIONS)[1], "1.33", "nodes follow the file");
    let plan = world.run(&["plan", "--sandbox", "--json", "--detailed-exitcode"]).with(0);
    let notices = plan.lines("notice");
    assert_eq!((notices.len(), &notices[0]["address"]), (1, &json!("cluster/eks")));
    // The file that says it takes add-ons and nodes along.
    world.stack(&stack("1.34"));
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    assert_eq!(world.boto3(VERSIONS)[1], "1.34");
    let plan = world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    assert!(!plan.out.contains("note:"), "{}", plan.out);
    // So does a file that names none.
    world.stack(&unnamed);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
}

#[test]
fn a_file_without_a_version_goes_along_with_eks() {
    let world = up("1.33");
    world.boto3("print(json.dumps(client('eks').update_cluster_version(name='shop', version='1.34')['update']['id']))");
    let running = "print(json.dumps(client('eks').describe_cluster(name='shop')['cluster']['version']))";
    until("the upgrade runs", || world.boto3(running) == "1.34");
    world.stack(&stack("1.33").replace("version: \"1.33\"", ""));
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    assert_eq!(world.boto3(VERSIONS)[1], "1.34");
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
}

#[test]
fn a_saved_plan_knows_that_it_takes_a_newer_release() {
    let world = Provider::new(&stack("1.35"));
    world.sandbox(60);
    world.configure(&json!({"timeScale": 600, "bottlerocket": "1.53.0-5a1c93d7"}));
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    world.configure(&json!({"timeScale": 600}));
    world.run(&["plan", "--sandbox", "--upgrade-nodes", "--out", "plan.json"]).with(0);
    world.run(&["up", "plan.json", "--sandbox", "--yes"]).with(0);
    assert_eq!(world.boto3(VERSIONS)[2], "1.54.0-2f6b08ec");
}
