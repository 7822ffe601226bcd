"""Network interfaces: those that AWS makes for NAT gateways and endpoints say so."""

from __future__ import annotations

from typing import Any

from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.ec2.describe import listing
from provisioner_sandbox.services.ec2.state import remove
from provisioner_sandbox.wire.message import Answer


def managed_interface(interface: Any, kind: str, description: str) -> None:
    interface.interface_type = kind
    interface.description = description
    interface.status = "in-use"
    interface.requester_managed = True


def create_managed(backend: Any, subnet_id: str, group_ids: list[str], kind: str, description: str) -> Any:
    subnet = backend.get_subnet(subnet_id)
    interface = backend.create_network_interface(subnet, None, group_ids=group_ids, description=description)
    managed_interface(interface, kind, description)
    return interface


@handles("ec2", "DeleteNetworkInterface")
def delete(call: Call) -> Answer:
    interface_id = call.params["NetworkInterfaceId"]
    interface = call.backend.enis.get(interface_id)
    if interface is not None and interface.status == "in-use":
        message = f"Network interface '{interface_id}' is currently in use."
        raise AwsError("InvalidParameterValue", message)
    answer = call.forward()
    remove(call.backend, call.backend.enis, interface_id)
    return answer


listing(
    operation="DescribeNetworkInterfaces",
    result="NetworkInterfaces",
    id_member="NetworkInterfaceId",
    ids_param="NetworkInterfaceIds",
    not_found=("InvalidNetworkInterfaceID.NotFound", "The networkInterface ID '{}' does not exist"),
    tags_member="TagSet",
    filters={
        "association.allocation-id": "Association.AllocationId",
        "association.association-id": "Association.AssociationId",
        "association.ip-owner-id": "Association.IpOwnerId",
        "association.public-ip": "Association.PublicIp",
        "association.public-dns-name": "Association.PublicDnsName",
        "addresses.association.owner-id": "PrivateIpAddresses[].Association.IpOwnerId",
        "addresses.association.public-ip": "PrivateIpAddresses[].Association.PublicIp",
        "addresses.primary": "PrivateIpAddresses[].Primary",
        "addresses.private-ip-address": "PrivateIpAddresses[].PrivateIpAddress",
        "attachment.attachment-id": "Attachment.AttachmentId",
        "attachment.delete-on-termination": "Attachment.DeleteOnTermination",
        "attachment.device-index": "Attachment.DeviceIndex",
        "attachment.instance-id": "Attachment.InstanceId",
        "attachment.instance-owner-id": "Attachment.InstanceOwnerId",
        "attachment.status": "Attachment.Status",
        "availability-zone": "AvailabilityZone",
        "availability-zone-id": "AvailabilityZoneId",
        "description": "Description",
        "group-id": "Groups[].GroupId",
        "group-name": "Groups[].GroupName",
        "ipv6-addresses.ipv6-address": "Ipv6Addresses[].Ipv6Address",
        "interface-type": "InterfaceType",
        "mac-address": "MacAddress",
        "network-interface-id": "NetworkInterfaceId",
        "owner-id": "OwnerId",
        "private-dns-name": "PrivateDnsName",
        "private-ip-address": "PrivateIpAddress",
        "requester-id": "RequesterId",
        "requester-managed": "RequesterManaged",
        "source-dest-check": "SourceDestCheck",
        "status": "Status",
        "subnet-id": "SubnetId",
        "vpc-id": "VpcId",
    },
)
