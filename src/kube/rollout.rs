//! Whether an object does its work, and what holds it up. Pure.
//!
//! The condition is our own: a new spec counts as rolled out when the controller has seen it, all pods are new ones, and
//! all of them are available. Source: <https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status>

use serde_json::Value;

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It does its work, or its kind has none.
    Ready,
    /// Not yet, and why.
    Waiting(String),
    /// Something is wrong, which begins with its code (`ImagePullBackOff: ...`).
    Troubled(String),
}

/// What a workload's state is judged by, beside the object itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Witnesses {
    /// The pods of its newest revision.
    pub pods: Vec<Value>,
    /// The warnings of its namespace.
    pub warnings: Vec<Value>,
}

/// Whether the state of this object can only be told with its pods.
pub fn wants_witnesses(object: &Value) -> bool {
    let kind = text(object, "/kind");
    ["Deployment", "StatefulSet", "DaemonSet"].contains(&kind)
        && state(object, &Witnesses::default()) != State::Ready
}

/// How far `object` is.
pub fn state(object: &Value, witnesses: &Witnesses) -> State {
    match (text(object, "/apiVersion"), text(object, "/kind")) {
        ("apps/v1", "Deployment") => deployment(object, witnesses),
        ("apps/v1", "StatefulSet") => {
            let wanted = number(object, "/spec/replicas").unwrap_or(1);
            let [updated, ready] =
                ["/status/updatedReplicas", "/status/readyReplicas"].map(|it| count(object, it));
            workload(object, witnesses, wanted, updated, ready)
        }
        ("apps/v1", "DaemonSet") => {
            let [wanted, updated, ready] = [
                "/status/desiredNumberScheduled",
                "/status/updatedNumberScheduled",
                "/status/numberAvailable",
            ]
            .map(|it| count(object, it));
            workload(object, witnesses, wanted, updated, ready)
        }
        ("batch/v1", "Job") => match (condition(object, "Complete"), condition(object, "Failed")) {
            (Some(("True", ..)), _) => State::Ready,
            (_, Some(("True", reason, message))) => State::Troubled(format!("{reason}: {message}")),
            _ => State::Waiting("it runs".to_owned()),
        },
        (_, "CustomResourceDefinition") => {
            match (condition(object, "Established"), condition(object, "NamesAccepted")) {
                (Some(("True", ..)), _) => State::Ready,
                (_, Some(("False", reason, message))) => State::Troubled(format!("{reason}: {message}")),
                _ => State::Waiting("it is not established yet".to_owned()),
            }
        }
        ("v1", "Service") if text(object, "/spec/type") != "LoadBalancer" && has_balancer(object) => {
            State::Waiting("the load balancer that it had is being removed".to_owned())
        }
        ("v1", "Namespace") if text(object, "/status/phase") == "Terminating" => {
            State::Waiting("an earlier namespace of this name is being removed".to_owned())
        }
        _ => State::Ready,
    }
}

/// Whether a load balancer of the Service is there: its controller holds the Service as long as that is so.
/// Source: <https://kubernetes.io/docs/tasks/access-application-cluster/create-external-load-balancer/#garbage-collecting-load-balancers>
fn has_balancer(service: &Value) -> bool {
    const HOLDS: [&str; 2] = ["service.k8s.aws/resources", "service.kubernetes.io/load-balancer-cleanup"];
    let held = service.pointer("/metadata/finalizers").and_then(Value::as_array).into_iter().flatten();
    held.filter_map(Value::as_str).any(|name| HOLDS.contains(&name))
}

fn deployment(object: &Value, witnesses: &Witnesses) -> State {
    if !seen(object) {
        return State::Waiting("the cluster has not taken it up yet".to_owned());
    }
    if let Some(("True", reason, message)) = condition(object, "ReplicaFailure") {
        return State::Troubled(format!("{reason}: {message}"));
    }
    let wanted = number(object, "/spec/replicas").unwrap_or(1);
    let [updated, all, available] =
        ["/status/updatedReplicas", "/status/replicas", "/status/availableReplicas"]
            .map(|it| count(object, it));
    if updated >= wanted && all <= updated && available >= updated {
        return State::Ready;
    }
    let what = match (updated < wanted, available < updated) {
        (true, _) => format!("{updated} of {wanted} new pods are made"),
        (false, true) => format!("{available} of {wanted} new pods are available"),
        (false, false) => format!("{} old pods are ending", all.saturating_sub(updated)),
    };
    if let Some(("False", "ProgressDeadlineExceeded", message)) = condition(object, "Progressing") {
        let why = trouble(witnesses).map_or_else(|| message.to_owned(), |trouble| trouble.text);
        return State::Troubled(format!("ProgressDeadlineExceeded: {what}; {why}"));
    }
    held_up(witnesses, what)
}

fn workload(object: &Value, witnesses: &Witnesses, wanted: i64, updated: i64, ready: i64) -> State {
    if !seen(object) {
        return State::Waiting("the cluster has not taken it up yet".to_owned());
    }
    match updated >= wanted && ready >= wanted {
        true => State::Ready,
        false => held_up(witnesses, format!("{} of {wanted} new pods are available", ready.min(updated))),
    }
}

fn held_up(witnesses: &Witnesses, what: String) -> State {
    match trouble(witnesses) {
        Some(Trouble { text, lasting: true }) => State::Troubled(format!("{text} ({what})")),
        Some(Trouble { text, .. }) => State::Waiting(format!("{what}; {text}")),
        None => State::Waiting(what),
    }
}

/// What is wrong with a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Trouble {
    text: String,
    /// Whether no waiting mends it.
    lasting: bool,
}

/// Reasons of a waiting container that no waiting mends. `ErrImagePull` is the first try; the back-off follows it.
const LASTING: &[&str] = &[
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "CrashLoopBackOff",
];

/// The worst that is wrong with any of the pods.
fn trouble(witnesses: &Witnesses) -> Option<Trouble> {
    let all: Vec<Trouble> =
        witnesses.pods.iter().filter_map(|pod| of_pod(pod, &witnesses.warnings)).collect();
    all.iter().find(|trouble| trouble.lasting).or(all.first()).cloned()
}

/// The pod, the container, and whether its last run is meant, of the first container that ends again and again.
pub fn crashing(pods: &[Value]) -> Option<(String, String)> {
    pods.iter().find_map(|pod| {
        let crashes = |it: &Value| text(it, "/state/waiting/reason") == "CrashLoopBackOff";
        let (_, container) = containers(pod).find(|(_, it)| crashes(it))?;
        Some((text(pod, "/metadata/name").to_owned(), text(container, "/name").to_owned()))
    })
}

/// What containers are called, and their states: those that come first, first.
fn containers(pod: &Value) -> impl Iterator<Item = (&'static str, &Value)> {
    let of = |what: &'static str, path: &str| {
        pod.pointer(path).and_then(Value::as_array).into_iter().flatten().map(move |it| (what, it))
    };
    of("init container", "/status/initContainerStatuses").chain(of("container", "/status/containerStatuses"))
}

fn of_pod(pod: &Value, warnings: &[Value]) -> Option<Trouble> {
    let name = text(pod, "/metadata/name");
    for (what, container) in containers(pod) {
        let reason = text(container, "/state/waiting/reason");
        if !LASTING.contains(&reason) && reason != "ErrImagePull" {
            continue;
        }
        let mut said = vec![text(container, "/state/waiting/message").to_owned()];
        if let Some(end) = container.pointer("/lastState/terminated") {
            let code = number(end, "/exitCode").unwrap_or_default();
            let why = text(end, "/reason");
            said = vec![format!("it ended with exit code {code} ({why}) {}", text(end, "/message"))];
        }
        let place = format!("pod {name}, {what} {}", text(container, "/name"));
        // Its exit code does not tell that a probe had it ended.
        let probe = |message: &str| {
            ["Liveness probe failed", "Startup probe failed"].iter().any(|it| message.starts_with(it))
        };
        let ended = latest(warnings, name, &|event| probe(text(event, "/message")));
        let ended = ended.filter(|_| reason == "CrashLoopBackOff").map(|event| text(event, "/message"));
        let said = [said.concat().trim(), ended.unwrap_or_default()].join("; ");
        let text = format!("{reason}: {place}: {}", said.trim_end_matches("; "));
        return Some(Trouble { text, lasting: LASTING.contains(&reason) });
    }
    if let Some(("False", "Unschedulable", message)) = condition(pod, "PodScheduled") {
        return Some(Trouble { text: format!("Unschedulable: pod {name}: {message}"), lasting: true });
    }
    // What a probe or a mount meets shows in events only.
    let last = latest(warnings, name, &|_| true)?;
    let ready = matches!(condition(pod, "Ready"), Some(("True", ..)));
    let lasting = is_absent(last);
    let text = format!("{}: pod {name}: {}", text(last, "/reason"), text(last, "/message"));
    (!ready).then_some(Trouble { text, lasting })
}

/// The last warning of a pod that is wanted.
fn latest<'a>(warnings: &'a [Value], pod: &str, wanted: &dyn Fn(&Value) -> bool) -> Option<&'a Value> {
    let mine = warnings.iter().filter(|event| text(event, "/involvedObject/name") == pod && wanted(event));
    mine.max_by_key(|event| {
        [text(event, "/lastTimestamp"), text(event, "/eventTime"), text(event, "/metadata/creationTimestamp")]
            .map(str::to_owned)
    })
}

/// How often the kubelet looks in vain for a volume's source before this counts as lasting: about seven seconds, in which
/// somebody else's controller may still make it.
const VAIN: i64 = 4;

/// Whether an event tells of a volume whose ConfigMap or Secret is not there.
fn is_absent(event: &Value) -> bool {
    let times = number(event, "/count").or(number(event, "/series/count")).unwrap_or(1);
    text(event, "/reason") == "FailedMount" && text(event, "/message").contains("not found") && times >= VAIN
}

/// Whether the controller has seen the newest spec.
fn seen(object: &Value) -> bool {
    count(object, "/status/observedGeneration") >= count(object, "/metadata/generation")
}

/// Status, reason and message of a condition.
fn condition<'a>(object: &'a Value, kind: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let list = object.pointer("/status/conditions").and_then(Value::as_array)?;
    let found = list.iter().find(|condition| text(condition, "/type") == kind)?;
    Some((text(found, "/status"), text(found, "/reason"), text(found, "/message")))
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, path: &str) -> Option<i64> {
    value.pointer(path).and_then(Value::as_i64)
}

fn count(value: &Value, path: &str) -> i64 {
    number(value, path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
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

    fn judged(object: &Value, pods: Vec<Value>, warnings: Vec<Value>) -> State {
        state(object, &Witnesses { pods, warnings })
    }

    #[test]
    fn a_rollout_is_over_when_all_pods_are_new_and_available() {
        assert_eq!(judged(&with(json!({})), vec![], vec![]), State::Ready);
        for (change, words) in [
            (json!({"observedGeneration": 1}), "not taken it up"),
            (json!({"updatedReplicas": 1}), "1 of 3 new pods are made"),
            (json!({"availableReplicas": 2}), "2 of 3 new pods are available"),
            (json!({"replicas": 5}), "2 old pods are ending"),
        ] {
            let State::Waiting(why) = judged(&with(change), vec![], vec![]) else { panic!("{words}") };
            assert!(why.contains(words), "{why}");
        }
        let empty =
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"generation": 1}, "spec": {}});
        assert!(
            matches!(judged(&empty, vec![], vec![]), State::Waiting(_)),
            "before the controller's first word"
        );
    }

    #[test]
    fn what_holds_a_rollout_up_is_named_by_its_code_first() {
        let waiting = |reason: &str, message: &str| {
            pod(
                json!({"containerStatuses": [{"name": "app", "state": {"waiting": {"reason": reason, "message": message}}}]}),
            )
        };
        let slow = with(json!({"updatedReplicas": 1, "replicas": 4}));
        for reason in LASTING {
            let State::Troubled(why) = judged(&slow, vec![waiting(reason, "said")], vec![]) else {
                panic!("{reason}")
            };
            assert!(why.starts_with(&format!("{reason}: pod web-1, container app: said")), "{why}");
        }
        let first = judged(&slow, vec![waiting("ErrImagePull", "denied")], vec![]);
        assert!(matches!(first, State::Waiting(why) if why.contains("ErrImagePull")));

        let crash = pod(json!({"containerStatuses": [{"name": "app",
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
            "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}]}));
        assert_eq!(crashing(std::slice::from_ref(&crash)), Some(("web-1".into(), "app".into())));
        let State::Troubled(why) = judged(&slow, vec![crash], vec![]) else { panic!() };
        assert!(why.contains("exit code 137 (OOMKilled)"), "{why}");

        let lost =
            pod(json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/2 nodes are available: Insufficient cpu."}]}));
        assert!(
            matches!(judged(&slow, vec![lost], vec![]), State::Troubled(why) if why.contains("Insufficient cpu"))
        );

        let event = |at: &str, message: &str| json!({"involvedObject": {"name": "web-1"}, "reason": "Unhealthy", "message": message, "lastTimestamp": at});
        let warnings = vec![event("2026-01-01T00:00:02Z", "late"), event("2026-01-01T00:00:01Z", "early")];
        let unready = pod(json!({"conditions": [{"type": "Ready", "status": "False"}]}));
        let State::Waiting(why) = judged(&slow, vec![unready.clone()], warnings.clone()) else { panic!() };
        assert!(why.contains("Unhealthy: pod web-1: late"), "{why}");
        let over = with(json!({"availableReplicas": 2, "conditions": [
            {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}]}));
        let State::Troubled(why) = judged(&over, vec![unready], warnings) else { panic!() };
        assert!(why.starts_with("ProgressDeadlineExceeded") && why.contains("late"), "{why}");

        let absent = |count: i64| {
            let event = json!({"involvedObject": {"name": "web-1"}, "reason": "FailedMount", "count": count,
                "message": "MountVolume.SetUp failed for volume \"keys\" : secret \"keys\" not found"});
            judged(&slow, vec![pod(json!({}))], vec![event])
        };
        assert!(matches!(absent(1), State::Waiting(_)), "it may still come");
        assert!(matches!(absent(VAIN), State::Troubled(why) if why.contains("secret \"keys\" not found")));

        let refused = with(
            json!({"conditions": [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
            "message": "pods \"web-1\" is forbidden: violates PodSecurity \"restricted:latest\""}]}),
        );
        assert!(
            matches!(judged(&refused, vec![], vec![]), State::Troubled(why) if why.contains("PodSecurity"))
        );
    }

    #[test]
    fn other_kinds_have_their_own_conditions() {
        let crd = |conditions: Value| json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "status": {"conditions": conditions}});
        assert_eq!(
            judged(&crd(json!([{"type": "Established", "status": "True"}])), vec![], vec![]),
            State::Ready
        );
        assert!(matches!(judged(&crd(json!([])), vec![], vec![]), State::Waiting(_)));
        let job = |kind: &str| json!({"apiVersion": "batch/v1", "kind": "Job", "status": {"conditions": [{"type": kind, "status": "True", "reason": "BackoffLimitExceeded"}]}});
        assert_eq!(judged(&job("Complete"), vec![], vec![]), State::Ready);
        assert!(matches!(judged(&job("Failed"), vec![], vec![]), State::Troubled(_)));
        let daemons = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "status": {"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 1}});
        assert!(matches!(judged(&daemons, vec![], vec![]), State::Waiting(_)));
        assert_eq!(judged(&json!({"apiVersion": "v1", "kind": "ConfigMap"}), vec![], vec![]), State::Ready);
        let service = |kind: &str| json!({"apiVersion": "v1", "kind": "Service", "spec": {"type": kind}, "metadata": {"finalizers": ["service.k8s.aws/resources"]}});
        assert_eq!(judged(&service("LoadBalancer"), vec![], vec![]), State::Ready);
        assert!(matches!(judged(&service("ClusterIP"), vec![], vec![]), State::Waiting(_)));
    }
}
