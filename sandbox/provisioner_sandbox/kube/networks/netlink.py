"""What the kernel is asked about a network: devices, addresses, routes, listeners. `ip` and `ss` may not be installed.

Sources: rtnetlink(7), sock_diag(7), and `include/uapi/linux/{if_link,rtnetlink,inet_diag}.h` for the numbers.
"""

from __future__ import annotations

import os
import socket
import struct

HEAD = struct.Struct("=IHHII")
REQUEST, ACKNOWLEDGE, CREATE, EXCLUSIVE, REPLACE, DUMP = 1, 4, 0x400, 0x200, 0x100, 0x300
ERROR, DONE = 2, 3
NEW_LINK, NEW_ADDRESS, DELETE_ADDRESS, NEW_ROUTE = 16, 20, 21, 24
LINK = struct.Struct("=BxHiII")
ADDRESS = struct.Struct("=BBBBI")
ROUTE = struct.Struct("=BBBBBBBBI")
# Attributes of links, of addresses, of routes.
HARDWARE, NAME, KIND_AND_DATA, KIND, DATA, NETWORK, PEER = 1, 3, 18, 1, 2, 28, 1
ADDRESS_OF, LOCAL = 1, 2
DESTINATION, OUT_DEVICE, SOURCE = 1, 4, 7
UP_WITHOUT_ARP = 1 | 128
MAIN_TABLE, STATIC, ON_LINK, HERE, UNICAST, TO_HERE = 254, 4, 253, 254, 1, 2
SOCK_DIAG, BY_FAMILY, LISTENING = 4, 20, 1 << 10
ASKED = struct.Struct("=BBBBI")
PORT_AT, SOURCE_AT, INODE_AT = 4, 8, 68


def attribute(number: int, data: bytes) -> bytes:
    length = 4 + len(data)
    return struct.pack("=HH", length, number) + data + bytes(-length % 4)


def ask(kind: int, flags: int, body: bytes) -> None:
    """Of the network that this thread is in. Raises `OSError` where the kernel refuses."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as kernel:
        kernel.send(HEAD.pack(HEAD.size + len(body), kind, REQUEST | ACKNOWLEDGE | flags, 1, 0) + body)
        said = kernel.recv(1 << 16)
    (number,) = struct.unpack_from("=i", said, HEAD.size)
    if HEAD.unpack_from(said)[1] == ERROR and number:
        raise OSError(-number, os.strerror(-number))


def add_pair(name: str, network: int, peer: str) -> None:
    """Two devices, each the end of the other: `name` here, `peer` in the network that the descriptor stands for. Both have
    one hardware address, which is what a device without ARP sends to."""
    empty = LINK.pack(0, 0, 0, 0, 0)
    hardware = attribute(HARDWARE, bytes((2, 0, 0, 0, 0, 1)))
    there = empty + hardware + attribute(NAME, peer.encode() + b"\0") + attribute(NETWORK, struct.pack("=I", network))
    kind = attribute(KIND, b"veth") + attribute(DATA, attribute(PEER, there))
    ask(
        NEW_LINK, CREATE | EXCLUSIVE,
        empty + hardware + attribute(NAME, name.encode() + b"\0") + attribute(KIND_AND_DATA, kind),
    )  # fmt: skip


def start(device: str) -> None:
    ask(NEW_LINK, 0, LINK.pack(0, 0, socket.if_nametoindex(device), UP_WITHOUT_ARP, UP_WITHOUT_ARP))


def address(kind: int, device: str, value: str, bits: int) -> None:
    """Adds or deletes one of a device's."""
    packed = socket.inet_aton(value)
    head = ADDRESS.pack(socket.AF_INET, bits, 0, HERE, socket.if_nametoindex(device))
    flags = CREATE | EXCLUSIVE if kind == NEW_ADDRESS else 0
    ask(kind, flags, head + attribute(LOCAL, packed) + attribute(ADDRESS_OF, packed))


def add_route(device: str, value: str, bits: int, here: bool = False, source: str = "") -> None:
    """To all addresses of a network; `here`: this network itself answers for them. `source`: what callers are called."""
    scope, kind = (HERE, TO_HERE) if here else (ON_LINK, UNICAST)
    body = ROUTE.pack(socket.AF_INET, bits, 0, 0, MAIN_TABLE, STATIC, scope, kind, 0)
    if bits:
        body += attribute(DESTINATION, socket.inet_aton(value))
    body += attribute(OUT_DEVICE, struct.pack("=I", socket.if_nametoindex(device)))
    if source:
        body += attribute(SOURCE, socket.inet_aton(source))
    # One to a pod that has just had this address may still be there.
    ask(NEW_ROUTE, CREATE | REPLACE, body)


def listeners(kernel: socket.socket) -> set[tuple[bytes, int, int]]:
    """Packed addresses, ports and inodes of what listens in the network in which `kernel`, a socket of `sock_diag`, was
    made. Raises `OSError`."""
    found: set[tuple[bytes, int, int]] = set()
    for family, size in ((socket.AF_INET, 4), (socket.AF_INET6, 16)):
        body = ASKED.pack(family, socket.IPPROTO_TCP, 0, 0, LISTENING) + bytes(48)
        kernel.send(HEAD.pack(HEAD.size + len(body), BY_FAMILY, REQUEST | DUMP, 1, 0) + body)
        more = True
        while more:
            said, at = kernel.recv(1 << 16), 0
            while at < len(said):
                length, kind, *_ = HEAD.unpack_from(said, at)
                if kind in (ERROR, DONE):
                    (number,) = struct.unpack_from("=i", said, at + HEAD.size)
                    if kind == ERROR and number:
                        raise OSError(-number, os.strerror(-number))
                    more = False
                    break
                one = at + HEAD.size
                (port,) = struct.unpack_from("!H", said, one + PORT_AT)
                (inode,) = struct.unpack_from("=I", said, one + INODE_AT)
                found.add((said[one + SOURCE_AT : one + SOURCE_AT + size], port, inode))
                at += length + -length % 4
    return found
