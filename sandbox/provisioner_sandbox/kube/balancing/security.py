"""Security groups: one for each load balancer, one that all share, and the rules that admit the shared one to pods.

Source: pkg/networking/backend_sg_provider.go, networking_manager.go and pkg/deploy/ec2 of the controller.
"""

from __future__ import annotations

import hashlib
from typing import Any

from moto.ec2.models.security_groups import SecurityGroupRule

from provisioner_sandbox.kube.balancing.installed import Installed
from provisioner_sandbox.kube.balancing.model import CLUSTER_TAG, MANAGED_GROUP, ODD, RESOURCE_TAG, Key, Model
from provisioner_sandbox.services.ec2 import groups

MANAGED, SHARED = (f"[k8s] {kind} SecurityGroup for LoadBalancer" for kind in ("Managed", "Shared Backend"))
BACKEND = "backend-sg"
# The controller recognizes its rules by this description.
RULE = "elbv2.k8s.aws/targetGroupBinding=shared"

# The lowest and the highest port, by the security group of pods.
Ports = dict[str, tuple[int, int]]


def find(ec2: Any, vpc: str, tags: dict[str, str]) -> Any:
    """Returns the security group with these tags, or None."""
    of_vpc = ec2.groups.get(vpc, {}).values()
    return next((group for group in of_vpc if tags.items() <= ec2.tags.get(group.id, {}).items()), None)


def ensure_managed(ec2: Any, vpc: str, model: Model, controller: Installed) -> str:
    wanted = model.key.tags(controller.cluster, MANAGED_GROUP)
    group = find(ec2, vpc, wanted)
    if group is None:
        tags = {**model.tags, **controller.tags, **wanted}
        group = ec2.create_security_group(model.managed_group, MANAGED, vpc_id=vpc, tags=tags)
    there = {(rule.ip_protocol, rule.from_port, rule.ip_range.get("CidrIp") or rule.ip_range.get("CidrIpv6")): rule
             for rule in group.ingress_rules}  # fmt: skip
    for opening in model.inbound:
        if opening not in there:
            protocol, port, cidr = opening
            block = {"CidrIpv6" if ":" in cidr else "CidrIp": cidr, "Description": ""}
            group.add_ingress_rule(SecurityGroupRule(ec2, protocol, group.id, port, port, block, is_egress=False))
    for opening, rule in there.items():
        if opening not in model.inbound:
            drop_rule(ec2, group, rule)
    return str(group.id)


def remove_managed(ec2: Any, vpc: str, key: Key, cluster: str) -> None:
    """Raises `DependencyViolation` while an interface of the load balancer exists."""
    group = find(ec2, vpc, key.tags(cluster, MANAGED_GROUP))
    if group is not None:
        groups.remove(ec2, group)


def backend_tags(cluster: str) -> dict[str, str]:
    return {CLUSTER_TAG: cluster, RESOURCE_TAG: BACKEND}


def ensure_backend(ec2: Any, vpc: str, controller: Installed) -> str:
    wanted = backend_tags(controller.cluster)
    group = find(ec2, vpc, wanted)
    if group is None:
        digest = hashlib.sha256(controller.cluster.encode()).hexdigest()[:10]
        name = f"k8s-traffic-{ODD.sub('', controller.cluster)[:232]}-{digest}"
        group = ec2.create_security_group(name, SHARED, vpc_id=vpc, tags={**controller.tags, **wanted})
    return str(group.id)


def remove_backend(ec2: Any, vpc: str, cluster: str) -> None:
    """Raises `DependencyViolation` while a load balancer's interface or a rule refers to it."""
    group = find(ec2, vpc, backend_tags(cluster))
    if group is not None:
        groups.remove(ec2, group)


def let_through(ec2: Any, vpc: str, cluster: str, wanted: Ports) -> None:
    """Adds and removes the rules that admit the shared security group to those of pods."""
    backend = find(ec2, vpc, backend_tags(cluster))
    if backend is None:
        return
    for group in list(ec2.groups.get(vpc, {}).values()):
        ports = wanted.get(group.id)
        kept = False
        for rule in list(group.ingress_rules):
            if rule.source_group.get("GroupId") != backend.id or rule.source_group.get("Description") != RULE:
                continue
            if ports == (rule.from_port, rule.to_port):
                kept = True
            else:
                drop_rule(ec2, group, rule)
        if ports is not None and not kept:
            source = {"GroupId": backend.id, "OwnerId": group.owner_id, "VpcId": vpc, "Description": RULE}
            group.add_ingress_rule(
                SecurityGroupRule(ec2, "tcp", group.id, *map(str, ports), None, source, is_egress=False)
            )  # fmt: skip


def drop_rule(ec2: Any, group: Any, rule: Any) -> None:
    group.ingress_rules = [one for one in group.ingress_rules if one.id != rule.id]
    ec2.tags.pop(rule.id, None)
