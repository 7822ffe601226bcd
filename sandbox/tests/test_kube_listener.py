"""The listener of a load balancer."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading

from conftest import until

from provisioner_sandbox.kube.balancing.front import Front, Route
from provisioner_sandbox.kube.balancing.listening import Listener


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


HEAD = b"GET /a?b=c HTTP/1.1\r\nHost: %b\r\nAccept: */*\r\n\r\n"


def status(answer: bytes | Route | None) -> bytes:
    """Of what the load balancer answers; empty if a target does."""
    return answer.split(b"\r\n")[0] if isinstance(answer, bytes) else b""


def test_a_redirect_keeps_host_and_path() -> None:
    answer = Front(redirect=443).answer(HEAD % b"shop.example:8080")
    assert isinstance(answer, bytes)
    assert answer.startswith(b"HTTP/1.1 301 ")
    assert b"\r\nLocation: https://shop.example:443/a?b=c\r\n" in answer


def test_only_hosts_of_the_rules_lead_to_targets() -> None:
    route = Route(("shop.example", "*.example.org"), ("/*",), ())
    front = Front(routes=(route,))
    for host in (b"shop.example", b"Shop.Example:80", b"a.example.org", b"a.b.example.org"):
        assert front.answer(HEAD % host) is route, host
    for host in (b"example.org", b"shop.example.com", b"127.0.0.1", b""):
        assert status(front.answer(HEAD % host)).startswith(b"HTTP/1.1 404 "), host
    assert status(front.answer(b"nonsense\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
    assert not Front(tls=True).reads


def test_the_first_rule_that_fits_leads_to_its_targets() -> None:
    first, second = Route((), ("/a", "/a/*"), ()), Route(("shop.example",), ("/?",), ())
    for rules, found in (((first, second), first), ((second, first), second)):
        assert Front(routes=rules).answer(HEAD % b"shop.example") is found
    assert Front(routes=(first, second)).answer(b"GET /A HTTP/1.1\r\nHost: shop.example\r\n\r\n") is second
    assert status(Front(routes=(first, second)).answer(b"GET /ab HTTP/1.1\r\nHost: a\r\n\r\n")).endswith(b"404 Not Found")
