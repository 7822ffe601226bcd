//! The resource kinds: one file each, listed in [`REGISTRY`].

mod cluster_forms;
mod cluster_secret;
mod cluster_terms;
mod handler;
mod lookups;
mod node_group_drain;
mod node_group_forms;
mod node_terms;
mod prelude;

pub mod access_entry;
pub mod addon;
pub mod default_security_group;
pub mod ecr_repository;
pub mod eks_cluster;
pub mod elastic_ip;
pub mod fargate_profile;
pub mod flow_log;
pub mod iam_role;
pub mod image;
pub mod internet_gateway;
pub mod key_pair;
pub mod kms_key;
pub mod launch_template;
pub mod lock_table;
pub mod log_group;
pub mod manifest;
mod manifest_compare;
pub mod nat_gateway;
pub mod node_group;
pub mod oidc_provider;
pub mod pod_identity_association;
pub mod role_tags;
pub mod route;
pub mod route_table;
pub mod route_table_association;
pub mod secret_environment;
pub mod security_group;
pub mod security_group_rule;
pub mod ssm_parameter;
pub mod state_bucket;
pub mod subnet;
pub mod subnet_tags;
pub mod vpc;
pub mod vpc_endpoint;
pub mod webhook_certificate;

pub use handler::{FoundResource, Handler, Lifecycle, Lookup, TypedLookup};

/// All kinds, by name.
pub const REGISTRY: &[Handler] = &[
    Handler::of::<access_entry::AccessEntry>(),
    Handler::of::<addon::Addon>(),
    Handler::of::<default_security_group::DefaultSecurityGroup>(),
    Handler::of::<ecr_repository::EcrRepository>(),
    Handler::of::<eks_cluster::EksCluster>(),
    Handler::of::<elastic_ip::ElasticIp>(),
    Handler::of::<fargate_profile::FargateProfile>(),
    Handler::of::<flow_log::FlowLog>(),
    Handler::of::<iam_role::IamRole>(),
    Handler::of::<image::Image>(),
    Handler::of::<internet_gateway::InternetGateway>(),
    Handler::of::<key_pair::KeyPair>(),
    Handler::of::<kms_key::KmsKey>(),
    Handler::of::<launch_template::LaunchTemplate>(),
    Handler::of::<lock_table::LockTable>(),
    Handler::of::<log_group::LogGroup>(),
    Handler::of::<manifest::Manifest>(),
    Handler::of::<nat_gateway::NatGateway>(),
    Handler::of::<node_group::NodeGroup>(),
    Handler::of::<oidc_provider::OidcProvider>(),
    Handler::of::<pod_identity_association::PodIdentityAssociation>(),
    Handler::of::<route::Route>(),
    Handler::of::<route_table::RouteTable>(),
    Handler::of::<route_table_association::RouteTableAssociation>(),
    Handler::of::<secret_environment::SecretEnvironment>(),
    Handler::of::<security_group::SecurityGroup>(),
    Handler::of::<security_group_rule::SecurityGroupRule>(),
    Handler::of::<ssm_parameter::SsmParameter>(),
    Handler::of::<state_bucket::StateBucket>(),
    Handler::of::<subnet::Subnet>(),
    Handler::of::<subnet_tags::SubnetTags>(),
    Handler::of::<vpc::Vpc>(),
    Handler::of::<vpc_endpoint::VpcEndpoint>(),
    Handler::of::<webhook_certificate::WebhookCertificate>(),
];

/// Returns the kind with this name.
pub fn handler(name: &str) -> Option<&'static Handler> {
    REGISTRY.iter().find(|handler| handler.kind.name == name)
}

#[cfg(test)]
mod tests;
