//! The resource kinds: one file each, and one line here.

mod handler;

pub mod default_security_group;
pub mod elastic_ip;
pub mod flow_log;
pub mod iam_role;
pub mod internet_gateway;
pub mod kms_key;
pub mod lock_table;
pub mod log_group;
pub mod nat_gateway;
pub mod route;
pub mod route_table;
pub mod route_table_association;
pub mod security_group;
pub mod security_group_rule;
pub mod state_bucket;
pub mod subnet;
pub mod subnet_tags;
pub mod vpc;
pub mod vpc_endpoint;

pub use handler::{Ask, Asked, Found, Handler, Lifecycle, Lost};

/// Every kind there is.
pub const REGISTRY: &[Handler] = &[
    Handler::of::<default_security_group::DefaultSecurityGroup>(),
    Handler::of::<elastic_ip::ElasticIp>(),
    Handler::of::<flow_log::FlowLog>(),
    Handler::of::<iam_role::IamRole>(),
    Handler::of::<internet_gateway::InternetGateway>(),
    Handler::of::<kms_key::KmsKey>(),
    Handler::of::<lock_table::LockTable>(),
    Handler::of::<log_group::LogGroup>(),
    Handler::of::<nat_gateway::NatGateway>(),
    Handler::of::<route::Route>(),
    Handler::of::<route_table::RouteTable>(),
    Handler::of::<route_table_association::RouteTableAssociation>(),
    Handler::of::<security_group::SecurityGroup>(),
    Handler::of::<security_group_rule::SecurityGroupRule>(),
    Handler::of::<state_bucket::StateBucket>(),
    Handler::of::<subnet::Subnet>(),
    Handler::of::<subnet_tags::SubnetTags>(),
    Handler::of::<vpc::Vpc>(),
    Handler::of::<vpc_endpoint::VpcEndpoint>(),
];

/// The kind of this name.
pub fn handler(name: &str) -> Option<&'static Handler> {
    REGISTRY.iter().find(|handler| handler.kind.name == name)
}
