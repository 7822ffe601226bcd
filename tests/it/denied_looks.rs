//! What a run says and answers that finds no stack, no backend or no permission to look: which stack the folder's last one was,
//! what creates a backend, and what could not be looked at. A look that is denied ends no deletion.

use crate::common::Provider;
use serde_json::{Value, json};

const NETWORK: &str = "name: shop\nregion: eu-central-1\nnetwork: {zones: 2, nat: none, flowLogs: false}\n";
const CLUSTER: &str = "name: shop\nregion: eu-central-1\nnetwork: {zones: 2}\ncluster: {}\n";

fn sandbox(stack: &str) -> Provider {
    let world = Provider::new(stack);
    world.sandbox(600);
    world
}

fn up(stack: &str) -> Provider {
    let world = sandbox(stack);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    world
}

fn denied(on: &str) -> Value {
    json!({"on": on, "kind": "error", "code": "AccessDenied", "status": 403, "message": "not authorized"})
}

#[test]
fn a_file_with_another_name_or_region_leads_back_to_the_last_stack() {
    let world = up(NETWORK);
    for (from, to) in [("name: shop", "name: store"), ("region: eu-central-1", "region: eu-west-1")] {
        world.stack(&NETWORK.replace(from, to));
        for args in [&["status", "--sandbox"][..], &["down", "--sandbox", "--yes"]] {
            let said = world.run(args).with(0);
            let text = "this folder's last stack was shop in eu-central-1, which still exists";
            assert!(said.err.contains(text), "{args:?}: {}", said.err);
            assert!(said.err.contains("set `name: shop` and `region: eu-central-1`"), "{}", said.err);
        }
        let status = world.run(&["status", "--sandbox", "--json"]).with(0);
        let line = status.lines("status").remove(0);
        assert_eq!(line["exists"], false);
        assert!(line["reason"].as_str().unwrap().contains("last stack was shop in eu-central-1"), "{line}");
    }
    world.stack(NETWORK);
    world.run(&["down", "--sandbox", "--yes"]).with(0);
    // A stack that ended is not named.
    world.stack(&NETWORK.replace("name: shop", "name: store"));
    let status = world.run(&["status", "--sandbox"]).with(0);
    assert!(!status.err.contains("last stack"), "{}", status.err);
}

#[test]
fn a_deletion_that_does_not_see_its_bucket_changed_nothing_and_says_so() {
    let world = up(NETWORK);
    world.stack(&format!("{NETWORK}state: {{bucket: elsewhere-4711}}\n"));
    let said = world.run(&["down", "--sandbox", "--yes"]).with(1);
    assert!(said.err.contains("state.bucket") && said.err.contains(":vpc/vpc-"), "{}", said.err);
    world.stack(NETWORK);
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
}

#[test]
fn an_import_before_the_first_backend_names_what_creates_it() {
    let world = sandbox(NETWORK);
    let import = ["state", "import", "network/vpc", "vpc-1", "--sandbox", "--yes"];
    let said = world.run(&import).with(1);
    assert!(said.err.contains("the backend does not exist yet"), "{}", said.err);
    assert!(said.err.contains("`provisioner up`") && !said.err.contains("dynamodb"), "{}", said.err);
    // The way that it names.
    world.run(&["up", "--target", "backend", "--sandbox", "--yes"]).with(0);
    let said = world.run(&import).with(3);
    assert!(said.err.contains("no vpc is called vpc-1"), "{}", said.err);
}

#[test]
fn a_kind_that_may_not_be_looked_at_is_told_and_the_rest_is_deleted() {
    let world = up(CLUSTER);
    world.configure(
        &json!({"faults": [denied("iam:GetOpenIDConnectProvider"), denied("ec2:DescribeAddresses")]}),
    );
    let said = world.run(&["down", "--sandbox", "--yes"]).with(6);
    let told = said.err.lines().find(|line| line.contains("cluster/oidc-provider")).unwrap();
    assert!(
        told.contains("could not be looked at") && told.contains("iam:GetOpenIDConnectProvider"),
        "{told}"
    );
    let addons = world.boto3("print(json.dumps(client('eks').list_addons(clusterName='shop')['addons']))");
    assert_eq!(addons, json!([]), "{}", said.err);
    world.configure(&json!({}));
    world.run(&["down", "--sandbox", "--yes"]).with(0);
}

#[test]
fn a_proof_names_what_it_may_not_look_at() {
    let world = up(NETWORK);
    // Nothing of these kinds is recorded.
    world.configure(
        &json!({"faults": [denied("ec2:DescribeAddresses"), denied("iam:GetAccountAuthorizationDetails")]}),
    );
    let said = world.run(&["down", "--sandbox", "--yes"]).with(0);
    for text in ["could not be looked at: elastic_ip", "could not be looked at: roles; the proof"] {
        assert!(said.err.contains(text), "no {text}: {}", said.err);
    }
    world.configure(&json!({}));
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    // Without the query by tags nothing is proven, and what was deleted stays deleted.
    world.configure(&json!({"faults": [denied("resourcegroupstaggingapi:GetResources")]}));
    let said = world.run(&["down", "--sandbox", "--yes"]).with(6);
    assert!(said.err.contains("could not be looked at: resources with the stack's tags"), "{}", said.err);
    assert!(!said.err.contains("finds nothing"), "{}", said.err);
    // There is nothing left to delete, and nothing else to look at.
    world.run(&["down", "--sandbox", "--yes"]).with(7);
    world.configure(&json!({}));
    world.run(&["down", "--sandbox", "--yes"]).with(0);
}
