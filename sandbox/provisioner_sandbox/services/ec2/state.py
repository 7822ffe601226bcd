"""How far each NAT gateway, endpoint, VPC and subnet is in its life, and what its end frees."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from provisioner_sandbox.clock import CLOCK

# Seconds as seen in AWS. A NAT gateway takes one to two minutes, "deleted" ones are listed for about
# an hour: https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-troubleshooting.html
VPC_PENDING = 2
NAT_PENDING = 100
NAT_FAILING = 30
NAT_DELETING = 60
NAT_LISTED = 3600
# "approximately one hour": https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/terminating-instances.html
INSTANCE_LISTED = 3600
ENDPOINT_PENDING = 90
ENDPOINT_DELETING = 60


@dataclass
class Ec2State:
    """Kept on moto's backend itself, so that a reset or a copy of that takes it along."""

    created: dict[str, float] = field(default_factory=dict)
    deleted: dict[str, float] = field(default_factory=dict)
    failures: dict[str, tuple[str, str]] = field(default_factory=dict)
    ended: dict[str, datetime] = field(default_factory=dict)
    # When AWS deletes interfaces that their service does not need any more.
    released: dict[str, float] = field(default_factory=dict)

    def begin(self, resource_id: str) -> None:
        self.created[resource_id] = CLOCK.now()

    def end(self, resource_id: str) -> None:
        self.deleted.setdefault(resource_id, CLOCK.now())

    def release(self, interface_id: str, seconds: float) -> None:
        """Lets AWS delete an interface after `seconds` of AWS time."""
        self.released[interface_id] = CLOCK.now() + seconds

    def age(self, resource_id: str) -> float:
        began = self.created.get(resource_id)
        return float("inf") if began is None else CLOCK.elapsed(began)

    def gone_for(self, resource_id: str) -> float | None:
        """Seconds since its deletion was asked for, or None."""
        ended = self.deleted.get(resource_id)
        return None if ended is None else CLOCK.elapsed(ended)

    def forget(self, resource_id: str) -> None:
        for record in (self.created, self.deleted, self.failures, self.ended, self.released):
            record.pop(resource_id, None)


def ec2_state(backend: Any) -> Ec2State:
    return backend.__dict__.setdefault("sandbox_state", Ec2State())


def nat_state(backend: Any, nat_id: str) -> str:
    state = ec2_state(backend)
    gone = state.gone_for(nat_id)
    if gone is not None:
        return "deleting" if gone < NAT_DELETING else "deleted"
    if nat_id in state.failures:
        return "pending" if state.age(nat_id) < NAT_FAILING else "failed"
    return "pending" if state.age(nat_id) < NAT_PENDING else "available"


def endpoint_state(backend: Any, endpoint: Any) -> str:
    state = ec2_state(backend)
    if state.gone_for(endpoint.id) is not None:
        return "deleting"
    interface = endpoint.vpc_endpoint_type == "Interface"
    return "pending" if interface and state.age(endpoint.id) < ENDPOINT_PENDING else "available"


def drop_interface(backend: Any, interface_id: str) -> None:
    remove(backend, backend.enis, interface_id)


def remove(backend: Any, things: dict[str, Any], resource_id: str) -> None:
    """Tags go with their resource; moto would keep them."""
    things.pop(resource_id, None)
    backend.tags.pop(resource_id, None)
    ec2_state(backend).forget(resource_id)
