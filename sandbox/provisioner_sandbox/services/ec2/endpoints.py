"""VPC endpoints: gateway ones are routes, interface ones are network interfaces in subnets."""

from __future__ import annotations

import json
from typing import Any

from moto.ec2.utils import random_resource_id

from provisioner_sandbox import endpoint_zones, quotas
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.ec2.describe import Item, listing
from provisioner_sandbox.services.ec2.endpoint_services import GATEWAY_SERVICES, known
from provisioner_sandbox.services.ec2.interfaces import create_managed
from provisioner_sandbox.services.ec2.requesters import ENDPOINT
from provisioner_sandbox.services.ec2.routes import find as find_table
from provisioner_sandbox.services.ec2.state import drop_interface, ec2_state, endpoint_state, remove


@handles("ec2", "CreateVpcEndpoint")
def create(call: Call) -> dict:
    backend, params = call.backend, call.params
    kind = params.get("VpcEndpointType", "Gateway")
    # For AWS's own services it is on unless switched off.
    private_dns = kind == "Interface" and params.get("PrivateDnsEnabled", True)
    groups = check_create(call, kind == "Gateway", private_dns)
    # What it is made of comes afterwards, by the ways that ModifyVpcEndpoint takes too.
    parts = ("RouteTableIds", "SubnetIds", "SecurityGroupIds")
    bare = {name: value for name, value in params.items() if name not in parts}
    made = call.moto({**bare, "VpcEndpointType": kind, "PrivateDnsEnabled": private_dns})
    endpoint = backend.vpc_end_points[made["VpcEndpoint"]["VpcEndpointId"]]
    endpoint.route_table_ids, endpoint.subnet_ids = [], []
    if kind == "Gateway":
        endpoint.destination_prefix_list_id = prefix_list_id(backend, endpoint.service_name)
    else:
        endpoint.security_group_ids = groups or [backend.get_default_security_group(endpoint.vpc_id).id]
        endpoint.dns_entries[0]["dns_name"] = f"{endpoint.id}-{random_resource_id(8)}.{domain(endpoint, 'vpce.')}"
    for table_id in params.get("RouteTableIds") or []:
        add_table(backend, endpoint, table_id)
    for subnet_id in params.get("SubnetIds") or []:
        add_subnet(backend, endpoint, subnet_id)
    ec2_state(backend).begin(endpoint.id)
    return {"VpcEndpoint": describe_one(call, endpoint.id), "ClientToken": params.get("ClientToken")}


def check_create(call: Call, gateway: bool, private_dns: bool) -> list[str]:
    backend, params = call.backend, call.params
    vpc, service = backend.vpcs.get(params["VpcId"]), params.get("ServiceName", "")
    if not vpc:
        raise AwsError("InvalidVpcId.NotFound", f"The Vpc Id {params['VpcId']} does not exist")
    check_service(call, service, gateway)
    if not gateway:
        check_quota(backend, vpc)
    check_policy(params.get("PolicyDocument"))
    for table_id in params.get("RouteTableIds") or []:
        check_table(backend, vpc, service, table_id)
    check_subnets(backend, vpc, service, params.get("SubnetIds") or [])
    groups = check_groups(backend, vpc, params.get("SecurityGroupIds") or [])
    if private_dns:
        check_private_dns(backend, vpc, service)
    return groups


def check_quota(backend: Any, vpc: Any) -> None:
    used = sum(
        endpoint.vpc_id == vpc.id and endpoint.vpc_endpoint_type == "Interface"
        for endpoint in backend.vpc_end_points.values()
    )
    message = "The maximum number of VPC endpoints has been reached."
    quotas.check(quotas.INTERFACE_ENDPOINTS_PER_VPC, used, "VpcEndpointLimitExceeded", message)


def describe_one(call: Call, endpoint_id: str) -> Item:
    items = call.moto({"VpcEndpointIds": [endpoint_id]}, "DescribeVpcEndpoints")["VpcEndpoints"]
    return decorate(call, items)[0]


def check_service(call: Call, name: str, gateway: bool) -> None:
    if not known(call.region, name):
        raise AwsError("InvalidServiceName", f"The Vpc Endpoint Service '{name}' does not exist")
    if gateway and name.rpartition(".")[2] not in GATEWAY_SERVICES:
        message = f"The VPC endpoint service {name} does not support the endpoint type Gateway"
        raise AwsError("InvalidParameter", message)


def check_policy(document: str | None) -> None:
    if not document:
        return
    try:
        valid = isinstance(json.loads(document).get("Statement"), (list, dict))
    except (ValueError, AttributeError):
        valid = False
    if not valid:
        raise AwsError("InvalidPolicyDocument", "Policy document should not be malformed.")


def check_table(backend: Any, vpc: Any, service: str, table_id: str) -> None:
    table = find_table(backend, table_id)
    if table.vpc_id != vpc.id:
        message = f"Route table {table_id} and VPC {vpc.id} belong to different networks"
        raise AwsError("InvalidParameter", message)
    for other in backend.vpc_end_points.values():
        if other.service_name == service and table_id in other.route_table_ids:
            prefix_list = other.destination_prefix_list_id
            message = f"route table {table_id} already has a route with destination-prefix-list-id {prefix_list}"
            raise AwsError("RouteAlreadyExists", message)


def check_subnets(
    backend: Any, vpc: Any, service: str, subnet_ids: list[str], taken: list[str] | None = None
) -> None:
    """All of the VPC, one for each availability zone, and each in a zone that has the service.

    https://docs.aws.amazon.com/vpc/latest/privatelink/create-interface-endpoint.html
    https://github.com/terraform-aws-modules/terraform-aws-vpc/issues/462
    """
    zones = {backend.get_subnet(subnet_id).availability_zone for subnet_id in taken or []}
    for subnet_id in subnet_ids:
        subnet = find_subnet(backend, subnet_id)
        if subnet.vpc_id != vpc.id:
            raise AwsError("InvalidParameter", f"Subnet {subnet_id} does not belong to VPC {vpc.id}")
        if not endpoint_zones.has(service, subnet.availability_zone):
            message = (
                f"The VPC endpoint service {service} does not support the availability zone of the subnet: {subnet_id}."
            )
            raise AwsError("InvalidParameter", message)
        if subnet.availability_zone in zones:
            message = "Found another VPC endpoint subnet in the availability zone of " + subnet_id
            raise AwsError("DuplicateSubnetsInSameZone", message)
        zones.add(subnet.availability_zone)


def find_subnet(backend: Any, subnet_id: str) -> Any:
    subnet = next((zone[subnet_id] for zone in backend.subnets.values() if subnet_id in zone), None)
    if not subnet:
        raise AwsError("InvalidSubnetId.NotFound", f"The subnet ID '{subnet_id}' does not exist")
    return subnet


def check_groups(backend: Any, vpc: Any, group_ids: list[str]) -> list[str]:
    for group_id in group_ids:
        group = backend.get_security_group_from_id(group_id)
        if not group or group.vpc_id != vpc.id:
            raise AwsError("InvalidSecurityGroupId.NotFound", f"The security group ID '{group_id}' does not exist")
    return list(group_ids)


def check_private_dns(backend: Any, vpc: Any, service: str, own_id: str | None = None) -> None:
    if not (is_on(vpc.enable_dns_support) and is_on(vpc.enable_dns_hostnames)):
        message = (
            "Enabling private DNS requires both enableDnsSupport and enableDnsHostnames VPC attributes set to true "
            f"for {vpc.id}"
        )
        raise AwsError("InvalidParameter", message)
    for other in backend.vpc_end_points.values():
        same = other.vpc_id == vpc.id and other.service_name == service and other.id != own_id
        if same and other.private_dns_enabled and other.vpc_endpoint_type == "Interface":
            message = (
                "private-dns-enabled cannot be set because there is already a conflicting DNS domain for "
                f"{domain(other)} in the VPC {vpc.id}"
            )
            raise AwsError("InvalidParameter", message)


def domain(endpoint: Any, zone: str = "") -> str:
    """com.amazonaws.REGION.ecr.api is api.ecr.REGION.amazonaws.com."""
    _, _, region, *name = endpoint.service_name.split(".")
    return ".".join([*reversed(name), region, f"{zone}amazonaws.com"])


def is_on(attribute: Any) -> bool:
    """moto keeps a VPC attribute as it came: a boolean or its text."""
    return str(attribute).lower() == "true"


def prefix_list_id(backend: Any, service: str) -> str | None:
    return next(
        (listed.id for listed in backend.managed_prefix_lists.values() if listed.prefix_list_name == service), None
    )


def add_table(backend: Any, endpoint: Any, table_id: str) -> None:
    endpoint.route_table_ids.append(table_id)
    backend.create_route(
        table_id, None, gateway_id=endpoint.id, destination_prefix_list_id=endpoint.destination_prefix_list_id
    )


def remove_table(backend: Any, endpoint: Any, table_id: str) -> None:
    endpoint.route_table_ids.remove(table_id)
    table = backend.route_tables.get(table_id)
    if table:
        routes = table._routes
        mine = [
            key
            for key, route in routes.items()
            if route.destination_prefix_list_id == endpoint.destination_prefix_list_id
        ]
        for key in mine:
            del routes[key]


def add_subnet(backend: Any, endpoint: Any, subnet_id: str) -> None:
    endpoint.subnet_ids.append(subnet_id)
    description = f"VPC Endpoint Interface {endpoint.id}"
    interface = create_managed(backend, subnet_id, endpoint.security_group_ids, ENDPOINT, description)
    endpoint.network_interface_ids.append(interface.id)


def remove_subnet(backend: Any, endpoint: Any, subnet_id: str) -> None:
    endpoint.subnet_ids.remove(subnet_id)
    for interface_id in list(endpoint.network_interface_ids):
        if backend.enis[interface_id].subnet.id == subnet_id:
            endpoint.network_interface_ids.remove(interface_id)
            drop_interface(backend, interface_id)


@handles("ec2", "ModifyVpcEndpoint")
def modify(call: Call) -> dict:
    backend, params = call.backend, call.params
    endpoint = find(backend, params["VpcEndpointId"])
    vpc = backend.vpcs[endpoint.vpc_id]
    check_policy(params.get("PolicyDocument"))
    removed_subnets = [s for s in params.get("RemoveSubnetIds", []) if s in endpoint.subnet_ids]
    added_subnets = [s for s in params.get("AddSubnetIds", []) if s not in endpoint.subnet_ids]
    kept = [s for s in endpoint.subnet_ids if s not in removed_subnets]
    check_subnets(backend, vpc, endpoint.service_name, added_subnets, kept)
    added_tables = [t for t in params.get("AddRouteTableIds", []) if t not in endpoint.route_table_ids]
    for table_id in added_tables:
        check_table(backend, vpc, endpoint.service_name, table_id)
    added_groups = check_groups(backend, vpc, params.get("AddSecurityGroupIds", []))
    if params.get("PrivateDnsEnabled"):
        check_private_dns(backend, vpc, endpoint.service_name, endpoint.id)
    for table_id in [t for t in params.get("RemoveRouteTableIds", []) if t in endpoint.route_table_ids]:
        remove_table(backend, endpoint, table_id)
    for table_id in added_tables:
        add_table(backend, endpoint, table_id)
    change_groups(backend, endpoint, added_groups, params.get("RemoveSecurityGroupIds", []))
    for subnet_id in removed_subnets:
        remove_subnet(backend, endpoint, subnet_id)
    for subnet_id in added_subnets:
        add_subnet(backend, endpoint, subnet_id)
    if params.get("ResetPolicy"):
        endpoint.policy_document = json.dumps(endpoint.DEFAULT_POLICY)
    if params.get("PolicyDocument"):
        endpoint.policy_document = params["PolicyDocument"]
    if "PrivateDnsEnabled" in params:
        endpoint.private_dns_enabled = params["PrivateDnsEnabled"]
    return {"Return": True}


def change_groups(backend: Any, endpoint: Any, added: list[str], removed: list[str]) -> None:
    groups = [g for g in endpoint.security_group_ids if g not in removed]
    groups += [g for g in added if g not in groups]
    if endpoint.vpc_endpoint_type == "Interface" and not groups:
        raise AwsError("InvalidParameter", "An interface endpoint must have at least one security group")
    endpoint.security_group_ids = groups
    for interface_id in endpoint.network_interface_ids:
        backend.enis[interface_id]._group_set = [backend.get_security_group_from_id(g) for g in groups]


def find(backend: Any, endpoint_id: str) -> Any:
    endpoint = backend.vpc_end_points.get(endpoint_id)
    if not endpoint:
        message = f"The VpcEndPoint ID '{endpoint_id}' does not exist"
        raise AwsError("InvalidVpcEndpointId.NotFound", message)
    return endpoint


@handles("ec2", "DeleteVpcEndpoints")
def delete(call: Call) -> dict:
    backend = call.backend
    unsuccessful = []
    for endpoint_id in call.params["VpcEndpointIds"]:
        endpoint = backend.vpc_end_points.get(endpoint_id)
        if not endpoint:
            message = f"The Vpc Endpoint Id '{endpoint_id}' does not exist"
            error = {"Code": "InvalidVpcEndpoint.NotFound", "Message": message}
            unsuccessful.append({"ResourceId": endpoint_id, "Error": error})
        elif endpoint.vpc_endpoint_type == "Interface":
            ec2_state(backend).end(endpoint_id)
        else:
            for table_id in list(endpoint.route_table_ids):
                remove_table(backend, endpoint, table_id)
            remove(backend, backend.vpc_end_points, endpoint_id)
    return {"Unsuccessful": unsuccessful}


def decorate(call: Call, items: list[Item]) -> list[Item]:
    backend = call.backend
    for item in items:
        item["State"] = endpoint_state(backend, backend.vpc_end_points[item["VpcEndpointId"]])
        item.setdefault("IpAddressType", "ipv4")
        item["ServiceRegion"] = call.region
        item["RequesterManaged"] = False
    return items


listing(
    result="VpcEndpoints",
    id_member="VpcEndpointId",
    not_found=("InvalidVpcEndpointId.NotFound", "The VpcEndPoint ID '{}' does not exist"),
    decorate=decorate,
    filters={
        "ip-address-type": "IpAddressType",
        "service-name": "ServiceName",
        "service-region": "ServiceRegion",
        "vpc-id": "VpcId",
        "vpc-endpoint-id": "VpcEndpointId",
        "vpc-endpoint-state": "State",
        "vpc-endpoint-type": "VpcEndpointType",
    },
)

listing(
    result="PrefixLists",
    id_member="PrefixListId",
    not_found=("InvalidPrefixListId.NotFound", "The prefix list ID '{}' does not exist"),
    taggable=False,
    filters={"prefix-list-id": "PrefixListId", "prefix-list-name": "PrefixListName"},
)
