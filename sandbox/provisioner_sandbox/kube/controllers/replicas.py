"""ReplicaSets: as many pods as are wanted. After `pkg/controller/replicaset` of Kubernetes."""

from __future__ import annotations

import copy
import time

from provisioner_sandbox.kube import resources, status
from provisioner_sandbox.kube.controllers.base import (
    Context,
    is_active,
    is_ready,
    owned,
    reference,
    set_condition,
    without_condition,
)
from provisioner_sandbox.kube.store import Object

COMPONENT = "replicaset-controller"
# Between two tries at what was refused.
RETRY_SECONDS = 1.0
# A process takes as long as ever to fail at its start.
LEAST_READY_SECONDS = 1.0


class ReplicaSets:
    def __init__(self, context: Context):
        self.context = context
        # Since when pods are ready: their own stamps have whole seconds only.
        self.ready_since: dict[str, float] = {}
        self.refused: dict[str, tuple[float, str]] = {}

    def look(self) -> float | None:
        context = self.context
        pods = context.list(resources.PODS)
        now = time.monotonic()
        for pod in pods:
            uid = pod["metadata"]["uid"]
            if not is_ready(pod):
                self.ready_since.pop(uid, None)
            else:
                self.ready_since.setdefault(uid, now)
        present = {pod["metadata"]["uid"] for pod in pods}
        self.ready_since = {uid: since for uid, since in self.ready_since.items() if uid in present}
        due: list[float] = []
        for one in context.list(resources.REPLICA_SETS):
            when = self.sync(one, owned(pods, one))
            if when is not None:
                due.append(when)
        return min(due, default=None)

    def sync(self, one: Object, pods: list[Object]) -> float | None:
        context = self.context
        active = [pod for pod in pods if is_active(pod)]
        wanted = one["spec"].get("replicas", 0)
        due: float | None = None
        uid = one["metadata"]["uid"]
        if one["metadata"].get("deletionTimestamp"):
            wanted = len(active)
        failure = ""
        if len(active) < wanted:
            again, text = self.refused.get(uid, (0.0, ""))
            if time.monotonic() < again:
                failure, due = text, again
            else:
                failure = self.fill(one, wanted - len(active))
                if failure:
                    due = time.monotonic() + RETRY_SECONDS
                    self.refused[uid] = (due, failure)
                else:
                    self.refused.pop(uid, None)
        elif len(active) > wanted:
            for pod in sorted(active, key=self.worth)[: len(active) - wanted]:
                context.delete(resources.PODS, pod)
                text = f"Deleted pod: {pod['metadata']['name']}"
                context.events.tell(one, "Normal", "SuccessfulDelete", text, COMPONENT)
        pods = owned(context.list(resources.PODS, one["metadata"]["namespace"]), one)
        when = self.report(one, pods, failure)
        return min((each for each in (due, when) if each is not None), default=None)

    def fill(self, one: Object, count: int) -> str:
        """Makes pods; what the server says when it refuses one."""
        template = copy.deepcopy(one["spec"]["template"])
        metadata = {
            "generateName": f"{one['metadata']['name']}-",
            "namespace": one["metadata"]["namespace"],
            "ownerReferences": [reference(one)],
            **{key: template["metadata"][key] for key in ("labels", "annotations") if template["metadata"].get(key)},
        }
        for _ in range(count):
            try:
                made = self.context.create(
                    resources.PODS, {"metadata": dict(metadata), "spec": copy.deepcopy(template["spec"])}
                )
            except status.Refused as refused:
                text = f"Error creating: {refused.message}"
                self.context.events.tell(one, "Warning", "FailedCreate", text, COMPONENT)
                return refused.message
            text = f"Created pod: {made['metadata']['name']}"
            self.context.events.tell(one, "Normal", "SuccessfulCreate", text, COMPONENT)
        return ""

    def worth(self, pod: Object) -> tuple[bool, bool, bool, float]:
        """The least first: those that run nowhere, are not ready, or became so last."""
        since = self.ready_since.get(pod["metadata"]["uid"], time.monotonic())
        phase = pod.get("status", {}).get("phase")
        return (bool(pod["spec"].get("nodeName")), phase == "Running", is_ready(pod), -since)

    def report(self, one: Object, pods: list[Object], failure: str) -> float | None:
        active = [pod for pod in pods if is_active(pod)]
        asked = one["spec"].get("minReadySeconds", 0)
        patience = max(asked / self.context.clock.scale, min(asked, LEAST_READY_SECONDS))
        now = time.monotonic()
        ends = [self.ready_since.get(pod["metadata"]["uid"], now) + patience for pod in active if is_ready(pod)]
        labels = one["spec"]["template"]["metadata"].get("labels", {})
        full = [pod for pod in active if labels.items() <= (pod["metadata"].get("labels") or {}).items()]
        wanted: Object = {"replicas": len(active)}
        counts = {
            "fullyLabeledReplicas": len(full),
            "readyReplicas": len(ends),
            "availableReplicas": len([end for end in ends if end <= now]),
        }
        wanted |= {key: count for key, count in counts.items() if count}
        wanted["terminatingReplicas"] = len([pod for pod in pods if pod["metadata"].get("deletionTimestamp")])
        wanted["observedGeneration"] = one["metadata"]["generation"]
        conditions = one.get("status", {}).get("conditions", [])
        if failure:
            conditions = set_condition(conditions, "ReplicaFailure", "True", "FailedCreate", failure)
        elif len(active) >= one["spec"].get("replicas", 0):
            conditions = without_condition(conditions, "ReplicaFailure")
        if conditions:
            wanted["conditions"] = conditions
        self.context.status(resources.REPLICA_SETS, one, wanted)
        return min((end for end in ends if end > now), default=None)
