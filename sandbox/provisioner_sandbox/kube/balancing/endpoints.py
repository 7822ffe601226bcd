"""The targets of a target group, which are pods or nodes, and the security groups that have to let requests in."""

from __future__ import annotations

from typing import Any

from provisioner_sandbox.kube.controllers.base import is_ready
from provisioner_sandbox.kube.controllers.endpoints import behind, target_port

Object = dict[str, Any]


def ready(service: Object, port: Object, pods: list[Object]) -> list[tuple[Object, int]]:
    """Returns the ready pods behind a port of a Service, with the port number on each."""
    found = []
    for pod in behind(service, pods):
        number = target_port(pod, port)
        if number is not None and is_ready(pod) and not pod["metadata"].get("deletionTimestamp"):
            found.append((pod, number))
    return found


def group_for(ec2: Any, vpc: str, cluster: str, provider: str) -> str | None:
    """Returns the security group of a node's interface: its only one, or the one that is tagged for the cluster.

    Pods on Fargate have the cluster's own: https://docs.aws.amazon.com/eks/latest/userguide/fargate-pod-configuration.html
    """
    instance_id = provider.rpartition("/")[2]
    if not instance_id.startswith("i-"):
        of_vpc = ec2.groups.get(vpc, {}).values()
        return next((one.id for one in of_vpc if ec2.tags.get(one.id, {}).get("aws:eks:cluster-name") == cluster), None)
    instance = ec2.get_instance_by_id(instance_id)
    if instance is None or not instance.nics:
        return None
    groups = [group.id for group in next(iter(instance.nics.values())).group_set]
    tagged = [one for one in groups if f"kubernetes.io/cluster/{cluster}" in ec2.tags.get(one, {})]
    return next(iter(groups if len(groups) == 1 else tagged), None)


def join(all_ports: list[dict[str, set[int]]]) -> dict[str, tuple[int, int]]:
    """Returns, by security group, the smallest range that contains all ports."""
    found: dict[str, set[int]] = {}
    for ports in all_ports:
        for group, numbers in ports.items():
            found.setdefault(group, set()).update(numbers)
    return {group: (min(numbers), max(numbers)) for group, numbers in found.items() if numbers}
