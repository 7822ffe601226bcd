//! The top-level fields of the stack file. Parsing, defaults and the JSON Schema are all derived from these
//! types, and each doc comment is the description that `provisioner schema` prints and editors show.

use super::{
    cluster::{Cluster, FargateProfile, NodeGroup},
    delivery::{App, Controllers, Parameter, Repository, ServiceAccount},
    values::{Cidr, Endpoints, FlowLogs, Zones, one_year},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A stack: the file declares every resource, and `provisioner up` creates, updates or deletes resources to
/// match it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct File {
    /// Another stack file whose fields this file extends and overrides: a path below the folder of the stack file, relative
    /// to the file that names it. Maps merge; lists whose items have names merge by name; other values are replaced; `null`
    /// removes a field. Default: none.
    #[schemars(extend("x-plan-neutral" = true))]
    pub extends: Option<String>,
    /// The name of the stack and of its EKS cluster: 1 to 30 lowercase letters, digits, `_` and `-`, starting
    /// with a letter.
    pub name: String,
    /// The AWS region, such as `eu-central-1`.
    pub region: String,
    /// The ID of the only AWS account that this stack may be deployed to: 12 digits, in quotes. Default: any
    /// account.
    #[schemars(extend("x-plan-neutral" = true))]
    pub account: Option<String>,
    /// Whether `down`, and any change that would replace the cluster or a KMS key, is refused. Default:
    /// false.
    #[serde(default)]
    #[schemars(extend("x-plan-neutral" = true))]
    pub protect: bool,
    /// The ARN of an IAM role that is assumed for every call, with a session named after the stack. Default: the
    /// configured credentials are used as they are.
    pub role_arn: Option<String>,
    /// The external ID that the trust policy of `roleArn` asks for. Default: none.
    pub external_id: Option<String>,
    /// The ARN of the managed policy that limits every role of the stack as its permissions boundary. It is set again if it
    /// was removed. A role that has one keeps it if this field is removed. Default: none.
    pub permissions_boundary: Option<String>,
    /// The path of every role of the stack, such as `/platform/`. Default: `/`.
    pub role_path: Option<String>,
    /// Tags for every resource that supports tags, at most 40.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Where the state is stored. All stacks of an account and region share one backend.
    #[serde(default)]
    pub state: StateSection,
    /// The VPC and its subnets. A stack with a cluster gets a network with the defaults if this section is
    /// missing.
    pub network: Option<Network>,
    /// The KMS key that encrypts secrets, images, logs, parameters and node disks.
    pub encryption: Option<Encryption>,
    /// The EKS cluster. `{}` creates one with the defaults.
    pub cluster: Option<Cluster>,
    /// Managed node groups that run Bottlerocket. Default: one group named `default`, unless the file has
    /// Fargate profiles or sets `fargateOnly`; `[]` creates none.
    pub node_groups: Option<Vec<NodeGroup>>,
    /// Fargate profiles, which select the pods that run on Fargate.
    pub fargate_profiles: Option<Vec<FargateProfile>>,
    /// Whether all pods run on Fargate, without EC2 nodes. Profiles for `kube-system` and the application's
    /// namespace are added. Default: false.
    pub fargate_only: Option<bool>,
    /// ECR repositories for container images.
    pub repositories: Option<Vec<Repository>>,
    /// Kubernetes service accounts with AWS permissions, each with its own IAM role.
    pub service_accounts: Option<Vec<ServiceAccount>>,
    /// SSM parameters with plain or secret values.
    pub parameters: Option<Vec<Parameter>>,
    /// Kubernetes controllers that are deployed with the application's manifests.
    pub controllers: Option<Controllers>,
    /// The application: its image, its Deployment and how it is reached.
    pub app: Option<App>,
    /// Several applications instead of `app`, each with a name.
    pub apps: Option<Vec<App>>,
}

impl File {
    /// Returns whether any section of the file needs a cluster.
    pub(super) fn needs_cluster(&self) -> bool {
        self.cluster.is_some()
            || self.node_groups.is_some()
            || self.fargate_profiles.is_some()
            || self.fargate_only == Some(true)
            || self.service_accounts.is_some()
            || self.controllers.is_some()
            || self.app.is_some()
            || self.apps.is_some()
    }

    /// Returns the applications, each with its path in the file.
    pub(super) fn applications(&self) -> impl Iterator<Item = (String, &App)> {
        let one = self.app.iter().map(|app| ("app".to_owned(), app));
        let several = self.apps.iter().flatten().enumerate();
        one.chain(several.map(|(index, app)| (format!("apps[{index}]"), app)))
    }
}

/// The state backend: an S3 bucket and a DynamoDB lock table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StateSection {
    /// The name of the S3 bucket. Default: `provisioner-ACCOUNT-REGION`.
    pub bucket: Option<String>,
    /// The name of the DynamoDB lock table. Default: `provisioner-lock`.
    pub table: Option<String>,
    /// The ARN of an existing KMS key that encrypts the state. Default: a key that is created with the
    /// bucket.
    pub key_arn: Option<String>,
}

/// The VPC with its subnets, NAT gateways, endpoints and flow log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Network {
    /// The IPv4 CIDR block of the VPC, /16 to /22. Default: `10.0.0.0/16`.
    #[serde(default = "Cidr::vpc")]
    pub cidr: Cidr,
    /// The availability zones: a number from 1 to 6, or a list of names. Default: 3.
    #[serde(default)]
    pub zones: Zones,
    /// The NAT gateways: `none`, `single` (one for all zones), `per-zone`, or `regional` (one that AWS extends to
    /// every zone). Default: `single`.
    #[serde(default)]
    pub nat: Nat,
    /// The VPC endpoints: `auto`, or a list of service names such as `[s3, ecr.api]`. Default: `auto`.
    #[serde(default)]
    pub endpoints: Endpoints,
    /// The VPC flow log: `true`, `false`, or a map with `retentionDays`. Default: `true`.
    #[serde(default)]
    pub flow_logs: FlowLogs,
    /// An existing network to use instead of creating one. Only role tags on its subnets are added or
    /// removed.
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

/// How many NAT gateways are created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Nat {
    /// No NAT gateway: private subnets cannot reach the internet.
    None,
    /// One NAT gateway in the first zone, shared by all zones.
    #[default]
    Single,
    /// One NAT gateway in each zone, so that an outage of one zone does not cut off the others.
    PerZone,
    /// One regional NAT gateway, which AWS extends to every zone that has workloads, with addresses of AWS's own.
    Regional,
}

/// An existing network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Existing {
    /// The ID of the VPC, such as `vpc-0123456789abcdef0`.
    pub vpc_id: String,
    /// The IDs of its private subnets; a cluster needs at least two.
    pub private_subnet_ids: Vec<String>,
    /// The IDs of its public subnets, which internet-facing load balancers use. Default: none.
    #[serde(default)]
    pub public_subnet_ids: Vec<String>,
}

/// The KMS key that encrypts secrets, images, logs, parameters and node disks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Encryption {
    /// The ARN of an existing KMS key. Default: a key that is created for the stack.
    pub key_arn: Option<String>,
    /// How often KMS rotates the key material, in days, 90 to 2560. Default: 365.
    #[serde(default = "one_year")]
    pub rotation_days: i32,
    /// How long the deletion of the key can be canceled, in days, 7 to 30. Default: 30.
    #[serde(default = "thirty_days")]
    pub deletion_window_days: i32,
}

impl Default for Encryption {
    fn default() -> Self {
        Encryption { key_arn: None, rotation_days: one_year(), deletion_window_days: thirty_days() }
    }
}

fn thirty_days() -> i32 {
    30
}
