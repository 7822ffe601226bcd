//! The names and addresses of resources that several builders refer to, and which of them a stack has.

use super::iam_policies;
use crate::{
    model::{Address, In},
    resources::kms_key,
    stack::{
        Stack,
        cluster::Selector,
        delivery::{App, Ingress},
    },
};
use std::collections::BTreeMap;

/// Returns the address of the cluster.
pub(super) fn eks() -> Address {
    Address::from("cluster/eks")
}

/// Returns the address of the OIDC provider, by which IAM trusts the cluster's service account tokens.
pub(super) fn provider() -> Address {
    Address::from("cluster/oidc-provider")
}

/// Returns the name of the cluster, which is the name of the stack.
pub fn cluster_name(stack: &Stack) -> String {
    stack.name.clone()
}

/// Returns the name of the control plane's log group, which EKS prescribes.
pub(super) fn log_group(stack: &Stack) -> Option<String> {
    stack.cluster.as_ref().map(|_| format!("/aws/eks/{}/cluster", stack.name))
}

/// Returns the name of the flow log's log group, if flow logs are enabled.
pub(super) fn flow_log_group(stack: &Stack) -> Option<String> {
    let network = stack.network.as_ref().filter(|network| network.existing.is_none())?;
    network.flow_logs.settings()?;
    Some(format!("/provisioner/{}/vpc-flow-logs", stack.name))
}

/// Returns the name of a role. It contains the region, because IAM is global; a name longer than IAM's 64
/// characters ends in a digest.
pub(super) fn role_name(stack: &Stack, purpose: &str) -> String {
    iam_policies::shortened(64, &format!("{}-{}-{purpose}", stack.name, stack.region))
}

/// Returns the Fargate profiles by name: those of the file, and those that `fargateOnly` adds.
pub fn fargate_profiles(stack: &Stack) -> Vec<(String, Vec<Selector>)> {
    let mut profiles: Vec<(String, Vec<Selector>)> = stack
        .fargate_profiles
        .iter()
        .map(|profile| (profile.name.clone(), profile.selectors.clone()))
        .collect();
    if stack.fargate_only {
        let namespaces =
            ["kube-system"].into_iter().chain(stack.apps.iter().map(|app| app.namespace.as_str()));
        for namespace in namespaces {
            let covered = profiles.iter().flat_map(|(_, selectors)| selectors);
            if covered.into_iter().any(|it| it.namespace == namespace && it.labels.is_empty()) {
                continue;
            }
            let taken = profiles.iter().any(|(name, _)| name == namespace);
            let name = if taken { format!("provisioner-{namespace}") } else { namespace.to_owned() };
            let selector = Selector { namespace: namespace.to_owned(), labels: BTreeMap::new() };
            profiles.push((name, vec![selector]));
        }
    }
    profiles
}

/// Returns the address of a node group.
pub(super) fn group_address(name: &str) -> Address {
    Address::new(format!("cluster/node-group/{name}"))
}

/// Returns the address of a Fargate profile.
pub(super) fn profile_address(name: &str) -> Address {
    Address::new(format!("cluster/fargate-profile/{name}"))
}

/// Returns the address of an add-on.
pub(super) fn addon_address(name: &str) -> Address {
    Address::new(format!("cluster/addon/{name}"))
}

/// Returns the address of the key that the stack creates.
pub(super) fn key_address() -> Address {
    Address::from("network/key")
}

/// Returns the ARN of the key.
pub(super) fn key_arn(stack: &Stack) -> In<String> {
    match &stack.encryption.key_arn {
        Some(arn) => In::Known(arn.clone()),
        None => kms_key::ARN.of(&key_address()),
    }
}

/// Returns the name of an application's repository.
pub(super) fn app_repository(stack: &Stack, app: &App) -> String {
    let own = || format!("{}/{}", stack.name, app.name.as_deref().unwrap_or("app"));
    app.repository.clone().unwrap_or_else(own)
}

/// Returns the address of the repository `name`.
pub(super) fn repository_address(name: &str) -> Address {
    Address::new(format!("cluster/repository/{name}"))
}

/// Returns whether the AWS Load Balancer Controller is deployed.
pub(super) fn load_balancer_controller(stack: &Stack) -> bool {
    let needed = stack.apps.iter().any(|app| app.ingress != Ingress::None);
    stack.controllers.load_balancer_controller.unwrap_or(needed)
}

/// Returns an address of what each application has once: with its name at the end, if it has one.
fn of_app(base: &str, app: &App) -> Address {
    Address::new(app.name.as_ref().map_or_else(|| base.to_owned(), |name| format!("{base}/{name}")))
}

/// The address of the image of an application without a name, and the start of those of others.
pub const APP_IMAGE: &str = "application/image";

/// The address of the Secret of an application without a name, and the start of those of others.
pub const SECRET_ENVIRONMENT: &str = "application/secret-environment";

/// Returns the address of an application's image. Its field `uri` is the image reference of the pods.
pub fn app_image(app: &App) -> Address {
    of_app(APP_IMAGE, app)
}

/// Returns the address of the VPC.
pub(super) fn vpc_address() -> Address {
    Address::from("network/vpc")
}

/// Returns the address of the internet gateway.
pub(super) fn gateway_address() -> Address {
    Address::from("network/internet-gateway")
}

/// Returns the word for public or private in addresses.
pub(super) fn side(public: bool) -> &'static str {
    if public { "public" } else { "private" }
}

/// Returns the address of a zone's public or private subnet.
pub(super) fn subnet_address(public: bool, zone: &str) -> Address {
    Address::new(format!("network/subnet/{}-{zone}", side(public)))
}

/// Returns the address of the route table of a zone's private subnet.
pub(super) fn private_table(zone: &str) -> Address {
    Address::new(format!("network/route-table/private-{zone}"))
}

/// Returns the address of the route table of the public subnets.
pub(super) fn public_table() -> Address {
    Address::from("network/route-table/public")
}

/// Returns the address of the webhook certificate of the load balancer controller.
pub(super) fn certificate() -> Address {
    Address::from("application/load-balancer-certificate")
}

/// Returns the address of the Secret with an application's environment variables.
pub(super) fn secret_environment(app: &App) -> Address {
    of_app(SECRET_ENVIRONMENT, app)
}

/// Returns the name of the Secret with an application's environment variables.
pub(super) fn secret_name(app: &App) -> String {
    format!("{}-secrets", app.release())
}

/// Returns the address of an SSM parameter.
pub(super) fn parameter_address(name: &str) -> Address {
    Address::new(format!("cluster/parameter{name}"))
}
