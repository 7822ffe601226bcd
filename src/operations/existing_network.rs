//! Whether an existing network can carry the cluster: what AWS would report after up to an hour, or not at all, is refused
//! before anything is created.

use super::{OperationError, Workspace};
use crate::{
    aws::{NetworkFacts, Tags, WayOut, network_facts, subnet_tags_of},
    graph::{needed_endpoints, role_tag, subnet_tags_address},
    model::{Action, Desired as _, Plan},
    resources::{eks_cluster, fargate_profile, node_group, role_tags},
    stack::{Existing, Stack},
};
use std::collections::{BTreeMap, BTreeSet};

/// Least number of free addresses of a subnet in which EKS creates a cluster's interfaces.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html>
const MIN_FREE_ADDRESSES: i32 = 6;

/// A fault of the network: the field of the file, what is wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fault {
    path: String,
    message: String,
    hint: String,
}

/// What a plan creates in the network.
#[derive(Clone, Copy, Debug, Default)]
struct Created {
    cluster: bool,
    nodes: bool,
    fargate: bool,
}

impl Created {
    fn by(plan: &Plan) -> Self {
        let creates = |kind: &str| {
            let new = |action| matches!(action, Action::Create | Action::Replace);
            plan.changes.iter().any(|change| change.kind == kind && new(change.action))
        };
        Created {
            cluster: creates(eks_cluster::Spec::KIND),
            nodes: creates(node_group::Spec::KIND),
            fargate: creates(fargate_profile::Spec::KIND),
        }
    }
}

/// Refuses a plan that creates a cluster, nodes or Fargate profiles in an existing network that does not fit, and one that
/// would set a role tag to which the owner gave another value.
///
/// # Errors
/// The first fault, with its place in the file; else the error of the calls.
pub async fn check_network(workspace: &Workspace, plan: &Plan) -> Result<(), OperationError> {
    let stack = &workspace.stack;
    let Some(existing) = stack.network.as_ref().and_then(|network| network.existing.as_ref()) else {
        return Ok(());
    };
    let clients = &workspace.target.clients;
    let subnets = [&existing.private_subnet_ids[..], &existing.public_subnet_ids].concat();
    let is_new = |subnet: &String| {
        let address = subnet_tags_address(subnet);
        plan.changes.iter().any(|change| change.address == address && change.action == Action::Create)
    };
    let new: Vec<String> = subnets.iter().filter(|subnet| is_new(subnet)).cloned().collect();
    if !new.is_empty() {
        let tags = workspace.patient(async || Ok(subnet_tags_of(clients, &new).await?)).await?;
        if let Some(fault) = role_tag_faults(existing, &tags).into_iter().next() {
            return Err(stack.diagnostic(&fault.path, fault.message, Some(fault.hint)).into());
        }
    }
    let created = Created::by(plan);
    if !(created.cluster || created.nodes || created.fargate) {
        return Ok(());
    }
    let facts =
        workspace.patient(async || Ok(network_facts(clients, &existing.vpc_id, &subnets).await?)).await?;
    match faults(stack, existing, &facts, created).into_iter().next() {
        Some(fault) => Err(stack.diagnostic(&fault.path, fault.message, Some(fault.hint)).into()),
        None => Ok(()),
    }
}

/// Returns the role tags that the stack needs and that have a value which controllers do not accept.
fn role_tag_faults(existing: &Existing, tags: &BTreeMap<String, Tags>) -> Vec<Fault> {
    let private = existing.private_subnet_ids.iter().enumerate().map(|it| ("privateSubnetIds", it, false));
    let public = existing.public_subnet_ids.iter().enumerate().map(|it| ("publicSubnetIds", it, true));
    let faults = private.chain(public).filter_map(|(list, (index, subnet), public)| {
        let (key, _) = role_tag(public);
        let value = tags.get(subnet)?.get(&key).filter(|value| !role_tags::is_accepted(value))?;
        let (message, command) = role_tags::unusable(subnet, &key, value);
        let hint = format!("if nothing else depends on the value, run `{command}`");
        Some(Fault { path: format!("network.existing.{list}[{index}]"), message, hint })
    });
    faults.collect()
}

fn faults(stack: &Stack, existing: &Existing, facts: &NetworkFacts, created: Created) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut fault = |path: String, message: String, hint: String| faults.push(Fault { path, message, hint });
    let vpc = &existing.vpc_id;
    let lists = [
        ("privateSubnetIds", &existing.private_subnet_ids),
        ("publicSubnetIds", &existing.public_subnet_ids),
    ];
    for (list, ids) in lists {
        for (index, id) in ids.iter().enumerate() {
            let path = format!("network.existing.{list}[{index}]");
            let Some(subnet) = facts.subnets.iter().find(|subnet| subnet.id == *id) else {
                fault(
                    path,
                    format!("subnet {id} not found in {vpc}"),
                    format!(
                        "list the subnets with `aws ec2 describe-subnets --filters Name=vpc-id,Values={vpc}`"
                    ),
                );
                continue;
            };
            let public = subnet.way_out == WayOut::InternetGateway;
            if list == "publicSubnetIds" {
                if !public {
                    fault(
                        path,
                        format!(
                            "subnet {id} is not public: its route table has no default route to an internet gateway"
                        ),
                        "move it to `privateSubnetIds`, or add the route".to_owned(),
                    );
                }
                continue;
            }
            // Pods on Fargate get no public address, and nodes only if the subnet gives them one.
            if public && (created.fargate || !subnet.gives_public_addresses) {
                fault(
                    path.clone(),
                    format!("subnet {id} is public: its route table sends 0.0.0.0/0 to an internet gateway"),
                    "move it to `publicSubnetIds`, and list private subnets here".to_owned(),
                );
            }
            if created.cluster && subnet.free_addresses < MIN_FREE_ADDRESSES {
                fault(
                    path.clone(),
                    format!(
                        "subnet {id} has {} free {} (at least {MIN_FREE_ADDRESSES} needed)",
                        subnet.free_addresses,
                        if subnet.free_addresses == 1 { "address" } else { "addresses" }
                    ),
                    "free addresses in it, or list another subnet".to_owned(),
                );
            }
            let missing: Vec<&str> =
                needed_endpoints(stack).into_iter().filter(|name| !facts.endpoints.contains(*name)).collect();
            if subnet.way_out == WayOut::None && !missing.is_empty() {
                let message = format!(
                    "nodes in subnet {id} would reach neither the internet nor AWS: it has no default route, and {vpc} has no endpoints for {}",
                    missing.join(", ")
                );
                fault(path, message, "add a route to a NAT gateway, or create the endpoints".to_owned());
            }
        }
    }
    let private = facts.subnets.iter().filter(|subnet| existing.private_subnet_ids.contains(&subnet.id));
    let zones: BTreeSet<&str> = private.map(|subnet| subnet.zone.as_str()).collect();
    if created.cluster && zones.len() == 1 {
        let zone = zones.first().copied().unwrap_or_default();
        let message = format!("a cluster needs private subnets in at least 2 zones (all are in {zone})");
        fault(
            "network.existing.privateSubnetIds".to_owned(),
            message,
            "list a subnet of another zone".to_owned(),
        );
    }
    for (on, name, flag) in [
        (facts.dns_support, "enableDnsSupport", "--enable-dns-support"),
        (facts.dns_hostnames, "enableDnsHostnames", "--enable-dns-hostnames"),
    ] {
        if !on {
            let message = format!("`{name}` is off in {vpc}, so that nodes cannot join a cluster");
            let hint = format!("turn it on: `aws ec2 modify-vpc-attribute --vpc-id {vpc} {flag} Value=true`");
            fault("network.existing.vpcId".to_owned(), message, hint);
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::SubnetFacts;

    fn subnet(id: &str, zone: &str, way_out: WayOut) -> SubnetFacts {
        SubnetFacts {
            id: id.to_owned(),
            zone: zone.to_owned(),
            free_addresses: 100,
            gives_public_addresses: false,
            way_out,
        }
    }

    fn network() -> NetworkFacts {
        NetworkFacts {
            subnets: vec![
                subnet("subnet-0000000a", "a", WayOut::Other),
                subnet("subnet-0000000b", "b", WayOut::Other),
                subnet("subnet-0000000c", "a", WayOut::InternetGateway),
            ],
            dns_support: true,
            dns_hostnames: true,
            endpoints: BTreeSet::new(),
        }
    }

    /// Path and message of each fault of a network, for a cluster with nodes and pods on Fargate.
    fn found(facts: &NetworkFacts) -> Vec<(String, String)> {
        let text = "name: shop\nregion: eu-central-1\ncluster: {}\nnetwork: {existing: {vpcId: vpc-00000001, \
            privateSubnetIds: [subnet-0000000a, subnet-0000000b], publicSubnetIds: [subnet-0000000c]}}\n";
        let stack = crate::stack::load("stack.yaml", text.as_bytes(), &|_| None).unwrap();
        let existing = stack.network.as_ref().unwrap().existing.as_ref().unwrap();
        let created = Created { cluster: true, nodes: true, fargate: true };
        faults(&stack, existing, facts, created).into_iter().map(|it| (it.path, it.message)).collect()
    }

    #[test]
    fn a_network_that_fits_has_no_faults() {
        assert_eq!(found(&network()), []);
    }

    #[test]
    fn each_fault_is_named_with_its_place() {
        let one = |change: &dyn Fn(&mut NetworkFacts)| {
            let mut facts = network();
            change(&mut facts);
            found(&facts)
        };
        let cases: [(&dyn Fn(&mut NetworkFacts), &str, &str); 8] = [
            (
                &|it| it.subnets[0].way_out = WayOut::InternetGateway,
                "network.existing.privateSubnetIds[0]",
                "subnet-0000000a is public",
            ),
            (
                &|it| it.subnets[2].way_out = WayOut::Other,
                "network.existing.publicSubnetIds[0]",
                "subnet-0000000c is not public",
            ),
            (
                &|it| it.subnets[1].free_addresses = 2,
                "network.existing.privateSubnetIds[1]",
                "has 2 free addresses",
            ),
            (
                &|it| it.subnets[1].way_out = WayOut::None,
                "network.existing.privateSubnetIds[1]",
                "neither the internet nor AWS",
            ),
            (
                &|it| it.subnets[1].zone = "a".to_owned(),
                "network.existing.privateSubnetIds",
                "at least 2 zones (all are in a)",
            ),
            (&|it| it.dns_support = false, "network.existing.vpcId", "`enableDnsSupport` is off"),
            (&|it| it.dns_hostnames = false, "network.existing.vpcId", "`enableDnsHostnames` is off"),
            (
                &|it| drop(it.subnets.remove(0)),
                "network.existing.privateSubnetIds[0]",
                "subnet-0000000a not found in vpc-00000001",
            ),
        ];
        for (change, path, text) in cases {
            let faults = one(change);
            assert!(
                faults.iter().any(|(at, message)| at == path && message.contains(text)),
                "{text}: {faults:?}"
            );
        }
    }

    #[test]
    fn endpoints_stand_in_for_a_way_out() {
        let mut facts = network();
        facts.subnets[0].way_out = WayOut::None;
        let text = "name: shop\nregion: eu-central-1\ncluster: {}\n";
        let stack = crate::stack::load("stack.yaml", text.as_bytes(), &|_| None).unwrap();
        facts.endpoints = needed_endpoints(&stack).into_iter().map(str::to_owned).collect();
        assert_eq!(found(&facts), []);
    }
}
