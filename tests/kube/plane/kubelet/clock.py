"""Time as the API writes it, and the kubelet's patience."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timezone


def stamp(seconds: float) -> str:
    """Whole seconds, as the kubelet reports them."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass(frozen=True)
class Clock:
    """What a kubelet waits for by itself (back-offs, the periods of probes, grace) runs `scale` times faster."""

    scale: float = 1.0

    def now(self) -> float:
        return time.time()

    def after(self, seconds: float) -> float:
        return self.now() + seconds / self.scale
