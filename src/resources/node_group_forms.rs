//! The desired and the live form of a managed node group.

use crate::{aws::Tags, model::In};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// The cluster's name.
    pub cluster: String,
    /// The group's name.
    pub name: String,
    /// The ARN of the nodes' role.
    pub role: In<String>,
    /// The nodes' subnets.
    pub subnets: Vec<In<String>>,
    /// EKS's name of the image's kind, `BOTTLEROCKET_x86_64`.
    pub ami_type: String,
    /// Instance types, the first tried first.
    pub instance_types: Vec<String>,
    /// `ON_DEMAND` or `SPOT`.
    pub capacity: String,
    /// The fewest nodes.
    pub min: i32,
    /// The most nodes.
    pub max: i32,
    /// How many nodes.
    pub desired: i32,
    /// Whether something else than this program says how many nodes there are, once the group is made.
    pub desired_floats: bool,
    /// Kubernetes labels.
    pub labels: BTreeMap<String, String>,
    /// Kubernetes taints.
    pub taints: Vec<TaintSpec>,
    /// How many nodes may be away during an update.
    pub max_unavailable: AwaySpec,
    /// How an update replaces nodes: `DEFAULT` or `MINIMAL`.
    #[serde(default = "default_strategy")]
    pub update_strategy: String,
    /// Whether EKS replaces or reboots unhealthy nodes.
    #[serde(default)]
    pub repair: bool,
    /// The launch template's id.
    pub template: In<String>,
    /// The launch template's version.
    pub template_version: In<String>,
    /// The Kubernetes minor.
    pub version: String,
    /// The Bottlerocket release, `1.54.0-abcdef12`.
    pub release: String,
    /// Whether the file leaves the size open once the group exists.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub desired_unnamed: bool,
    /// Whether an update ends pods that a PodDisruptionBudget keeps.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force_update: bool,
    /// Whether the cluster goes back to `version`, so that newer nodes are replaced by older ones.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rolls_back: bool,
    /// Tags.
    pub tags: Tags,
}

/// What is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// The ARN.
    pub arn: String,
    /// As `cluster` of the spec.
    pub cluster: String,
    /// As `name` of the spec.
    pub name: String,
    /// As `role` of the spec.
    pub role: String,
    /// As `subnets` of the spec.
    pub subnets: Vec<String>,
    /// As `ami_type` of the spec.
    pub ami_type: String,
    /// As `instance_types` of the spec.
    pub instance_types: Vec<String>,
    /// As `capacity` of the spec.
    pub capacity: String,
    /// As `min` of the spec.
    pub min: i32,
    /// As `max` of the spec.
    pub max: i32,
    /// As `desired` of the spec.
    pub desired: i32,
    /// As `labels` of the spec.
    pub labels: BTreeMap<String, String>,
    /// As `taints` of the spec.
    pub taints: Vec<TaintSpec>,
    /// As `max_unavailable` of the spec.
    pub max_unavailable: Option<AwaySpec>,
    /// As `update_strategy` of the spec.
    #[serde(default = "default_strategy")]
    pub update_strategy: String,
    /// As `repair` of the spec.
    #[serde(default)]
    pub repair: bool,
    /// Settings that differ from EKS's defaults and that no stack file can hold, in EKS's words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmanaged: Vec<String>,
    /// As `template` of the spec.
    pub template: Option<String>,
    /// As `template_version` of the spec.
    pub template_version: Option<String>,
    /// As `version` of the spec.
    pub version: String,
    /// As `release` of the spec.
    pub release: String,
    /// EKS's word, `ACTIVE` and others.
    pub status: String,
    /// What EKS or Auto Scaling says is wrong.
    pub trouble: Option<String>,
    /// The Auto Scaling group.
    pub scaling_group: Option<String>,
    /// Its processes that were suspended and without which it cannot replace or update nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suspended: Vec<String>,
    /// When it was created, RFC 3339. No later resource of its name has the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub birth: Option<String>,
    /// Tags.
    pub tags: Tags,
}

/// Kubernetes taint of a node group, with its effect as the EKS API names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TaintSpec {
    /// Key, such as `dedicated`.
    pub key: String,
    /// Value; may be empty.
    pub value: String,
    /// Effect: `NO_SCHEDULE`, `PREFER_NO_SCHEDULE` or `NO_EXECUTE`.
    pub effect: String,
}

/// Largest number of nodes that an update may take out of service at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AwaySpec {
    /// Number of nodes, 1-100.
    Count(i32),
    /// Share of the group's nodes in percent, 1-100.
    Percent(i32),
}

/// The update strategy of a group that names none.
pub fn default_strategy() -> String {
    "DEFAULT".to_owned()
}
