//! Tells whether an object is ready, and what blocks its rollout. Pure.
//!
//! A new spec is rolled out when the controller has observed it, all pods are of the new revision, and all of
//! them are available.
//! Source: <https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status>

use super::{
    object_status::{condition, count, number, text},
    pod_trouble::{PodTrouble, trouble},
};
use crate::model::counted_with;
use serde_json::Value;

/// State of an object's rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RolloutState {
    /// The rollout is complete, or the kind has no rollout.
    Ready,
    /// The rollout is in progress; the text says what it waits for.
    Waiting(String),
    /// The rollout is blocked; the text begins with a code (`ImagePullBackOff: ...`).
    Degraded(String),
}

/// What the state of a workload depends on, in addition to the object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HealthInputs {
    /// Pods of its newest revision.
    pub pods: Vec<Value>,
    /// Warning events of its namespace.
    pub warnings: Vec<Value>,
}

/// Returns whether the state of this object depends on its pods.
pub fn needs_health_inputs(object: &Value) -> bool {
    let kind = text(object, "/kind");
    ["Deployment", "StatefulSet", "DaemonSet"].contains(&kind)
        && state(object, &HealthInputs::default()) != RolloutState::Ready
}

/// Returns the state of `object`.
pub fn state(object: &Value, inputs: &HealthInputs) -> RolloutState {
    match (text(object, "/apiVersion"), text(object, "/kind")) {
        ("apps/v1", "Deployment") => deployment(object, inputs),
        ("apps/v1", "StatefulSet") => {
            let wanted = number(object, "/spec/replicas").unwrap_or(1);
            let [updated, ready] =
                ["/status/updatedReplicas", "/status/readyReplicas"].map(|it| count(object, it));
            // Pods below the partition keep the previous revision.
            let kept = number(object, "/spec/updateStrategy/rollingUpdate/partition").unwrap_or_default();
            let new = wanted.saturating_sub(kept).max(0);
            workload(object, inputs, (wanted, new), updated, ready)
        }
        ("apps/v1", "DaemonSet") => {
            let [wanted, updated, ready] = [
                "/status/desiredNumberScheduled",
                "/status/updatedNumberScheduled",
                "/status/numberAvailable",
            ]
            .map(|it| count(object, it));
            workload(object, inputs, (wanted, wanted), updated, ready)
        }
        ("batch/v1", "Job") => match (condition(object, "Complete"), condition(object, "Failed")) {
            (Some(("True", ..)), _) => RolloutState::Ready,
            (_, Some(("True", reason, message))) => RolloutState::Degraded(format!("{reason}: {message}")),
            _ if object.pointer("/spec/suspend") == Some(&Value::Bool(true)) => RolloutState::Ready,
            _ => RolloutState::Waiting("the job is running".to_owned()),
        },
        (_, "CustomResourceDefinition") => {
            match (condition(object, "Established"), condition(object, "NamesAccepted")) {
                (Some(("True", ..)), _) => RolloutState::Ready,
                (_, Some(("False", reason, message))) => {
                    RolloutState::Degraded(format!("{reason}: {message}"))
                }
                _ => RolloutState::Waiting("not established yet".to_owned()),
            }
        }
        ("v1", "Service") if text(object, "/spec/type") != "LoadBalancer" && has_balancer(object) => {
            RolloutState::Waiting("the previous load balancer is being deleted".to_owned())
        }
        ("v1", "Namespace") if text(object, "/status/phase") == "Terminating" => {
            RolloutState::Waiting("the previous namespace of this name is being deleted".to_owned())
        }
        _ => RolloutState::Ready,
    }
}

/// Returns whether the Service still has a load balancer. Until it is deleted, its controller keeps a
/// finalizer.
/// Source: <https://kubernetes.io/docs/tasks/access-application-cluster/create-external-load-balancer/#garbage-collecting-load-balancers>
fn has_balancer(service: &Value) -> bool {
    const HOLDS: [&str; 2] = ["service.k8s.aws/resources", "service.kubernetes.io/load-balancer-cleanup"];
    let held = service.pointer("/metadata/finalizers").and_then(Value::as_array).into_iter().flatten();
    held.filter_map(Value::as_str).any(|name| HOLDS.contains(&name))
}

fn deployment(object: &Value, inputs: &HealthInputs) -> RolloutState {
    if !is_observed(object) {
        return RolloutState::Waiting("the controller has not observed the new spec yet".to_owned());
    }
    // Nothing is rolled out until a person resumes it.
    if object.pointer("/spec/paused") == Some(&Value::Bool(true)) {
        return RolloutState::Ready;
    }
    if let Some(("True", reason, message)) = condition(object, "ReplicaFailure") {
        return RolloutState::Degraded(format!("{reason}: {message}"));
    }
    let wanted = number(object, "/spec/replicas").unwrap_or(1);
    let [updated, all, available] =
        ["/status/updatedReplicas", "/status/replicas", "/status/availableReplicas"]
            .map(|it| count(object, it));
    if updated >= wanted && all <= updated && available >= updated {
        return RolloutState::Ready;
    }
    let what = match (updated < wanted, available < updated) {
        (true, _) => of_new(updated, wanted, "created"),
        (false, true) => of_new(available, wanted, "available"),
        (false, false) => format!("{} terminating", pods(all.saturating_sub(updated), "old pod")),
    };
    if let Some(("False", "ProgressDeadlineExceeded", message)) = condition(object, "Progressing") {
        let why = trouble(&inputs.pods, &inputs.warnings)
            .map_or_else(|| message.to_owned(), |trouble| trouble.text);
        return RolloutState::Degraded(format!("ProgressDeadlineExceeded: {what}; {why}"));
    }
    blocked_or_waiting(inputs, what)
}

/// `1 new pod is`, `2 new pods are`.
fn pods(count: i64, what: &str) -> String {
    counted_with(usize::try_from(count).unwrap_or_default(), what, ["is", "are"])
}

fn of_new(count: i64, wanted: i64, state: &str) -> String {
    format!("{count} of {} {state}", pods(wanted, "new pod"))
}

/// Returns the state of a StatefulSet or DaemonSet that wants this many pods, some of them of the new revision.
fn workload(
    object: &Value,
    inputs: &HealthInputs,
    (wanted, new): (i64, i64),
    updated: i64,
    ready: i64,
) -> RolloutState {
    if !is_observed(object) {
        return RolloutState::Waiting("the controller has not observed the new spec yet".to_owned());
    }
    // A person deletes the old pods, when that suits.
    let by_hand = text(object, "/spec/updateStrategy/type") == "OnDelete";
    if ready >= wanted && (by_hand || updated >= new) {
        return RolloutState::Ready;
    }
    match by_hand || new < wanted {
        true => blocked_or_waiting(inputs, format!("{ready} of {} available", pods(wanted, "pod"))),
        false => blocked_or_waiting(inputs, of_new(ready.min(updated), wanted, "available")),
    }
}

fn blocked_or_waiting(inputs: &HealthInputs, what: String) -> RolloutState {
    match trouble(&inputs.pods, &inputs.warnings) {
        Some(PodTrouble { text, lasting: true }) => RolloutState::Degraded(format!("{text} ({what})")),
        Some(PodTrouble { text, .. }) => RolloutState::Waiting(format!("{what}; {text}")),
        None => RolloutState::Waiting(what),
    }
}

/// Returns whether the controller has observed the newest spec.
fn is_observed(object: &Value) -> bool {
    count(object, "/status/observedGeneration") >= count(object, "/metadata/generation")
}

#[cfg(test)]
mod tests {
    use super::{
        super::pod_trouble::{LASTING_REASONS, MAX_FAILED_MOUNTS, MAX_WRONG_ANSWERS, crashing},
        *,
    };
    use serde_json::json;

    fn deployment(status: Value) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "generation": 2},
            "spec": {"replicas": 3}, "status": status})
    }

    fn done() -> Value {
        json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3})
    }

    fn with(changes: Value) -> Value {
        let mut status = done();
        status.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        deployment(status)
    }

    fn pod(status: Value) -> Value {
        json!({"metadata": {"name": "web-1"}, "status": status})
    }

    fn judged(object: &Value, pods: Vec<Value>, warnings: Vec<Value>) -> RolloutState {
        state(object, &HealthInputs { pods, warnings })
    }

    #[test]
    fn a_rollout_is_complete_when_all_pods_are_new_and_available() {
        assert_eq!(judged(&with(json!({})), vec![], vec![]), RolloutState::Ready);
        for (change, words) in [
            (json!({"observedGeneration": 1}), "the controller has not observed"),
            (json!({"updatedReplicas": 1}), "1 of 3 new pods are created"),
            (json!({"availableReplicas": 2}), "2 of 3 new pods are available"),
            (json!({"replicas": 5}), "2 old pods are terminating"),
        ] {
            let RolloutState::Waiting(why) = judged(&with(change), vec![], vec![]) else { panic!("{words}") };
            assert!(why.contains(words), "{why}");
        }
        let empty =
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"generation": 1}, "spec": {}});
        assert!(
            matches!(judged(&empty, vec![], vec![]), RolloutState::Waiting(_)),
            "before the controller writes a status"
        );
    }

    #[test]
    fn a_blocked_rollout_begins_with_its_reason_code() {
        let waiting = |reason: &str, message: &str| {
            pod(
                json!({"containerStatuses": [{"name": "app", "state": {"waiting": {"reason": reason, "message": message}}}]}),
            )
        };
        let slow = with(json!({"updatedReplicas": 1, "replicas": 4}));
        for reason in LASTING_REASONS {
            let RolloutState::Degraded(why) = judged(&slow, vec![waiting(reason, "said")], vec![]) else {
                panic!("{reason}")
            };
            assert!(why.starts_with(&format!("{reason}: pod web-1, container app: said")), "{why}");
        }
        let first = judged(&slow, vec![waiting("ErrImagePull", "denied")], vec![]);
        assert!(matches!(first, RolloutState::Waiting(why) if why.contains("ErrImagePull")));

        let crash = pod(json!({"containerStatuses": [{"name": "app",
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
            "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}]}));
        assert_eq!(crashing(std::slice::from_ref(&crash)), Some(("web-1".into(), "app".into())));
        let RolloutState::Degraded(why) = judged(&slow, vec![crash], vec![]) else { panic!() };
        assert!(why.contains("exit code 137 (OOMKilled)"), "{why}");

        let lost =
            pod(json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/2 nodes are available: Insufficient cpu."}]}));
        assert!(
            matches!(judged(&slow, vec![lost], vec![]), RolloutState::Degraded(why) if why.contains("Insufficient cpu"))
        );

        let event = |at: &str, message: &str| json!({"involvedObject": {"name": "web-1"}, "reason": "Unhealthy", "message": message, "lastTimestamp": at});
        let warnings = vec![event("2026-01-01T00:00:02Z", "late"), event("2026-01-01T00:00:01Z", "early")];
        let unready = pod(json!({"conditions": [{"type": "Ready", "status": "False"}]}));
        let RolloutState::Waiting(why) = judged(&slow, vec![unready.clone()], warnings.clone()) else {
            panic!()
        };
        assert!(why.contains("Unhealthy: pod web-1: late"), "{why}");
        let over = with(json!({"availableReplicas": 2, "conditions": [
            {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}]}));
        let RolloutState::Degraded(why) = judged(&over, vec![unready], warnings) else { panic!() };
        assert!(why.starts_with("ProgressDeadlineExceeded") && why.contains("late"), "{why}");

        let absent = |count: i64| {
            let event = json!({"involvedObject": {"name": "web-1"}, "reason": "FailedMount", "count": count,
                "message": "MountVolume.SetUp failed for volume \"keys\" : secret \"keys\" not found"});
            judged(&slow, vec![pod(json!({}))], vec![event])
        };
        assert!(matches!(absent(1), RolloutState::Waiting(_)), "the secret may still be created");
        assert!(
            matches!(absent(MAX_FAILED_MOUNTS), RolloutState::Degraded(why) if why.contains("secret \"keys\" not found"))
        );

        let probed = |code: u16, count: i64| {
            let message = format!("Startup probe failed: HTTP probe failed with statuscode: {code}");
            let event = json!({"involvedObject": {"name": "web-1"}, "reason": "Unhealthy", "count": count, "message": message});
            judged(&slow, vec![pod(json!({}))], vec![event])
        };
        for waits in [probed(404, 1), probed(503, 9)] {
            assert!(matches!(waits, RolloutState::Waiting(_)), "it may still be starting");
        }
        let RolloutState::Degraded(why) = probed(404, MAX_WRONG_ANSWERS) else { panic!() };
        assert!(why.contains("answers 404; set `health.startup` of the application"), "{why}");

        let refused = with(
            json!({"conditions": [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
            "message": "pods \"web-1\" is forbidden: violates PodSecurity \"restricted:latest\""}]}),
        );
        assert!(
            matches!(judged(&refused, vec![], vec![]), RolloutState::Degraded(why) if why.contains("PodSecurity"))
        );
    }

    #[test]
    fn what_a_person_rolls_out_is_not_waited_for() {
        let set = |strategy: Value, updated: i64, ready: i64| {
            let object = json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
                "spec": {"replicas": 3, "updateStrategy": strategy},
                "status": {"updatedReplicas": updated, "readyReplicas": ready}});
            judged(&object, vec![], vec![]) == RolloutState::Ready
        };
        assert!(!set(json!({"type": "RollingUpdate"}), 1, 3));
        assert!(set(json!({"type": "OnDelete"}), 0, 3) && !set(json!({"type": "OnDelete"}), 0, 2));
        let partition = |count: i64| json!({"type": "RollingUpdate", "rollingUpdate": {"partition": count}});
        assert!(set(partition(1), 2, 3) && !set(partition(1), 1, 3) && set(partition(9), 0, 3));
        let mut paused = with(json!({"updatedReplicas": 0}));
        paused["spec"]["paused"] = json!(true);
        assert_eq!(judged(&paused, vec![], vec![]), RolloutState::Ready);
        let job = json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"suspend": true}});
        assert_eq!(judged(&job, vec![], vec![]), RolloutState::Ready);
    }

    #[test]
    fn other_kinds_have_their_own_conditions() {
        let crd = |conditions: Value| json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "status": {"conditions": conditions}});
        assert_eq!(
            judged(&crd(json!([{"type": "Established", "status": "True"}])), vec![], vec![]),
            RolloutState::Ready
        );
        assert!(matches!(judged(&crd(json!([])), vec![], vec![]), RolloutState::Waiting(_)));
        let job = |kind: &str| json!({"apiVersion": "batch/v1", "kind": "Job", "status": {"conditions": [{"type": kind, "status": "True", "reason": "BackoffLimitExceeded"}]}});
        assert_eq!(judged(&job("Complete"), vec![], vec![]), RolloutState::Ready);
        assert!(matches!(judged(&job("Failed"), vec![], vec![]), RolloutState::Degraded(_)));
        let daemons = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "status": {"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 1}});
        assert!(matches!(judged(&daemons, vec![], vec![]), RolloutState::Waiting(_)));
        assert_eq!(
            judged(&json!({"apiVersion": "v1", "kind": "ConfigMap"}), vec![], vec![]),
            RolloutState::Ready
        );
        let service = |kind: &str| json!({"apiVersion": "v1", "kind": "Service", "spec": {"type": kind}, "metadata": {"finalizers": ["service.k8s.aws/resources"]}});
        assert_eq!(judged(&service("LoadBalancer"), vec![], vec![]), RolloutState::Ready);
        assert!(matches!(judged(&service("ClusterIP"), vec![], vec![]), RolloutState::Waiting(_)));
    }
}
