"""What is counted: pods that may be disrupted, and what quotas have used."""

from __future__ import annotations

import math
from typing import Any

from provisioner_sandbox.kube import resources
from provisioner_sandbox.kube.admission import shown, used_by
from provisioner_sandbox.kube.controllers.base import Context, is_active, is_ready, set_condition
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
        if spec.get("minAvailable") is not None:
            least = share(spec["minAvailable"], len(pods))
        else:
            least = max(len(pods) - share(spec.get("maxUnavailable", 1), len(pods)), 0)
        allowed = max(healthy - least, 0) if pods else 0
        reason, text = ("SufficientPods", "True") if allowed else ("InsufficientPods", "False")
        wanted = {
            "disruptionsAllowed": allowed,
            "currentHealthy": healthy,
            "desiredHealthy": least,
            "expectedPods": len(pods),
            "observedGeneration": metadata["generation"],
            "conditions": set_condition(
                budget.get("status", {}).get("conditions", []), "DisruptionAllowed", text, reason, ""
            ),
        }
        self.context.status(resources.DISRUPTION_BUDGETS, budget, wanted)


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
