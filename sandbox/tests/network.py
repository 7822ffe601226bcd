"""A small network, as the tests of its parts need it."""

from __future__ import annotations

from typing import Any

TAGS = [{"Key": "provisioner:stack", "Value": "demo"}]
TAG_FILTER = [{"Name": "tag:provisioner:stack", "Values": ["demo"]}]


def tagged(resource_type: str, tags: list[dict[str, str]] | None = None) -> list[dict[str, Any]]:
    return [{"ResourceType": resource_type, "Tags": tags or TAGS}]


class Network:
    """A VPC with one subnet for each zone; everything else is made when asked for."""

    def __init__(self, ec2: Any, cidr: str = "10.0.0.0/16", zones: str = "abc", region: str = "eu-central-1"):
        self.ec2 = ec2
        self.region = region
        self.vpc = ec2.create_vpc(CidrBlock=cidr, TagSpecifications=tagged("vpc"))["Vpc"]["VpcId"]
        base = cidr.rsplit(".", 2)[0]
        self.subnets = [
            ec2.create_subnet(
                VpcId=self.vpc,
                CidrBlock=f"{base}.{n}.0/24",
                AvailabilityZone=f"{region}{zone}",
                TagSpecifications=tagged("subnet"),
            )["Subnet"]["SubnetId"]
            for n, zone in enumerate(zones)
        ]

    def internet_gateway(self) -> str:
        created = self.ec2.create_internet_gateway(TagSpecifications=tagged("internet-gateway"))
        gateway = created["InternetGateway"]["InternetGatewayId"]
        self.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=self.vpc)
        return gateway

    def address(self) -> str:
        created = self.ec2.allocate_address(Domain="vpc", TagSpecifications=tagged("elastic-ip"))
        return created["AllocationId"]

    def nat_gateway(self, address: str, **more: Any) -> str:
        created = self.ec2.create_nat_gateway(
            SubnetId=self.subnets[0], AllocationId=address, TagSpecifications=tagged("natgateway"), **more
        )
        return created["NatGateway"]["NatGatewayId"]

    def route_table(self, **more: Any) -> str:
        created = self.ec2.create_route_table(VpcId=self.vpc, TagSpecifications=tagged("route-table"), **more)
        return created["RouteTable"]["RouteTableId"]

    def group(self, name: str = "nodes") -> str:
        created = self.ec2.create_security_group(
            GroupName=name, Description=name, VpcId=self.vpc, TagSpecifications=tagged("security-group")
        )
        return created["GroupId"]

    def dns_on(self) -> None:
        self.ec2.modify_vpc_attribute(VpcId=self.vpc, EnableDnsHostnames={"Value": True})

    def way_out(self) -> None:
        """What nodes need to join: DNS, and a default route for all subnets, through another network."""
        self.dns_on()
        made = self.ec2.create_transit_gateway(Description="the way out")["TransitGateway"]["TransitGatewayId"]
        route = {"DestinationCidrBlock": "0.0.0.0/0", "TransitGatewayId": made}
        self.ec2.create_route(RouteTableId=self.main_table(), **route)

    def main_table(self) -> str:
        filters = [{"Name": "vpc-id", "Values": [self.vpc]}, {"Name": "association.main", "Values": ["true"]}]
        (table,) = self.ec2.describe_route_tables(Filters=filters)["RouteTables"]
        found: str = table["RouteTableId"]
        return found

    def service(self, name: str) -> str:
        return f"com.amazonaws.{self.region}.{name}"

    def gateway_endpoint(self, tables: list[str], service: str = "s3", **more: Any) -> str:
        created = self.ec2.create_vpc_endpoint(
            VpcId=self.vpc,
            ServiceName=self.service(service),
            RouteTableIds=tables,
            TagSpecifications=tagged("vpc-endpoint"),
            **more,
        )
        return created["VpcEndpoint"]["VpcEndpointId"]

    def interface_endpoint(self, groups: list[str], service: str = "sts", **more: Any) -> str:
        more.setdefault("SubnetIds", self.subnets[:2])
        created = self.ec2.create_vpc_endpoint(
            VpcEndpointType="Interface",
            VpcId=self.vpc,
            ServiceName=self.service(service),
            SecurityGroupIds=groups,
            TagSpecifications=tagged("vpc-endpoint"),
            **more,
        )
        return created["VpcEndpoint"]["VpcEndpointId"]
