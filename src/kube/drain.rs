//! Which pods of nodes that are to be removed may be evicted now. Pure.

use super::{client::ObjectRef, evictions::PodRef, pod_trouble::pod_trouble};
use crate::model::counted_with;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// How many pods a controller wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replicas {
    /// The number of pods in its spec; `None` if it has none there, as a Job.
    pub wanted: Option<i64>,
    /// The number of available pods, if pods have to be ready for some time before they are.
    pub available: Option<i64>,
}

impl Replicas {
    /// Reads a controller; `None` if it does not exist or cannot be read.
    pub fn of(controller: Option<&Value>) -> Self {
        let number = |path: &str| controller?.pointer(path)?.as_i64();
        let waits = number("/spec/minReadySeconds").is_some_and(|seconds| seconds > 0);
        let available = number("/status/availableReplicas").unwrap_or_default();
        Replicas { wanted: number("/spec/replicas"), available: waits.then_some(available) }
    }
}

/// What a drain does next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DrainStep {
    /// Pods to evict now.
    pub evict: Vec<PodRef>,
    /// Those of them that no controller creates again.
    pub lost: Vec<PodRef>,
    /// What the other pods wait for, one text for each pod or controller.
    pub waits: Vec<String>,
    /// How many pods are left on the nodes.
    pub left: usize,
}

/// Returns the controllers of the pods that leave these nodes, by uid.
pub fn controllers(leaving: &BTreeSet<String>, pods: &[Value]) -> BTreeMap<String, ObjectRef> {
    let leaves = pods.iter().filter(|pod| is_on(leaving, pod) && must_leave(pod) && !is_terminating(pod));
    leaves
        .filter_map(|pod| {
            let owner = controller(pod)?;
            let object_ref = ObjectRef {
                api_version: text(owner, "/apiVersion").to_owned(),
                kind: text(owner, "/kind").to_owned(),
                namespace: Some(text(pod, "/metadata/namespace").to_owned()),
                name: text(owner, "/name").to_owned(),
            };
            Some((text(owner, "/uid").to_owned(), object_ref))
        })
        .collect()
}

/// Returns what a drain of the nodes `leaving` does next. `pods` are all pods of the cluster, `replicas` what their
/// controllers want, by uid.
///
/// Of each controller, one pod that is ready leaves at a time, and only while as many are ready as the controller wants:
/// what serves is never less than it was. Pods without a controller leave last.
pub fn next_evictions(
    leaving: &BTreeSet<String>,
    pods: &[Value],
    replicas: &BTreeMap<String, Replicas>,
) -> DrainStep {
    let mut step = DrainStep::default();
    let mut by_controller: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    let mut alone = Vec::new();
    for pod in pods.iter().filter(|pod| is_on(leaving, pod) && must_leave(pod)) {
        step.left = step.left.saturating_add(1);
        match controller(pod) {
            _ if is_terminating(pod) => step.waits.push(format!("pod {} is terminating", pod_ref(pod))),
            Some(owner) => by_controller.entry(text(owner, "/uid")).or_default().push(pod),
            None => alone.push(pod_ref(pod)),
        }
    }
    for (uid, mut leaves) in by_controller {
        leaves.sort_by_key(|pod| pod_ref(pod));
        let peers: Vec<&Value> = pods.iter().filter(|pod| is_of(uid, pod) && !is_finished(pod)).collect();
        let wanted = replicas.get(uid).copied().unwrap_or_default();
        // What is not ready serves no request, and may become ready elsewhere.
        let (ready, unready): (Vec<&Value>, Vec<&Value>) = leaves.into_iter().partition(|pod| is_ready(pod));
        step.evict.extend(unready.into_iter().map(pod_ref));
        match (ready.first(), missing(leaving, &peers, wanted)) {
            (Some(first), None) => step.evict.push(pod_ref(first)),
            (Some(first), Some(why)) => step.waits.push(format!("{}: {why}", named(first))),
            (None, _) => {}
        }
    }
    if step.left == alone.len() {
        step.lost.clone_from(&alone);
        step.evict = alone;
    }
    step
}

/// Returns what a controller lacks before another of its pods may leave.
fn missing(leaving: &BTreeSet<String>, peers: &[&Value], replicas: Replicas) -> Option<String> {
    let staying: Vec<&&Value> = peers.iter().filter(|pod| !is_terminating(pod)).collect();
    let ready = staying.iter().filter(|pod| is_ready(pod)).count();
    let wanted = match replicas.wanted {
        Some(wanted) => usize::try_from(wanted).unwrap_or_default(),
        // What it wants is not known: it creates a new pod for each that ends.
        None => peers.len(),
    };
    let short = |count: usize, what: &str| {
        format!("{count} of {} {what}", counted_with(wanted, "pod", ["is", "are"]))
    };
    if ready < wanted {
        let mut new = staying.iter().filter(|pod| !is_ready(pod) && !is_on(leaving, pod));
        let trouble = new.find_map(|pod| pod_trouble(pod, &[]));
        let trouble = trouble.map(|trouble| format!(" ({})", trouble.text)).unwrap_or_default();
        return Some(short(ready, "ready") + &trouble);
    }
    let available = replicas.available.map(|count| usize::try_from(count).unwrap_or_default());
    available.filter(|count| *count < wanted).map(|count| short(count, "available"))
}

/// Whether a drain waits for the end of the pod: neither what its node itself runs, nor what has ended.
fn must_leave(pod: &Value) -> bool {
    let daemon = controller(pod).is_some_and(|owner| text(owner, "/kind") == "DaemonSet");
    let mirror = pod.pointer("/metadata/annotations/kubernetes.io~1config.mirror").is_some();
    !daemon && !mirror && !is_finished(pod)
}

fn is_on(nodes: &BTreeSet<String>, pod: &Value) -> bool {
    nodes.contains(text(pod, "/spec/nodeName"))
}

fn is_of(uid: &str, pod: &Value) -> bool {
    controller(pod).is_some_and(|owner| text(owner, "/uid") == uid)
}

fn is_finished(pod: &Value) -> bool {
    ["Succeeded", "Failed"].contains(&text(pod, "/status/phase"))
}

fn is_terminating(pod: &Value) -> bool {
    pod.pointer("/metadata/deletionTimestamp").is_some()
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let mut ready = conditions.filter(|it| text(it, "/type") == "Ready");
    ready.any(|it| text(it, "/status") == "True")
}

/// Returns the owner that creates the pod again.
fn controller(pod: &Value) -> Option<&Value> {
    let owners = pod.pointer("/metadata/ownerReferences")?.as_array()?;
    owners.iter().find(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true))
}

/// Returns the controller of a pod as messages name it.
fn named(pod: &Value) -> String {
    let owner = controller(pod).unwrap_or(&Value::Null);
    format!("{} {}/{}", text(owner, "/kind"), text(pod, "/metadata/namespace"), text(owner, "/name"))
}

fn pod_ref(pod: &Value) -> PodRef {
    let of = |path: &str| text(pod, path).to_owned();
    PodRef { namespace: of("/metadata/namespace"), name: of("/metadata/name"), uid: of("/metadata/uid") }
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A pod of the ReplicaSet `web`; `on` is its node, `state` is `ready`, `starting`, `ending`, `done` or `stuck`.
    fn pod(name: &str, on: &str, state: &str) -> Value {
        owned(
            name,
            on,
            state,
            json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "web", "controller": true}]),
        )
    }

    fn owned(name: &str, on: &str, state: &str, owners: Value) -> Value {
        let ready = if matches!(state, "ready" | "ending") { "True" } else { "False" };
        let mut conditions = vec![json!({"type": "Ready", "status": ready})];
        if state == "stuck" {
            conditions.push(json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                "message": "0/2 nodes are available"}));
        }
        let mut pod = json!({
            "metadata": {"namespace": "shop", "name": name, "uid": name, "ownerReferences": owners},
            "spec": {"nodeName": on},
            "status": {"phase": if state == "done" { "Succeeded" } else { "Running" }, "conditions": conditions},
        });
        if state == "ending" {
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        pod
    }

    fn next(pods: &[Value], wanted: Replicas) -> (Vec<String>, Vec<String>, usize) {
        let leaving = BTreeSet::from(["old-1".to_owned(), "old-2".to_owned()]);
        let step = next_evictions(&leaving, pods, &BTreeMap::from([("web".to_owned(), wanted)]));
        let names = |pods: &[PodRef]| pods.iter().map(|pod| pod.name.clone()).collect::<Vec<_>>();
        assert!(step.lost.is_empty() || step.lost == step.evict);
        (names(&step.evict), step.waits, step.left)
    }

    #[test]
    fn one_pod_of_a_controller_leaves_at_a_time() {
        let two = Replicas { wanted: Some(2), available: None };
        let slow = |available| Replicas { wanted: Some(2), available: Some(available) };
        let unknown = Replicas::default();
        let web = "ReplicaSet shop/web:";
        for (name, replicas, pods, evict, waits, left) in [
            ("both serve", two, vec![("a", "old-1", "ready"), ("b", "old-2", "ready")], vec!["a"], vec![], 2),
            (
                "the first ends, its successor does not exist",
                two,
                vec![("a", "old-1", "ending"), ("b", "old-2", "ready")],
                vec![],
                vec!["pod shop/a is terminating".to_owned(), format!("{web} 1 of 2 pods are ready")],
                2,
            ),
            (
                "the successor starts",
                two,
                vec![("b", "old-2", "ready"), ("c", "new", "starting")],
                vec![],
                vec![format!("{web} 1 of 2 pods are ready")],
                1,
            ),
            (
                "the successor has no place",
                two,
                vec![("b", "old-2", "ready"), ("c", "", "stuck")],
                vec![],
                vec![format!("{web} 1 of 2 pods are ready (Unschedulable: pod c: 0/2 nodes are available)")],
                1,
            ),
            (
                "the successor serves, the first still ends",
                two,
                vec![("a", "old-1", "ending"), ("b", "old-2", "ready"), ("c", "new", "ready")],
                vec!["b"],
                vec!["pod shop/a is terminating".to_owned()],
                2,
            ),
            (
                "the successor is ready, and not yet available",
                slow(1),
                vec![("b", "old-2", "ready"), ("c", "new", "ready")],
                vec![],
                vec![format!("{web} 1 of 2 pods are available")],
                1,
            ),
            (
                "the successor is available",
                slow(2),
                vec![("b", "old-2", "ready"), ("c", "new", "ready")],
                vec!["b"],
                vec![],
                1,
            ),
            ("all are elsewhere", two, vec![("c", "new", "ready"), ("d", "new", "ready")], vec![], vec![], 0),
            (
                "what is not ready leaves at once",
                two,
                vec![("a", "old-1", "starting"), ("b", "old-2", "starting")],
                vec!["a", "b"],
                vec![],
                2,
            ),
            (
                "the only one",
                Replicas { wanted: Some(1), available: None },
                vec![("a", "old-1", "ready")],
                vec!["a"],
                vec![],
                1,
            ),
            (
                "nothing is known of the controller",
                unknown,
                vec![("a", "old-1", "ready"), ("b", "old-2", "ready")],
                vec!["a"],
                vec![],
                2,
            ),
            (
                "nor of it when one ends",
                unknown,
                vec![("a", "old-1", "ending"), ("b", "old-2", "ready")],
                vec![],
                vec!["pod shop/a is terminating".to_owned(), format!("{web} 1 of 2 pods are ready")],
                2,
            ),
            ("what has ended is not waited for", two, vec![("a", "old-1", "done")], vec![], vec![], 0),
        ] {
            let pods: Vec<Value> = pods.into_iter().map(|(name, on, state)| pod(name, on, state)).collect();
            let evict: Vec<String> = evict.into_iter().map(str::to_owned).collect();
            assert_eq!(next(&pods, replicas), (evict, waits, left), "{name}");
        }
    }

    #[test]
    fn pods_of_the_node_stay_and_pods_without_a_controller_leave_last() {
        let daemon = json!([{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "uid": "d", "controller": true}]);
        let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "c"}]);
        let mut mirror = owned("m", "old-1", "ready", Value::Null);
        mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
        let mut pods =
            vec![owned("d", "old-1", "ready", daemon), mirror, owned("c", "old-1", "ready", owner)];
        pods.push(pod("a", "old-1", "ready"));
        let one = Replicas { wanted: Some(1), available: None };
        assert_eq!(next(&pods, one), (vec!["a".to_owned()], vec![], 2));
        pods.pop();
        assert_eq!(next(&pods, one), (vec!["c".to_owned()], vec![], 1));
        let leaving = BTreeSet::from(["old-1".to_owned()]);
        assert_eq!(next_evictions(&leaving, &pods, &BTreeMap::new()).lost.len(), 1);
    }

    #[test]
    fn controllers_are_read_once() {
        let leaving = BTreeSet::from(["old-1".to_owned()]);
        let pods = [pod("a", "old-1", "ready"), pod("b", "old-1", "ready"), pod("c", "new", "ready")];
        let found = controllers(&leaving, &pods);
        let web = ObjectRef {
            api_version: "apps/v1".to_owned(),
            kind: "ReplicaSet".to_owned(),
            namespace: Some("shop".to_owned()),
            name: "web".to_owned(),
        };
        assert_eq!(found, BTreeMap::from([("web".to_owned(), web)]));
        let set = json!({"spec": {"replicas": 2, "minReadySeconds": 5}, "status": {"availableReplicas": 1}});
        assert_eq!(Replicas::of(Some(&set)), Replicas { wanted: Some(2), available: Some(1) });
        let set = json!({"spec": {"replicas": 2}, "status": {"availableReplicas": 1}});
        assert_eq!(Replicas::of(Some(&set)), Replicas { wanted: Some(2), available: None });
        assert_eq!(Replicas::of(None), Replicas::default());
    }
}
