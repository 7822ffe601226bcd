"""The listener of a load balancer."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading

from conftest import until

from provisioner_sandbox.kube.balancer import Listener


def test_both_ends_of_a_connection_are_closed() -> None:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    with socket.create_server(("127.0.0.1", 0)) as target:
        listener = Listener(loop, "127.0.0.1", 0)
        listener.start()
        listener.targets = [target.getsockname()]
        assert listener.server is not None
        client = socket.create_connection(listener.server.sockets[0].getsockname())
        client.sendall(b"question")
        there, _ = target.accept()
        assert there.recv(100) == b"question"
        there.sendall(b"answer")
        there.close()
        # With the answer unread, this is a reset.
        client.close()
        until(lambda: not listener.open)
        mine = [one for one in gc.get_objects() if isinstance(one, asyncio.Transport) and one._loop is loop]
        assert all(one.is_closing() for one in mine)
    listener.stop()
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0.01), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
