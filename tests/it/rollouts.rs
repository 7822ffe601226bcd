//! Ways for a rollout to fail, on a real API server with its controllers and nodes that pretend: each is named with its cause.

use crate::common::kube::Plane;
use provisioner::kube::{Apply, KubeClient, ObjectRef, RolloutState, health};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// How long each may take from its apply to its verdict. What the cluster itself waits for is in it: back-offs are ten times
/// shorter here, a progress deadline lasts five seconds.
const PATIENCE: Duration = Duration::from_mins(5);

/// How soon a verdict must follow what the cluster knows.
const SOON: Duration = Duration::from_secs(10);

/// A Deployment: its name and namespace, what its container is beside its image, what its pods are beside that, and the words
/// of the verdict.
struct Case {
    name: &'static str,
    namespace: &'static str,
    image: &'static str,
    container: Value,
    pod: Value,
    words: &'static [&'static str],
}

fn case(name: &'static str, words: &'static [&'static str]) -> Case {
    Case { name, namespace: "plain", image: "fine:1", container: json!({}), pod: json!({}), words }
}

fn cases() -> Vec<Case> {
    vec![
        Case {
            image: "testplane.test/missing",
            ..case("image", &["ImagePullBackOff", "testplane.test/missing"])
        },
        Case {
            image: "testplane.test/crash:7",
            ..case("crash", &["CrashLoopBackOff", "exit code 7", "last log lines: no such setting"])
        },
        Case {
            image: "testplane.test/oom",
            ..case("memory", &["CrashLoopBackOff", "exit code 137", "OOMKilled"])
        },
        Case {
            pod: json!({"initContainers": [{"name": "first", "image": "testplane.test/crash:4"}]}),
            ..case("init", &["CrashLoopBackOff", "init container first", "exit code 4"])
        },
        Case {
            container: json!({"envFrom": [{"configMapRef": {"name": "nowhere"}}]}),
            ..case("config", &["CreateContainerConfigError", "configmap \"nowhere\" not found"])
        },
        Case {
            container: json!({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "nowhere", "key": "a"}}}]}),
            ..case("secret", &["CreateContainerConfigError", "secret \"nowhere\" not found"])
        },
        Case {
            pod: json!({"volumes": [{"name": "keys", "secret": {"secretName": "nowhere"}}]}),
            ..case("volume", &["FailedMount", "secret \"nowhere\" not found"])
        },
        Case { ..case("command", &["/no/such/program", "no such file"]) },
        Case {
            container: json!({"resources": {"requests": {"cpu": "500"}}}),
            ..case("large", &["Unschedulable", "Insufficient cpu"])
        },
        Case {
            pod: json!({"nodeSelector": {"disk": "fast"}}),
            ..case("selector", &["Unschedulable", "node affinity/selector"])
        },
        Case {
            image: "testplane.test/unready",
            container: json!({"readinessProbe": {"tcpSocket": {"port": 9}, "periodSeconds": 1}}),
            ..case("probe", &["ProgressDeadlineExceeded", "Readiness probe failed"])
        },
        Case {
            container: json!({"livenessProbe": {"tcpSocket": {"port": 9}, "periodSeconds": 1}}),
            ..case("alive", &["CrashLoopBackOff", "exit code", "Liveness probe failed"])
        },
        Case { namespace: "tight", ..case("quota", &["FailedCreate", "exceeded quota: none"]) },
        Case { namespace: "strict", ..case("secure", &["FailedCreate", "PodSecurity \"restricted"]) },
        Case {
            namespace: "hooked",
            ..case("webhook", &["FailedCreate", "failed calling webhook \"down.example.com\""])
        },
        Case {
            pod: json!({"serviceAccountName": "missing"}),
            ..case("account", &["FailedCreate", "serviceaccount \"missing\" not found"])
        },
    ]
}

impl Case {
    fn object(&self) -> Value {
        let mut container = json!({"name": "main", "image": self.image});
        container.as_object_mut().unwrap().extend(self.container.as_object().unwrap().clone());
        let mut pod = json!({"containers": [container]});
        pod.as_object_mut().unwrap().extend(self.pod.as_object().unwrap().clone());
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {
                "progressDeadlineSeconds": if self.name == "probe" { 5 } else { 600 },
                // It is available until its probe has failed.
                "minReadySeconds": if self.name == "alive" { 60 } else { 0 },
                "selector": {"matchLabels": {"app": self.name}},
                "template": {"metadata": {"labels": {"app": self.name}}, "spec": pod},
            },
        })
    }
}

fn around() -> Vec<Value> {
    let namespace = |name: &str, labels: Value| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
    vec![
        namespace("plain", json!({})),
        namespace("tight", json!({})),
        namespace("strict", json!({"pod-security.kubernetes.io/enforce": "restricted"})),
        namespace("hooked", json!({"hooked": "yes"})),
        json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none", "namespace": "tight"},
            "spec": {"hard": {"pods": "0"}}}),
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "down"},
            "webhooks": [{
                "name": "down.example.com", "clientConfig": {"url": "https://127.0.0.1:1/"}, "sideEffects": "None",
                "admissionReviewVersions": ["v1"], "failurePolicy": "Fail",
                "namespaceSelector": {"matchLabels": {"hooked": "yes"}},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
            }],
        }),
    ]
}

/// Whether the cluster itself shows a trouble of the Deployment: in its conditions, its pods' or in warnings.
async fn shows(cluster: &KubeClient, case: &Case, object: &Value) -> bool {
    let labels = BTreeMap::from([("app".to_owned(), case.name.to_owned())]);
    let pods = cluster.pods(case.namespace, &labels).await.unwrap();
    let warnings = cluster.warnings(case.namespace).await.unwrap();
    let all = json!([object["status"], pods, warnings]).to_string();
    // A crash, or a probe, counts once the cluster has given up; the first failure is only the first.
    all.contains(&case.words[0].replace('"', "\\\""))
}

#[tokio::test]
async fn each_way_for_a_rollout_to_fail_is_named_with_its_cause() {
    let Some(plane) = Plane::start("demo") else { return };
    let cluster = plane.client("demo", &["system:masters"]).await;
    plane.behave(&json!([
        {"pod": "crash-*", "behaviour": {"exit": {"code": 7}, "log": ["no such setting"]}},
        {"pod": "command-*", "behaviour": {"start": "exec: \"/no/such/program\": stat /no/such/program: no such file or directory"}},
        {"pod": "alive-*", "behaviour": {"alive": false}},
    ]));
    plane.make(&around());
    let cases = cases();
    for case in &cases {
        cluster.apply(&case.object(), Apply::Now).await.unwrap();
    }
    let began = Instant::now();
    let mut known: BTreeMap<&str, Instant> = BTreeMap::new();
    let mut left: Vec<&Case> = cases.iter().collect();
    while !left.is_empty() {
        let mut still = Vec::new();
        for case in left {
            let object = cluster.get(&ObjectRef::of(&case.object()).unwrap()).await.unwrap().unwrap();
            if !known.contains_key(case.name) && shows(&cluster, case, &object).await {
                known.insert(case.name, Instant::now());
            }
            match health(&cluster, &object).await.unwrap() {
                RolloutState::Ready => panic!("{} counts as rolled out", case.name),
                RolloutState::Degraded(why) => {
                    for word in case.words {
                        assert!(why.contains(word), "{}: no {word} in: {why}", case.name);
                    }
                    let since = known.get(case.name).map(Instant::elapsed).unwrap_or_default();
                    assert!(since < SOON, "{}: told {since:?} after the cluster knew it: {why}", case.name);
                }
                RolloutState::Waiting(why) => {
                    assert!(began.elapsed() < PATIENCE, "{}: still waiting: {why}", case.name);
                    still.push(case);
                }
            }
        }
        left = still;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
