"""Time in a cluster. What merely waits is as much faster than in AWS as the sandbox is; what bounds a real process,
which is as slow here as anywhere, is not: grace, deadlines, and how often a probe may fail."""

from __future__ import annotations

import time
from datetime import datetime, timezone

from provisioner_sandbox.clock import CLOCK


class Clock:
    """`scale` is how much faster everything is, for containers that only pretend; without it, the sandbox's counts."""

    def __init__(self, scale: float | None = None):
        self.given = scale

    @property
    def scale(self) -> float:
        """Never slower than in AWS, where tests let time nearly stand still."""
        return max(CLOCK.scale, 1.0) if self.given is None else self.given

    def now(self) -> float:
        return time.time()

    def after(self, seconds: float) -> float:
        """When a wait is over."""
        return self.now() + seconds / self.scale

    def within(self, seconds: float) -> float:
        """When the patience with something that runs is over."""
        return self.now() + seconds / (self.given or 1.0)


def stamp(seconds: float) -> str:
    """Whole seconds, as the kubelet reports them."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
