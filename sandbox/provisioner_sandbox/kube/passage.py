"""The way from a real API server to pods and kubelets: it knows them by addresses that lead nowhere on this machine.

Its `--egress-selector-config-file` sends there whatever it would send to the cluster's network: calls of webhooks by
their Services, requests for logs, `/proxy`.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

from provisioner_sandbox.kube.relay import relay

CONNECT_SECONDS = 5.0
HEAD_SECONDS = 10.0

# The real address of a host and port in the cluster's network; `None` if they are unused.
Way = Callable[[str, int], "str | None"]


class Passage:
    """A proxy for CONNECT, for those alone who show a certificate of the plane's authority. `held` listens already: its
    port must be known before there are keys."""

    def __init__(self, held: socket.socket, pki: Path, way: Way):
        self.held = held
        self.way = way
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pki / "node.crt", pki / "node.key")
        self.context.load_verify_locations(pki / "ca.crt")
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.loop = asyncio.new_event_loop()

    def start(self) -> None:
        threading.Thread(target=self.serve, name="kube passage", daemon=True).start()

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)

    def serve(self) -> None:
        # Callers that go away, or show no certificate, are no fault of this side.
        self.loop.set_exception_handler(lambda *_: None)
        self.loop.run_until_complete(asyncio.start_server(self.accept, sock=self.held, ssl=self.context))
        self.loop.run_forever()
        self.held.close()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HEAD_SECONDS)
            there, onward = await self.connect(head)
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            await both(reader, onward, there, writer)
        except Closed as closed:
            writer.write(f"HTTP/1.1 502 {closed}\r\nContent-Length: 0\r\n\r\n".encode())
        except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def connect(self, head: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        words = head.split()
        host, _, port = words[1].decode("latin-1").rpartition(":") if len(words) > 1 else ("", "", "")
        if words[:1] != [b"CONNECT"] or not port.isdecimal():
            raise Closed("only CONNECT is supported")
        real = self.way(host, int(port))
        if real is None:
            raise Closed(f"no pod has the address {host}")
        try:
            return await asyncio.wait_for(asyncio.open_connection(real, int(port)), CONNECT_SECONDS)
        except (OSError, asyncio.TimeoutError) as error:
            raise Closed(f"dial tcp {host}:{port}: {getattr(error, 'strerror', None) or 'i/o timeout'}") from None


class Closed(Exception):
    """Why there is no way, in a line."""


async def both(
    reader: asyncio.StreamReader,
    onward: asyncio.StreamWriter,
    there: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Until one side ends: TLS knows no half of a connection."""
    pumps = [asyncio.ensure_future(relay(reader, onward)), asyncio.ensure_future(relay(there, writer))]
    try:
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in pumps:
            one.cancel()
        onward.close()
