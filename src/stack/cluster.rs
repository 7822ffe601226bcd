//! The fields of the cluster and of its nodes.

use super::{
    types::year,
    values::{Cidr, Share},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

fn yes() -> bool {
    true
}

/// The EKS cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cluster {
    /// The Kubernetes minor version, in quotes; the newest one that this program was tested with where none is given.
    pub version: Option<String>,
    /// Who reaches the API server.
    #[serde(default)]
    pub endpoint: Endpoint,
    /// The block for service addresses; EKS chooses where none is given.
    pub service_cidr: Option<Cidr>,
    /// The control plane's logs.
    #[serde(default)]
    pub logging: Logging,
    /// Who may do what in the cluster.
    #[serde(default)]
    pub access: Vec<Access>,
    /// Whether the caller is a cluster admin by an entry of its own.
    #[serde(default = "yes")]
    pub admin_caller: bool,
    /// Add-ons beside the usual ones, or changes of those.
    #[serde(default)]
    pub addons: Vec<Addon>,
    /// Whether EKS refuses to delete the cluster; `down` turns it off as a step of its plan.
    #[serde(default = "yes")]
    pub deletion_protection: bool,
    /// What EKS does when standard support ends.
    #[serde(default)]
    pub upgrade_policy: UpgradePolicy,
}

/// Who reaches the API server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Endpoint {
    /// Whether it can be reached from outside the VPC.
    #[serde(default = "yes")]
    pub public: bool,
    /// From which blocks; `myip` is the address of whoever runs `up`.
    pub public_cidrs: Option<Vec<String>>,
    /// Lets the whole world in where the blocks say so.
    #[serde(default)]
    #[schemars(extend("x-plan-neutral" = true))]
    pub allow_world: bool,
}

impl Default for Endpoint {
    fn default() -> Self {
        Endpoint { public: true, public_cidrs: None, allow_world: false }
    }
}

/// A log of the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum LogType {
    /// Requests to the API server.
    Api,
    /// Who did what.
    Audit,
    /// AWS identities at the door.
    Authenticator,
    /// Controllers.
    ControllerManager,
    /// The scheduler.
    Scheduler,
}

/// The control plane's logs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Logging {
    /// Which; all five where none are given.
    #[serde(default = "all_logs")]
    pub types: Vec<LogType>,
    /// How long entries are kept, in days; one of CloudWatch's values.
    #[serde(default = "year")]
    pub retention_days: i32,
}

fn all_logs() -> Vec<LogType> {
    vec![LogType::Api, LogType::Audit, LogType::Authenticator, LogType::ControllerManager, LogType::Scheduler]
}

impl Default for Logging {
    fn default() -> Self {
        Logging { types: all_logs(), retention_days: year() }
    }
}

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AccessPolicy {
    /// Everything.
    ClusterAdmin,
    /// Everything in namespaces.
    Admin,
    /// Change what runs.
    Edit,
    /// Look.
    View,
}

/// One access entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Access {
    /// The IAM role or user, by its ARN.
    pub principal_arn: String,
    /// What it may do.
    pub policy: Option<AccessPolicy>,
    /// In which namespaces; in the whole cluster where none are given.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// Kubernetes groups that it is in.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// One EKS add-on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Addon {
    /// The add-on's name, such as aws-ebs-csi-driver.
    pub name: String,
    /// Its version; EKS's default for the cluster's version where none is given, then pinned in the state.
    pub version: Option<String>,
    /// Its configuration, as the add-on's own schema has it.
    #[serde(default)]
    pub configuration: BTreeMap<String, serde_json::Value>,
    /// Whether it is there.
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// What EKS does when standard support of a version ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UpgradePolicy {
    /// It upgrades the cluster.
    #[default]
    Standard,
    /// It goes on, for more money.
    Extended,
}

/// A processor architecture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Arch {
    /// Intel and AMD.
    #[default]
    #[serde(rename = "x86_64")]
    X86,
    /// Graviton.
    #[serde(rename = "arm64")]
    Arm,
}

/// How instances are paid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Capacity {
    /// By the second.
    #[default]
    OnDemand,
    /// Cheaper, and taken back at short notice.
    Spot,
}

/// A managed node group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeGroup {
    /// Its name, unique in the cluster.
    pub name: String,
    /// The processors' architecture.
    #[serde(default)]
    pub arch: Arch,
    /// Instance types of that architecture; t3.large, or t4g.large for arm64, where none are given.
    pub instance_types: Option<Vec<String>>,
    /// How instances are paid.
    #[serde(default)]
    pub capacity: Capacity,
    /// The fewest nodes.
    #[serde(default = "two")]
    pub min: u16,
    /// The most nodes.
    #[serde(default = "four")]
    pub max: u16,
    /// How many nodes now; `min` where none is given.
    pub desired: Option<u16>,
    /// Each node's disk, in GiB.
    #[serde(default = "twenty", rename = "diskGiB")]
    pub disk_gib: i32,
    /// Kubernetes labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Kubernetes taints.
    #[serde(default)]
    pub taints: Vec<Taint>,
    /// How many nodes may be away during an update.
    #[serde(default = "one")]
    pub max_unavailable: Share,
    /// How to log in to nodes; not at all where this is not given.
    pub ssh: Option<Ssh>,
    /// More Bottlerocket settings, as TOML.
    pub bottlerocket: Option<String>,
}

fn one() -> Share {
    Share::Count(1)
}

fn two() -> u16 {
    2
}

fn four() -> u16 {
    4
}

fn twenty() -> i32 {
    20
}

/// What a taint does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Effect {
    /// Nothing new is put there.
    NoSchedule,
    /// Rather not.
    PreferNoSchedule,
    /// What is there goes.
    NoExecute,
}

/// A Kubernetes taint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Taint {
    /// The key.
    pub key: String,
    /// The value.
    #[serde(default)]
    pub value: String,
    /// What it does.
    pub effect: Effect,
}

/// The key to log in to nodes with; exactly one of these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ssh {
    /// A public key.
    pub public_key: Option<String>,
    /// An EC2 key pair that is there already.
    pub key_name: Option<String>,
    /// Makes a pair; the private half goes to the state folder alone.
    pub generate: Option<bool>,
}

/// A Fargate profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FargateProfile {
    /// Its name, unique in the cluster.
    pub name: String,
    /// Which pods, one to five ways.
    pub selectors: Vec<Selector>,
}

/// Pods that a Fargate profile takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selector {
    /// Their namespace.
    pub namespace: String,
    /// Labels that they have.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}
