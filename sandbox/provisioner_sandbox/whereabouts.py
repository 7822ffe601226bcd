"""From which address the configuration says that people call the API servers of clusters."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

# Set with each configuration of the sandbox; empty is from everywhere.
CALLER: list[str] = []


def configure(address: str | None) -> None:
    CALLER[:] = [address] if address else []


def inside(blocks: Iterable[str]) -> bool:
    """Whether the caller is in one of these blocks."""
    networks = [ipaddress.ip_network(block) for block in blocks]
    return all(any(ipaddress.ip_address(address) in network for network in networks) for address in CALLER)
