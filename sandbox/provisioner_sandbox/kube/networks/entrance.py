"""Connections that are taken in one network and led on in another."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable

from provisioner_sandbox.kube.relay import relay

Place = tuple[str, int]
# A socket to connect, and where to. The first argument is the caller's place, the second the one that was called.
Lead = Callable[[Place, Place], "tuple[socket.socket, Place]"]
CONNECT_SECONDS = 5.0
START_SECONDS = 5.0
BACKLOG = 256
AT_ONCE = struct.pack("=ii", 1, 0)


class Loop:
    """The thread in which all connections are relayed."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        # A caller that goes away is no fault of this side.
        self.loop.set_exception_handler(lambda *_: None)
        threading.Thread(target=self.loop.run_forever, name="kube networks", daemon=True).start()


class Entrance:
    """`held` is bound already; `left` is told the place of the socket that led a connection on, at its end."""

    def __init__(self, loop: Loop, held: socket.socket, lead: Lead, left: Callable[[Place], None] = lambda _: None):
        self.loop = loop.loop
        self.held = held
        self.lead = lead
        self.left = left
        self.server: asyncio.AbstractServer | None = None
        asyncio.run_coroutine_threadsafe(self.serve(), self.loop).result(START_SECONDS)

    async def serve(self) -> None:
        self.server = await asyncio.start_server(self.accept, sock=self.held, backlog=BACKLOG)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made: socket.socket | None = None
        onward: asyncio.StreamWriter | None = None
        place: Place | None = None
        try:
            theirs, ours = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
            made, there = self.lead(theirs, ours)
            made.setblocking(False)
            place = made.getsockname()
            await asyncio.wait_for(self.loop.sock_connect(made, there), CONNECT_SECONDS)
            back, onward = await asyncio.open_connection(sock=made)
            await asyncio.gather(pump(reader, onward), pump(back, writer))
        except (OSError, asyncio.TimeoutError):
            if onward is None:
                refuse(writer)
        finally:
            # First: once it is closed, the place may be another's.
            if place is not None:
                self.left(place)
            writer.close()
            if onward is not None:
                onward.close()
            elif made is not None:
                made.close()

    def close(self) -> None:
        """Takes no more; connections stay to their end."""

        def end() -> None:
            if self.server is not None:
                self.server.close()

        self.loop.call_soon_threadsafe(end)


def refuse(writer: asyncio.StreamWriter) -> None:
    """As the kernel refuses: with a reset."""
    try:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
    except OSError:
        pass
    writer.transport.abort()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction, which may end while the other continues."""
    try:
        await relay(reader, writer)
    finally:
        try:
            writer.write_eof()
        except OSError:
            pass
