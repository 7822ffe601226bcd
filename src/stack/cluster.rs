//! The fields of the sections `cluster`, `nodeGroups` and `fargateProfiles`.

pub use super::cluster_settings::{
    AutoMode, AutoModePools, ControlPlaneEgress, ControlPlaneTier, NodePool, UpgradePolicy,
};
use super::values::{Cidr, Share, one_year};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

fn default_true() -> bool {
    true
}

/// The EKS cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cluster {
    /// The Kubernetes minor version, in quotes, such as `"1.35"`. Default: the newest version in
    /// standard support for which EKS has all add-ons, recorded when the cluster is created.
    pub version: Option<String>,
    /// The network access to the API server.
    #[serde(default)]
    pub endpoint: Endpoint,
    /// The IPv4 CIDR block for Kubernetes service addresses. Default: EKS chooses one.
    pub service_cidr: Option<Cidr>,
    /// The control plane logs that are sent to CloudWatch.
    #[serde(default)]
    pub logging: Logging,
    /// The access entries: which IAM principals may do what in the cluster.
    #[serde(default)]
    pub access: Vec<Access>,
    /// Whether the IAM principal that runs `up` gets its own access entry as cluster admin. Default: true.
    #[serde(default = "default_true")]
    pub admin_caller: bool,
    /// EKS add-ons to add, configure or disable. Enabled by default: `vpc-cni`, `kube-proxy`, `coredns`,
    /// `eks-pod-identity-agent` and `metrics-server`; `eks-node-monitoring-agent` if a node group has `repair`; in
    /// Auto Mode without node groups and Fargate profiles only `metrics-server`.
    #[serde(default)]
    pub addons: Vec<Addon>,
    /// Whether EKS refuses to delete the cluster. `down` disables it as a step of its plan. Default: true.
    #[serde(default = "default_true")]
    pub deletion_protection: bool,
    /// What EKS does when standard support for the Kubernetes version ends. Default: `standard`.
    #[serde(default)]
    pub upgrade_policy: UpgradePolicy,
    /// Whether AWS may move the cluster's traffic away from a zone that is impaired. Default: false in a new
    /// cluster; an existing one is left as it is.
    pub zonal_shift: Option<bool>,
    /// The capacity of the control plane. Tiers above `standard` cost more per hour. Default: `standard` in a
    /// new cluster; an existing one is left as it is.
    pub tier: Option<ControlPlaneTier>,
    /// How the control plane reaches the internet: `aws-managed`, or `customer-routed` through the VPC. EKS does
    /// not take `customer-routed` back. Default: `aws-managed` in a new cluster; an existing one is left as it
    /// is.
    pub egress: Option<ControlPlaneEgress>,
    /// EKS Auto Mode: `true`, or the built-in node pools to enable. EKS then runs the nodes, their network and their
    /// disks, and a file that names no `nodeGroups` creates none. Default: false in a new cluster; an existing
    /// one is left as it is.
    pub auto_mode: Option<AutoMode>,
}

/// The network access to the API server. Access from inside the VPC is always enabled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Endpoint {
    /// Whether the API server can be reached from outside the VPC. Default: true.
    #[serde(default = "default_true")]
    pub public: bool,
    /// The CIDR blocks that may reach the public endpoint. `myip` is the public IP address that `up` runs
    /// from. Default: `[myip]`.
    pub public_cidrs: Option<Vec<String>>,
    /// Whether `publicCidrs` may cover the whole internet, such as `0.0.0.0/0`. Default: false.
    #[serde(default)]
    #[schemars(extend("x-plan-neutral" = true))]
    pub allow_world: bool,
}

impl Default for Endpoint {
    fn default() -> Self {
        Endpoint { public: true, public_cidrs: None, allow_world: false }
    }
}

/// A type of control plane log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum LogType {
    /// Log of the API server.
    Api,
    /// Audit log: each request to the API server and who sent it.
    Audit,
    /// Log of the IAM authenticator, which maps IAM principals to Kubernetes users.
    Authenticator,
    /// Log of the controller manager.
    ControllerManager,
    /// Log of the scheduler.
    Scheduler,
}

/// The control plane logs that are sent to CloudWatch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Logging {
    /// The log types to enable. Default: all five.
    #[serde(default = "all_logs")]
    pub types: Vec<LogType>,
    /// How long CloudWatch keeps log events, in days; one of the values that CloudWatch supports. Default:
    /// 365.
    #[serde(default = "one_year")]
    pub retention_days: i32,
}

fn all_logs() -> Vec<LogType> {
    vec![LogType::Api, LogType::Audit, LogType::Authenticator, LogType::ControllerManager, LogType::Scheduler]
}

impl Default for Logging {
    fn default() -> Self {
        Logging { types: all_logs(), retention_days: one_year() }
    }
}

/// The EKS access policy that is associated with a principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AccessPolicy {
    /// Full control of the whole cluster.
    ClusterAdmin,
    /// Full control of most resources in the namespaces.
    Admin,
    /// Read and change most resources in the namespaces, except roles and role bindings.
    Edit,
    /// Read most resources in the namespaces, except secrets.
    View,
}

/// An access entry, which gives an IAM principal access to the cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Access {
    /// The ARN of the IAM role or user.
    pub principal_arn: String,
    /// The access policy of the principal. Default: none, so `groups` is required.
    pub policy: Option<AccessPolicy>,
    /// The namespaces that the policy is restricted to. Default: the whole cluster.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// The Kubernetes groups that the principal belongs to. Default: none.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// An EKS add-on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Addon {
    /// The name of the add-on, such as `aws-ebs-csi-driver`.
    pub name: String,
    /// The version of the add-on. Default: EKS's default for the Kubernetes version, pinned in the state.
    pub version: Option<String>,
    /// Configuration values, validated against the schema of the add-on version. Default: none.
    #[serde(default)]
    pub configuration: BTreeMap<String, serde_json::Value>,
    /// Whether the add-on is installed. Default: true.
    #[serde(default = "default_true")]
    pub enabled: bool,
}

/// The CPU architecture of nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Arch {
    /// Intel and AMD instances.
    #[default]
    #[serde(rename = "x86_64")]
    X86,
    /// AWS Graviton instances.
    #[serde(rename = "arm64")]
    Arm,
}

/// The capacity type of a node group, which decides how instances are billed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Capacity {
    /// On-Demand Instances, billed by the second.
    #[default]
    OnDemand,
    /// Spot Instances: cheaper, but EC2 can interrupt them with two minutes' notice.
    Spot,
}

/// The order in which an update of a node group starts and ends nodes.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/managed-node-update-behavior.html>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UpdateStrategy {
    /// New nodes are started before old ones are drained.
    #[default]
    Default,
    /// Old nodes are drained and ended before new ones are started.
    Minimal,
}

/// A managed node group that runs Bottlerocket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeGroup {
    /// The name of the node group, unique in the cluster: at most 63 letters, digits, `_` and `-`.
    pub name: String,
    /// The CPU architecture: `x86_64` or `arm64`. Default: `x86_64`.
    #[serde(default)]
    pub arch: Arch,
    /// The instance types, all of the group's architecture. Default: `[t3.large]`, or `[t4g.large]` for
    /// `arm64`.
    pub instance_types: Option<Vec<String>>,
    /// The capacity type: `on-demand` or `spot`. Default: `on-demand`.
    #[serde(default)]
    pub capacity: Capacity,
    /// The minimum number of nodes. Default: 2.
    #[serde(default = "default_min_nodes")]
    pub min: u16,
    /// The maximum number of nodes. Default: 4.
    #[serde(default = "default_max_nodes")]
    pub max: u16,
    /// The desired number of nodes, from `min` to `max`. If it is not set, or if the cluster autoscaler is
    /// enabled, the size of an existing group is left as it is. Default for a new group: `min`.
    pub desired: Option<u16>,
    /// The size of each node's data disk, in GiB, 8 to 16384. Default: 20.
    #[serde(default = "default_disk_gib", rename = "diskGiB")]
    pub disk_gib: i32,
    /// Kubernetes labels for the nodes. Default: none.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Kubernetes taints for the nodes; no two with the same key and effect. Default: none.
    #[serde(default)]
    pub taints: Vec<Taint>,
    /// How many nodes may be unavailable during an update: a number from 1 to 100, or a percentage such as
    /// `33%`. Default: 1.
    #[serde(default = "default_max_unavailable")]
    pub max_unavailable: Share,
    /// How an update replaces nodes: `default` starts new nodes first, `minimal` ends old ones first, for
    /// instance types that are scarce. Default: `default`.
    #[serde(default)]
    pub update_strategy: UpdateStrategy,
    /// Whether EKS replaces or reboots nodes that are unhealthy. It also enables the add-on
    /// `eks-node-monitoring-agent`, which finds more that can be wrong. Default: true.
    #[serde(default = "default_true")]
    pub repair: bool,
    /// Whether nodes get their pods' addresses as /28 prefixes, so that more pods fit on a node. The setting of the VPC CNI
    /// is one for the whole cluster; `max-pods` follows on the nodes of this group. Default: false.
    #[serde(default)]
    pub prefix_delegation: bool,
    /// Whether an update ends pods that a PodDisruptionBudget keeps on their node. Default: false.
    #[serde(default)]
    #[schemars(extend("x-plan-neutral" = true))]
    pub force_update: bool,
    /// The SSH key for the nodes; it also enables Bottlerocket's admin container. Default: no SSH access.
    pub ssh: Option<Ssh>,
    /// Additional Bottlerocket settings, as TOML. Default: none.
    pub bottlerocket: Option<String>,
}

fn default_max_unavailable() -> Share {
    Share::Count(1)
}

fn default_min_nodes() -> u16 {
    2
}

fn default_max_nodes() -> u16 {
    4
}

fn default_disk_gib() -> i32 {
    20
}

impl NodeGroup {
    /// Returns the instance types: the file's, or the default of the architecture.
    pub fn types(&self) -> Vec<String> {
        let default = match self.arch {
            Arch::X86 => "t3.large",
            Arch::Arm => "t4g.large",
        };
        self.instance_types.clone().unwrap_or_else(|| vec![default.to_owned()])
    }
}

/// The effect of a taint on pods that do not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Effect {
    /// New pods are not scheduled on the node.
    NoSchedule,
    /// The scheduler avoids the node if it can.
    PreferNoSchedule,
    /// New pods are not scheduled on the node, and running pods are evicted.
    NoExecute,
}

/// A Kubernetes taint, which keeps pods that do not tolerate it off the nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Taint {
    /// The taint key, such as `dedicated` or `example.com/dedicated`.
    pub key: String,
    /// The taint value. Default: empty.
    #[serde(default)]
    pub value: String,
    /// The effect: `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: Effect,
}

/// The SSH key for the nodes. Exactly one field is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ssh {
    /// A public key in OpenSSH format, which is imported as an EC2 key pair.
    pub public_key: Option<String>,
    /// The name of an existing EC2 key pair.
    pub key_name: Option<String>,
    /// Whether a key pair is created. The private key is stored only in the local state directory, as
    /// `STACK-GROUP.pem`.
    pub generate: Option<bool>,
}

/// A Fargate profile, which selects the pods that run on Fargate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FargateProfile {
    /// The name of the profile, unique in the cluster: letters, digits, `_` and `-`.
    pub name: String,
    /// The selectors, 1 to 5. A pod that matches any of them runs on Fargate.
    pub selectors: Vec<Selector>,
}

/// A selector of pods by namespace and labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selector {
    /// The namespace of the pods.
    pub namespace: String,
    /// The labels that a pod must have, all of them. Default: none.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}
