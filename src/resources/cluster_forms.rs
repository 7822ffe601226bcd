//! The desired and the live form of an EKS cluster.

use crate::{aws::Tags, model::In};
use serde::{Deserialize, Serialize};

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
    /// Whether the cluster was upgraded past [`Spec::version`] by EKS or by hand. Clusters do not go back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub version_passed: bool,
    /// Tags.
    pub tags: Tags,
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
