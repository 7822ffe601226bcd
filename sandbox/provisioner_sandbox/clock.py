"""Time as the resources see it: real time, run faster by the configured scale.

Nothing runs in the background. A state is computed from when its phase began, at the moment it is
read. A changed scale counts from then on: what is available does not become pending again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

DEFAULT_SCALE = 60.0


class Clock:
    def __init__(self, scale: float = DEFAULT_SCALE):
        self.scale = scale
        self.real = time.monotonic()
        self.ours = 0.0
        self.held: float | None = None

    def set_scale(self, scale: float) -> None:
        self.ours = self.now()
        self.real = time.monotonic()
        self.scale = scale

    def now(self) -> float:
        """AWS seconds since the sandbox began."""
        if self.held is not None:
            return self.held
        return self.ours + (time.monotonic() - self.real) * self.scale

    def elapsed(self, since: float) -> float:
        """AWS seconds since `since`, which is a value of `now`."""
        return self.now() - since

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """For one call: what it finds gone at its beginning is not there at its end either."""
        self.held = self.now()
        try:
            yield
        finally:
            self.held = None


CLOCK = Clock()
