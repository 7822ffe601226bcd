"""Elastic Load Balancing v2: what a load balancer made by hand leaves in a network, and what it holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from conftest import Sandbox, until
from network import Network

TAGS = [{"Key": "team", "Value": "web"}]
# At the first nothing ends while a test looks at it; at the second everything is over at once.
SLOW, FAST = 0.1, 50_000


class Balanced:
    def __init__(self, sandbox: Sandbox):
        self.sandbox = sandbox
        sandbox.configure(timeScale=SLOW)
        self.ec2, self.elb = sandbox.client("ec2"), sandbox.client("elbv2")
        self.network = Network(self.ec2)
        self.subnets, self.vpc = self.network.subnets, self.network.vpc
        self.gateway = self.network.internet_gateway()

    def create(self, kind: str = "network", name: str = "web", **more: Any) -> dict[str, Any]:
        more.setdefault("Subnets", self.subnets[:2])
        return self.elb.create_load_balancer(Name=name, Type=kind, Tags=TAGS, **more)["LoadBalancers"][0]

    def group(self, name: str = "web", port: int = 80, **more: Any) -> str:
        more = {"Protocol": "TCP", "TargetType": "ip", **more}
        made = self.elb.create_target_group(Name=name, Port=port, VpcId=self.vpc, **more)
        return made["TargetGroups"][0]["TargetGroupArn"]

    def listen(self, balancer: dict[str, Any], group: str, **more: Any) -> str:
        more = {"Protocol": "TCP", "Port": 80, **more}
        actions = [{"Type": "forward", "TargetGroupArn": group}]
        made = self.elb.create_listener(
            LoadBalancerArn=balancer["LoadBalancerArn"], DefaultActions=actions, **more
        )  # fmt: skip
        return made["Listeners"][0]["ListenerArn"]

    def interfaces(self) -> list[dict[str, Any]]:
        wanted = [{"Name": "description", "Values": ["ELB *"]}]
        return self.ec2.describe_network_interfaces(Filters=wanted)["NetworkInterfaces"]

    def tagged(self, kind: str) -> list[str]:
        api = self.sandbox.client("resourcegroupstaggingapi")
        wanted = [{"Key": "team", "Values": ["web"]}]
        found = api.get_resources(TagFilters=wanted, ResourceTypeFilters=[f"elasticloadbalancing:{kind}"])
        return [one["ResourceARN"] for one in found["ResourceTagMappingList"]]

    def health(self, group: str) -> dict[str, tuple[str, str]]:
        found = self.elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        return {
            f"{one['Target']['Id']}:{one['Target']['Port']}": (
                one["TargetHealth"]["State"],
                one["TargetHealth"].get("Reason", ""),
            )
            for one in found
        }

    def wait(self, condition: Callable[[], Any]) -> Any:
        self.sandbox.configure(timeScale=FAST)
        try:
            return until(condition)
        finally:
            self.sandbox.configure(timeScale=SLOW)


@pytest.fixture
def made(sandbox: Sandbox) -> Balanced:
    return Balanced(sandbox)


@pytest.mark.parametrize(
    ("kind", "short", "owner", "attachment"),
    [("network", "net", "amazon-aws", "ela-attach-"), ("application", "app", "amazon-elb", "eni-attach-")],
)
def test_it_has_interfaces(made: Balanced, kind: str, short: str, owner: str, attachment: str) -> None:
    group = made.network.group()
    balancer = made.create(kind, SecurityGroups=[group])
    arn = balancer["LoadBalancerArn"]
    rest = arn.partition(":loadbalancer/")[2]
    assert rest.startswith(f"{short}/web/")
    assert balancer["State"]["Code"] == "provisioning"
    found = made.interfaces()
    assert sorted(one["SubnetId"] for one in found) == sorted(made.subnets[:2])
    for one in found:
        assert one["Description"] == f"ELB {rest}"
        assert (one["RequesterId"], one["RequesterManaged"], one["Status"]) == ("amazon-elb", True, "in-use")
        assert one["Attachment"]["InstanceOwnerId"] == owner
        assert one["Attachment"]["AttachmentId"].startswith(attachment)
        assert one["Association"]["PublicIp"]
        assert [held["GroupId"] for held in one["Groups"]] == [group]
    by_owner = [{"Name": "attachment.instance-owner-id", "Values": [owner]}]
    assert len(made.ec2.describe_network_interfaces(Filters=by_owner)["NetworkInterfaces"]) == 2
    assert made.tagged("loadbalancer") == [arn]
    made.wait(lambda: made.elb.describe_load_balancers()["LoadBalancers"][0]["State"]["Code"] == "active")


def test_it_holds_the_network_until_its_interfaces_are_gone(made: Balanced, refused: Callable[..., Any]) -> None:
    group = made.network.group()
    arn = made.create(SecurityGroups=[group])["LoadBalancerArn"]
    detach = {"InternetGatewayId": made.gateway, "VpcId": made.vpc}

    def held() -> None:
        refused("DependencyViolation", made.ec2.delete_subnet, SubnetId=made.subnets[0])
        refused("DependencyViolation", made.ec2.delete_security_group, GroupId=group)
        refused("DependencyViolation", made.ec2.detach_internet_gateway, **detach)

    held()
    interface = made.interfaces()[0]
    refused(
        "InvalidParameterValue",
        made.ec2.delete_network_interface,
        NetworkInterfaceId=interface["NetworkInterfaceId"],
    )
    attachment = interface["Attachment"]["AttachmentId"]
    refused("OperationNotPermitted", made.ec2.detach_network_interface, AttachmentId=attachment)
    made.elb.delete_load_balancer(LoadBalancerArn=arn)
    refused("LoadBalancerNotFound", made.elb.describe_load_balancers, LoadBalancerArns=[arn])
    assert made.tagged("loadbalancer") == []
    held()
    made.wait(lambda: not made.interfaces())
    made.ec2.delete_subnet(SubnetId=made.subnets[0])
    made.ec2.delete_security_group(GroupId=group)
    made.ec2.detach_internet_gateway(**detach)
    # "If the load balancer does not exist or has already been deleted, the call succeeds."
    made.elb.delete_load_balancer(LoadBalancerArn=arn)


def test_an_internal_one_has_no_public_addresses(made: Balanced) -> None:
    made.create(Scheme="internal")
    assert all("Association" not in one and one["Groups"] == [] for one in made.interfaces())
    made.ec2.detach_internet_gateway(InternetGatewayId=made.gateway, VpcId=made.vpc)


def test_an_address_of_the_account_is_given_back(made: Balanced, refused: Callable[..., Any]) -> None:
    allocation = made.network.address()
    mapping = [{"SubnetId": made.subnets[0], "AllocationId": allocation}]
    arn = made.create(Subnets=[], SubnetMappings=mapping)["LoadBalancerArn"]
    assert made.interfaces()[0]["Association"]["AllocationId"] == allocation
    made.elb.delete_load_balancer(LoadBalancerArn=arn)
    refused("InvalidIPAddress.InUse", made.ec2.release_address, AllocationId=allocation)
    made.wait(lambda: not made.interfaces())
    made.ec2.release_address(AllocationId=allocation)


def test_what_is_refused(made: Balanced, refused: Callable[..., Any]) -> None:
    create = made.elb.create_load_balancer
    same_zone = made.ec2.create_subnet(VpcId=made.vpc, CidrBlock="10.0.9.0/24", AvailabilityZone="eu-central-1a")
    both = [made.subnets[0], same_zone["Subnet"]["SubnetId"]]
    refused("InvalidConfigurationRequest", create, Name="a", Type="network", Subnets=both)
    refused("ValidationError", create, Name="a", Subnets=made.subnets[:1])
    refused("SubnetNotFound", create, Name="a", Type="network", Subnets=["subnet-0123456789abcdef0"])
    refused("InvalidSecurityGroup", create, Name="a", Subnets=made.subnets, SecurityGroups=["sg-0123456789abcdef0"])
    first = made.create()
    assert made.create()["LoadBalancerArn"] == first["LoadBalancerArn"]
    refused("DuplicateLoadBalancerName", create, Name="web", Type="network", Subnets=made.subnets)
    made.ec2.create_vpc(CidrBlock="10.9.0.0/16")
    other = Network(made.ec2, "10.8.0.0/16")
    error = refused("InvalidSubnet", create, Name="b", Type="network", Subnets=other.subnets)
    assert error.response["Error"]["Message"] == f"VPC {other.vpc} has no internet gateway"
    protected = [{"Key": "deletion_protection.enabled", "Value": "true"}]
    arn = first["LoadBalancerArn"]
    made.elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=protected)
    refused("OperationNotPermitted", made.elb.delete_load_balancer, LoadBalancerArn=arn)


def test_subnets_and_groups_can_change(made: Balanced) -> None:
    group, other = made.network.group(), made.network.group("other")
    arn = made.create("application", SecurityGroups=[group])["LoadBalancerArn"]
    made.elb.set_security_groups(LoadBalancerArn=arn, SecurityGroups=[other])
    assert {held["GroupId"] for one in made.interfaces() for held in one["Groups"]} == {other}
    made.ec2.delete_security_group(GroupId=group)
    made.elb.set_subnets(LoadBalancerArn=arn, Subnets=made.subnets[1:])
    made.wait(lambda: sorted(one["SubnetId"] for one in made.interfaces()) == sorted(made.subnets[1:]))
    zones = made.elb.describe_load_balancers()["LoadBalancers"][0]["AvailabilityZones"]
    assert sorted(one["SubnetId"] for one in zones) == sorted(made.subnets[1:])


def test_target_groups_and_listeners(made: Balanced, refused: Callable[..., Any]) -> None:
    balancer, group = made.create(), made.group(Tags=TAGS)
    assert made.tagged("targetgroup") == [group]
    made.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": "10.0.0.9", "Port": 8080}, {"Id": "10.0.0.9"}])
    assert made.health(group)["10.0.0.9:8080"] == ("unused", "Target.NotInUse")
    listener = made.listen(balancer, group, Tags=TAGS)
    assert listener.startswith(balancer["LoadBalancerArn"].replace(":loadbalancer/", ":listener/"))
    assert made.tagged("listener") == [listener]
    refused(
        "DuplicateListener", made.elb.create_listener, LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="TCP", Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )  # fmt: skip
    assert made.health(group)["10.0.0.9:8080"] == ("initial", "Elb.RegistrationInProgress")
    healthy = {"10.0.0.9:8080": ("healthy", ""), "10.0.0.9:80": ("healthy", "")}
    made.wait(lambda: made.health(group) == healthy)
    made.elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": "10.0.0.9", "Port": 8080}])
    assert made.health(group)["10.0.0.9:8080"] == ("draining", "Target.DeregistrationInProgress")
    made.wait(lambda: set(made.health(group)) == {"10.0.0.9:80"})
    refused("ResourceInUse", made.elb.delete_target_group, TargetGroupArn=group)
    made.elb.delete_load_balancer(LoadBalancerArn=balancer["LoadBalancerArn"])
    assert made.tagged("listener") == []
    found = made.elb.describe_target_groups(TargetGroupArns=[group])["TargetGroups"][0]
    assert found.get("LoadBalancerArns", []) == []
    made.elb.delete_target_group(TargetGroupArn=group)
    assert made.tagged("targetgroup") == []
    refused("TargetGroupNotFound", made.elb.describe_target_health, TargetGroupArn=group)
    refused("TargetGroupNotFound", made.elb.describe_tags, ResourceArns=[group])


def test_a_listener_lets_its_group_go(made: Balanced, refused: Callable[..., Any]) -> None:
    balancer, group, other = made.create("application"), made.group(Protocol="HTTP"), made.group("other", Protocol="HTTP")
    listener = made.listen(balancer, group, Protocol="HTTP")
    rule = made.elb.create_rule(
        ListenerArn=listener, Priority=1, Actions=[{"Type": "forward", "TargetGroupArn": other}],
        Conditions=[{"Field": "path-pattern", "Values": ["/*"]}],
    )["Rules"][0]["RuleArn"]  # fmt: skip
    refused("ResourceInUse", made.elb.delete_target_group, TargetGroupArn=other)
    made.elb.delete_rule(RuleArn=rule)
    refused("RuleNotFound", made.elb.delete_rule, RuleArn=rule)
    made.elb.delete_target_group(TargetGroupArn=other)
    made.elb.delete_listener(ListenerArn=listener)
    refused("ListenerNotFound", made.elb.delete_listener, ListenerArn=listener)
    made.elb.delete_target_group(TargetGroupArn=group)


def test_there_may_be_fifty_tags(made: Balanced, refused: Callable[..., Any]) -> None:
    arn = made.create()["LoadBalancerArn"]
    many = [{"Key": f"k{n}", "Value": str(n)} for n in range(49)]
    made.elb.add_tags(ResourceArns=[arn], Tags=many)
    assert len(made.elb.describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"]) == 50
    refused("TooManyTags", made.elb.add_tags, ResourceArns=[arn], Tags=[{"Key": "more", "Value": ""}])
    made.elb.remove_tags(ResourceArns=[arn], TagKeys=["team"])
    assert made.tagged("loadbalancer") == []
