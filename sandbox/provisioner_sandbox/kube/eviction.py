"""The eviction of a pod: a deletion that PodDisruptionBudgets may forbid.

Source: pkg/registry/core/pod/storage/eviction.go of Kubernetes, and
https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/
"""

from __future__ import annotations

import copy
from typing import Any

from provisioner_sandbox.kube import resources, status
from provisioner_sandbox.kube.controllers.base import is_ready
from provisioner_sandbox.kube.selectors import selects
from provisioner_sandbox.kube.store import Object
from provisioner_sandbox.kube.writer import Options, Writer

VERSIONS = ("policy/v1", "policy/v1beta1")
FORBIDDEN = "Cannot evict pod as it would violate the pod's disruption budget."
SEVERAL = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."


def evict(writer: Writer, namespace: str, name: str, eviction: Object, options: Options) -> Object:
    """Returns the answer's document. Raises `Refused`."""
    if eviction.get("kind") != "Eviction" or eviction.get("apiVersion") not in VERSIONS:
        raise status.bad_request("the body must be an Eviction of policy/v1")
    if eviction.get("metadata", {}).get("name", name) != name:
        raise status.bad_request("name in URL does not match name in Eviction object")
    how = dict(eviction.get("deleteOptions") or {})
    dry = options.dry or bool(how.get("dryRun"))
    with writer.store.lock:
        pod = writer.find(resources.PODS, namespace, name)
        if not ignores_budgets(pod):
            check(writer, pod, options, dry)
        writer.delete(resources.PODS, namespace, name, how, dry)
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def ignores_budgets(pod: Object) -> bool:
    phase = pod.get("status", {}).get("phase", "Pending")
    return bool(pod["metadata"].get("deletionTimestamp")) or phase in ("Succeeded", "Failed", "Pending")


def check(writer: Writer, pod: Object, options: Options, dry: bool) -> None:
    """Takes one disruption from the pod's budget, or raises `Refused`."""
    labels, namespace = pod["metadata"].get("labels"), pod["metadata"]["namespace"]
    known = writer.store.list(resources.DISRUPTION_BUDGETS, namespace)
    budgets = [one for one in known if selects(one.get("spec", {}).get("selector"), labels)]
    if not budgets:
        return
    if len(budgets) > 1:
        raise status.Refused(500, "InternalError", f"Internal error occurred: {SEVERAL}")
    budget = budgets[0]
    name, state = budget["metadata"]["name"], budget.get("status", {})
    if not is_ready(pod) and may_go_unready(budget):
        return
    if state.get("observedGeneration", 0) < budget["metadata"]["generation"]:
        raise forbidden(f"The disruption budget {name} is still being processed by the server.", 10)
    if state.get("disruptionsAllowed", 0) <= 0:
        healthy, needed = state.get("currentHealthy", 0), state.get("desiredHealthy", 0)
        raise forbidden(f"The disruption budget {name} needs {needed} healthy pods and has {healthy} currently")

    def less(live: Object) -> Object:
        made = copy.deepcopy(live)
        made["status"]["disruptionsAllowed"] -= 1
        return made

    if not dry:
        writer.patch(resources.DISRUPTION_BUDGETS, namespace, name, resources.STATUS, less, options)


def may_go_unready(budget: Object) -> bool:
    """Whether a pod that is not ready may go without taking a disruption."""
    if budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    state = budget.get("status", {})
    return state.get("currentHealthy", 0) >= state.get("desiredHealthy", 0) > 0


def forbidden(why: str, after: int = 0) -> status.Refused:
    details: dict[str, Any] = {"causes": [{"reason": "DisruptionBudget", "message": why}]}
    if after:
        details["retryAfterSeconds"] = after
    return status.Refused(429, "TooManyRequests", FORBIDDEN, details)
