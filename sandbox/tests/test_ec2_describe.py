"""Describe calls: pages, filters, tags. One table for all that are used."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from conftest import Sandbox
from network import TAG_FILTER, TAGS, Network, tagged


class Listed(NamedTuple):
    operation: str
    result: str
    id: str
    ids: str
    filters: str = "Filters"
    max_page: int = 1000


LISTED = [
    Listed("describe_vpcs", "Vpcs", "VpcId", "VpcIds"),
    Listed("describe_subnets", "Subnets", "SubnetId", "SubnetIds"),
    Listed("describe_route_tables", "RouteTables", "RouteTableId", "RouteTableIds", max_page=100),
    Listed("describe_internet_gateways", "InternetGateways", "InternetGatewayId", "InternetGatewayIds"),
    Listed("describe_nat_gateways", "NatGateways", "NatGatewayId", "NatGatewayIds", "Filter"),
    Listed("describe_security_groups", "SecurityGroups", "GroupId", "GroupIds"),
    Listed("describe_security_group_rules", "SecurityGroupRules", "SecurityGroupRuleId", "SecurityGroupRuleIds"),
    Listed("describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId", "VpcEndpointIds"),
    Listed("describe_flow_logs", "FlowLogs", "FlowLogId", "FlowLogIds", "Filter"),
    Listed("describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId", "NetworkInterfaceIds"),
    Listed("describe_addresses", "Addresses", "AllocationId", "AllocationIds"),
]
PAGED = [listed for listed in LISTED if listed.operation != "describe_addresses"]
NO_BOUNDS = {"describe_vpc_endpoints", "describe_flow_logs"}
COUNT = 7


def name(listed: Listed) -> str:
    return listed.operation


@pytest.fixture(scope="module")
def populated(running: Sandbox) -> Any:
    """Seven tagged ones of each kind."""
    running.ext("POST", "reset")
    ec2 = running.client("ec2")
    network = Network(ec2, zones="abcabca")
    network.internet_gateway()
    for n in range(1, COUNT):
        ec2.create_vpc(CidrBlock=f"10.{n}.0.0/16", TagSpecifications=tagged("vpc"))
        ec2.create_internet_gateway(TagSpecifications=tagged("internet-gateway"))
    for n in range(COUNT):
        network.nat_gateway(network.address())
        table = network.route_table()
        network.gateway_endpoint([table])
        group = network.group(f"g{n}")
        permission = {"IpProtocol": "tcp", "FromPort": n, "ToPort": n, "IpRanges": [{"CidrIp": "10.0.0.0/16"}]}
        ec2.authorize_security_group_ingress(
            GroupId=group, IpPermissions=[permission], TagSpecifications=tagged("security-group-rule")
        )
        ec2.create_network_interface(
            SubnetId=network.subnets[0], Groups=[group], TagSpecifications=tagged("network-interface")
        )
        ec2.create_flow_logs(
            ResourceIds=[network.subnets[n]],
            ResourceType="Subnet",
            TrafficType="ALL",
            LogGroupName="/flow",
            DeliverLogsPermissionArn="arn:aws:iam::123456789012:role/flow",
            TagSpecifications=tagged("vpc-flow-log"),
        )
    return ec2


@pytest.mark.parametrize("listed", PAGED, ids=name)
def test_pages(populated: Any, listed: Listed) -> None:
    call = getattr(populated, listed.operation)
    everything = [item[listed.id] for item in call(**{listed.filters: TAG_FILTER})[listed.result]]
    assert len(everything) == COUNT
    first = call(**{listed.filters: TAG_FILTER}, MaxResults=5)
    second = call(**{listed.filters: TAG_FILTER}, MaxResults=5, NextToken=first["NextToken"])
    assert "NextToken" not in second
    assert [item[listed.id] for page in (first, second) for item in page[listed.result]] == everything


@pytest.mark.parametrize("listed", [listed for listed in PAGED if listed.operation not in NO_BOUNDS], ids=name)
def test_page_sizes(populated: Any, refused: Any, listed: Listed) -> None:
    call = getattr(populated, listed.operation)
    for size in (4, listed.max_page + 1):
        refused("InvalidParameterValue", call, 400, MaxResults=size)
    call(MaxResults=listed.max_page)


@pytest.mark.parametrize("listed", PAGED, ids=name)
def test_a_foreign_token(populated: Any, refused: Any, listed: Listed) -> None:
    refused("InvalidNextToken", getattr(populated, listed.operation), NextToken="!!")


@pytest.mark.parametrize("listed", LISTED, ids=name)
def test_filters(populated: Any, refused: Any, listed: Listed) -> None:
    call = getattr(populated, listed.operation)

    def found(**conditions: list[str]) -> int:
        filters = [{"Name": key, "Values": values} for key, values in conditions.items()]
        return len(call(**{listed.filters: filters})[listed.result])

    key = TAGS[0]["Key"]
    assert found(**{f"tag:{key}": ["demo"]}) == COUNT
    assert found(**{f"tag:{key}": ["other", "d?m*"]}) == COUNT
    assert found(**{f"tag:{key}": ["Demo"]}) == 0
    assert found(**{f"tag:{key}": ["dem"]}) == 0
    assert found(**{"tag:absent": ["demo"]}) == 0
    assert found(**{f"tag:{key}": ["demo"], "tag-key": ["absent"]}) == 0
    assert found(**{f"tag:{key}": ["demo"], "tag-key": [key]}) == COUNT
    error = refused("InvalidParameterValue", call, 400, **{listed.filters: [{"Name": "colour", "Values": ["x"]}]})
    assert error.response["Error"]["Message"] == "The filter 'colour' is invalid"


@pytest.mark.parametrize("listed", LISTED, ids=name)
def test_ids(populated: Any, refused: Any, listed: Listed) -> None:
    call = getattr(populated, listed.operation)
    ids = [item[listed.id] for item in call(**{listed.filters: TAG_FILTER})[listed.result]]
    asked = [ids[3], ids[1]]
    assert {item[listed.id] for item in call(**{listed.ids: asked})[listed.result]} == set(asked)
    missing = ids[0].partition("-")[0] + "-0123456789abcdef0"
    code = "NatGatewayNotFound" if listed.result == "NatGateways" else None
    with pytest.raises(Exception, match=code or r"\.NotFound"):
        call(**{listed.ids: [missing]})


@pytest.mark.parametrize("listed", LISTED, ids=name)
def test_tags_of_each_can_change(populated: Any, listed: Listed) -> None:
    call = getattr(populated, listed.operation)
    chosen = call(**{listed.filters: TAG_FILTER})[listed.result][0][listed.id]
    member = "TagSet" if listed.result == "NetworkInterfaces" else "Tags"

    def tags() -> dict[str, str]:
        return {tag["Key"]: tag["Value"] for tag in call(**{listed.ids: [chosen]})[listed.result][0][member]}

    populated.create_tags(Resources=[chosen], Tags=[{"Key": "more", "Value": "1"}])
    assert tags() == {"provisioner:stack": "demo", "more": "1"}
    populated.delete_tags(Resources=[chosen], Tags=[{"Key": "more"}])
    assert tags() == {"provisioner:stack": "demo"}


def test_tag_rules(ec2: Any, refused: Any) -> None:
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    for tag in ({"Key": "aws:x", "Value": ""}, {"Key": "k" * 129, "Value": ""}, {"Key": "k", "Value": "v" * 257}):
        refused("InvalidParameterValue", ec2.create_tags, Resources=[vpc], Tags=[tag])
    twice = [{"ResourceType": "vpc", "Tags": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]}]
    refused("InvalidParameterValue", ec2.create_vpc, CidrBlock="10.0.0.0/16", TagSpecifications=twice)
    other = [{"ResourceType": "subnet", "Tags": [{"Key": "a", "Value": "1"}]}]
    refused("InvalidParameterValue", ec2.create_vpc, CidrBlock="10.0.0.0/16", TagSpecifications=other)
    missing = "vpc-0123456789abcdef0"
    refused("InvalidVpcID.NotFound", ec2.create_tags, Resources=[missing], Tags=[{"Key": "k", "Value": ""}])
    refused(
        "TagLimitExceeded", ec2.create_tags, Resources=[vpc], Tags=[{"Key": f"k{n}", "Value": ""} for n in range(51)]
    )


@pytest.mark.parametrize(
    ("region", "count"), [("us-east-1", 6), ("eu-central-1", 3), ("ap-southeast-2", 3), ("us-west-2", 4)]
)
def test_zones(sandbox: Sandbox, region: str, count: int) -> None:
    ec2 = sandbox.client("ec2", region)
    zones = ec2.describe_availability_zones()["AvailabilityZones"]
    assert [zone["ZoneName"] for zone in zones] == [f"{region}{letter}" for letter in "abcdef"[:count]]
    for key, value in (
        ("zone-name", f"{region}b"),
        ("state", "available"),
        ("opt-in-status", "opt-in-not-required"),
        ("zone-type", "availability-zone"),
        ("region-name", region),
    ):
        found = ec2.describe_availability_zones(Filters=[{"Name": key, "Values": [value]}])["AvailabilityZones"]
        assert len(found) == (1 if key == "zone-name" else count)
    local = [{"Name": "zone-type", "Values": ["local-zone"]}]
    assert ec2.describe_availability_zones(Filters=local)["AvailabilityZones"] == []
    assert len(ec2.describe_availability_zones(ZoneNames=[f"{region}a"])["AvailabilityZones"]) == 1


def test_regions_do_not_see_each_other(sandbox: Sandbox) -> None:
    sandbox.client("ec2", "us-east-1").create_vpc(CidrBlock="10.0.0.0/16")
    assert len(sandbox.client("ec2", "us-east-1").describe_vpcs()["Vpcs"]) == 2
    assert len(sandbox.client("ec2", "eu-central-1").describe_vpcs()["Vpcs"]) == 1
