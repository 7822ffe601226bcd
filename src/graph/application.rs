//! The Kubernetes objects of the manifests, with dependencies in the order in which they are applied.

use super::{
    addresses::{
        app_image, cluster_name, eks, fargate_profiles, group_address, load_balancer_controller,
        profile_address,
    },
    app_image::platforms,
    controller_images::controller_images,
    graph_builder::GraphBuilder,
    graph_context::Context,
    network,
};
use crate::{
    model::{Address, CallError, object, partition},
    resources::{iam_role, image, manifest, webhook_certificate},
    stack::{
        Nat, Stack,
        delivery::Ingress,
        manifest_file::{Object, Variables},
    },
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// Maximum number of pods under load, as a multiple of `app.replicas`.
const MAX_SCALE_FACTOR: u32 = 3;

/// Returns the address of the webhook certificate of the load balancer controller.
pub(super) fn certificate() -> Address {
    Address::from("application/load-balancer-certificate")
}

/// Returns whether anything is deployed to the cluster.
pub fn deploys(stack: &Stack) -> bool {
    stack.cluster.is_some()
        && (stack.app.is_some() || stack.controllers.cluster_autoscaler || load_balancer_controller(stack))
}

/// Returns whether the files of a subdirectory of the manifests are rendered.
pub fn renders(stack: &Stack, folder: &str) -> bool {
    match folder {
        "app" => stack.app.is_some(),
        "cluster-autoscaler" => stack.controllers.cluster_autoscaler,
        "load-balancer-controller" => load_balancer_controller(stack),
        _ => true,
    }
}

/// Returns the values of the variables of the manifests.
pub fn variables(stack: &Stack, context: &Context) -> Variables {
    let public = faces_internet(stack);
    let mut all = BTreeMap::from([
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
    all.extend(controller_images(stack, &context.version));
    if let Some(app) = &stack.app {
        let platforms = platforms(stack, app);
        let archs: Vec<&str> =
            platforms.iter().filter_map(|it| it.split_once('/').map(|(_, arch)| arch)).collect();
        let parameter = app.parameter.clone().unwrap_or_default();
        let times = RolloutTimes::of(app.ingress);
        let by_pod_identity = uses_pod_identity(stack, &app.namespace, &app.release).is_some_and(|it| it);
        all.extend([
            ("image", json!(image::URI.of(&app_image()))),
            ("app.release", json!(app.release)),
            ("app.namespace", json!(app.namespace)),
            ("app.replicas", json!(app.replicas)),
            ("app.maxReplicas", json!(u32::from(app.replicas).saturating_mul(MAX_SCALE_FACTOR).max(1))),
            ("app.port", json!(app.port)),
            ("app.portText", json!(app.port.to_string())),
            ("app.env", json!(app.env)),
            ("app.configHash", json!(config_hash(&app.env, &parameter))),
            ("app.parameter", json!(parameter)),
            ("app.drainSeconds", json!(times.drain)),
            ("app.graceSeconds", json!(times.grace)),
            ("app.deadlineSeconds", json!(times.deadline)),
            ("app.ingress", json!(app.ingress)),
            ("app.archs", json!(archs)),
            ("app.platforms", json!(platforms)),
            ("app.roleArn", role(stack, &app.namespace, &app.release, app.parameter.is_some())),
            ("app.podIdentity", json!(by_pod_identity)),
        ]);
    }
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
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

/// Adds the objects, each after the objects that it depends on.
///
/// # Errors
/// A bug: an object without a name.
pub(super) fn application(
    build: &mut GraphBuilder<'_>,
    stack: &Stack,
    context: &Context,
) -> Result<(), CallError> {
    if !deploys(stack) {
        return Ok(());
    }
    let prerequisites = prerequisites(build, stack);
    let grows = stack.controllers.cluster_autoscaler || stack.fargate_only;
    let mut waves: BTreeMap<u8, Vec<(Address, &Object)>> = BTreeMap::new();
    for found in &context.objects {
        let at = object::address(&found.value).ok_or_else(|| CallError::bug("an object without a name"))?;
        waves.entry(wave(&found.value)).or_default().push((at, found));
    }
    if load_balancer_controller(stack) {
        let address = certificate();
        let service = "aws-load-balancer-webhook-service.kube-system";
        let spec = webhook_certificate::Spec {
            cluster: cluster_name(stack),
            namespace: "kube-system".to_owned(),
            name: "aws-load-balancer-tls".to_owned(),
            dns_names: vec![format!("{service}.svc"), format!("{service}.svc.cluster.local")],
            tags: build.tags(&address),
        };
        build.add_after(&address, &spec, &prerequisites.iter().collect::<Vec<_>>());
    }
    let mut before: Vec<Address> = prerequisites;
    before.extend(load_balancer_controller(stack).then(certificate));
    for objects in waves.into_values() {
        for (address, found) in &objects {
            let spec = manifest::Spec {
                cluster: cluster_name(stack),
                part: found.path.split_once('/').map_or("", |(folder, _)| folder).to_owned(),
                object: object::owned(found.value.clone(), &build.tags(address)),
                scaled: is_scaled(&found.value, context),
                grows,
            };
            build.add_after(address, &spec, &before.iter().collect::<Vec<_>>());
        }
        before.extend(objects.into_iter().map(|(address, _)| address));
    }
    Ok(())
}

/// Returns the addresses that every object depends on: the cluster, its access entries and add-ons, and the
/// node groups and Fargate profiles.
fn prerequisites(build: &GraphBuilder<'_>, stack: &Stack) -> Vec<Address> {
    let groups = stack.node_groups.iter().map(|group| group_address(&group.name));
    let profiles = fargate_profiles(stack).into_iter().map(|(name, _)| profile_address(&name));
    let of = |start: &'static str| {
        build.graph.nodes.keys().filter(move |address| address.as_str().starts_with(start)).cloned()
    };
    let rest = of("cluster/access/").chain(of("cluster/addon/")).chain(of("cluster/pod-identity/"));
    [eks()].into_iter().chain(groups).chain(profiles).chain(rest).collect()
}

/// Returns the wave in which an object is applied. Lower waves are applied first and deleted last.
fn wave(object: &Value) -> u8 {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
    match text("/kind") {
        "CustomResourceDefinition" => 0,
        "Namespace" => 1,
        "ServiceAccount" | "Role" | "RoleBinding" | "ClusterRole" | "ClusterRoleBinding" => 2,
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Pod" | "Job" | "CronJob" => 4,
        // The controller creates and deletes their load balancers, so it must exist as long as they do.
        "Ingress" | "HorizontalPodAutoscaler" => 5,
        "Service" if text("/spec/type") == "LoadBalancer" => 5,
        // The API server calls a webhook as soon as its configuration exists, so its pods must run by then.
        "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration" => 6,
        _ => 3,
    }
}

/// Returns whether a HorizontalPodAutoscaler of the manifests sets the replicas of an object.
fn is_scaled(object: &Value, context: &Context) -> bool {
    let text = |value: &Value, path: &str| value.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let mine = |path: &str| text(object, path);
    context.objects.iter().map(|object| &object.value).any(|other| {
        text(other, "/kind").as_deref() == Some("HorizontalPodAutoscaler")
            && text(other, "/metadata/namespace") == mine("/metadata/namespace")
            && text(other, "/spec/scaleTargetRef/kind") == mine("/kind")
            && text(other, "/spec/scaleTargetRef/name") == mine("/metadata/name")
    })
}

/// Returns the address of the object whose load balancer leads to the application, if it has one.
pub fn entrance(stack: &Stack) -> Option<Address> {
    let app = stack.app.as_ref()?;
    let kind = match app.ingress {
        Ingress::Alb => "ingress",
        Ingress::Nlb => "service",
        Ingress::None => return None,
    };
    Some(Address::new(format!("application/{kind}/{}/{}", app.namespace, app.release)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Returns everything that `address` depends on, directly or through others.
    fn below(graph: &crate::model::Graph, address: &Address) -> BTreeSet<Address> {
        let mut found = BTreeSet::new();
        let mut left = vec![address.clone()];
        while let Some(next) = left.pop() {
            for dependency in graph.get(&next).unwrap().dependencies() {
                if found.insert(dependency.clone()) {
                    left.push(dependency);
                }
            }
        }
        found
    }

    #[test]
    fn controllers_keep_their_route_to_aws_as_long_as_their_objects_exist() {
        for (nat, ways) in [
            (
                "single",
                vec!["network/association/public-a", "network/nat-gateway/a", "network/route/private-b"],
            ),
            (
                "per-zone",
                vec!["network/association/public-b", "network/nat-gateway/b", "network/route/private-b"],
            ),
            ("none", vec!["network/endpoint/sts", "network/endpoint/elasticloadbalancing"]),
        ] {
            let text = format!(
                "name: shop\nregion: eu-central-1\nnetwork: {{nat: {nat}, zones: 2}}\ncluster: {{}}\napp: {{}}\n"
            );
            let stack = crate::stack::load("stack.yaml", text.as_bytes(), &|_| None).unwrap();
            let ingress = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
                "metadata": {"name": "demo-application", "namespace": "demo-application"}});
            let context = Context {
                account: "123456789012".to_owned(),
                version: "1.35".to_owned(),
                caller: Some("arn:aws:iam::123456789012:user/me".to_owned()),
                my_ip: Some("203.0.113.7/32".to_owned()),
                zones: vec!["a".to_owned(), "b".to_owned()],
                shares: [("a".to_owned(), 0), ("b".to_owned(), 1)].into(),
                releases: [("default".to_owned(), "1.54.0-2f6b08ec".to_owned())].into(),
                addons: super::super::addons(&stack)
                    .into_keys()
                    .map(|name| (name, "v1".to_owned()))
                    .collect(),
                objects: vec![Object { path: "app/ingress.yaml".to_owned(), value: ingress }],
                ..Context::default()
            };
            let graph = super::super::graph(&stack, &context).unwrap();
            let found = below(&graph, &entrance(&stack).unwrap());
            let always =
                ["network/association/private-a", "network/association/private-b", "cluster/access/caller"];
            for address in ways.into_iter().chain(always) {
                assert!(found.contains(&Address::from(address)), "{nat}: {address} is deleted too early");
            }
        }
    }
}
