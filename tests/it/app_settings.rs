//! The settings of the application that are objects of the cluster: its command, checks, resources, number of pods, hosts,
//! certificate, and the environment variables that hold secrets.

use crate::common::{Ended, Provider, cluster_objects::kubernetes};
use serde_json::{Value, json};
use std::{fs, path::Path, process::Command};

const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/demo-application/deployments/demo-application";
const AUTOSCALER: &str =
    "/apis/autoscaling/v2/namespaces/demo-application/horizontalpodautoscalers/demo-application";
const INGRESS: &str = "/apis/networking.k8s.io/v1/namespaces/demo-application/ingresses/demo-application";
const SERVICE: &str = "/api/v1/namespaces/demo-application/services/demo-application";
const SECRET: &str = "/api/v1/namespaces/demo-application/secrets/demo-application-secrets";

/// What is in the parameter first, afterwards, and in the Secret for a while.
const VALUES: [&str; 3] = ["correct-horse-1", "battery-staple-2", "another-hand-3"];

fn stack(app: &str) -> String {
    format!(
        "name: shop\nregion: eu-central-1\nnetwork: {{zones: 2, nat: single, flowLogs: false}}\n\
         cluster: {{addons: [{{name: metrics-server, enabled: false}}]}}\n\
         parameters: [{{name: /shop/greeting, secret: {{env: GREETING}}}}]\n\
         app:\n  platforms: [linux/amd64]\n{app}"
    )
}

/// Runs the program with this value for the parameter.
fn run(world: &Provider, value: &str, args: &[&str]) -> Ended {
    let mut command = world.command(args);
    Ended::of(&command.arg("--sandbox").env("GREETING", value).output().unwrap())
}

fn container(world: &Provider) -> Value {
    kubernetes(world, DEPLOYMENT, None)["spec"]["template"]["spec"]["containers"][0].clone()
}

/// Fails if a text has one of the values, as it is or as a Secret holds it.
fn assert_hidden(what: &str, text: &str) {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    for value in VALUES {
        for shown in [value.to_owned(), STANDARD.encode(value)] {
            assert!(!text.contains(&shown), "{what} shows {shown}:\n{text}");
        }
    }
}

/// All files below a folder, but for the sandbox's own.
fn files(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            found.push((path.display().to_string(), text));
        }
    }
}

#[test]
fn command_checks_resources_and_replicas_are_those_of_the_file() {
    let world = Provider::new(&stack("  ingress: none\n  replicas: 0\n"));
    world.sandbox(200);
    let up = || run(&world, VALUES[0], &["up", "--yes"]).with(0);
    up();
    let found = container(&world);
    assert_eq!(found["resources"]["requests"], json!({"cpu": "100m", "memory": "128Mi"}));
    assert_eq!(found["resources"]["limits"], json!({"memory": "256Mi"}));
    assert_eq!(found["livenessProbe"]["httpGet"]["path"], "/health/live");
    assert_eq!(found["startupProbe"]["periodSeconds"], 2);
    assert!(found.get("command").is_none() && found["envFrom"].as_array().unwrap().len() == 2, "{found}");
    assert!(kubernetes(&world, AUTOSCALER, None).is_null(), "zero pods are not scaled");

    world.stack(&stack(
        "  ingress: none\n  replicas: 0\n  command: [/usr/bin/python3, -m, demo]\n  \
         health: {startup: none, live: tcp, ready: /ready}\n  \
         resources: {cpu: 0.5, memory: 64Mi, memoryLimit: 1Gi}\n",
    ));
    up();
    let found = container(&world);
    assert_eq!(found["command"], json!(["/usr/bin/python3", "-m", "demo"]));
    assert_eq!(found["resources"]["requests"], json!({"cpu": "500m", "memory": "64Mi"}));
    assert_eq!(found["resources"]["limits"], json!({"memory": "1Gi"}));
    assert!(found.get("startupProbe").is_none(), "{found}");
    assert_eq!(found["livenessProbe"]["tcpSocket"], json!({"port": "http"}));
    assert!(found["livenessProbe"].get("httpGet").is_none(), "{found}");
    assert_eq!(found["readinessProbe"]["httpGet"]["path"], "/ready");
    run(&world, VALUES[0], &["plan", "--detailed-exitcode"]).with(0);

    // The fields are back at their defaults, and what they set is gone.
    world.stack(&stack("  ingress: none\n  replicas: 0\n"));
    up();
    let found = container(&world);
    assert!(found.get("command").is_none() && found["startupProbe"]["httpGet"].is_object(), "{found}");
    assert!(found["livenessProbe"].get("tcpSocket").is_none(), "{found}");
    run(&world, VALUES[0], &["plan", "--detailed-exitcode"]).with(0);
}

#[test]
fn a_field_that_no_manifest_uses_is_told() {
    let settings = "  ingress: none\n  replicas: 0\n  command: [demo]\n  secrets: {GREETING: /shop/greeting}\n  \
                    resources: {cpu: 100m}\n";
    let world = Provider::new(&stack(settings));
    world.sandbox(600);
    let manifests = world.path().join("manifests/app");
    fs::create_dir_all(&manifests).unwrap();
    // As an earlier version of the program had it.
    fs::write(
        manifests.join("all.yaml"),
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${app.release}\n  namespace: default\n  \
         annotations: {provisioner/when: app.ingress == none}\ndata: {replicas: 'n${app.replicas}'}\n",
    )
    .unwrap();
    let plan = run(&world, VALUES[0], &["plan"]).with(0);
    let told =
        |field: &str| plan.err.matches(&format!("{field} is set, but no file in manifests/ uses it")).count();
    for field in ["app.command", "app.secrets", "app.resources.cpu"] {
        assert_eq!(told(field), 1, "{field}: {}", plan.err);
    }
    for field in ["app.ingress", "app.replicas", "app.health.live", "app.resources.memory"] {
        assert_eq!(told(field), 0, "{field}: {}", plan.err);
    }
}

#[test]
fn secrets_reach_the_pods_and_nothing_else() {
    let settings = "  ingress: none\n  replicas: 0\n  secrets: {DEMO_ROOT_RESPONSE: /shop/greeting, OTHER: /shop/greeting}\n";
    let world = Provider::new(&stack(settings));
    world.sandbox(200);
    let ran = |value: &str, args: &[&str], code: i32| {
        let ended = run(&world, value, &[args, &["-vv"]].concat()).with(code);
        assert_hidden(&args.join(" "), &format!("{}{}", ended.out, ended.err));
        ended
    };
    ran(VALUES[0], &["up", "--yes"], 0);
    let secret = || kubernetes(&world, SECRET, None);
    let data = |value: &str| {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        json!({"DEMO_ROOT_RESPONSE": STANDARD.encode(value), "OTHER": STANDARD.encode(value)})
    };
    let revision = || {
        let template = kubernetes(&world, DEPLOYMENT, None)["spec"]["template"].clone();
        template["metadata"]["annotations"]["provisioner/secrets"].as_str().unwrap().to_owned()
    };
    assert_eq!(secret()["data"], data(VALUES[0]));
    let reference = json!({"secretRef": {"name": "demo-application-secrets", "optional": false}});
    assert_eq!(container(&world)["envFrom"][2], reference);
    let first = revision();
    assert!(first.starts_with("/shop/greeting:1 "), "{first}");
    ran(VALUES[0], &["plan", "--detailed-exitcode"], 0);

    // Another value of the parameter is another Secret, and other pods.
    let plan = ran(VALUES[1], &["plan", "--out", "saved"], 0);
    for address in
        ["application/secret-environment", "application/deployment/", "cluster/parameter/shop/greeting"]
    {
        assert!(plan.out.contains(address), "no {address} in:\n{}", plan.out);
    }
    assert_hidden("the saved plan", &fs::read_to_string(world.path().join("saved")).unwrap());
    ran(VALUES[1], &["plan", "--json"], 0);
    ran(VALUES[1], &["up", "--yes", "--json"], 0);
    assert_eq!(secret()["data"], data(VALUES[1]));
    let second = revision();
    assert!(second.starts_with("/shop/greeting:2 ") && second != first, "{second}");
    ran(VALUES[1], &["plan", "--detailed-exitcode"], 0);

    // A parameter that only `up` changes does not keep the application from being deployed as it is.
    ran(VALUES[2], &["deploy", "--yes"], 0);
    assert_eq!((secret()["data"].clone(), revision()), (data(VALUES[1]), second));

    // What another person writes into the Secret is drift, shown without the value, and is set back.
    let mut theirs = data(VALUES[1]);
    theirs["OTHER"] = data(VALUES[2])["OTHER"].clone();
    kubernetes(&world, SECRET, Some(("kubectl-edit", &json!({"data": theirs}))));
    let plan = ran(VALUES[1], &["plan"], 0);
    assert!(plan.out.contains("values.OTHER") && plan.out.contains("that of /shop/greeting"), "{}", plan.out);
    assert!(!plan.out.contains("values.DEMO_ROOT_RESPONSE"), "{}", plan.out);
    ran(VALUES[1], &["plan", "--json"], 0);
    ran(VALUES[1], &["up", "--yes"], 0);
    assert_eq!(secret()["data"], data(VALUES[1]));

    // A run that cannot save its state leaves it in a file.
    world.configure(
        &json!({"timeScale": 200, "faults": [{"on": "s3:PutObject", "kind": "lost_request", "skip": 1}]}),
    );
    ran(VALUES[0], &["up", "--yes"], 6);
    world.configure(&json!({"timeScale": 200}));
    let state = ran(VALUES[0], &["state", "pull"], 0);
    assert!(state.out.contains("secret_environment"), "{}", state.out);
    let mut records = Vec::new();
    files(&world.path().join("state"), &mut records);
    assert!(records.iter().any(|(path, _)| path.contains("unsaved-")), "no copy of the state");
    for (path, text) in &records {
        assert_hidden(path, text);
    }
    ran(VALUES[0], &["up", "--yes"], 0);
    assert_eq!(secret()["data"], data(VALUES[0]));

    // A variable that is no longer in the file leaves the Secret, and the Secret goes with the last one.
    world.stack(&stack("  ingress: none\n  replicas: 0\n  secrets: {OTHER: /shop/greeting}\n"));
    ran(VALUES[0], &["up", "--yes"], 0);
    assert_eq!(secret()["data"], json!({"OTHER": data(VALUES[0])["OTHER"]}));
    world.stack(&stack("  ingress: none\n  replicas: 0\n"));
    ran(VALUES[0], &["up", "--yes"], 0);
    assert!(secret().is_null() && container(&world)["envFrom"].as_array().unwrap().len() == 2);

    // `down app` takes it along.
    world.stack(&stack(settings));
    ran(VALUES[0], &["up", "--yes"], 0);
    assert!(!secret().is_null());
    ran(VALUES[0], &["down", "app", "--yes"], 0);
    assert!(secret().is_null());
    let down = ran(VALUES[0], &["down", "--yes"], 0);
    assert!(down.err.contains("cluster/parameter/shop/greeting"), "{}", down.err);
}

/// What a load balancer on loopback answers: the status, the field `Location` and the body. The certificate is not compared.
fn get(world: &Provider, url: &str, host: &str) -> (u64, String, String) {
    let answer = world.boto3(&format!(
        "import http.client, ssl, urllib.parse\n\
         url = urllib.parse.urlsplit({url:?})\n\
         secure = {{'context': ssl._create_unverified_context()}} if url.scheme == 'https' else {{}}\n\
         kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection\n\
         connection = kind(url.hostname, url.port, timeout=60, **secure)\n\
         connection.request('GET', '/', headers={{'Host': {host:?}}})\n\
         answer = connection.getresponse()\n\
         print(json.dumps([answer.status, answer.getheader('Location') or '', answer.read().decode()]))"
    ));
    serde_json::from_value(answer).unwrap()
}

/// Protocol, port, TLS policy and kind of the default action of each listener of the only load balancer.
fn listeners(world: &Provider) -> Value {
    world.boto3(
        "elb = client('elbv2')\n\
         arn = elb.describe_load_balancers()['LoadBalancers'][0]['LoadBalancerArn']\n\
         found = elb.describe_listeners(LoadBalancerArn=arn)['Listeners']\n\
         print(json.dumps(sorted([l['Port'], l['Protocol'], l.get('SslPolicy', ''), l['DefaultActions'][0]['Type']] for l in found)))",
    )
}

/// Port and check of the only target group that listeners lead to.
fn check(world: &Provider) -> Value {
    world.boto3(
        "group = client('elbv2').describe_target_groups()['TargetGroups'][0]\n\
         print(json.dumps([group['HealthCheckProtocol'], group.get('HealthCheckPath'), group.get('Matcher', {}).get('HttpCode')]))",
    )
}

const POLICY: &str = "ELBSecurityPolicy-TLS13-1-2-2021-06";

#[test]
fn hosts_certificate_secrets_and_autoscaling_reach_the_application() {
    let certificate = "  certificateArn: CERTIFICATE\n";
    let settings = "  replicas: 1\n  command: [/usr/bin/python3, -m, demo]\n  secrets: {DEMO_ROOT_RESPONSE: /shop/greeting}\n";
    let world = Provider::new("");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("app");
    assert!(Command::new("cp").arg("-r").arg(source).arg(world.path()).status().unwrap().success());
    world.sandbox(120);
    let arn = world.boto3(
        "print(json.dumps(client('acm').request_certificate(DomainName='shop.example.com')['CertificateArn']))",
    );
    let file = |more: &str| stack(&format!("{settings}{more}")).replace("CERTIFICATE", arn.as_str().unwrap());
    let up = |value: &str, more: &str| {
        world.stack(&file(more));
        run(&world, value, &["up", "--yes"]).with(0)
    };
    let balancer = |path: &str| {
        let found = kubernetes(&world, path, None)["status"]["loadBalancer"]["ingress"][0].clone();
        assert!(found.get("ports").is_none(), "a port below 1024 cannot be listened at: {found}");
        found["hostname"].as_str().unwrap().to_owned()
    };

    let first = up(VALUES[0], &format!("  hosts: [shop.example.com, '*.example.org']\n{certificate}"));
    assert_eq!(first.out.trim(), "https://shop.example.com");
    let name = balancer(INGRESS);
    let note = format!("the DNS name shop.example.com must point to the load balancer {name}");
    assert!(first.err.contains(&note), "{}", first.err);
    let url = run(&world, VALUES[0], &["url", "--json"]).with(0);
    assert_eq!(url.lines("url")[0]["loadBalancer"], json!(name));
    let (http, https) = (format!("http://{name}"), format!("https://{name}"));
    for host in ["shop.example.com", "any.example.org"] {
        assert_eq!(get(&world, &https, host), (200, String::new(), VALUES[0].to_owned()));
    }
    assert_eq!(get(&world, &https, "other.example.com").0, 404);
    let redirected = get(&world, &http, "shop.example.com");
    assert_eq!((redirected.0, redirected.1.as_str()), (301, "https://shop.example.com:443/"));
    assert_eq!(
        listeners(&world),
        json!([[80, "HTTP", "", "redirect"], [443, "HTTPS", POLICY, "fixed-response"]])
    );
    assert_eq!(check(&world), json!(["HTTP", "/health/ready", "200"]));
    let scaled = kubernetes(&world, AUTOSCALER, None);
    assert_eq!((&scaled["spec"]["minReplicas"], &scaled["spec"]["maxReplicas"]), (&json!(1), &json!(3)));
    run(&world, VALUES[0], &["plan", "--detailed-exitcode"]).with(0);

    // Another value of the secret reaches the application, and the autoscaler goes where nothing is to be scaled.
    let http_only = up(VALUES[1], "  maxReplicas: 1\n  health: {ready: tcp}\n");
    let name = balancer(INGRESS);
    assert_eq!(http_only.out.trim(), format!("http://{name}"));
    assert_eq!(
        get(&world, &format!("http://{name}"), "other.example.com"),
        (200, String::new(), VALUES[1].to_owned())
    );
    assert_eq!(listeners(&world), json!([[80, "HTTP", "", "fixed-response"]]));
    assert_eq!(check(&world), json!(["HTTP", "/", "200-499"]));
    assert!(kubernetes(&world, AUTOSCALER, None).is_null());
    run(&world, VALUES[1], &["plan", "--detailed-exitcode"]).with(0);

    // A Network Load Balancer with TLS.
    let tls = up(VALUES[1], &format!("  ingress: nlb\n  health: {{ready: tcp}}\n{certificate}"));
    let name = balancer(SERVICE);
    assert_eq!(tls.out.trim(), format!("https://{name}"));
    assert!(tls.err.contains("clients accept the certificate only under its own names"), "{}", tls.err);
    assert_eq!(get(&world, &format!("https://{name}"), "a.example").0, 200);
    assert_eq!(listeners(&world), json!([[443, "TLS", POLICY, "forward"]]));
    assert_eq!(check(&world), json!(["TCP", null, null]));
    run(&world, VALUES[1], &["plan", "--detailed-exitcode"]).with(0);
    let down = run(&world, VALUES[1], &["down", "--yes"]).with(0);
    assert!(down.err.contains("finds nothing"), "{}", down.err);
}
