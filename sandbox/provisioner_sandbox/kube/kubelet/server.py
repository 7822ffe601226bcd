"""The kubelet's own API, of which the API server asks for logs."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Iterable
from pathlib import Path

from provisioner_sandbox.kube.kubelet.container import Container
from provisioner_sandbox.kube.kubelet.logs import NoLog, lines, log_of
from provisioner_sandbox.kube.kubelet.serving import Handler, Server

Find = Callable[[str, str, str], Container | None]


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
            found = lines(log, query)
            if query.get("follow") == "true":
                self.stream(found)
                return
            body = "".join(f"{line}\n" for line in found).encode()
            self.answer(200, "text/plain", body[: int(query["limitBytes"])] if "limitBytes" in query else body)

        def stream(self, found: Iterable[str]) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for line in found:
                self.chunk(f"{line}\n".encode())
            self.wfile.write(b"0\r\n\r\n")

        def chunk(self, data: bytes) -> None:
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.wfile.flush()

    server = Server(pki, Kubelet)
    server.start()
    return server
