"""A pod on a node: its containers in their order, its status, its end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from provisioner_sandbox.kube.clock import Clock, stamp
from provisioner_sandbox.kube.kubelet import status
from provisioner_sandbox.kube.kubelet.client import STRATEGIC, Api, ApiError
from provisioner_sandbox.kube.kubelet.container import Container, Host
from provisioner_sandbox.kube.kubelet.events import Recorder
from provisioner_sandbox.kube.kubelet.runner import Refused, Runner
from provisioner_sandbox.kube.kubelet.spec import Missing, Spec

# Between two looks at a config map that is not there, and after an answer of the server that was none.
MOUNT_RETRY = 5.0
API_RETRY_SECONDS = 0.5
DEFAULT_GRACE = 30


@dataclass(frozen=True)
class Node:
    """Where a pod runs, as far as the pod is told."""

    name: str
    address: str


@dataclass(frozen=True)
class Tools:
    api: Api
    runner: Runner
    clock: Clock
    events: Recorder
    spec: Spec
    tell: Callable[[str], None]


class Pod(threading.Thread):
    """A thread of its own, so that a pod whose image takes long holds up no other."""

    def __init__(self, tools: Tools, node: Node, address: str, pod: dict[str, Any]):
        super().__init__(name=pod["metadata"]["name"], daemon=True)
        self.tools = tools
        self.node = node
        self.pod = pod
        self.uid: str = pod["metadata"]["uid"]
        self.address = node.address if pod["spec"].get("hostNetwork") else address
        self.wake = threading.Event()
        self.conditions = status.Conditions()
        self.reported: dict[str, Any] = {}
        self.began = tools.clock.now()
        self.prepared = False
        self.gone = False
        self.stop_at: float | None = None
        spec = pod["spec"]
        policy = spec.get("restartPolicy", "Always")
        first = spec.get("initContainers", [])
        waits = "PodInitializing" if first else "ContainerCreating"
        # An init container that fails is started again, unless nothing is.
        retry = "Never" if policy == "Never" else "OnFailure"
        self.init = [Container(c, c.get("restartPolicy") or retry, "spec.initContainers", waits) for c in first]
        self.main = [Container(c, policy, "spec.containers", waits) for c in spec["containers"]]

    # --- from outside -----------------------------------------------------------------------------------------------

    def update(self, pod: dict[str, Any]) -> None:
        self.pod = pod
        self.wake.set()

    def vanish(self) -> None:
        """It was deleted by force: its end is not reported."""
        self.gone = True
        self.wake.set()

    def container(self, name: str) -> Container | None:
        return next((container for container in self.init + self.main if container.name == name), None)

    # --- the thread -------------------------------------------------------------------------------------------------

    def run(self) -> None:
        while not self.gone:
            self.wake.clear()
            try:
                due = self.step()
            except (ApiError, OSError) as error:
                # Another pod has the name, or none: the watch says so, too, and here it is known sooner.
                if isinstance(error, ApiError) and error.code in (404, 409) and self.replaced():
                    break
                self.tools.tell(f"{self.name}: {error}")
                due = self.tools.clock.now() + API_RETRY_SECONDS
            if self.gone:
                break
            self.wake.wait(None if due is None else max(due - self.tools.clock.now(), 0.0))
        for container in self.init + self.main:
            if container.process is not None:
                container.process.kill()
            if container.log is not None:
                container.log.close()
        self.tools.runner.release(self.pod)
        self.tools.events.forget(self.uid)

    def step(self) -> float | None:
        """Does what is due; returns when there is more to do, or `None` where something must change first."""
        if self.pod["metadata"].get("deletionTimestamp"):
            return self.end()
        if self.phase() in ("Succeeded", "Failed"):
            self.report()
            return None
        if not self.reported:
            self.report()
        if not self.prepared:
            try:
                self.tools.spec.check_volumes(self.pod)
                self.tools.runner.prepare(self.pod)
            except (Missing, Refused) as error:
                reason = "FailedMount" if isinstance(error, Missing) else "FailedCreatePodSandBox"
                self.tools.events.tell(self.pod, "Warning", reason, str(error))
                return self.tools.clock.after(MOUNT_RETRY)
            self.prepared = True
        due = self.step_containers()
        self.report()
        return due

    def step_containers(self) -> float | None:
        host = self.host()
        due: list[float] = []

        def step(container: Container) -> None:
            when = container.step(host)
            if when is not None:
                due.append(when)

        for container in self.init:
            step(container)
            # Each waits for the one before: until it is done, or, a sidecar, until it is started.
            if status.initialized([container]):
                return min(due, default=None)
        for container in self.main:
            step(container)
        return min(due, default=None)

    def host(self) -> Host:
        def environment(container: dict[str, Any]) -> dict[str, str]:
            return self.tools.spec.environment(self.pod, container, self.address, self.node.address)

        tools = self.tools
        return Host(self.pod, tools.runner, tools.clock, tools.events, environment, self.wake.set, self.report)

    def end(self) -> float | None:
        """Asks what runs to end, waits for it no longer than its grace, and lets go of the pod."""
        host = self.host()
        now = self.tools.clock.now()
        if self.stop_at is None:
            # The pod continues to serve callers that have not learnt yet that it is terminating.
            pause = max((pause_before_stop(c.spec) for c in self.main if c.process is not None), default=0.0)
            self.stop_at = self.tools.clock.after(pause)
        running = [container for container in self.init + self.main if container.process is not None]
        if now < self.stop_at:
            due = [when for container in running if (when := container.step(host)) is not None]
            self.report()
            return min([*due, self.stop_at])
        grace = self.pod["metadata"].get("deletionGracePeriodSeconds", DEFAULT_GRACE)
        for container in running:
            if container.kill_at is None:
                text = f"Stopping container {container.name}"
                self.tools.events.tell(self.pod, "Normal", "Killing", text, container.path)
            container.stop(host, grace)
        due = [when for container in running if (when := container.step(host)) is not None]
        self.report()
        if any(container.process is not None for container in running):
            return min(due, default=None)
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": self.uid}}
        self.tools.api.call("DELETE", self.path(), {"apiVersion": "v1", "kind": "DeleteOptions", **options})
        self.gone = True
        return None

    def path(self) -> str:
        return f"/api/v1/namespaces/{self.pod['metadata']['namespace']}/pods/{self.pod['metadata']['name']}"

    def replaced(self) -> bool:
        try:
            found = self.tools.api.get(self.path())
        except (ApiError, OSError):
            return False
        return found is None or found["metadata"]["uid"] != self.uid

    def phase(self) -> str:
        return status.phase(self.init, self.main)

    def report(self) -> None:
        """Writes the status, if it is another than was written last."""
        now = self.tools.clock.now()
        current = self.phase()
        wanted = {
            "phase": current,
            "observedGeneration": self.pod["metadata"].get("generation"),
            "startTime": stamp(self.began),
            "hostIP": self.node.address,
            "hostIPs": [{"ip": self.node.address}],
            "podIP": self.address,
            "podIPs": [{"ip": self.address}],
            "conditions": status.conditions(
                self.conditions, self.pod, self.init, self.main, now, current, self.prepared
            ),
            "initContainerStatuses": [status.container_status(container, self.uid) for container in self.init],
            "containerStatuses": [status.container_status(container, self.uid) for container in self.main],
        }
        if wanted == self.reported:
            return
        # With the uid, a pod that has taken its place is not written to.
        self.tools.api.call(
            "PATCH", f"{self.path()}/status", {"metadata": {"uid": self.uid}, "status": wanted}, STRATEGIC
        )
        self.reported = wanted


def pause_before_stop(container: dict[str, Any]) -> float:
    """The `sleep` of a preStop hook; hooks that are commands or requests take no time here."""
    hook = container.get("lifecycle", {}).get("preStop", {})
    return float(hook.get("sleep", {}).get("seconds", 0))
