"""What is counted: pods that may be disrupted, and what quotas have used."""

from __future__ import annotations

import math
from typing import Any

from provisioner_sandbox.kube import resources
from provisioner_sandbox.kube.admission import shown, used_by
from provisioner_sandbox.kube.controllers.base import Context, controller_of, is_active, is_ready, set_condition
from provisioner_sandbox.kube.resources import Resource
from provisioner_sandbox.kube.selectors import selects
from provisioner_sandbox.kube.store import Object


def share(value: Any, whole: int) -> int:
    return math.ceil(whole * int(value.rstrip("%")) / 100) if isinstance(value, str) else int(value)


class Budgets:
    def __init__(self, context: Context):
        self.context = context

    def look(self) -> float | None:
        for budget in self.context.list(resources.DISRUPTION_BUDGETS):
            self.sync(budget)
        return None

    def sync(self, budget: Object) -> None:
        spec, metadata = budget.get("spec", {}), budget["metadata"]
        pods = [
            pod
            for pod in self.context.list(resources.PODS, metadata["namespace"])
            if selects(spec.get("selector"), pod["metadata"].get("labels")) and is_active(pod)
        ]
        healthy = len([pod for pod in pods if is_ready(pod)])
        fewest = spec.get("minAvailable")
        # A number counts the pods that are there; anything else, the pods that their controllers want.
        whole = len(pods) if isinstance(fewest, int) else self.scale(pods)
        if fewest is not None:
            least = share(fewest, whole)
        else:
            least = max(whole - share(spec.get("maxUnavailable", 1), whole), 0)
        allowed = max(healthy - least, 0) if pods else 0
        reason, text = ("SufficientPods", "True") if allowed else ("InsufficientPods", "False")
        wanted = {
            "disruptionsAllowed": allowed,
            "currentHealthy": healthy,
            "desiredHealthy": least,
            "expectedPods": whole,
            "observedGeneration": metadata["generation"],
            "conditions": set_condition(
                budget.get("status", {}).get("conditions", []), "DisruptionAllowed", text, reason, ""
            ),
        }
        self.context.status(resources.DISRUPTION_BUDGETS, budget, wanted)


    def scale(self, pods: list[Object]) -> int:
        """The pods that the controllers of these want: a Deployment's, or a ReplicaSet's of none."""
        wanted: dict[str, int] = {}
        for pod in pods:
            found = self.controller(pod, resources.REPLICA_SETS)
            found = (self.controller(found, resources.DEPLOYMENTS) if found else None) or found or pod
            wanted[found["metadata"]["uid"]] = found["spec"].get("replicas", 1)
        return sum(wanted.values())

    def controller(self, document: Object, resource: Resource) -> Object | None:
        owner, metadata = controller_of(document), document["metadata"]
        if owner is None or owner["kind"] != resource.kind:
            return None
        found = self.context.store.get(resource, metadata["namespace"], owner["name"])
        return found if found and found["metadata"]["uid"] == owner["uid"] else None


class Quotas:
    def __init__(self, context: Context):
        self.context = context

    def look(self) -> float | None:
        for quota in self.context.list(resources.QUOTAS):
            hard = quota.get("spec", {}).get("hard", {})
            used = used_by(self.context.list(resources.PODS, quota["metadata"]["namespace"]), hard)
            wanted = {"hard": hard, "used": {name: shown(name, value) for name, value in used.items()}}
            self.context.status(resources.QUOTAS, quota, wanted)
        return None
