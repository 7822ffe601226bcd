"""What a container wrote: the last lines, for `kubectl logs`."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator

from provisioner_sandbox.kube.clock import micro

MOST_LINES = 10_000


class Log:
    """One start of one container. Safe for many threads."""

    def __init__(self) -> None:
        self.lines: deque[tuple[int, float, str]] = deque(maxlen=MOST_LINES)
        self.changed = threading.Condition()
        self.count = 0
        self.closed = False

    def write(self, text: str) -> None:
        """One line, without its end."""
        with self.changed:
            self.count += 1
            self.lines.append((self.count, time.time(), text))
            self.changed.notify_all()

    def close(self) -> None:
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def read(self, tail: int | None = None, since: float = 0.0, stamps: bool = False) -> tuple[int, list[str]]:
        """The number of the last line, and the lines that are asked for."""
        with self.changed:
            chosen = [line for line in self.lines if line[1] >= since]
            count = self.count
        if tail is not None:
            chosen = chosen[len(chosen) - tail :] if tail < len(chosen) else chosen
        return count, [shown(line, stamps) for line in chosen]

    def follow(self, after: int, stamps: bool = False) -> Iterator[str]:
        """Lines after this number as they come, until the log is closed."""
        while True:
            with self.changed:
                while self.count <= after and not self.closed:
                    self.changed.wait()
                fresh = [line for line in self.lines if line[0] > after]
                after = self.count
                ended = self.closed
            yield from (shown(line, stamps) for line in fresh)
            if ended:
                return


def shown(line: tuple[int, float, str], stamps: bool) -> str:
    _, when, text = line
    return f"{micro(when)} {text}" if stamps else text
