"""What the configuration lets AWS leave behind of nodes and clusters."""

from __future__ import annotations

# Set with each configuration of the sandbox: the network interfaces that the VPC CNI leaves of each node, and whether
# Auto Mode leaves a security group of a cluster.
COUNT = [0]
AUTO_GROUP = [False]


def configure(count: int, auto_group: bool) -> None:
    COUNT[0] = count
    AUTO_GROUP[0] = auto_group


def interfaces() -> int:
    return COUNT[0]


def auto_group() -> bool:
    return AUTO_GROUP[0]
