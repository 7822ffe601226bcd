"""The node pools of a cluster in Auto Mode, and the instances that each may have.

The built-in pools and their definitions: https://docs.aws.amazon.com/eks/latest/userguide/set-builtin-node-pools.html and
https://docs.aws.amazon.com/eks/latest/userguide/create-node-pool.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from provisioner_sandbox.kube.nodes import COMPUTE, Machine, document, size_of, state
from provisioner_sandbox.kube.selectors import meets
from provisioner_sandbox.kube.store import Object

POOL, CAPACITY = "karpenter.sh/nodepool", "karpenter.sh/capacity-type"
NODE_CLASS, OWN = "eks.amazonaws.com/nodeclass", "eks.amazonaws.com/instance-"
DEFAULT_CLASS = "default"
CRITICAL = {"key": "CriticalAddonsOnly", "effect": "NoSchedule"}
# What is launched: the families of the built-in pools, of a generation that all regions have.
FAMILIES = ("c6a", "m6a", "r6a", "c6g", "m6g", "r6g")
SIZES = ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge")
# Plural, group, kind.
KINDS = (("nodepools", "karpenter.sh", "NodePool"), ("nodeclasses", "eks.amazonaws.com", "NodeClass"))
VERSION = "v1"


def definition(plural: str, group: str, kind: str) -> Object:
    """The CustomResourceDefinition of a kind that EKS brings; it keeps every field."""
    free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": free, "status": free}}
    version = {"name": VERSION, "served": True, "storage": True, "subresources": {"status": {}}}
    return {
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Cluster",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
            "versions": [{**version, "schema": {"openAPIV3Schema": schema}}],
        },
    }


def built_in(name: str) -> Object:
    """EKS's own pool of this name."""
    arches = ["amd64", "arm64"] if name == "system" else ["amd64"]
    requirements: list[Object] = [
        {"key": CAPACITY, "operator": "In", "values": ["on-demand"]},
        {"key": f"{OWN}category", "operator": "In", "values": ["c", "m", "r"]},
        {"key": f"{OWN}generation", "operator": "Gt", "values": ["4"]},
        {"key": "kubernetes.io/arch", "operator": "In", "values": arches},
        {"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]},
    ]
    reference = {"group": "eks.amazonaws.com", "kind": "NodeClass", "name": DEFAULT_CLASS}
    spec: Object = {"expireAfter": "336h", "nodeClassRef": reference, "requirements": requirements}
    if name == "system":
        spec["taints"] = [CRITICAL]
    return {
        "apiVersion": f"karpenter.sh/{VERSION}",
        "kind": "NodePool",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "eks"}},
        "spec": {
            "disruption": {
                "budgets": [{"nodes": "10%"}],
                "consolidateAfter": "30s",
                "consolidationPolicy": "WhenEmptyOrUnderutilized",
            },
            "template": {"metadata": {}, "spec": spec},
        },
    }


def default_class(role: str) -> Object:
    return {
        "apiVersion": f"eks.amazonaws.com/{VERSION}",
        "kind": "NodeClass",
        "metadata": {"name": DEFAULT_CLASS, "labels": {"app.kubernetes.io/managed-by": "eks"}},
        "spec": {"role": role.rpartition("/")[2]},
    }


@dataclass(frozen=True)
class Candidate:
    """A node as it would be, with what it would have room for."""

    machine: Machine
    node: Object
    room: Object
    is_spot: bool


class Pool:
    """A NodePool object, read."""

    def __init__(self, found: Object):
        spec = found.get("spec") or {}
        template = spec.get("template") or {}
        inner = template.get("spec") or {}
        self.name: str = found["metadata"]["name"]
        self.labels: dict[str, str] = (template.get("metadata") or {}).get("labels") or {}
        self.taints: list[Object] = [*(inner.get("taints") or []), *(inner.get("startupTaints") or [])]
        self.requirements: list[Object] = inner.get("requirements") or []
        self.node_class: str = (inner.get("nodeClassRef") or {}).get("name", "")
        self.limits: Object = spec.get("limits") or {}
        self.weight: int = spec.get("weight") or 0

    def candidates(self, region: str, zones: list[str]) -> Iterator[Candidate]:
        """What the pool may launch, the smallest first, in the first of the zones first."""
        sized = sorted((size_of(kind)[:2], kind) for family in FAMILIES for kind in (f"{family}.{s}" for s in SIZES))
        for is_spot in (True, False):
            for zone in zones:
                for _, kind in sized:
                    made = self.candidate(region, zone, kind, is_spot)
                    if all(meets(one, made.node["metadata"]["labels"]) for one in self.requirements):
                        yield made

    def candidate(self, region: str, zone: str, kind: str, is_spot: bool) -> Candidate:
        cpu, memory, pods, arch = size_of(kind)
        family, _, size = kind.partition(".")
        labels = {
            **self.labels,
            POOL: self.name,
            CAPACITY: "spot" if is_spot else "on-demand",
            COMPUTE: "auto",
            NODE_CLASS: self.node_class,
            f"{OWN}category": family[0],
            f"{OWN}family": family,
            f"{OWN}generation": "".join(filter(str.isdigit, family)),
            f"{OWN}size": size,
            f"{OWN}cpu": str(cpu // 1000),
            f"{OWN}memory": str(memory),
        }
        taints = tuple((one["key"], one.get("value", ""), one["effect"]) for one in self.taints)
        machine = Machine("new", zone, kind, arch, "", cpu, memory, pods, labels, taints, address="0.0.0.0")
        return Candidate(machine, document(machine, region), state(machine)["allocatable"], is_spot)


def read(found: list[Object]) -> list[Pool]:
    """The heaviest first."""
    alive = [one for one in found if not one["metadata"].get("deletionTimestamp")]
    pools: list[Any] = [Pool(one) for one in alive]
    return sorted(pools, key=lambda pool: (-pool.weight, pool.name))
