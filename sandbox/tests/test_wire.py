"""What is refused and what is not, in which shape; protocols; other clients."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
import zlib
from typing import Any

import pytest
from botocore.parsers import RpcV2CBORParser
from conftest import REGION, Sandbox
from network import Network

SCOPE = "AWS4-HMAC-SHA256 Credential=any/20260101/{region}/{service}/aws4_request, SignedHeaders=host, Signature=00"


def raw(
    sandbox: Sandbox, service: str, method: str = "POST", path: str = "/", body: bytes = b"", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    given = {key.replace("_", "-"): value for key, value in headers.items()}
    given["Authorization"] = SCOPE.format(region=REGION, service=service)
    request = urllib.request.Request(sandbox.endpoint + path, body or None, given, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def form(text: str) -> dict[str, Any]:
    return {"body": text.encode(), "Content_Type": "application/x-www-form-urlencoded"}


class TestEc2:
    @pytest.mark.parametrize(
        ("text", "code"),
        [
            ("Action=CreateVpc&Version=2016-11-15", None),
            ("Action=CreateSubnet&Version=2016-11-15&CidrBlock=10.0.0.0/24", "MissingParameter"),
            ("Action=DescribeVpcs&Version=2016-11-15&VpcIdz.1=x", "UnknownParameter"),
            ("Action=DescribeVpcs&Version=2016-11-15&Filter.1.Nam=x", "UnknownParameter"),
            ("Action=DescribeVpcs&Version=2016-11-15&Filter.x.Name=x", "UnknownParameter"),
            ("Action=DescribeVpcs&Version=2016-11-15&MaxResults=many", "InvalidParameterValue"),
            ("Action=DescribeVpcs&Version=2016-11-15&MaxResults=4", "InvalidParameterValue"),
            ("Action=DescribeVpcs&Version=2016-11-15&DryRun=perhaps", "InvalidParameterValue"),
            ("Action=CreateVpc&Version=2016-11-15&CidrBlock=10.0.0.0/16&InstanceTenancy=odd", "InvalidParameterValue"),
        ],
    )
    def test_parameters(self, sandbox: Sandbox, text: str, code: str | None) -> None:
        status, headers, body = raw(sandbox, "ec2", **form(text))
        if code is None:
            assert status == 400  # CreateVpc takes no CIDR only with an IPAM pool
            return
        assert status == 400
        assert headers["Content-Type"].startswith("text/xml")
        assert f"<Response><Errors><Error><Code>{code}</Code>".encode() in body

    def test_message_of_a_missing_parameter(self, sandbox: Sandbox, refused: Any) -> None:
        error = refused("MissingParameter", sandbox.client("ec2").create_subnet, CidrBlock="10.0.0.0/24")
        assert error.response["Error"]["Message"] == "The request must contain the parameter vpcId"


@pytest.mark.parametrize(
    ("service", "operation", "params", "code"),
    [
        ("iam", "create_role", {"AssumeRolePolicyDocument": "{}"}, "ValidationError"),
        ("iam", "create_role", {"RoleName": "r" * 65, "AssumeRolePolicyDocument": "{}"}, "ValidationError"),
        ("iam", "create_role", {"RoleName": "a b", "AssumeRolePolicyDocument": "{}"}, "ValidationError"),
        ("iam", "list_roles", {"MaxItems": 1001}, "ValidationError"),
        ("kms", "create_key", {"KeyUsage": "NOTHING"}, "ValidationException"),
        ("kms", "create_alias", {"AliasName": "alias/x"}, "ValidationException"),
        ("kms", "create_key", {"Tags": [{"TagKey": "k" * 129, "TagValue": ""}]}, "ValidationException"),
        ("dynamodb", "describe_table", {"TableName": ""}, "ValidationException"),
        ("dynamodb", "describe_table", {}, "ValidationException"),
        ("logs", "create_log_group", {"logGroupName": "not!allowed?"}, "InvalidParameterException"),
        ("logs", "put_retention_policy", {"logGroupName": "/g"}, "InvalidParameterException"),
        ("ecr", "create_repository", {"repositoryName": "UPPER"}, "InvalidParameterException"),
        ("resourcegroupstaggingapi", "get_resources", {"ResourcesPerPage": 101}, "InvalidParameterException"),
        ("eks", "create_cluster", {"name": "c", "resourcesVpcConfig": {}}, "InvalidParameterException"),
        (
            "eks",
            "create_cluster",
            {"name": "-c", "roleArn": "r", "resourcesVpcConfig": {}},
            "InvalidParameterException",
        ),
    ],
)
def test_the_model_is_kept_to(
    sandbox: Sandbox, refused: Any, service: str, operation: str, params: dict, code: str
) -> None:
    error = refused(code, getattr(sandbox.client(service), operation), 400, **params)
    if service != "ecr":
        assert "1 validation error detected: Value" in error.response["Error"]["Message"]


def test_wrong_json_types(sandbox: Sandbox) -> None:
    for body in (b'{"TableName": 5}', b"[]", b"{", b'{"TableName": true}'):
        status, _, answer = raw(
            sandbox,
            "dynamodb",
            body=body,
            X_Amz_Target="DynamoDB_20120810.DescribeTable",
            Content_Type="application/x-amz-json-1.0",
        )
        assert (status, json.loads(answer)["__type"]) == (400, "SerializationException"), body


class TestNotImplemented:
    CASES = [
        ("ec2", "describe_ipams", {}),
        ("iam", "get_context_keys_for_custom_policy", {"PolicyInputList": ["{}"]}),
        ("sts", "decode_authorization_message", {"EncodedMessage": "x"}),
        ("ecr", "describe_pull_through_cache_rules", {}),
        ("eks", "list_eks_anywhere_subscriptions", {}),
        ("service-quotas", "list_requested_service_quota_change_history", {}),
        ("cloudtrail", "lookup_events", {}),
        ("translate", "list_languages", {}),
    ]

    @pytest.mark.parametrize(("service", "operation", "params"), CASES)
    def test_calls_that_moto_does_not_have(
        self, sandbox: Sandbox, refused: Any, service: str, operation: str, params: dict
    ) -> None:
        error = refused("NotImplementedByTarget", getattr(sandbox.client(service), operation), 501, **params)
        assert "<html" not in str(error.response).lower()
        assert sandbox.log()[-1]["status"] == 501

    @pytest.mark.parametrize(
        ("service", "arguments"),
        [
            ("ec2", form("Action=MakeCoffee&Version=2016-11-15")),
            ("sts", form("Action=MakeCoffee&Version=2011-06-15")),
            ("dynamodb", {"body": b"{}", "X_Amz_Target": "DynamoDB_20120810.MakeCoffee"}),
            ("eks", {"method": "GET", "path": "/coffee/1"}),
            ("nosuchservice", {"body": b"{}"}),
        ],
    )
    def test_calls_that_do_not_exist(self, sandbox: Sandbox, service: str, arguments: dict) -> None:
        status, _, body = raw(sandbox, service, **arguments)
        assert status == 501
        assert b"NotImplementedByTarget" in body


class TestChunks:
    """As SDKs for Rust, Go and Java send streams: a checksum that is known at the end comes there."""

    def put(self, sandbox: Sandbox, content: bytes, checksum: bytes) -> tuple[int, dict[str, str], bytes]:
        half = len(content) // 2
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (content[:half], content[half:]))
        trailer = b"0\r\nx-amz-checksum-crc32:%s\r\n\r\n" % base64.b64encode(checksum)
        return raw(
            sandbox,
            "s3",
            "PUT",
            "/chunked-bucket/key?x-id=PutObject",
            chunks + trailer,
            Content_Encoding="aws-chunked",
            X_Amz_Content_Sha256="STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            X_Amz_Decoded_Content_Length=str(len(content)),
            X_Amz_Trailer="x-amz-checksum-crc32",
        )

    def test_put(self, sandbox: Sandbox) -> None:
        s3 = sandbox.client("s3")
        s3.create_bucket(Bucket="chunked-bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
        content = b"some\r\ncontent" * 100
        assert self.put(sandbox, content, zlib.crc32(content).to_bytes(4, "big"))[0] == 200
        got = s3.get_object(Bucket="chunked-bucket", Key="key")
        assert got["Body"].read() == content
        assert "aws-chunked" not in got.get("ContentEncoding", "")
        assert sandbox.log()[-2]["action"] == "PutObject"

    def test_a_wrong_trailer(self, sandbox: Sandbox) -> None:
        sandbox.client("s3").create_bucket(
            Bucket="chunked-bucket", CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        status, _, body = self.put(sandbox, b"content", bytes(4))
        assert status == 400
        assert b"BadDigest" in body


def test_cbor(sandbox: Sandbox) -> None:
    sandbox.client("kms").create_key(Tags=[{"TagKey": "a", "TagValue": "b"}])
    path = "/service/ResourceGroupsTaggingAPI_20170126/operation/GetResources"
    cbor = {"Content_Type": "application/cbor", "smithy_protocol": "rpc-v2-cbor"}
    # {"TagFilters": [{"Key": "a"}]}
    body = b"\xa1\x6aTagFilters\x81\xa1\x63Key\x61a"
    status, headers, answer = raw(sandbox, "tagging", path=path, body=body, **cbor)
    assert (status, headers["smithy-protocol"]) == (200, "rpc-v2-cbor")
    found = RpcV2CBORParser()._initial_body_parse(answer)
    assert found["ResourceTagMappingList"][0]["Tags"] == [{"Key": "a", "Value": "b"}]
    status, _, answer = raw(sandbox, "tagging", path=path, body=b"\xa1\x70ResourcesPerPage\x18\xff", **cbor)
    assert status == 400
    assert RpcV2CBORParser()._initial_body_parse(answer)["__type"] == "InvalidParameterException"


def test_a_presigned_identity(sandbox: Sandbox) -> None:
    """What an EKS token is."""
    url = sandbox.client("sts").generate_presigned_url("get_caller_identity", HttpMethod="GET")
    with urllib.request.urlopen(url) as answer:
        assert b"<Account>123456789012</Account>" in answer.read()


# One process for all commands, most of whose time goes into the imports.
COMMANDS = """
import json, sys
from awscli.clidriver import create_clidriver
driver = create_clidriver()
sys.exit(any([driver.main(command) for command in json.loads(sys.argv[1])]))
"""


def aws(sandbox: Sandbox, *commands: tuple[str, ...]) -> bytes:
    """The aws command line, as a client of another author."""
    options = ["--endpoint-url", sandbox.endpoint, "--region", REGION, "--output", "json"]
    return subprocess.run(
        [sys.executable, "-c", COMMANDS, json.dumps([[*options, *command] for command in commands])],
        env={**os.environ, "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "thing", "AWS_CONFIG_FILE": os.devnull},
        capture_output=True,
        check=True,
    ).stdout


def test_aws_command_line(sandbox: Sandbox, tmp_path: Any) -> None:
    network = Network(sandbox.client("ec2"))
    (tmp_path / "file").write_bytes(b"content")
    filters = ("--filters", f"Name=vpc-id,Values={network.vpc}", "--page-size", "5")
    said = aws(
        sandbox,
        ("ec2", "describe-subnets", *filters),
        ("s3", "mb", "s3://from-the-shell"),
        ("s3", "cp", str(tmp_path / "file"), "s3://from-the-shell/a/file"),
        ("s3", "cp", "s3://from-the-shell/a/file", str(tmp_path / "copy")),
    )
    found, _ = json.JSONDecoder().raw_decode(said.decode())
    assert {subnet["SubnetId"] for subnet in found["Subnets"]} == set(network.subnets)
    assert (tmp_path / "copy").read_bytes() == b"content"
