"""Networks in which clusters cannot be created, and in which instances start but never become nodes.

https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
https://docs.aws.amazon.com/eks/latest/userguide/private-clusters.html
https://docs.aws.amazon.com/eks/latest/APIReference/API_Issue.html
"""

from __future__ import annotations

import time
from typing import Any

import pytest
from conftest import Sandbox, until
from eks_groups import Groups, sizes
from kubernetes import Client

# Slow enough that twenty minutes can be told from two.
MODERATE = 2000
PRIVATE = {"endpointPrivateAccess": True}
NOT_JOINED = "Instances failed to join the kubernetes cluster"
NEEDED = ["ec2", "ecr.api", "ecr.dkr"]


class Existing(Groups):
    """A cluster in a network that has DNS, and no way out."""

    def __init__(self, sandbox: Sandbox, **network: Any):
        self.access = network
        super().__init__(sandbox)
        self.ec2.delete_route(RouteTableId=self.network.main_table(), DestinationCidrBlock="0.0.0.0/0")
        self.one = {"subnets": self.subnets[:1], **sizes(1, 4, 1)}

    def active(self, **more: Any) -> dict[str, Any]:
        return super().active(network=self.access, **more)

    def ended(self) -> dict[str, Any]:
        return self.wait(lambda: (found := self.described())["status"] != "CREATING" and found)

    def fails(self) -> None:
        """The group's creation, because its instances do not join."""
        self.group(**self.one)
        found = self.ended()
        ids = [instance["InstanceId"] for instance in self.instances()]
        issue = {"code": "NodeCreationFailure", "message": NOT_JOINED, "resourceIds": ids}
        assert (found["status"], found["health"]["issues"]) == ("CREATE_FAILED", [issue])
        assert len(ids) == 1

    def route(self, table: str, **target: str) -> None:
        self.ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", **target)

    def table_for(self, subnet: str) -> str:
        table = self.network.route_table()
        self.ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
        return table

    def nat_in(self, subnet: str) -> str:
        made = self.ec2.create_nat_gateway(SubnetId=subnet, AllocationId=self.network.address())
        nat: str = made["NatGateway"]["NatGatewayId"]
        return nat

    def endpoint_group(self, port: int = 443) -> str:
        group = self.network.group(f"endpoints-{port}")
        ports = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port}
        permission = {**ports, "IpRanges": [{"CidrIp": "10.0.0.0/16"}]}
        self.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])
        return group

    def endpoints(self, services: list[str], group: str, **more: Any) -> None:
        for service in services:
            self.network.interface_endpoint([group], service, **more)
        described = self.ec2.describe_vpc_endpoints
        self.wait(lambda: all(one["State"] == "available" for one in described()["VpcEndpoints"]))

    def open(self) -> None:
        """All that nodes without a way out need."""
        self.endpoints(NEEDED, self.endpoint_group())
        self.network.gateway_endpoint([self.network.main_table()])

    def dns(self, **attributes: bool) -> None:
        for name, value in attributes.items():
            self.ec2.modify_vpc_attribute(VpcId=self.network.vpc, **{name: {"Value": value}})

    def fill(self, subnet: str, left: int) -> list[str]:
        """Interfaces that leave the subnet this many addresses."""
        made = []
        while self.free(subnet) > left:
            created = self.ec2.create_network_interface(SubnetId=subnet)
            made.append(created["NetworkInterface"]["NetworkInterfaceId"])
        return made

    def free(self, subnet: str) -> int:
        found: int = self.ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["AvailableIpAddressCount"]
        return found

    def small(self, number: int, zone: str = "a") -> str:
        made = self.ec2.create_subnet(
            VpcId=self.network.vpc, CidrBlock=f"10.0.9.{16 * number}/28", AvailabilityZone=f"eu-central-1{zone}"
        )
        subnet: str = made["Subnet"]["SubnetId"]
        return subnet


@pytest.fixture
def existing(sandbox: Sandbox) -> Existing:
    return Existing.again(sandbox, **PRIVATE)


class TestDns:
    @pytest.mark.parametrize("name", ["EnableDnsHostnames", "EnableDnsSupport"])
    def test_nodes_need_both(self, existing: Existing, name: str) -> None:
        existing.route(existing.network.main_table(), TransitGatewayId=gateway(existing))
        existing.dns(**{name: False})
        existing.fails()

    def test_instances_are_waited_for(self, existing: Existing) -> None:
        existing.open()
        existing.dns(EnableDnsHostnames=False)
        existing.group(**existing.one)
        existing.sandbox.configure(timeScale=MODERATE)
        until(existing.instances)
        existing.slow()
        assert existing.described()["status"] == "CREATING"
        assert Client(existing.cluster()).get("/api/v1/nodes")["items"] == []
        existing.dns(EnableDnsHostnames=True)
        existing.done()
        until(lambda: len(Client(existing.cluster()).get("/api/v1/nodes")["items"]) == 1)

    def test_for_twenty_minutes(self, existing: Existing) -> None:
        existing.group(**existing.one)
        existing.sandbox.configure(timeScale=MODERATE)
        began = time.monotonic()
        until(lambda: existing.described()["status"] == "CREATE_FAILED")
        assert (time.monotonic() - began) * MODERATE >= 1150


def gateway(existing: Existing) -> str:
    made: str = existing.ec2.create_transit_gateway()["TransitGateway"]["TransitGatewayId"]
    return made


class TestWayOut:
    def test_none(self, existing: Existing) -> None:
        existing.fails()

    def test_a_public_nat_gateway(self, existing: Existing) -> None:
        private, public = existing.subnets[:2]
        existing.route(existing.table_for(public), GatewayId=existing.network.internet_gateway())
        existing.route(existing.table_for(private), NatGatewayId=existing.nat_in(public))
        existing.group(**existing.one)
        assert existing.ended()["status"] == "ACTIVE"

    def test_a_nat_gateway_that_has_none_itself(self, existing: Existing) -> None:
        private, other = existing.subnets[:2]
        existing.network.internet_gateway()
        existing.route(existing.table_for(private), NatGatewayId=existing.nat_in(other))
        existing.fails()

    def test_a_deleted_nat_gateway(self, existing: Existing) -> None:
        private, public = existing.subnets[:2]
        existing.route(existing.table_for(public), GatewayId=existing.network.internet_gateway())
        nat = existing.nat_in(public)
        existing.route(existing.table_for(private), NatGatewayId=nat)
        existing.ec2.delete_nat_gateway(NatGatewayId=nat)
        existing.fails()

    def test_public_subnets_give_their_nodes_addresses(self, existing: Existing) -> None:
        """https://github.com/sassoftware/viya4-iac-aws/issues/271"""
        public = existing.subnets[0]
        existing.route(existing.table_for(public), GatewayId=existing.network.internet_gateway())
        existing.group(**existing.one)
        found = existing.ended()
        (issue,) = found["health"]["issues"]
        assert (found["status"], issue["code"]) == ("CREATE_FAILED", "Ec2SubnetInvalidConfiguration")
        assert issue["resourceIds"] == [public]
        assert f"[{public}] for node group g does not automatically assign public IP" in issue["message"]
        existing.delete()
        existing.ec2.modify_subnet_attribute(SubnetId=public, MapPublicIpOnLaunch={"Value": True})
        existing.group(**existing.one)
        assert existing.ended()["status"] == "ACTIVE"
        assert existing.instances()[0]["PublicIpAddress"]

    def test_the_nodes_of_other_subnets_join(self, existing: Existing) -> None:
        inside, outside = existing.subnets[:2]
        existing.route(existing.table_for(inside), TransitGatewayId=gateway(existing))
        existing.group(subnets=[inside, outside], **sizes(2, 2, 2))
        (issue,) = existing.ended()["health"]["issues"]
        lost = [instance["InstanceId"] for instance in existing.instances() if instance["SubnetId"] == outside]
        assert (issue["code"], issue["resourceIds"]) == ("NodeCreationFailure", lost)
        existing.sandbox.configure(timeScale=200)
        assert len(Client(existing.cluster()).get("/api/v1/nodes")["items"]) == 1


class TestEndpoints:
    def test_instead_of_a_way_out(self, existing: Existing) -> None:
        existing.open()
        existing.group(**existing.one)
        assert existing.ended()["status"] == "ACTIVE"

    def test_an_interface_endpoint_of_s3(self, existing: Existing) -> None:
        existing.endpoints([*NEEDED, "s3"], existing.endpoint_group())
        existing.group(**existing.one)
        assert existing.ended()["status"] == "ACTIVE"

    @pytest.mark.parametrize("missing", NEEDED)
    def test_each_is_needed(self, existing: Existing, missing: str) -> None:
        existing.endpoints([service for service in NEEDED if service != missing], existing.endpoint_group())
        existing.network.gateway_endpoint([existing.network.main_table()])
        existing.fails()

    def test_that_of_s3_is_in_the_route_table(self, existing: Existing) -> None:
        existing.endpoints(NEEDED, existing.endpoint_group())
        existing.network.gateway_endpoint([existing.network.route_table()])
        existing.fails()

    def test_with_their_names(self, existing: Existing) -> None:
        existing.endpoints([*NEEDED, "s3"], existing.endpoint_group(), PrivateDnsEnabled=False)
        existing.fails()

    def test_open_to_the_nodes(self, existing: Existing) -> None:
        existing.endpoints([*NEEDED, "s3"], existing.endpoint_group(80))
        existing.fails()

    def test_open_to_the_cluster_s_group(self, existing: Existing) -> None:
        own = existing.cluster()["resourcesVpcConfig"]["clusterSecurityGroupId"]
        group = existing.network.group()
        permission = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": own}]}
        existing.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])
        existing.endpoints([*NEEDED, "s3"], group)
        existing.group(**existing.one)
        assert existing.ended()["status"] == "ACTIVE"

    def test_the_cluster_is_reached_from_inside(self, sandbox: Sandbox) -> None:
        existing = Existing.again(sandbox)
        existing.open()
        existing.fails()


class TestAddresses:
    @pytest.mark.parametrize(("left", "fits"), [(6, True), (5, False)])
    def test_a_cluster_takes_six(self, existing: Existing, refused: Any, left: int, fits: bool) -> None:
        subnets = [existing.small(0, "a"), existing.small(1, "b")]
        existing.fill(subnets[0], left)
        params = existing.wanted(network={"subnetIds": subnets})
        params["name"] = "other"
        if fits:
            existing.client.create_cluster(**params)
            return
        error = refused("InvalidParameterException", existing.client.create_cluster, 400, **params)
        assert "Invalid AZs: { [eu-central-1a] }" in str(error) and subnets[0] in str(error)

    def test_another_subnet_of_the_zone_will_do(self, existing: Existing) -> None:
        full = existing.small(0, "a")
        existing.fill(full, 1)
        params = existing.wanted(network={"subnetIds": [full, *existing.subnets[:2]]})
        existing.client.create_cluster(**{**params, "name": "other"})

    def test_a_cluster_does_not_move_where_there_are_none(self, existing: Existing, refused: Any) -> None:
        full, open_ = existing.small(0, "a"), existing.small(1, "b")
        existing.fill(full, 2)
        update = {"name": "demo", "resourcesVpcConfig": {"subnetIds": [full, open_]}}
        error = refused("InvalidParameterException", existing.client.update_cluster_config, 400, **update)
        assert "Invalid AZs: { [eu-central-1a] }" in str(error)

    def test_a_group_without_any_fails(self, existing: Existing) -> None:
        existing.open()
        full = existing.small(0)
        existing.fill(full, 1)
        existing.group(subnets=[full], **sizes(2, 4, 2))
        found = existing.ended()
        (issue,) = found["health"]["issues"]
        assert (found["status"], issue["code"]) == ("CREATE_FAILED", "InsufficientFreeAddresses")
        assert issue["resourceIds"] == [full]
        assert "not enough free addresses in the subnet" in issue["message"]
        assert len(existing.instances()) == 1

    def test_instances_start_where_there_are_some(self, existing: Existing) -> None:
        existing.open()
        full = existing.small(0)
        existing.fill(full, 1)
        existing.group(subnets=[full, existing.subnets[1]], **sizes(1, 6, 5))
        assert existing.ended()["status"] == "ACTIVE"
        placed = [instance["SubnetId"] for instance in existing.instances()]
        assert (placed.count(full), placed.count(existing.subnets[1])) == (1, 4)

    def test_a_group_that_cannot_grow_is_degraded_until_it_can(self, existing: Existing) -> None:
        existing.open()
        small = existing.small(0)
        made = existing.fill(small, 2)
        existing.there(subnets=[small], **sizes(1, 8, 1))
        existing.config(**sizes(1, 8, 4))
        found = existing.has("DEGRADED", existing.described)
        assert [issue["code"] for issue in found["health"]["issues"]] == ["InsufficientFreeAddresses"]
        assert len(existing.instances()) == 2
        for interface in made[:2]:
            existing.ec2.delete_network_interface(NetworkInterfaceId=interface)
        found = existing.done()
        assert (found["health"]["issues"], len(existing.instances())) == ([], 4)


class TestLater:
    """A network that breaks under a group that is there."""

    def test_new_nodes_do_not_join(self, existing: Existing) -> None:
        existing.open()
        existing.there(**existing.one)
        existing.dns(EnableDnsSupport=False)
        existing.config(**sizes(1, 4, 2))
        existing.wait(lambda: len(existing.instances()) == 2)
        found = existing.has("DEGRADED", existing.described)
        (issue,) = found["health"]["issues"]
        assert (issue["code"], len(issue["resourceIds"])) == ("NodeCreationFailure", 1)
        existing.dns(EnableDnsSupport=True)
        assert existing.done()["health"]["issues"] == []

    def test_an_update_fails_and_changes_nothing(self, existing: Existing) -> None:
        """https://github.com/terraform-aws-modules/terraform-aws-eks/issues/3283"""
        existing.open()
        existing.there(releaseVersion="1.53.0-5a1c93d7", **existing.one)
        before = [instance["InstanceId"] for instance in existing.instances()]
        existing.dns(EnableDnsSupport=False)
        update = existing.version(releaseVersion="1.54.0-2f6b08ec")
        existing.done()
        asked = {"name": "demo", "updateId": update["id"], "nodegroupName": "g"}
        found = existing.client.describe_update(**asked)["update"]
        (error,) = found["errors"]
        assert (found["status"], error["errorCode"]) == ("Failed", "NodeCreationFailure")
        assert "new nodes are not joining node group g" in error["errorMessage"]
        assert existing.described()["releaseVersion"] == "1.53.0-5a1c93d7"
        assert [instance["InstanceId"] for instance in existing.instances()] == before

