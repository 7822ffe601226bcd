"""What of AWS the nodes in a subnet reach: by its route table, or by the endpoints of its VPC.

https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
https://docs.aws.amazon.com/eks/latest/userguide/private-clusters.html
"""

from __future__ import annotations

import ipaddress
from typing import Any

from provisioner_sandbox.services.ec2.endpoints import is_on
from provisioner_sandbox.services.ec2.gateways import attached_to
from provisioner_sandbox.services.ec2.state import endpoint_state, nat_state

ANYWHERE = "0.0.0.0/0"
HTTPS = 443
# What a node needs to start and to pull its images, if there is no way out of its subnet.
NEEDED = ("ec2", "ecr.api", "ecr.dkr", "s3")
INTERNET, ELSEWHERE = "internet", "elsewhere"


def has_dns(vpc: Any) -> bool:
    """ "The VPC must have DNS hostname and DNS resolution support. Otherwise, nodes can't register to your cluster." """
    return is_on(vpc.enable_dns_support) and is_on(vpc.enable_dns_hostnames)


def table_of(ec2: Any, subnet: Any) -> Any:
    """The subnet's own route table, or the main one of its VPC."""
    tables = [table for table in ec2.route_tables.values() if table.vpc_id == subnet.vpc_id]
    own = [table for table in tables if subnet.id in table._associations.values()]
    return next(iter(own or [table for table in tables if table.main_association_id]), None)


def is_public(ec2: Any, subnet: Any) -> bool:
    """Whether its route table has a route to an internet gateway, wherever it leads."""
    table = table_of(ec2, subnet)
    return any(route.gateway and route.gateway.id.startswith("igw-") for route in (table.routes if table else []))


def way_out(ec2: Any, subnet: Any) -> str | None:
    """Where the subnet's default route leads: `INTERNET` through an internet gateway, `ELSEWHERE`, or nowhere."""
    table = table_of(ec2, subnet)
    for route in table.routes if table else []:
        if route.destination_cidr_block != ANYWHERE:
            continue
        if route.nat_gateway is not None:
            return ELSEWHERE if translates(ec2, route.nat_gateway.id) else None
        if route.gateway is not None and route.gateway.id.startswith("igw-"):
            gateway = ec2.internet_gateways.get(route.gateway.id)
            return INTERNET if gateway and gateway.vpc and gateway.vpc.id == subnet.vpc_id else None
        return ELSEWHERE
    return None


def translates(ec2: Any, nat_id: str) -> bool:
    """A public NAT gateway needs a way to the internet of its own, which AWS makes for a regional one; where a private one
    leads is not known here."""
    nat = ec2.nat_gateways.get(nat_id)
    if nat is None or nat_state(ec2, nat_id) not in ("pending", "available"):
        return False
    if nat.subnet_id is None:
        return attached_to(ec2, nat.vpc_id) is not None
    return nat.connectivity_type == "private" or way_out(ec2, ec2.get_subnet(nat.subnet_id)) == INTERNET


def missing_endpoints(ec2: Any, subnet: Any, node_groups: list[str]) -> list[str]:
    """The services that nodes in the subnet, with these security groups, do not reach through endpoints."""
    reached = {
        endpoint.service_name.split(".", 3)[3]
        for endpoint in ec2.vpc_end_points.values()
        if endpoint.vpc_id == subnet.vpc_id
        and endpoint_state(ec2, endpoint) == "available"
        and is_reached(ec2, endpoint, subnet, node_groups)
    }
    return [service for service in NEEDED if service not in reached]


def is_reached(ec2: Any, endpoint: Any, subnet: Any, node_groups: list[str]) -> bool:
    if endpoint.vpc_endpoint_type == "Gateway":
        table = table_of(ec2, subnet)
        return table is not None and table.id in endpoint.route_table_ids
    groups = [ec2.get_security_group_from_id(group_id) for group_id in endpoint.security_group_ids]
    rules = [rule for group in groups if group for rule in group.ingress_rules]
    return endpoint.private_dns_enabled and any(admits(rule, subnet, node_groups) for rule in rules)


def admits(rule: Any, subnet: Any, node_groups: list[str]) -> bool:
    """Whether a rule lets HTTPS in from nodes in the subnet. What is behind a prefix list is taken for them."""
    if rule.ip_protocol not in ("-1", "tcp"):
        return False
    if rule.ip_protocol == "tcp" and not rule.from_port <= HTTPS <= rule.to_port:
        return False
    block = rule.ip_range.get("CidrIp")
    if block:
        return ipaddress.ip_network(subnet.cidr_block).subnet_of(ipaddress.ip_network(block))
    return bool(rule.prefix_list_id) or rule.source_group.get("GroupId") in node_groups
