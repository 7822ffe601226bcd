"""The real process, as a pod's kubelet starts, asks and stops it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from tests.fake_aws import SESSION, TOKEN, FakeAws

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 10.0


class Service:
    def __init__(self, **variables: str) -> None:
        environ = {
            **os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1",
            "HOST": "127.0.0.1", "PORT": "0", **variables,
        }  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-m", "demo"], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.lines: list[dict[str, Any]] = []
        self.stderr = ""
        self._ready: Queue[int | None] = Queue()
        self._readers = [threading.Thread(target=reader) for reader in (self._read_lines, self._read_errors)]
        for reader in self._readers:
            reader.start()

    def _read_lines(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(json.loads(line))
            if self.lines[-1]["message"] == "listening":
                self._ready.put(self.lines[-1]["port"])
        self._ready.put(None)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self.stderr = self.process.stderr.read()

    def started(self) -> Service:
        port = self._ready.get(timeout=LIMIT)
        assert port is not None, (self.lines, self.stderr)
        self.port = port
        return self

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)

    def get(self, path: str) -> tuple[int, bytes]:
        connection = self.connect()
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def ended(self) -> int:
        code = self.process.wait(LIMIT)
        for reader in self._readers:
            reader.join(LIMIT)
        return code

    def messages(self) -> list[str]:
        return [line["message"] for line in self.lines]


Start = Callable[..., Service]


@pytest.fixture
def start() -> Iterator[Start]:
    services: list[Service] = []

    def started(**variables: str) -> Service:
        services.append(Service(**variables))
        return services[-1]

    yield started
    for service in services:
        if service.process.poll() is None:
            service.process.kill()
        service.ended()
        for stream in (service.process.stdout, service.process.stderr):
            if stream is not None:
                stream.close()


def test_it_stops_without_losing_a_request(start: Start, irsa: FakeAws) -> None:
    service = start(DEMO_SHUTDOWN_DELAY="2", LOG_LEVEL="debug").started()
    assert service.get("/") == (200, b"Welcome to ReaQta")
    assert service.get("/health/ready")[0] == 200
    kept = service.connect()
    kept.request("GET", "/api")
    assert kept.getresponse().read()

    irsa.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        open_request = pool.submit(service.get, "/config?token=hidden")
        assert irsa.asked.wait(LIMIT)
        stopped = time.monotonic()
        service.stop()
        wait_until(lambda: service.get("/health/ready")[0] == 503)
        assert service.get("/health")[0] == 503
        assert service.get("/health/live")[0] == 200
        # Load balancers still send requests.
        assert service.get("/")[0] == 200
        kept.request("GET", "/api")
        answer = kept.getresponse()
        assert (answer.status, answer.headers["Connection"]) == (200, "close")
        wait_until(lambda: refused(service))
        assert time.monotonic() - stopped >= 2
        # The socket is closed, and the open request is waited for.
        assert service.process.poll() is None
        irsa.gate.set()
        status, body = open_request.result(LIMIT)
    kept.close()
    assert (status, json.loads(body)["value"]) == (200, "hello from SSM")
    assert service.ended() == 0
    assert service.stderr == ""
    assert service.messages()[-1] == "stopped"
    written = json.dumps(service.lines)
    for secret in (TOKEN, SESSION, "hidden", "hello from SSM"):
        assert secret not in written
    (line,) = [line for line in service.lines if line.get("path") == "/config"]
    assert (line["method"], line["route"], line["status"]) == ("GET", "/config", 200)
    assert line["requestId"]


def test_open_requests_are_waited_for_no_longer_than_said(start: Start, irsa: FakeAws) -> None:
    irsa.gate.clear()
    service = start(DEMO_SHUTDOWN_DELAY="0", DEMO_SHUTDOWN_TIMEOUT="1").started()
    with ThreadPoolExecutor(1) as pool:
        open_request = pool.submit(service.get, "/config")
        assert irsa.asked.wait(LIMIT)
        service.stop()
        assert open_request.exception(LIMIT) is not None or open_request.result()[0] >= 500
        # It ended long before its own call to AWS, which would have been made once more.
        assert irsa.calls.count("GetParameter") == 1
        irsa.gate.set()
    assert service.ended() == 0


def test_a_second_signal_skips_the_delay(start: Start) -> None:
    service = start(DEMO_SHUTDOWN_DELAY="300").started()
    service.stop()
    wait_until(lambda: service.get("/health/ready")[0] == 503)
    service.stop()
    assert service.ended() == 0


def test_bad_settings_end_it_with_2(start: Start) -> None:
    service = start(PORT="http", LOG_LEVEL="loud")
    assert service.ended() == 2
    assert [message.partition(":")[0] for message in service.messages()] == ["LOG_LEVEL", "PORT"]
    assert {line["level"] for line in service.lines} == {"error"}
    assert service.stderr == ""


def test_a_port_in_use_ends_it_with_1(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        service = start(PORT=str(port))
        assert service.ended() == 1
    assert service.messages()[1:] == [f"cannot listen on 127.0.0.1 port {port}: Address already in use"]


def test_lines_are_one_json_object_each_whatever_is_asked(start: Start) -> None:
    service = start(DEMO_SHUTDOWN_DELAY="0").started()
    with socket.create_connection(("127.0.0.1", service.port), LIMIT) as raw:
        raw.sendall(b'GET /a%0Ab%22%E2%80%A8 HTTP/1.1\r\nHost: x\r\nX-Request-ID: q"1\r\nConnection: close\r\n\r\n')
        assert raw.recv(4096).startswith(b"HTTP/1.1 404")
    assert service.get("/health")[0] == 200
    service.stop()
    assert service.ended() == 0
    (line,) = [line for line in service.lines if line.get("status") == 404]
    assert line["path"] == '/a\nb"\u2028'
    assert line["requestId"] != 'q"1'
    # Probes that succeed are not worth a line.
    assert not [line for line in service.lines if line.get("route") == "/health"]


def test_it_writes_no_file(start: Start, irsa: FakeAws, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    before = snapshot(ROOT / "demo")
    service = start(HOME=str(home), TMPDIR=str(home), DEMO_SHUTDOWN_DELAY="0").started()
    for path in ("/", "/config", "/metrics"):
        assert service.get(path)[0] == 200
    service.stop()
    assert service.ended() == 0
    assert snapshot(ROOT / "demo") == before
    assert list(home.iterdir()) == []


def snapshot(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def refused(service: Service) -> bool:
    try:
        service.get("/health/live")
    except ConnectionRefusedError:
        return True
    except (ConnectionResetError, http.client.RemoteDisconnected):
        # It came into the queue of a socket that was just being closed.
        return False
    return False


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
