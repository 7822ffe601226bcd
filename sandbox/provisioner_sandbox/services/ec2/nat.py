"""NAT gateways."""

from __future__ import annotations

from typing import Any

from moto.ec2.utils import random_private_ip

from provisioner_sandbox import quotas
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.ec2 import regional_nat
from provisioner_sandbox.services.ec2.describe import Item, listing
from provisioner_sandbox.services.ec2.gateways import attached_to
from provisioner_sandbox.services.ec2.interfaces import managed_interface
from provisioner_sandbox.services.ec2.requesters import NAT_GATEWAY
from provisioner_sandbox.services.ec2.state import ec2_state, nat_state

# AWS takes the request and fails later:
# https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-troubleshooting.html
NO_GATEWAY = "Gateway.NotAttached"
NO_ROOM = ("InsufficientFreeAddressesInSubnet", "Subnet has insufficient free addresses to create this NAT gateway")


@handles("ec2", "CreateNatGateway")
def create(call: Call) -> dict:
    backend, params = call.backend, call.params
    if params.get("AvailabilityMode") == regional_nat.REGIONAL:
        return described(call, regional_nat.create(backend, ec2_state(backend), params).id)
    check_zonal(params)
    public = params.get("ConnectivityType", "public") == "public"
    allocation_id = params.get("AllocationId")
    if public:
        check_address(backend, allocation_id)
    elif allocation_id:
        message = "AllocationId cannot be specified for a NAT gateway with private connectivity"
        raise AwsError("InvalidParameterCombination", message)
    check_quota(backend, params["SubnetId"])
    is_full = backend.get_subnet(params["SubnetId"]).available_ip_address_count < 1
    result = call.moto({**params, "ConnectivityType": "public" if public else "private"})
    nat = backend.nat_gateways[result["NatGateway"]["NatGatewayId"]]
    managed_interface(nat._eni, NAT_GATEWAY, f"Interface for NAT Gateway {nat.id}")
    place_interface(nat)
    state = ec2_state(backend)
    state.begin(nat.id)
    if public and not attached_to(backend, nat.vpc_id):
        state.failures[nat.id] = (NO_GATEWAY, f"Network {nat.vpc_id} has no Internet gateway attached")
    elif is_full:
        state.failures[nat.id] = NO_ROOM
    return described(call, nat.id)


def described(call: Call, nat_id: str) -> dict:
    found = call.moto({"NatGatewayIds": [nat_id]}, "DescribeNatGateways")["NatGateways"]
    return {"NatGateway": decorate(call, found)[0], "ClientToken": call.params.get("ClientToken")}


def check_zonal(params: dict[str, Any]) -> None:
    """What a gateway of one zone needs, and what belongs to a regional one only."""
    if not params.get("SubnetId"):
        raise AwsError("MissingParameter", "The request must contain the parameter SubnetId")
    for member in ("VpcId", "AvailabilityZoneAddresses"):
        if params.get(member):
            message = f"{member} can only be specified for a NAT gateway with the availability mode regional"
            raise AwsError("InvalidParameterCombination", message)


def place_interface(nat: Any) -> None:
    """Into its subnet's range, and without a group: moto takes any address and the default group."""
    interface = nat._eni
    address = random_private_ip(interface.subnet.cidr_block)
    interface.private_ip_address = address
    interface.private_ip_addresses = [{"Primary": True, "PrivateIpAddress": address}]
    interface._group_set = []
    interface.source_dest_check = False
    nat.private_ip = address
    for entry in nat.address_set:
        entry["privateIp"] = address


def check_quota(backend: Any, subnet_id: str) -> None:
    """Each zone has its own; what failed or is deleted does not count.

    https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html#vpc-limits-gateways
    """
    zones = {subnet.id: subnet.availability_zone for by_zone in backend.subnets.values() for subnet in by_zone.values()}
    used = sum(
        zones.get(nat.subnet_id) == zones.get(subnet_id) and nat_state(backend, nat.id) not in ("deleted", "failed")
        for nat in backend.nat_gateways.values()
    )
    message = "Performing this operation would exceed the limit of {} NAT gateways"
    quotas.check(quotas.NAT_GATEWAYS_PER_ZONE, used, "NatGatewayLimitExceeded", message)


def check_address(backend: Any, allocation_id: str | None) -> None:
    if not allocation_id:
        raise AwsError("MissingParameter", "The request must contain the parameter AllocationId")
    address = next((eip for eip in backend.addresses if eip.allocation_id == allocation_id), None)
    if not address:
        message = f"The elasticIp ID '{allocation_id}' does not exist"
        raise AwsError("InvalidElasticIpID.NotFound", message)
    if address.association_id:
        message = f"Elastic IP address [{allocation_id}] is already associated"
        raise AwsError("Resource.AlreadyAssociated", message)


@handles("ec2", "DeleteNatGateway")
def delete(call: Call) -> dict:
    nat_id = call.params["NatGatewayId"]
    if nat_id not in call.backend.nat_gateways:
        raise AwsError("NatGatewayNotFound", f"NatGateway {nat_id} was not found")
    ec2_state(call.backend).end(nat_id)
    return {"NatGatewayId": nat_id}


def decorate(call: Call, items: list[Item]) -> list[Item]:
    backend = call.backend
    state = ec2_state(backend)
    for item in items:
        nat = backend.nat_gateways[item["NatGatewayId"]]
        item["State"] = nat_state(backend, nat.id)
        item["ConnectivityType"] = nat.connectivity_type or "public"
        regional_nat.describe(nat, item, item["State"])
        if item["State"] == "deleted":
            item["DeleteTime"] = state.ended[nat.id]
        if item["State"] == "failed":
            item["FailureCode"], item["FailureMessage"] = state.failures[nat.id]
    return items


listing(
    result="NatGateways",
    id_member="NatGatewayId",
    not_found=("NatGatewayNotFound", "NatGateway {} was not found"),
    filters_param="Filter",
    decorate=decorate,
    filters={
        "nat-gateway-id": "NatGatewayId",
        "state": "State",
        "subnet-id": "SubnetId",
        "vpc-id": "VpcId",
    },
)
