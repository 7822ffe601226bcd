//! The file's fields: the one definition that parsing, defaults and the JSON Schema are made from.

use super::{
    cluster::{Cluster, FargateProfile, NodeGroup},
    delivery::{App, Controllers, Parameter, Repository, ServiceAccount},
    values::{Cidr, Endpoints, FlowLogs, Zones},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One stack: what exists is what this file says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct File {
    /// The stack's name, and the EKS cluster's: a small letter, then small letters, digits, `_` and `-`, 30 in all.
    pub name: String,
    /// The AWS region, such as eu-central-1.
    pub region: String,
    /// The account's twelve digits, in quotes; any other account is refused.
    #[schemars(extend("x-plan-neutral" = true))]
    pub account: Option<String>,
    /// Refuses `down`, and any replacement of the cluster or a key.
    #[serde(default)]
    #[schemars(extend("x-plan-neutral" = true))]
    pub protect: bool,
    /// Tags for everything that takes tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Where the state is kept; all stacks of an account and region share it.
    #[serde(default)]
    pub state: StateSection,
    /// The network; a cluster brings one with defaults.
    pub network: Option<Network>,
    /// The key for all that the stack encrypts.
    pub encryption: Option<Encryption>,
    /// The EKS cluster; `{}` takes all defaults.
    pub cluster: Option<Cluster>,
    /// Managed node groups with Bottlerocket; one named `default` where a cluster says nothing else.
    pub node_groups: Option<Vec<NodeGroup>>,
    /// Fargate profiles.
    pub fargate_profiles: Option<Vec<FargateProfile>>,
    /// No EC2 node at all; profiles for kube-system and the application are added.
    pub fargate_only: Option<bool>,
    /// ECR repositories.
    pub repositories: Option<Vec<Repository>>,
    /// Kubernetes service accounts with AWS permissions.
    pub service_accounts: Option<Vec<ServiceAccount>>,
    /// SSM parameters.
    pub parameters: Option<Vec<Parameter>>,
    /// Controllers deployed from the manifests.
    pub controllers: Option<Controllers>,
    /// The application.
    pub app: Option<App>,
}

/// Where the state is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StateSection {
    /// The bucket's name; provisioner-ACCOUNT-REGION where none is given.
    pub bucket: Option<String>,
    /// The lock table's name; provisioner-lock where none is given.
    pub table: Option<String>,
    /// A KMS key that is there already, by its ARN; one of its own is made with the bucket where none is given.
    pub key_arn: Option<String>,
}

/// The network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Network {
    /// The VPC's IPv4 block.
    #[serde(default = "Cidr::vpc")]
    pub cidr: Cidr,
    /// How many availability zones, or which, by name.
    #[serde(default)]
    pub zones: Zones,
    /// NAT gateways: none, one for all zones, or one in each zone.
    #[serde(default)]
    pub nat: Nat,
    /// VPC endpoints: `auto`, or a list of services.
    #[serde(default)]
    pub endpoints: Endpoints,
    /// The VPC's flow log: true, false, or a map.
    #[serde(default)]
    pub flow_logs: FlowLogs,
    /// A network that is there already, and is never changed but for tags on its subnets.
    pub existing: Option<Existing>,
}

impl Default for Network {
    fn default() -> Self {
        Network {
            cidr: Cidr::vpc(),
            zones: Zones::default(),
            nat: Nat::default(),
            endpoints: Endpoints::default(),
            flow_logs: FlowLogs::default(),
            existing: None,
        }
    }
}

/// NAT gateways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Nat {
    /// None: private subnets have no way to the internet.
    None,
    /// One, in the first zone.
    #[default]
    Single,
    /// One in each zone.
    PerZone,
}

/// A network that is there already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Existing {
    /// The VPC.
    pub vpc_id: String,
    /// Its private subnets.
    pub private_subnet_ids: Vec<String>,
    /// Its public subnets.
    #[serde(default)]
    pub public_subnet_ids: Vec<String>,
}

/// The key for all that the stack encrypts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Encryption {
    /// A KMS key that is there already, by its ARN.
    pub key_arn: Option<String>,
    /// How often AWS makes new key material, in days, 90 to 2560.
    #[serde(default = "year")]
    pub rotation_days: i32,
    /// How long a deleted key can be taken back, in days, 7 to 30.
    #[serde(default = "month")]
    pub deletion_window_days: i32,
}

impl Default for Encryption {
    fn default() -> Self {
        Encryption { key_arn: None, rotation_days: year(), deletion_window_days: month() }
    }
}

pub(super) fn year() -> i32 {
    365
}

fn month() -> i32 {
    30
}
