"""EFS: the network interface of a mount target says whose it is."""

from __future__ import annotations

from provisioner_sandbox.backend import backend
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.ec2 import requesters
from provisioner_sandbox.services.ec2.interfaces import managed_interface


@handles("efs", "CreateMountTarget")
def create(call: Call) -> dict:
    made = call.moto()
    interface = backend("ec2", call.region).enis[made["NetworkInterfaceId"]]
    description = f"EFS mount target for {made['FileSystemId']} ({made['MountTargetId']})"
    managed_interface(interface, requesters.FILE_SYSTEM, description)
    return made
