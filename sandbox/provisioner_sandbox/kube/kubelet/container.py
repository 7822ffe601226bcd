"""One container: its image, its starts, its ends, and how long until the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from provisioner_sandbox.kube.clock import Clock, stamp
from provisioner_sandbox.kube.kubelet.events import Recorder
from provisioner_sandbox.kube.kubelet.log import Log
from provisioner_sandbox.kube.kubelet.probes import Probe
from provisioner_sandbox.kube.kubelet.runner import Exit, Process, Refused, Runner
from provisioner_sandbox.kube.kubelet.spec import Missing

# Kubernetes' own: back-offs start at 10 s, double, and end at 5 minutes; ten good minutes and all is forgotten.
FIRST_BACKOFF = 10.0
LONGEST_BACKOFF = 300.0
FORGIVEN = 600.0
# How long `ErrImagePull` is seen before it is `ImagePullBackOff`, and between two tries at what is not there.
ERR_IMAGE_PULL = 5.0
RETRY = 10.0
# The exit code of what could not be started at all.
START_ERROR = 128


@dataclass(frozen=True)
class Host:
    """What a container's pod gives it. `environment` raises `Missing`; `report` writes the pod's status now."""

    pod: dict[str, Any]
    runner: Runner
    clock: Clock
    events: Recorder
    environment: Callable[[dict[str, Any]], dict[str, str]]
    changed: Callable[[], None]
    report: Callable[[], None]


class Container:
    """`policy` is when it is started again: `Always`, `OnFailure` or `Never`."""

    def __init__(self, spec: dict[str, Any], policy: str, path: str, waits: str):
        self.spec = spec
        self.name: str = spec["name"]
        self.policy = policy
        self.path = f"{path}{{{self.name}}}"
        # An init container that must be done before the next starts; a sidecar must not.
        self.runs_first = path == "spec.initContainers" and policy != "Always"
        self.state: dict[str, Any] = {"waiting": {"reason": waits}}
        self.last: dict[str, Any] = {}
        self.starts = 0
        # The name of the container runtime, known at the first start.
        self.runtime = ""
        self.image_id = ""
        self.process: Process | None = None
        self.began = 0.0
        self.probes: dict[str, Probe] = {}
        self.log: Log | None = None
        self.previous: Log | None = None
        self.due = 0.0
        self.backoff = 0.0
        self.image_backoff = 0.0
        # What it waits for after the message that is shown first.
        self.then: tuple[float, str, str] | None = None
        self.kill_at: float | None = None
        self.finished = False

    # --- what is said of it -----------------------------------------------------------------------------------------

    @property
    def started(self) -> bool:
        probe = self.probes.get("startup")
        return self.process is not None and (probe is None or probe.holds)

    @property
    def ready(self) -> bool:
        probe = self.probes.get("readiness")
        return self.started and self.kill_at is None and (probe is None or probe.holds)

    @property
    def restarts(self) -> int:
        return max(self.starts - 1, 0)

    def failed(self) -> bool:
        return self.finished and self.state.get("terminated", {}).get("exitCode", 1) != 0

    def wait_with(self, reason: str, message: str = "") -> None:
        self.state = {"waiting": {"reason": reason, "message": message} if message else {"reason": reason}}

    # --- what is done with it ---------------------------------------------------------------------------------------

    def step(self, host: Host) -> float | None:
        """Does what is due; returns when there is more to do."""
        if self.finished:
            return None
        if self.process is not None:
            ended = self.process.exit()
            if ended is None:
                return self.watch(host, self.process)
            self.end(host, ended)
            if self.finished:
                return None
        now = host.clock.now()
        if self.then is not None and now >= self.then[0]:
            _, reason, message = self.then
            self.then = None
            self.wait_with(reason, message)
            host.events.tell(host.pod, "Warning", "Failed", f"Error: {reason}", self.path)
        if now < self.due:
            return min(self.due, self.then[0]) if self.then else self.due
        self.try_start(host)
        if self.process is not None:
            # One that has ended already is never seen to run.
            return self.step(host)
        return min(self.due, self.then[0]) if self.then else self.due

    def try_start(self, host: Host) -> None:
        self.then = None
        first = self.image_id == ""
        if first:
            host.events.tell(host.pod, "Normal", "Pulling", f'Pulling image "{self.spec["image"]}"', self.path)
        try:
            self.image_id = host.runner.pull(host.pod, self.spec)
        except Refused as refused:
            self.no_image(host, refused)
            return
        self.image_backoff = 0.0
        if first:
            text = f'Successfully pulled image "{self.spec["image"]}"'
            host.events.tell(host.pod, "Normal", "Pulled", text, self.path)
        try:
            environment = host.environment(self.spec)
        except Missing as missing:
            self.hold(host, "CreateContainerConfigError", str(missing))
            return
        log = Log()
        warning = host.runner.warn(host.pod, self.spec)
        if warning:
            log.write(f"sandbox: {warning}")
            host.events.tell(host.pod, "Warning", "PortTaken", warning, self.path)
        try:
            process = host.runner.start(host.pod, self.spec, environment, log, host.changed)
        except Refused as refused:
            log.close()
            self.not_started(host, refused)
            return
        self.previous, self.log = self.log, log
        self.process = process
        self.runtime = host.runner.runtime
        self.starts += 1
        self.began = host.clock.now()
        self.state = {"running": {"startedAt": stamp(self.began)}}
        kinds = ("startup", "readiness", "liveness")
        self.probes = {kind: probe for kind in kinds if (probe := Probe.of(kind, self.spec, host.clock))}
        for reason in ("Created", "Started"):
            host.events.tell(host.pod, "Normal", reason, f"{reason} container {self.name}", self.path)

    def no_image(self, host: Host, refused: Refused) -> None:
        image = self.spec["image"]
        self.image_id = ""
        text = f'Failed to pull image "{image}": {refused.message}'
        host.events.tell(host.pod, "Warning", "Failed", text, self.path)
        host.events.tell(host.pod, "Warning", "Failed", f"Error: {refused.reason}", self.path)
        self.wait_with(refused.reason, refused.message)
        self.image_backoff = grown(self.image_backoff)
        self.due = host.clock.after(self.image_backoff)
        if refused.reason == "ErrImagePull":
            back = f'Back-off pulling image "{image}": ErrImagePull: {refused.message}'
            self.then = (host.clock.after(ERR_IMAGE_PULL), "ImagePullBackOff", back)
            host.events.tell(host.pod, "Normal", "BackOff", f'Back-off pulling image "{image}"', self.path)

    def hold(self, host: Host, reason: str, message: str) -> None:
        host.events.tell(host.pod, "Warning", "Failed", f"Error: {message}", self.path)
        self.wait_with(reason, message)
        self.due = host.clock.after(RETRY)

    def not_started(self, host: Host, refused: Refused) -> None:
        if refused.reason != "RunContainerError":
            self.hold(host, refused.reason, refused.message)
            return
        host.events.tell(host.pod, "Warning", "Failed", f"Error: {refused.message}", self.path)
        now = host.clock.now()
        self.began = now
        self.starts += 1
        self.wait_with("RunContainerError", refused.message)
        ended = {
            "exitCode": START_ERROR,
            "reason": "StartError",
            "message": refused.message,
            "startedAt": stamp(0),
            "finishedAt": stamp(now),
        }
        self.again(host, ended)

    def watch(self, host: Host, process: Process) -> float | None:
        """While it runs: probes, and the end of its grace."""
        now = host.clock.now()
        if self.kill_at is not None:
            if now >= self.kill_at:
                process.kill()
                return None
            return self.kill_at
        for kind, probe in self.probes.items():
            if self.awake(kind) and now >= probe.due and self.kill_at is None:
                self.ask(host, kind, probe, process)
        if self.kill_at is not None:
            return self.kill_at
        return min((probe.due for kind, probe in self.probes.items() if self.awake(kind)), default=None)

    def awake(self, kind: str) -> bool:
        """The startup probe is asked until it succeeds, and the others from then on."""
        return self.started != (kind == "startup")

    def ask(self, host: Host, kind: str, probe: Probe, process: Process) -> None:
        failure = process.probe(kind, probe.spec)
        tipped = probe.take(failure, host.clock)
        if probe.counted:
            text = f"{kind.capitalize()} probe failed: {failure}"
            host.events.tell(host.pod, "Warning", "Unhealthy", text, self.path)
        if tipped and kind != "readiness":
            text = f"Container {self.name} failed {kind} probe, will be restarted"
            host.events.tell(host.pod, "Normal", "Killing", text, self.path)
            grace = probe.spec.get("terminationGracePeriodSeconds")
            self.stop(host, host.pod["spec"].get("terminationGracePeriodSeconds", 30) if grace is None else grace)

    def stop(self, host: Host, grace: float) -> None:
        """Asks it to end, once; a shorter grace period overrules an earlier, longer one."""
        if self.process is None:
            return
        kill_at = host.clock.within(grace)
        if self.kill_at is None:
            self.process.terminate()
        self.kill_at = kill_at if self.kill_at is None else min(self.kill_at, kill_at)

    def end(self, host: Host, ended: Exit) -> None:
        now = host.clock.now()
        if self.log is not None:
            self.log.close()
        terminated = {
            "exitCode": ended.code,
            "reason": ended.why(),
            "startedAt": stamp(self.began),
            "finishedAt": stamp(now),
            "containerID": self.container_id(host.pod),
        }
        self.process = None
        self.kill_at = None
        self.state = {"terminated": terminated}
        if self.policy == "Never" or (self.policy == "OnFailure" and ended.code == 0):
            self.finished = True
            return
        if host.pod["metadata"].get("deletionTimestamp"):
            self.finished = True
            return
        # Seen as ended before it is seen to wait.
        host.report()
        self.again(host, terminated)

    def again(self, host: Host, ended: dict[str, Any]) -> None:
        """At once the first time, after a growing back-off later."""
        if host.clock.now() - self.began > FORGIVEN / host.clock.scale:
            self.backoff = 0.0
        delay, self.backoff = self.backoff, grown(self.backoff)
        self.last = {"terminated": ended}
        if delay == 0.0:
            self.due = host.clock.now()
            return
        metadata = host.pod["metadata"]
        whose = f"{metadata['name']}_{metadata['namespace']}({metadata['uid']})"
        text = f"back-off {human(delay)} restarting failed container={self.name} pod={whose}"
        self.wait_with("CrashLoopBackOff", text)
        told = f"Back-off restarting failed container {self.name} in pod {whose}"
        host.events.tell(host.pod, "Warning", "BackOff", told, self.path)
        self.due = host.clock.after(delay)

    def container_id(self, pod: dict[str, Any]) -> str:
        return f"{self.runtime}://{pod['metadata']['uid']}/{self.name}/{self.restarts}"


def grown(backoff: float) -> float:
    return min(backoff * 2, LONGEST_BACKOFF) if backoff else FIRST_BACKOFF


def human(seconds: float) -> str:
    """As Go writes a duration."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
