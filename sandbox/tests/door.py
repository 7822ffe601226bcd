"""Another user of the machine, and requests as botocore signs them: what the tests of who may call share."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
from conftest import REGION, Sandbox, await_endpoint, start

as_root = pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="another user is only had by root")
WHO = f"uid {os.geteuid()}"

# What another user runs: the standard library alone, imported before it becomes that user, who may not read it. A request a line on standard input, its answer a line on standard output.
OTHER = """
import encodings.idna, http.client, json, os, ssl, sys
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
for line in sys.stdin:
    asked = json.loads(line)
    if asked["tls"]:
        connection = http.client.HTTPSConnection(asked["host"], context=ssl._create_unverified_context(), timeout=60)
    else:
        connection = http.client.HTTPConnection(asked["host"], timeout=60)
    connection.request(asked["method"], asked["path"], asked["body"], asked["headers"])
    answer = connection.getresponse()
    print(json.dumps([answer.status, answer.read().decode("utf-8", "replace")]), flush=True)
    connection.close()
"""

Ask = Callable[..., "tuple[int, str]"]


@pytest.fixture(scope="module")
def other() -> Iterator[Ask]:
    """Sends a request as another user of the machine."""
    process = subprocess.Popen([sys.executable, "-c", OTHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(
        url: str, method: str = "GET", body: str | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, str]:
        assert process.stdin and process.stdout
        scheme, _, rest = url.partition("://")
        host, _, path = rest.partition("/")
        asked = {
            "tls": scheme == "https", "host": host, "path": f"/{path}", "method": method, "body": body, "headers": headers or {},
        }  # fmt: skip
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        status, text = json.loads(process.stdout.readline())
        return status, text

    try:
        yield ask
    finally:
        process.stdin.close()
        process.wait()


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A sandbox of its own, with what is in its `endpoint.json`."""
    directory = tmp_path_factory.mktemp("door")
    process = start(directory, "--time-scale", "200")
    try:
        yield {**await_endpoint(directory, process), "directory": directory}
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def own(record: dict[str, Any]) -> Sandbox:
    sandbox = Sandbox(record["endpoint"])
    assert sandbox.ext("POST", "reset")[0] == 200
    return sandbox


def signed(
    url: str, service: str, key: str, secret: str, body: str = "", method: str = "POST", session: str | None = None,
    query: bool = False, **headers: str,
) -> tuple[str, dict[str, str]]:  # fmt: skip
    """The URL and headers of a call, as botocore signs them."""
    request = botocore.awsrequest.AWSRequest(method, url, headers, body)
    keys = botocore.credentials.Credentials(key, secret, session)
    kind = {
        (False, False): botocore.auth.SigV4Auth, (False, True): botocore.auth.SigV4QueryAuth,
        (True, False): botocore.auth.S3SigV4Auth, (True, True): botocore.auth.S3SigV4QueryAuth,
    }[service == "s3", query]  # fmt: skip
    kind(keys, service, REGION).add_auth(request)
    return request.prepare().url, dict(request.headers.items())


FORM = {"Content-Type": "application/x-www-form-urlencoded"}
WHO_AM_I = "Action=GetCallerIdentity&Version=2011-06-15"


def unsigned(key: str) -> dict[str, str]:
    """A signature that does not hold."""
    scope = f"Credential={key}/20260101/{REGION}/sts/aws4_request"
    return {**FORM, "Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature={'0' * 64}"}


def ext(endpoint: str, path: str, headers: dict[str, str], method: str = "GET", body: str | None = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(endpoint.removeprefix("http://"), timeout=60)
    connection.request(method, f"/_ext/{path}", body, headers)
    answer = connection.getresponse()
    try:
        return answer.status, answer.read().decode()
    finally:
        connection.close()
