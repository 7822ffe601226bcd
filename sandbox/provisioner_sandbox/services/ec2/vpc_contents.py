"""Network ACLs, egress-only and VPN gateways, carrier gateways and peering connections: what they hold, and their end.

"You must detach or delete all gateways and resources that are associated with the VPC before you can delete it. [...]
When you delete the VPC, it deletes the default security group, network ACL, and route table for the VPC."
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteVpc.html
A peering connection that is active is deleted with either VPC:
https://docs.aws.amazon.com/vpc/latest/peering/delete-vpc-peering-connection.html
"""

from __future__ import annotations

from typing import Any

from provisioner_sandbox.services.ec2.describe import listing


def holds_vpc(backend: Any, vpc_id: str) -> bool:
    """Whether a network ACL that is not the default one, or a gateway of one of these kinds, keeps the VPC."""
    return (
        any(acl.vpc_id == vpc_id and not is_default(acl) for acl in backend.network_acls.values())
        or any(gateway.vpc_id == vpc_id for gateway in backend.egress_only_internet_gateways.values())
        or any(gateway.vpc_id == vpc_id for gateway in backend.carrier_gateways.values())
        or any(is_attached(gateway, vpc_id) for gateway in backend.vpn_gateways.values())
    )


def is_default(acl: Any) -> bool:
    return str(acl.default).lower() == "true"


def is_attached(gateway: Any, vpc_id: str) -> bool:
    attachment = gateway.attachments.get(vpc_id)
    return attachment is not None and attachment.state == "attached"


def go_with_vpc(backend: Any, vpc_id: str) -> None:
    """Deletes the default network ACL and the peering connections of a VPC that was deleted."""
    for acl_id in [acl.id for acl in backend.network_acls.values() if acl.vpc_id == vpc_id]:
        backend.network_acls.pop(acl_id)
        backend.tags.pop(acl_id, None)
    for peering in backend.vpc_pcxs.values():
        if vpc_id in (peering.vpc.id, peering.peer_vpc.id):
            peering._status.deleted(backend.account_id)


def forget_subnet(backend: Any, subnet_id: str) -> None:
    """A deleted subnet's association with its network ACL, which would keep the ACL for ever."""
    for acl in backend.network_acls.values():
        for association_id, association in list(acl._associations.items()):
            if association.subnet_id == subnet_id:
                del acl._associations[association_id]


listing(
    result="NetworkAcls",
    id_member="NetworkAclId",
    not_found=("InvalidNetworkAclID.NotFound", "The networkAcl ID '{}' does not exist"),
    filters={
        "association.association-id": "Associations[].NetworkAclAssociationId",
        "association.network-acl-id": "Associations[].NetworkAclId",
        "association.subnet-id": "Associations[].SubnetId",
        "default": "IsDefault",
        "entry.cidr": "Entries[].CidrBlock",
        "entry.egress": "Entries[].Egress",
        "entry.protocol": "Entries[].Protocol",
        "entry.rule-action": "Entries[].RuleAction",
        "entry.rule-number": "Entries[].RuleNumber",
        "network-acl-id": "NetworkAclId",
        "owner-id": "OwnerId",
        "vpc-id": "VpcId",
    },
)

# Of these AWS filters by tags only.
listing(
    result="EgressOnlyInternetGateways",
    id_member="EgressOnlyInternetGatewayId",
    not_found=("InvalidGatewayID.NotFound", "The eigw ID '{}' does not exist"),
    filters={},
)

listing(
    result="VpnGateways",
    id_member="VpnGatewayId",
    not_found=("InvalidVpnGatewayID.NotFound", "The vpnGateway ID '{}' does not exist"),
    filters={
        "amazon-side-asn": "AmazonSideAsn",
        "attachment.state": "VpcAttachments[].State",
        "attachment.vpc-id": "VpcAttachments[].VpcId",
        "availability-zone": "AvailabilityZone",
        "state": "State",
        "type": "Type",
        "vpn-gateway-id": "VpnGatewayId",
    },
)

listing(
    result="VpcPeeringConnections",
    id_member="VpcPeeringConnectionId",
    not_found=("InvalidVpcPeeringConnectionID.NotFound", "The vpcPeeringConnection ID '{}' does not exist"),
    filters={
        "accepter-vpc-info.cidr-block": "AccepterVpcInfo.CidrBlock",
        "accepter-vpc-info.owner-id": "AccepterVpcInfo.OwnerId",
        "accepter-vpc-info.vpc-id": "AccepterVpcInfo.VpcId",
        "expiration-time": "ExpirationTime",
        "requester-vpc-info.cidr-block": "RequesterVpcInfo.CidrBlock",
        "requester-vpc-info.owner-id": "RequesterVpcInfo.OwnerId",
        "requester-vpc-info.vpc-id": "RequesterVpcInfo.VpcId",
        "status-code": "Status.Code",
        "status-message": "Status.Message",
        "vpc-peering-connection-id": "VpcPeeringConnectionId",
    },
)
