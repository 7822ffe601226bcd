"""Probes: when the next one is due, and what the last ones mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from provisioner_sandbox.kube.clock import Clock

# Between two askings, however fast time is.
LEAST_SECONDS = 0.05
HOLDING_SECONDS = 0.5
SLACK_SECONDS = 0.02
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
    # However often it is asked, a failure counts once a period: a process needs its time whatever the clock's pace.
    counts_from: float = 0.0
    counted: bool = False

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
        period = self.spec.get("periodSeconds", 10)
        now = clock.now()
        # Where it holds already, nothing is gained by asking all the time.
        self.due = max(clock.after(period), now + min(period, HOLDING_SECONDS if self.holds else LEAST_SECONDS))
        self.counted = failure is not None and now >= self.counts_from
        if failure is None:
            self.counts_from = 0.0
            self.good, self.bad = self.good + 1, 0
            if self.good >= self.spec.get("successThreshold", 1):
                self.holds = True
            return False
        self.good = 0
        if not self.counted:
            return False
        self.counts_from = clock.within(period) - SLACK_SECONDS
        self.bad += 1
        if self.bad < self.spec.get("failureThreshold", 3):
            return False
        self.holds = False
        return True
