//! The desired and the live form of an EKS cluster.

use crate::{
    aws::Tags,
    model::{In, sorted_set},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// The name, unique in account and region.
    pub name: String,
    /// The Kubernetes minor, `1.35`.
    pub version: String,
    /// The ARN of the role that EKS acts in.
    pub role: In<String>,
    /// The VPC of the subnets; it cannot be changed.
    pub vpc: In<String>,
    /// The subnets of the control plane's interfaces, in two zones or more.
    pub subnets: Vec<In<String>>,
    /// Whether the API server can be reached from outside the VPC. From inside it always can.
    pub endpoint_public: bool,
    /// The blocks that reach it from outside.
    pub public_cidrs: Vec<String>,
    /// The block of service addresses; EKS chooses where none is given.
    pub service_cidr: Option<String>,
    /// The control plane's logs, in EKS's names.
    pub log_types: Vec<String>,
    /// The ARN of the key that encrypts Kubernetes secrets.
    pub key: In<String>,
    /// `STANDARD` or `EXTENDED`.
    pub upgrade_policy: String,
    /// Whether EKS refuses to delete it.
    pub deletion_protection: bool,
    /// Whether zonal shift is on; none: it is left as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zonal_shift: Option<bool>,
    /// The tier of the control plane, in EKS's words, such as `tier-xl`; none: it is left as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// `AWS_MANAGED` or `CUSTOMER_ROUTED`; none: it is left as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<String>,
    /// EKS Auto Mode; none: it is left as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_mode: Option<AutoModeSpec<In<String>>>,
    /// Whether a change of the version ignores EKS's insights.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force_upgrade: bool,
    /// Whether the cluster was upgraded past [`Spec::version`] by EKS or by hand. That is kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub version_passed: bool,
    /// Tags.
    pub tags: Tags,
}

/// EKS Auto Mode of a cluster: in a spec with an input, in a live form with a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AutoModeSpec<T> {
    /// Whether it is enabled.
    pub enabled: bool,
    /// The built-in node pools, in EKS's names.
    pub node_pools: Vec<String>,
    /// The ARN of the role of the pools' nodes; none without pools. EKS does not change it.
    pub node_role: Option<T>,
}

impl<T> Default for AutoModeSpec<T> {
    fn default() -> Self {
        AutoModeSpec { enabled: false, node_pools: Vec::new(), node_role: None }
    }
}

impl<T> AutoModeSpec<T> {
    /// Returns what is compared: false, or the enabled pools.
    pub fn setting(&self) -> Value {
        match self.enabled {
            true => json!(sorted_set(&self.node_pools)),
            false => Value::Bool(false),
        }
    }
}

/// What is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// The name.
    pub name: String,
    /// The ARN.
    pub arn: String,
    /// See [`Spec::version`].
    pub version: String,
    /// See [`Spec::role`].
    pub role: String,
    /// See [`Spec::subnets`].
    pub subnets: Vec<String>,
    /// See [`Spec::endpoint_public`].
    pub endpoint_public: bool,
    /// Whether the API server can be reached from inside the VPC.
    pub endpoint_private: bool,
    /// See [`Spec::public_cidrs`].
    pub public_cidrs: Vec<String>,
    /// See [`Spec::service_cidr`].
    pub service_cidr: Option<String>,
    /// See [`Spec::log_types`].
    pub log_types: Vec<String>,
    /// See [`Spec::key`].
    pub key: Option<String>,
    /// `API`, `API_AND_CONFIG_MAP` or `CONFIG_MAP`.
    pub authentication_mode: String,
    /// See [`Spec::upgrade_policy`].
    pub upgrade_policy: String,
    /// See [`Spec::deletion_protection`].
    pub deletion_protection: bool,
    /// See [`Spec::zonal_shift`].
    #[serde(default)]
    pub zonal_shift: bool,
    /// See [`Spec::tier`].
    #[serde(default = "standard_tier")]
    pub tier: String,
    /// See [`Spec::egress`].
    #[serde(default = "managed_egress")]
    pub egress: String,
    /// See [`Spec::auto_mode`].
    #[serde(default)]
    pub auto_mode: AutoModeSpec<String>,
    /// Settings that are on and that no stack file can hold, in EKS's words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmanaged: Vec<String>,
    /// EKS's word, `ACTIVE` and others.
    pub status: String,
    /// What EKS says is wrong.
    pub trouble: Option<String>,
    /// The API server's URL.
    pub endpoint: Option<String>,
    /// The API server's certificate authority, base64.
    pub certificate_authority: Option<String>,
    /// The issuer of the cluster's service account tokens, a URL.
    pub issuer: Option<String>,
    /// The issuer without its scheme, as IAM's trust policies name it.
    pub issuer_host: Option<String>,
    /// The security group that EKS made for control plane and nodes.
    pub security_group: Option<String>,
    /// The VPC.
    pub vpc: Option<String>,
    /// EKS's own version of the control plane.
    pub platform_version: Option<String>,
    /// When it was created, RFC 3339. No later resource of its name has the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub birth: Option<String>,
    /// Tags.
    pub tags: Tags,
}

/// The tier of a cluster that has none of its own.
pub fn standard_tier() -> String {
    "standard".to_owned()
}

/// The egress mode of a cluster that names none.
pub fn managed_egress() -> String {
    "AWS_MANAGED".to_owned()
}
