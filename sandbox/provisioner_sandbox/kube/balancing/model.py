"""The controller's model of a stack: what should exist in AWS for a Service or a group of Ingresses."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

# Source: pkg/deploy/tracking/provider.go and pkg/shared_constants of the controller.
CLUSTER_TAG, RESOURCE_TAG = "elbv2.k8s.aws/cluster", "elbv2.k8s.aws/resource"
SERVICE, INGRESS = "service.k8s.aws", "ingress.k8s.aws"
LOAD_BALANCER, MANAGED_GROUP = "LoadBalancer", "ManagedLBSecurityGroup"
# A rule's target group if its Service does not exist.
NO_SERVICE = ""
ODD = re.compile("[^0-9A-Za-z]")


@dataclass(frozen=True)
class Key:
    """A stack: a Service, an Ingress, or a group of Ingresses by its name."""

    prefix: str
    stack: str

    def tags(self, cluster: str, resource: str = "") -> dict[str, str]:
        found = {CLUSTER_TAG: cluster, f"{self.prefix}/stack": self.stack}
        return {**found, f"{self.prefix}/resource": resource} if resource else found


@dataclass(frozen=True)
class Check:
    protocol: str
    port: str
    path: str | None
    matcher: str | None
    interval: int
    timeout: int
    healthy: int
    unhealthy: int


@dataclass(frozen=True)
class TargetGroup:
    resource: str
    name: str
    port: int
    protocol: str
    version: str | None
    target_type: str
    check: Check
    attributes: tuple[tuple[str, str], ...]
    # Namespace and name, and the port's number.
    service: tuple[str, str]
    service_port: int


@dataclass(frozen=True)
class Rule:
    conditions: tuple[tuple[str, tuple[str, ...]], ...]
    group: str


@dataclass(frozen=True)
class Listener:
    """`group` is the target group of the default action; without it the answer is 404, or `redirect`, a port of HTTPS."""

    port: int
    protocol: str
    group: str | None
    rules: tuple[Rule, ...] = ()
    certificates: tuple[str, ...] = ()
    policy: str = ""
    redirect: int | None = None


@dataclass(frozen=True)
class Model:
    key: Key
    kind: str
    name: str
    scheme: str
    managed_group: str
    # Protocol, port and CIDR block.
    inbound: tuple[tuple[str, int, str], ...]
    groups: tuple[TargetGroup, ...]
    listeners: tuple[Listener, ...]
    tags: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)
    # By annotation; otherwise subnets are discovered, and a security group is created.
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    manages_rules: bool = True
    allocations: tuple[str, ...] = ()


def named(first: str, second: str, *parts: object) -> str:
    """Returns the name in AWS for an object: the beginnings of its namespace and name, and a digest of `parts`."""
    digest = hashlib.sha256("".join(str(part) for part in parts).encode()).hexdigest()
    return f"k8s-{ODD.sub('', first)[:8]}-{ODD.sub('', second)[:8]}-{digest[:10]}"


def named_group(name: str, *parts: object) -> str:
    """Returns the name in AWS for a group of Ingresses."""
    digest = hashlib.sha256("".join(str(part) for part in parts).encode()).hexdigest()
    return f"k8s-{ODD.sub('', name)[:17]}-{digest[:10]}"
