"""Route tables, their associations and their routes."""

from __future__ import annotations

from typing import Any

from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.ec2.describe import Item, listing
from provisioner_sandbox.services.ec2.gateways import attached_to
from provisioner_sandbox.services.ec2.regional_nat import owner_of
from provisioner_sandbox.services.ec2.state import nat_state
from provisioner_sandbox.services.ec2.vpc import dependency
from provisioner_sandbox.wire.message import Answer


@handles("ec2", "AssociateRouteTable")
def associate(call: Call) -> dict | Answer:
    backend, table_id, subnet_id = call.backend, call.params["RouteTableId"], call.params.get("SubnetId")
    table = find(backend, table_id)
    for other in backend.route_tables.values():
        for association_id, target in other._associations.items():
            if subnet_id and target == subnet_id:
                if other.id == table_id:
                    return {"AssociationId": association_id, "AssociationState": {"State": "associated"}}
                message = f"the specified association for route table {table_id} conflicts with an existing association"
                raise AwsError("Resource.AlreadyAssociated", message)
    if subnet_id and backend.get_subnet(subnet_id).vpc_id != table.vpc_id:
        message = f"Route table {table_id} and subnet {subnet_id} belong to different networks"
        raise AwsError("InvalidParameterValue", message)
    return call.forward()


@handles("ec2", "DeleteRouteTable")
def delete(call: Call) -> Answer:
    table = find(call.backend, call.params["RouteTableId"])
    if table.main_association_id or table._associations or owner_of(call.backend, table.id):
        raise dependency(f"The routeTable '{table.id}' has dependencies and cannot be deleted.")
    answer = call.forward()
    for endpoint in call.backend.vpc_end_points.values():
        if table.id in endpoint.route_table_ids:
            endpoint.route_table_ids.remove(table.id)
    call.backend.tags.pop(table.id, None)
    return answer


@handles("ec2", "DisassociateRouteTable")
def disassociate(call: Call) -> Answer:
    association_id = call.params["AssociationId"]
    tables = call.backend.route_tables.values()
    if any(table.main_association_id == association_id for table in tables):
        message = f"cannot disassociate the main route table association {association_id}"
        raise AwsError("InvalidParameterValue", message)
    if not any(association_id in table._associations for table in tables):
        message = f"The association ID '{association_id}' does not exist"
        raise AwsError("InvalidAssociationID.NotFound", message)
    return call.forward()


@handles("ec2", "CreateRoute", "ReplaceRoute")
def create_route(call: Call) -> Answer:
    backend = call.backend
    table = find(backend, call.params["RouteTableId"])
    gateway_id, nat_id = call.params.get("GatewayId"), call.params.get("NatGatewayId")
    if nat_id and (nat_id not in backend.nat_gateways or nat_state(backend, nat_id) not in ("pending", "available")):
        message = f"The natGateway ID '{nat_id}' does not exist"
        raise AwsError("InvalidNatGatewayID.NotFound", message)
    if nat_id and backend.nat_gateways[nat_id].vpc_id != table.vpc_id:
        message = f"route table {table.id} and network gateway {nat_id} belong to different networks"
        raise AwsError("InvalidParameterValue", message)
    if gateway_id and gateway_id.startswith("igw-"):
        check_gateway(backend, table, gateway_id)
    return call.forward()


def check_gateway(backend: Any, table: Any, gateway_id: str) -> None:
    gateway = backend.internet_gateways.get(gateway_id)
    if not gateway:
        raise AwsError("InvalidGatewayID.NotFound", f"The gateway ID '{gateway_id}' does not exist")
    if not gateway.vpc or gateway.vpc.id != table.vpc_id:
        message = f"route table {table.id} and network gateway {gateway_id} belong to different networks"
        raise AwsError("InvalidParameterValue", message)


def find(backend: Any, table_id: str) -> Any:
    table = backend.route_tables.get(table_id)
    if not table:
        raise AwsError("InvalidRouteTableID.NotFound", f"The routeTable ID '{table_id}' does not exist")
    return table


def decorate(call: Call, tables: list[Item]) -> list[Item]:
    """A route whose target is gone stays, as a black hole."""
    backend = call.backend
    for table in tables:
        for route in table["Routes"]:
            nat_id, gateway_id = route.get("NatGatewayId"), route.get("GatewayId", "")
            if nat_id and (
                nat_id not in backend.nat_gateways or nat_state(backend, nat_id) not in ("pending", "available")
            ):
                route["State"] = "blackhole"
            if gateway_id.startswith("igw-"):
                gateway = attached_to(backend, table["VpcId"])
                if not gateway or gateway.id != gateway_id:
                    route["State"] = "blackhole"
    return tables


listing(
    result="RouteTables",
    id_member="RouteTableId",
    not_found=("InvalidRouteTableID.NotFound", "The routeTable ID '{}' does not exist"),
    decorate=decorate,
    filters={
        "association.gateway-id": "Associations[].GatewayId",
        "association.route-table-association-id": "Associations[].RouteTableAssociationId",
        "association.route-table-id": "Associations[].RouteTableId",
        "association.subnet-id": "Associations[].SubnetId",
        "association.main": "Associations[].Main",
        "owner-id": "OwnerId",
        "route-table-id": "RouteTableId",
        "route.destination-cidr-block": "Routes[].DestinationCidrBlock",
        "route.destination-ipv6-cidr-block": "Routes[].DestinationIpv6CidrBlock",
        "route.destination-prefix-list-id": "Routes[].DestinationPrefixListId",
        "route.egress-only-internet-gateway-id": "Routes[].EgressOnlyInternetGatewayId",
        "route.gateway-id": "Routes[].GatewayId",
        "route.instance-id": "Routes[].InstanceId",
        "route.nat-gateway-id": "Routes[].NatGatewayId",
        "route.transit-gateway-id": "Routes[].TransitGatewayId",
        "route.origin": "Routes[].Origin",
        "route.state": "Routes[].State",
        "route.vpc-peering-connection-id": "Routes[].VpcPeeringConnectionId",
        "vpc-id": "VpcId",
    },
)
