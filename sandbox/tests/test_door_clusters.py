"""Who may call clusters, and what their pods may: other users, and users that the kernel does not tell."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from conftest import REGION, ROOT, Sandbox, await_endpoint, until
from door import FORM, Ask, as_root, ext, other, own, record, signed  # noqa: F401
from eks import trust
from kubernetes import SLOW, Kube, pod_spec, push, token

from provisioner_sandbox.kube import tokens

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
