//! The Kubernetes objects of the manifests, with dependencies in the order in which they are applied.

use super::{
    addresses::{
        certificate, cluster_name, eks, fargate_profiles, group_address, load_balancer_controller,
        parameter_address, profile_address, secret_environment, secret_name,
    },
    graph_builder::GraphBuilder,
    graph_context::Context,
};
use crate::{
    model::{Address, CallError, In, object},
    resources::{manifest, secret_environment, ssm_parameter, webhook_certificate},
    stack::{
        Stack,
        delivery::{App, Ingress},
        foreign_manifest::{Hook, hook},
        manifest_file::Object,
    },
};
use serde_json::Value;
use std::collections::BTreeMap;

/// The first wave that comes after the Secret with the application's environment, which needs its Namespace.
const AFTER_SECRETS: u8 = 3;

/// Returns whether anything is deployed to the cluster.
pub fn deploys(stack: &Stack) -> bool {
    stack.cluster.is_some()
        && (!stack.apps.is_empty() || stack.controllers.cluster_autoscaler || load_balancer_controller(stack))
}

/// Returns whether the files of a subdirectory of the manifests are rendered.
pub fn renders(stack: &Stack, folder: &str) -> bool {
    match folder {
        "app" => !stack.apps.is_empty(),
        "cluster-autoscaler" => stack.controllers.cluster_autoscaler,
        "load-balancer-controller" => load_balancer_controller(stack),
        _ => true,
    }
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
    let grows = stack.controllers.cluster_autoscaler || stack.fargate_only || stack.node_pools().is_some();
    let mut waves: BTreeMap<u8, Vec<(Address, &str, &Object)>> = BTreeMap::new();
    for (part, found) in &context.objects {
        let at = object::address(&found.value).ok_or_else(|| CallError::bug("an object without a name"))?;
        waves.entry(wave(&found.value)).or_default().push((at, part, found));
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
    let mut secrets: Vec<&App> = stack.apps.iter().filter(|app| !app.secrets.is_empty()).collect();
    for (wave, objects) in waves {
        if wave >= AFTER_SECRETS {
            let added: Vec<Address> =
                secrets.drain(..).map(|app| secrets_of(build, stack, app, &before)).collect();
            before.extend(added);
        }
        for (address, part, found) in &objects {
            let spec = manifest::Spec {
                cluster: cluster_name(stack),
                part: (*part).to_owned(),
                object: object::owned(found.value.clone(), &build.tags(address)),
                scaled: is_scaled(&found.value, context),
                grows,
            };
            build.add_after(address, &spec, &before.iter().collect::<Vec<_>>());
        }
        before.extend(objects.into_iter().map(|(address, ..)| address));
    }
    for app in secrets {
        secrets_of(build, stack, app, &before);
    }
    Ok(())
}

/// Adds the Secret with the environment variables of an application, and returns its address.
fn secrets_of(build: &mut GraphBuilder<'_>, stack: &Stack, app: &App, before: &[Address]) -> Address {
    let address = secret_environment(app);
    let version = |name: &String| {
        let field = ssm_parameter::VERSION.name().to_owned();
        (name.clone(), In::Ref { r#ref: parameter_address(name), field })
    };
    let spec = secret_environment::Spec {
        cluster: cluster_name(stack),
        namespace: app.namespace.clone(),
        name: secret_name(app),
        variables: app.secrets.clone(),
        versions: app.secrets.values().map(version).collect(),
        tags: build.tags(&address),
    };
    build.add_after(&address, &spec, &before.iter().collect::<Vec<_>>());
    address
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
    match (text("/kind"), hook(object)) {
        // A migration of the database, before the pods that need it.
        ("Job" | "Pod", Some(Hook::Before)) => return 4,
        ("Job" | "Pod", Some(Hook::After)) => return 6,
        _ => {}
    }
    match text("/kind") {
        "CustomResourceDefinition" => 0,
        "Namespace" => 1,
        "ServiceAccount" | "Role" | "RoleBinding" | "ClusterRole" | "ClusterRoleBinding" => 2,
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Pod" | "Job" | "CronJob" => 5,
        // The controller creates and deletes their load balancers, so it must exist as long as they do.
        "Ingress" | "HorizontalPodAutoscaler" => 6,
        "Service" if text("/spec/type") == "LoadBalancer" => 6,
        // The API server calls a webhook as soon as its configuration exists, so its pods must run by then.
        "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration" => 7,
        _ => 3,
    }
}

/// Returns whether a HorizontalPodAutoscaler of the manifests sets the replicas of an object.
fn is_scaled(object: &Value, context: &Context) -> bool {
    let text = |value: &Value, path: &str| value.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let mine = |path: &str| text(object, path);
    context.objects.iter().map(|(_, object)| &object.value).any(|other| {
        text(other, "/kind").as_deref() == Some("HorizontalPodAutoscaler")
            && text(other, "/metadata/namespace") == mine("/metadata/namespace")
            && text(other, "/spec/scaleTargetRef/kind") == mine("/kind")
            && text(other, "/spec/scaleTargetRef/name") == mine("/metadata/name")
    })
}

/// Returns the address of the object whose load balancer leads to an application, if it has one.
pub fn entrance(app: &App) -> Option<Address> {
    let kind = match app.ingress {
        Ingress::Alb => "ingress",
        Ingress::Nlb => "service",
        Ingress::None => return None,
    };
    Some(Address::new(format!("application/{kind}/{}/{}", app.namespace, app.release())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
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
                objects: vec![(
                    "app".to_owned(),
                    Object { path: "app/ingress.yaml".to_owned(), value: ingress, secret: None },
                )],
                ..Context::default()
            };
            let graph = super::super::graph(&stack, &context).unwrap();
            let found = below(&graph, &entrance(&stack.apps[0]).unwrap());
            let always =
                ["network/association/private-a", "network/association/private-b", "cluster/access/caller"];
            for address in ways.into_iter().chain(always) {
                assert!(found.contains(&Address::from(address)), "{nat}: {address} is deleted too early");
            }
        }
    }
}
