"""Auto Mode's node pools at work: a node for pods that no node has room for, and its end when it has none left."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from provisioner_sandbox.backend import ACCOUNT
from provisioner_sandbox.kube import auto_pools, resources
from provisioner_sandbox.kube.auto_pools import Candidate, Pool
from provisioner_sandbox.kube.controllers.base import Context, is_active
from provisioner_sandbox.kube.controllers.scheduler import chosen, requests, tolerates
from provisioner_sandbox.kube.kubelet.spec import quantity
from provisioner_sandbox.kube.nodes import COMPUTE
from provisioner_sandbox.kube.store import Object
from provisioner_sandbox.services.eks import auto_fleet

if TYPE_CHECKING:
    from provisioner_sandbox.kube.nodes import Nodes

COMPONENT = "eks-auto-mode/compute"
# AWS seconds until a node is there, and until an empty one is ended.
NODE_SECONDS = 45
EMPTY_SECONDS = 30
# Real seconds that a node has to get its pods, and a pod to get onto its node.
PATIENCE_SECONDS = 5.0
LOOK_SECONDS = 0.5
# Between two looks, however much changes.
PAUSE_SECONDS = 0.2


class AutoNodes:
    def __init__(self, context: Context, nodes: Nodes):
        self.context = context
        self.nodes = nodes
        # When each pod's node may start, by its uid, and until when one that started is waited for.
        self.due: dict[str, float] = {}
        self.nominated: dict[str, float] = {}
        self.empty: dict[str, float] = {}
        self.again = 0.0

    def look(self) -> float | None:
        settings = self.nodes.auto
        if settings is None or time.monotonic() < self.again:
            return None if settings is None else self.again
        self.again = time.monotonic() + PAUSE_SECONDS
        self.install(settings)
        self.end_empty()
        waiting = self.waiting()
        if not waiting:
            return time.monotonic() + LOOK_SECONDS if self.empty else None
        ready = [pod for pod in waiting if self.is_due(pod)]
        if ready:
            self.provide(ready, settings)
        return time.monotonic() + LOOK_SECONDS

    def install(self, settings: auto_fleet.Settings) -> None:
        """EKS's kinds and built-in pools: those that are enabled exist, the others do not."""
        context = self.context
        known = {one["metadata"]["name"] for one in context.list(resources.DEFINITIONS)}
        for kind in auto_pools.KINDS:
            made = auto_pools.definition(*kind)
            if made["metadata"]["name"] not in known:
                context.create(resources.DEFINITIONS, made)
        pools, classes = (self.resource(kind) for kind in auto_pools.KINDS)
        if pools is None or classes is None:
            return
        there = {one["metadata"]["name"]: one for one in context.list(pools)}
        for name in settings.pools:
            if name not in there:
                context.create(pools, auto_pools.built_in(name))
        for name in ("general-purpose", "system"):
            if name in there and name not in settings.pools:
                context.delete(pools, there[name])
        if settings.pools and not any(
            one["metadata"]["name"] == auto_pools.DEFAULT_CLASS for one in context.list(classes)
        ):
            context.create(classes, auto_pools.default_class(settings.role))

    def resource(self, kind: tuple[str, str, str]) -> Any:
        plural, group, _ = kind
        return self.context.catalogue.find(group, auto_pools.VERSION, plural)

    def waiting(self) -> list[Object]:
        """The pods that the scheduler has no node for, and that no Fargate profile takes."""
        found = []
        for pod in self.context.list(resources.PODS):
            conditions = pod.get("status", {}).get("conditions") or []
            refused = any(one["type"] == "PodScheduled" and one.get("reason") == "Unschedulable" for one in conditions)
            if refused and is_active(pod) and not pod["spec"].get("nodeName"):
                found.append(pod)
        found = [pod for pod in found if not any(profile.takes(pod) for profile in self.nodes.profiles)]
        uids = {pod["metadata"]["uid"] for pod in found}
        self.due = {uid: when for uid, when in self.due.items() if uid in uids}
        self.nominated = {uid: when for uid, when in self.nominated.items() if uid in uids}
        return found

    def is_due(self, pod: Object) -> bool:
        uid, now = pod["metadata"]["uid"], time.monotonic()
        due = self.due.setdefault(uid, now + NODE_SECONDS / self.context.clock.scale)
        return now >= due and now >= self.nominated.get(uid, 0)

    def provide(self, pods: list[Object], settings: auto_fleet.Settings) -> None:
        pools = self.pools(settings)
        left = list(pods)
        while left:
            pod = left.pop(0)
            # Whatever becomes of it, it is not tried again at once.
            self.nominated[pod["metadata"]["uid"]] = time.monotonic() + PATIENCE_SECONDS
            found = next(((one, role, best) for one, role in pools if (best := self.best(one, pod, left))), None)
            if found is None:
                words = "Failed to schedule pod, no nodepool has an instance type that satisfies it"
                self.context.events.tell(pod, "Warning", "FailedScheduling", words, COMPONENT)
                continue
            pool, role, (candidate, mates) = found
            name = self.launch(pool, role, candidate)
            if name is None:
                continue
            for one in mates:
                self.nominated[one["metadata"]["uid"]] = time.monotonic() + PATIENCE_SECONDS
                self.context.events.tell(one, "Normal", "Nominated", f"Pod should schedule on: node/{name}", COMPONENT)
            left = [one for one in left if one not in mates]

    def pools(self, settings: auto_fleet.Settings) -> list[tuple[Pool, str]]:
        """Those whose nodes the cluster lets in, each with the role of its nodes."""
        pools, classes = (self.resource(kind) for kind in auto_pools.KINDS)
        if pools is None or classes is None:
            return []
        roles = {one["metadata"]["name"]: (one.get("spec") or {}).get("role", "") for one in self.context.list(classes)}
        found = []
        for pool in auto_pools.read(self.context.list(pools)):
            role = roles.get(pool.node_class, "")
            # A NodeClass names its role without the account and the path.
            arn = settings.role if pool.node_class == auto_pools.DEFAULT_CLASS else ""
            arn = arn or f"arn:aws:iam::{ACCOUNT}:role/{role}"
            with self.nodes.guard:
                may_join = bool(role) and auto_fleet.may_join(self.nodes.region, self.nodes.cluster, arn)
            if may_join:
                found.append((pool, arn))
        return found

    def best(self, pool: Pool, pod: Object, others: list[Object]) -> tuple[Candidate, list[Object]] | None:
        """The pool's smallest node for the pod, or a larger one for others with it, and whom it is for."""
        fitting = [one for one in pool.candidates(self.nodes.region, self.zones()) if self.takes(pool, one, [pod])]
        if not fitting:
            return None
        candidate, mates = fitting[0], [pod]
        alike = [one for one in fitting if place(one) == place(candidate)]
        for other in others:
            larger = next((one for one in alike if self.takes(pool, one, [*mates, other])), None)
            if larger is not None:
                candidate, mates = larger, [*mates, other]
        return candidate, mates

    def takes(self, pool: Pool, candidate: Candidate, pods: list[Object]) -> bool:
        node, room = candidate.node, candidate.room
        for pod in pods:
            taints = node["spec"].get("taints", [])
            hard = [taint for taint in taints if taint["effect"] in ("NoSchedule", "NoExecute")]
            if not all(tolerates(pod, taint) for taint in hard) or not chosen(pod, node):
                return False
        if len(pods) > int(room["pods"]):
            return False
        for name in ("cpu", "memory"):
            if sum((requests(pod)[name] for pod in pods), quantity("0")) > quantity(room[name]):
                return False
        return self.is_within_limits(pool, candidate)

    def is_within_limits(self, pool: Pool, candidate: Candidate) -> bool:
        if not pool.limits:
            return True
        whole = {"cpu": f"{candidate.machine.cpu}m", "memory": f"{candidate.machine.memory}Mi"}
        mine = [one for one in self.own() if one["metadata"]["labels"].get(auto_pools.POOL) == pool.name]
        for name in set(pool.limits) & set(whole):
            used = sum((quantity(str(one["status"]["capacity"][name])) for one in mine), quantity("0"))
            if used + quantity(whole[name]) > quantity(str(pool.limits[name])):
                return False
        return True

    def zones(self) -> list[str]:
        """Where nodes would join, the emptiest first."""
        with self.nodes.guard:
            found = {one.availability_zone for one in auto_fleet.subnets(self.nodes.region, self.nodes.cluster)}
        crowd = Counter(one["metadata"]["labels"].get("topology.kubernetes.io/zone") for one in self.own())
        return sorted(found, key=lambda zone: (crowd[zone], zone))

    def own(self) -> list[Object]:
        nodes = self.context.list(resources.NODES)
        return [one for one in nodes if (one["metadata"].get("labels") or {}).get(COMPUTE) == "auto"]

    def launch(self, pool: Pool, role: str, candidate: Candidate) -> str | None:
        machine = candidate.machine
        node = auto_fleet.NodeSpec(
            machine.kind, machine.zone, machine.arch, pool.name, pool.node_class, role, candidate.is_spot,
            machine.labels, machine.taints,
        )  # fmt: skip
        with self.nodes.guard:
            if self.nodes.stopped.is_set() or auto_fleet.settings(self.nodes.region, self.nodes.cluster) is None:
                return None
            return auto_fleet.launch(self.nodes.region, self.nodes.cluster, node)

    def end_empty(self) -> None:
        """As the built-in pools consolidate: a node without pods is ended after 30 seconds."""
        now = time.monotonic()
        used = {pod["spec"].get("nodeName") for pod in self.context.list(resources.PODS) if is_active(pod)}
        names = {one["metadata"]["name"] for one in self.own()} - used
        self.empty = {name: self.empty.get(name, now) for name in names}
        patience = max(EMPTY_SECONDS / self.context.clock.scale, PATIENCE_SECONDS)
        due = {name for name, since in self.empty.items() if now - since >= patience}
        if due:
            with self.nodes.guard:
                if not self.nodes.stopped.is_set():
                    auto_fleet.end(self.nodes.region, due, self.nodes.cluster)


def place(candidate: Candidate) -> tuple[str, str, bool]:
    """What pods that share a node must agree on, beside its size."""
    return candidate.machine.zone, candidate.machine.arch, candidate.is_spot
