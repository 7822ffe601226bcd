"""No web page may call, in any user's browser: neither AWS, nor `/_ext/`, nor a cluster."""

from __future__ import annotations

import http.client
from typing import Any

import pytest
from conftest import Sandbox
from door import ext, own, record  # noqa: F401
from kubernetes import Kube, token

from provisioner_sandbox import browsers

PAGES = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:8000"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Host": "evil.example"},
    {"Host": "evil.example:80"},
    {"Host": "127.0.0.1.evil.example"},
    {"Host": "localhost.evil.example"},
    {"Host": "10.0.0.1"},
    {"Host": "::1.evil.example"},
    {"Host": ""},
]


@pytest.mark.parametrize("headers", PAGES)
def test_a_web_page_gets_nothing(own: Sandbox, record: dict[str, Any], headers: dict[str, str]) -> None:
    own.configure(timeScale=7)
    own.client("sts").get_caller_identity()
    plain = {"Content-Type": "text/plain", **headers}
    for method, path in (("POST", "config"), ("POST", "reset"), ("DELETE", "log"), ("GET", "log")):
        status, text = ext(own.endpoint, path, plain, method, "{}" if method == "POST" else None)
        assert status == 403, text
    own_secret = {"X-Provisioner-Secret": record["secretAccessKey"]}
    assert ext(own.endpoint, "log", {**headers, **own_secret})[0] == 403
    connection = http.client.HTTPConnection(own.endpoint.removeprefix("http://"), timeout=60)
    connection.request("GET", "/?Action=CreateVpc&CidrBlock=10.0.0.0/16&Version=2016-11-15", None, headers)
    assert connection.getresponse().status == 403
    connection.close()
    assert own.ext("GET", "status")[1]["timeScale"] == 7
    assert len(own.log()) == 1


def test_a_web_page_gets_nothing_of_a_cluster(own: Sandbox) -> None:
    kube = Kube(own)
    for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
        connection = http.client.HTTPSConnection(kube.api.host, context=kube.api.context, timeout=60)
        connection.request("GET", "/api/v1/namespaces", headers={"Authorization": f"Bearer {token()}", **headers})
        assert connection.getresponse().status == 403
        connection.close()


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:5000", "127.3.4.5", "localhost", "LOCALHOST:80", "localhost.", "[::1]", "[::1]:80",
     "bucket.localhost:5000", "a.b.s3.localhost", "bucket.127.0.0.1:5000", "my-bucket.with.dots.127.0.0.1"],
)  # fmt: skip
def test_names_of_loopback(host: str) -> None:
    assert browsers.is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "localhost.evil.example", "notlocalhost", "0.0.0.0", "128.0.0.1", "127.1", "127.0.0.1.nip.io",
     "bucket.127.0.0.999", "[::2]", "::ffff:10.0.0.1", "127.0.0.1:80:80", "evil.example:127.0.0.1", "2130706433"],
)  # fmt: skip
def test_other_names(host: str) -> None:
    assert not browsers.is_loopback(host)
