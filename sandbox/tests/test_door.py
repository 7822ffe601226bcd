"""Who may call: the user who runs the sandbox, with any credentials; others with its keys; no web page."""

from __future__ import annotations

import http.client
import json
import os
import socket
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from conftest import REGION, ROOT, Sandbox, await_endpoint, start, until
from kubernetes import SLOW, Kube, pod_spec, push, token
from eks import trust

from provisioner_sandbox import browsers, connection_owner
from provisioner_sandbox.kube import tokens

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
    """A signature that does not hold."""
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
def test_a_signed_url_says_who_calls_as_signed_headers_do(own: Sandbox, other: Ask) -> None:
    """A key of a role is that role's, and not the administrator's, in both forms and with both at once."""
    own.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=trust("ec2.amazonaws.com"))
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


# --- where the user is not known --------------------------------------------------------------------------------------

# As elsewhere than on Linux.
UNKNOWN_USERS = """
import sys
from provisioner_sandbox import connection_owner
connection_owner.is_own = lambda connection: False
from provisioner_sandbox.__main__ import main
sys.exit(main())
"""


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A sandbox that knows no caller's user: every request needs a key."""
    directory = tmp_path_factory.mktemp("strict")
    process = subprocess.Popen(
        [sys.executable, "-c", UNKNOWN_USERS, "--state-dir", str(directory), "--time-scale", "200"],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=(directory / "stderr").open("wb"),
    )  # fmt: skip
    try:
        yield await_endpoint(directory, process)
    finally:
        process.terminate()
        process.wait()


def client(record: dict[str, Any], service: str, key: str | None = None, secret: str | None = None) -> Any:
    return boto3.client(
        service, region_name=REGION, endpoint_url=record["endpoint"], config=Config(retries={"max_attempts": 0}),
        aws_access_key_id=key or record["accessKeyId"], aws_secret_access_key=secret or record["secretAccessKey"],
    )  # fmt: skip


def test_without_a_known_user_each_protocol_needs_the_key(strict: dict[str, Any]) -> None:
    """All that botocore signs is understood: headers and bodies of each protocol, blanks, ARNs in paths, trailers."""
    s3 = client(strict, "s3")
    s3.create_bucket(Bucket="mine", CreateBucketConfiguration={"LocationConstraint": REGION})
    name = "a b/c+d=(e)&~é.json"
    s3.put_object(Bucket="mine", Key=name, Body=b"x" * 300_000, Metadata={"note": "two  blanks"}, ChecksumAlgorithm="SHA256")
    s3.put_object(Bucket="mine", Key="empty", Body=b"")
    assert len(s3.get_object(Bucket="mine", Key=name)["Body"].read()) == 300_000
    found = s3.list_objects_v2(Bucket="mine", Prefix="a b/", Delimiter="&")
    assert [one["Prefix"] for one in found["CommonPrefixes"]] == ["a b/c+d=(e)&"]
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "mine", "Key": name})
    with urllib.request.urlopen(url) as answer:
        assert len(answer.read()) == 300_000
    client(strict, "dynamodb").list_tables(Limit=3)
    vpc = client(strict, "ec2").create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=[
        {"ResourceType": "vpc", "Tags": [{"Key": "a+b", "Value": "c d/é"}]}
    ])["Vpc"]["VpcId"]  # fmt: skip
    assert client(strict, "ec2").describe_vpcs(VpcIds=[vpc])["Vpcs"]
    role = client(strict, "iam").create_role(RoleName="r", AssumeRolePolicyDocument=trust("eks.amazonaws.com"))["Role"]["Arn"]
    eks = client(strict, "eks")
    with pytest.raises(ClientError, match="ResourceNotFound|NotFound"):
        eks.list_tags_for_resource(resourceArn=f"arn:aws:eks:{REGION}:123456789012:cluster/none")
    ssm = client(strict, "ssm")
    ssm.put_parameter(Name="/p/é", Value="v", Type="String")
    logs = client(strict, "logs")
    logs.create_log_group(logGroupName="/aws/x")
    kms = client(strict, "kms").create_key()["KeyMetadata"]["KeyId"]
    assert client(strict, "sts").get_caller_identity()["Arn"].endswith("user/sandbox") and role and kms
    ecr = client(strict, "ecr")
    ecr.create_repository(repositoryName="team/app")
    upload = ecr.initiate_layer_upload(repositoryName="team/app")["uploadId"]
    ecr.upload_layer_part(
        repositoryName="team/app", uploadId=upload, partFirstByte=0, partLastByte=199_999, layerPartBlob=b"l" * 200_000
    )


@pytest.mark.parametrize("service", ["s3", "ec2", "iam", "sts", "dynamodb", "eks", "ssm"])
def test_without_a_known_user_other_credentials_are_told_why(strict: dict[str, Any], service: str) -> None:
    call = {
        "s3": "list_buckets", "ec2": "describe_vpcs", "iam": "list_roles", "sts": "get_caller_identity",
        "dynamodb": "list_tables", "eks": "list_clusters", "ssm": "describe_parameters",
    }[service]  # fmt: skip
    with pytest.raises(ClientError, match="provisioner sandbox env") as caught:
        getattr(client(strict, service, "any", "thing"), call)()
    assert caught.value.response["Error"]["Code"] == "InvalidClientTokenId"
    with pytest.raises(ClientError, match="provisioner sandbox env") as caught:
        getattr(client(strict, service, secret="thing"), call)()
    assert caught.value.response["Error"]["Code"] == "SignatureDoesNotMatch"
    assert ext(strict["endpoint"], "log", {})[0] == 403


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


# What a pod does that has a role: it takes it, and asks who it is; and it tries what is not its own.
POD = b"""
import base64, json, os, re, time, urllib.error, urllib.parse, urllib.request
import tokens

endpoint = os.environ["AWS_ENDPOINT_URL"]
held = open(os.environ["AWS_WEB_IDENTITY_TOKEN_FILE"]).read()
body = urllib.parse.urlencode({
    "Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15", "RoleArn": os.environ["AWS_ROLE_ARN"],
    "RoleSessionName": "web", "WebIdentityToken": held,
}).encode()
taken = urllib.request.urlopen(endpoint, body).read().decode()
key, secret, session = (re.search(f"<{name}>(.*?)</{name}>", taken)[1] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken"))
made = tokens.presign(cluster="demo", region="eu-central-1", key=key, secret=secret, session=session, now=time.time(), sts=endpoint)
made = made.removeprefix(tokens.PREFIX)
url = base64.urlsafe_b64decode(made + "=" * (-len(made) % 4)).decode()
who = urllib.request.urlopen(urllib.request.Request(url, headers={"x-k8s-aws-id": "demo"})).read().decode()
try:
    urllib.request.urlopen(f"{endpoint}/_ext/log")
    control = 200
except urllib.error.HTTPError as error:
    control = error.code
own = open("/account/token").read()
print(json.dumps({"uid": os.getuid(), "who": who, "control": control, "held": held, "own": own}))
"""


@as_root
def test_a_pod_is_let_in_with_its_token_and_gets_nothing_but_its_role(own: Sandbox, other: Ask) -> None:
    kube = Kube(own, nodes=1)
    kube.namespace()
    issuer = kube.cluster()["identity"]["oidc"]["issuer"]
    made = kube.iam.create_open_id_connect_provider(Url=issuer, ClientIDList=["sts.amazonaws.com"])
    trusted = {
        "Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": {"Federated": made["OpenIDConnectProviderArn"]},
    }  # fmt: skip
    document = json.dumps({"Version": "2012-10-17", "Statement": [trusted]})
    role = kube.iam.create_role(RoleName="app", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    annotations = {"eks.amazonaws.com/role-arn": role}
    kube.api("POST", f"{kube.ns}/serviceaccounts", {"metadata": {"name": "web", "annotations": annotations}})
    image = push(own, {"app": None, "app/web.py": POD, "app/tokens.py": Path(tokens.__file__).read_bytes()})
    spec = pod_spec(image, readinessProbe=None)
    spec |= {"serviceAccountName": "web", "restartPolicy": "Never"}
    spec["volumes"].append({"name": "account", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}})
    spec["containers"][0]["volumeMounts"].append({"name": "account", "mountPath": "/account"})
    try:
        code, answer = kube.api("POST", f"{kube.ns}/pods", {"metadata": {"name": "web"}, "spec": spec})
        assert code == 201, answer
        until(lambda: kube.api.get(f"{kube.ns}/pods/web")["status"].get("phase") in ("Succeeded", "Failed"), SLOW)
        code, said = kube.api("GET", f"{kube.ns}/pods/web/log")
        assert isinstance(said, dict), said
    finally:
        kube.clear()
    assert said["uid"] == 65532 and said["control"] == 403
    assert "assumed-role/app/web" in said["who"]
    # What is in the pod's folders is not for other users.
    assert stat.S_IMODE((running_folder(own) / "kubernetes").stat().st_mode) == 0o700
    # Its own token is known to the cluster, where it has no rights.
    endpoint = kube.cluster()["endpoint"]
    kube.namespace()
    kube.api("POST", f"{kube.ns}/serviceaccounts", {"metadata": {"name": "web"}})
    bearer = {"Authorization": f"Bearer {said['own'].strip()}"}
    assert other(f"{endpoint}/api/v1/namespaces", headers=bearer)[0] == 403
    opens_nothing_else(own, other, said["held"].strip(), role)


def running_folder(sandbox: Sandbox) -> Path:
    """The folder of the sandbox, as its process has it."""
    words = Path(f"/proc/{sandbox.ext('GET', 'status')[1]['pid']}/cmdline").read_text().split("\0")
    return Path(words[words.index("--state-dir") + 1])


def opens_nothing_else(own: Sandbox, other: Ask, held: str, role: str) -> None:
    """With a token that holds, the request may be for the one call alone, however it is written."""
    body = f"Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn={role}&RoleSessionName=ss&WebIdentityToken={held}"
    assert other(f"{own.endpoint}/", "POST", body, FORM)[0] == 200
    own.ext("DELETE", "log")
    tables = {**FORM, "X-Amz-Target": "DynamoDB_20120810.ListTables"}
    scope = f"x/20260101/{REGION}/dynamodb/aws4_request"
    signed_for = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={'0' * 64}"
    for query, headers in (
        ("", tables),
        ("", {**tables, "Authorization": signed_for}),
        (f"?X-Amz-Credential={scope}", tables),
        (f"?X-Amz-Credential=x/20260101/{REGION}/ec2/aws4_request", FORM),
        ("", {**FORM, "Authorization": f"Other Credential=x/20260101/{REGION}/sts/aws4_request"}),
        ("", {**FORM, "smithy-protocol": "rpc-v2-cbor", "Authorization": ""}),
    ):
        status, text = other(f"{own.endpoint}/{query}", "POST", body, headers)
        assert status == 403 and "sandbox env" in text, (query, headers)
    assert own.log() == []
    # By its action it is the same call, whatever the method and the path.
    assert other(f"{own.endpoint}/bucket?{body}", "PUT")[0] == 200
    assert [call["action"] for call in own.log()] == ["AssumeRoleWithWebIdentity"]


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
