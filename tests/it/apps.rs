//! Several applications in one stack, and images that something else has built.

use crate::{
    application::get,
    common::{Ended, Provider, cluster_objects::kubernetes, copy, until},
};
use serde_json::{Value, json};
use std::path::Path;

const HEAD: &str = "name: shop\nregion: eu-central-1\nnetwork: {zones: 2, nat: single, flowLogs: false}\n\
    cluster: {addons: [{name: metrics-server, enabled: false}]}\n";

/// Three applications of one folder: two with hosts, one without a load balancer.
const THREE: &str = "apps:\n\
    - {name: web, replicas: 1, hosts: [shop.example.com], env: {DEMO_ROOT_RESPONSE: web}}\n\
    - {name: api, replicas: 1, hosts: ['*.api.example.com'], env: {DEMO_ROOT_RESPONSE: api}}\n\
    - {name: worker, replicas: 1, ingress: none}\n";

fn world(stack: &str) -> Provider {
    let world = Provider::new(stack);
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("app"), &world.path().join("app"));
    world.sandbox(200);
    world
}

fn state(world: &Provider) -> Value {
    serde_json::from_str(&world.run(&["state", "pull", "--sandbox"]).with(0).out).unwrap()
}

fn deployment(world: &Provider, name: &str) -> Value {
    kubernetes(world, &format!("/apis/apps/v1/namespaces/demo-application/deployments/{name}"), None)
}

fn image(world: &Provider, name: &str) -> String {
    let found = deployment(world, name);
    found["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap().to_owned()
}

/// The addresses that a plan changes, with what it does.
fn changes(world: &Provider, code: i32) -> Vec<String> {
    let plan = world.run(&["plan", "--sandbox", "--json", "--detailed-exitcode"]).with(code);
    let text = |line: &Value, name: &str| line[name].as_str().unwrap().to_owned();
    plan.lines("change").iter().map(|it| format!("{} {}", text(it, "action"), text(it, "address"))).collect()
}

#[test]
fn several_applications_come_change_and_go_each_for_itself() {
    let world = world(&format!("{HEAD}{THREE}"));
    let up = world.run(&["up", "--sandbox", "--yes"]).with(0);
    assert_eq!(up.out, "web http://shop.example.com\napi http://www.api.example.com\n");
    assert!(changes(&world, 0).is_empty());
    let recorded = state(&world);
    let part = |address: &str| recorded["resources"][address]["spec"]["part"].clone();
    assert_eq!(part("application/deployment/demo-application/api"), "app/api");
    assert_eq!(part("application/namespace/demo-application"), "app", "it is all applications'");
    assert!(recorded["resources"]["application/image/worker"].is_object(), "{recorded}");
    for (name, repository) in [("web", "shop/web"), ("api", "shop/api"), ("worker", "shop/worker")] {
        assert!(image(&world, name).contains(&format!("amazonaws.com/{repository}@sha256:")), "{name}");
    }
    let rule = |name: &str, field: &str| {
        let path = format!("/apis/networking.k8s.io/v1/namespaces/demo-application/ingresses/{name}");
        let found = kubernetes(&world, &path, None);
        found["metadata"]["annotations"][format!("alb.ingress.kubernetes.io/{field}")].clone()
    };
    assert_eq!((rule("web", "group.name"), rule("web", "group.order")), (json!("shop"), json!("10")));
    assert_eq!((rule("api", "group.name"), rule("api", "group.order")), (json!("shop"), json!("20")));

    // One name: the URL alone, as scripts read it.
    assert_eq!(world.run(&["url", "api", "--sandbox"]).with(0).out, "http://www.api.example.com\n");
    let none = world.run(&["url", "worker", "--sandbox"]).with(3);
    assert!(none.err.contains("`apps[2].ingress` is `none`"), "{}", none.err);
    assert!(world.run(&["url", "wbe", "--sandbox"]).with(3).err.contains("did you mean `web`?"));

    // Both containers' lines, each after its pod; with a reader that ends, following ends too.
    let logs = world.run(&["logs", "--sandbox", "--tail", "1"]).with(0).out;
    for name in ["web", "api", "worker"] {
        assert!(logs.lines().any(|line| line.starts_with(&format!("[{name}-"))), "{name}: {logs}");
    }
    let one = world.run(&["logs", "api", "--sandbox", "--json"]).with(0).lines("log");
    assert!(!one.is_empty() && one.iter().all(|it| it["pod"].as_str().unwrap().starts_with("api-")));
    assert_eq!(world.run(&["logs", "api", "--sandbox", "--previous"]).with(0).out, "");
    let mut follow = world.command(&["logs", "web", "--follow", "--sandbox"]);
    let mut follow = follow.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    let mut reader = std::io::BufReader::new(follow.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut reader, &mut first).unwrap();
    assert!(first.starts_with("[web-"), "{first}");
    drop(reader);
    let found = world.run(&["url", "web", "--sandbox", "--json"]).with(0).lines("url");
    let balancer = format!("http://{}/", found[0]["loadBalancer"].as_str().unwrap());
    // It ends with the first line that it cannot print.
    until("the follower ends", || {
        let _ = ureq::get(&balancer).header("Host", "shop.example.com").call();
        follow.try_wait().unwrap().is_some()
    });
    assert!(follow.wait().unwrap().success());

    // Another content is another image of each, but only the named one is deployed.
    std::fs::write(world.path().join("app/demo/more.py"), "").unwrap();
    let before = ["web", "api", "worker"].map(|name| image(&world, name));
    let set = ["--set", "app.env.DEMO_ROOT_RESPONSE=other", "--tag", "1.2"];
    world.run(&[&["deploy", "api", "--sandbox", "--yes"], set.as_slice()].concat()).with(0);
    let after = ["web", "api", "worker"].map(|name| image(&world, name));
    assert_eq!([&after[0], &after[2]], [&before[0], &before[2]]);
    assert_ne!(after[1], before[1]);
    assert_eq!(state(&world)["resources"]["application/image/api"]["live"]["tags"], json!(["1.2"]));
    let unnamed = world.run(&["deploy", "--sandbox", "--yes", "--set", "app.env.A=1"]).with(3);
    assert!(unnamed.err.contains("the file has several applications"), "{}", unnamed.err);
    let typo = world.run(&["deploy", "apo", "--sandbox", "--yes"]).with(3);
    assert!(typo.err.contains("did you mean `api`?"), "{}", typo.err);

    world.run(&["down", "app", "worker", "--sandbox", "--yes"]).with(0);
    assert!(deployment(&world, "worker").is_null() && deployment(&world, "web").is_object());
    assert!(kubernetes(&world, "/api/v1/namespaces/demo-application", None).is_object());
    let left = changes(&world, 2);
    assert!(left.contains(&"create application/deployment/demo-application/worker".to_owned()), "{left:?}");
    assert!(!left.iter().any(|line| line.starts_with("delete")), "{left:?}");
    world.run(&["down", "--sandbox", "--yes"]).with(0);
}

/// Runs a command of three stacks at once, each with these arguments behind its file.
fn three(world: &Provider, args: &[&str]) {
    let started: Vec<_> = ["a", "b", "c"]
        .iter()
        .map(|name| {
            let file = format!("{name}.yaml");
            let mut command = world.command(args);
            command.args(["--sandbox", "--stack", &file]);
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for process in started {
        Ended::of(&process.wait_with_output().unwrap()).with(0);
    }
}

#[test]
fn three_stacks_with_two_applications_each_come_and_go_side_by_side() {
    let world = world("");
    let census = || {
        world.boto3(&format!(
            "{}\nprint(json.dumps(census('eu-central-1')))",
            include_str!("common/census.py")
        ))
    };
    let empty = census();
    for name in ["a", "b", "c"] {
        let apps = "apps:\n- {name: web, replicas: 1, env: {DEMO_ROOT_RESPONSE: '@'}}\n\
            - {name: worker, replicas: 1, ingress: none, namespace: jobs}\n";
        let text = format!("{HEAD}{apps}").replace("shop", &format!("shop-{name}")).replace('@', name);
        std::fs::write(world.path().join(format!("{name}.yaml")), text).unwrap();
    }
    three(&world, &["up", "--yes"]);
    for name in ["a", "b", "c"] {
        let file = format!("{name}.yaml");
        let url = world.run(&["url", "web", "--sandbox", "--stack", &file]).with(0).out;
        let answer = get(url.trim());
        assert_eq!(answer, Ok((200, name.to_owned())), "{url}");
    }
    three(&world, &["plan", "--detailed-exitcode"]);
    // One that goes leaves the others as they are.
    world.run(&["down", "--yes", "--sandbox", "--stack", "b.yaml"]).with(0);
    for name in ["a", "c"] {
        let file = format!("{name}.yaml");
        world.run(&["plan", "--detailed-exitcode", "--sandbox", "--stack", &file]).with(0);
    }
    three(&world, &["down", "--yes"]);
    world.run(&["down", "--yes", "--backend", "--sandbox", "--stack", "a.yaml"]).with(0);
    assert_eq!(census(), empty);
}

#[test]
fn an_application_keeps_its_records_when_it_gets_a_name() {
    let head = format!("{HEAD}parameters: [{{name: /shop/p, value: v}}]\n");
    let fields = "replicas: 0, ingress: none, repository: shop/app, secrets: {P: /shop/p}";
    let world = world(&format!("{head}app: {{{fields}}}\n"));
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    world.stack(&format!("{head}apps: [{{name: web, release: demo-application, {fields}}}]\n"));
    let plan = world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    assert!(plan.err.contains("application/image is application/image/web from now on"), "{}", plan.err);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    // Another name, and back to none.
    world.stack(&format!("{head}apps: [{{name: front, release: demo-application, {fields}}}]\n"));
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    world.stack(&format!("{head}app: {{{fields}}}\n"));
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    let recorded = state(&world);
    let images: Vec<&String> =
        recorded["resources"].as_object().unwrap().keys().filter(|it| it.contains("/image")).collect();
    assert_eq!(images, ["application/image"]);
    assert!(recorded["resources"]["application/secret-environment"].is_object());
    assert!(changes(&world, 0).is_empty());
}

/// Pushes an image whose only layer holds this text with this tag, and prints its digest.
const PUSH: &str = "
import hashlib, gzip
ecr = client('ecr')
def push(repository, tag, text):
    def blob(data):
        digest = 'sha256:' + hashlib.sha256(data).hexdigest()
        upload = ecr.initiate_layer_upload(repositoryName=repository)['uploadId']
        ecr.upload_layer_part(repositoryName=repository, uploadId=upload, partFirstByte=0, partLastByte=len(data) - 1, layerPartBlob=data)
        try:
            ecr.complete_layer_upload(repositoryName=repository, uploadId=upload, layerDigests=[digest])
        except ecr.exceptions.LayerAlreadyExistsException:
            pass
        return {'digest': digest, 'size': len(data)}
    layer = {**blob(gzip.compress(text.encode() * 1000, mtime=0)), 'mediaType': 'application/vnd.oci.image.layer.v1.tar+gzip'}
    def manifest(arch):
        config = blob(json.dumps({'os': 'linux', 'architecture': arch, 'rootfs': {'type': 'layers', 'diff_ids': []}}).encode())
        text = json.dumps({'schemaVersion': 2, 'mediaType': 'application/vnd.oci.image.manifest.v1+json',
            'config': {**config, 'mediaType': 'application/vnd.oci.image.config.v1+json'}, 'layers': [layer]})
        put = ecr.put_image(repositoryName=repository, imageManifest=text, imageManifestMediaType='application/vnd.oci.image.manifest.v1+json', imageDigest='sha256:' + hashlib.sha256(text.encode()).hexdigest())
        return {'mediaType': 'application/vnd.oci.image.manifest.v1+json', 'digest': put['image']['imageId']['imageDigest'], 'size': len(text),
            'platform': {'os': 'linux', 'architecture': arch}}
    index = json.dumps({'schemaVersion': 2, 'mediaType': 'application/vnd.oci.image.index.v1+json', 'manifests': [manifest('amd64'), manifest('arm64')]})
    return ecr.put_image(repositoryName=repository, imageManifest=index, imageManifestMediaType='application/vnd.oci.image.index.v1+json', imageTag=tag)['image']['imageId']['imageDigest']
";

#[test]
fn an_image_that_exists_is_pinned_and_copied_as_it_is() {
    let image = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/shop:1";
    let apps = format!(
        "apps:\n- {{name: there, image: '{image}', replicas: 0, ingress: none}}\n\
         - {{name: here, image: '{image}', copy: true, replicas: 0, ingress: none}}\n"
    );
    let world = world(&format!("{HEAD}{apps}"));
    let absent = world.run(&["plan", "--sandbox"]).with(1);
    assert!(absent.err.contains("RepositoryNotFoundException"), "{}", absent.err);
    let push = |text: &str| {
        let made = world.boto3(&format!("{PUSH}\nprint(json.dumps(push('team/shop', '1', '{text}')))"));
        made.as_str().unwrap().to_owned()
    };
    world.boto3("client('ecr').create_repository(repositoryName='team/shop')\nprint('null')");
    let first = push("first");
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    let name = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
    let own = |digest: &str| format!("{name}/shop/here@{digest}");
    let other = |digest: &str| format!("{name}/team/shop@{digest}");
    let images = || (super::apps::image(&world, "there"), super::apps::image(&world, "here"));
    assert_eq!(images(), (other(&first), own(&first)), "a copy has the digest of the image");
    let copied = world.boto3(
        "print(json.dumps(len(client('ecr').describe_images(repositoryName='shop/here')['imageDetails'])))",
    );
    assert_eq!(copied, 3, "the index and what it lists");
    let repositories = world
        .boto3("print(json.dumps([it['repositoryName'] for it in client('ecr').describe_repositories()['repositories']]))");
    assert_eq!(repositories, json!(["shop/here", "team/shop"]), "none for an image elsewhere");

    // The tag moves: the stack does not, until it is told.
    let second = push("second");
    assert!(changes(&world, 0).is_empty());
    world.run(&["deploy", "there", "--sandbox", "--yes", "--refresh"]).with(0);
    assert_eq!(images(), (other(&second), own(&first)));
    assert!(changes(&world, 0).is_empty(), "what was refreshed for one is not planned back");
    world.run(&["deploy", "--sandbox", "--yes", "--refresh"]).with(0);
    assert_eq!(images(), (other(&second), own(&second)));
    assert!(changes(&world, 0).is_empty());
}

#[test]
fn images_and_applications_that_cannot_be_are_refused_in_the_file() {
    let world = Provider::new("");
    for (apps, text) in [
        ("app: {image: Nginx}", "app.image: invalid image reference \"Nginx\""),
        ("app: {image: nginx, path: app}", "app.path: conflicts with `image`"),
        ("app: {image: nginx, builder: python}", "app.builder: conflicts with `image`"),
        ("app: {copy: true}", "app.copy: `copy` requires `image`"),
        ("app: {image: nginx, repository: a/b}", "app.repository: has no effect without `copy`"),
        ("network: {nat: none}\napp: {image: nginx}", "nodes reach no registry but ECR in eu-central-1"),
        ("app: {name: web}", "app.name: `name` is allowed only in `apps`"),
        ("app: {}\napps: [{name: a}]", "apps: conflicts with `app`"),
        ("apps: [{}]", "apps[0]: `name` is required"),
        ("apps: [{name: A}]", "apps[0].name: invalid application name \"A\""),
        ("apps: [{name: a}, {name: a}]", "apps[1].name: duplicate application \"a\""),
        ("apps: [{name: a}, {name: b, release: a}]", "apps[1]: duplicate release \"a\""),
        ("apps: [{name: a, port: 0}]", "apps[0].port: must be between 1 and 65535"),
        (
            "apps: [{name: a, hosts: [x.com]}, {name: b, hosts: [x.com]}]",
            "apps[1].hosts[0]: host \"x.com\" also leads to application `a`",
        ),
        (
            "apps: [{name: a, hosts: ['*.x.com']}, {name: b, hosts: [w.x.com, '*.y.com']}]",
            "apps[1].hosts[0]: host \"w.x.com\" overlaps with \"*.x.com\" of application `a`",
        ),
    ] {
        world.stack(&format!("name: shop\nregion: eu-central-1\n{apps}\n"));
        let refused = world.run(&["plan"]).with(3);
        assert!(refused.err.contains(text), "{apps}: {}", refused.err);
    }
}
