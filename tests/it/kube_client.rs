//! This program's client against a real API server: apply, dry run, conflicts, rollouts, tokens, and our own manifests.

use crate::common::kube::Plane;
use provisioner::{
    graph::{self, Context},
    kube::{
        Apply, FIELD_CONFLICT, HealthInputs, KubeClient, ObjectRef, RolloutState, changes, state,
        taken_fields, with_live_values,
    },
    model::ErrorKind,
    stack::{
        self,
        manifest_file::{ManifestFile, Variables, render},
    },
};
use serde_json::{Value, json};
use std::{fs, path::Path, time::Duration};

const ADMIN: &[&str] = &["system:masters"];

fn place(object: &Value) -> ObjectRef {
    ObjectRef::of(object).unwrap()
}

fn deployment(image: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "app", "image": image}]}},
        },
    })
}

#[tokio::test]
async fn objects_are_applied_compared_and_removed() {
    let Some(plane) = Plane::start("demo") else { return };
    let cluster = plane.client("demo", ADMIN).await;

    let other = plane.client("another", ADMIN).await.get(&place(&deployment("a:1", 1))).await;
    assert_eq!(other.unwrap_err().class, ErrorKind::Eventual, "a token for another cluster is refused");

    let want = deployment("nginx:1", 2);
    assert_eq!(cluster.get(&place(&want)).await, Ok(None));
    cluster.apply(&want, Apply::Now).await.unwrap();
    let live = wait(&cluster, &want).await;
    let would = cluster.apply(&want, Apply::Dry).await.unwrap();
    assert_eq!(changes(&live, &would), [], "what the server fills in is no change");

    let next = deployment("nginx:2", 3);
    let would = cluster.apply(&next, Apply::Dry).await.unwrap();
    let paths: Vec<String> = changes(&live, &would).into_iter().map(|change| change.path).collect();
    assert_eq!(paths, ["spec.replicas", "spec.template.spec.containers[app].image"]);
    assert_eq!(
        cluster.get(&place(&want)).await.unwrap().unwrap()["spec"]["replicas"],
        2,
        "a dry run changes nothing"
    );

    // A field that the manifest drops goes; one that another manager owns stays.
    let mut extra = want.clone();
    extra["metadata"]["labels"] = json!({"mine": "yes"});
    cluster.apply(&extra, Apply::Now).await.unwrap();
    plane.kubectl(&["label", "deployment", "web", "theirs=yes"]).with(0);
    cluster.apply(&want, Apply::Now).await.unwrap();
    let labels = cluster.get(&place(&want)).await.unwrap().unwrap()["metadata"]["labels"].clone();
    assert_eq!(labels, json!({"theirs": "yes"}));
    let theirs = "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"web\",\"namespace\":\"default\"},\"spec\":{\"replicas\":5}}";
    let file = plane.admin_kubeconfig.with_file_name("theirs.json");
    fs::write(&file, theirs).unwrap();
    let forced = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--field-manager=other",
        "-f",
        file.to_str().unwrap(),
    ];
    plane.kubectl(&forced).with(0);
    let conflict = cluster.apply(&want, Apply::Now).await.unwrap_err();
    assert_eq!(conflict.class, ErrorKind::Refused);
    assert!(conflict.message.contains("spec.replicas") && conflict.message.contains("other"), "{conflict}");

    let mut fixed = want.clone();
    fixed["spec"]["selector"]["matchLabels"]["app"] = json!("else");
    fixed["spec"]["template"]["metadata"]["labels"]["app"] = json!("else");
    fixed["spec"].as_object_mut().unwrap().remove("replicas");
    let immutable = cluster.apply(&fixed, Apply::Dry).await.unwrap_err();
    assert!(immutable.class == ErrorKind::Invalid && immutable.message.contains("immutable"), "{immutable}");
    let mut odd = deployment("nginx:1", 5);
    odd["spec"]["replica"] = json!(1);
    let unknown = cluster.apply(&odd, Apply::Dry).await.unwrap_err();
    assert!(unknown.class == ErrorKind::Invalid && unknown.message.contains("replica"), "{unknown}");
    let nowhere = json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "x"}});
    assert_eq!(
        cluster.apply(&nowhere, Apply::Now).await.unwrap_err().class,
        ErrorKind::Eventual,
        "its definition may come"
    );

    let id = live["metadata"]["uid"].as_str().unwrap();
    assert_eq!(
        cluster.delete(&place(&want), "00000000-0000-0000-0000-000000000000").await.unwrap_err().class,
        ErrorKind::Conflict
    );
    cluster.delete(&place(&want), id).await.unwrap();
    for _ in 0..100 {
        if cluster.get(&place(&want)).await.unwrap().is_none() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it is still there");
}

/// Returns a Deployment when its controller has seen the last change: it writes into the object, too.
async fn seen(cluster: &KubeClient, object: &Value) -> Value {
    for _ in 0..900 {
        let live = cluster.get(&place(object)).await.unwrap().unwrap();
        if live["status"]["observedGeneration"] == live["metadata"]["generation"] {
            return live;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("its controller did not see the change in time");
}

/// Waits until a workload is rolled out.
async fn wait(cluster: &KubeClient, object: &Value) -> Value {
    let mut live = Value::Null;
    for _ in 0..900 {
        live = cluster.get(&place(object)).await.unwrap().unwrap();
        if state(&live, &HealthInputs::default()) == RolloutState::Ready {
            return live;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{} was not rolled out in time: {}", place(object), live["status"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_server_that_breaks_off_or_is_full_is_asked_again() {
    let Some(plane) = Plane::start("demo") else { return };
    // An administrator of `system:masters` is never throttled.
    let cluster = plane.client("demo", &["admins"]).await;
    let all = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"], "namespaces": ["*"], "clusterScope": true}]);
    let flow = "flowcontrol.apiserver.k8s.io/v1";
    plane.make(&[
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "admins"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "admins"}],
        }),
        json!({
            "apiVersion": flow, "kind": "PriorityLevelConfiguration", "metadata": {"name": "narrow"},
            "spec": {"type": "Limited", "limited": {
                "nominalConcurrencyShares": 0, "lendablePercent": 0, "borrowingLimitPercent": 0, "limitResponse": {"type": "Reject"},
            }},
        }),
    ]);
    let want = deployment("nginx:1", 1);
    cluster.apply(&want, Apply::Now).await.unwrap();
    wait(&cluster, &want).await;

    // All connections break, and the next calls reach no server: unknown is told from not found.
    let restarted = std::thread::scope(|scope| {
        let restart = scope.spawn(|| plane.restart());
        let runtime = tokio::runtime::Handle::current();
        let mut broken = 0;
        tokio::task::block_in_place(|| {
            while !restart.is_finished() {
                match runtime.block_on(cluster.get(&place(&want))) {
                    Ok(found) => assert!(found.is_some(), "it is still there"),
                    // Before it has read its roles, a server that starts denies.
                    Err(error) => {
                        assert_ne!(error.class, ErrorKind::Gone, "{error:?}");
                        broken += usize::from(error.class == ErrorKind::Ambiguous);
                    }
                }
            }
        });
        restart.join().unwrap();
        broken
    });
    assert!(restarted > 0, "nothing broke");
    wait(&cluster, &want).await;

    // One request has the only seat, since its body does not come.
    plane.make(&[json!({
        "apiVersion": flow, "kind": "FlowSchema", "metadata": {"name": "narrow"},
        "spec": {"priorityLevelConfiguration": {"name": "narrow"}, "matchingPrecedence": 2, "rules": [{
            "subjects": [{"kind": "Group", "group": {"name": "admins"}}], "resourceRules": all,
        }]},
    })]);
    let mut sits = std::process::Command::new(crate::common::python());
    sits.args(["-c", SITS, &plane.endpoint, &plane.ca]).stdin(std::process::Stdio::piped());
    sits.env("PYTHONPATH", Path::new(env!("CARGO_MANIFEST_DIR")).join("sandbox"));
    let mut sits = sits.spawn().unwrap();
    let mut full = None;
    for _ in 0..300 {
        if let Err(error) = cluster.get(&place(&want)).await {
            full = Some(error);
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    drop(sits.stdin.take());
    sits.wait().unwrap();
    assert_eq!(full.map(|error| error.class), Some(ErrorKind::Throttled));
    wait(&cluster, &want).await;
}

/// Keeps a request unfinished until its standard input ends; again and again, since the rule that gives it the only seat
/// counts a moment after it was made.
const SITS: &str = "import base64, http.client, select, ssl, sys, time
from provisioner_sandbox.kube import tokens
server, context = sys.argv[1].removeprefix('https://'), ssl.create_default_context(cadata=base64.b64decode(sys.argv[2]).decode())
while True:
    token = tokens.presign(cluster='demo', region='eu-central-1', key='sandbox', secret='sandbox', now=time.time())
    sitting = http.client.HTTPSConnection(server, context=context, timeout=10)
    sitting.putrequest('POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews')
    for name, value in {'Authorization': f'Bearer {token}', 'Content-Type': 'application/json', 'Content-Length': '1000'}.items():
        sitting.putheader(name, value)
    sitting.endheaders()
    if select.select([sys.stdin], [], [], 2)[0]:
        break
    sitting.close()
";

/// The file of the rendered manifests.
const FILE: &str = "name: shop\nregion: eu-central-1\ncontrollers: {clusterAutoscaler: true, loadBalancerController: true}\n\
    parameters: [{name: /shop/message, value: a}]\napp:\n  env: {DEMO_ROOT_RESPONSE: hi}\n  parameter: /shop/message\n";

/// What an application with a load balancer is asked for as well; one without has the defaults.
const MORE: &str = "  secrets: {MESSAGE: /shop/message}\n  command: [python3, -m, demo]\n  health: {live: tcp}\n  \
    certificateArn: 'arn:aws:acm:eu-central-1:123456789012:certificate/1'\n";

/// The values of all variables, with those that other resources supply.
fn variables(ingress: &str) -> Variables {
    let more = match ingress {
        "none" => String::new(),
        "alb" => format!("{MORE}  hosts: [shop.example.com, '*.example.com']\n"),
        _ => MORE.to_owned(),
    };
    let file = format!("{FILE}{more}  ingress: {ingress}\n");
    let stack = stack::load("stack.yaml", file.as_bytes(), &|_| None).unwrap();
    let context =
        Context { account: "123456789012".to_owned(), version: "1.35".to_owned(), ..Context::default() };
    let mut all = graph::variables(&stack, &context, stack.apps.first());
    let supplied = [
        ("network.vpcId", "vpc-1"),
        ("clusterAutoscaler.roleArn", "arn:aws:iam::123456789012:role/a"),
        ("loadBalancerController.roleArn", "arn:aws:iam::123456789012:role/b"),
        ("loadBalancerController.caBundle", "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg=="),
        (
            "image",
            "123456789012.dkr.ecr.eu-central-1.amazonaws.com/shop/app@sha256:0123456789012345678901234567890123456789012345678901234567890123",
        ),
        ("app.roleArn", "arn:aws:iam::123456789012:role/c"),
        ("app.secretRevision", "/shop/message:1 2030-01-01T00:00:00Z"),
    ];
    for (name, text) in supplied {
        if all.get(name).is_some_and(|value| !value.is_null()) {
            all.insert(name.to_owned(), json!(text));
        }
    }
    all
}

/// The objects of our own manifests, in the order in which they can be applied.
fn objects(ingress: &str) -> Vec<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests");
    let mut all = Vec::new();
    for folder in ["load-balancer-controller", "cluster-autoscaler", "app"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            let file = ManifestFile { path: name.clone(), name, bytes: fs::read(&path).unwrap() };
            let rendered = render(&file, &variables(ingress)).unwrap_or_else(|error| panic!("{error}"));
            all.extend(rendered.objects.into_iter().map(|object| object.value));
        }
    }
    let rank = |object: &Value| match object["kind"].as_str().unwrap() {
        "CustomResourceDefinition" => 0,
        "Namespace" => 1,
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => 3,
        _ => 2,
    };
    all.sort_by_key(rank);
    all
}

/// What `taken_fields` reads in `managedFields` is what the server refuses to apply.
#[tokio::test]
async fn fields_that_kubectl_set_are_found_left_and_taken() {
    let Some(plane) = Plane::start("demo") else { return };
    let cluster = plane.client("demo", ADMIN).await;
    let mut want = deployment("nginx:1", 0);
    let variable = json!([{"name": "PORT", "value": "80"}, {"name": "GREETING", "value": "hello"}]);
    want["spec"]["template"]["spec"]["containers"][0]["env"] = variable;
    want["metadata"]["labels"] = json!({"app.kubernetes.io/name": "web"});
    cluster.apply(&want, Apply::Now).await.unwrap();
    let label = r#"{"metadata":{"labels":{"app.kubernetes.io/name":"api"}}}"#;
    let commands: [&[&str]; 4] = [
        &["set", "image", "deployment/web", "app=busybox"],
        &["set", "env", "deployment/web", "GREETING=bonjour", "NEW=1"],
        &["scale", "deployment/web", "--replicas=1"],
        &["patch", "deployment/web", "--patch", label],
    ];
    for command in commands {
        plane.kubectl(command).with(0);
    }
    let live = seen(&cluster, &want).await;
    let taken = taken_fields(&want, &live);
    let found: Vec<(&str, &str)> =
        taken.iter().map(|field| (field.path.as_str(), field.manager.as_str())).collect();
    let expected = [
        ("metadata.labels[app.kubernetes.io/name]", "kubectl-patch"),
        ("spec.replicas", "kubectl"),
        ("spec.template.spec.containers[app].env[GREETING].value", "kubectl-set"),
        ("spec.template.spec.containers[app].image", "kubectl-set"),
    ];
    assert_eq!(found, expected);
    let conflict = cluster.apply(&want, Apply::Dry).await.unwrap_err();
    assert_eq!(
        (conflict.code.as_str(), conflict.message.split("; ").count()),
        (FIELD_CONFLICT, 4),
        "{conflict}"
    );

    // With the live values, the rest is applied.
    let mut next = want.clone();
    next["spec"]["revisionHistoryLimit"] = json!(3);
    let left = with_live_values(&next, &taken);
    let applied = cluster.apply(&left, Apply::Now).await.unwrap();
    assert_eq!(
        (&applied["spec"]["revisionHistoryLimit"], &applied["spec"]["replicas"]),
        (&json!(3), &json!(1))
    );
    let live = seen(&cluster, &want).await;
    assert_eq!(taken_fields(&next, &live).len(), 4, "two owners now, and the other is still one of them");
    let would = cluster.apply(&next, Apply::DryForced).await.unwrap();
    assert_eq!(changes(&live, &would).len(), 4);
    cluster.apply(&next, Apply::Forced).await.unwrap();
    let live = seen(&cluster, &want).await;
    assert_eq!(taken_fields(&next, &live), []);
    assert_eq!(changes(&live, &cluster.apply(&next, Apply::Dry).await.unwrap()), []);
    let env = &live["spec"]["template"]["spec"]["containers"][0]["env"];
    assert_eq!(env[2]["name"], "NEW", "what the manifest does not name stays");
}

#[tokio::test]
async fn our_own_manifests_are_accepted_and_their_pods_are_admitted_as_restricted() {
    let Some(plane) = Plane::start("demo") else { return };
    let cluster = plane.client("demo", ADMIN).await;
    // The webhooks' certificate, which has no manifest.
    let files = ["tls.crt", "tls.key", "ca.crt"].map(|name| format!("--from-literal={name}=x"));
    let made = ["-n", "kube-system", "create", "secret", "generic", "aws-load-balancer-tls"];
    plane.kubectl(&made.into_iter().chain(files.iter().map(String::as_str)).collect::<Vec<_>>()).with(0);
    for ingress in ["nlb", "none", "alb"] {
        for object in objects(ingress) {
            // A new definition takes a moment until its kind is served.
            let mut tries = 0;
            while let Err(error) = cluster.apply(&object, Apply::Now).await {
                tries += 1;
                // With its webhooks in place and no controller behind them, the last Ingress cannot come.
                let stopped = error.message.contains("webhook") && object["kind"] == "Ingress";
                if stopped {
                    break;
                }
                assert!(
                    error.class == ErrorKind::Eventual && tries < 100,
                    "{ingress}: {}: {error}",
                    place(&object)
                );
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        // Nor has the Secret with the application's variables one.
        let secret = ["-n", "demo-application", "create", "secret", "generic", "demo-application-secrets"];
        if ingress == "nlb" {
            plane.kubectl(&[&secret[..], &["--from-literal=MESSAGE=x"]].concat()).with(0);
        }
        let deployments = objects(ingress).into_iter().filter(|object| object["kind"] == "Deployment");
        for object in deployments {
            wait(&cluster, &object).await;
        }
    }
    let namespace = plane.get(&["namespace", "demo-application"]);
    assert_eq!(namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted");
}

#[test]
fn our_own_manifests_pass_the_schemas_of_their_version() {
    let python = crate::common::environment("manifests", "tests/manifests/requirements.txt");
    let folder = tempfile::tempdir().unwrap();
    for ingress in ["alb", "nlb", "none"] {
        let file = folder.path().join(format!("{ingress}.json"));
        fs::write(&file, json!(objects(ingress)).to_string()).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests/validate.py");
        let output = std::process::Command::new(&python)
            .arg("-B")
            .arg(script)
            .arg("1.35")
            .arg(&file)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{ingress}: {}", String::from_utf8_lossy(&said));
    }
}
