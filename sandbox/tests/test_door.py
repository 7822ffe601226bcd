"""Who may call: the user who runs the sandbox, with any credentials; others with its keys; no web page."""

from __future__ import annotations

import http.client
import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
from conftest import REGION, Sandbox, await_endpoint, start
from kubernetes import Kube, token
from eks import trust

from provisioner_sandbox import browsers, connection_owner

STRANGER = 65534
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
    """What the sandbox takes for signed if nobody looks."""
    scope = f"Credential={key}/20260101/{REGION}/sts/aws4_request"
    return {**FORM, "Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature={'0' * 64}"}


# --- the file ---------------------------------------------------------------------------------------------------------


def test_the_file_is_its_owners_alone_and_replaces_a_link(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("kept")
    folder = tmp_path / "sandbox"
    folder.mkdir()
    (folder / "endpoint.json").symlink_to(elsewhere)
    process = start(folder, "--time-scale", "200")
    try:
        record = await_endpoint_after_link(folder, process)
        found = (folder / "endpoint.json").lstat()
        assert stat.S_ISREG(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o600
        assert elsewhere.read_text() == "kept"
        assert record["startTime"] == int(Path(f"/proc/{process.pid}/stat").read_text().split()[21])
        assert len(record["secretAccessKey"]) == 40 and record["accessKeyId"].startswith("SBOX")
        assert [one.name for one in folder.iterdir() if one.name.startswith(".endpoint")] == []
    finally:
        process.terminate()
        process.wait()


def await_endpoint_after_link(folder: Path, process: Any) -> dict[str, Any]:
    from conftest import until

    until(lambda: not (folder / "endpoint.json").is_symlink(), 60)
    return await_endpoint(folder, process)


def test_each_start_has_keys_of_its_own(record: dict[str, Any], tmp_path: Path) -> None:
    process = start(tmp_path, "--time-scale", "200")
    try:
        second = await_endpoint(tmp_path, process)
    finally:
        process.terminate()
        process.wait()
    for name in ("accessKeyId", "secretAccessKey"):
        assert record[name] != second[name]


# --- the user who runs it ---------------------------------------------------------------------------------------------


def test_any_credentials_work_for_the_user_who_started_it(own: Sandbox) -> None:
    for key, secret in (("any", "thing"), ("AKIDEXAMPLE", "x" * 40)):
        sts = boto3.client(
            "sts", region_name=REGION, endpoint_url=own.endpoint, aws_access_key_id=key, aws_secret_access_key=secret
        )
        assert sts.get_caller_identity()["Account"] == "123456789012"
    assert own.ext("GET", "log")[0] == 200


def test_a_wrong_secret_is_refused_whoever_sends_it(own: Sandbox, record: dict[str, Any]) -> None:
    assert ext(own.endpoint, "status", {"X-Provisioner-Secret": record["secretAccessKey"]})[0] == 200
    for wrong in ("", "x", record["secretAccessKey"][:-1], "\xe9" * 40):
        assert ext(own.endpoint, "status", {"X-Provisioner-Secret": wrong})[0] == 403


def ext(endpoint: str, path: str, headers: dict[str, str], method: str = "GET", body: str | None = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(endpoint.removeprefix("http://"), timeout=60)
    connection.request(method, f"/_ext/{path}", body, headers)
    answer = connection.getresponse()
    try:
        return answer.status, answer.read().decode()
    finally:
        connection.close()


# --- other users ------------------------------------------------------------------------------------------------------


@as_root
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "config"), ("POST", "reset"), ("GET", "log"), ("DELETE", "log"), ("GET", "status"), ("POST", "save"),
     ("POST", "release"), ("GET", "nothing")],
)  # fmt: skip
def test_another_user_gets_nothing_of_the_control(own: Sandbox, other: Ask, method: str, path: str) -> None:
    own.configure(timeScale=7)
    own.client("sts").get_caller_identity()
    status, text = other(f"{own.endpoint}/_ext/{path}", method, "{}" if method == "POST" else None)
    assert status == 403
    message = json.loads(text)["message"]
    assert WHO in message and "provisioner sandbox env" in message
    # Nothing was reset, configured or emptied.
    assert own.ext("GET", "status")[1]["timeScale"] == 7
    assert len(own.log()) == 1


@as_root
def test_another_user_calls_no_aws(own: Sandbox, other: Ask) -> None:
    for headers in (FORM, unsigned("sandbox"), unsigned("any")):
        status, text = other(f"{own.endpoint}/", "POST", WHO_AM_I, headers)
        assert status == 403 and "arn:aws" not in text
        assert "provisioner sandbox env" in text
    for key, secret in (("sandbox", "sandbox"), ("any", "thing")):
        _, headers = signed(f"{own.endpoint}/", "sts", key, secret, WHO_AM_I, **FORM)
        assert other(f"{own.endpoint}/", "POST", WHO_AM_I, headers)[0] == 403
        url, headers = signed(f"{own.endpoint}/", "s3", key, secret, method="GET")
        status, text = other(url, "GET", None, headers)
        assert status == 403 and text.startswith("<?xml") and "InvalidClientTokenId" in text
    assert own.log() == []


@as_root
def test_another_user_with_the_keys_may_call(own: Sandbox, record: dict[str, Any], other: Ask) -> None:
    key, secret = record["accessKeyId"], record["secretAccessKey"]
    _, headers = signed(f"{own.endpoint}/", "sts", key, secret, WHO_AM_I, **FORM)
    status, text = other(f"{own.endpoint}/", "POST", WHO_AM_I, headers)
    assert status == 200 and "user/sandbox" in text
    # The same headers with another body, with another secret, and for another path.
    changed = WHO_AM_I.replace("GetCallerIdentity", "GetSessionToken")
    assert other(f"{own.endpoint}/", "POST", changed, headers)[0] == 403
    _, wrong = signed(f"{own.endpoint}/", "sts", key, "sandbox", WHO_AM_I, **FORM)
    assert "SignatureDoesNotMatch" in other(f"{own.endpoint}/", "POST", WHO_AM_I, wrong)[1]
    assert other(f"{own.endpoint}/other", "POST", WHO_AM_I, headers)[0] == 403
    own_secret = {"X-Provisioner-Secret": secret}
    assert other(f"{own.endpoint}/_ext/status", headers=own_secret)[0] == 200
    assert other(f"{own.endpoint}/_ext/status", headers={"X-Provisioner-Secret": "x"})[0] == 403


@as_root
@pytest.mark.parametrize("name", ["plain.txt", "a b/c+d=(e)~é.json", "x//y/../z"])
def test_the_signature_of_every_path_is_understood(own: Sandbox, record: dict[str, Any], other: Ask, name: str) -> None:
    from urllib.parse import quote

    s3 = own.client("s3")
    s3.create_bucket(Bucket="mine", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket="mine", Key=name, Body=b"content")
    place = f"{own.endpoint}/mine/{quote(name, safe='/~')}"
    key, secret = record["accessKeyId"], record["secretAccessKey"]
    for query in (False, True):
        url, headers = signed(place, "s3", key, secret, method="GET", query=query)
        assert other(url, "GET", None, headers) == (200, "content")
        url, headers = signed(place, "s3", key, "sandbox", method="GET", query=query)
        assert other(url, "GET", None, headers)[0] == 403


@as_root
def test_keys_that_the_sandbox_gave_out_count_with_their_secrets(own: Sandbox, other: Ask) -> None:
    iam, sts = own.client("iam"), own.client("sts")
    iam.create_user(UserName="ci")
    made = iam.create_access_key(UserName="ci")["AccessKey"]
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust("ec2.amazonaws.com"))
    role = sts.assume_role(RoleArn="arn:aws:iam::123456789012:role/r", RoleSessionName="ci")["Credentials"]

    def ask(key: str, secret: str, session: str | None = None) -> int:
        _, headers = signed(f"{own.endpoint}/", "sts", key, secret, WHO_AM_I, session=session, **FORM)
        return other(f"{own.endpoint}/", "POST", WHO_AM_I, headers)[0]

    assert ask(made["AccessKeyId"], made["SecretAccessKey"]) == 200
    assert ask(made["AccessKeyId"], "sandbox") == 403
    assert ask(role["AccessKeyId"], role["SecretAccessKey"], role["SessionToken"]) == 200
    assert ask(role["AccessKeyId"], role["SecretAccessKey"]) == 403
    assert ask(role["AccessKeyId"], role["SecretAccessKey"], "other") == 403
    own.ext("POST", "reset")
    assert ask(made["AccessKeyId"], made["SecretAccessKey"]) == 403


@as_root
def test_a_role_is_not_assumed_with_a_token_that_no_cluster_gave(own: Sandbox, other: Ask) -> None:
    body = (
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn:aws:iam::123456789012:role/r"
        "&RoleSessionName=ss&WebIdentityToken=e30.e30.e30"
    )
    assert other(f"{own.endpoint}/", "POST", body, FORM)[0] == 403


@as_root
def test_a_large_body_of_a_stranger_is_not_read(own: Sandbox, other: Ask) -> None:
    # The answer comes although nothing of the body was sent.
    status, _ = other(f"{own.endpoint}/mine/key", "PUT", None, {"Content-Length": str(1 << 40)})
    assert status == 403


@as_root
def test_layers_are_read_by_whoever_has_their_address(own: Sandbox, other: Ask) -> None:
    from kubernetes import push

    push(own)
    ecr = own.client("ecr")
    manifest = json.loads(
        ecr.batch_get_image(repositoryName="web", imageIds=[ecr.list_images(repositoryName="web")["imageIds"][0]])["images"][0][
            "imageManifest"
        ]
    )
    wanted = manifest["layers"][0]["digest"]
    url = ecr.get_download_url_for_layer(repositoryName="web", layerDigest=wanted)["downloadUrl"]
    assert other(url)[0] == 200
    assert other(url.partition("?")[0])[0] == 403
    assert other(url[:-1] + ("0" if url[-1] != "0" else "1"))[0] == 403


@as_root
def test_a_connection_that_its_caller_has_closed_is_nobodys() -> None:
    """The kernel shows the socket of a program that is gone as root's."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = (
            "import encodings.idna, os, socket\nos.setgroups([])\nos.setgid(65534)\nos.setuid(65534)\n"
            f"socket.create_connection(('127.0.0.1', {server.getsockname()[1]})).close()"
        )
        subprocess.run([sys.executable, "-c", code], check=True)
        connection, _ = server.accept()
        with connection:
            assert not connection_owner.is_own(connection)
            ends = connection.getpeername(), connection.getsockname()
            assert connection_owner.by_table(*ends) is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whose a socket is")
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_the_owner_of_a_connection_is_found_both_ways(family: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(family) as client:
        prefix = "::ffff:" if family == socket.AF_INET6 else ""
        client.connect((f"{prefix}127.0.0.1", server.getsockname()[1]))
        connection, _ = server.accept()
        with connection:
            ends = connection.getpeername(), connection.getsockname()
            assert connection_owner.by_kernel(*ends) == os.geteuid()
            assert connection_owner.by_table(*ends) == os.geteuid()
            assert connection_owner.is_own(connection)
            # Nothing is connected there, and what listens is no connection.
            nowhere = ("127.0.0.1", 1)
            assert connection_owner.by_kernel(nowhere, ends[1]) is None
            assert connection_owner.by_kernel(ends[1], nowhere) is None


# --- Kubernetes -------------------------------------------------------------------------------------------------------


@as_root
def test_another_user_gets_nothing_of_a_cluster(own: Sandbox, record: dict[str, Any], other: Ask) -> None:
    kube = Kube(own)
    kube.namespace()
    endpoint = kube.cluster()["endpoint"]

    def ask(bearer: str, path: str = "/api/v1/namespaces") -> int:
        return other(f"{endpoint}{path}", headers={"Authorization": f"Bearer {bearer}"} if bearer else {})[0]

    # `kube.api` has used this token.
    assert ask(token()) == 401
    assert ask("") == 401
    assert ask("", "/version") == 401
    # Nor the way to the cluster.
    _, headers = signed(f"{own.endpoint}/clusters/demo", "eks", "sandbox", "sandbox", method="GET")
    assert other(f"{own.endpoint}/clusters/demo", "GET", None, headers)[0] == 403
    key, secret = record["accessKeyId"], record["secretAccessKey"]
    assert ask(token(key=key, secret=secret)) == 200
    assert ask(token(key=key, secret="sandbox")) == 401
    # A pod's token counts whoever brings it: its pods are other users.
    made = kube.api("POST", f"{kube.ns}/serviceaccounts/default/token", {"spec": {}})
    if made[0] == 201:
        assert ask(made[1]["status"]["token"]) in (200, 403)


# --- web pages --------------------------------------------------------------------------------------------------------

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
