//! The control plane, and what must stand before it; IAM's trust in it.

use super::{
    Context,
    build::{Build, arn},
    key::key_arn,
    network, policy,
};
use crate::{
    model::{Address, Fault, In},
    resources::{eks_cluster, iam_role, log_group, oidc_provider},
    stack::{
        Stack,
        cluster::{LogType, Selector, UpgradePolicy},
    },
};
use std::collections::BTreeMap;

/// The cluster.
pub(super) fn eks() -> Address {
    Address::from("cluster/eks")
}

/// IAM's trust in the cluster's tokens.
pub(super) fn provider() -> Address {
    Address::from("cluster/oidc-provider")
}

/// The cluster's name: the stack's.
pub fn cluster_name(stack: &Stack) -> String {
    stack.name.clone()
}

/// The name of the control plane's log group, which EKS gives.
pub(super) fn log_group(stack: &Stack) -> Option<String> {
    stack.cluster.as_ref().map(|_| format!("/aws/eks/{}/cluster", stack.name))
}

/// The name of a role: IAM is global, so the region is in it. What is longer than IAM's 64 characters keeps its
/// difference in a digest.
pub(super) fn role_name(stack: &Stack, purpose: &str) -> String {
    policy::within(64, &format!("{}-{}-{purpose}", stack.name, stack.region))
}

/// An IAM role that AWS's services or the cluster's pods act in.
pub(super) fn role(build: &mut Build<'_>, address: &Address, spec: iam_role::Spec) {
    let tags = build.tags(address);
    build.add(address, &iam_role::Spec { tags, ..spec });
}

/// The Fargate profiles: the file's, and those that `fargateOnly` brings.
pub fn fargate_profiles(stack: &Stack) -> Vec<(String, Vec<Selector>)> {
    let mut profiles: Vec<(String, Vec<Selector>)> = stack
        .fargate_profiles
        .iter()
        .map(|profile| (profile.name.clone(), profile.selectors.clone()))
        .collect();
    if stack.fargate_only {
        let namespaces =
            ["kube-system"].into_iter().chain(stack.app.iter().map(|app| app.namespace.as_str()));
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

/// EKS's name of a log.
fn log_type(log: LogType) -> &'static str {
    match log {
        LogType::Api => "api",
        LogType::Audit => "audit",
        LogType::Authenticator => "authenticator",
        LogType::ControllerManager => "controllerManager",
        LogType::Scheduler => "scheduler",
    }
}

/// Log group, role, cluster, OIDC provider.
pub(super) fn cluster(build: &mut Build<'_>, stack: &Stack, context: &Context) -> Result<(), Fault> {
    let Some(section) = &stack.cluster else { return Ok(()) };
    let (account, region) = (&context.account, &stack.region);

    let logs = Address::from("cluster/log-group");
    let tags = build.tags(&logs);
    let retention_days = section.logging.retention_days;
    let name = log_group(stack).unwrap_or_default();
    build.add(&logs, &log_group::Spec { name, retention_days, key: key_arn(stack), tags });

    let role_address = Address::from("cluster/role");
    role(
        build,
        &role_address,
        iam_role::Spec {
            name: role_name(stack, "cluster"),
            description: format!("EKS, for cluster {}", stack.name),
            trust: policy::cluster_trust(account, region, &stack.name),
            managed: vec![policy::managed(region, "AmazonEKSClusterPolicy")],
            ..iam_role::Spec::default()
        },
    );

    let address = eks();
    let spec = eks_cluster::Spec {
        name: cluster_name(stack),
        version: context.version.clone(),
        role: arn(&role_address),
        vpc: network::vpc(stack),
        subnets: network::private_subnets(stack, context),
        endpoint_public: section.endpoint.public,
        public_cidrs: public_cidrs(stack, context)?,
        service_cidr: section.service_cidr.map(|cidr| cidr.to_string()),
        log_types: section.logging.types.iter().map(|log| log_type(*log).to_owned()).collect(),
        key: key_arn(stack),
        upgrade_policy: match section.upgrade_policy {
            UpgradePolicy::Standard => "STANDARD",
            UpgradePolicy::Extended => "EXTENDED",
        }
        .to_owned(),
        deletion_protection: section.deletion_protection,
        tags: build.tags(&address),
    };
    // EKS would make the log group itself, without retention and key, with its first line.
    build.add_after(&address, &spec, &[&logs]);

    let address_of_provider = provider();
    let tags = build.tags(&address_of_provider);
    let issuer = In::of(&address, "issuer");
    let clients = vec!["sts.amazonaws.com".to_owned()];
    build.add(&address_of_provider, &oidc_provider::Spec { issuer, clients, tags });
    Ok(())
}

/// The blocks that reach the API server from outside.
fn public_cidrs(stack: &Stack, context: &Context) -> Result<Vec<String>, Fault> {
    let Some(endpoint) = stack.cluster.as_ref().map(|it| &it.endpoint).filter(|it| it.public) else {
        return Ok(Vec::new());
    };
    let own =
        || context.my_ip.clone().ok_or_else(|| Fault::bug("the caller's own address was not asked for"));
    match &endpoint.public_cidrs {
        None => Ok(vec![own()?]),
        Some(list) => {
            list.iter().map(|block| if block == "myip" { own() } else { Ok(block.clone()) }).collect()
        }
    }
}
