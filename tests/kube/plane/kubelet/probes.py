"""Probes: when the next one is due, and what the last ones mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from plane.kubelet.clock import Clock

FIELDS = {"startup": "startupProbe", "readiness": "readinessProbe", "liveness": "livenessProbe"}


@dataclass
class Probe:
    """One of a container that runs. Missing fields have the API server's defaults."""

    kind: str
    spec: dict[str, Any]
    due: float
    good: int = 0
    bad: int = 0
    # A container that cannot yet be asked is not ready, not started, and alive.
    holds: bool = field(init=False)

    def __post_init__(self) -> None:
        self.holds = self.kind == "liveness"

    @classmethod
    def of(cls, kind: str, container: dict[str, Any], clock: Clock) -> Probe | None:
        spec = container.get(FIELDS[kind])
        if spec is None:
            return None
        return cls(kind, spec, clock.after(spec.get("initialDelaySeconds", 0)))

    def take(self, failure: str | None, clock: Clock) -> bool:
        """The outcome of one; says whether it tips the scales against the container."""
        self.due = clock.after(self.spec.get("periodSeconds", 10))
        if failure is None:
            self.good, self.bad = self.good + 1, 0
            if self.good >= self.spec.get("successThreshold", 1):
                self.holds = True
            return False
        self.good, self.bad = 0, self.bad + 1
        if self.bad < self.spec.get("failureThreshold", 3):
            return False
        self.holds = False
        return True
