//! The network: VPC, subnets, internet access, endpoints and flow log, or the role tags on an existing
//! network.

use super::{
    addresses::{
        flow_log_group, gateway_address, key_arn, load_balancer_controller, private_table, public_table,
        side, subnet_address, vpc_address,
    },
    graph_builder::GraphBuilder,
    graph_context::Context,
    iam_policies,
    nat::{ANYWHERE, nat_gateways},
    roles,
};
use crate::{
    model::{Address, CallError, In},
    resources::{
        default_security_group, flow_log, iam_role, internet_gateway, log_group, route, route_table,
        route_table_association, security_group, security_group_rule, subnet, subnet_tags, vpc, vpc_endpoint,
    },
    stack::{Endpoints, Existing, Nat, Network, Stack, layout},
};
use std::collections::BTreeMap;

/// Services with gateway endpoints, which are routes in route tables and free of charge.
const GATEWAY_SERVICES: &[&str] = &["s3", "dynamodb"];

/// Endpoints that nodes need if they cannot reach the internet.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/private-clusters.html>
const PRIVATE_SERVICES: &[&str] = &["s3", "ec2", "ecr.api", "ecr.dkr", "eks", "logs", "sts"];

/// Adds the network of the stack, or the role tags on the subnets of an existing one.
///
/// # Errors
/// A bug: a VPC block that does not hold the subnets, which validation rules out.
pub(super) fn network(
    build: &mut GraphBuilder<'_>,
    stack: &Stack,
    context: &Context,
) -> Result<(), CallError> {
    match &stack.network {
        None => {}
        Some(Network { existing: Some(existing), .. }) => tag_existing(build, existing, &stack.name),
        Some(network) => {
            let layout = NetworkLayout { stack, network, context };
            layout.base(build)?;
            nat_gateways(build, network.nat, &context.zones);
            layout.endpoints(build);
            layout.flow_log(build);
        }
    }
    Ok(())
}

/// Returns the ID of the VPC, which is created or exists.
pub(super) fn vpc(stack: &Stack) -> In<String> {
    match stack.network.as_ref().and_then(|network| network.existing.as_ref()) {
        Some(existing) => In::Known(existing.vpc_id.clone()),
        None => vpc::ID.of(&vpc_address()),
    }
}

/// Returns the IDs of the private subnets, which are created or exist.
pub(super) fn private_subnets(stack: &Stack, context: &Context) -> Vec<In<String>> {
    match stack.network.as_ref().and_then(|network| network.existing.as_ref()) {
        Some(existing) => existing.private_subnet_ids.iter().cloned().map(In::Known).collect(),
        None => context.zones.iter().map(|zone| subnet::ID.of(&subnet_address(false, zone))).collect(),
    }
}

/// Returns the subnets of the control plane. EKS keeps a cluster in the zones in which it was created.
///
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html>
pub(super) fn cluster_subnets(stack: &Stack, context: &Context) -> Vec<In<String>> {
    let is_existing = stack.network.as_ref().is_some_and(|network| network.existing.is_some());
    if is_existing || context.cluster_zones.is_empty() {
        return private_subnets(stack, context);
    }
    context.cluster_zones.iter().map(|zone| subnet::ID.of(&subnet_address(false, zone))).collect()
}

/// Returns the zone of a private subnet's address.
pub(super) fn zone_of(subnet: &Address) -> Option<&str> {
    subnet.as_str().strip_prefix(subnet_address(false, "").as_str())
}

/// Returns the addresses of the routes and endpoints through which nodes and pods in private subnets reach
/// AWS and the internet. Nodes, Fargate profiles and objects of the cluster depend on them.
pub(super) fn egress(stack: &Stack, context: &Context) -> Vec<Address> {
    let Some(network) = stack.network.as_ref().filter(|network| network.existing.is_none()) else {
        return Vec::new();
    };
    let layout = NetworkLayout { stack, network, context };
    let nat = network.nat != Nat::None;
    let routes =
        layout.zones().filter(|_| nat).map(|zone| Address::new(format!("network/route/private-{zone}")));
    let private = layout.zones().map(|zone| Address::new(format!("network/association/private-{zone}")));
    let names = endpoint_names(stack, network);
    let rule = names.iter().any(|name| !GATEWAY_SERVICES.contains(name)).then(endpoint_rule);
    let endpoints = names.iter().map(|name| endpoint_address(name));
    routes.chain(private).chain(endpoints).chain(rule).collect()
}

/// Returns the services whose endpoints the stack needs if its private subnets cannot reach the internet.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/private-clusters.html>
pub fn needed_endpoints(stack: &Stack) -> Vec<&'static str> {
    let mut names = PRIVATE_SERVICES.to_vec();
    if stack.service_accounts.iter().any(|account| account.pod_identity) {
        names.push("eks-auth");
    }
    if load_balancer_controller(stack) {
        names.push("elasticloadbalancing");
    }
    if stack.controllers.cluster_autoscaler {
        names.push("autoscaling");
    }
    let read = stack.apps.iter().any(|app| app.parameter.is_some()) || !stack.parameters.is_empty();
    if stack.cluster.is_some() && read {
        names.push("ssm");
    }
    if stack.node_groups.iter().any(|group| group.ssh.is_some()) {
        // Without a public address, the shell of a node is reached through Systems Manager.
        names.extend(["ssm", "ssmmessages", "ec2messages"]);
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// Returns the short names of the services of the endpoints that the network gets.
fn endpoint_names<'a>(stack: &Stack, network: &'a Network) -> Vec<&'a str> {
    match (&network.endpoints, network.nat) {
        (Endpoints::List(names), _) => names.iter().map(String::as_str).collect(),
        (Endpoints::Auto, Nat::None) => needed_endpoints(stack),
        (Endpoints::Auto, _) => vec!["s3"],
    }
}

/// Returns the short names of the services of the interface endpoints that the network gets.
pub fn interface_endpoints(stack: &Stack) -> Vec<String> {
    let network = stack.network.as_ref().filter(|network| network.existing.is_none());
    let names = network.map(|network| endpoint_names(stack, network)).unwrap_or_default();
    names.into_iter().filter(|name| !GATEWAY_SERVICES.contains(name)).map(str::to_owned).collect()
}

/// Returns the needed endpoints that are missing from the file's list, for a network without NAT gateways.
pub fn missing_endpoints(stack: &Stack) -> Vec<&'static str> {
    let network =
        stack.network.as_ref().filter(|network| network.existing.is_none() && network.nat == Nat::None);
    match network.map(|network| &network.endpoints) {
        Some(Endpoints::List(names)) if stack.cluster.is_some() => {
            needed_endpoints(stack).into_iter().filter(|name| !names.iter().any(|it| it == name)).collect()
        }
        _ => Vec::new(),
    }
}

/// Returns the tag by which load balancer controllers find public or private subnets.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html>
pub fn role_tag(public: bool) -> (String, String) {
    let role = if public { "elb" } else { "internal-elb" };
    (format!("kubernetes.io/role/{role}"), "1".to_owned())
}

/// Returns the address of the role tags on a subnet of an existing network.
pub fn subnet_tags_address(subnet: &str) -> Address {
    Address::new(format!("network/subnet-tags/{subnet}"))
}

fn tag_existing(build: &mut GraphBuilder<'_>, existing: &Existing, stack: &str) {
    let public = existing.public_subnet_ids.iter().map(|id| (id, true));
    for (subnet, public) in existing.private_subnet_ids.iter().map(|id| (id, false)).chain(public) {
        let spec = subnet_tags::Spec {
            subnet: subnet.clone(),
            vpc: existing.vpc_id.clone(),
            marker: subnet_tags::Spec::marker_of(stack),
            roles: BTreeMap::from([role_tag(public)]),
        };
        build.add(&subnet_tags_address(subnet), &spec);
    }
}

struct NetworkLayout<'a> {
    stack: &'a Stack,
    network: &'a Network,
    context: &'a Context,
}

/// Returns the address of the private subnet in a zone.
pub fn private_subnet_address(zone: &str) -> Address {
    subnet_address(false, zone)
}

/// Returns the address of the endpoint for a service.
pub fn endpoint_address(name: &str) -> Address {
    Address::new(format!("network/endpoint/{name}"))
}

fn endpoint_rule() -> Address {
    Address::from("network/security-group-rule/endpoints-https")
}

impl NetworkLayout<'_> {
    fn zones(&self) -> impl Iterator<Item = &String> {
        self.context.zones.iter()
    }

    /// Adds the VPC, its subnets, the internet gateway, and the route tables with their associations.
    fn base(&self, build: &mut GraphBuilder<'_>) -> Result<(), CallError> {
        let vpc = vpc_address();
        let cidr = self.network.cidr;
        let tags = build.tags(&vpc);
        build.add(&vpc, &vpc::Spec { cidr: cidr.to_string(), dns_support: true, dns_hostnames: true, tags });
        let default = Address::from("network/default-security-group");
        let tags = build.tags(&default);
        build.add(&default, &default_security_group::Spec { vpc: vpc::ID.of(&vpc), tags });
        let gateway = gateway_address();
        let tags = build.tags(&gateway);
        build.add(&gateway, &internet_gateway::Spec { vpc: vpc::ID.of(&vpc), tags });

        let public = public_table();
        let tags = build.tags(&public);
        build.add(&public, &route_table::Spec { vpc: vpc::ID.of(&vpc), tags });
        let route = route::Spec {
            table: route_table::ID.of(&public),
            destination: ANYWHERE.to_owned(),
            gateway: Some(internet_gateway::ID.of(&gateway)),
            nat: None,
        };
        build.add(&Address::from("network/route/public"), &route);
        for zone in self.zones() {
            let table = private_table(zone);
            let tags = build.tags(&table);
            build.add(&table, &route_table::Spec { vpc: vpc::ID.of(&vpc), tags });
        }

        let blocks = layout::blocks(cidr.0, layout::MAX_ZONES);
        let blocks = blocks.ok_or_else(|| CallError::bug(format!("{cidr} does not hold the subnets")))?;
        for block in blocks {
            let share = |zone: &&String| self.context.shares.get(*zone) == Some(&block.zone_index);
            let Some(zone) = self.zones().find(share) else { continue };
            let subnet = subnet_address(block.public, zone);
            let mut tags = build.tags(&subnet);
            tags.extend([role_tag(block.public)]);
            let (cidr, zone_name) = (block.cidr.to_string(), zone.clone());
            build.add(&subnet, &subnet::Spec { vpc: vpc::ID.of(&vpc), cidr, zone: zone_name, tags });
            let table = if block.public { public_table() } else { private_table(zone) };
            let spec = route_table_association::Spec {
                subnet: subnet::ID.of(&subnet),
                table: route_table::ID.of(&table),
            };
            build.add(&Address::new(format!("network/association/{}-{zone}", side(block.public))), &spec);
        }
        Ok(())
    }

    fn endpoints(&self, build: &mut GraphBuilder<'_>) {
        let (vpc, region) = (vpc_address(), &self.stack.region);
        let group = Address::from("network/security-group/endpoints");
        let names = endpoint_names(self.stack, self.network);
        if names.iter().any(|name| !GATEWAY_SERVICES.contains(name)) {
            let tags = build.tags(&group);
            let spec = security_group::Spec {
                vpc: vpc::ID.of(&vpc),
                name: format!("{}-endpoints", self.stack.name),
                description: "Who may speak to the VPC endpoints".to_owned(),
                tags,
            };
            build.add(&group, &spec);
            let rule = endpoint_rule();
            let tags = build.tags(&rule);
            let spec = security_group_rule::Spec {
                group: security_group::ID.of(&group),
                egress: false,
                protocol: "tcp".to_owned(),
                from_port: 443,
                to_port: 443,
                cidr: Some(self.network.cidr.to_string()),
                peer_group: None,
                description: "HTTPS from the VPC".to_owned(),
                tags,
            };
            build.add(&rule, &spec);
        }
        for name in names {
            let gateway = GATEWAY_SERVICES.contains(&name);
            let address = endpoint_address(name);
            let chosen = self.context.endpoint_zones.get(name);
            let there = self.zones().filter(|zone| chosen.is_none_or(|zones| zones.contains(*zone)));
            let private = || there.map(|zone| subnet::ID.of(&subnet_address(false, zone))).collect();
            let tables = || self.zones().map(|zone| route_table::ID.of(&private_table(zone))).collect();
            let tags = build.tags(&address);
            let spec = vpc_endpoint::Spec {
                vpc: vpc::ID.of(&vpc),
                service: format!("com.amazonaws.{region}.{name}"),
                r#type: if gateway { "Gateway" } else { "Interface" }.to_owned(),
                subnets: if gateway { Vec::new() } else { private() },
                groups: if gateway { Vec::new() } else { vec![security_group::ID.of(&group)] },
                route_tables: if gateway { tables() } else { Vec::new() },
                private_dns: !gateway,
                policy: iam_policies::endpoint(name, &self.context.account, region),
                tags,
            };
            build.add(&address, &spec);
        }
    }

    fn flow_log(&self, build: &mut GraphBuilder<'_>) {
        let Some(settings) = self.network.flow_logs.settings() else { return };
        let (account, region) = (&self.context.account, &self.stack.region);
        let name = flow_log_group(self.stack).unwrap_or_default();
        let key = key_arn(self.stack);
        let group = Address::from("network/flow-log-group");
        let tags = build.tags(&group);
        let retention_days = settings.retention_days;
        build.add(&group, &log_group::Spec { name: name.clone(), retention_days, key, tags });
        let role = Address::from("network/flow-log-role");
        let writer = iam_policies::flow_log_writer(account, region, &name);
        let spec = iam_role::Spec {
            name: format!("{}-{region}-flow-logs", self.stack.name),
            description: format!("Writes the flow log of stack {}", self.stack.name),
            trust: iam_policies::flow_log_trust(account, region),
            inline: BTreeMap::from([("write-flow-log".to_owned(), writer)]),
            ..iam_role::Spec::default()
        };
        roles::role(build, self.stack, &role, spec);
        let log = Address::from("network/flow-log");
        let tags = build.tags(&log);
        let spec = flow_log::Spec {
            vpc: vpc::ID.of(&vpc_address()),
            group: log_group::NAME.of(&group),
            role: iam_role::ARN.of(&role),
            tags,
        };
        build.add(&log, &spec);
    }
}
