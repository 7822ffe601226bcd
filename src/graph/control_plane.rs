//! The EKS control plane, the log group and role that it depends on, and the OIDC provider for IAM.

use super::{
    addresses::{cluster_name, eks, key_arn, log_group, provider, role_name},
    graph_builder::GraphBuilder,
    graph_context::Context,
    iam_policies, network,
    roles::role,
};
use crate::{
    model::{Address, CallError, Snapshot},
    resources::{eks_cluster, iam_role, log_group, oidc_provider},
    stack::{
        Stack,
        cluster::{LogType, UpgradePolicy},
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
    role(
        build,
        stack,
        &role_address,
        iam_role::Spec {
            name: role_name(stack, "cluster"),
            description: format!("EKS, for cluster {}", stack.name),
            trust: iam_policies::cluster_trust(account, region, &stack.name),
            managed: vec![iam_policies::managed(region, "AmazonEKSClusterPolicy")],
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
