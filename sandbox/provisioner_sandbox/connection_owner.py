"""Whose process is at the other end of a connection on loopback: the kernel knows the user of each socket.

First the kernel is asked for this one socket (`sock_diag(7)`), and, where it cannot be asked, its table of all
(`/proc/net/tcp`, `proc_pid_net(5)`). Elsewhere than on Linux there is neither.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from pathlib import Path

SOCK_DIAG, BY_FAMILY, REQUEST, ERROR = 4, 20, 1, 2
ANY_STATE, ANY_COOKIE = 0xFFFFFFFF, 0xFFFFFFFF
HEAD = struct.Struct("=IHHII")
ASKED = struct.Struct("=BBBBI")
# Family, state, timer and retransmissions; then ports, addresses, interface and cookie; then three numbers.
PORTS_AT, USER_AT = HEAD.size + 4, HEAD.size + 4 + 48 + 12
LISTENS = 10
PROC_LOOKS = 3
# Of the network that this thread is in.
TABLES = ("/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6")
# What a user is called who has no number in this user namespace (`user_namespaces(7)`).
OVERFLOW = "/proc/sys/kernel/overflowuid"
ALL_USERS = ["0", "0", "4294967295"]

Place = tuple[str, int]


# Connections that this process relays from networks of pods: the users of those who made them.
RELAYED: dict[Place, int | None] = {}


def note(theirs: Place, user: int | None) -> None:
    """Before it is connected, and until `forget`."""
    RELAYED[theirs] = user


def forget(theirs: Place) -> None:
    RELAYED.pop(theirs, None)


def is_own(connection: socket.socket) -> bool:
    """Whether the caller is root, or the user that this process runs as."""
    if sys.platform != "linux":
        return False
    try:
        theirs, ours = connection.getpeername()[:2], connection.getsockname()[:2]
        user = RELAYED[theirs] if theirs in RELAYED else by_kernel(theirs, ours)
    except OSError:
        return False
    return user is not None and user in owners()


def owners() -> set[int]:
    found = {0, os.geteuid()}
    try:
        if Path("/proc/self/uid_map").read_text().split() != ALL_USERS:
            # Here this number stands for every user that has none.
            found.discard(int(Path(OVERFLOW).read_text()))
    except (OSError, ValueError):
        pass
    return found


def by_kernel(theirs: Place, ours: Place) -> int | None:
    """The user of the socket at `theirs` that is connected to `ours`; `None` where no process has it open."""
    try:
        return by_diagnosis(theirs, ours)
    except (OSError, struct.error):
        return by_table(theirs, ours)


def by_diagnosis(theirs: Place, ours: Place) -> int | None:
    """Raises `OSError` where the kernel cannot be asked."""
    ports = struct.pack("!HH", theirs[1], ours[1])
    addresses = b"".join(socket.inet_aton(place[0]).ljust(16, b"\0") for place in (theirs, ours))
    which = ports + addresses + struct.pack("=III", 0, ANY_COOKIE, ANY_COOKIE)
    body = ASKED.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, 0, ANY_STATE) + which
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, SOCK_DIAG) as kernel:
        kernel.settimeout(2)
        kernel.send(HEAD.pack(HEAD.size + len(body), BY_FAMILY, REQUEST, 1, 0) + body)
        said = kernel.recv(4096)
    if HEAD.unpack_from(said)[1] == ERROR:
        (number,) = struct.unpack_from("=i", said, HEAD.size)
        if -number == 2:
            # ENOENT: no such socket, but also a kernel without this protocol of the question.
            return by_table(theirs, ours)
        raise OSError(-number, os.strerror(-number))
    user, inode = struct.unpack_from("=II", said, USER_AT)
    # A listening socket is what the kernel answers where there is no connection.
    if said[HEAD.size + 1] == LISTENS or said[PORTS_AT : PORTS_AT + 4] != ports:
        return None
    return user_of(user, inode)


def by_table(theirs: Place, ours: Place) -> int | None:
    wanted = [(hexadecimal(theirs, mapped), hexadecimal(ours, mapped)) for mapped in (False, True)]
    # A table that changes while it is read may lack a line.
    for _ in range(PROC_LOOKS):
        for table in TABLES:
            for line in lines(table):
                if any(f" {there} {here} " in line for there, here in wanted):
                    words = line.split()
                    return user_of(int(words[7]), int(words[9]))
    return None


def user_of(user: int, inode: int) -> int | None:
    """A socket that its process has closed has no inode, and is shown as root's."""
    return user if inode else None


def lines(table: str) -> list[str]:
    try:
        return Path(table).read_text().splitlines()
    except OSError:
        return []


def hexadecimal(place: Place, mapped: bool) -> str:
    """As the kernel writes an address: each 32 bits in the machine's own order."""
    number = f"{struct.unpack('=I', socket.inet_aton(place[0]))[0]:08X}"
    prefix = f"{0:016X}{struct.unpack('=I', bytes((0, 0, 255, 255)))[0]:08X}" if mapped else ""
    return f"{prefix}{number}:{place[1]:04X}"
