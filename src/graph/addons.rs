//! EKS add-ons: the usual ones, and the file's.

use super::{
    Context,
    build::{Build, arn},
    cluster::{cluster_name, eks, fargate_profiles, provider, role, role_name},
    nodes::{group_address, profile_address},
    policy,
};
use crate::{
    model::{Address, Fault, In},
    resources::{addon, iam_role},
    stack::{Stack, cluster::Selector},
};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What every cluster has unless the file says otherwise.
const USUAL: &[&str] = &["vpc-cni", "kube-proxy", "coredns", "eks-pod-identity-agent", "metrics-server"];

/// Without these a node does not become ready, so they come before nodes.
const BEFORE_NODES: &[&str] = &["vpc-cni", "kube-proxy"];

/// Add-ons that run on each node: where there is none, they have nothing to wait for.
const ON_EACH_NODE: &[&str] = &["vpc-cni", "kube-proxy", "eks-pod-identity-agent"];

/// Add-ons that call AWS: their service account in kube-system and the managed policy for it.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/workloads-add-ons-available-eks.html>
const ROLES: &[(&str, &str, &str)] = &[
    ("vpc-cni", "aws-node", "AmazonEKS_CNI_Policy"),
    ("aws-ebs-csi-driver", "ebs-csi-controller-sa", "service-role/AmazonEBSCSIDriverPolicy"),
    ("aws-efs-csi-driver", "efs-csi-controller-sa", "service-role/AmazonEFSCSIDriverPolicy"),
    ("amazon-cloudwatch-observability", "cloudwatch-agent", "CloudWatchAgentServerPolicy"),
];

/// What the file says about an add-on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// The version that it names.
    pub version: Option<String>,
    /// The configuration.
    pub configuration: Map<String, Value>,
    /// Where it stands in the file's list, if it does.
    pub index: Option<usize>,
}

/// An add-on.
pub(super) fn address(name: &str) -> Address {
    Address::new(format!("cluster/addon/{name}"))
}

/// The stack's add-ons by name.
pub fn addons(stack: &Stack) -> BTreeMap<String, Wanted> {
    let Some(cluster) = &stack.cluster else { return BTreeMap::new() };
    let mut wanted: BTreeMap<String, Wanted> =
        USUAL.iter().map(|name| ((*name).to_owned(), Wanted::default())).collect();
    for (index, addon) in cluster.addons.iter().enumerate() {
        if addon.enabled {
            let configuration = addon.configuration.clone().into_iter().collect();
            let entry = Wanted { version: addon.version.clone(), configuration, index: Some(index) };
            wanted.insert(addon.name.clone(), entry);
        } else {
            wanted.remove(&addon.name);
        }
    }
    // Pods on Fargate carry a mark, and CoreDNS gets it by its configuration alone.
    if let Some(dns) = wanted.get_mut("coredns").filter(|_| stack.fargate_only) {
        dns.configuration.entry("computeType").or_insert_with(|| "Fargate".into());
    }
    wanted
}

/// The add-ons that nodes wait for.
pub(super) fn before_nodes(stack: &Stack) -> Vec<Address> {
    let wanted = addons(stack);
    BEFORE_NODES.iter().filter(|name| wanted.contains_key(**name)).map(|name| address(name)).collect()
}

/// Where an add-on's own pods can run: nodes if there are any, else the Fargate profiles of its namespace.
fn places(stack: &Stack) -> Vec<Address> {
    let groups: Vec<Address> = stack.node_groups.iter().map(|group| group_address(&group.name)).collect();
    if !groups.is_empty() {
        return groups;
    }
    let profiles = fargate_profiles(stack);
    let fits = |selectors: &[Selector]| selectors.iter().any(|selector| selector.namespace == "kube-system");
    profiles.iter().filter(|(_, selectors)| fits(selectors)).map(|(name, _)| profile_address(name)).collect()
}

/// Adds the add-ons, each with its role where it needs one.
pub(super) fn add(build: &mut Build<'_>, stack: &Stack, context: &Context) -> Result<(), Fault> {
    let eks = eks();
    let places = places(stack);
    for (name, wanted) in addons(stack) {
        let version = context.addons.get(&name).cloned();
        let version = version.ok_or_else(|| Fault::bug(format!("no version was found for add-on {name}")))?;
        let at = address(&name);
        let tags = build.tags(&at);
        let spec = addon::Spec {
            cluster: cluster_name(stack),
            role: addon_role(build, stack, &name),
            version,
            configuration: Value::Object(wanted.configuration),
            tags,
            name: name.clone(),
        };
        let waits = if ON_EACH_NODE.contains(&name.as_str()) { &[][..] } else { &places[..] };
        let after: Vec<&Address> = waits.iter().chain([&eks]).collect();
        build.add_after(&at, &spec, &after);
    }
    Ok(())
}

fn addon_role(build: &mut Build<'_>, stack: &Stack, addon: &str) -> Option<In<String>> {
    let (_, account, managed) = ROLES.iter().find(|(name, ..)| *name == addon)?;
    let address = Address::new(format!("cluster/addon-role/{addon}"));
    role(
        build,
        &address,
        iam_role::Spec {
            name: role_name(stack, addon),
            description: format!("Add-on {addon} in cluster {}", stack.name),
            trust: policy::web_identity_trust("kube-system", account),
            given: BTreeMap::from([
                ("provider".to_owned(), arn(&provider())),
                ("issuer".to_owned(), In::of(&eks(), "issuerHost")),
            ]),
            managed: vec![policy::managed(&stack.region, managed)],
            ..iam_role::Spec::default()
        },
    );
    Some(arn(&address))
}
