"""Time as the resources see it: real seconds, multiplied by the configured scale.

Nothing runs in the background. A state is computed from when its phase began, at the moment
somebody reads it, so a changed scale counts at once and for phases already begun.
"""

from __future__ import annotations

import time

DEFAULT_SCALE = 60.0


class Clock:
    def __init__(self, scale: float = DEFAULT_SCALE):
        self.scale = scale

    @staticmethod
    def now() -> float:
        return time.monotonic()

    def elapsed(self, since: float) -> float:
        """AWS seconds since `since`, which is a value of `now`."""
        return (time.monotonic() - since) * self.scale


CLOCK = Clock()
