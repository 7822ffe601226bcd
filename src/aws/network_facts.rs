//! What an existing network is like: how its subnets reach the internet, their zones and free addresses, the DNS attributes
//! of the VPC, and its endpoints.

use super::{Call, Clients, MissingField, Tags, filter, from_ec2, required};
use crate::model::CallError;
use aws_sdk_ec2::types::{RouteTable, Subnet, VpcAttributeName};
use std::collections::{BTreeMap, BTreeSet};

/// Where a subnet's default route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WayOut {
    /// To an internet gateway: the subnet is public.
    InternetGateway,
    /// To anything else: a NAT gateway, a transit gateway, an appliance.
    Other,
    /// Nowhere.
    None,
}

/// A subnet of an existing network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubnetFacts {
    /// Its id.
    pub id: String,
    /// The name of its zone.
    pub zone: String,
    /// Addresses that nothing uses.
    pub free_addresses: i32,
    /// Whether instances get a public address in it.
    pub gives_public_addresses: bool,
    /// Where its default route leads.
    pub way_out: WayOut,
}

/// An existing network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkFacts {
    /// The subnets that were asked for and are in the VPC.
    pub subnets: Vec<SubnetFacts>,
    /// Whether the VPC resolves names.
    pub dns_support: bool,
    /// Whether instances in the VPC have DNS names.
    pub dns_hostnames: bool,
    /// The services that the VPC has an endpoint for, without the region: `ecr.api`.
    pub endpoints: BTreeSet<String>,
}

/// Returns the facts of a VPC and of these subnets of it.
pub async fn network_facts(
    clients: &Clients,
    vpc: &str,
    subnets: &[String],
) -> Result<NetworkFacts, CallError> {
    let ec2 = &clients.ec2;
    let here = || filter("vpc-id", vec![vpc.to_owned()]);
    let attribute = async |name: VpcAttributeName| {
        ec2.describe_vpc_attribute().vpc_id(vpc).attribute(name).send().await.call()
    };
    let (found, tables, endpoints, support, hostnames) = futures_util::try_join!(
        async {
            let call = ec2.describe_subnets().filters(here()).filters(filter("subnet-id", subnets.to_vec()));
            let all: Result<Vec<Subnet>, _> = call.into_paginator().items().send().try_collect().await;
            all.call()
        },
        async {
            let call = ec2.describe_route_tables().filters(here());
            let all: Result<Vec<RouteTable>, _> = call.into_paginator().items().send().try_collect().await;
            all.call()
        },
        async {
            let call = ec2.describe_vpc_endpoints().filters(here());
            let all: Result<Vec<_>, _> = call.into_paginator().items().send().try_collect().await;
            all.call()
        },
        attribute(VpcAttributeName::EnableDnsSupport),
        attribute(VpcAttributeName::EnableDnsHostnames),
    )?;
    let missing = |field: MissingField| {
        field.in_answer_of::<aws_sdk_ec2::operation::describe_subnets::DescribeSubnetsError>()
    };
    let facts = found.into_iter().map(|subnet| facts(subnet, &tables)).collect::<Result<_, _>>();
    let is_on = |value: Option<&aws_sdk_ec2::types::AttributeBooleanValue>| {
        value.and_then(|value| value.value).unwrap_or_default()
    };
    let names = endpoints.iter().filter_map(|endpoint| endpoint.service_name());
    Ok(NetworkFacts {
        subnets: facts.map_err(missing)?,
        dns_support: is_on(support.enable_dns_support()),
        dns_hostnames: is_on(hostnames.enable_dns_hostnames()),
        endpoints: names.filter_map(|name| Some(name.splitn(4, '.').nth(3)?.to_owned())).collect(),
    })
}

/// Returns the tags of those of these subnets that exist.
pub async fn subnet_tags_of(
    clients: &Clients,
    subnets: &[String],
) -> Result<BTreeMap<String, Tags>, CallError> {
    let call = clients.ec2.describe_subnets().filters(filter("subnet-id", subnets.to_vec()));
    let found: Result<Vec<Subnet>, _> = call.into_paginator().items().send().try_collect().await;
    let tags = found.call()?.into_iter().filter_map(|subnet| {
        let tags = from_ec2(subnet.tags.as_deref());
        Some((subnet.subnet_id?, tags))
    });
    Ok(tags.collect())
}

fn facts(subnet: Subnet, tables: &[RouteTable]) -> Result<SubnetFacts, MissingField> {
    let id = required(subnet.subnet_id, "subnetId")?;
    Ok(SubnetFacts {
        zone: required(subnet.availability_zone, "availabilityZone")?,
        free_addresses: required(subnet.available_ip_address_count, "availableIpAddressCount")?,
        gives_public_addresses: subnet.map_public_ip_on_launch.unwrap_or_default(),
        way_out: way_out(&id, tables),
        id,
    })
}

/// Returns where the default route of a subnet leads. A subnet without a table of its own has the main one.
/// Source: <https://docs.aws.amazon.com/vpc/latest/userguide/subnet-route-tables.html>
fn way_out(subnet: &str, tables: &[RouteTable]) -> WayOut {
    let own = |table: &&RouteTable| table.associations().iter().any(|it| it.subnet_id() == Some(subnet));
    let main = |table: &&RouteTable| table.associations().iter().any(|it| it.main == Some(true));
    let Some(table) = tables.iter().find(own).or_else(|| tables.iter().find(main)) else {
        return WayOut::None;
    };
    let route = table.routes().iter().find(|route| {
        let is_default = route.destination_cidr_block() == Some("0.0.0.0/0");
        is_default && route.state() != Some(&aws_sdk_ec2::types::RouteState::Blackhole)
    });
    match route {
        Some(route) if route.gateway_id().is_some_and(|id| id.starts_with("igw-")) => WayOut::InternetGateway,
        Some(_) => WayOut::Other,
        None => WayOut::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ec2::types::{Route, RouteState, RouteTableAssociation};

    fn table(association: RouteTableAssociation, routes: &[(&str, &str)]) -> RouteTable {
        let routes = routes.iter().map(|(to, gateway)| {
            let route = Route::builder().destination_cidr_block(*to).state(RouteState::Active);
            match gateway.starts_with("nat-") {
                true => route.nat_gateway_id(*gateway).build(),
                false => route.gateway_id(*gateway).build(),
            }
        });
        RouteTable::builder().associations(association).set_routes(Some(routes.collect())).build()
    }

    #[test]
    fn a_subnet_is_what_the_default_route_of_its_table_makes_it() {
        let of = |subnet: &str| RouteTableAssociation::builder().subnet_id(subnet).build();
        let tables = [
            table(of("public"), &[("10.0.0.0/16", "local"), ("0.0.0.0/0", "igw-1")]),
            table(of("private"), &[("10.0.0.0/16", "local"), ("0.0.0.0/0", "nat-1")]),
            table(of("closed"), &[("10.0.0.0/16", "local"), ("192.0.2.0/24", "igw-1")]),
            table(RouteTableAssociation::builder().main(true).build(), &[("0.0.0.0/0", "igw-1")]),
        ];
        assert_eq!(way_out("public", &tables), WayOut::InternetGateway);
        assert_eq!(way_out("private", &tables), WayOut::Other);
        assert_eq!(way_out("closed", &tables), WayOut::None);
        assert_eq!(way_out("of the main table", &tables), WayOut::InternetGateway);
    }
}
