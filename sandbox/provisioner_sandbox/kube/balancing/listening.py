"""One port of a load balancer: connections are spread over its targets."""

from __future__ import annotations

import asyncio
import itertools
import random
import socket
import ssl

from provisioner_sandbox.kube.balancing.front import END, MAX_HEAD, Front, Route
from provisioner_sandbox.kube.networks.pods import NETWORKS
from provisioner_sandbox.kube.relay import relay

CONNECT_SECONDS = 2.0


class Listener:
    """One port of a balancer. `targets` are addresses and ports; connections stay with theirs to their end."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, address: str, port: int, front: Front = Front(),
        context: ssl.SSLContext | None = None,
    ):  # fmt: skip
        self.loop = loop
        self.address = address
        self.port = port
        self.front = front
        self.context = context
        self.targets: list[tuple[str, int]] = []
        self.next = itertools.count(random.randrange(1000))
        self.server: asyncio.AbstractServer | None = None
        self.open: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Raises `OSError` where the port cannot be had."""
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            held.bind((self.address, self.port))
        except OSError:
            held.close()
            raise
        asyncio.run_coroutine_threadsafe(self.serve(held), self.loop).result(5)
        NETWORKS.expose(self.port)

    async def serve(self, held: socket.socket) -> None:
        self.server = await asyncio.start_server(
            self.accept, sock=held, backlog=256, limit=MAX_HEAD, ssl=self.context
        )  # fmt: skip

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self.open.add(task)
            task.add_done_callback(self.open.discard)
        target, head = None, b""
        answer: bytes | Route | None = None
        try:
            if self.front.reads:
                head = await reader.readuntil(END)
                answer = self.front.answer(head)
                if isinstance(answer, bytes):
                    writer.write(answer)
                    await writer.drain()
                    return
            target = await self.connect(self.targets if answer is None else list(answer.targets))
            if target is None:
                # As an NLB without targets; an ALB would say 503 first.
                writer.transport.abort()
                return
            there, onward = target
            onward.write(head)
            await asyncio.gather(self.pump(reader, onward), self.pump(there, writer))
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()
            # One that is left to the garbage collector may be closed after its descriptor is another's: that one then
            # hears nothing more.
            if target is not None:
                target[1].close()

    async def connect(self, among: list[tuple[str, int]]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """To the next target; one that does not answer costs the caller nothing but a moment."""
        targets = list(among)
        start = next(self.next)
        for step in range(len(targets)):
            host, port = targets[(start + step) % len(targets)]
            try:
                return await asyncio.wait_for(asyncio.open_connection(host, port), CONNECT_SECONDS)
            except (OSError, asyncio.TimeoutError):
                continue
        return None

    @staticmethod
    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await relay(reader, writer)
        finally:
            # One direction may end while the other continues, but not with TLS.
            try:
                if writer.can_write_eof():
                    writer.write_eof()
                else:
                    writer.close()
            except OSError:
                pass

    def stop(self) -> None:
        async def end() -> None:
            if self.server is not None:
                self.server.close()
            for task in self.open:
                task.cancel()

        asyncio.run_coroutine_threadsafe(end(), self.loop)
