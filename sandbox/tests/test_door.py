"""Who may call: the user who runs the sandbox, with any credentials; others with its keys."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import pytest
from conftest import REGION, Sandbox, await_endpoint, start, until
from door import FORM, WHO, WHO_AM_I, Ask, as_root, ext, other, own, record, signed, unsigned  # noqa: F401
from eks import trusted_by_account
from kubernetes import push

from provisioner_sandbox import connection_owner

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


def test_a_wrong_secret_is_refused_from_every_caller(own: Sandbox, record: dict[str, Any]) -> None:
    assert ext(own.endpoint, "status", {"X-Provisioner-Secret": record["secretAccessKey"]})[0] == 200
    for wrong in ("", "x", record["secretAccessKey"][:-1], "\xe9" * 40):
        assert ext(own.endpoint, "status", {"X-Provisioner-Secret": wrong})[0] == 403


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
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=trusted_by_account())
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
def test_a_signed_url_says_who_calls_as_signed_headers_do(own: Sandbox, other: Ask) -> None:
    """A key of a role is that role's, and not the administrator's, in both forms and with both at once."""
    own.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=trusted_by_account())
    role = own.client("sts").assume_role(RoleArn="arn:aws:iam::123456789012:role/r", RoleSessionName="ci")["Credentials"]
    keys = (role["AccessKeyId"], role["SecretAccessKey"])
    place = f"{own.endpoint}/?{WHO_AM_I}"
    url, _ = signed(place, "sts", *keys, method="GET", session=role["SessionToken"], query=True)
    assert other(url)[0] == 200
    other_key = f"Credential=other/20260101/{REGION}/sts/aws4_request"
    for also in (f"AWS4-HMAC-SHA256 {other_key}, SignedHeaders=host, Signature={'0' * 64}", other_key, "Bearer x", ""):
        assert other(url, headers={"Authorization": also})[0] == 403


@as_root
def test_a_large_body_of_a_stranger_is_not_read(own: Sandbox, other: Ask) -> None:
    # The answer comes although nothing of the body was sent.
    status, _ = other(f"{own.endpoint}/mine/key", "PUT", None, {"Content-Length": str(1 << 40)})
    assert status == 403


@as_root
def test_a_layer_is_read_by_its_address_alone(own: Sandbox, other: Ask) -> None:
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
def test_a_connection_that_its_caller_has_closed_has_no_owner() -> None:
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
