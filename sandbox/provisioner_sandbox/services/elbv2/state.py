"""How far each load balancer and target is in its life."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from provisioner_sandbox.clock import CLOCK

# AWS seconds until one is active and has its name in DNS: two to three minutes for a Network Load Balancer.
PROVISIONING = {"network": 120, "application": 90, "gateway": 120}
# Interfaces are deleted after their load balancer, within minutes:
# https://github.com/hashicorp/terraform-provider-aws/issues/40
RELEASE = 40
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html
DRAINING = 300

Target = tuple[str, int]


@dataclass
class Elbv2State:
    """Kept on moto's backend itself, so that a reset or a copy of that takes it along."""

    created: dict[str, float] = field(default_factory=dict)
    # By load balancer and subnet.
    interfaces: dict[str, dict[str, str]] = field(default_factory=dict)
    # By target group: since when a target is registered, and until when one that no longer is gets requests.
    registered: dict[str, dict[Target, float]] = field(default_factory=dict)
    draining: dict[str, dict[Target, float]] = field(default_factory=dict)


def elbv2_state(backend: Any) -> Elbv2State:
    return backend.__dict__.setdefault("sandbox_state", Elbv2State())


def is_active(backend: Any, balancer: Any) -> bool:
    began = elbv2_state(backend).created.get(balancer.arn)
    return began is None or CLOCK.elapsed(began) >= PROVISIONING[balancer.type]
