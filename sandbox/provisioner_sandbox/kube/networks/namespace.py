"""A network namespace of Linux (`network_namespaces(7)`). It lasts as long as a descriptor or a process keeps it: when
the sandbox ends, in whichever way, none is left."""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from collections.abc import Callable
from typing import TypeVar

from provisioner_sandbox.kube.networks import netlink
from provisioner_sandbox.kube.processes.shim import NEW_NETWORK, check, libc

T = TypeVar("T")
OWN = "/proc/thread-self/ns/net"


def in_thread(function: Callable[[], T]) -> T:
    """What a function returns or raises in a thread of its own, which ends with it: no other is in its namespace."""
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(function())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="kube network")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return done[0]


class Namespace:
    """`address`: what it is called beside 127.0.0.1, and it alone: what else begins with 127 is elsewhere."""

    def __init__(self, address: str, forwards: bool = False):
        self.fd = in_thread(lambda: make(address, forwards))

    def run(self, function: Callable[[], T]) -> T:
        """In it. Raises what the function raises, and `OSError` where it is gone."""
        fd = self.fd

        def entered() -> T:
            check(libc().setns(fd, NEW_NETWORK), "setns")
            return function()

        return in_thread(entered)

    def socket(self, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """One of it, wherever it is used."""
        return self.run(lambda: socket.socket(socket.AF_INET, kind))

    def close(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


def make(address: str, forwards: bool) -> int:
    """In a thread of its own. Raises `OSError`."""
    check(libc().unshare(ctypes.c_int(NEW_NETWORK)), "unshare")
    settings = {"conf/all/route_localnet": "1"}
    if forwards:
        settings["ip_forward"] = "1"
    for name, value in settings.items():
        with open(f"/proc/sys/net/ipv4/{name}", "w") as file:
            file.write(value)
    netlink.start("lo")
    try:
        netlink.address(netlink.DELETE_ADDRESS, "lo", "127.0.0.1", 8)
    except OSError:
        # A kernel that gives it none.
        pass
    netlink.address(netlink.NEW_ADDRESS, "lo", "127.0.0.1", 32)
    if address:
        netlink.address(netlink.NEW_ADDRESS, "lo", address, 32)
    return os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
