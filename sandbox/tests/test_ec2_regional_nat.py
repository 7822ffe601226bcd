"""NAT gateways of a whole VPC.

https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateways-regional.html; members: CreateNatGatewayRequest, NatGateway
and Address in botocore's model of EC2.
"""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Sandbox, until
from eks_groups import Groups
from network import TAGS, Network, tagged

MISSING = "0123456789abcdef0"
DEFAULT_ROUTE = {"DestinationCidrBlock": "0.0.0.0/0"}


class Regional(Network):
    def create(self, **more: Any) -> dict[str, Any]:
        wanted = {"AvailabilityMode": "regional", "VpcId": self.vpc, "TagSpecifications": tagged("natgateway"), **more}
        made: dict[str, Any] = self.ec2.create_nat_gateway(
            **{key: value for key, value in wanted.items() if value is not None}
        )["NatGateway"]
        return made

    def described(self, nat: dict[str, Any]) -> dict[str, Any]:
        (found,) = self.ec2.describe_nat_gateways(NatGatewayIds=[nat["NatGatewayId"]])["NatGateways"]
        return found

    def reached(self, nat: dict[str, Any], state: str) -> dict[str, Any]:
        return until(lambda: (found := self.described(nat))["State"] == state and found)

    def zones(self, nat: dict[str, Any]) -> list[str]:
        return [address["AvailabilityZone"] for address in self.described(nat)["NatGatewayAddresses"]]


@pytest.fixture
def network(ec2: Any) -> Regional:
    return Regional(ec2)


def test_life(ec2: Any, sandbox: Sandbox, network: Regional, refused: Any) -> None:
    gateway = network.internet_gateway()
    sandbox.configure(timeScale=1)
    made = network.create()
    assert (made["State"], made["AvailabilityMode"], made["ConnectivityType"]) == ("pending", "regional", "public")
    assert (made["AutoProvisionZones"], made["AutoScalingIps"]) == ("enabled", "enabled")
    assert (made["VpcId"], made["NatGatewayAddresses"], made["Tags"]) == (network.vpc, [], TAGS)
    assert "SubnetId" not in made
    assert network.described(made)["NatGatewayAddresses"] == []
    sandbox.configure(timeScale=5000)
    there = network.reached(made, "available")
    sandbox.configure(timeScale=1)
    (address,) = there["NatGatewayAddresses"]
    assert (address["AvailabilityZone"], address["Status"]) == ("eu-central-1a", "succeeded")
    assert address["AvailabilityZoneId"].startswith("euc1-az")
    # The address is AWS's own, in the account's list.
    (listed,) = ec2.describe_addresses()["Addresses"]
    assert (listed["AllocationId"], listed["ServiceManaged"]) == (address["AllocationId"], "rnat")
    refused("OperationNotPermitted", ec2.release_address, AllocationId=address["AllocationId"])
    refused("DependencyViolation", ec2.detach_internet_gateway, InternetGatewayId=gateway, VpcId=network.vpc)
    ec2.delete_nat_gateway(NatGatewayId=made["NatGatewayId"])
    assert network.described(made)["State"] == "deleting"
    for subnet in network.subnets:
        ec2.delete_subnet(SubnetId=subnet)
    refused("DependencyViolation", ec2.detach_internet_gateway, InternetGatewayId=gateway, VpcId=network.vpc)
    sandbox.configure(timeScale=2000)
    gone = network.reached(made, "deleted")
    assert gone["NatGatewayAddresses"] == []
    assert "DeleteTime" in gone
    assert ec2.describe_addresses()["Addresses"] == []
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=network.vpc)
    ec2.delete_vpc(VpcId=network.vpc)


def test_its_own_route_table(ec2: Any, network: Regional, refused: Any) -> None:
    """ "AWS automatically creates a route table for it, which comes with a pre-configured route to the internet gateway." """
    gateway = network.internet_gateway()
    made = network.create()
    table = made["RouteTableId"]
    (found,) = ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"]
    assert (found["VpcId"], found["Associations"]) == (network.vpc, [])
    assert gateway in [route.get("GatewayId") for route in found["Routes"]]
    refused("DependencyViolation", ec2.delete_route_table, RouteTableId=table)
    ec2.delete_nat_gateway(NatGatewayId=made["NatGatewayId"])
    network.reached(made, "deleted")
    refused("InvalidRouteTableID.NotFound", ec2.describe_route_tables, RouteTableIds=[table])


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"VpcId": None}, "MissingParameter"),
        ({"VpcId": f"vpc-{MISSING}"}, "InvalidVpcID.NotFound"),
        ({"SubnetId": f"subnet-{MISSING}"}, "InvalidParameterCombination"),
        ({"AllocationId": f"eipalloc-{MISSING}"}, "InvalidParameterCombination"),
        ({"PrivateIpAddress": "10.0.0.9"}, "InvalidParameterCombination"),
        ({"ConnectivityType": "private"}, "InvalidParameterCombination"),
        ({"AvailabilityMode": "zonal"}, "MissingParameter"),
        ({"AvailabilityMode": "global"}, "InvalidParameterValue"),
        ({"AvailabilityZoneAddresses": [{"AvailabilityZone": "eu-central-1a"}]}, "MissingParameter"),
        (
            {"AvailabilityZoneAddresses": [{"AvailabilityZone": "x", "AllocationIds": ["eipalloc-1"]}]},
            "InvalidParameterValue",
        ),
        (
            {"AvailabilityZoneAddresses": [{"AvailabilityZone": "eu-central-1a", "AllocationIds": ["eipalloc-1"]}]},
            "InvalidElasticIpID.NotFound",
        ),
    ],
)
def test_refused(ec2: Any, network: Regional, refused: Any, wrong: dict[str, Any], code: str) -> None:
    network.internet_gateway()
    refused(code, network.create, 400, **wrong)
    assert ec2.describe_nat_gateways()["NatGateways"] == []


def test_without_internet_gateway_it_fails_later(ec2: Any, network: Regional) -> None:
    failed = network.reached(network.create(), "failed")
    assert failed["FailureCode"] == "Gateway.NotAttached"
    assert ec2.describe_addresses()["Addresses"] == []


def test_zones_come_with_their_interfaces(ec2: Any, sandbox: Sandbox, network: Regional) -> None:
    network.internet_gateway()
    ec2.create_network_interface(SubnetId=network.subnets[1])
    made = network.create()
    network.reached(made, "available")
    assert network.zones(made) == ["eu-central-1b"]
    sandbox.configure(timeScale=1)
    ec2.create_network_interface(SubnetId=network.subnets[2])
    assert network.zones(made) == ["eu-central-1b"]
    sandbox.configure(timeScale=20_000)
    assert until(lambda: network.zones(made) == ["eu-central-1b", "eu-central-1c"])


def test_addresses_of_the_account(ec2: Any, network: Regional, refused: Any) -> None:
    network.internet_gateway()
    one, two = network.address(), network.address()
    wanted = [
        {"AvailabilityZone": "eu-central-1a", "AllocationIds": [one]},
        {"AvailabilityZone": "eu-central-1c", "AllocationIds": [two]},
    ]
    refused("InvalidParameterValue", network.create, AvailabilityZoneAddresses=[*wanted, wanted[0]])
    made = network.create(AvailabilityZoneAddresses=wanted)
    assert (made["AutoProvisionZones"], made["NatGatewayAddresses"]) == ("disabled", [])
    there = network.reached(made, "available")
    found = [(entry["AvailabilityZone"], entry["AllocationId"]) for entry in there["NatGatewayAddresses"]]
    assert found == [("eu-central-1a", one), ("eu-central-1c", two)]
    refused("Resource.AlreadyAssociated", network.create, AvailabilityZoneAddresses=wanted[:1])
    refused("InvalidIPAddress.InUse", ec2.release_address, AllocationId=one)
    ec2.delete_nat_gateway(NatGatewayId=made["NatGatewayId"])
    network.reached(made, "deleted")
    for allocation in (one, two):
        ec2.release_address(AllocationId=allocation)


def test_routes_of_all_zones_lead_to_it(ec2: Any, network: Regional, refused: Any) -> None:
    network.internet_gateway()
    made = network.create()
    tables = [network.route_table() for _ in network.subnets]
    for table, subnet in zip(tables, network.subnets, strict=True):
        ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
        ec2.create_route(RouteTableId=table, NatGatewayId=made["NatGatewayId"], **DEFAULT_ROUTE)
    filters = [{"Name": "route.nat-gateway-id", "Values": [made["NatGatewayId"]]}]
    found = ec2.describe_route_tables(Filters=filters)["RouteTables"]
    assert sorted(table["RouteTableId"] for table in found) == sorted(tables)
    other = Network(ec2, "10.1.0.0/16").route_table()
    nat = made["NatGatewayId"]
    refused("InvalidParameterValue", ec2.create_route, RouteTableId=other, NatGatewayId=nat, **DEFAULT_ROUTE)


def test_zonal_ones_say_so(ec2: Any, network: Regional, refused: Any) -> None:
    network.internet_gateway()
    nat = network.nat_gateway(network.address(), AvailabilityMode="zonal")
    (found,) = ec2.describe_nat_gateways(NatGatewayIds=[nat])["NatGateways"]
    assert (found["AvailabilityMode"], found["SubnetId"]) == ("zonal", network.subnets[0])
    assert not {"AutoProvisionZones", "AutoScalingIps", "RouteTableId"} & found.keys()
    create, address = ec2.create_nat_gateway, network.address()
    refused("MissingParameter", create, AllocationId=address)
    place = {"SubnetId": network.subnets[0], "AllocationId": address}
    refused("InvalidParameterCombination", create, VpcId=network.vpc, **place)


def test_nodes_join_through_it(sandbox: Sandbox) -> None:
    groups = Groups.again(sandbox)
    ec2, network = groups.ec2, groups.network
    table = network.main_table()
    ec2.delete_route(RouteTableId=table, **DEFAULT_ROUTE)
    network.internet_gateway()
    nat = ec2.create_nat_gateway(AvailabilityMode="regional", VpcId=network.vpc)["NatGateway"]["NatGatewayId"]
    ec2.create_route(RouteTableId=table, NatGatewayId=nat, **DEFAULT_ROUTE)
    assert groups.there()["health"] == {"issues": []}
    (there,) = groups.wait(lambda: ec2.describe_nat_gateways(NatGatewayIds=[nat])["NatGateways"])
    # The control plane's interfaces are in two zones, and the nodes in more.
    assert len(there["NatGatewayAddresses"]) >= 2
