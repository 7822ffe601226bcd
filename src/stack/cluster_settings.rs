//! Settings of the control plane that a file can leave open: its tier, its way to the internet, and EKS Auto Mode.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What EKS does when standard support for a Kubernetes version ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UpgradePolicy {
    /// EKS upgrades the cluster to the next version automatically.
    #[default]
    Standard,
    /// The cluster enters extended support, which costs more per hour.
    Extended,
}

/// The capacity of a control plane.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/eks-provisioned-control-plane.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ControlPlaneTier {
    /// EKS scales the control plane with its load.
    #[serde(rename = "standard")]
    Standard,
    /// Provisioned: XL.
    #[serde(rename = "tier-xl")]
    Xl,
    /// Provisioned: 2XL.
    #[serde(rename = "tier-2xl")]
    Xl2,
    /// Provisioned: 4XL.
    #[serde(rename = "tier-4xl")]
    Xl4,
    /// Provisioned: 8XL.
    #[serde(rename = "tier-8xl")]
    Xl8,
}

/// How a control plane reaches the internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ControlPlaneEgress {
    /// Through AWS's own network.
    AwsManaged,
    /// Through the VPC's routes and security groups.
    CustomerRouted,
}

/// EKS Auto Mode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum AutoMode {
    /// Enabled with both built-in node pools, or disabled.
    Switch(bool),
    /// Enabled with these node pools.
    Pools(AutoModePools),
}

/// The node pools of EKS Auto Mode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AutoModePools {
    /// The built-in node pools to enable; `[]` enables none, for clusters with node pools of their own.
    pub node_pools: Vec<NodePool>,
}

/// A node pool that EKS defines.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/set-builtin-node-pools.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NodePool {
    /// For applications, on x86_64.
    GeneralPurpose,
    /// For add-ons that tolerate its taint, on x86_64 and arm64.
    System,
}

impl NodePool {
    /// Returns EKS's name of the pool.
    pub fn name(self) -> &'static str {
        match self {
            NodePool::GeneralPurpose => "general-purpose",
            NodePool::System => "system",
        }
    }
}

impl AutoMode {
    /// Returns the enabled node pools; `None` if Auto Mode is disabled.
    pub fn pools(&self) -> Option<Vec<NodePool>> {
        match self {
            AutoMode::Switch(false) => None,
            AutoMode::Switch(true) => Some(vec![NodePool::GeneralPurpose, NodePool::System]),
            AutoMode::Pools(AutoModePools { node_pools }) => Some(node_pools.clone()),
        }
    }
}
