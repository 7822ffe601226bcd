"""A placeholder for a controller whose work the sandbox does, or does not simulate: answers its probes until told to
end, and admits every webhook request.

A program of its own: `played.py ADDRESS TEXT PORT[=FOLDER]...`; with a folder, the port speaks TLS with its `tls.crt`.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.answer("text/plain", b"ok\n")

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        response = {"uid": asked["request"]["uid"], "allowed": True}
        said = {"apiVersion": asked["apiVersion"], "kind": asked["kind"], "response": response}
        self.answer("application/json", json.dumps(said).encode())

    def answer(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Discards the request log."""


def secured(listening: socket.socket, keys: str) -> socket.socket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{keys}/tls.crt", f"{keys}/tls.key")
    # The handshake waits for the first read, which is in the connection's own thread.
    return context.wrap_socket(listening, server_side=True, do_handshake_on_connect=False)


def main() -> None:
    address, text, *ports = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    print(text, flush=True)
    for port in ports:
        number, _, keys = port.partition("=")
        server = ThreadingHTTPServer((address, int(number)), Handler)
        if keys:
            server.socket = secured(server.socket, keys)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
