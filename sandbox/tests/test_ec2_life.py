"""NAT gateways and VPC endpoints: what takes time, and what their end frees."""

from __future__ import annotations

from typing import Any

from conftest import Sandbox, until
from network import TAG_FILTER, Network

MISSING = "0123456789abcdef0"


class TestNat:
    def state(self, ec2: Any, nat: str) -> str:
        return ec2.describe_nat_gateways(NatGatewayIds=[nat])["NatGateways"][0]["State"]

    def test_life(self, ec2: Any, sandbox: Sandbox, refused: Any) -> None:
        sandbox.configure(timeScale=1)
        network = Network(ec2)
        gateway, address, table = network.internet_gateway(), network.address(), network.route_table()
        nat = network.nat_gateway(address)
        ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat)
        assert self.state(ec2, nat) == "pending"
        sandbox.configure(timeScale=5000)
        assert until(lambda: self.state(ec2, nat) == "available")
        sandbox.configure(timeScale=1)
        refused("InvalidIPAddress.InUse", ec2.release_address, AllocationId=address)
        refused("DependencyViolation", ec2.delete_subnet, SubnetId=network.subnets[0])
        refused("DependencyViolation", ec2.detach_internet_gateway, InternetGatewayId=gateway, VpcId=network.vpc)
        ec2.delete_nat_gateway(NatGatewayId=nat)
        assert self.state(ec2, nat) == "deleting"
        refused("InvalidIPAddress.InUse", ec2.release_address, AllocationId=address)
        sandbox.configure(timeScale=2000)
        assert until(lambda: self.state(ec2, nat) == "deleted")
        assert "DeleteTime" in ec2.describe_nat_gateways(NatGatewayIds=[nat])["NatGateways"][0]
        sandbox.configure(timeScale=1)
        routes = ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Routes"]
        assert [route["State"] for route in routes if route.get("NatGatewayId") == nat] == ["blackhole"]
        assert "AssociationId" not in ec2.describe_addresses(AllocationIds=[address])["Addresses"][0]
        ec2.release_address(AllocationId=address)
        ec2.delete_subnet(SubnetId=network.subnets[0])
        ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=network.vpc)
        sandbox.configure(timeScale=1_000_000)
        assert until(lambda: ec2.describe_nat_gateways()["NatGateways"] == [])
        refused("NatGatewayNotFound", ec2.describe_nat_gateways, NatGatewayIds=[nat])
        refused("NatGatewayNotFound", ec2.delete_nat_gateway, NatGatewayId=nat)

    def test_without_internet_gateway_it_fails_later(self, ec2: Any, sandbox: Sandbox) -> None:
        network = Network(ec2)
        address = network.address()
        nat = network.nat_gateway(address)
        until(lambda: self.state(ec2, nat) == "failed")
        (found,) = ec2.describe_nat_gateways(Filter=TAG_FILTER)["NatGateways"]
        assert found["FailureCode"] == "Gateway.NotAttached"
        ec2.release_address(AllocationId=address)

    def test_addresses_are_checked(self, ec2: Any, refused: Any) -> None:
        network = Network(ec2)
        network.internet_gateway()
        subnet = network.subnets[0]
        missing = f"eipalloc-{MISSING}"
        refused("InvalidElasticIpID.NotFound", ec2.create_nat_gateway, SubnetId=subnet, AllocationId=missing)
        refused("MissingParameter", ec2.create_nat_gateway, SubnetId=subnet)
        address = network.address()
        network.nat_gateway(address)
        refused("Resource.AlreadyAssociated", ec2.create_nat_gateway, SubnetId=subnet, AllocationId=address)

    def test_its_interface_is_in_its_subnet_and_amazons(self, ec2: Any, refused: Any) -> None:
        network = Network(ec2)
        network.internet_gateway()
        nat = network.nat_gateway(network.address())
        filters = [{"Name": "description", "Values": [f"Interface for NAT Gateway {nat}"]}]
        (interface,) = ec2.describe_network_interfaces(Filters=filters)["NetworkInterfaces"]
        assert interface["InterfaceType"] == "nat_gateway"
        assert interface["RequesterManaged"] is True
        assert interface["PrivateIpAddress"].startswith("10.0.0.")
        assert interface["Groups"] == []
        interface_id = interface["NetworkInterfaceId"]
        refused("InvalidParameterValue", ec2.delete_network_interface, NetworkInterfaceId=interface_id)


class TestEndpoints:
    def one(self, ec2: Any, endpoint: str) -> dict[str, Any]:
        return ec2.describe_vpc_endpoints(VpcEndpointIds=[endpoint])["VpcEndpoints"][0]

    def prefix_routes(self, ec2: Any, table: str) -> list[str]:
        routes = ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Routes"]
        return [route["GatewayId"] for route in routes if "DestinationPrefixListId" in route]

    def test_gateway_ones_are_routes(self, ec2: Any, refused: Any) -> None:
        network = Network(ec2)
        one, two = network.route_table(), network.route_table()
        endpoint = network.gateway_endpoint([one])
        assert self.one(ec2, endpoint)["State"] == "available"
        assert self.prefix_routes(ec2, one) == [endpoint]
        refused(
            "RouteAlreadyExists",
            ec2.create_vpc_endpoint,
            VpcId=network.vpc,
            ServiceName=network.service("s3"),
            RouteTableIds=[one],
        )
        other = network.gateway_endpoint([one], "dynamodb")
        ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, AddRouteTableIds=[two], RemoveRouteTableIds=[one])
        assert self.prefix_routes(ec2, one) == [other]
        assert self.prefix_routes(ec2, two) == [endpoint]
        assert self.one(ec2, endpoint)["RouteTableIds"] == [two]
        assert ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint])["Unsuccessful"] == []
        assert self.prefix_routes(ec2, two) == []
        refused("InvalidVpcEndpointId.NotFound", ec2.describe_vpc_endpoints, VpcEndpointIds=[endpoint])

    def test_interface_ones_take_time_and_hold_their_parts(self, ec2: Any, sandbox: Sandbox, refused: Any) -> None:
        sandbox.configure(timeScale=1)
        network = Network(ec2)
        network.dns_on()
        group, other = network.group("one"), network.group("two")
        endpoint = network.interface_endpoint([group])
        assert self.one(ec2, endpoint)["State"] == "pending"
        name = self.one(ec2, endpoint)["DnsEntries"][0]["DnsName"]
        assert name.startswith(endpoint) and name.endswith(".sts.eu-central-1.vpce.amazonaws.com")
        sandbox.configure(timeScale=5000)
        until(lambda: self.one(ec2, endpoint)["State"] == "available")
        sandbox.configure(timeScale=1)
        refused("DependencyViolation", ec2.delete_security_group, GroupId=group)
        refused("DependencyViolation", ec2.delete_subnet, SubnetId=network.subnets[0])
        ec2.modify_vpc_endpoint(
            VpcEndpointId=endpoint,
            AddSubnetIds=[network.subnets[2]],
            RemoveSubnetIds=[network.subnets[0]],
            AddSecurityGroupIds=[other],
            RemoveSecurityGroupIds=[group],
        )
        found = self.one(ec2, endpoint)
        assert found["SubnetIds"] == network.subnets[1:]
        assert [g["GroupId"] for g in found["Groups"]] == [other]
        interfaces = ec2.describe_network_interfaces(NetworkInterfaceIds=found["NetworkInterfaceIds"])
        assert {i["SubnetId"] for i in interfaces["NetworkInterfaces"]} == set(network.subnets[1:])
        assert {i["InterfaceType"] for i in interfaces["NetworkInterfaces"]} == {"vpc_endpoint"}
        assert {g["GroupId"] for i in interfaces["NetworkInterfaces"] for g in i["Groups"]} == {other}
        ec2.delete_security_group(GroupId=group)
        ec2.delete_subnet(SubnetId=network.subnets[0])
        ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint])
        assert self.one(ec2, endpoint)["State"] == "deleting"
        refused("DependencyViolation", ec2.delete_subnet, SubnetId=network.subnets[1])
        sandbox.configure(timeScale=5000)
        until(lambda: ec2.describe_vpc_endpoints()["VpcEndpoints"] == [])
        ec2.delete_subnet(SubnetId=network.subnets[1])
        ec2.delete_security_group(GroupId=other)
        (failed,) = ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint])["Unsuccessful"]
        assert failed["Error"]["Code"] == "InvalidVpcEndpoint.NotFound"

    def test_services_and_private_dns(self, ec2: Any, refused: Any) -> None:
        network = Network(ec2)
        group = network.group()
        create = {"VpcEndpointType": "Interface", "VpcId": network.vpc, "SecurityGroupIds": [group]}
        refused("InvalidServiceName", ec2.create_vpc_endpoint, **create, ServiceName=network.service("nonsense"))
        elsewhere = "com.amazonaws.us-west-2.sts"
        refused("InvalidServiceName", ec2.create_vpc_endpoint, **create, ServiceName=elsewhere)
        sts = network.service("sts")
        refused("InvalidParameter", ec2.create_vpc_endpoint, **create, ServiceName=sts)  # hostnames are off
        network.dns_on()
        first = network.interface_endpoint([group])
        refused("InvalidParameter", ec2.create_vpc_endpoint, **create, ServiceName=sts)
        second = network.interface_endpoint([group], PrivateDnsEnabled=False)
        refused("InvalidParameter", ec2.modify_vpc_endpoint, VpcEndpointId=second, PrivateDnsEnabled=True)
        ec2.modify_vpc_endpoint(VpcEndpointId=first, PrivateDnsEnabled=False)
        ec2.modify_vpc_endpoint(VpcEndpointId=second, PrivateDnsEnabled=True)
        assert self.one(ec2, second)["PrivateDnsEnabled"] is True

    def test_every_service_that_a_closed_network_needs(self, ec2: Any) -> None:
        network = Network(ec2)
        network.dns_on()
        group = network.group()
        for name in (
            "ec2", "ecr.api", "ecr.dkr", "sts", "eks", "eks-auth", "elasticloadbalancing", "autoscaling", "logs",
            "ssm", "ssmmessages", "ec2messages", "kms",
        ):  # fmt: skip
            network.interface_endpoint([group], name)
        assert len(ec2.describe_vpc_endpoints(Filters=TAG_FILTER)["VpcEndpoints"]) == 13

    def test_services_can_be_looked_up(self, ec2: Any, refused: Any) -> None:
        def found(**params: Any) -> dict[str, list[str]]:
            details = ec2.describe_vpc_endpoint_services(**params)["ServiceDetails"]
            return {item["ServiceName"]: [kind["ServiceType"] for kind in item["ServiceType"]] for item in details}

        sts = "com.amazonaws.eu-central-1.sts"
        assert found(ServiceNames=[sts]) == {sts: ["Interface"]}
        gateways = found(Filters=[{"Name": "service-type", "Values": ["Gateway"]}])
        assert sorted(gateways) == ["com.amazonaws.eu-central-1.dynamodb", "com.amazonaws.eu-central-1.s3"]
        first = ec2.describe_vpc_endpoint_services(MaxResults=10)
        assert len(first["ServiceNames"]) <= 10 and first["NextToken"]
        refused("InvalidServiceName", ec2.describe_vpc_endpoint_services, ServiceNames=["com.amazonaws.eu-central-1.x"])

    def test_policy(self, ec2: Any, refused: Any) -> None:
        network = Network(ec2)
        endpoint = network.gateway_endpoint([network.route_table()])
        policy = (
            '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*"}]}'
        )
        ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, PolicyDocument=policy)
        assert self.one(ec2, endpoint)["PolicyDocument"] == policy
        refused("InvalidPolicyDocument", ec2.modify_vpc_endpoint, VpcEndpointId=endpoint, PolicyDocument="{")
