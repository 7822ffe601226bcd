"""HTTPS on loopback for one cluster."""

from __future__ import annotations

import json
import socket
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from provisioner_sandbox import browsers
from provisioner_sandbox.connection_owner import is_own
from provisioner_sandbox.kube import access, status
from provisioner_sandbox.kube.certificates import Authority
from provisioner_sandbox.kube.message import Ask, Reply

if TYPE_CHECKING:
    # What is behind it is imported for the first cluster that gets a request.
    from provisioner_sandbox.kube.api import Api

HOST = "127.0.0.1"
MOST_BYTES = 8 * 1024 * 1024


class Server(ThreadingHTTPServer):
    """Reserves its port from the start; no request is answered before `open`."""

    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, authority: Authority, begin: Any):
        super().__init__((HOST, 0), Handler, bind_and_activate=False)
        self.server_bind()
        self.port: int = self.server_address[1]
        self.authority = authority
        # Makes the API at the first request: most clusters are never asked anything.
        self.begin = begin
        self.connections: set[socket.socket] = set()
        self.opened = False

    def server_bind(self) -> None:
        # Without the base class's reverse look-up of the address.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]

    def open(self) -> None:
        self.opened = True
        self.socket = self.authority.context().wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.server_activate()
        threading.Thread(target=self.serve_forever, args=(0.2,), name=f"kube {self.port}", daemon=True).start()

    def close(self) -> None:
        """At once; connections are cut."""
        if self.opened:
            threading.Thread(target=self.shutdown, daemon=True).start()
        self.server_close()
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], (OSError, ssl.SSLError)):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server
    disable_nagle_algorithm = True

    def setup(self) -> None:
        # Once for a connection, and at once: when its caller has closed it, its user is unknown.
        self.is_own = is_own(self.request)
        # Where the accepting thread did it, one slow client would hold up all others.
        self.request.settimeout(10)
        self.request.do_handshake()
        self.request.settimeout(None)
        super().setup()

    def respond(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > MOST_BYTES:
            self.close_connection = True
            self.send(Reply(413, status.Refused(413, "RequestEntityTooLarge", f"limit is {MOST_BYTES}").document()))
            return
        try:
            browsers.check_browser(self.headers)
        except browsers.Refused as refused:
            self.close_connection = True
            self.send(Reply(403, status.Refused(403, "Forbidden", refused.message).document()))
            return
        body = self.rfile.read(length) if length else self.chunked()
        path, _, query = self.path.partition("?")
        ask = Ask(
            self.command, path, dict(parse_qsl(query, keep_blank_values=True)), body,
            self.headers.get("Content-Type", "application/json"), self.headers.get("Accept", ""),
            self.headers.get("User-Agent", ""), self.headers.get("Host", ""),
        )  # fmt: skip
        api: Api = self.server.begin()
        try:
            user = api.gate.user(self.headers.get("Authorization", ""), self.is_own)
        except status.Refused as refused:
            # Who only asks how it is needs no name.
            public = self.is_own and path in ("/version", "/readyz", "/livez", "/healthz")
            if not public or "Authorization" in self.headers:
                self.send(Reply(refused.code, refused.document()))
                return
            user = None
        except access.OutOfReach:
            # AWS drops the packets; here the connection is closed, so that no caller waits for a timeout.
            self.close_connection = True
            return
        self.send(api.handle(ask, user))

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = respond

    def chunked(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return b""
        body = bytearray()
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return bytes(body)

    def send(self, reply: Reply) -> None:
        if reply.stream is not None:
            self.stream(reply)
            return
        plain = reply.text is not None
        body = reply.text.encode() if plain else json.dumps(reply.document, separators=(",", ":")).encode()
        self.head(reply, "text/plain" if plain else "application/json")
        self.send_header("Content-Length", str(len(body)))
        head = b"".join(self._headers_buffer) + b"\r\n"
        self._headers_buffer = []
        self.wfile.write(head if self.command == "HEAD" else head + body)

    def head(self, reply: Reply, kind: str) -> None:
        self.send_response_only(reply.code)
        self.send_header("Content-Type", kind)
        self.send_header("Date", self.date_time_string())
        for warning in reply.warnings:
            escaped = warning.replace("\\", "\\\\").replace('"', '\\"')
            self.send_header("Warning", f'299 - "{escaped}"')
        if reply.code == 401:
            self.send_header("WWW-Authenticate", "Bearer")

    def stream(self, reply: Reply) -> None:
        self.head(reply, "text/plain" if reply.text is not None else "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        for part in reply.stream or ():
            if part:
                self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
                self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing: the caller gets the error."""
