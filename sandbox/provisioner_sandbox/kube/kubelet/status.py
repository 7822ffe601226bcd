"""A pod's status from its containers: phase, conditions, container statuses. Decides, and does nothing."""

from __future__ import annotations

from typing import Any

from provisioner_sandbox.kube.clock import stamp
from provisioner_sandbox.kube.kubelet.container import Container


def phase(init: list[Container], main: list[Container]) -> str:
    if any(container.failed() for container in init if container.policy == "Never"):
        return "Failed"
    if all(container.finished for container in main):
        return "Failed" if any(container.failed() for container in main) else "Succeeded"
    # Once started, a container that waits for its next start does not make the pod pending again.
    if all(container.starts > 0 for container in main):
        return "Running"
    return "Pending"


def container_status(container: Container, uid: str) -> dict[str, Any]:
    known = container.starts > 0
    return {
        "name": container.name,
        "image": container.spec["image"],
        "imageID": container.image_id,
        "containerID": f"{container.runtime}://{uid}/{container.name}/{container.restarts}" if known else "",
        "ready": completed(container) if container.runs_first else container.ready,
        "started": container.started,
        "restartCount": container.restarts,
        "state": container.state,
        "lastState": container.last,
    }


def completed(container: Container) -> bool:
    return container.finished and not container.failed()


def initialized(init: list[Container]) -> list[str]:
    """The init containers that still stand in the way; a sidecar has to be started only."""
    return [
        container.name
        for container in init
        if not (completed(container) if container.runs_first else container.started)
    ]


class Conditions:
    """Ours, with the time of their last change kept."""

    def __init__(self) -> None:
        self.known: dict[str, dict[str, Any]] = {}

    def set(self, kind: str, holds: bool, now: float, reason: str = "", message: str = "") -> dict[str, Any]:
        status = "True" if holds else "False"
        before = self.known.get(kind)
        changed = stamp(now) if before is None or before["status"] != status else before["lastTransitionTime"]
        condition = {"type": kind, "status": status, "lastTransitionTime": changed}
        # Emptied, where there is nothing to say: the patch merges conditions by their type.
        condition["reason"] = reason or None
        condition["message"] = message or None
        self.known[kind] = condition
        return condition


def conditions(
    memory: Conditions,
    pod: dict[str, Any],
    init: list[Container],
    main: list[Container],
    now: float,
    current: str,
    sandbox: bool,
) -> list[dict[str, Any]]:
    """`sandbox`: whether what the pod's containers share is there."""
    blocking = initialized(init)
    done = current == "Succeeded"
    unready = [container.name for container in main if not container.ready]
    if blocking:
        text = f"containers with incomplete status: [{' '.join(blocking)}]"
        ready_init = memory.set("Initialized", False, now, "ContainersNotInitialized", text)
    else:
        ready_init = memory.set("Initialized", True, now, "PodCompleted" if done else "")
    reason, text = "", ""
    if done:
        reason = "PodCompleted"
    elif current == "Failed":
        reason = "PodFailed"
    elif unready:
        reason, text = "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]"
    containers = memory.set("ContainersReady", not reason, now, reason, text)
    missing = [] if reason else closed_gates(pod)
    if missing:
        reason = "ReadinessGatesNotReady"
        text = "; ".join(f'corresponding condition of pod readiness gate "{gate}" does not exist.' for gate in missing)
    return [
        memory.set("PodReadyToStartContainers", sandbox, now),
        ready_init,
        containers,
        memory.set("Ready", not reason, now, reason, text),
    ]


def closed_gates(pod: dict[str, Any]) -> list[str]:
    """Readiness gates whose condition, which others write, is not true."""
    true = {c["type"] for c in pod.get("status", {}).get("conditions", []) if c["status"] == "True"}
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates", [])]
    return [gate for gate in gates if gate not in true]
