"""Elastic IP addresses."""

from __future__ import annotations

from typing import Any

from provisioner_sandbox import quotas
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.ec2.describe import Item, listing
from provisioner_sandbox.wire.message import Answer

# Five in a new account, raised unless configured:
# https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
ADDRESS_QUOTA = 50
# ServiceManaged of the addresses that AWS gives a regional NAT gateway.
RNAT = "rnat"


def mark_managed(address: Any, service: str) -> None:
    """Makes it an address of an AWS service: listed in the account, not released by it, and not in its quota."""
    address.sandbox_service = service


def manager(address: Any) -> str:
    """The service whose address it is; empty of the account's own."""
    service: str = getattr(address, "sandbox_service", "")
    return service


@handles("ec2", "AllocateAddress")
def allocate(call: Call) -> Answer:
    used, message = sum(not manager(one) for one in call.backend.addresses), "The maximum number of addresses has been reached."
    quotas.check(quotas.ADDRESSES, used, "AddressLimitExceeded", message, ADDRESS_QUOTA)
    return call.forward()


@handles("ec2", "ReleaseAddress")
def release(call: Call) -> Answer:
    backend, allocation_id = call.backend, call.params.get("AllocationId")
    if allocation_id:
        address = next((eip for eip in backend.addresses if eip.allocation_id == allocation_id), None)
        if not address:
            message = f"The allocation ID '{allocation_id}' does not exist"
            raise AwsError("InvalidAllocationID.NotFound", message)
        if manager(address):
            message = f"The address with allocation id {allocation_id} is managed by a service and cannot be released."
            raise AwsError("OperationNotPermitted", message)
        if address.association_id:
            raise AwsError("InvalidIPAddress.InUse", f"Address {address.public_ip} is in use.")
    answer = call.forward()
    if allocation_id:
        backend.tags.pop(allocation_id, None)
    return answer


def decorate(call: Call, items: list[Item]) -> list[Item]:
    services = {address.allocation_id: manager(address) for address in call.backend.addresses}
    for item in items:
        if services.get(item.get("AllocationId")):
            item["ServiceManaged"] = services[item["AllocationId"]]
    return items


listing(
    result="Addresses",
    decorate=decorate,
    id_member="AllocationId",
    not_found=("InvalidAllocationID.NotFound", "The allocation ID '{}' does not exist"),
    extra_params=("PublicIps",),
    filters={
        "allocation-id": "AllocationId",
        "association-id": "AssociationId",
        "domain": "Domain",
        "instance-id": "InstanceId",
        "network-border-group": "NetworkBorderGroup",
        "network-interface-id": "NetworkInterfaceId",
        "network-interface-owner-id": "NetworkInterfaceOwnerId",
        "private-ip-address": "PrivateIpAddress",
        "public-ip": "PublicIp",
    },
)
