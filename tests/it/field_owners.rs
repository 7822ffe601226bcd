//! Fields that were set with kubectl: they are told as drift and left, the rest of the stack goes through, and
//! `--take-fields` sets them to the file's values.

use crate::common::{Provider, cluster_objects::kubernetes};
use serde_json::{Value, json};
use std::fs;

/// Without pods, so that any image is rolled out at once.
const STACK: &str = "name: shop\nregion: eu-central-1\nnetwork: {zones: 2, nat: single, flowLogs: false}\n\
    cluster: {addons: [{name: metrics-server, enabled: false}]}\n\
    app: {repository: shop/web, ingress: none, platforms: [linux/amd64], replicas: 0, env: {GREETING: one}}\n";

const DEPLOYMENT: &str = "application/deployment/demo-application/demo-application";
const CONFIG: &str = "application/configmap/demo-application/demo-application";
const DEPLOYMENT_PATH: &str = "/apis/apps/v1/namespaces/demo-application/deployments/demo-application";
const CONFIG_PATH: &str = "/api/v1/namespaces/demo-application/configmaps/demo-application";

fn container(world: &Provider) -> Value {
    let live = kubernetes(world, DEPLOYMENT_PATH, None);
    live["spec"]["template"]["spec"]["containers"][0].clone()
}

#[test]
fn fields_that_kubectl_set_are_told_left_and_taken_on_request() {
    let world = Provider::new(STACK);
    world.sandbox(120);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    let released = container(&world)["image"].as_str().unwrap().to_owned();
    let port = container(&world)["env"][0]["value"].clone();
    let hotfix = |image: &str| {
        let container = json!({"name": "app", "image": image, "env": [{"name": "PORT", "value": "9999"}]});
        json!({"spec": {"template": {"spec": {"containers": [container]}}}})
    };
    kubernetes(&world, DEPLOYMENT_PATH, Some(("kubectl-set", &hotfix("busybox"))));

    // Told with who and when, and no change.
    let plan = world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    let image = "spec.template.spec.containers[app].image is set to \"busybox\" by kubectl-set (";
    let variable = "spec.template.spec.containers[app].env[PORT].value is set to \"9999\" by kubectl-set (";
    let way = format!("`provisioner up --take-fields {DEPLOYMENT}`");
    for text in [image, variable, " UTC); the manifest's value is ", &released, &way] {
        assert!(plan.out.contains(text), "no {text} in:\n{}", plan.out);
    }
    let lines = world.run(&["plan", "--sandbox", "--json"]).with(0).lines("notice");
    assert_eq!(
        (lines.len(), &lines[0]["address"], &lines[0]["origin"]),
        (1, &json!(DEPLOYMENT), &json!("drift"))
    );
    assert!(lines[0].get("pending").is_none(), "{}", lines[0]);
    let status = world.run(&["status", "--sandbox"]).with(0);
    assert!(status.out.contains(image), "{}", status.out);

    // The rest is applied, to this object and to others.
    world.stack(&STACK.replace("GREETING: one", "GREETING: two"));
    let plan = world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(2);
    assert!(plan.out.contains(image) && plan.out.contains("data.GREETING"), "{}", plan.out);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    assert_eq!(kubernetes(&world, CONFIG_PATH, None)["data"]["GREETING"], "two");
    assert_eq!(container(&world)["image"], "busybox");
    assert_eq!(container(&world)["env"][0]["value"], "9999");
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    world.run(&["deploy", "--sandbox", "--yes", "--set", "app.env.GREETING=three"]).with(0);
    assert_eq!(kubernetes(&world, CONFIG_PATH, None)["data"]["GREETING"], "three");
    world.run(&["up", "--sandbox", "--yes"]).with(0);

    // A release that is not rolled out is no success, also when nothing is left to push.
    let program = world.path().join("app/serve.py");
    fs::write(&program, format!("{}\n# Changed.\n", fs::read_to_string(&program).unwrap())).unwrap();
    let deploy = world.run(&["deploy", "--sandbox", "--yes"]).with(6);
    for text in [image, "not applied: ", &format!("`provisioner deploy --take-fields {DEPLOYMENT}`")] {
        assert!(deploy.err.contains(text), "no {text} in:\n{}", deploy.err);
    }
    assert_eq!(container(&world)["image"], "busybox");
    let again = world.run(&["deploy", "--sandbox", "--yes", "--json"]).with(3);
    assert_eq!(again.lines("notice")[0]["pending"], true);
    assert_eq!(
        (&again.lines("error")[0]["class"], &again.lines("result")[0]["exit"]),
        (&json!("refused"), &json!(3))
    );
    let up = world.run(&["up", "--sandbox", "--yes"]).with(0);
    assert!(up.err.contains("warning:") && up.err.contains("not applied: "), "{}", up.err);

    // Taken on request, for exactly this object.
    for (address, why) in
        [("network/vpc", "not a Kubernetes object"), ("application", "not found in the stack")]
    {
        let refused = world.run(&["up", "--sandbox", "--yes", "--take-fields", address]).with(3);
        assert!(refused.err.contains(why), "{}", refused.err);
    }
    world.run(&["deploy", "--sandbox", "--yes", "--take-fields", CONFIG]).with(3);
    world.run(&["deploy", "--sandbox", "--yes", "--take-fields", DEPLOYMENT]).with(0);
    let image = container(&world)["image"].as_str().unwrap().to_owned();
    assert!(image.contains("shop/web@sha256:") && image != released, "{image}");
    assert_eq!(container(&world)["env"][0]["value"], port);
    let plan = world.run(&["plan", "--sandbox", "--json", "--detailed-exitcode"]).with(0);
    assert_eq!(plan.lines("notice"), Vec::<Value>::new());

    // A saved plan holds the request. What is taken is drift.
    kubernetes(&world, CONFIG_PATH, Some(("kubectl-patch", &json!({"data": {"GREETING": "by hand"}}))));
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    let plan = ["plan", "--sandbox", "--json", "--out", "saved", "--take-fields", CONFIG];
    let changes = world.run(&plan).with(0).lines("change");
    assert_eq!((changes.len(), &changes[0]["origin"]), (1, &json!("drift")));
    let field = json!({"path": "data.GREETING", "old": "by hand", "new": "two", "forcesReplace": false});
    assert_eq!(changes[0]["fields"], json!([field]));
    world.run(&["up", "saved", "--sandbox", "--yes"]).with(0);
    assert_eq!(kubernetes(&world, CONFIG_PATH, None)["data"]["GREETING"], "two");
    let plan = world.run(&["plan", "--sandbox", "--json", "--detailed-exitcode"]).with(0);
    assert_eq!(plan.lines("notice"), Vec::<Value>::new());
    world.run(&["down", "--sandbox", "--yes"]).with(0);
}
