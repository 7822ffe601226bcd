"""Whose process listens at a port, where pods share this machine's network: a process at 0.0.0.0 has the port on the
addresses of all pods. Linux alone tells: sock_diag(7) has the inode of a socket, and `/proc/PID/fd` who has it open."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterable
from pathlib import Path

from provisioner_sandbox.kube.networks import netlink
from provisioner_sandbox.kube.processes.memory import PROC, descendants

ANY4, ANY6, MAPPED = bytes(4), bytes(12), bytes(10) + b"\xff\xff"


def takes(place: bytes, address: str) -> bool:
    """Whether what listens at a packed address of IPv4 or IPv6 has connections to this one."""
    return place[-4:] in (ANY4, socket.inet_aton(address)) and place[:-4] in (b"", ANY6, MAPPED)


def sockets(address: str, port: int) -> set[int]:
    """Inodes of what listens there; none where the kernel does not tell."""
    if sys.platform != "linux":
        return set()
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, netlink.SOCK_DIAG) as kernel:
            found = netlink.listeners(kernel)
    except OSError:
        return set()
    return {inode for place, number, inode in found if number == port and takes(place, address)}


def family(processes: Iterable[int]) -> set[int]:
    """These, what they started, and what is left of it in their sessions."""
    first = set(processes)
    found = {one for process in first for one in descendants(process)}
    for entry in PROC.iterdir():
        if entry.name.isdecimal() and session(entry) in first:
            found.add(int(entry.name))
    return found


def session(entry: Path) -> int:
    try:
        # After the name, which may hold blanks and brackets.
        return int((entry / "stat").read_text().rpartition(")")[2].split()[3])
    except (OSError, IndexError, ValueError):
        return -1


def has_open(process: int, inodes: set[int]) -> bool:
    """Raises `PermissionError` for a process that this user may not look into."""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    try:
        for entry in os.scandir(PROC / str(process) / "fd"):
            try:
                if os.readlink(entry.path) in wanted:
                    return True
            except FileNotFoundError:
                continue
    except (FileNotFoundError, ProcessLookupError):
        pass
    return False


def stranger(address: str, port: int, processes: Iterable[int]) -> set[int]:
    """The sockets at an address that no process of a pod has open; none if one of them is the pod's, or it is unknown."""
    found = sockets(address, port)
    if not found:
        return set()
    try:
        return set() if any(has_open(one, found) for one in family(processes)) else found
    except PermissionError:
        return set()
