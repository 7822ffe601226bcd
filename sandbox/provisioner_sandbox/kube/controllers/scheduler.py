"""The scheduler: which node a pod goes to, or why to none."""

from __future__ import annotations

import copy
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from provisioner_sandbox.kube import resources, status
from provisioner_sandbox.kube.controllers.base import Context, set_condition
from provisioner_sandbox.kube.kubelet.spec import quantity
from provisioner_sandbox.kube.nodes import PROFILE, fargate_size
from provisioner_sandbox.kube.selectors import meets, selects
from provisioner_sandbox.kube.store import Object
from provisioner_sandbox.kube.writer import Options

if TYPE_CHECKING:
    from provisioner_sandbox.kube.nodes import Nodes

COMPONENT = "default-scheduler"
# AWS seconds until a pod has its Fargate node.
FARGATE_SECONDS = 40
RETRY_SECONDS = 0.5


def requests(pod: Object) -> dict[str, Any]:
    """What a pod asks a node for: its containers together, or an init container that needs more alone."""
    spec = pod["spec"]

    def of(one: Object, name: str) -> Any:
        return quantity(str(one.get("resources", {}).get("requests", {}).get(name, "0")))

    found = {}
    for name in ("cpu", "memory"):
        together = sum((of(one, name) for one in spec["containers"]), quantity("0"))
        alone = max((of(one, name) for one in spec.get("initContainers", [])), default=quantity("0"))
        found[name] = max(together, alone)
    return found


def tolerates(pod: Object, taint: Object) -> bool:
    for one in pod["spec"].get("tolerations", []):
        if one.get("effect") not in (None, "", taint["effect"]):
            continue
        if one.get("operator") == "Exists" and one.get("key") in (None, "", taint["key"]):
            return True
        if (
            one.get("key") == taint["key"]
            and one.get("operator", "Equal") == "Equal"
            and one.get("value", "") == taint.get("value", "")
        ):
            return True
    return False


def chosen(pod: Object, node: Object) -> bool:
    """By node selector and required node affinity."""
    labels = node["metadata"].get("labels", {})
    if not (pod["spec"].get("nodeSelector") or {}).items() <= labels.items():
        return False
    affinity = ((pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    if not affinity:
        return True
    return any(
        all(meets(one, labels) for one in term.get("matchExpressions", []))
        and all(meets(one, {"metadata.name": node["metadata"]["name"]}) for one in term.get("matchFields", []))
        for term in affinity["nodeSelectorTerms"]
    )


class Scheduler:
    def __init__(self, context: Context, nodes: Nodes):
        self.context = context
        self.nodes = nodes
        self.waiting: dict[str, float] = {}

    def look(self) -> float | None:
        context = self.context
        pods = context.list(resources.PODS)
        left = [pod for pod in pods if not pod["spec"].get("nodeName") and not pod["metadata"].get("deletionTimestamp")]
        if not left:
            self.waiting = {}
            return None
        nodes = context.list(resources.NODES)
        load: dict[str, list[Object]] = {}
        for pod in pods:
            if pod["spec"].get("nodeName") and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed"):
                load.setdefault(pod["spec"]["nodeName"], []).append(pod)
        due: list[float] = []
        for pod in sorted(left, key=lambda one: int(one["metadata"]["resourceVersion"])):
            if pod["spec"].get("schedulerName") not in ("default-scheduler", "fargate-scheduler"):
                continue
            profile = next((one for one in self.nodes.profiles if one.takes(pod)), None)
            if profile is not None:
                when = self.on_fargate(pod, profile)
                if when is not None:
                    due.append(when)
                continue
            found, why = self.place(pod, nodes, load)
            if found is None:
                self.refuse(pod, why)
                due.append(time.monotonic() + RETRY_SECONDS)
            else:
                self.bind(pod, found["metadata"]["name"])
                load.setdefault(found["metadata"]["name"], []).append(pod)
        return min(due, default=None)

    def on_fargate(self, pod: Object, profile: Any) -> float | None:
        uid = pod["metadata"]["uid"]
        ready = self.waiting.setdefault(uid, time.monotonic() + FARGATE_SECONDS / self.context.clock.scale)
        if time.monotonic() < ready:
            return ready
        asked = requests(pod)
        name = self.nodes.fargate(pod, profile, *fargate_size(float(asked["cpu"]), float(asked["memory"])))
        self.bind(pod, name, {PROFILE: profile.name})
        return None

    def place(self, pod: Object, nodes: list[Object], load: dict[str, list[Object]]) -> tuple[Object | None, str]:
        reasons: Counter[str] = Counter()
        fitting = []
        for node in nodes:
            why = self.obstacle(pod, node, load.get(node["metadata"]["name"], []))
            if why:
                reasons[why] += 1
            else:
                fitting.append(node)
        if fitting:
            return min(fitting, key=lambda node: self.cost(pod, node, nodes, load)), ""
        if not nodes:
            return None, "no nodes available to schedule pods"
        said = ", ".join(sorted(f"{count} {why}" for why, count in reasons.items()))
        start = f"0/{len(nodes)} nodes are available: {said}."
        helpless = sum(count for why, count in reasons.items() if not why.startswith(("Insufficient", "Too many")))
        parts = []
        if len(nodes) - helpless:
            parts.append(f"{len(nodes) - helpless} No preemption victims found for incoming pod")
        if helpless:
            parts.append(f"{helpless} Preemption is not helpful for scheduling")
        return None, f"{start} preemption: 0/{len(nodes)} nodes are available: {', '.join(parts)}."

    def obstacle(self, pod: Object, node: Object, there: list[Object]) -> str:
        if node["spec"].get("unschedulable"):
            return "node(s) were unschedulable"
        for taint in node["spec"].get("taints", []):
            if taint["effect"] in ("NoSchedule", "NoExecute") and not tolerates(pod, taint):
                return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
        if not chosen(pod, node):
            return "node(s) didn't match Pod's node affinity/selector"
        room = node.get("status", {}).get("allocatable", {})
        if len(there) >= int(room.get("pods", "110")):
            return "Too many pods"
        for name, asked in requests(pod).items():
            used = sum((requests(one)[name] for one in there), quantity("0"))
            if used + asked > quantity(str(room.get(name, "0"))):
                return f"Insufficient {name}"
        for spread in pod["spec"].get("topologySpreadConstraints", []):
            if spread.get("whenUnsatisfiable") == "DoNotSchedule" and not self.spreads(pod, node, spread):
                return "node(s) didn't match pod topology spread constraints"
        return ""

    def counts(self, pod: Object, spread: Object) -> Counter[str]:
        found: Counter[str] = Counter()
        nodes = {
            node["metadata"]["name"]: node["metadata"].get("labels", {}) for node in self.context.list(resources.NODES)
        }
        for labels in nodes.values():
            if spread["topologyKey"] in labels:
                found[labels[spread["topologyKey"]]] += 0
        mine = pod["metadata"].get("labels") or {}
        for other in self.context.list(resources.PODS, pod["metadata"]["namespace"]):
            theirs = other["metadata"].get("labels") or {}
            if not selects(spread.get("labelSelector"), theirs) or other["metadata"].get("deletionTimestamp"):
                continue
            if any(theirs.get(key) != mine.get(key) for key in spread.get("matchLabelKeys", [])):
                continue
            labels = nodes.get(other["spec"].get("nodeName", ""), {})
            if spread["topologyKey"] in labels:
                found[labels[spread["topologyKey"]]] += 1
        return found

    def spreads(self, pod: Object, node: Object, spread: Object) -> bool:
        counts = self.counts(pod, spread)
        value = node["metadata"].get("labels", {}).get(spread["topologyKey"])
        return value is not None and counts[value] + 1 - min(counts.values()) <= spread["maxSkew"]

    def cost(
        self, pod: Object, node: Object, nodes: list[Object], load: dict[str, list[Object]]
    ) -> tuple[int, int, str]:
        crowd = 0
        for spread in pod["spec"].get("topologySpreadConstraints", []):
            crowd += self.counts(pod, spread)[node["metadata"].get("labels", {}).get(spread["topologyKey"], "")]
        name = node["metadata"]["name"]
        return crowd, len(load.get(name, [])), name

    def bind(self, pod: Object, name: str, labels: dict[str, str] | None = None) -> None:
        def over(live: Object) -> Object:
            made = copy.deepcopy(live)
            made["spec"]["nodeName"] = name
            if labels:
                made["metadata"]["labels"] = {**made["metadata"].get("labels", {}), **labels}
            return made

        metadata = pod["metadata"]
        try:
            self.context.writer.patch(
                resources.PODS,
                metadata["namespace"],
                metadata["name"],
                "",
                over,
                Options(manager=COMPONENT, strict="Ignore"),
            )
        except status.Refused as refused:
            if refused.code != 404:
                raise
            return
        found = self.context.store.get(resources.PODS, metadata["namespace"], metadata["name"])
        if found is not None:
            self.condition(found, "True", "", "")
        text = f"Successfully assigned {metadata['namespace']}/{metadata['name']} to {name}"
        self.context.events.tell(pod, "Normal", "Scheduled", text, COMPONENT)

    def refuse(self, pod: Object, why: str) -> None:
        self.condition(pod, "False", "Unschedulable", why)
        self.context.events.tell(pod, "Warning", "FailedScheduling", why, COMPONENT)

    def condition(self, pod: Object, holds: str, reason: str, message: str) -> None:
        found = pod.get("status", {})
        conditions = set_condition(found.get("conditions", []), "PodScheduled", holds, reason, message)
        wanted = {**found, "conditions": [{key: value for key, value in one.items() if value} for one in conditions]}
        self.context.status(resources.PODS, pod, wanted)
