//! What AWS services create in the stack's network and leave behind. It blocks the deletion of the network, and nothing else
//! deletes it, so it is deleted with the resource that it blocks.
//!
//! | what | told by | created by | why it stays |
//! |---|---|---|---|
//! | network interface | description `aws-K8S-...` or `aws-k8s-...`, unattached, tags of the cluster | the VPC CNI on a node, EKS for pods with security groups | the node ended before the CNI deleted it: <https://github.com/aws/amazon-vpc-cni-k8s/issues/1223> |
//! | security group | name, description and tag of `cluster_groups.rs`; its cluster was the stack's, and no longer exists | the AWS Load Balancer Controller, the controller of Classic Load Balancers, EKS | the controller ended before its load balancer did, or EKS found it in use: <https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/deploy/security_groups/>, <https://docs.aws.amazon.com/eks/latest/userguide/delete-cluster.html> |
//! | rule of a group of the stack, or of another such group | names such a group | the same, for example with the description `elbv2.k8s.aws/targetGroupBinding=shared` | as above |
//! | VPC endpoint, security group | tag `GuardDutyManaged=true` | GuardDuty's Runtime Monitoring | GuardDuty does not delete them with the cluster: <https://docs.aws.amazon.com/guardduty/latest/ug/runtime-monitoring-agent-resource-clean-up.html> |
//!
//! An error is not reported: the refused deletion is, with what blocks it.

use super::{
    Call, Clients, Cx, MAX_VALUES, cluster_groups::is_created_for, filter, from_ec2, obstacles::is_of_pods,
};
use crate::model::{CallError, ErrorKind, tag};
use aws_sdk_ec2::{
    operation::{
        describe_network_interfaces::DescribeNetworkInterfacesOutput,
        describe_security_groups::DescribeSecurityGroupsOutput,
        describe_vpc_endpoints::DescribeVpcEndpointsOutput,
    },
    types::{Filter, SecurityGroup, SecurityGroupRule},
};
use std::collections::BTreeSet;

/// The tag of what GuardDuty creates.
pub const GUARDDUTY_TAG: &str = "GuardDutyManaged";

/// Deletes the security groups that GuardDuty left in a VPC that is being deleted.
pub async fn sweep_vpc(cx: &Cx, vpc: &str) {
    let filters = vec![filter("vpc-id", vec![vpc.to_owned()]), guardduty()];
    let found = cx.ec2.describe_security_groups().set_filters(Some(filters)).send().await;
    for group in
        found.iter().flat_map(DescribeSecurityGroupsOutput::security_groups).filter_map(|it| it.group_id())
    {
        let _ = cx.ec2.delete_security_group().group_id(group).send().await;
    }
}

/// Deletes the security groups that the stack's former clusters and controllers in them left in a VPC, with the rules of the
/// stack's groups that name them. `own`: the VPC is the stack's, so its default group is, too.
pub async fn sweep_cluster_groups(cx: &Cx, vpc: &str, own: bool) {
    for cluster in cx.clusters() {
        let _ = sweep_groups_of(cx, cluster, vpc, own).await;
    }
}

async fn sweep_groups_of(cx: &Cx, cluster: &str, vpc: &str, own: bool) -> Result<(), CallError> {
    let call = cx.ec2.describe_security_groups().filters(filter("vpc-id", vec![vpc.to_owned()]));
    let all: Vec<SecurityGroup> =
        call.into_paginator().page_size(1000).items().send().try_collect().await.call()?;
    let ids = |groups: &[&SecurityGroup]| -> Vec<String> {
        groups.iter().filter_map(|group| group.group_id.clone()).collect()
    };
    let (left, others): (Vec<_>, Vec<_>) = all.iter().partition(|group| is_created_for(group, cluster));
    if left.is_empty() || cluster_exists(cx, cluster).await? {
        return Ok(());
    }
    let is_own = |group: &&SecurityGroup| {
        let lineage = from_ec2(Some(group.tags())).remove(tag::LINEAGE);
        lineage.as_ref() == Some(&cx.owner.lineage) || (own && group.group_name() == Some("default"))
    };
    let others: Vec<&SecurityGroup> = others.into_iter().filter(is_own).collect();
    let left = ids(&left);
    revoke_naming(cx, &[left.clone(), ids(&others)].concat(), &left.iter().collect()).await?;
    for group in left {
        // One that a load balancer's interface still uses is deleted at the next attempt.
        let _ = cx.ec2.delete_security_group().group_id(group).send().await;
    }
    Ok(())
}

/// Revokes the rules of `groups` that name one of `named`. A rule that names its own group does not keep it.
async fn revoke_naming(cx: &Cx, groups: &[String], named: &BTreeSet<&String>) -> Result<(), CallError> {
    for part in groups.chunks(MAX_VALUES) {
        let call = cx.ec2.describe_security_group_rules().filters(filter("group-id", part.to_vec()));
        let pages = call.into_paginator().page_size(1000).items().send();
        let rules: Vec<SecurityGroupRule> = pages.try_collect().await.call()?;
        for rule in rules {
            let names = rule.referenced_group_info.as_ref().and_then(|info| info.group_id.as_ref());
            let (Some(group), Some(id)) = (rule.group_id.as_ref(), rule.security_group_rule_id.as_ref())
            else {
                continue;
            };
            if names.is_none_or(|it| it == group || !named.contains(it)) {
                continue;
            }
            if rule.is_egress == Some(true) {
                let call = cx.ec2.revoke_security_group_egress().group_id(group);
                call.security_group_rule_ids(id).send().await.call().map(drop)?;
            } else {
                let call = cx.ec2.revoke_security_group_ingress().group_id(group);
                call.security_group_rule_ids(id).send().await.call().map(drop)?;
            }
        }
    }
    Ok(())
}

/// Returns whether a cluster of this name exists, also one that is being deleted: its groups are not left behind.
pub async fn cluster_exists(clients: &Clients, name: &str) -> Result<bool, CallError> {
    match clients.eks.describe_cluster().name(name).send().await.call() {
        Err(error) if error.class == ErrorKind::Gone => Ok(false),
        answer => answer.map(|_| true),
    }
}

/// Deletes the interfaces that nodes or pods of the stack's cluster left in a subnet or security group (`subnet-id` or
/// `group-id`).
pub async fn sweep_interfaces(cx: &Cx, place: &str, id: &str) {
    let filters = vec![
        filter(place, vec![id.to_owned()]),
        filter("status", vec!["available".to_owned()]),
        filter("description", vec!["aws-K8S-*".to_owned(), "aws-k8s-*".to_owned()]),
    ];
    let found = cx.ec2.describe_network_interfaces().set_filters(Some(filters)).send().await;
    let interfaces = found.iter().flat_map(DescribeNetworkInterfacesOutput::network_interfaces);
    // A stack's cluster has the stack's name.
    let own = interfaces.filter(|it| is_of_pods(&from_ec2(Some(it.tag_set())), &cx.owner.stack));
    for interface in own.filter_map(|it| it.network_interface_id()) {
        let _ = cx.ec2.delete_network_interface().network_interface_id(interface).send().await;
    }
}

/// Deletes the endpoints that GuardDuty created in a VPC that is to be deleted. They monitor all of the VPC, so they stay
/// if any of it does.
pub async fn sweep_endpoints(clients: &Clients, vpc: &str) {
    let filters = vec![filter("vpc-id", vec![vpc.to_owned()]), guardduty()];
    let found = clients.ec2.describe_vpc_endpoints().set_filters(Some(filters)).send().await;
    let endpoints = found.iter().flat_map(DescribeVpcEndpointsOutput::vpc_endpoints);
    let ids: Vec<String> = endpoints.filter_map(|it| it.vpc_endpoint_id.clone()).collect();
    if !ids.is_empty() {
        let _ = clients.ec2.delete_vpc_endpoints().set_vpc_endpoint_ids(Some(ids)).send().await;
    }
}

fn guardduty() -> Filter {
    filter(&format!("tag:{GUARDDUTY_TAG}"), vec!["true".to_owned()])
}
