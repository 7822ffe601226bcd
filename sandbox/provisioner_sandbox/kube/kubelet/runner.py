"""What stands for the containers. The kubelet knows no more of it than this."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from provisioner_sandbox.kube.kubelet.log import Log


class Refused(Exception):
    """Why an image cannot be had or a container not be started, in the kubelet's words.

    `reason` is what `state.waiting.reason` says: `ErrImagePull`, `InvalidImageName`, `CreateContainerError`,
    `RunContainerError`.
    """

    def __init__(self, reason: str, message: str):
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


@dataclass(frozen=True)
class Exit:
    """How a process ended. `reason` is what `state.terminated.reason` says."""

    code: int
    reason: str = ""

    def why(self) -> str:
        return self.reason or ("Completed" if self.code == 0 else "Error")


class Process(Protocol):
    """A container that was started."""

    def exit(self) -> Exit | None:
        """How it ended; `None` while it runs."""

    def probe(self, kind: str, probe: dict[str, Any]) -> str | None:
        """Asks once. `kind` is `startup`, `readiness` or `liveness`. `None` where it succeeds, else what went wrong."""

    def terminate(self) -> None:
        """Asks it to end. It may be asked more than once, and when it has ended."""

    def kill(self) -> None:
        """Ends it. As `terminate`, it returns at once."""


class Runner(Protocol):
    """Called in a thread of the pod's own; only `pull` and a process's `probe` may take their time.

    `prepare` and `release` are for what belongs to the pod as a whole: mounts, folders. `runtime` is the name in
    container ids.
    """

    runtime: str

    def address(self, pod: dict[str, Any]) -> str:
        """The pod's, which `release` lets go of."""

    def prepare(self, pod: dict[str, Any]) -> None:
        """Before the first container of a pod. Raises `Refused`."""

    def pull(self, pod: dict[str, Any], container: dict[str, Any]) -> str:
        """The image's id. Called before each start. Raises `Refused`."""

    def warn(self, pod: dict[str, Any], container: dict[str, Any]) -> str | None:
        """What will keep a container from working that is started all the same; for the pod's events and log."""
        return None

    def start(
        self,
        pod: dict[str, Any],
        container: dict[str, Any],
        environment: dict[str, str],
        log: Log,
        changed: Callable[[], None],
    ) -> Process:
        """Starts a container, which writes to `log` and calls `changed` when it has ended. Raises `Refused`."""

    def release(self, pod: dict[str, Any]) -> None:
        """After the last container of a pod has ended, and before the pod is gone."""
