"""VPCs and subnets."""

from __future__ import annotations

import ipaddress

from provisioner_sandbox import quotas
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.ec2.describe import Item, listing
from provisioner_sandbox.services.ec2.state import VPC_PENDING, ec2_state, nat_state, remove
from provisioner_sandbox.services.ec2.transit import attached
from provisioner_sandbox.services.ec2.vpc_contents import forget_subnet, go_with_vpc, holds_vpc
from provisioner_sandbox.wire.message import Answer

# Five in a new account (https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html);
# raised unless configured, as accounts that many stacks share have it.
VPC_QUOTA = 100
# https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html
SUBNET_PREFIXES = range(16, 29)


@handles("ec2", "CreateVpc")
def create_vpc(call: Call) -> dict:
    used, message = len(call.backend.vpcs), "The maximum number of VPCs has been reached."
    quotas.check(quotas.VPCS, used, "VpcLimitExceeded", message, VPC_QUOTA)
    result = call.moto()
    ec2_state(call.backend).begin(result["Vpc"]["VpcId"])
    result["Vpc"]["State"] = "pending"
    return result


@handles("ec2", "CreateSubnet")
def create_subnet(call: Call) -> dict:
    cidr = call.params.get("CidrBlock")
    if cidr:
        try:
            size = ipaddress.IPv4Network(cidr, strict=False).prefixlen
        except ValueError:
            message = f"Value ({cidr}) for parameter cidrBlock is invalid. This is not a valid CIDR block."
            raise AwsError("InvalidParameterValue", message) from None
        if size not in SUBNET_PREFIXES:
            raise AwsError("InvalidSubnet.Range", f"The CIDR '{cidr}' is invalid.")
    result = call.moto()
    ec2_state(call.backend).begin(result["Subnet"]["SubnetId"])
    result["Subnet"]["State"] = "pending"
    return result


@handles("ec2", "DeleteSubnet")
def delete_subnet(call: Call) -> Answer:
    backend, subnet_id = call.backend, call.params["SubnetId"]
    if any(eni.subnet.id == subnet_id for eni in backend.enis.values()):
        raise dependency(f"The subnet '{subnet_id}' has dependencies and cannot be deleted.")
    answer = call.forward()
    for table in backend.route_tables.values():
        for association, target in list(table._associations.items()):
            if target == subnet_id:
                del table._associations[association]
    forget_subnet(backend, subnet_id)
    backend.tags.pop(subnet_id, None)
    return answer


@handles("ec2", "DeleteVpc")
def delete_vpc(call: Call) -> Answer:
    backend, vpc_id = call.backend, call.params["VpcId"]
    if vpc_id in backend.vpcs and has_dependencies(backend, vpc_id):
        raise dependency(f"The vpc '{vpc_id}' has dependencies and cannot be deleted.")
    answer = call.forward()
    if answer.ok:
        remove(backend, backend.vpcs, vpc_id)
        go_with_vpc(backend, vpc_id)
    return answer


def has_dependencies(backend, vpc_id: str) -> bool:
    return (
        any(subnet.vpc_id == vpc_id for by_zone in backend.subnets.values() for subnet in by_zone.values())
        or any(gateway.vpc and gateway.vpc.id == vpc_id for gateway in backend.internet_gateways.values())
        or any(group.name != "default" for group in backend.groups.get(vpc_id, {}).values())
        or any(table.vpc_id == vpc_id and not table.main_association_id for table in backend.route_tables.values())
        or any(endpoint.vpc_id == vpc_id for endpoint in backend.vpc_end_points.values())
        or any(
            nat.vpc_id == vpc_id and nat_state(backend, nat.id) not in ("deleted", "failed")
            for nat in backend.nat_gateways.values()
        )
        or bool(attached(backend, vpc_id))
        or holds_vpc(backend, vpc_id)
    )


def dependency(message: str) -> AwsError:
    return AwsError("DependencyViolation", message)


def with_state(id_member: str):
    def decorate(call: Call, items: list[Item]) -> list[Item]:
        state = ec2_state(call.backend)
        for item in items:
            item["State"] = "pending" if state.age(item[id_member]) < VPC_PENDING else "available"
        return items

    return decorate


listing(
    result="Vpcs",
    id_member="VpcId",
    not_found=("InvalidVpcID.NotFound", "The vpc ID '{}' does not exist"),
    decorate=with_state("VpcId"),
    filters={
        "cidr": "CidrBlock",
        "cidr-block": "CidrBlock",
        "cidr-block-association.cidr-block": "CidrBlockAssociationSet[].CidrBlock",
        "cidr-block-association.association-id": "CidrBlockAssociationSet[].AssociationId",
        "cidr-block-association.state": "CidrBlockAssociationSet[].CidrBlockState.State",
        "dhcp-options-id": "DhcpOptionsId",
        "ipv6-cidr-block-association.ipv6-cidr-block": "Ipv6CidrBlockAssociationSet[].Ipv6CidrBlock",
        "ipv6-cidr-block-association.ipv6-pool": "Ipv6CidrBlockAssociationSet[].Ipv6Pool",
        "ipv6-cidr-block-association.association-id": "Ipv6CidrBlockAssociationSet[].AssociationId",
        "ipv6-cidr-block-association.state": "Ipv6CidrBlockAssociationSet[].Ipv6CidrBlockState.State",
        "is-default": "IsDefault",
        "isDefault": "IsDefault",
        "owner-id": "OwnerId",
        "state": "State",
        "vpc-id": "VpcId",
    },
)

listing(
    result="Subnets",
    id_member="SubnetId",
    not_found=("InvalidSubnetID.NotFound", "The subnet ID '{}' does not exist"),
    decorate=with_state("SubnetId"),
    filters={
        "availability-zone": "AvailabilityZone",
        "availabilityZone": "AvailabilityZone",
        "availability-zone-id": "AvailabilityZoneId",
        "available-ip-address-count": "AvailableIpAddressCount",
        "cidr": "CidrBlock",
        "cidr-block": "CidrBlock",
        "customer-owned-ipv4-pool": "CustomerOwnedIpv4Pool",
        "default-for-az": "DefaultForAz",
        "enable-dns64": "EnableDns64",
        "enable-lni-at-device-index": "EnableLniAtDeviceIndex",
        "ipv6-cidr-block-association.ipv6-cidr-block": "Ipv6CidrBlockAssociationSet[].Ipv6CidrBlock",
        "ipv6-cidr-block-association.association-id": "Ipv6CidrBlockAssociationSet[].AssociationId",
        "ipv6-cidr-block-association.state": "Ipv6CidrBlockAssociationSet[].Ipv6CidrBlockState.State",
        "ipv6-native": "Ipv6Native",
        "map-customer-owned-ip-on-launch": "MapCustomerOwnedIpOnLaunch",
        "map-public-ip-on-launch": "MapPublicIpOnLaunch",
        "outpost-arn": "OutpostArn",
        "owner-id": "OwnerId",
        "private-dns-name-options-on-launch.hostname-type": "PrivateDnsNameOptionsOnLaunch.HostnameType",
        "private-dns-name-options-on-launch.enable-resource-name-dns-a-record": (
            "PrivateDnsNameOptionsOnLaunch.EnableResourceNameDnsARecord"
        ),
        "private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record": (
            "PrivateDnsNameOptionsOnLaunch.EnableResourceNameDnsAAAARecord"
        ),
        "state": "State",
        "subnet-arn": "SubnetArn",
        "subnet-id": "SubnetId",
        "vpc-id": "VpcId",
    },
)
