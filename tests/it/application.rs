//! From a source folder to an answering URL and back: the journey of the application, on the sandbox, whose pods run what was
//! pushed.

use crate::common::{
    Ended, Provider,
    kube::{built, kubectl},
};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

const STACK: &str = "name: shop\nregion: eu-central-1\nnetwork: {zones: 2, nat: single, flowLogs: false}\n\
    cluster: {addons: [{name: metrics-server, enabled: false}]}\n\
    parameters: [{name: /shop/message, value: from the parameter store}]\n\
    app: {replicas: 2, parameter: /shop/message, env: {DEMO_ROOT_RESPONSE: first}}\n";

/// A world with the demo application in its folder, whose clusters this Kubernetes serves.
fn world(stack: &str, kubernetes: &str) -> Provider {
    let world = Provider::new(stack);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("app");
    let status = Command::new("cp").arg("-r").arg(source).arg(world.path()).status().unwrap();
    assert!(status.success());
    let kubernetes = format!("--kubernetes={kubernetes}");
    world.run(&["sandbox", "start", "--time-scale", "120", &kubernetes]).with(0);
    world
}

/// What the application answers, with the status. The time is for a busy machine: a request that fails ends at once.
pub fn get(url: &str) -> Result<(u16, String), String> {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(60)))
        .http_status_as_error(false)
        .build();
    let mut answer =
        ureq::Agent::new_with_config(config).get(url).call().map_err(|error| error.to_string())?;
    Ok((answer.status().as_u16(), answer.body_mut().read_to_string().map_err(|error| error.to_string())?))
}

/// What the application answers of its parameter. It gives AWS a few seconds before it answers 503, which is little on a
/// busy machine.
fn parameter(url: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let (status, text) = get(&format!("{url}/config")).unwrap();
        if status == 200 {
            return text;
        }
        assert!(status == 503 && Instant::now() < deadline, "{status} {text}");
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Asks for a page again and again, beside what happens.
struct Probe {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Result<(u16, String), String>>>,
}

impl Probe {
    fn start(url: &str) -> Self {
        let (url, over) = (url.to_owned(), Arc::new(AtomicBool::new(false)));
        let ends = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let mut answers = Vec::new();
            while !ends.load(Ordering::Relaxed) {
                answers.push(get(&url));
                std::thread::sleep(Duration::from_millis(20));
            }
            answers
        });
        Probe { over, thread }
    }

    /// No request failed.
    fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        let answers = self.thread.join().unwrap();
        assert!(answers.len() > 20, "{}", answers.len());
        let failed: Vec<_> = answers.iter().filter(|answer| !matches!(answer, Ok((200, _)))).collect();
        assert!(failed.is_empty(), "{} of {}: {failed:?}", failed.len(), answers.len());
    }
}

/// The image's digest, and the generation of the application's Deployment.
fn rolled_out(world: &Provider) -> (String, u64) {
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
    deploy_and_remove("stand-in");
}

#[test]
fn the_old_journey_on_a_real_api_server() {
    if built() {
        deploy_and_remove("real");
    }
}

fn deploy_and_remove(kubernetes: &str) {
    let world = world(STACK, kubernetes);
    let up = world.run(&["up", "--sandbox", "--yes"]).with(0);
    let url = up.out.trim().to_owned();
    assert_eq!(world.run(&["url", "--sandbox"]).with(0).out.trim(), url);
    assert_eq!(get(&url), Ok((200, "first".to_owned())));
    let text = parameter(&url);
    let shown: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&shown["name"], &shown["value"]),
        (&json!("/shop/message"), &json!("from the parameter store"))
    );
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    let (first, _) = rolled_out(&world);

    // The two messages change under load, and no request fails.
    let probe = Probe::start(&url);
    let both =
        ["--set", "app.env.DEMO_ROOT_RESPONSE=second", "--set", "app.env.DEMO_API_RESPONSE=second too"];
    let told = world.run(&[&["deploy", "--sandbox", "--yes"], &both[..]].concat()).with(0);
    probe.end();
    assert!(told.err.contains("differs from the file"), "{}", told.err);
    assert_eq!(get(&url), Ok((200, "second".to_owned())));
    assert_eq!(get(&format!("{url}/api")), Ok((200, "{\"message\":\"second too\"}".to_owned())));
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
    assert!(failed.err.contains("rolling back the application"), "{}", failed.err);
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

    // Without its load balancer it continues inside the cluster, and what the file no longer describes is deleted.
    let here = fs::read_to_string(world.path().join("stack.yaml")).unwrap();
    world.stack(&here.replace("app: {replicas: 2,", "app: {replicas: 2, ingress: none,"));
    // The controller's own kinds are deleted with it, and every object of them: that takes its own word.
    let crds = ["ingressclassparams", "targetgroupbindings"]
        .map(|name| format!("application/customresourcedefinition/{name}.elbv2.k8s.aws"));
    let refused = world.run(&["up", "--sandbox", "--yes"]).with(3);
    assert!(crds.iter().all(|crd| refused.err.contains(crd.as_str())), "{}", refused.err);
    let pruned =
        world.run(&["up", "--sandbox", "--yes", "--replace", &crds[0], "--replace", &crds[1]]).with(0);
    assert!(
        pruned.err.contains("application/ingress/demo-application/demo-application: deleted"),
        "{}",
        pruned.err
    );
    assert!(get(&url).is_err());
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    world.run(&["url", "--sandbox"]).with(3);
    world.stack(&here);
    let url = world.run(&["up", "--sandbox", "--yes"]).with(0).out.trim().to_owned();
    assert_eq!(get(&url), Ok((200, "second".to_owned())));

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

/// The names of the node groups.
fn groups(world: &Provider) -> Vec<String> {
    let groups = world.aws(&["eks", "list-nodegroups", "--cluster-name", "shop"])["nodegroups"].take();
    serde_json::from_value(groups).unwrap()
}

const GROUP: &str = "nodeGroups: [{name: general, instanceTypes: [t3.large], min: 2, max: 2}]\n";

#[test]
fn a_node_group_is_replaced_and_no_request_fails() {
    replace_groups("stand-in");
}

#[test]
fn a_node_group_is_replaced_and_no_request_fails_on_a_real_api_server() {
    if built() {
        replace_groups("real");
    }
}

fn replace_groups(kubernetes: &str) {
    let file = format!("{STACK}{GROUP}");
    let world = world(&file, kubernetes);
    let up = || world.run(&["up", "--sandbox", "--yes"]).with(0);
    let url = up().out.trim().to_owned();
    assert_eq!(get(&url), Ok((200, "first".to_owned())));
    assert_eq!(groups(&world), ["general"]);

    let probe = Probe::start(&url);
    let other = file.replace("t3.large", "m5.large");
    world.stack(&other);
    up();
    let name = groups(&world).concat();
    assert!(name.starts_with("general-"), "{name}");
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    // A rename in the file.
    world.stack(&other.replace("name: general", "name: main"));
    up();
    assert_eq!(groups(&world), ["main"]);
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    probe.end();

    // Where the cluster goes as well, nothing is moved.
    let down = world.run(&["down", "--sandbox", "--yes"]).with(0);
    assert!(down.err.contains("finds nothing") && !down.err.contains("moving pods"), "{}", down.err);
}

#[test]
fn a_budget_that_forbids_every_eviction_keeps_the_old_node_group() {
    let file =
        format!("{}{GROUP}", STACK.replace("app: {replicas: 2,", "app: {ingress: none, manifests: own,"));
    let world = world(&file, "stand-in");
    let manifests = |away: u32| {
        format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: plain}}\n---\n\
             apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {{name: all-of-them, namespace: plain}}\n\
             spec: {{maxUnavailable: {away}, selector: {{matchLabels: {{app: idle}}}}}}\n---\n\
             apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: idle, namespace: plain}}\n\
             spec:\n  replicas: 2\n  selector: {{matchLabels: {{app: idle}}}}\n  template:\n    \
             metadata: {{labels: {{app: idle}}}}\n    spec:\n      containers: [{{name: main, image: '${{image}}', \
             command: [/usr/bin/python3, -c, 'import time; time.sleep(6000)']}}]\n"
        )
    };
    let folder = world.path().join("own/idle");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("all.yaml"), manifests(0)).unwrap();
    world.run(&["up", "--sandbox", "--yes"]).with(0);

    world.stack(&file.replace("t3.large", "m5.large"));
    let failed = world.run(&["up", "--sandbox", "--yes", "--json"]).with(6);
    let error = &failed.lines("error")[0];
    let message = error["message"].as_str().unwrap();
    let why = "The disruption budget all-of-them needs 2 healthy pods and has 2 currently";
    assert!(message.contains("no progress") && message.contains("plain/idle-"), "{error:#}");
    assert!(message.contains(why), "{error:#}");
    assert!(error["hint"].as_str().unwrap().contains("kubectl uncordon"), "{error:#}");
    assert_eq!((groups(&world).len(), groups(&world)[0].as_str()), (2, "general"));

    // With a budget that allows one, the next run continues.
    fs::write(folder.join("all.yaml"), manifests(1)).unwrap();
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    assert_eq!(groups(&world).len(), 1);
    assert!(groups(&world)[0].starts_with("general-"), "{:?}", groups(&world));
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
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
        "metadata: {name: probe, namespace: plain}\nspec:\n  progressDeadlineSeconds: 30\n  minReadySeconds: 3",
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
