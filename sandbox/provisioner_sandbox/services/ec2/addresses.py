"""Elastic IP addresses."""

from __future__ import annotations

from provisioner_sandbox import quotas
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.ec2.describe import listing
from provisioner_sandbox.wire.message import Answer

# Five in a new account, raised unless configured:
# https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
ADDRESS_QUOTA = 50


@handles("ec2", "AllocateAddress")
def allocate(call: Call) -> Answer:
    used, message = len(call.backend.addresses), "The maximum number of addresses has been reached."
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
        if address.association_id:
            raise AwsError("InvalidIPAddress.InUse", f"Address {address.public_ip} is in use.")
    answer = call.forward()
    if allocation_id:
        backend.tags.pop(allocation_id, None)
    return answer


listing(
    result="Addresses",
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
