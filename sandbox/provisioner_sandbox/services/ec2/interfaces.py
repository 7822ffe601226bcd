"""Network interfaces: each says who made it."""

from __future__ import annotations

from typing import Any

from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ec2.utils import random_resource_id

from provisioner_sandbox.caller import caller
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.ec2.describe import Item, listing
from provisioner_sandbox.services.ec2.requesters import Requester
from provisioner_sandbox.services.ec2.state import remove
from provisioner_sandbox.wire.message import Answer

make_interface = NetworkInterface.__init__


def make(interface: NetworkInterface, *given: Any, **options: Any) -> None:
    """The caller makes an interface unless it is said otherwise; moto has a user of its own for it."""
    make_interface(interface, *given, **options)
    interface.requester_id = caller().user_id


NetworkInterface.__init__ = make


def check_room(backend: Any, subnet_id: str | None, count: int, message: str) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html"""
    subnet = next((zone[subnet_id] for zone in backend.subnets.values() if subnet_id in zone), None)
    if subnet is not None and subnet.available_ip_address_count < count:
        raise AwsError("InsufficientFreeAddressesInSubnet", message)


@handles("ec2", "CreateNetworkInterface")
def create(call: Call) -> Answer | dict[str, Any]:
    message = "The specified subnet does not have enough free addresses to satisfy the request."
    check_room(call.backend, call.params["SubnetId"], 1, message)
    return call.forward()


def managed_interface(interface: Any, requester: Requester, description: str) -> None:
    interface.interface_type = requester.kind
    interface.description = description
    interface.status = "in-use"
    interface.requester_managed = requester.managed
    interface.requester_id = requester.id
    interface.sandbox_attachment = {
        "AttachmentId": f"{requester.attachment}-{random_resource_id(17)}",
        "DeleteOnTermination": requester.delete_on_termination,
        "DeviceIndex": 1,
        "InstanceOwnerId": requester.owner,
        "Status": "attached",
    }
    interface.sandbox_address_owner = requester.address_owner


def create_managed(
    backend: Any, subnet_id: str, group_ids: list[str], requester: Requester, description: str
) -> Any:
    subnet = backend.get_subnet(subnet_id)
    interface = backend.create_network_interface(subnet, None, group_ids=group_ids, description=description)
    managed_interface(interface, requester, description)
    return interface


@handles("ec2", "DetachNetworkInterface")
def detach(call: Call) -> Answer:
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/requester-managed-eni.html"""
    wanted = call.params["AttachmentId"]
    for interface in call.backend.enis.values():
        if attachment(interface).get("AttachmentId") == wanted:
            prefix = wanted.rpartition("-")[0]
            raise AwsError("OperationNotPermitted", f"You are not allowed to manage '{prefix}' attachments.")
    return call.forward()


def attachment(interface: Any) -> dict[str, Any]:
    """How AWS holds an interface that a service made; empty of any other."""
    held: dict[str, Any] = getattr(interface, "sandbox_attachment", {})
    return held


def decorate(call: Call, items: list[Item]) -> list[Item]:
    for item in items:
        interface = call.backend.enis[item["NetworkInterfaceId"]]
        held = attachment(interface)
        if held:
            item["Attachment"] = held
        owner = getattr(interface, "sandbox_address_owner", "")
        for part in [item, *(item.get("PrivateIpAddresses") or [])] if owner else []:
            association = part.get("Association") or {}
            # An address of the account's own has an allocation.
            if association and not association.get("AllocationId"):
                association["IpOwnerId"] = owner
    return items


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
    result="NetworkInterfaces",
    id_member="NetworkInterfaceId",
    not_found=("InvalidNetworkInterfaceID.NotFound", "The networkInterface ID '{}' does not exist"),
    tags_member="TagSet",
    decorate=decorate,
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
