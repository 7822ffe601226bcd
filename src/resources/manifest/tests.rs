//! Objects of manifests: what is applied, replaced and kept.

use super::*;
use serde_json::json;

#[test]
fn live_replicas_stand_where_something_scales() {
    let spec = |scaled| Spec {
        cluster: "c".to_owned(),
        part: "app".to_owned(),
        object: json!({"spec": {"replicas": 3}}),
        scaled,
        grows: false,
    };
    let live = json!({"spec": {"replicas": 7}});
    assert_eq!(sent(&spec(true), Some(&live))["spec"]["replicas"], 7);
    assert_eq!(sent(&spec(true), None)["spec"]["replicas"], 3);
    assert_eq!(sent(&spec(true), Some(&json!({"spec": {"replicas": 0}})))["spec"]["replicas"], 3);
    assert_eq!(sent(&spec(false), Some(&live))["spec"]["replicas"], 3);
}

#[test]
fn jobs_are_replaced_and_custom_resources_hold_data() {
    let live = |kind: &str, api_version: &str, path: &str| -> Live {
        serde_json::from_value(json!({
            "cluster": "c", "apiVersion": api_version, "kind": kind, "namespace": "n", "name": "p", "id": "1",
            "tags": {}, "pending": [{"path": path, "old": "a", "new": "b", "forcesReplace": false}], "later": [],
            "conflict": null, "waiting": null, "trouble": null,
        }))
        .unwrap()
    };
    let spec = Spec {
        cluster: "c".to_owned(),
        part: "app".to_owned(),
        object: json!({}),
        scaled: false,
        grows: false,
    };
    let replaced = |kind: &str, path: &str| {
        let changes = Manifest::diff(&spec, &live(kind, "batch/v1", path));
        changes.0.iter().all(|change| change.forces_replace)
    };
    let image = "spec.template.spec.containers[app].image";
    assert!(replaced("Job", image) && !replaced("Job", "spec.parallelism"));
    assert!(!replaced("CronJob", "spec.jobTemplate.spec.template") && !replaced("Deployment", image));
    let holds = |api_version: &str| Manifest::holds(&live("Database", api_version, "spec"));
    assert!(holds("acid.zalan.do/v1").is_some());
    for own in ["v1", "apps/v1", "networking.k8s.io/v1", "elbv2.k8s.aws/v1beta1"] {
        assert_eq!(holds(own), None, "{own}");
    }
}

#[test]
fn a_new_value_in_a_taken_field_is_pending_until_it_is_applied() {
    let spec = |image: &str| Spec {
        cluster: "c".to_owned(),
        part: "app".to_owned(),
        object: json!({"kind": "Pod", "metadata": {"name": "p"}, "spec": {"image": image}}),
        scaled: false,
        grows: false,
    };
    let entry =
        json!({"manager": "kubectl-set", "operation": "Update", "fieldsV1": {"f:spec": {"f:image": {}}}});
    let object = json!({"metadata": {"managedFields": [entry]}, "spec": {"image": "busybox"}});
    let live = json!({
        "cluster": "c", "apiVersion": "v1", "kind": "Pod", "namespace": null, "name": "p", "id": "1", "tags": {},
        "pending": [], "later": [], "conflict": null, "waiting": null, "trouble": null,
        "taken": kube::taken_fields(&spec("v2").object, &object),
    });
    let live: Live = serde_json::from_value(live).unwrap();
    let found = |want: &str, recorded: Option<&Spec>| {
        let found = Manifest::not_applied(&spec(want), &live, recorded)?;
        Some((found.pending, found.spec.object["spec"]["image"].clone()))
    };
    assert_eq!(found("v2", Some(&spec("v2"))), Some((false, json!("v2"))));
    assert_eq!(
        found("v2", Some(&spec("v1"))),
        Some((true, json!("v1"))),
        "recorded is what was applied last"
    );
    assert_eq!(found("v2", None), Some((false, json!("v2"))));
    assert_eq!(found("busybox", Some(&spec("v1"))), None, "the file has the live value by now");
}
