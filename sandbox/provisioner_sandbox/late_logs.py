"""Whether log events of clusters arrive after their end, as the configuration says."""

from __future__ import annotations

# Set with each configuration of the sandbox.
ARRIVE = [False]


def configure(arrive: bool) -> None:
    ARRIVE[:] = [arrive]


def arrive() -> bool:
    return ARRIVE[0]
