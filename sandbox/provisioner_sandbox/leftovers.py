"""What the configuration lets the VPC CNI leave behind of each node."""

from __future__ import annotations

# Set with each configuration of the sandbox: the number of network interfaces.
COUNT = [0]


def configure(count: int) -> None:
    COUNT[0] = count


def interfaces() -> int:
    return COUNT[0]
