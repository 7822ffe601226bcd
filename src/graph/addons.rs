//! EKS add-ons: those enabled by default and those of the file, with their IAM roles.

use super::{
    addresses::{
        addon_address, cluster_name, eks, fargate_profiles, group_address, profile_address, provider,
        role_name,
    },
    graph_builder::GraphBuilder,
    graph_context::Context,
    iam_policies,
    roles::role,
};
use crate::{
    model::{Address, CallError, In},
    resources::{addon, eks_cluster, iam_role, oidc_provider},
    stack::{Stack, cluster::Selector},
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Add-ons that every cluster has unless the file disables them.
const ENABLED_BY_DEFAULT: &[&str] =
    &["vpc-cni", "kube-proxy", "coredns", "eks-pod-identity-agent", "metrics-server"];

/// Those of them that a cluster whose nodes are all Auto Mode's has.
const ENABLED_WITH_AUTO_MODE: &[&str] = &["metrics-server"];

/// Tells EKS what is wrong with a node, so that it can repair more than a node that is not ready.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/node-health.html>
const MONITORING_AGENT: &str = "eks-node-monitoring-agent";

/// Add-ons that are installed before nodes, because a node does not become ready without them.
const BEFORE_NODES: &[&str] = &["vpc-cni", "kube-proxy"];

/// Add-ons that run on each node. They become active even if the cluster has no nodes, so they do not wait
/// for them.
const ON_EACH_NODE: &[&str] = &["vpc-cni", "kube-proxy", "eks-pod-identity-agent", MONITORING_AGENT];

/// Add-ons that call AWS: name, service account in `kube-system`, and managed policy of its role.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/workloads-add-ons-available-eks.html>
const ADDON_ROLES: &[(&str, &str, &str)] = &[
    ("vpc-cni", "aws-node", "AmazonEKS_CNI_Policy"),
    ("aws-ebs-csi-driver", "ebs-csi-controller-sa", "service-role/AmazonEBSCSIDriverPolicy"),
    ("aws-efs-csi-driver", "efs-csi-controller-sa", "service-role/AmazonEFSCSIDriverPolicy"),
    ("amazon-cloudwatch-observability", "cloudwatch-agent", "CloudWatchAgentServerPolicy"),
];

/// The settings of an add-on that is to be installed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AddonSettings {
    /// Version that the file sets.
    pub version: Option<String>,
    /// Configuration values, in the form of the add-on's schema.
    pub configuration: Map<String, Value>,
    /// Index in `cluster.addons`, if the file lists the add-on.
    pub index: Option<usize>,
}

/// Returns the add-ons of the stack by name.
pub fn addons(stack: &Stack) -> BTreeMap<String, AddonSettings> {
    let Some(cluster) = &stack.cluster else { return BTreeMap::new() };
    // Auto Mode's own nodes bring what the other add-ons do; on Fargate and in node groups they are still needed.
    // Source: <https://docs.aws.amazon.com/eks/latest/userguide/eks-add-ons.html#addon-consider-auto>
    let bare =
        stack.node_pools().is_some() && stack.node_groups.is_empty() && stack.fargate_profiles.is_empty();
    let defaults = if bare { ENABLED_WITH_AUTO_MODE } else { ENABLED_BY_DEFAULT };
    let mut wanted: BTreeMap<String, AddonSettings> =
        defaults.iter().map(|name| ((*name).to_owned(), AddonSettings::default())).collect();
    if stack.node_groups.iter().any(|group| group.repair) {
        wanted.insert(MONITORING_AGENT.to_owned(), AddonSettings::default());
    }
    for (index, addon) in cluster.addons.iter().enumerate() {
        if addon.enabled {
            let configuration = addon.configuration.clone().into_iter().collect();
            let entry = AddonSettings { version: addon.version.clone(), configuration, index: Some(index) };
            wanted.insert(addon.name.clone(), entry);
        } else {
            wanted.remove(&addon.name);
        }
    }
    if stack.node_groups.iter().any(|group| group.prefix_delegation)
        && let Some(cni) = wanted.get_mut("vpc-cni")
        && let Some(env) = cni.configuration.entry("env").or_insert_with(|| json!({})).as_object_mut()
    {
        env.entry("ENABLE_PREFIX_DELEGATION").or_insert_with(|| "true".into());
    }
    // CoreDNS runs on Fargate only if its configuration says so: EKS then sets the annotation that its pods
    // need.
    if let Some(dns) = wanted.get_mut("coredns").filter(|_| stack.fargate_only) {
        dns.configuration.entry("computeType").or_insert_with(|| "Fargate".into());
    }
    wanted
}

/// Returns the addresses of the add-ons that nodes depend on.
pub(super) fn before_nodes(stack: &Stack) -> Vec<Address> {
    let wanted = addons(stack);
    BEFORE_NODES.iter().filter(|name| wanted.contains_key(**name)).map(|name| addon_address(name)).collect()
}

/// Returns the addresses of what the pods of an add-on can run on: the node groups, or the Fargate profiles
/// of `kube-system` if the stack has no node group.
fn compute(stack: &Stack) -> Vec<Address> {
    let groups: Vec<Address> = stack.node_groups.iter().map(|group| group_address(&group.name)).collect();
    if !groups.is_empty() {
        return groups;
    }
    let profiles = fargate_profiles(stack);
    let fits = |selectors: &[Selector]| selectors.iter().any(|selector| selector.namespace == "kube-system");
    profiles.iter().filter(|(_, selectors)| fits(selectors)).map(|(name, _)| profile_address(name)).collect()
}

/// Adds the add-ons, each with its IAM role if it needs one.
///
/// # Errors
/// A bug: an add-on without a version in the context.
pub(super) fn add(build: &mut GraphBuilder<'_>, stack: &Stack, context: &Context) -> Result<(), CallError> {
    let eks = eks();
    let compute = compute(stack);
    for (name, wanted) in addons(stack) {
        let version = context.addons.get(&name).cloned();
        let version = version.ok_or_else(|| CallError::bug(format!("add-on {name} has no version")))?;
        let at = addon_address(&name);
        let tags = build.tags(&at);
        let spec = addon::Spec {
            cluster: cluster_name(stack),
            role: addon_role(build, stack, &name),
            version,
            version_named: wanted.version.is_some(),
            rolls_back: context.rolls_back,
            configuration: Value::Object(wanted.configuration),
            tags,
            name: name.clone(),
        };
        let waits = if ON_EACH_NODE.contains(&name.as_str()) { &[][..] } else { &compute[..] };
        let after: Vec<&Address> = waits.iter().chain([&eks]).collect();
        build.add_after(&at, &spec, &after);
        // EKS goes back last: it takes the older version only once nothing of the stack is newer.
        if context.rolls_back {
            build.follow(&eks, &at);
        }
    }
    Ok(())
}

/// Adds the IAM role of an add-on that calls AWS, and returns its ARN.
fn addon_role(build: &mut GraphBuilder<'_>, stack: &Stack, addon: &str) -> Option<In<String>> {
    let (_, account, managed) = ADDON_ROLES.iter().find(|(name, ..)| *name == addon)?;
    let address = Address::new(format!("cluster/addon-role/{addon}"));
    role(
        build,
        stack,
        &address,
        iam_role::Spec {
            name: role_name(stack, addon),
            description: format!("Add-on {addon} in cluster {}", stack.name),
            trust: iam_policies::web_identity_trust("kube-system", account),
            given: BTreeMap::from([
                ("provider".to_owned(), oidc_provider::ARN.of(&provider())),
                ("issuer".to_owned(), eks_cluster::ISSUER_HOST.of(&eks())),
            ]),
            managed: vec![iam_policies::managed(&stack.region, managed)],
            ..iam_role::Spec::default()
        },
    );
    Some(iam_role::ARN.of(&address))
}
