"""Instances: what their end frees. moto leaves their interfaces and addresses as they are.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/how-ec2-instance-termination-works.html
"""

from __future__ import annotations

from typing import Any

from moto.ec2.models.instances import Instance

from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.ec2.interfaces import check_room
from provisioner_sandbox.services.ec2.state import INSTANCE_LISTED, Ec2State, drop_interface, remove
from provisioner_sandbox.wire.message import Answer

prepare_interfaces = Instance.prep_nics


def prepare(instance: Instance, nic_spec: list[dict[str, Any]], *more: Any, **options: Any) -> None:
    """Interfaces that are created with an instance end with it unless told otherwise; moto has it the other way.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceNetworkInterfaceSpecification.html
    """
    asked = {int(spec.get("DeviceIndex") or 0): dict(spec) for spec in nic_spec}
    prepare_interfaces(instance, nic_spec, *more, **options)
    for index, interface in instance.nics.items():
        spec = asked.get(int(index), {})
        if not spec.get("NetworkInterfaceId"):
            interface.delete_on_termination = spec.get("DeleteOnTermination") is not False


Instance.prep_nics = prepare


@handles("ec2", "RunInstances")
def run(call: Call) -> Answer | dict[str, Any]:
    specs = call.params.get("NetworkInterfaces") or []
    subnets = [call.params.get("SubnetId"), *(spec.get("SubnetId") for spec in specs)]
    for subnet_id in subnets:
        message = (
            f"There are not enough free addresses in subnet '{subnet_id}' to satisfy the requested number of instances."
        )
        check_room(call.backend, subnet_id, call.params["MinCount"], message)
    return call.forward()


def settle_instances(backend: Any, state: Ec2State, reservation: Any) -> None:
    """Terminated ones are listed for a while, here and in the tagging API; moto would list them for ever."""
    for instance in list(reservation.instances):
        if instance.state == "terminated":
            state.end(instance.id)
            release(backend, instance)
            if (state.gone_for(instance.id) or 0) >= INSTANCE_LISTED:
                reservation.instances.remove(instance)
                remove(backend, {}, instance.id)
    if not reservation.instances:
        backend.reservations.pop(reservation.id)


def release(backend: Any, instance: Any) -> None:
    """Deletes the interfaces that end with the instance, and detaches the others and the addresses."""
    own = [interface for interface in instance.nics.values() if interface.instance is instance]
    if not own:
        return
    ids = {interface.id for interface in own}
    for address in backend.addresses:
        attached = address.instance is instance or (address.eni is not None and address.eni.id in ids)
        if attached and address.association_id and is_over(own, address):
            backend.disassociate_address(association_id=address.association_id)
    for interface in own:
        interface.instance = interface.attachment_id = interface.attach_time = None
        interface.status = "available"
        if interface.delete_on_termination:
            drop_interface(backend, interface.id)
            # The instance can be terminated once more, to no effect.
            interface.delete_on_termination = False


def is_over(interfaces: list[Any], address: Any) -> bool:
    """Whether the interface that has the address ends: one that stays keeps it."""
    return not any(
        address.eni is not None and address.eni.id == interface.id and not interface.delete_on_termination
        for interface in interfaces
    )
