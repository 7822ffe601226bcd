//! The EKS control plane, the log group and role that it depends on, and the OIDC provider for IAM.

use super::{
    addresses::{cluster_name, eks, key_arn, log_group, provider, role_name},
    graph_builder::GraphBuilder,
    graph_context::Context,
    iam_policies, network,
    roles::role,
};
use crate::{
    model::{Address, CallError, In, Snapshot},
    resources::{eks_cluster, iam_role, log_group, oidc_provider},
    stack::{
        Stack,
        cluster::{ControlPlaneEgress, ControlPlaneTier, LogType, UpgradePolicy},
    },
};
/// Returns the zones that the recorded cluster was created in; empty if none is recorded.
pub fn cluster_zones(snapshot: &Snapshot) -> Vec<String> {
    let address = eks();
    let recorded = snapshot.resources.get(&address).map(|entry| &entry.dependencies);
    let intended = snapshot.intents.get(&address).map(|intent| &intent.dependencies);
    let zones = recorded.or(intended).into_iter().flatten().filter_map(network::zone_of);
    zones.map(str::to_owned).collect()
}

/// Returns the EKS name of a log type.
fn log_type(log: LogType) -> &'static str {
    match log {
        LogType::Api => "api",
        LogType::Audit => "audit",
        LogType::Authenticator => "authenticator",
        LogType::ControllerManager => "controllerManager",
        LogType::Scheduler => "scheduler",
    }
}

/// What the cluster's role needs for Auto Mode, beside the policy that every cluster needs.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/auto-cluster-iam-role.html>
const AUTO_MODE_POLICIES: &[&str] = &[
    "AmazonEKSComputePolicy",
    "AmazonEKSBlockStoragePolicy",
    "AmazonEKSLoadBalancingPolicy",
    "AmazonEKSNetworkingPolicy",
];

/// Adds the role of Auto Mode's nodes, and returns its ARN.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/auto-create-node-role.html>
fn auto_node_role(build: &mut GraphBuilder<'_>, stack: &Stack) -> In<String> {
    let address = Address::from("cluster/auto-node-role");
    let policies = ["AmazonEKSWorkerNodeMinimalPolicy", "AmazonEC2ContainerRegistryPullOnly"];
    role(
        build,
        stack,
        &address,
        iam_role::Spec {
            name: role_name(stack, "auto-nodes"),
            description: format!("Auto Mode nodes of cluster {}", stack.name),
            trust: iam_policies::node_trust(&stack.region),
            managed: policies.iter().map(|name| iam_policies::managed(&stack.region, name)).collect(),
            ..iam_role::Spec::default()
        },
    );
    iam_role::ARN.of(&address)
}

/// Returns Auto Mode as the file sets it, with the role of its nodes if it has built-in pools.
fn auto_mode(build: &mut GraphBuilder<'_>, stack: &Stack) -> Option<eks_cluster::AutoModeSpec<In<String>>> {
    stack.cluster.as_ref()?.auto_mode.as_ref()?;
    let Some(pools) = stack.node_pools() else { return Some(eks_cluster::AutoModeSpec::default()) };
    let node_role = (!pools.is_empty()).then(|| auto_node_role(build, stack));
    let node_pools = pools.into_iter().map(|pool| pool.name().to_owned()).collect();
    Some(eks_cluster::AutoModeSpec { enabled: true, node_pools, node_role })
}

/// Returns the EKS name of a tier.
fn tier_name(tier: ControlPlaneTier) -> &'static str {
    match tier {
        ControlPlaneTier::Standard => "standard",
        ControlPlaneTier::Xl => "tier-xl",
        ControlPlaneTier::Xl2 => "tier-2xl",
        ControlPlaneTier::Xl4 => "tier-4xl",
        ControlPlaneTier::Xl8 => "tier-8xl",
    }
}

/// Returns the EKS name of an egress mode.
fn egress_mode(egress: ControlPlaneEgress) -> &'static str {
    match egress {
        ControlPlaneEgress::AwsManaged => "AWS_MANAGED",
        ControlPlaneEgress::CustomerRouted => "CUSTOMER_ROUTED",
    }
}

/// Adds the log group, the role, the cluster and the OIDC provider.
///
/// # Errors
/// A bug: `myip` without the caller's address in the context.
pub(super) fn cluster(
    build: &mut GraphBuilder<'_>,
    stack: &Stack,
    context: &Context,
) -> Result<(), CallError> {
    let Some(section) = &stack.cluster else { return Ok(()) };
    let (account, region) = (&context.account, &stack.region);

    let logs = Address::from("cluster/log-group");
    let tags = build.tags(&logs);
    let retention_days = section.logging.retention_days;
    let name = log_group(stack).unwrap_or_default();
    build.add(&logs, &log_group::Spec { name, retention_days, key: key_arn(stack), tags });

    let role_address = Address::from("cluster/role");
    let more = if context.auto_mode { AUTO_MODE_POLICIES } else { &[] };
    let policies: Vec<&&str> = ["AmazonEKSClusterPolicy"].iter().chain(more).collect();
    role(
        build,
        stack,
        &role_address,
        iam_role::Spec {
            name: role_name(stack, "cluster"),
            description: format!("EKS, for cluster {}", stack.name),
            trust: iam_policies::cluster_trust(account, region, &stack.name, context.auto_mode),
            managed: policies.iter().map(|name| iam_policies::managed(region, name)).collect(),
            ..iam_role::Spec::default()
        },
    );

    let address = eks();
    let spec = eks_cluster::Spec {
        name: cluster_name(stack),
        version: context.version.clone(),
        role: iam_role::ARN.of(&role_address),
        vpc: network::vpc(stack),
        subnets: network::cluster_subnets(stack, context),
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
        auto_mode: auto_mode(build, stack),
        zonal_shift: section.zonal_shift,
        tier: section.tier.map(|tier| tier_name(tier).to_owned()),
        egress: section.egress.map(|egress| egress_mode(egress).to_owned()),
        force_upgrade: context.force_upgrade,
        version_passed: false,
        tags: build.tags(&address),
    };
    // With its first log event EKS would create the log group itself, without retention and encryption.
    build.add_after(&address, &spec, &[&logs]);

    let address_of_provider = provider();
    let tags = build.tags(&address_of_provider);
    let issuer = eks_cluster::ISSUER.of(&address);
    let clients = vec!["sts.amazonaws.com".to_owned()];
    build.add(&address_of_provider, &oidc_provider::Spec { issuer, clients, tags });
    Ok(())
}

/// Returns the CIDR blocks that may reach the public endpoint of the API server.
fn public_cidrs(stack: &Stack, context: &Context) -> Result<Vec<String>, CallError> {
    let Some(endpoint) = stack.cluster.as_ref().map(|it| &it.endpoint).filter(|it| it.public) else {
        return Ok(Vec::new());
    };
    let own =
        || context.my_ip.clone().ok_or_else(|| CallError::bug("the caller's own address was not asked for"));
    match &endpoint.public_cidrs {
        None => Ok(vec![own()?]),
        Some(list) => {
            list.iter().map(|block| if block == "myip" { own() } else { Ok(block.clone()) }).collect()
        }
    }
}
