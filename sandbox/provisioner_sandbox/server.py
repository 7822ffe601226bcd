"""HTTP/1.1 on loopback: threads, keep-alive, and connections that can be dropped on purpose."""

from __future__ import annotations

import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from botocore.compat import HTTPHeaders

from provisioner_sandbox import browsers, door
from provisioner_sandbox.connection_owner import is_own
from provisioner_sandbox.control import PREFIX, Control, reply
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.gateway import Gateway, refusal
from provisioner_sandbox.kube.settings import SETTINGS
from provisioner_sandbox.services.ecr import download
from provisioner_sandbox.wire.message import Answer, Request
from provisioner_sandbox.world import World

HOST = "127.0.0.1"
BODILESS = (204, 304)
DRAIN_SECONDS = 2.0


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, world: World):
        super().__init__((HOST, port), Handler)
        SETTINGS.endpoint = f"http://{HOST}:{self.server_address[1]}"
        self.gateway = Gateway(world)
        self.control = Control(world)
        self.guard = world.lock

    def handle_error(self, request, client_address) -> None:
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server
    # Answers are small; without this each waits for the client's delayed acknowledgement.
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        # Once for a connection, and at once: when its caller has closed it, its user is unknown.
        self.is_own = is_own(self.connection)

    def respond(self) -> None:
        try:
            request = self.admitted()
        except browsers.Refused as refused:
            self.close_connection = True
            self.send(self.refusal(refused))
            # What is left unread would reset the connection before the caller has the answer.
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(DRAIN_SECONDS)
            self.rfile.read(door.MOST_BYTES)
            return
        if request.path.startswith(PREFIX):
            self.send(self.server.control.handle(request))
            return
        if request.path.startswith(download.PREFIX):
            self.send(download.serve(request))
            return
        answer = self.server.gateway.handle(request)
        if answer is None:
            self.drop()
        else:
            self.send(answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = respond

    def admitted(self) -> Request:
        """The request, read to its end. Raises `Refused`."""
        self.head = request = self.read_head()
        browsers.check_browser(self.headers)
        door.check_secret(self.headers)
        if not self.is_own:
            door.check_head(request, self.server.guard)
        request.body = self.read_body()
        if not self.is_own:
            door.check(request, self.server.guard)
        return request

    def refusal(self, refused: browsers.Refused) -> Answer:
        if self.head.path.startswith((PREFIX, download.PREFIX)):
            return reply(403, {"message": refused.message})
        return refusal(self.head, AwsError(refused.code, refused.message, 403))

    def read_head(self) -> Request:
        headers = HTTPHeaders()
        for key, value in self.headers.items():
            headers[key] = value
        path, _, query = self.path.partition("?")
        return Request(self.command, path, query, headers, b"")

    def read_body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self.read_chunks()
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def read_chunks(self) -> bytes:
        body = bytearray()
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers
        return bytes(body)

    def send(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        given = {key.lower() for key in answer.headers}
        for key, value in answer.headers.items():
            if key.lower() not in ("content-length", "transfer-encoding", "connection", "date"):
                self.send_header(key, value)
        self.send_header("Date", self.date_time_string())
        if self.close_connection:
            self.send_header("Connection", "close")
        if self.command == "HEAD" and "content-length" in given:
            length = next(value for key, value in answer.headers.items() if key.lower() == "content-length")
            self.send_header("Content-Length", length)
        elif answer.status not in BODILESS:
            self.send_header("Content-Length", str(len(answer.body)))
        head = b"".join(self._headers_buffer) + b"\r\n"
        self._headers_buffer = []
        # One write: head and body in two segments would cost the client a round trip.
        self.wfile.write(head if self.command == "HEAD" or answer.status in BODILESS else head + answer.body)

    def drop(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: calls are in `/_ext/log`, and the log file is for what went wrong."""
