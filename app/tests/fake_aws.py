"""STS and SSM on loopback: just what reading a parameter with a web identity needs, strict about who asks."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/demo"
TOKEN = "web-identity-token-of-the-pod"
KEY = "ASIAFROMSTS"
SESSION = "session-token-from-sts"

STS_ANSWER = f"""<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{KEY}</AccessKeyId>
<SecretAccessKey>secret-from-sts</SecretAccessKey><SessionToken>{SESSION}</SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>
<AssumedRoleUser><Arn>{ROLE}/s</Arn><AssumedRoleId>AROA:s</AssumedRoleId></AssumedRoleUser>
</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""
STS_ERROR = """<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
<Code>{code}</Code><Message>role {role} says no</Message></Error></ErrorResponse>"""


@dataclass
class FakeAws:
    parameters: dict[str, str] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    # Operation to (HTTP status, error code).
    failures: dict[str, tuple[int, str]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    decryption: list[object] = field(default_factory=list)
    # While it is not set, GetParameter waits.
    gate: threading.Event = field(default_factory=threading.Event)
    asked: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> FakeAws:
        self.gate.set()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                target = self.headers.get("X-Amz-Target", "")
                if target:
                    operation = target.rpartition(".")[2]
                    status, kind, answer = fake.ssm(operation, json.loads(body), dict(self.headers))
                else:
                    status, kind, answer = fake.sts(parse_qs(body), dict(self.headers))
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer.encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def sts(self, query: dict[str, list[str]], headers: dict[str, str]) -> tuple[int, str, str]:
        operation = query["Action"][0]
        self.calls.append(operation)
        status, code = self.failures.get(operation, (0, ""))
        if not status and (query["RoleArn"], query["WebIdentityToken"]) != ([ROLE], [TOKEN]):
            status, code = 400, "InvalidIdentityToken"
        if not status and "Authorization" in headers:
            status, code = 400, "SignedButMustNotBe"
        if status:
            return status, "text/xml", STS_ERROR.format(code=code, role=ROLE)
        return 200, "text/xml", STS_ANSWER

    def ssm(self, operation: str, body: dict[str, object], headers: dict[str, str]) -> tuple[int, str, str]:
        self.calls.append(operation)
        self.asked.set()
        self.gate.wait(10)
        kind = "application/x-amz-json-1.1"
        status, code = self.failures.get(operation, (0, ""))
        name = str(body["Name"])
        self.decryption.append(body.get("WithDecryption"))
        credential = f"Credential={KEY}/"
        region = "/eu-central-1/ssm/aws4_request"
        signed = headers.get("Authorization", "")
        if credential not in signed or region not in signed or headers.get("X-Amz-Security-Token") != SESSION:
            status, code = 403, "UnrecognizedClientException"
        elif not status and name not in self.parameters:
            status, code = 400, "ParameterNotFound"
        if status:
            return status, kind, json.dumps({"__type": code, "message": f"{ROLE} may not read {name}"})
        found = {
            "Name": name,
            "Type": self.types.get(name, "String"),
            "Value": self.parameters[name],
            "Version": self.calls.count(operation),
        }
        return 200, kind, json.dumps({"Parameter": found})
