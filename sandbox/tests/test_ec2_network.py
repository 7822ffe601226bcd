"""VPCs, subnets, gateways, addresses, routes, groups, flow logs: rules and dependencies."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Sandbox, until
from network import Network, tagged

MISSING = "0123456789abcdef0"


def test_vpc_and_subnet_are_pending_at_first(ec2: Any, sandbox: Sandbox) -> None:
    sandbox.configure(timeScale=1)
    network = Network(ec2)
    assert ec2.describe_vpcs(VpcIds=[network.vpc])["Vpcs"][0]["State"] == "pending"
    assert ec2.describe_subnets(SubnetIds=network.subnets[:1])["Subnets"][0]["State"] == "pending"
    sandbox.configure(timeScale=1000)
    assert until(lambda: ec2.describe_vpcs(VpcIds=[network.vpc])["Vpcs"][0]["State"] == "available")
    assert until(lambda: ec2.describe_subnets(SubnetIds=network.subnets[:1])["Subnets"][0]["State"] == "available")


def test_dry_run_changes_nothing(ec2: Any, refused: Any) -> None:
    refused("DryRunOperation", ec2.create_vpc, 412, CidrBlock="10.0.0.0/16", DryRun=True)
    assert len(ec2.describe_vpcs()["Vpcs"]) == 1


def test_quotas(ec2: Any, refused: Any) -> None:
    for _ in range(99):
        ec2.create_vpc(CidrBlock="10.0.0.0/28")
    refused("VpcLimitExceeded", ec2.create_vpc, CidrBlock="10.0.0.0/28")
    for _ in range(50):
        ec2.allocate_address(Domain="vpc")
    refused("AddressLimitExceeded", ec2.allocate_address, Domain="vpc")


def test_vpc_attributes(ec2: Any) -> None:
    network = Network(ec2)

    def attribute(name: str) -> bool:
        described = ec2.describe_vpc_attribute(VpcId=network.vpc, Attribute=name)
        return described[name[0].upper() + name[1:]]["Value"]

    assert attribute("enableDnsSupport") is True
    assert attribute("enableDnsHostnames") is False
    network.dns_on()
    assert attribute("enableDnsHostnames") is True


@pytest.mark.parametrize(
    ("cidr", "code"),
    [
        ("10.0.0.0/29", "InvalidSubnet.Range"),
        ("10.0.0.0/15", "InvalidSubnet.Range"),
        ("10.9.0.0/24", "InvalidSubnet.Range"),
        ("10.0.0.128/25", "InvalidSubnet.Conflict"),
        ("none", "InvalidParameterValue"),
    ],
)
def test_subnet_ranges(ec2: Any, refused: Any, cidr: str, code: str) -> None:
    network = Network(ec2, zones="a")
    refused(code, ec2.create_subnet, VpcId=network.vpc, CidrBlock=cidr)


def test_what_is_in_a_vpc_keeps_it(ec2: Any, refused: Any) -> None:
    network = Network(ec2, zones="")

    def kept() -> None:
        refused("DependencyViolation", ec2.delete_vpc, VpcId=network.vpc)

    subnet = ec2.create_subnet(VpcId=network.vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    kept()
    ec2.delete_subnet(SubnetId=subnet)
    gateway = network.internet_gateway()
    kept()
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=network.vpc)
    group = network.group()
    kept()
    ec2.delete_security_group(GroupId=group)
    table = network.route_table()
    kept()
    ec2.delete_route_table(RouteTableId=table)
    main = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [network.vpc]}])["RouteTables"][0]
    endpoint = network.gateway_endpoint([main["RouteTableId"]])
    kept()
    ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint])
    ec2.delete_vpc(VpcId=network.vpc)
    refused("InvalidVpcID.NotFound", ec2.describe_vpcs, VpcIds=[network.vpc])
    left = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [network.vpc]}])
    assert left["SecurityGroups"] == []


def test_an_interface_keeps_its_subnet_and_group(ec2: Any, refused: Any) -> None:
    network = Network(ec2)
    group = network.group()
    created = ec2.create_network_interface(SubnetId=network.subnets[0], Groups=[group])
    interface = created["NetworkInterface"]["NetworkInterfaceId"]
    refused("DependencyViolation", ec2.delete_subnet, SubnetId=network.subnets[0])
    refused("DependencyViolation", ec2.delete_security_group, GroupId=group)
    ec2.delete_network_interface(NetworkInterfaceId=interface)
    ec2.delete_subnet(SubnetId=network.subnets[0])
    ec2.delete_security_group(GroupId=group)


class TestInternetGateway:
    def test_one_for_each_vpc(self, ec2: Any, refused: Any) -> None:
        network = Network(ec2, zones="a")
        gateway = network.internet_gateway()
        other = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        refused("InvalidParameterValue", ec2.attach_internet_gateway, InternetGatewayId=other, VpcId=network.vpc)
        refused("Resource.AlreadyAssociated", ec2.attach_internet_gateway, InternetGatewayId=gateway, VpcId=network.vpc)
        refused("Gateway.NotAttached", ec2.detach_internet_gateway, InternetGatewayId=other, VpcId=network.vpc)
        missing = f"igw-{MISSING}"
        refused(
            "InvalidInternetGatewayID.NotFound",
            ec2.attach_internet_gateway,
            InternetGatewayId=missing,
            VpcId=network.vpc,
        )

    def test_attached_it_cannot_be_deleted(self, ec2: Any, refused: Any) -> None:
        network = Network(ec2, zones="a")
        gateway = network.internet_gateway()
        refused("DependencyViolation", ec2.delete_internet_gateway, InternetGatewayId=gateway)
        ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=network.vpc)
        ec2.delete_internet_gateway(InternetGatewayId=gateway)
        refused("InvalidInternetGatewayID.NotFound", ec2.delete_internet_gateway, InternetGatewayId=gateway)


class TestRoutes:
    def test_a_subnet_has_one_table(self, ec2: Any, refused: Any) -> None:
        network = Network(ec2)
        one, two = network.route_table(), network.route_table()
        subnet = network.subnets[0]
        first = ec2.associate_route_table(RouteTableId=one, SubnetId=subnet)["AssociationId"]
        assert ec2.associate_route_table(RouteTableId=one, SubnetId=subnet)["AssociationId"] == first
        refused("Resource.AlreadyAssociated", ec2.associate_route_table, RouteTableId=two, SubnetId=subnet)
        refused("DependencyViolation", ec2.delete_route_table, RouteTableId=one)
        moved = ec2.replace_route_table_association(AssociationId=first, RouteTableId=two)["NewAssociationId"]
        ec2.delete_route_table(RouteTableId=one)
        ec2.disassociate_route_table(AssociationId=moved)
        refused("InvalidAssociationID.NotFound", ec2.disassociate_route_table, AssociationId=moved)
        ec2.delete_route_table(RouteTableId=two)

    def test_a_table_of_another_vpc(self, ec2: Any, refused: Any) -> None:
        network, other = Network(ec2), Network(ec2, "10.1.0.0/16")
        refused(
            "InvalidParameterValue",
            ec2.associate_route_table,
            RouteTableId=other.route_table(),
            SubnetId=network.subnets[0],
        )

    def test_the_main_table_stays(self, ec2: Any, refused: Any) -> None:
        network = Network(ec2)
        filters = [{"Name": "vpc-id", "Values": [network.vpc]}, {"Name": "association.main", "Values": ["true"]}]
        (main,) = ec2.describe_route_tables(Filters=filters)["RouteTables"]
        refused("DependencyViolation", ec2.delete_route_table, RouteTableId=main["RouteTableId"])
        association = main["Associations"][0]["RouteTableAssociationId"]
        refused("InvalidParameterValue", ec2.disassociate_route_table, AssociationId=association)

    def test_targets_must_exist(self, ec2: Any, refused: Any) -> None:
        network = Network(ec2)
        route = {"RouteTableId": network.route_table(), "DestinationCidrBlock": "0.0.0.0/0"}
        refused("InvalidNatGatewayID.NotFound", ec2.create_route, **route, NatGatewayId=f"nat-{MISSING}")
        refused("InvalidGatewayID.NotFound", ec2.create_route, **route, GatewayId=f"igw-{MISSING}")
        loose = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        refused("InvalidParameterValue", ec2.create_route, **route, GatewayId=loose)
        ec2.create_route(**route, GatewayId=network.internet_gateway())
        refused("RouteAlreadyExists", ec2.create_route, **route, GatewayId=network_gateway(ec2, network))
        ec2.delete_route(**route)
        refused("InvalidRoute.NotFound", ec2.delete_route, **route)

    def test_a_detached_gateway_leaves_a_black_hole(self, ec2: Any) -> None:
        network = Network(ec2)
        gateway, table = network.internet_gateway(), network.route_table()
        ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
        ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=network.vpc)
        ec2.delete_internet_gateway(InternetGatewayId=gateway)
        routes = ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Routes"]
        assert {route["DestinationCidrBlock"]: route["State"] for route in routes} == {
            "10.0.0.0/16": "active",
            "0.0.0.0/0": "blackhole",
        }


def network_gateway(ec2: Any, network: Network) -> str:
    filters = [{"Name": "attachment.vpc-id", "Values": [network.vpc]}]
    return ec2.describe_internet_gateways(Filters=filters)["InternetGateways"][0]["InternetGatewayId"]


class TestGroups:
    PERMISSION = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.0.0.0/16"}]}

    def test_default_stays(self, ec2: Any, refused: Any) -> None:
        network = Network(ec2)
        filters = [{"Name": "vpc-id", "Values": [network.vpc]}, {"Name": "group-name", "Values": ["default"]}]
        (default,) = ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
        refused("CannotDelete", ec2.delete_security_group, GroupId=default["GroupId"])

    def test_a_rule_elsewhere_keeps_a_group_its_own_does_not(self, ec2: Any, refused: Any) -> None:
        network = Network(ec2)
        nodes, control = network.group("nodes"), network.group("control")
        for group, source in ((nodes, nodes), (control, nodes)):
            permission = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": source}]}
            ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])
        refused("DependencyViolation", ec2.delete_security_group, GroupId=nodes)
        ec2.delete_security_group(GroupId=control)
        ec2.delete_security_group(GroupId=nodes)

    @pytest.mark.parametrize("direction", ["ingress", "egress"])
    def test_rules_have_ids_and_tags(self, ec2: Any, refused: Any, direction: str) -> None:
        network = Network(ec2)
        group = network.group()
        created = getattr(ec2, f"authorize_security_group_{direction}")(
            GroupId=group, IpPermissions=[self.PERMISSION], TagSpecifications=tagged("security-group-rule")
        )
        (rule,) = created["SecurityGroupRules"]
        assert rule["IsEgress"] == (direction == "egress")
        assert rule["Tags"] == tagged("security-group-rule")[0]["Tags"]
        again = getattr(ec2, f"authorize_security_group_{direction}")
        refused("InvalidPermission.Duplicate", again, GroupId=group, IpPermissions=[self.PERMISSION])
        rule_id = rule["SecurityGroupRuleId"]
        (found,) = ec2.describe_security_group_rules(SecurityGroupRuleIds=[rule_id])["SecurityGroupRules"]
        assert found["CidrIpv4"] == "10.0.0.0/16"
        assert found["GroupOwnerId"] == "123456789012"
        revoke = getattr(ec2, f"revoke_security_group_{direction}")
        revoke(GroupId=group, SecurityGroupRuleIds=[rule_id])
        refused(
            "InvalidSecurityGroupRuleId.NotFound", ec2.describe_security_group_rules, SecurityGroupRuleIds=[rule_id]
        )
        refused("InvalidSecurityGroupRuleId.NotFound", revoke, GroupId=group, SecurityGroupRuleIds=[rule_id])


class TestFlowLogs:
    def params(self, vpc: str) -> dict[str, Any]:
        return {
            "ResourceIds": [vpc],
            "ResourceType": "VPC",
            "TrafficType": "REJECT",
            "LogGroupName": "/flow",
            "DeliverLogsPermissionArn": "arn:aws:iam::123456789012:role/flow",
            "TagSpecifications": tagged("vpc-flow-log"),
        }

    def test_life(self, ec2: Any, sandbox: Sandbox, refused: Any) -> None:
        network = Network(ec2)
        sandbox.client("logs").create_log_group(logGroupName="/flow")
        (flow_log,) = ec2.create_flow_logs(**self.params(network.vpc))["FlowLogIds"]
        refused("FlowLogAlreadyExists", ec2.create_flow_logs, **self.params(network.vpc))
        (found,) = ec2.describe_flow_logs(Filter=[{"Name": "resource-id", "Values": [network.vpc]}])["FlowLogs"]
        assert found["DeliverLogsPermissionArn"] == "arn:aws:iam::123456789012:role/flow"
        assert found["LogGroupName"] == "/flow"
        assert found["Tags"] == tagged("vpc-flow-log")[0]["Tags"]
        assert ec2.delete_flow_logs(FlowLogIds=[flow_log])["Unsuccessful"] == []
        assert ec2.describe_flow_logs()["FlowLogs"] == []
        (failed,) = ec2.delete_flow_logs(FlowLogIds=[flow_log])["Unsuccessful"]
        assert failed["Error"]["Code"] == "InvalidFlowLogId.NotFound"
        assert len(ec2.create_flow_logs(**self.params(network.vpc))["FlowLogIds"]) == 1
