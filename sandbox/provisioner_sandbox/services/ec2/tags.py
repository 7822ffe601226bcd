"""Tags: what may be in one, and on what there may be one.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html
"""

from __future__ import annotations

from typing import Any

from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.ec2.groups import rule_ids
from provisioner_sandbox.wire.message import Answer

MAX_KEY, MAX_VALUE = 128, 256

# The type in an ARN, and by which error a missing one is told.
TYPES = {
    "vpc": ("vpc", "InvalidVpcID.NotFound"),
    "subnet": ("subnet", "InvalidSubnetID.NotFound"),
    "igw": ("internet-gateway", "InvalidInternetGatewayID.NotFound"),
    "eipalloc": ("elastic-ip", "InvalidAllocationID.NotFound"),
    "nat": ("natgateway", "NatGatewayNotFound"),
    "rtb": ("route-table", "InvalidRouteTableID.NotFound"),
    "sg": ("security-group", "InvalidGroup.NotFound"),
    "sgr": ("security-group-rule", "InvalidSecurityGroupRuleId.NotFound"),
    "vpce": ("vpc-endpoint", "InvalidVpcEndpointId.NotFound"),
    "fl": ("vpc-flow-log", "InvalidFlowLogId.NotFound"),
    "eni": ("network-interface", "InvalidNetworkInterfaceID.NotFound"),
    "i": ("instance", "InvalidInstanceID.NotFound"),
    "key": ("key-pair", "InvalidKeyPair.NotFound"),
    "lt": ("launch-template", "InvalidLaunchTemplateId.NotFound"),
    "vol": ("volume", "InvalidVolume.NotFound"),
    "acl": ("network-acl", "InvalidNetworkAclID.NotFound"),
    "eigw": ("egress-only-internet-gateway", "InvalidGatewayID.NotFound"),
    "vgw": ("vpn-gateway", "InvalidVpnGatewayID.NotFound"),
    "pcx": ("vpc-peering-connection", "InvalidVpcPeeringConnectionID.NotFound"),
}

# What a create call can tag, which is one type.
TAGGED_BY = {
    "AllocateAddress": "elastic-ip",
    "AuthorizeSecurityGroupEgress": "security-group-rule",
    "AuthorizeSecurityGroupIngress": "security-group-rule",
    "CreateEgressOnlyInternetGateway": "egress-only-internet-gateway",
    "CreateFlowLogs": "vpc-flow-log",
    "CreateInternetGateway": "internet-gateway",
    "CreateKeyPair": "key-pair",
    "CreateLaunchTemplate": "launch-template",
    "CreateNetworkAcl": "network-acl",
    "CreateNatGateway": "natgateway",
    "CreateNetworkInterface": "network-interface",
    "CreateRouteTable": "route-table",
    "CreateSecurityGroup": "security-group",
    "CreateSubnet": "subnet",
    "CreateVpc": "vpc",
    "CreateVpcEndpoint": "vpc-endpoint",
    "CreateVpcPeeringConnection": "vpc-peering-connection",
    "CreateVpnGateway": "vpn-gateway",
    "ImportKeyPair": "key-pair",
}


@handles("ec2", "CreateTags", "DeleteTags")
def change_tags(call: Call) -> Answer:
    known = existing(call.backend)
    for resource_id in call.params["Resources"]:
        prefix = resource_id.partition("-")[0]
        if prefix in TYPES and resource_id not in known:
            raise AwsError(TYPES[prefix][1], f"The ID '{resource_id}' does not exist")
    if call.name == "CreateTags":
        check_tags(call.params.get("Tags") or [])
    return call.forward()


def check_specifications(call: Call) -> None:
    """TagSpecifications of any create call."""
    for specification in call.params.get("TagSpecifications") or []:
        kind = specification.get("ResourceType", "")
        if call.name in TAGGED_BY and kind != TAGGED_BY[call.name]:
            message = f"'{kind}' is not a valid taggable resource type for this operation."
            raise AwsError("InvalidParameterValue", message)
        check_tags(specification.get("Tags") or [])


def check_tags(tags: list[dict[str, str]]) -> None:
    seen: set[str] = set()
    for tag in tags:
        key, value = tag.get("Key", ""), tag.get("Value", "")
        if key in seen:
            raise AwsError("InvalidParameterValue", f"Duplicate tag key '{key}' specified.")
        seen.add(key)
        if key.lower().startswith("aws:"):
            message = f"Tag keys starting with 'aws:' are reserved for internal use: {key}"
            raise AwsError("InvalidParameterValue", message)
        if not key or len(key) > MAX_KEY:
            raise AwsError("InvalidParameterValue", f"Tag key exceeds the maximum length of {MAX_KEY} characters")
        if len(value) > MAX_VALUE:
            raise AwsError("InvalidParameterValue", f"Tag value exceeds the maximum length of {MAX_VALUE} characters")


def existing(backend: Any) -> set[str]:
    """The ids of everything here that can carry tags."""
    ids = rule_ids(backend)
    for things in (
        backend.vpcs, backend.internet_gateways, backend.nat_gateways, backend.route_tables,
        backend.vpc_end_points, backend.flow_logs, backend.enis, backend.launch_templates, backend.volumes,
        backend.network_acls, backend.egress_only_internet_gateways, backend.vpn_gateways, backend.vpc_pcxs,
    ):  # fmt: skip
        ids.update(things)
    ids.update(subnet_id for zone in backend.subnets.values() for subnet_id in zone)
    ids.update(group_id for groups in backend.groups.values() for group_id in groups)
    ids.update(instance.id for group in backend.reservations.values() for instance in group.instances)
    ids.update(pair.id for pair in backend.key_pairs.values())
    ids.update(address.allocation_id for address in backend.addresses)
    return ids


def tagged(backend: Any) -> list[tuple[str, dict[str, str]]]:
    """(ARN, tags) of everything here that exists and has tags."""
    found = []
    for resource_id in sorted(existing(backend) & set(backend.tags)):
        tags = backend.tags[resource_id]
        resource_type = TYPES[resource_id.partition("-")[0]][0]
        owner = f"arn:{backend.partition}:ec2:{backend.region_name}:{backend.account_id}"
        if tags:
            found.append((f"{owner}:{resource_type}/{resource_id}", dict(tags)))
    return found
