"""An AWS implementation of others, on loopback, behind repairs of what it answers unlike AWS.

`python serve.py moto|ministack` prints its URL and that of the emulator without repairs, and ends with its standard
input. `GET /_repairs` returns the calls of the differences that changed an answer so far, and of those that did not.
"""

import http.client
import http.server
import json
import os
import re
import socket
import sys
import threading
import time
import urllib.parse

from differences import DIFFERENCES, Exchange, call_of


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Proxy(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    differences = []
    used = set()
    memory = {}
    port = 0

    def log_message(self, *_):
        pass

    def answer(self):
        if self.path == "/_repairs":
            unused = {difference.calls for difference in self.differences} - self.used
            return self.reply(200, {}, json.dumps({"used": sorted(self.used), "unused": sorted(unused)}).encode())
        request = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, headers, body = self.ask(self.command, self.path, request)
        call = call_of(self.command, self.path, self.headers, request)
        for difference in self.differences:
            if call in difference.calls.split():
                exchange = Exchange(self.path, request, status, body, self.ask, self.memory)
                if repaired := difference.repair(exchange):
                    status, body = repaired
                    self.used.add(difference.calls)
        self.reply(status, headers, body)

    def ask(self, method, path, request=b"", service=None):
        """What the emulator answers to a request of this or another service: status, headers and body."""
        if isinstance(request, dict):
            request = urllib.parse.urlencode(request).encode()
        upstream = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        dropped = ("content-length", "expect", "connection", "transfer-encoding")
        headers = {name.lower(): value for name, value in self.headers.items() if name.lower() not in dropped}
        if service:
            scope = re.sub(r"\w+/aws4_request", f"{service}/aws4_request", headers["authorization"])
            headers |= {"authorization": scope, "content-type": "application/x-www-form-urlencoded"}
        upstream.request(method, path, request, headers)
        answer = upstream.getresponse()
        body = answer.read()
        upstream.close()
        return answer.status, dict(answer.getheaders()), body

    def reply(self, status, headers, body):
        self.send_response_only(status)
        length = len(body)
        for name, value in headers.items():
            if name.lower() == "content-length" and self.command == "HEAD":
                length = value
            elif name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = answer


def serve(emulator, port):
    Proxy.port = port
    Proxy.differences = [difference for difference in DIFFERENCES if difference.emulator == emulator]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            time.sleep(0.02)
    print(f"http://127.0.0.1:{server.server_port} http://127.0.0.1:{port}", flush=True)
    os.dup2(2, 1)
    server.serve_forever()


def main():
    emulator = sys.argv[1]
    threading.Thread(target=lambda: sys.stdin.read() or os._exit(0), daemon=True).start()
    # The port is chosen after the imports, which take seconds, so that no other program takes it meanwhile.
    if emulator == "moto":
        os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"
        from moto.server import main as run
    else:
        os.environ |= {"BIND_HOST": "127.0.0.1", "LOG_LEVEL": "WARNING"}
        from ministack.app import main as run
    port = free_port()
    threading.Thread(target=serve, args=(emulator, port), daemon=True).start()
    os.environ["GATEWAY_PORT"] = str(port)
    sys.argv[1:] = ["-p", str(port)] if emulator == "moto" else []
    run()


main()
