"""A runner that runs nothing: its containers behave as they are told (`behaviour.py`)."""

from __future__ import annotations

import hashlib
import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from plane.kubelet.behaviour import Behaviour, Book, Invalid
from provisioner_sandbox.kube.kubelet.log import Log
from provisioner_sandbox.kube.kubelet.runner import Exit, Process, Refused, Runner

SIGTERM = Exit(143)
SIGKILL = Exit(137)


class ScriptedProcess(Process):
    def __init__(self, look: Callable[[], Behaviour], ends: Exit | None, after: float, changed: Callable[[], None]):
        # Asked again at each probe, so that a container that runs can turn bad.
        self.look = look
        self.began = time.monotonic()
        self.changed = changed
        self.ended: Exit | None = None
        if ends is not None:
            self.end_in(after, ends)

    def end_in(self, seconds: float, how: Exit) -> None:
        if seconds <= 0:
            self.end(how)
            return
        timer = threading.Timer(seconds, self.end, (how,))
        timer.daemon = True
        timer.start()

    def end(self, how: Exit) -> None:
        if self.ended is None:
            self.ended = how
            self.changed()

    def exit(self) -> Exit | None:
        return self.ended

    def probe(self, kind: str, probe: dict[str, Any]) -> str | None:
        try:
            behaviour = self.look()
        except Invalid as error:
            return str(error)
        age = time.monotonic() - self.began
        if kind == "liveness":
            alive = behaviour.get("alive", True)
            well = age < alive.get("until", 0.0) if isinstance(alive, dict) else alive
        else:
            ready = behaviour.get("ready", True)
            well = age >= ready.get("after", 0.0) if isinstance(ready, dict) else ready
        return None if well else failure(probe)

    def terminate(self) -> None:
        try:
            seconds = float(self.look().get("stop", 0.0))
        except Invalid:
            seconds = 0.0
        self.end_in(seconds, SIGTERM)

    def kill(self) -> None:
        self.end(SIGKILL)


def failure(probe: dict[str, Any]) -> str:
    """As the kubelet words it."""
    if "httpGet" in probe:
        return "HTTP probe failed with statuscode: 503"
    if "tcpSocket" in probe:
        return "dial tcp: connect: connection refused"
    if "grpc" in probe:
        return 'service unhealthy (responded with "NOT_SERVING")'
    return "command failed"


def refusal(said: Any, reason: str) -> Refused:
    if isinstance(said, str):
        return Refused(reason, said)
    return Refused(said.get("reason", reason), said.get("message", ""))


class ScriptedRunner(Runner):
    runtime = "testplane"

    """`file` is where behaviours are told from outside."""

    def __init__(self, file: Path):
        self.book = Book(file)
        self.starts: dict[tuple[str, str], int] = {}
        self.addresses = itertools.count()

    def address(self, pod: dict[str, Any]) -> str:
        """One that no other pod has had for long; none on loopback, which endpoints may not be."""
        number = next(self.addresses) % (64 * 250)
        return f"10.0.{128 + number // 250}.{number % 250 + 2}"

    def look(self, pod: dict[str, Any], container: dict[str, Any]) -> Behaviour:
        try:
            return self.book.of(pod, container)
        except Invalid as error:
            raise Refused("CreateContainerError", str(error)) from error

    def prepare(self, pod: dict[str, Any]) -> None:
        """There is nothing that its containers share."""

    def pull(self, pod: dict[str, Any], container: dict[str, Any]) -> str:
        behaviour = self.look(pod, container)
        if "pull" in behaviour:
            raise refusal(behaviour["pull"], "ErrImagePull")
        image: str = container["image"]
        # By its digest, if only by one of its name.
        return image if "@" in image else f"{image}@sha256:{hashlib.sha256(image.encode()).hexdigest()}"

    def start(
        self,
        pod: dict[str, Any],
        container: dict[str, Any],
        environment: dict[str, str],
        log: Log,
        changed: Callable[[], None],
    ) -> Process:
        behaviour = self.look(pod, container)
        if "start" in behaviour:
            raise refusal(behaviour["start"], "RunContainerError")
        for line in behaviour.get("log", [f"started {container['image']}"]):
            log.write(str(line))
        key = (pod["metadata"]["uid"], container["name"])
        self.starts[key] = self.starts.get(key, 0) + 1
        ends, after = None, 0.0
        told = behaviour.get("exit")
        if told is not None and self.starts[key] <= told.get("times", self.starts[key]):
            ends, after = Exit(told.get("code", 0), told.get("reason", "")), float(told.get("after", 0.0))
        elif told is None and runs_once(pod, container):
            ends = Exit(0)
        return ScriptedProcess(lambda: self.book.of(pod, container), ends, after, changed)

    def release(self, pod: dict[str, Any]) -> None:
        for key in [key for key in self.starts if key[0] == pod["metadata"]["uid"]]:
            self.starts.pop(key, None)


def runs_once(pod: dict[str, Any], container: dict[str, Any]) -> bool:
    """Init containers and those of jobs do their work at once."""
    spec = pod["spec"]
    first = any(container["name"] == other["name"] for other in spec.get("initContainers", []))
    policy: str = container.get("restartPolicy", "") if first else spec.get("restartPolicy", "Always")
    return policy != "Always"
