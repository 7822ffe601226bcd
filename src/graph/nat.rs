//! The NAT gateways, through which private subnets reach the internet.

use super::{
    addresses::{gateway_address, private_table, subnet_address, vpc_address},
    graph_builder::GraphBuilder,
};
use crate::{
    model::{Address, In},
    resources::{elastic_ip, nat_gateway, route, route_table, subnet, vpc},
    stack::Nat,
};

/// The destination of a default route.
pub(super) const ANYWHERE: &str = "0.0.0.0/0";

/// Adds the NAT gateways, their Elastic IP addresses, and the routes of the private subnets to them.
///
/// The addresses of zonal gateways contain the zone, so that a change from `single` to `per-zone` keeps the first one.
/// From and to `regional` the routes are moved while old and new gateways exist.
pub(super) fn nat_gateways(build: &mut GraphBuilder<'_>, nat: Nat, zones: &[String]) {
    let through: Vec<(&String, In<String>)> = match nat {
        Nat::None => return,
        Nat::Regional => {
            let id = regional(build);
            zones.iter().map(|zone| (zone, id.clone())).collect()
        }
        Nat::Single => match zones.first().map(|zone| zonal(build, zone)) {
            Some(id) => zones.iter().map(|zone| (zone, id.clone())).collect(),
            None => return,
        },
        Nat::PerZone => zones.iter().map(|zone| (zone, zonal(build, zone))).collect(),
    };
    for (zone, id) in through {
        let spec = route::Spec {
            table: route_table::ID.of(&private_table(zone)),
            destination: ANYWHERE.to_owned(),
            gateway: None,
            nat: Some(id),
        };
        build.add(&Address::new(format!("network/route/private-{zone}")), &spec);
    }
}

/// Adds the gateway of a zone with its Elastic IP address, and returns its ID.
fn zonal(build: &mut GraphBuilder<'_>, zone: &str) -> In<String> {
    let address = Address::new(format!("network/elastic-ip/{zone}"));
    let tags = build.tags(&address);
    build.add(&address, &elastic_ip::Spec { tags });
    let gateway = Address::new(format!("network/nat-gateway/{zone}"));
    let spec = nat_gateway::Spec {
        subnet: Some(subnet::ID.of(&subnet_address(true, zone))),
        allocation: Some(elastic_ip::ID.of(&address)),
        vpc: None,
        tags: build.tags(&gateway),
    };
    // Creating a public NAT gateway fails while the VPC has no attached internet gateway. It also depends on the route of
    // its own subnet, so that what is deleted before it can still reach AWS.
    let way = Address::new(format!("network/association/public-{zone}"));
    build.add_after(&gateway, &spec, &[&gateway_address(), &Address::from("network/route/public"), &way]);
    nat_gateway::ID.of(&gateway)
}

/// Adds the gateway of all zones, whose subnets and Elastic IP addresses AWS chooses, and returns its ID.
/// Source: <https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateways-regional.html>
fn regional(build: &mut GraphBuilder<'_>) -> In<String> {
    let gateway = Address::from("network/nat-gateway/regional");
    let spec = nat_gateway::Spec {
        subnet: None,
        allocation: None,
        vpc: Some(vpc::ID.of(&vpc_address())),
        tags: build.tags(&gateway),
    };
    build.add_after(&gateway, &spec, &[&gateway_address()]);
    nat_gateway::ID.of(&gateway)
}
