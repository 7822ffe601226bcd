"""What time does to the network, and what the end of each thing frees."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from provisioner_sandbox.clock import CLOCK
from provisioner_sandbox.services.ec2 import regional_nat
from provisioner_sandbox.services.ec2.instances import settle_instances
from provisioner_sandbox.services.ec2.state import (
    ENDPOINT_DELETING,
    NAT_DELETING,
    NAT_FAILING,
    NAT_LISTED,
    Ec2State,
    drop_interface,
    ec2_state,
    nat_state,
    remove,
)


def settle(backend: Any) -> None:
    """Lets happen what time has brought since the last call."""
    state = ec2_state(backend)
    for nat in list(backend.nat_gateways.values()):
        settle_nat(backend, state, nat)
    for endpoint in list(backend.vpc_end_points.values()):
        gone = state.gone_for(endpoint.id)
        if gone is not None and gone >= ENDPOINT_DELETING:
            for interface_id in endpoint.network_interface_ids:
                drop_interface(backend, interface_id)
            remove(backend, backend.vpc_end_points, endpoint.id)
    for interface_id in [one for one, due in state.released.items() if due <= CLOCK.now()]:
        free_addresses(backend, interface_id)
        drop_interface(backend, interface_id)
    for reservation in list(backend.reservations.values()):
        settle_instances(backend, state, reservation)


def free_addresses(backend: Any, interface_id: str) -> None:
    for address in backend.addresses:
        if address.eni is not None and address.eni.id == interface_id:
            backend.disassociate_address(association_id=address.association_id)


def settle_nat(backend: Any, state: Ec2State, nat: Any) -> None:
    if isinstance(nat, regional_nat.RegionalNat):
        regional_nat.settle(backend, state, nat)
    status = nat_state(backend, nat.id)
    if status in ("deleted", "failed") and nat._eni is not None:
        for address in nat.address_set:
            if address.get("associationId"):
                backend.disassociate_address(association_id=address["associationId"])
        drop_interface(backend, nat._eni.id)
        nat._eni = None
        state.ended[nat.id] = datetime.now(timezone.utc)
    listed_until = NAT_DELETING + NAT_LISTED
    gone = state.gone_for(nat.id)
    failed_for = state.age(nat.id) - NAT_FAILING if status == "failed" else 0
    if (gone is not None and gone > listed_until) or failed_for > NAT_LISTED:
        remove(backend, backend.nat_gateways, nat.id)
