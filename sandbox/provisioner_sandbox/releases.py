"""Which Bottlerocket release the configuration says is the newest."""

from __future__ import annotations

# Set with each configuration of the sandbox; empty is the newest that is known.
NEWEST: list[str] = []


def configure(newest: str | None) -> None:
    NEWEST[:] = [newest] if newest else []


def out(known: list[str]) -> list[str]:
    """What is out of the known ones, newest last."""
    count = next((known.index(newest) + 1 for newest in NEWEST if newest in known), len(known))
    return known[:count]
