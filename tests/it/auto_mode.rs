//! EKS Auto Mode, with the real binary on the sandbox: its nodes go with the cluster, and what ends them is said before.

use crate::common::{Provider, copy};
use serde_json::json;
use std::path::Path;

fn stack(more: &str) -> String {
    format!(
        "name: shop\nregion: eu-central-1\nnetwork: {{zones: 2}}\ncluster: {{version: \"1.35\"{more}}}\nnodeGroups: []\napp: {{ingress: none}}\n"
    )
}

/// How many instances run.
const NODES: &str = "
pages = client('ec2').describe_instances(Filters=[{'Name': 'instance-state-name', 'Values': ['pending', 'running']}])
print(json.dumps(sum(len(r['Instances']) for r in pages['Reservations'])))";

#[test]
fn nodes_of_auto_mode_go_with_the_cluster_and_are_not_forgotten_before() {
    let world = Provider::new(&stack(", autoMode: true"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    ["app", "manifests"].iter().for_each(|folder| copy(&root.join(folder), &world.path().join(folder)));
    world.sandbox(600);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    assert!(world.boto3(NODES).as_u64() > Some(0), "the application has a node");
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);

    world.stack(&stack(""));
    let refused = world.run(&["plan", "--sandbox"]).with(3);
    assert!(refused.err.contains("the cluster is in Auto Mode"), "{}", refused.err);
    world.stack(&stack(", autoMode: false"));
    let plan = world.run(&["plan", "--sandbox"]).with(0);
    assert!(plan.err.contains("ends all nodes of Auto Mode"), "{}", plan.err);

    world.stack(&stack(", autoMode: true"));
    world.run(&["down", "--sandbox", "--yes"]).with(0);
    assert_eq!(world.boto3(NODES), json!(0));
}
