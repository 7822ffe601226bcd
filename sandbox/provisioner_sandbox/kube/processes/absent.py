"""Controllers whose images are in public registries, which the sandbox does not reach. It does their work itself, or there is
none to do here; in their place stands a container that does nothing and answers every probe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from provisioner_sandbox.kube.kubelet.log import Log
from provisioner_sandbox.kube.kubelet.runner import Exit

# Repository, and what is said in the container's log.
ABSENT = {
    "public.ecr.aws/eks/aws-load-balancer-controller": "the sandbox makes load balancers itself; nothing runs here",
    "registry.k8s.io/autoscaling/cluster-autoscaler": "the sandbox's node groups stay as they are; nothing runs here",
}


def absent(reference: str) -> str | None:
    """What stands in the place of such an image; `None` for any other."""
    return ABSENT.get(reference.partition("@")[0].rpartition(":")[0])


class Nothing:
    """A container that runs until it is ended."""

    def __init__(self, text: str, log: Log, changed: Callable[[], None]):
        self.ended: Exit | None = None
        self.changed = changed
        log.write(text)

    def exit(self) -> Exit | None:
        return self.ended

    def probe(self, kind: str, probe: dict[str, Any]) -> str | None:
        return None

    def terminate(self) -> None:
        self.end(0)

    def kill(self) -> None:
        self.end(137)

    def end(self, code: int) -> None:
        if self.ended is None:
            self.ended = Exit(code)
            self.changed()
