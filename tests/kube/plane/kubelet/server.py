"""The kubelet's own API, of which the API server asks for logs."""

from __future__ import annotations

import time
import urllib.parse
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

from plane.kubelet.container import Container
from plane.kubelet.log import Log
from plane.serving import Handler, Server

# `container "web" in pod "x" is waiting to start: ...`, as the kubelet words it.
WAITING = {
    "ErrImagePull": "trying and failing to pull image",
    "ImagePullBackOff": "image can't be pulled",
}

Find = Callable[[str, str, str], Container | None]


class NoLog(Exception):
    """Why there is nothing to read."""


def log_of(container: Container, pod: str, previous: bool) -> Log:
    log = container.previous if previous or container.log is None else container.log
    if log is not None:
        return log
    if previous:
        raise NoLog(f'previous terminated container "{container.name}" in pod "{pod}" not found')
    reason = container.state.get("waiting", {}).get("reason", "")
    told = WAITING.get(reason, reason)
    raise NoLog(f'container "{container.name}" in pod "{pod}" is waiting to start: {told}')


def serve(pki: Path, find: Find) -> Server:
    """`find` gives a container by namespace, pod and name."""

    class Kubelet(Handler):
        def do_GET(self) -> None:
            parts = urllib.parse.urlsplit(self.path)
            query = dict(urllib.parse.parse_qsl(parts.query))
            match parts.path.strip("/").split("/"):
                case ["healthz"]:
                    self.answer(200, "text/plain", b"ok")
                case ["containerLogs", namespace, pod, name]:
                    self.logs(namespace, pod, name, query)
                case _:
                    self.answer(501, "text/plain", b"this kubelet answers for logs only\n")

        do_POST = do_GET

        def logs(self, namespace: str, pod: str, name: str, query: dict[str, str]) -> None:
            container = find(namespace, pod, name)
            if container is None:
                self.answer(404, "text/plain", f'pod "{pod}" has no container "{name}" here\n'.encode())
                return
            try:
                log = log_of(container, pod, query.get("previous") == "true")
            except NoLog as error:
                self.answer(400, "text/plain", str(error).encode())
                return
            stamps = query.get("timestamps") == "true"
            tail = int(query["tailLines"]) if "tailLines" in query else None
            count, lines = log.read(tail, since(query), stamps)
            if query.get("follow") == "true":
                self.stream(lines, log.follow(count, stamps))
                return
            body = "".join(f"{line}\n" for line in lines).encode()
            self.answer(200, "text/plain", body[: int(query["limitBytes"])] if "limitBytes" in query else body)

        def stream(self, lines: list[str], following: Iterable[str]) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for line in lines:
                self.chunk(f"{line}\n".encode())
            for line in following:
                self.chunk(f"{line}\n".encode())
            self.wfile.write(b"0\r\n\r\n")

        def chunk(self, data: bytes) -> None:
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.wfile.flush()

    server = Server(pki, Kubelet)
    server.start()
    return server


def since(query: dict[str, str]) -> float:
    if "sinceSeconds" in query:
        return time.time() - float(query["sinceSeconds"])
    if "sinceTime" in query:
        return datetime.fromisoformat(query["sinceTime"].replace("Z", "+00:00")).timestamp()
    return 0.0
