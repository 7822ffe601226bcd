"""What keeps a VPC and its parts from being deleted, and what goes with them.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteVpc.html
https://docs.aws.amazon.com/vpc/latest/peering/delete-vpc-peering-connection.html
"""

from __future__ import annotations

from typing import Any

import pytest
from network import Network, tagged


def acl(ec2: Any, vpc: str) -> dict[str, Any]:
    made = ec2.create_network_acl(VpcId=vpc, TagSpecifications=tagged("network-acl"))["NetworkAcl"]["NetworkAclId"]
    return {"end": lambda: ec2.delete_network_acl(NetworkAclId=made)}


def egress_only(ec2: Any, vpc: str) -> dict[str, Any]:
    specification = tagged("egress-only-internet-gateway")
    made = ec2.create_egress_only_internet_gateway(VpcId=vpc, TagSpecifications=specification)
    gateway = made["EgressOnlyInternetGateway"]["EgressOnlyInternetGatewayId"]
    return {"end": lambda: ec2.delete_egress_only_internet_gateway(EgressOnlyInternetGatewayId=gateway)}


def carrier(ec2: Any, vpc: str) -> dict[str, Any]:
    gateway = ec2.create_carrier_gateway(VpcId=vpc)["CarrierGateway"]["CarrierGatewayId"]
    return {"end": lambda: ec2.delete_carrier_gateway(CarrierGatewayId=gateway)}


def vpn(ec2: Any, vpc: str) -> dict[str, Any]:
    made = ec2.create_vpn_gateway(Type="ipsec.1", TagSpecifications=tagged("vpn-gateway"))
    gateway = made["VpnGateway"]["VpnGatewayId"]
    ec2.attach_vpn_gateway(VpcId=vpc, VpnGatewayId=gateway)
    return {"end": lambda: ec2.detach_vpn_gateway(VpcId=vpc, VpnGatewayId=gateway)}


class TestVpc:
    @pytest.mark.parametrize("make", [acl, egress_only, carrier, vpn])
    def test_is_kept_by(self, ec2: Any, refused: Any, make: Any) -> None:
        network = Network(ec2, zones="")
        made = make(ec2, network.vpc)
        error = refused("DependencyViolation", ec2.delete_vpc, 400, VpcId=network.vpc)
        words = f"The vpc '{network.vpc}' has dependencies and cannot be deleted."
        assert error.response["Error"]["Message"] == words
        made["end"]()
        ec2.delete_vpc(VpcId=network.vpc)

    @pytest.mark.parametrize("make", [acl, egress_only, carrier, vpn])
    def test_is_not_kept_by_what_another_holds(self, ec2: Any, make: Any) -> None:
        network, other = Network(ec2, zones=""), Network(ec2, "10.1.0.0/16", zones="")
        make(ec2, other.vpc)
        ec2.delete_vpc(VpcId=network.vpc)

    def test_takes_its_default_acl_along(self, ec2: Any) -> None:
        network = Network(ec2, zones="")
        filters = [{"Name": "vpc-id", "Values": [network.vpc]}]
        assert [one["IsDefault"] for one in ec2.describe_network_acls(Filters=filters)["NetworkAcls"]] == [True]
        ec2.delete_vpc(VpcId=network.vpc)
        assert ec2.describe_network_acls(Filters=filters)["NetworkAcls"] == []

    def test_takes_its_peering_connections_along(self, ec2: Any) -> None:
        network, other = Network(ec2, zones=""), Network(ec2, "10.1.0.0/16", zones="")
        made = ec2.create_vpc_peering_connection(VpcId=network.vpc, PeerVpcId=other.vpc)
        peering = made["VpcPeeringConnection"]["VpcPeeringConnectionId"]
        ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=peering)
        mine = [{"Name": "requester-vpc-info.vpc-id", "Values": [network.vpc]}]

        def status() -> list[str]:
            found = ec2.describe_vpc_peering_connections(Filters=mine)["VpcPeeringConnections"]
            return [one["Status"]["Code"] for one in found]

        assert status() == ["active"]
        ec2.delete_vpc(VpcId=network.vpc)
        assert status() == ["deleted"]
        ec2.delete_vpc(VpcId=other.vpc)


class TestParts:
    def test_a_deleted_subnet_does_not_keep_its_acl(self, ec2: Any, refused: Any) -> None:
        network = Network(ec2, zones="a")
        made = ec2.create_network_acl(VpcId=network.vpc)["NetworkAcl"]["NetworkAclId"]
        filters = [{"Name": "association.subnet-id", "Values": network.subnets}]
        (default,) = ec2.describe_network_acls(Filters=filters)["NetworkAcls"]
        (association,) = [one for one in default["Associations"] if one["SubnetId"] == network.subnets[0]]
        ec2.replace_network_acl_association(AssociationId=association["NetworkAclAssociationId"], NetworkAclId=made)
        refused("DependencyViolation", ec2.delete_network_acl, NetworkAclId=made)
        ec2.delete_subnet(SubnetId=network.subnets[0])
        ec2.delete_network_acl(NetworkAclId=made)
        ec2.delete_vpc(VpcId=network.vpc)

    @pytest.mark.parametrize("where", ["nodes", "default"])
    def test_a_rule_of_any_other_group_keeps_a_group(self, ec2: Any, refused: Any, where: str) -> None:
        network = Network(ec2)
        group, permissions = network.group("endpoints"), [{"IpProtocol": "-1", "UserIdGroupPairs": []}]
        permissions[0]["UserIdGroupPairs"] = [{"GroupId": group}]
        filters = [{"Name": "vpc-id", "Values": [network.vpc]}, {"Name": "group-name", "Values": [where]}]
        if where == "nodes":
            network.group(where)
        (other,) = ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
        ec2.authorize_security_group_egress(GroupId=other["GroupId"], IpPermissions=permissions)
        error = refused("DependencyViolation", ec2.delete_security_group, GroupId=group)
        assert error.response["Error"]["Message"] == f"resource {group} has a dependent object"
        ec2.revoke_security_group_egress(GroupId=other["GroupId"], IpPermissions=permissions)
        ec2.delete_security_group(GroupId=group)

    def test_a_public_address_keeps_the_internet_gateway(self, ec2: Any, refused: Any) -> None:
        network = Network(ec2)
        gateway, address = network.internet_gateway(), network.address()
        made = ec2.create_network_interface(SubnetId=network.subnets[0])
        interface = made["NetworkInterface"]["NetworkInterfaceId"]
        associated = ec2.associate_address(AllocationId=address, NetworkInterfaceId=interface)["AssociationId"]
        way = {"InternetGatewayId": gateway, "VpcId": network.vpc}
        error = refused("DependencyViolation", ec2.detach_internet_gateway, **way)
        assert "has some mapped public address(es)" in error.response["Error"]["Message"]
        ec2.disassociate_address(AssociationId=associated)
        ec2.detach_internet_gateway(**way)

    @pytest.mark.parametrize(
        ("operation", "result", "make"),
        [
            ("describe_network_acls", "NetworkAcls", acl),
            ("describe_egress_only_internet_gateways", "EgressOnlyInternetGateways", egress_only),
            ("describe_vpn_gateways", "VpnGateways", vpn),
        ],
    )
    def test_are_found_by_tag(self, ec2: Any, refused: Any, operation: str, result: str, make: Any) -> None:
        network = Network(ec2)
        make(ec2, network.vpc)
        describe = getattr(ec2, operation)
        for value, count in (("demo", 1), ("other", 0)):
            filters = [{"Name": "tag:provisioner:stack", "Values": [value]}]
            assert len(describe(Filters=filters)[result]) == count
        refused("InvalidParameterValue", describe, Filters=[{"Name": "colour", "Values": ["x"]}])


class TestTransitGatewayAttachment:
    """https://docs.aws.amazon.com/vpc/latest/tgw/how-transit-gateways-work.html"""

    def test_holds_its_subnets_and_vpc_by_interfaces_that_end_with_it(self, ec2: Any, refused: Any) -> None:
        network = Network(ec2, zones="a")
        subnet = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [network.vpc]}])["Subnets"][0]["SubnetId"]
        gateway = ec2.create_transit_gateway()["TransitGateway"]["TransitGatewayId"]
        made = ec2.create_transit_gateway_vpc_attachment(TransitGatewayId=gateway, VpcId=network.vpc, SubnetIds=[subnet])
        attachment = made["TransitGatewayVpcAttachment"]["TransitGatewayAttachmentId"]
        in_subnet = [{"Name": "subnet-id", "Values": [subnet]}]
        (interface,) = ec2.describe_network_interfaces(Filters=in_subnet)["NetworkInterfaces"]
        assert interface["Description"] == f"Network Interface for Transit Gateway Attachment {attachment}"
        assert (interface["InterfaceType"], interface["RequesterManaged"]) == ("transit_gateway", True)
        refused("DependencyViolation", ec2.delete_subnet, 400, SubnetId=subnet)
        ec2.delete_transit_gateway_vpc_attachment(TransitGatewayAttachmentId=attachment)
        assert ec2.describe_network_interfaces(Filters=in_subnet)["NetworkInterfaces"] == []
        ec2.delete_subnet(SubnetId=subnet)
        ec2.delete_vpc(VpcId=network.vpc)
