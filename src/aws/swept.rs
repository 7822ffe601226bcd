//! What AWS services create in the stack's network and leave behind. It blocks the deletion of the network, and nothing else
//! deletes it, so it is deleted with the resource that it blocks.
//!
//! | what | told by | created by | why it stays |
//! |---|---|---|---|
//! | network interface | description `aws-K8S-...` or `aws-k8s-...`, unattached, tags of the cluster | the VPC CNI on a node, EKS for pods with security groups | the node ended before the CNI deleted it: <https://github.com/aws/amazon-vpc-cni-k8s/issues/1223> |
//! | VPC endpoint, security group | tag `GuardDutyManaged=true` | GuardDuty's Runtime Monitoring | GuardDuty does not delete them with the cluster: <https://docs.aws.amazon.com/guardduty/latest/ug/runtime-monitoring-agent-resource-clean-up.html> |
//!
//! An error is not reported: the refused deletion is, with what blocks it.

use super::{Clients, Cx, filter, from_ec2, obstacles::is_of_pods};
use aws_sdk_ec2::{
    operation::{
        describe_network_interfaces::DescribeNetworkInterfacesOutput,
        describe_security_groups::DescribeSecurityGroupsOutput,
        describe_vpc_endpoints::DescribeVpcEndpointsOutput,
    },
    types::Filter,
};

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
