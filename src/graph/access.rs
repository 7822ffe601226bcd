//! Access entries: which IAM principals may do what in the cluster.

use super::{
    addresses::{cluster_name, eks},
    graph_builder::GraphBuilder,
    graph_context::Context,
};
use crate::{
    model::{Address, In, partition},
    resources::access_entry::{PolicySpec, Spec},
    stack::{Stack, cluster::AccessPolicy},
};

/// Returns the ARN of an EKS access policy.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html>
fn policy_arn(region: &str, policy: AccessPolicy) -> String {
    let name = match policy {
        AccessPolicy::ClusterAdmin => "AmazonEKSClusterAdminPolicy",
        AccessPolicy::Admin => "AmazonEKSAdminPolicy",
        AccessPolicy::Edit => "AmazonEKSEditPolicy",
        AccessPolicy::View => "AmazonEKSViewPolicy",
    };
    format!("arn:{}:eks::aws:cluster-access-policy/{name}", partition(region))
}

/// Returns the part of an address that names a principal: `role/developers`, after its account ID if that is
/// not `account`.
pub fn principal_slug(arn: &str, account: &str) -> String {
    let mut parts = arn.splitn(6, ':').skip(4);
    let (of, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or(arn));
    if of == account { name.to_owned() } else { format!("{of}/{name}") }
}

/// Returns whether the file has an access entry for the caller.
pub fn caller_has_entry(stack: &Stack, caller: &str) -> bool {
    stack.cluster.iter().flat_map(|cluster| &cluster.access).any(|entry| entry.principal_arn == caller)
}

/// Adds the access entries of the file, and the caller's own.
pub(super) fn access(build: &mut GraphBuilder<'_>, stack: &Stack, context: &Context) {
    let Some(cluster) = &stack.cluster else { return };
    for entry in &cluster.access {
        let slug = principal_slug(&entry.principal_arn, &context.account);
        let policies = entry.policy.map(|policy| PolicySpec {
            arn: policy_arn(&stack.region, policy),
            namespaces: entry.namespaces.clone(),
        });
        let address = Address::new(format!("cluster/access/{slug}"));
        add(build, stack, &address, &entry.principal_arn, entry.groups.clone(), policies);
    }
    let caller = context.caller.as_ref().filter(|_| cluster.admin_caller);
    if let Some(caller) = caller.filter(|caller| !caller_has_entry(stack, caller)) {
        let arn = policy_arn(&stack.region, AccessPolicy::ClusterAdmin);
        let policy = Some(PolicySpec { arn, namespaces: Vec::new() });
        add(build, stack, &Address::from("cluster/access/caller"), caller, Vec::new(), policy);
    }
}

fn add(
    build: &mut GraphBuilder<'_>,
    stack: &Stack,
    address: &Address,
    principal: &str,
    groups: Vec<String>,
    policy: Option<PolicySpec>,
) {
    let spec = Spec {
        cluster: cluster_name(stack),
        principal: In::Known(principal.to_owned()),
        groups,
        policies: policy.into_iter().collect(),
        tags: build.tags(address),
    };
    build.add_after(address, &spec, &[&eks()]);
}
