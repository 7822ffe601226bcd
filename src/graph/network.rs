//! The network: VPC, subnets, ways out, endpoints, flow log; or the tags on a network that is there.

use super::{
    Context,
    build::{Build, arn, id},
    delivery::load_balancer_controller,
    key::key_arn,
    policy,
};
use crate::{
    model::{Address, Fault, In},
    resources::{
        default_security_group, elastic_ip, flow_log, iam_role, internet_gateway, log_group, nat_gateway,
        route, route_table, route_table_association, security_group, security_group_rule, subnet,
        subnet_tags, vpc, vpc_endpoint,
    },
    stack::{Endpoints, Existing, Nat, Network, Stack, layout},
};
use std::collections::BTreeMap;

/// Endpoints that stand in route tables and cost nothing.
const GATEWAYS: &[&str] = &["s3", "dynamodb"];

/// What nodes need where no way leads to the internet.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/private-clusters.html>
const NO_INTERNET: &[&str] = &["s3", "ec2", "ecr.api", "ecr.dkr", "eks", "logs", "sts"];

const ANYWHERE: &str = "0.0.0.0/0";

/// The network part of a stack.
pub(super) fn network(build: &mut Build<'_>, stack: &Stack, context: &Context) -> Result<(), Fault> {
    match &stack.network {
        None => {}
        Some(Network { existing: Some(existing), .. }) => tag_existing(build, existing, &stack.name),
        Some(network) => {
            let plan = Plan { stack, network, context };
            plan.base(build)?;
            plan.ways_out(build);
            plan.endpoints(build);
            plan.flow_log(build);
        }
    }
    Ok(())
}

/// The VPC: the one made here, or the one that is there.
pub(super) fn vpc(stack: &Stack) -> In<String> {
    match stack.network.as_ref().and_then(|network| network.existing.as_ref()) {
        Some(existing) => In::Known(existing.vpc_id.clone()),
        None => id(&vpc_address()),
    }
}

/// The private subnets: those made here, or those that are there.
pub(super) fn private_subnets(stack: &Stack, context: &Context) -> Vec<In<String>> {
    match stack.network.as_ref().and_then(|network| network.existing.as_ref()) {
        Some(existing) => existing.private_subnet_ids.iter().cloned().map(In::Known).collect(),
        None => context.zones.iter().map(|zone| id(&subnet_address(false, zone))).collect(),
    }
}

/// What must stand for the private subnets to reach what nodes and pods need.
pub(super) fn ways_out(stack: &Stack, context: &Context) -> Vec<Address> {
    let Some(network) = stack.network.as_ref().filter(|network| network.existing.is_none()) else {
        return Vec::new();
    };
    let plan = Plan { stack, network, context };
    let nat = network.nat != Nat::None;
    let routes =
        plan.zones().filter(|_| nat).map(|zone| Address::new(format!("network/route/private-{zone}")));
    let private = plan.zones().map(|zone| Address::new(format!("network/association/private-{zone}")));
    let names = plan.endpoint_names();
    let rule = names.iter().any(|name| !GATEWAYS.contains(name)).then(endpoint_rule);
    let endpoints = names.iter().map(|name| endpoint_address(name));
    routes.chain(private).chain(endpoints).chain(rule).collect()
}

/// The interface and gateway endpoints that a stack's parts need where no way leads to the internet.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/private-clusters.html>
fn needed_endpoints(stack: &Stack) -> Vec<&'static str> {
    let mut names = NO_INTERNET.to_vec();
    if stack.service_accounts.iter().any(|account| account.pod_identity) {
        names.push("eks-auth");
    }
    if load_balancer_controller(stack) {
        names.push("elasticloadbalancing");
    }
    if stack.controllers.cluster_autoscaler {
        names.push("autoscaling");
    }
    let read = stack.app.as_ref().is_some_and(|app| app.parameter.is_some()) || !stack.parameters.is_empty();
    if stack.cluster.is_some() && read {
        names.push("ssm");
    }
    if stack.node_groups.iter().any(|group| group.ssh.is_some()) {
        // The way to a node's shell without a public address is Systems Manager's.
        names.extend(["ssm", "ssmmessages", "ec2messages"]);
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// The endpoints that a list in the file lacks although no way leads to the internet.
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

/// The name of the flow log's group.
pub(super) fn flow_log_group(stack: &Stack) -> Option<String> {
    let network = stack.network.as_ref().filter(|network| network.existing.is_none())?;
    network.flow_logs.settings()?;
    Some(format!("/provisioner/{}/vpc-flow-logs", stack.name))
}

/// The tags by which load balancer controllers find subnets.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html>
fn role_tag(public: bool) -> (String, String) {
    let role = if public { "elb" } else { "internal-elb" };
    (format!("kubernetes.io/role/{role}"), "1".to_owned())
}

fn tag_existing(build: &mut Build<'_>, existing: &Existing, stack: &str) {
    let public = existing.public_subnet_ids.iter().map(|id| (id, true));
    for (subnet, public) in existing.private_subnet_ids.iter().map(|id| (id, false)).chain(public) {
        let spec = subnet_tags::Spec {
            subnet: subnet.clone(),
            vpc: existing.vpc_id.clone(),
            marker: format!("provisioner:role-tags/{stack}"),
            roles: BTreeMap::from([role_tag(public)]),
        };
        build.add(&Address::new(format!("network/subnet-tags/{subnet}")), &spec);
    }
}

struct Plan<'a> {
    stack: &'a Stack,
    network: &'a Network,
    context: &'a Context,
}

fn vpc_address() -> Address {
    Address::from("network/vpc")
}

fn gateway_address() -> Address {
    Address::from("network/internet-gateway")
}

fn side(public: bool) -> &'static str {
    if public { "public" } else { "private" }
}

fn subnet_address(public: bool, zone: &str) -> Address {
    Address::new(format!("network/subnet/{}-{zone}", side(public)))
}

fn private_table(zone: &str) -> Address {
    Address::new(format!("network/route-table/private-{zone}"))
}

fn endpoint_address(name: &str) -> Address {
    Address::new(format!("network/endpoint/{name}"))
}

fn endpoint_rule() -> Address {
    Address::from("network/security-group-rule/endpoints-https")
}

fn public_table() -> Address {
    Address::from("network/route-table/public")
}

impl Plan<'_> {
    fn zones(&self) -> impl Iterator<Item = &String> {
        self.context.zones.iter()
    }

    /// VPC, subnets, internet gateway, route tables and who uses them.
    fn base(&self, build: &mut Build<'_>) -> Result<(), Fault> {
        let vpc = vpc_address();
        let cidr = self.network.cidr;
        let tags = build.tags(&vpc);
        build.add(&vpc, &vpc::Spec { cidr: cidr.to_string(), dns_support: true, dns_hostnames: true, tags });
        let default = Address::from("network/default-security-group");
        let tags = build.tags(&default);
        build.add(&default, &default_security_group::Spec { vpc: id(&vpc), tags });
        let gateway = gateway_address();
        let tags = build.tags(&gateway);
        build.add(&gateway, &internet_gateway::Spec { vpc: id(&vpc), tags });

        let public = public_table();
        let tags = build.tags(&public);
        build.add(&public, &route_table::Spec { vpc: id(&vpc), tags });
        let route = route::Spec {
            table: id(&public),
            destination: ANYWHERE.to_owned(),
            gateway: Some(id(&gateway)),
            nat: None,
        };
        build.add(&Address::from("network/route/public"), &route);
        for zone in self.zones() {
            let table = private_table(zone);
            let tags = build.tags(&table);
            build.add(&table, &route_table::Spec { vpc: id(&vpc), tags });
        }

        let blocks = layout::blocks(cidr.0, layout::MAX_ZONES);
        let blocks = blocks.ok_or_else(|| Fault::bug(format!("{cidr} does not hold the subnets")))?;
        for block in blocks {
            let share = |zone: &&String| self.context.shares.get(*zone) == Some(&block.zone_index);
            let Some(zone) = self.zones().find(share) else { continue };
            let subnet = subnet_address(block.public, zone);
            let mut tags = build.tags(&subnet);
            tags.extend([role_tag(block.public)]);
            let (cidr, zone_name) = (block.cidr.to_string(), zone.clone());
            build.add(&subnet, &subnet::Spec { vpc: id(&vpc), cidr, zone: zone_name, tags });
            let table = if block.public { public_table() } else { private_table(zone) };
            let spec = route_table_association::Spec { subnet: id(&subnet), table: id(&table) };
            build.add(&Address::new(format!("network/association/{}-{zone}", side(block.public))), &spec);
        }
        Ok(())
    }

    /// NAT gateways, their addresses, and the private subnets' routes to them. They are named by zone, so that going
    /// from one to one a zone keeps the first.
    fn ways_out(&self, build: &mut Build<'_>) {
        let count = match self.network.nat {
            Nat::None => 0,
            Nat::Single => 1,
            Nat::PerZone => self.context.zones.len(),
        };
        let nat = |zone: &str| Address::new(format!("network/nat-gateway/{zone}"));
        for zone in self.zones().take(count) {
            let address = Address::new(format!("network/elastic-ip/{zone}"));
            let tags = build.tags(&address);
            build.add(&address, &elastic_ip::Spec { tags });
            let gateway = nat(zone);
            let tags = build.tags(&gateway);
            let spec =
                nat_gateway::Spec { subnet: id(&subnet_address(true, zone)), allocation: id(&address), tags };
            // A public one in a VPC whose internet gateway is not attached fails. As long as it works it needs its own
            // subnet's way out, too: what is removed before it still speaks to AWS through it.
            let way = Address::new(format!("network/association/public-{zone}"));
            let before = [&gateway_address(), &Address::from("network/route/public"), &way];
            build.add_after(&gateway, &spec, &before);
        }
        let first = self.zones().next();
        for zone in self.zones().filter(|_| count > 0) {
            let through = if count > 1 { Some(zone) } else { first };
            let spec = route::Spec {
                table: id(&private_table(zone)),
                destination: ANYWHERE.to_owned(),
                gateway: None,
                nat: through.map(|zone| id(&nat(zone))),
            };
            build.add(&Address::new(format!("network/route/private-{zone}")), &spec);
        }
    }

    fn endpoint_names(&self) -> Vec<&str> {
        match (&self.network.endpoints, self.network.nat) {
            (Endpoints::List(names), _) => names.iter().map(String::as_str).collect(),
            (Endpoints::Auto, Nat::None) => needed_endpoints(self.stack),
            (Endpoints::Auto, _) => vec!["s3"],
        }
    }

    fn endpoints(&self, build: &mut Build<'_>) {
        let (vpc, region) = (vpc_address(), &self.stack.region);
        let group = Address::from("network/security-group/endpoints");
        let names = self.endpoint_names();
        if names.iter().any(|name| !GATEWAYS.contains(name)) {
            let tags = build.tags(&group);
            let spec = security_group::Spec {
                vpc: id(&vpc),
                name: format!("{}-endpoints", self.stack.name),
                description: "Who may speak to the VPC endpoints".to_owned(),
                tags,
            };
            build.add(&group, &spec);
            let rule = endpoint_rule();
            let tags = build.tags(&rule);
            let spec = security_group_rule::Spec {
                group: id(&group),
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
            let gateway = GATEWAYS.contains(&name);
            let address = endpoint_address(name);
            let private = || self.zones().map(|zone| id(&subnet_address(false, zone))).collect();
            let tables = || self.zones().map(|zone| id(&private_table(zone))).collect();
            let tags = build.tags(&address);
            let spec = vpc_endpoint::Spec {
                vpc: id(&vpc),
                service: format!("com.amazonaws.{region}.{name}"),
                r#type: if gateway { "Gateway" } else { "Interface" }.to_owned(),
                subnets: if gateway { Vec::new() } else { private() },
                groups: if gateway { Vec::new() } else { vec![id(&group)] },
                route_tables: if gateway { tables() } else { Vec::new() },
                private_dns: !gateway,
                policy: policy::endpoint(name, &self.context.account, region),
                tags,
            };
            build.add(&address, &spec);
        }
    }

    fn flow_log(&self, build: &mut Build<'_>) {
        let Some(settings) = self.network.flow_logs.settings() else { return };
        let (account, region) = (&self.context.account, &self.stack.region);
        let name = flow_log_group(self.stack).unwrap_or_default();
        let key = key_arn(self.stack);
        let group = Address::from("network/flow-log-group");
        let tags = build.tags(&group);
        let retention_days = settings.retention_days;
        build.add(&group, &log_group::Spec { name: name.clone(), retention_days, key, tags });
        let role = Address::from("network/flow-log-role");
        let tags = build.tags(&role);
        let writer = policy::flow_log_writer(account, region, &name);
        let spec = iam_role::Spec {
            name: format!("{}-{region}-flow-logs", self.stack.name),
            description: format!("Writes the flow log of stack {}", self.stack.name),
            trust: policy::flow_log_trust(account, region),
            given: BTreeMap::new(),
            inline: BTreeMap::from([("write-flow-log".to_owned(), writer)]),
            managed: Vec::new(),
            tags,
        };
        build.add(&role, &spec);
        let log = Address::from("network/flow-log");
        let tags = build.tags(&log);
        let spec =
            flow_log::Spec { vpc: id(&vpc_address()), group: In::of(&group, "name"), role: arn(&role), tags };
        build.add(&log, &spec);
    }
}
