//! Network interfaces in the stack's VPC or security groups. Each blocks its subnet and its security groups.

use super::{
    super::{Call, Clients, MAX_VALUES, Tags, filter, from_ec2},
    balancers::{self, Balancers, Whose},
    holdings::Holdings,
    obstacle::{Obstacle, created_by},
};
use crate::model::CallError;
use aws_sdk_ec2::types;
use std::collections::{BTreeMap, BTreeSet};

/// A network interface, reduced to what tells its owner.
#[derive(Clone, Debug, Default)]
struct Interface {
    id: String,
    description: String,
    requester: Option<String>,
    instance: Option<String>,
    attached: bool,
    subnet: Option<String>,
    groups: Vec<String>,
    public: bool,
    tags: Tags,
}

/// The interfaces, and the tags of the instances that they are attached to, by id.
#[derive(Debug, Default)]
pub(super) struct Interfaces {
    all: Vec<Interface>,
    instances: BTreeMap<String, Instance>,
}

/// An instance that an interface is attached to.
#[derive(Clone, Debug, Default)]
struct Instance {
    tags: Tags,
    /// Whether it is terminated, or about to be.
    ends: bool,
}

/// Lists the interfaces in the VPC that is to be deleted, or in the security groups.
pub(super) async fn list(clients: &Clients, holdings: &Holdings) -> Result<Interfaces, CallError> {
    let by = match (&holdings.vpc, holdings.groups.is_empty()) {
        (Some(vpc), _) => filter("vpc-id", vec![vpc.clone()]),
        (None, false) => filter("group-id", holdings.groups.iter().cloned().collect()),
        (None, true) => return Ok(Interfaces::default()),
    };
    matching(clients, by).await
}

/// Lists the interfaces that a filter matches.
pub(super) async fn matching(clients: &Clients, by: types::Filter) -> Result<Interfaces, CallError> {
    let pages = clients.ec2.describe_network_interfaces().filters(by).into_paginator().page_size(1000);
    let all: Vec<types::NetworkInterface> = pages.items().send().try_collect().await.call()?;
    let all: Vec<Interface> = all.into_iter().map(reduced).collect();
    let attached = all.iter().filter_map(|it| it.instance.clone()).collect();
    Ok(Interfaces { instances: instances(clients, attached).await?, all })
}

impl Interfaces {
    /// Returns what each belongs to. What is the stack's, or of a service that works for it, ends without anyone's doing.
    /// Without `balancers`, so does each load balancer.
    pub(super) fn obstacles(&self, holdings: &Holdings, balancers: Option<&Balancers>) -> Vec<Obstacle> {
        let found = self.all.iter().filter_map(|it| obstacle(it, &self.instances, holdings, balancers));
        found.collect()
    }

    /// Returns those with a public address.
    pub(super) fn public(self) -> Self {
        Interfaces { all: self.all.into_iter().filter(|it| it.public).collect(), ..self }
    }
}

fn reduced(interface: types::NetworkInterface) -> Interface {
    let attachment = interface.attachment.as_ref();
    Interface {
        id: interface.network_interface_id.clone().unwrap_or_default(),
        description: interface.description.clone().unwrap_or_default(),
        requester: interface.requester_id.clone(),
        instance: attachment.and_then(|attachment| attachment.instance_id.clone()),
        attached: attachment.is_some(),
        subnet: interface.subnet_id.clone(),
        groups: interface.groups().iter().filter_map(|group| group.group_id.clone()).collect(),
        public: interface.association.as_ref().is_some_and(|it| it.public_ip.is_some()),
        tags: from_ec2(Some(interface.tag_set())),
    }
}

/// Returns these instances, by id.
async fn instances(
    clients: &Clients,
    ids: BTreeSet<String>,
) -> Result<BTreeMap<String, Instance>, CallError> {
    let ids: Vec<String> = ids.into_iter().collect();
    let mut found = BTreeMap::new();
    for part in ids.chunks(MAX_VALUES) {
        let pages = clients.ec2.describe_instances().filters(filter("instance-id", part.to_vec()));
        let part: Vec<types::Reservation> =
            pages.into_paginator().items().send().try_collect().await.call()?;
        let all = part.iter().flat_map(types::Reservation::instances);
        found.extend(all.filter_map(|it| {
            use types::InstanceStateName::{ShuttingDown, Terminated};
            let state = it.state().and_then(types::InstanceState::name);
            let ends = matches!(state, Some(ShuttingDown | Terminated));
            Some((it.instance_id.clone()?, Instance { tags: from_ec2(Some(it.tags())), ends }))
        }));
    }
    Ok(found)
}

fn obstacle(
    interface: &Interface,
    instances: &BTreeMap<String, Instance>,
    holdings: &Holdings,
    balancers: Option<&Balancers>,
) -> Option<Obstacle> {
    let text = interface.description.as_str();
    // Services put the id of what the interface belongs to last in the description, in brackets or not.
    let owner = text.trim_end_matches(')').rsplit([' ', '(']).next().unwrap_or_default();
    let of_cluster = text
        .strip_prefix("Amazon EKS ")
        .is_some_and(|name| holdings.clusters.contains(name) || holdings.former_cluster == name);
    let instance = interface.instance.as_ref();
    // The interface of one that ended meanwhile ends with it.
    let machine = instance.map(|id| instances.get(id));
    // `ELB net/NAME/ID`, `ELB app/NAME/ID` or `ELB NAME`.
    let balancer = text.strip_prefix("ELB ").map(|path| path.split('/').nth(1).unwrap_or(path));
    // Attached by EKS to what is in no account of the caller.
    let of_fargate = instance.is_none()
        && interface.attached
        && known(text).is_none()
        && interface.groups.iter().any(|group| holdings.cluster_groups.contains(group));
    let whose =
        balancer.map(|name| balancers.map_or(Whose::Ending, |balancers| balancers.whose(name, holdings)));
    let ends = holdings.has(&interface.id)
        || holdings.has(owner)
        || of_cluster
        || of_fargate
        || holdings.is_of_cluster(&interface.tags)
        || holdings.is_of_pods(&interface.tags)
        || machine.is_some_and(|it| it.is_none_or(|it| it.ends || holdings.is_node(&it.tags)))
        || whose == Some(Whose::Ending);
    // Endpoints and attachments of others have a look of their own.
    let reported = holdings.vpc.is_some()
        && ["VPC Endpoint Interface", "Network Interface for Transit Gateway Attachment"]
            .iter()
            .any(|start| text.starts_with(start));
    if reported {
        return None;
    }
    let mut blocks: BTreeSet<String> = interface.subnet.iter().chain(&interface.groups).cloned().collect();
    blocks.extend(holdings.vpc.clone());
    blocks.retain(|id| holdings.has(id));
    let place = interface.subnet.as_deref().map(|subnet| format!(", in {subnet}")).unwrap_or_default();
    let public = if interface.public { ", with a public address" } else { "" };
    if let Some(id) = instance {
        let hint =
            format!("terminate it, for example with `aws ec2 terminate-instances --instance-ids {id}`");
        return Some(Obstacle {
            kind: "instance",
            id: id.clone(),
            name: machine.flatten().and_then(|it| it.tags.get("Name")).cloned(),
            detail: format!(
                "network interface {}{place}{public}{}",
                interface.id,
                machine.flatten().map(|it| created_by(&it.tags)).unwrap_or_default()
            ),
            blocks,
            ends,
            hint,
        });
    }
    if let Some(Whose::Team(balancer)) = whose {
        let mut found = balancers::obstacle(balancer, holdings);
        found.blocks.extend(blocks);
        return Some(found);
    }
    if let Some(name) = balancer {
        return Some(Obstacle {
            kind: "load balancer",
            id: name.to_owned(),
            name: None,
            detail: format!("network interface {}{place}{public}", interface.id),
            blocks,
            ends,
            hint: balancers::by_hand(name),
        });
    }
    let (what, hint) = service(text, interface.attached);
    let requester = interface.requester.as_ref().map(|by| format!(", created by {by}"));
    let by = requester.unwrap_or_else(|| created_by(&interface.tags));
    Some(Obstacle {
        kind: "network interface",
        id: interface.id.clone(),
        name: interface.tags.get("Name").cloned(),
        detail: format!("{what}{place}{by}{public}"),
        blocks,
        ends,
        hint: hint.replace("{id}", &interface.id).replace("{owner}", owner),
    })
}

/// How the descriptions of services begin, and what to do about their interfaces.
/// Source: <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/requester-managed-eni.html>
const KNOWN: &[(&str, &str)] = &[
    (
        "EFS mount target",
        "delete the mount target: `aws efs describe-mount-targets` lists them, `aws efs delete-mount-target` deletes one",
    ),
    (
        "AWS Lambda VPC ENI",
        "delete the function, or remove its VPC configuration; Lambda deletes the interface up to 20 minutes later",
    ),
    ("RDSNetworkInterface", "delete the database"),
    ("ElastiCache", "delete the cache cluster"),
    ("Interface for NAT Gateway", "delete the NAT gateway {owner}"),
    ("Amazon EKS", "delete the EKS cluster {owner}"),
    ("Network Interface for Transit Gateway Attachment", "delete the transit gateway attachment {owner}"),
    ("AWS created network interface for directory", "delete the directory"),
    ("VPC Endpoint Interface", "delete the VPC endpoint {owner}"),
];

/// Returns what to do about the interface of a service, by its description.
fn known(description: &str) -> Option<&'static str> {
    KNOWN.iter().find(|(start, _)| description.starts_with(start)).map(|(_, hint)| *hint)
}

/// Returns what an interface belongs to, by its description, and what to do about it.
fn service(description: &str, attached: bool) -> (String, &'static str) {
    let what = if description.is_empty() { "no description" } else { description };
    let hint = known(description).unwrap_or(match attached {
        true => "delete what it is attached to",
        false => {
            "delete it, if nothing needs it: `aws ec2 delete-network-interface --network-interface-id {id}`"
        }
    });
    (what.to_owned(), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holdings() -> Holdings {
        let ids = ["vpc-1", "subnet-1", "sg-1", "nat-1", "vpce-1"];
        Holdings {
            vpc: Some("vpc-1".to_owned()),
            ids: ids.iter().map(ToString::to_string).collect(),
            clusters: ["shop".to_owned()].into(),
            cluster_groups: ["sg-cluster".to_owned()].into(),
            former_cluster: "former".to_owned(),
            ..Holdings::default()
        }
    }

    fn interface(description: &str, instance: Option<&str>, tags: &[(&str, &str)]) -> Interface {
        Interface {
            id: "eni-1".to_owned(),
            description: description.to_owned(),
            instance: instance.map(str::to_owned),
            attached: instance.is_some(),
            subnet: Some("subnet-1".to_owned()),
            groups: vec!["sg-1".to_owned(), "sg-other".to_owned()],
            tags: tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            ..Interface::default()
        }
    }

    fn attached(description: &str) -> Interface {
        Interface { attached: true, ..interface(description, None, &[]) }
    }

    #[test]
    fn interfaces_of_what_the_stack_deletes_are_no_obstacles() {
        let tags = Tags::from([
            ("eks:cluster-name".to_owned(), "shop".to_owned()),
            ("eks:nodegroup-name".to_owned(), "main".to_owned()),
        ]);
        let auto = Tags::from([("aws:eks:cluster-name".to_owned(), "shop".to_owned())]);
        let instances = BTreeMap::from([
            ("i-node".to_owned(), Instance { tags, ends: false }),
            ("i-ends".to_owned(), Instance { ends: true, ..Instance::default() }),
            ("i-auto".to_owned(), Instance { tags: auto, ends: false }),
        ]);
        for own in [
            interface("Interface for NAT Gateway nat-1", None, &[]),
            interface("VPC Endpoint Interface vpce-1", None, &[]),
            interface("Amazon EKS shop", None, &[]),
            interface("", Some("i-node"), &[]),
            interface("", Some("i-auto"), &[]),
            interface("aws-K8S-i-0123", None, &[("cluster.k8s.amazonaws.com/name", "shop")]),
            interface("ELB net/k8s-web/0a1b", None, &[]),
            // A pod on Fargate.
            Interface { groups: vec!["sg-cluster".to_owned()], ..attached("") },
            // Pods with security groups.
            interface("aws-k8s-branch-eni", None, &[("kubernetes.io/cluster/shop", "owned")]),
            // Of a node that ended, and of another owner's instance that is about to.
            interface("", Some("i-ended"), &[]),
            interface("", Some("i-ends"), &[]),
            interface("Amazon EKS former", None, &[]),
        ] {
            let found = obstacle(&own, &instances, &holdings(), Some(&Balancers::default()));
            assert!(found.is_none_or(|found| found.ends), "{own:?}");
        }
    }

    #[test]
    fn interfaces_of_others_are_named_with_what_they_block() {
        let bastion = Tags::from([("Name".to_owned(), "bastion".to_owned())]);
        let instances = BTreeMap::from([("i-1".to_owned(), Instance { tags: bastion, ends: false })]);
        let none = Balancers::default();
        let named =
            |interface: Interface| obstacle(&interface, &instances, &holdings(), Some(&none)).unwrap();
        let instance = named(interface("", Some("i-1"), &[]));
        assert_eq!(instance.to_string(), "instance i-1 \"bastion\" (network interface eni-1, in subnet-1)");
        let blocks: Vec<&str> = instance.blocks.iter().map(String::as_str).collect();
        assert_eq!(blocks, ["sg-1", "subnet-1", "vpc-1"]);
        for (description, hint) in [
            ("EFS mount target for fs-1 (fsmt-1)", "mount target"),
            ("AWS Lambda VPC ENI-report-8", "function"),
            ("Interface for NAT Gateway nat-2", "NAT gateway nat-2"),
            ("Amazon EKS other", "EKS cluster other"),
            ("ELB app/by-hand/0a1b", "describe-load-balancers --names by-hand"),
            ("", "delete-network-interface --network-interface-id eni-1"),
        ] {
            let found = named(interface(description, None, &[]));
            assert!(found.hint.contains(hint), "{description}: {}", found.hint);
        }
        // Another service's, and a subnet's interface that a cluster may only use.
        assert_eq!(named(attached("Amazon Redshift")).kind, "network interface");
        named(interface("aws-K8S-i-0123", None, &[("kubernetes.io/cluster/shop", "shared")]));
        // Nodes that Karpenter started, which are not deleted with the cluster.
        let karpenter = Tags::from([("eks:eks-cluster-name".to_owned(), "shop".to_owned())]);
        let started = BTreeMap::from([("i-1".to_owned(), Instance { tags: karpenter, ends: false })]);
        let found = obstacle(&interface("", Some("i-1"), &[]), &started, &holdings(), Some(&none)).unwrap();
        assert!(!found.ends, "{found}");
        // A node of another cluster.
        let other = Tags::from([("eks:cluster-name".to_owned(), "other".to_owned())]);
        let instances = BTreeMap::from([("i-1".to_owned(), Instance { tags: other, ends: false })]);
        let found = obstacle(&interface("", Some("i-1"), &[]), &instances, &holdings(), Some(&none)).unwrap();
        assert!(!found.ends && found.detail.ends_with("created by EKS cluster other"), "{found}");
    }
}
