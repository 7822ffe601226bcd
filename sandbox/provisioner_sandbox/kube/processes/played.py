"""In the place of a controller whose work is the sandbox's own, or nobody's: answers its probes until told to end.

A program of its own: `played.py ADDRESS TEXT PORT...`
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"ok\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


def main() -> None:
    address, text, *ports = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    print(text, flush=True)
    for port in ports:
        server = ThreadingHTTPServer((address, int(port)), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
