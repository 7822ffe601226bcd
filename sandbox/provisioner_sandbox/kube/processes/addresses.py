"""Addresses of the loopback range, for pods and load balancers. Several sandboxes of a machine share it."""

from __future__ import annotations

import random
import socket
import threading

# A network of 256 is held by a socket at this port of its first address.
CLAIM_PORT = 47621
FIRST, LAST = 64, 127
HOSTS = range(2, 255)


class NoAddress(Exception):
    """Why none is to be had."""


class Addresses:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.claims: list[socket.socket] = []
        self.networks: list[str] = []
        self.used: set[str] = set()
        self.last = -1

    def take(self) -> str:
        """One that was not in use of late. Raises `NoAddress`."""
        with self.lock:
            if not self.networks:
                self.claim()
            for _ in range(2):
                total = len(HOSTS) * len(self.networks)
                for step in range(1, total + 1):
                    number = (self.last + step) % total
                    address = f"{self.networks[number // len(HOSTS)]}.{HOSTS[number % len(HOSTS)]}"
                    if address not in self.used:
                        self.used.add(address)
                        self.last = number
                        return address
                self.claim()
        raise NoAddress("no loopback address is free")

    def give_back(self, address: str) -> None:
        with self.lock:
            self.used.discard(address)

    def claim(self) -> None:
        for _ in range(200):
            network = f"127.{random.randint(FIRST, LAST)}.{random.randint(0, 255)}"
            held = socket.socket()
            try:
                held.bind((f"{network}.1", CLAIM_PORT))
                held.listen(1)
            except OSError as error:
                held.close()
                # macOS only has 127.0.0.1, unless other addresses were added.
                if error.errno is not None and "assign" in str(error):
                    raise NoAddress(
                        f"this machine has no address {network}.1: pods need addresses of 127.0.0.0/8 beside 127.0.0.1 "
                        "(`sudo ifconfig lo0 alias ADDRESS` adds one)"
                    ) from error
                continue
            self.claims.append(held)
            self.networks.append(network)
            return
        raise NoAddress("200 networks of the loopback range are in use")


ADDRESSES = Addresses()
