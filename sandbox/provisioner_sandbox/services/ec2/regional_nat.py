"""NAT gateways of a whole VPC, with an address in each zone.

https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateways-regional.html; members: NatGateway and
CreateNatGatewayRequest in botocore's model of EC2. AWS documents no error for members that exclude each other.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from moto.core.utils import utcnow
from moto.ec2.models.nat_gateways import NatGateway
from moto.ec2.utils import random_eip_association_id, random_nat_gateway_id

from provisioner_sandbox.clock import CLOCK
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.services.ec2.addresses import RNAT, mark_managed
from provisioner_sandbox.services.ec2.gateways import attached_to
from provisioner_sandbox.services.ec2.state import Ec2State, nat_state

REGIONAL, ZONAL = "regional", "zonal"
# AWS seconds from a zone's first interface until the gateway is there: "up to 60 minutes", mostly 15 to 20. Until then
# another zone carries the traffic.
EXPANSION = 1200
ANYWHERE = "0.0.0.0/0"
# What belongs to a zonal gateway.
ZONAL_MEMBERS = (
    "SubnetId", "AllocationId", "PrivateIpAddress", "SecondaryAllocationIds", "SecondaryPrivateIpAddresses",
    "SecondaryPrivateIpAddressCount",
)  # fmt: skip


class RegionalNat(NatGateway):
    """moto's gateway without a subnet and an interface of the account."""

    def __init__(self, backend: Any, vpc_id: str, tags: dict[str, str], is_manual: bool):
        self.id = random_nat_gateway_id()
        self.ec2_backend = backend
        self.vpc_id = vpc_id
        self.subnet_id = None
        self.connectivity_type = "public"
        self.state = "available"
        self._created_at = utcnow()
        self._eni = None
        self.address_set: list[dict[str, Any]] = []
        self.is_manual = is_manual
        self.route_table_id = ""
        # When each zone's first interface was seen.
        self.seen: dict[str, float] = {}
        self.add_tags(tags)


def create(backend: Any, state: Ec2State, params: dict[str, Any]) -> RegionalNat:
    vpc_id = params.get("VpcId")
    if not vpc_id:
        raise AwsError("MissingParameter", "The request must contain the parameter VpcId")
    for member in ZONAL_MEMBERS:
        if params.get(member) is not None:
            raise AwsError("InvalidParameterCombination", f"{member} cannot be specified for a regional NAT gateway")
    if params.get("ConnectivityType", "public") != "public":
        message = "A regional NAT gateway does not support private connectivity"
        raise AwsError("InvalidParameterCombination", message)
    if vpc_id not in backend.vpcs:
        raise AwsError("InvalidVpcID.NotFound", f"The vpc ID '{vpc_id}' does not exist")
    asked = params.get("AvailabilityZoneAddresses") or []
    zones = [(zone_of(backend, one), one.get("AllocationIds") or []) for one in asked]
    owned = [own_address(backend, allocation) for _, allocations in zones for allocation in allocations]
    if len({one.allocation_id for one in owned}) < len(owned) or len(dict(zones)) < len(zones):
        raise AwsError("InvalidParameterValue", "AvailabilityZoneAddresses names a zone or an address twice")
    tags = {
        tag["Key"]: tag.get("Value", "")
        for specification in params.get("TagSpecifications") or []
        for tag in specification.get("Tags") or []
    }
    nat = RegionalNat(backend, vpc_id, tags, is_manual=bool(asked))
    backend.nat_gateways[nat.id] = nat
    state.begin(nat.id)
    gateway = attached_to(backend, vpc_id)
    if gateway is None:
        state.failures[nat.id] = ("Gateway.NotAttached", f"Network {vpc_id} has no Internet gateway attached")
        return nat
    # "AWS automatically creates a route table for it, which comes with a pre-configured route to the internet gateway."
    nat.route_table_id = backend.create_route_table(vpc_id).id
    backend.create_route(nat.route_table_id, ANYWHERE, gateway_id=gateway.id)
    for zone, allocations in zones:
        for allocation in allocations:
            occupy(nat, zone, own_address(backend, allocation))
    return nat


def zone_of(backend: Any, asked: dict[str, Any]) -> str:
    known = backend.describe_availability_zones()
    name, zone_id = asked.get("AvailabilityZone"), asked.get("AvailabilityZoneId")
    found = next((zone.name for zone in known if name == zone.name or (not name and zone_id == zone.zone_id)), None)
    if found is None:
        raise AwsError("InvalidParameterValue", f"Invalid availability zone: [{name or zone_id}]")
    if not asked.get("AllocationIds"):
        raise AwsError("MissingParameter", f"The request must contain the parameter AllocationIds for {found}")
    return found


def own_address(backend: Any, allocation_id: str) -> Any:
    address = next((one for one in backend.addresses if one.allocation_id == allocation_id), None)
    if address is None:
        raise AwsError("InvalidElasticIpID.NotFound", f"The elasticIp ID '{allocation_id}' does not exist")
    if address.association_id:
        raise AwsError("Resource.AlreadyAssociated", f"Elastic IP address [{allocation_id}] is already associated")
    return address


def occupy(nat: RegionalNat, zone: str, address: Any) -> None:
    address.association_id = random_eip_association_id()
    zone_ids = {one.name: one.zone_id for one in nat.ec2_backend.describe_availability_zones()}
    nat.address_set.append(
        {
            "allocationId": address.allocation_id,
            "publicIp": address.public_ip,
            "associationId": address.association_id,
            "availabilityZone": zone,
            "availabilityZoneId": zone_ids[zone],
        }
    )


def settle(backend: Any, state: Ec2State, nat: RegionalNat) -> None:
    """Takes the zones that interfaces have appeared in, and gives everything back at the end."""
    status = nat_state(backend, nat.id)
    if status in ("deleted", "failed"):
        if nat.id not in state.ended:
            state.ended[nat.id] = datetime.now(timezone.utc)
            give_back(backend, nat)
    elif status == "available" and not nat.is_manual:
        expand(backend, nat)


def expand(backend: Any, nat: RegionalNat) -> None:
    there = {entry["availabilityZone"] for entry in nat.address_set}
    used = {eni.subnet.availability_zone for eni in backend.enis.values() if eni.vpc_id == nat.vpc_id}
    for zone in used - there:
        nat.seen.setdefault(zone, CLOCK.now())
    if not there:
        # A gateway has an address from the beginning, where interfaces are, or else where the VPC begins.
        subnets = [one for zone in backend.subnets.values() for one in zone.values() if one.vpc_id == nat.vpc_id]
        due = used or {min((one.availability_zone for one in subnets), default="")} - {""}
    else:
        due = {zone for zone in used - there if CLOCK.elapsed(nat.seen[zone]) >= EXPANSION}
    for zone in sorted(due):
        address = backend.allocate_address("vpc")
        mark_managed(address, RNAT)
        occupy(nat, zone, address)


def give_back(backend: Any, nat: RegionalNat) -> None:
    """AWS's own addresses vanish, those of the account are free, and the gateway's route table goes."""
    for entry in nat.address_set:
        for address in [one for one in backend.addresses if one.allocation_id == entry["allocationId"]]:
            address.association_id = None
            if not nat.is_manual:
                backend.addresses.remove(address)
    nat.address_set = []
    backend.route_tables.pop(nat.route_table_id, None)


def owner_of(backend: Any, table_id: str) -> RegionalNat | None:
    """The gateway that AWS created this route table for."""
    found = (nat for nat in backend.nat_gateways.values() if isinstance(nat, RegionalNat))
    return next((nat for nat in found if nat.route_table_id == table_id), None)


def describe(nat: Any, item: dict[str, Any], status: str) -> None:
    """Lays what a regional gateway has, or a zonal one, over moto's description."""
    if not isinstance(nat, RegionalNat):
        item["AvailabilityMode"] = ZONAL
        return
    item.pop("SubnetId", None)
    switch = "disabled" if nat.is_manual else "enabled"
    item |= {"AvailabilityMode": REGIONAL, "AutoScalingIps": switch, "AutoProvisionZones": switch}
    if nat.route_table_id:
        item["RouteTableId"] = nat.route_table_id
    # What the request named is not echoed: addresses are told when they are there.
    item["NatGatewayAddresses"] = [
        {
            "AllocationId": entry["allocationId"],
            "PublicIp": entry["publicIp"],
            "AssociationId": entry["associationId"],
            "AvailabilityZone": entry["availabilityZone"],
            "AvailabilityZoneId": entry["availabilityZoneId"],
            "Status": "succeeded",
        }
        for entry in (nat.address_set if status in ("available", "deleting") else [])
    ]
