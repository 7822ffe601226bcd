//! The values of the variables of the manifests, and which fields of the stack file no manifest uses.

use super::{
    addresses::{
        app_image, certificate, cluster_name, load_balancer_controller, secret_environment, secret_name,
    },
    app_image::platforms,
    controller_images::controller_images,
    graph_context::{AppImage, Context},
    network,
};
use crate::{
    model::{Address, partition},
    resources::{iam_role, image, secret_environment, webhook_certificate},
    stack::{
        Nat, Stack,
        app_settings::HealthCheck,
        delivery::{App, Ingress},
        manifest_file::Variables,
    },
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// The TLS policy of listeners: TLS 1.3 and 1.2, with ciphers of forward secrecy.
/// Source: <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/describe-ssl-policies.html>
const TLS_POLICY: &str = "ELBSecurityPolicy-TLS13-1-2-2021-06";

/// A group of variables with their values.
type Group = Vec<(&'static str, Value)>;

/// Returns the values of the variables of the manifests: those of all, and those of an application for its own manifests.
pub fn variables(stack: &Stack, context: &Context, app: Option<&App>) -> Variables {
    let public = faces_internet(stack);
    let all = BTreeMap::from([
        ("stack.name", json!(stack.name)),
        ("stack.region", json!(stack.region)),
        ("stack.account", json!(context.account)),
        ("stack.partition", json!(partition(&stack.region))),
        ("cluster.name", json!(cluster_name(stack))),
        ("cluster.version", json!(context.version)),
        ("cluster.fargateOnly", json!(stack.fargate_only)),
        ("network.vpcId", json!(network::vpc(stack))),
        ("network.public", json!(public)),
        ("network.scheme", json!(if public { "internet-facing" } else { "internal" })),
        (
            "clusterAutoscaler.roleArn",
            role(stack, "kube-system", "cluster-autoscaler", stack.controllers.cluster_autoscaler),
        ),
        (
            "loadBalancerController.roleArn",
            role(stack, "kube-system", "aws-load-balancer-controller", load_balancer_controller(stack)),
        ),
        ("loadBalancerController.caBundle", json!(webhook_certificate::CA.of(&certificate()))),
    ]);
    let named = all.into_iter().chain(controller_images(stack, &context.version));
    let own = app.map(|app| of_app(stack, context, app)).unwrap_or_default();
    let mut all: Variables = named.chain(own).map(|(name, value)| (name.to_owned(), value)).collect();
    for app in &stack.apps {
        let Some(name) = &app.name else { continue };
        all.extend([
            (format!("apps.{name}.image"), image_of(context, app)),
            (format!("apps.{name}.release"), json!(app.release())),
            (format!("apps.{name}.namespace"), json!(app.namespace)),
            (format!("apps.{name}.port"), json!(app.port)),
        ]);
    }
    all
}

/// Returns the image reference of an application's pods.
fn image_of(context: &Context, app: &App) -> Value {
    match context.image(app) {
        AppImage::InRepository { .. } => json!(image::URI.of(&app_image(app))),
        AppImage::Elsewhere(reference) => json!(reference),
    }
}

/// Returns the variables of an application.
fn of_app(stack: &Stack, context: &Context, app: &App) -> Group {
    let platforms = platforms(stack, app);
    let archs: Vec<&str> =
        platforms.iter().filter_map(|it| it.split_once('/').map(|(_, arch)| arch)).collect();
    let parameter = app.parameter.clone().unwrap_or_default();
    let times = RolloutTimes::of(app.ingress);
    let (namespace, release) = (app.namespace.as_str(), app.release());
    let by_pod_identity = uses_pod_identity(stack, namespace, release).is_some_and(|it| it);
    let own = vec![
        ("image", image_of(context, app)),
        ("app.release", json!(release)),
        ("app.namespace", json!(namespace)),
        ("app.replicas", json!(app.replicas)),
        ("app.maxReplicas", json!(app.max_replicas().max(1))),
        ("app.autoscaled", json!(app.is_autoscaled())),
        ("app.port", json!(app.port)),
        ("app.portText", json!(app.port.to_string())),
        ("app.command", json!(app.command)),
        ("app.env", json!(app.env)),
        ("app.configHash", json!(config_hash(&app.env, &parameter))),
        ("app.parameter", json!(parameter)),
        ("app.drainSeconds", json!(times.drain)),
        ("app.graceSeconds", json!(times.grace)),
        ("app.deadlineSeconds", json!(times.deadline)),
        ("app.ingress", json!(app.ingress)),
        ("app.archs", json!(archs)),
        ("app.platforms", json!(platforms)),
        ("app.roleArn", role(stack, namespace, release, app.parameter.is_some())),
        ("app.podIdentity", json!(by_pod_identity)),
        ("app.resources.cpu", json!(app.resources.cpu)),
        ("app.resources.memory", json!(app.resources.memory)),
        ("app.resources.memoryLimit", json!(app.resources.memory_limit)),
    ];
    [own, health(app), balancing(stack, app), secrets(app)].concat()
}

/// Time limits that match how fast a load balancer drops a pod and adds a new one, in seconds.
struct RolloutTimes {
    /// How long a terminating pod continues to serve requests.
    drain: u32,
    /// How long a terminating pod may run in total before it is killed.
    grace: u32,
    /// How long a rollout may make no progress before it counts as failed.
    deadline: u32,
}

impl RolloutTimes {
    /// Returns the times for a type of load balancer. A Network Load Balancer sends new connections to a
    /// deregistered target for up to two minutes, and takes minutes to find a new target healthy; an
    /// Application Load Balancer does both in seconds.
    /// Source: <https://github.com/kubernetes-sigs/aws-load-balancer-controller/issues/1834>
    fn of(ingress: Ingress) -> Self {
        match ingress {
            Ingress::Nlb => RolloutTimes { drain: 120, grace: 180, deadline: 900 },
            Ingress::Alb | Ingress::None => RolloutTimes { drain: 15, grace: 60, deadline: 300 },
        }
    }
}

/// Returns whether a service account of the file uses Pod Identity, or `None` if the file does not list it.
fn uses_pod_identity(stack: &Stack, namespace: &str, name: &str) -> Option<bool> {
    let mine = stack.service_accounts.iter().find(|it| it.namespace == namespace && it.name == name);
    mine.map(|account| account.pod_identity)
}

/// Returns the role ARN for the annotation of a service account: empty if it has no role, or gets it from Pod
/// Identity. `granted` says whether the program itself gives the service account a role.
fn role(stack: &Stack, namespace: &str, name: &str, granted: bool) -> Value {
    match uses_pod_identity(stack, namespace, name) {
        Some(true) => json!(""),
        None if !granted => json!(""),
        _ => json!(iam_role::ARN.of(&Address::new(format!("cluster/service-account/{namespace}/{name}")))),
    }
}

/// Returns whether load balancers can be internet-facing, which takes public subnets with a way out.
pub fn faces_internet(stack: &Stack) -> bool {
    stack.network.as_ref().is_some_and(|network| match &network.existing {
        Some(existing) => !existing.public_subnet_ids.is_empty(),
        None => network.nat != Nat::None,
    })
}

/// Returns a digest of the application's configuration. It is part of the pod template, so that a change of
/// the configuration starts a rollout.
fn config_hash(env: &BTreeMap<String, String>, parameter: &str) -> String {
    let text = json!([env, parameter]).to_string();
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the variables of the probes.
fn health(app: &App) -> Group {
    let health = &app.health;
    vec![
        ("app.health.startup", json!(health.startup)),
        ("app.health.startupPath", json!(health.startup.path())),
        ("app.health.live", json!(health.live)),
        ("app.health.livePath", json!(health.live.path())),
        ("app.health.ready", json!(health.ready)),
        ("app.health.readyPath", json!(health.ready.path())),
    ]
}

/// Returns the variables of the load balancer.
fn balancing(stack: &Stack, app: &App) -> Group {
    let tls = app.certificate_arn.is_some();
    let ports = match tls {
        true => r#"[{"HTTP": 80}, {"HTTPS": 443}]"#,
        false => r#"[{"HTTP": 80}]"#,
    };
    let (protocol, path, codes) = balancer_check(app);
    let hosts = app.hosts.iter().map(|host| Some(host.as_str())).chain(app.hosts.is_empty().then_some(None));
    vec![
        ("app.hosts", json!(app.hosts)),
        ("app.ingressRules", hosts.map(|host| ingress_rule(app, host)).collect()),
        ("app.certificateArn", json!(app.certificate_arn)),
        ("app.loadBalancer.group", json!(balancer_group(stack, app))),
        ("app.loadBalancer.groupOrder", json!(balancer_group(stack, app).map(|_| rule_order(app)))),
        ("app.loadBalancer.listenPorts", json!(ports)),
        ("app.loadBalancer.port", json!(if tls { 443 } else { 80 })),
        ("app.loadBalancer.tlsPort", json!(tls.then_some("443"))),
        ("app.loadBalancer.tlsPolicy", json!(tls.then_some(TLS_POLICY))),
        ("app.loadBalancer.checkProtocol", json!(protocol)),
        ("app.loadBalancer.checkPath", json!(path)),
        ("app.loadBalancer.checkCodes", json!(codes)),
    ]
}

/// Returns the name of the group of Ingresses that share a load balancer, if the application is in one. Those with HTTPS
/// have a group of their own, since a redirect to HTTPS applies to all of a group.
/// Source: <https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/ingress/annotations/#ingressgroup>
fn balancer_group(stack: &Stack, app: &App) -> Option<String> {
    let name = stack.name.replace('_', "-");
    let name = name.trim_end_matches('-');
    app.shares_balancer().then(|| match app.certificate_arn {
        Some(_) => format!("{name}-https"),
        None => name.to_owned(),
    })
}

/// Returns the order of the application's rules in its group: wildcards come after the exact hosts of others.
fn rule_order(app: &App) -> &'static str {
    if app.has_wildcard() { "20" } else { "10" }
}

/// Returns protocol, path and success codes of the load balancer's health check. An Application Load Balancer cannot
/// check by TCP, so without a path it asks for `/`, where every answer but a server error counts: it says only that the
/// application responds, as `tcp` does.
/// Source: <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html>
fn balancer_check(app: &App) -> (&'static str, Option<&str>, Option<&'static str>) {
    match (&app.health.ready, app.ingress) {
        (HealthCheck::Path(path), _) => ("HTTP", Some(path), Some("200")),
        (_, Ingress::Nlb) => ("TCP", None, None),
        (_, Ingress::Alb | Ingress::None) => ("HTTP", Some("/"), Some("200-499")),
    }
}

/// Returns a rule of the Ingress, for one host or for all.
fn ingress_rule(app: &App, host: Option<&str>) -> Value {
    let service = json!({"name": app.release(), "port": {"name": "http"}});
    let http = json!({"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": service}}]});
    match host {
        Some(host) => json!({"host": host, "http": http}),
        None => json!({"http": http}),
    }
}

/// Returns the variables of the Secret with the environment.
fn secrets(app: &App) -> Group {
    let some = !app.secrets.is_empty();
    vec![
        ("app.secretName", json!(some.then(|| secret_name(app)))),
        (
            "app.secretRevision",
            json!(some.then(|| secret_environment::REVISION.of(&secret_environment(app)))),
        ),
    ]
}

/// The fields of an application that have an effect only through manifests, and the variables with their values.
const FIELDS: &[(&str, &[&str])] = &[
    ("replicas", &["app.replicas"]),
    ("maxReplicas", &["app.maxReplicas", "app.autoscaled"]),
    ("port", &["app.port", "app.portText"]),
    ("command", &["app.command"]),
    ("health.startup", &["app.health.startup", "app.health.startupPath"]),
    ("health.live", &["app.health.live", "app.health.livePath"]),
    ("health.ready", &["app.health.ready", "app.health.readyPath"]),
    ("resources.cpu", &["app.resources.cpu"]),
    ("resources.memory", &["app.resources.memory"]),
    ("resources.memoryLimit", &["app.resources.memoryLimit"]),
    ("env", &["app.env"]),
    ("secrets", &["app.secretName"]),
    ("parameter", &["app.parameter"]),
    ("ingress", &["app.ingress"]),
    ("hosts", &["app.hosts", "app.ingressRules"]),
    ("certificateArn", &["app.certificateArn"]),
];

/// Returns the fields of an application that the file sets and none of the used variables holds.
pub fn unused_fields(stack: &Stack, app: &App, used: &BTreeSet<String>) -> Vec<String> {
    let fields = FIELDS.iter().map(|(field, variables)| (app.field(field), variables));
    let unused = |(field, variables): &(String, &&[&str])| {
        stack.sets(field) && !variables.iter().any(|variable| used.contains(*variable))
    };
    // Without a load balancer, there is nothing that a manifest would have to contain.
    let needless = |field: &str| app.ingress == Ingress::None && field == app.field("ingress");
    fields.filter(unused).map(|(field, _)| field).filter(|field| !needless(field)).collect()
}
