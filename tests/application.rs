//! From a source folder to an answering URL and back: the journey of the application, on the sandbox, whose pods run what was
//! pushed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

mod common;

use common::{
    Ended, World,
    kube::{built, kubectl},
};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

const STACK: &str = "name: shop\nregion: eu-central-1\nnetwork: {zones: 2, nat: single, flowLogs: false}\n\
    cluster: {addons: [{name: metrics-server, enabled: false}]}\n\
    parameters: [{name: /shop/message, value: from the parameter store}]\n\
    app: {replicas: 2, parameter: /shop/message, env: {DEMO_ROOT_RESPONSE: first}}\n";

/// A world with the demo application in its folder, whose clusters this Kubernetes serves.
fn world(stack: &str, kubernetes: &str) -> World {
    let world = World::new(stack);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("app");
    let status = Command::new("cp").arg("-r").arg(source).arg(world.path()).status().unwrap();
    assert!(status.success());
    let kubernetes = format!("--kubernetes={kubernetes}");
    world.run(&["sandbox", "start", "--time-scale", "120", &kubernetes]).with(0);
    world
}

/// What the application answers, with the status.
fn get(url: &str) -> Result<(u16, String), String> {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(5)))
        .http_status_as_error(false)
        .build();
    let mut answer =
        ureq::Agent::new_with_config(config).get(url).call().map_err(|error| error.to_string())?;
    Ok((answer.status().as_u16(), answer.body_mut().read_to_string().map_err(|error| error.to_string())?))
}

/// The image's digest, and the generation of the application's Deployment.
fn rolled_out(world: &World) -> (String, u64) {
    let state: Value = serde_json::from_str(&world.run(&["state", "pull", "--sandbox"]).with(0).out).unwrap();
    let digest = state["resources"]["application/image"]["live"]["digest"].as_str().unwrap().to_owned();
    let config = world.path().join("kubeconfig").display().to_string();
    world.run(&["kubeconfig", "--file", &config, "--sandbox"]).with(0);
    // The generation tells of a rollout that should not be; where there is no kubectl, the digest alone tells.
    let Some(kubectl) = kubectl() else { return (digest, 0) };
    let mut command = Command::new(kubectl);
    command.args([
        "--kubeconfig",
        &config,
        "-n",
        "demo-application",
        "get",
        "deployment",
        "demo-application",
    ]);
    let output =
        Ended::of(&command.args(["-o", "jsonpath={.metadata.generation}"]).output().unwrap()).with(0);
    (digest, output.out.parse().unwrap())
}

#[test]
fn the_old_journey_on_the_stand_in() {
    journey("stand-in");
}

#[test]
fn the_old_journey_on_a_real_api_server() {
    if built() {
        journey("real");
    }
}

fn journey(kubernetes: &str) {
    let world = world(STACK, kubernetes);
    let up = world.run(&["up", "--sandbox", "--yes"]).with(0);
    let url = up.out.trim().to_owned();
    assert_eq!(world.run(&["url", "--sandbox"]).with(0).out.trim(), url);
    assert_eq!(get(&url), Ok((200, "first".to_owned())));
    let (status, text) = get(&format!("{url}/config")).unwrap();
    assert_eq!(status, 200, "{text}");
    let shown: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&shown["name"], &shown["value"]),
        (&json!("/shop/message"), &json!("from the parameter store"))
    );
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    let (first, _) = rolled_out(&world);

    // The two messages change under load, and no request fails.
    let (over, failed, asked) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let load = {
        let (url, over, failed, asked) =
            (url.clone(), Arc::clone(&over), Arc::clone(&failed), Arc::clone(&asked));
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let fine = matches!(get(&url), Ok((200, _)));
                failed.fetch_add(usize::from(!fine), Ordering::Relaxed);
                asked.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
        })
    };
    let both =
        ["--set", "app.env.DEMO_ROOT_RESPONSE=second", "--set", "app.env.DEMO_API_RESPONSE=second too"];
    let told = world.run(&[&["deploy", "--sandbox", "--yes"], &both[..]].concat()).with(0);
    over.store(true, Ordering::Relaxed);
    load.join().unwrap();
    assert!(told.err.contains("differs from the file"), "{}", told.err);
    assert_eq!(get(&url), Ok((200, "second".to_owned())));
    assert_eq!(get(&format!("{url}/api")), Ok((200, "{\"message\":\"second too\"}".to_owned())));
    assert!(asked.load(Ordering::Relaxed) > 20);
    assert_eq!(failed.load(Ordering::Relaxed), 0, "of {}", asked.load(Ordering::Relaxed));
    world.stack(
        &STACK.replace(
            "DEMO_ROOT_RESPONSE: first",
            "DEMO_ROOT_RESPONSE: second, DEMO_API_RESPONSE: second too",
        ),
    );
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);

    // A change of the code is a new image and a rollout.
    let module = world.path().join("app/demo/__init__.py");
    fs::write(&module, format!("{}\nCHANGED = True\n", fs::read_to_string(&module).unwrap())).unwrap();
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(2);
    world.run(&["deploy", "--sandbox", "--yes"]).with(0);
    let second = rolled_out(&world);
    assert_ne!(second.0, first);
    assert_eq!(get(&url), Ok((200, "second".to_owned())));

    // A rollout that fails is taken back, and no request fails meanwhile.
    fs::rename(&module, module.with_extension("kept")).unwrap();
    fs::write(&module, "raise SystemExit('no such module')\n").unwrap();
    let failed = world.run(&["deploy", "--sandbox", "--yes"]).with(6);
    assert!(
        failed.err.contains("CrashLoopBackOff") && failed.err.contains("no such module"),
        "{}",
        failed.err
    );
    assert!(failed.err.contains("goes back to what it was"), "{}", failed.err);
    assert_eq!(get(&url), Ok((200, "second".to_owned())));
    fs::rename(module.with_extension("kept"), &module).unwrap();
    world.run(&["deploy", "--sandbox", "--yes"]).with(0);
    let second = rolled_out(&world);

    // Another tag on the same image is none.
    world.run(&["deploy", "--sandbox", "--yes", "--tag", "1.2.0"]).with(0);
    assert_eq!(rolled_out(&world), second);
    let tags = world.boto3(&format!(
        "print(json.dumps(client('ecr').describe_images(repositoryName='shop/app', imageIds=[{{'imageDigest': '{}'}}])['imageDetails'][0]['imageTags']))",
        second.0
    ));
    assert!(tags.as_array().unwrap().contains(&json!("1.2.0")), "{tags}");

    // Without the application the cluster stays, and it comes back.
    world.run(&["down", "app", "--sandbox", "--yes"]).with(0);
    assert!(get(&url).is_err());
    assert_eq!(world.aws(&["eks", "describe-cluster", "--name", "shop"])["cluster"]["status"], "ACTIVE");
    assert!(world.run(&["down", "app", "--sandbox", "--yes"]).with(0).err.contains("no application"));
    let again = world.run(&["up", "--sandbox", "--yes"]).with(0);
    assert_eq!(get(again.out.trim()), Ok((200, "second".to_owned())));
    let down = world.run(&["down", "--sandbox", "--yes"]).with(0);
    assert!(down.err.contains("finds nothing"), "{}", down.err);
}

/// A Deployment that fails in its own way, and the words that its error must hold.
fn broken() -> Vec<(&'static str, &'static str, &'static str, &'static [&'static str])> {
    const IMAGE: &str = "image: '${image}'";
    const IDLE: &str = "image: '${image}', command: [/usr/bin/python3, -c, 'import time; time.sleep(600)']";
    vec![
        ("image", "plain", "image: 'nowhere.example/none:1'", &["ImagePullBackOff", "nowhere.example"]),
        ("name", "plain", "image: 'Not An Image'", &["InvalidImageName"]),
        (
            "crash",
            "plain",
            "image: '${image}', command: [/usr/bin/python3, -c, 'raise SystemExit(\"no such setting\")']",
            &["CrashLoopBackOff", "exit code 1", "no such setting"],
        ),
        (
            "config",
            "plain",
            "image: '${image}', envFrom: [{configMapRef: {name: nowhere}}]",
            &["CreateContainerConfigError", "nowhere"],
        ),
        (
            "command",
            "plain",
            "image: '${image}', command: [/no/such/program]",
            &["StartError", "/no/such/program"],
        ),
        (
            "large",
            "plain",
            "image: '${image}', resources: {requests: {cpu: '500'}}",
            &["Unschedulable", "Insufficient cpu"],
        ),
        ("probe", "plain", IDLE, &["ProgressDeadlineExceeded", "Readiness probe failed"]),
        ("quota", "tight", IMAGE, &["FailedCreate", "exceeded quota"]),
        ("secure", "strict", IMAGE, &["FailedCreate", "PodSecurity"]),
    ]
}

#[test]
fn each_way_for_a_rollout_to_fail_is_named_with_its_cause() {
    let world =
        world(&STACK.replace("app: {replicas: 2,", "app: {ingress: none, manifests: own,"), "stand-in");
    let mut text = String::from(
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: plain}\n---\n\
         apiVersion: v1\nkind: Namespace\nmetadata: {name: tight}\n---\n\
         apiVersion: v1\nkind: Namespace\nmetadata: {name: strict, labels: {pod-security.kubernetes.io/enforce: restricted}}\n---\n\
         apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: none, namespace: tight}\nspec: {hard: {pods: '0'}}\n",
    );
    for (name, namespace, container, _) in broken() {
        let probe = match name {
            "probe" => ", readinessProbe: {tcpSocket: {port: 9}, periodSeconds: 1}",
            _ => "",
        };
        text += &format!(
            "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  \
             progressDeadlineSeconds: 3600\n  minReadySeconds: 1200\n  selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    \
             metadata: {{labels: {{app: {name}}}}}\n    spec:\n      containers: [{{name: main, {container}{probe}}}]\n"
        );
    }
    // The sandbox waits for pods to stay ready 120 times faster than here; what fails late must not count as rolled out.
    let text = text.replace(
        "metadata: {name: probe, namespace: plain}\nspec:\n  progressDeadlineSeconds: 3600\n  minReadySeconds: 1200",
        "metadata: {name: probe, namespace: plain}\nspec:\n  progressDeadlineSeconds: 8\n  minReadySeconds: 3",
    );
    fs::create_dir_all(world.path().join("own/broken")).unwrap();
    fs::write(world.path().join("own/broken/all.yaml"), text).unwrap();
    let ended = world.run(&["up", "--sandbox", "--yes", "--json"]).with(6);
    let errors = ended.lines("error");
    for (name, namespace, _, words) in broken() {
        let address = format!("application/deployment/{namespace}/{name}");
        let error = errors.iter().find(|error| error["address"] == address.as_str());
        let Some(error) = error else { panic!("{address}: no error among {errors:#?}") };
        for word in words {
            assert!(error["message"].as_str().unwrap().contains(word), "{address}: {error:#}");
        }
        assert!(error["hint"].is_string(), "{address}: {error:#}");
    }
}
