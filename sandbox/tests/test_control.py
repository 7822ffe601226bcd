"""The process, and `/_ext/`."""

from __future__ import annotations

import json
import os
import sys
import signal
import socket
import time
from pathlib import Path

import pytest
from conftest import REGION, TIME_SCALE, Sandbox, await_endpoint, start


def test_start_writes_the_endpoint_once_it_answers_and_sigterm_ends_it(tmp_path: Path) -> None:
    process = start(tmp_path, "--port", "0", "--time-scale", "7")
    try:
        endpoint = await_endpoint(tmp_path, process)
        assert set(endpoint) == {
            "endpoint", "port", "pid", "startTime", "version", "accessKeyId", "secretAccessKey",
        }  # fmt: skip
        assert endpoint["pid"] == process.pid
        assert endpoint["endpoint"] == f"http://127.0.0.1:{endpoint['port']}"
        status, answer = Sandbox(endpoint["endpoint"]).ext("GET", "status")
        assert status == 200
        python = f"{sys.version_info[0]}.{sys.version_info[1]}"
        assert answer.pop("platform").startswith("linux/")
        assert answer == {
            "running": True, "pid": process.pid, "version": endpoint["version"], "timeScale": 7.0, "calls": 0, "held": None, "python": python,
            "kubernetes": "stand-in", "unisolated": None if os.geteuid() == 0 else answer["unisolated"],
        }  # fmt: skip
    finally:
        process.terminate()
    assert process.wait(timeout=60) == -signal.SIGTERM


def test_it_listens_on_loopback_alone(running: Sandbox) -> None:
    port = int(running.endpoint.rpartition(":")[2])
    other = socket.create_server(("127.0.0.2", port))  # would be taken, were it bound to all addresses
    other.close()


@pytest.mark.parametrize("scale", ["0", "-1", "x"])
def test_a_useless_time_scale_is_refused_at_the_start(tmp_path: Path, scale: str) -> None:
    process = start(tmp_path, "--time-scale", scale)
    assert process.wait(timeout=60) == 2
    assert "--time-scale" in (tmp_path / "stderr").read_text()


def test_log_names_operation_and_resource_of_every_protocol(sandbox: Sandbox) -> None:
    s3, ec2, iam = sandbox.client("s3"), sandbox.client("ec2"), sandbox.client("iam")
    s3.create_bucket(Bucket="logs-here", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket="logs-here", VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket="logs-here", Key="a/b c.json", Body=b"{}")
    s3.list_objects_v2(Bucket="logs-here")
    s3.list_buckets()
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    ec2.describe_vpcs(VpcIds=[vpc])
    ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")
    ec2.create_security_group(GroupName="g", Description="d", VpcId=vpc)
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust("eks.amazonaws.com"))
    sandbox.client("dynamodb").list_tables()
    sandbox.client("logs").create_log_group(logGroupName="/g")
    with pytest.raises(Exception, match="No cluster"):
        sandbox.client("eks").describe_cluster(name="none")
    with pytest.raises(Exception, match="GetBucketPolicy"):
        s3.get_bucket_policy(Bucket="logs-here")
    lines = [(e["service"], e["action"], e["resource"], e["status"], e["fault"]) for e in sandbox.log()]
    assert lines == [
        ("s3", "CreateBucket", "logs-here", 200, None),
        ("s3", "PutBucketVersioning", "logs-here", 200, None),
        ("s3", "PutObject", "logs-here/a/b c.json", 200, None),
        ("s3", "ListObjectsV2", "logs-here", 200, None),
        ("s3", "ListBuckets", None, 200, None),
        ("ec2", "CreateVpc", None, 200, None),
        ("ec2", "DescribeVpcs", vpc, 200, None),
        ("ec2", "CreateSubnet", vpc, 200, None),
        ("ec2", "CreateSecurityGroup", "g", 200, None),
        ("iam", "CreateRole", "r", 200, None),
        ("dynamodb", "ListTables", None, 200, None),
        ("logs", "CreateLogGroup", "/g", 200, None),
        ("eks", "DescribeCluster", "none", 404, None),
        ("s3", "GetBucketPolicy", "logs-here", 404, None),
    ]
    assert [entry["n"] for entry in sandbox.log()] == list(range(1, 15))
    assert all(abs(entry["time"] - time.time()) < 60 for entry in sandbox.log())


def trust(service: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_only_delete_and_reset_empty_the_log(sandbox: Sandbox) -> None:
    sandbox.client("sts").get_caller_identity()
    sandbox.configure(seed=1)
    assert len(sandbox.log()) == 1
    assert sandbox.ext("DELETE", "log")[0] == 200
    assert sandbox.log() == []
    assert sandbox.ext("GET", "status")[1]["calls"] == 1
    sandbox.client("sts").get_caller_identity()
    sandbox.ext("POST", "reset")
    assert sandbox.log() == []


def test_reset_empties_backends_tokens_and_config(sandbox: Sandbox) -> None:
    ec2 = sandbox.client("ec2")
    sandbox.configure(timeScale=3, faults=[{"on": "sts:*", "kind": "error", "code": "Nope"}])
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    table = ec2.create_route_table(VpcId=vpc, ClientToken="t")["RouteTable"]["RouteTableId"]
    sandbox.ext("POST", "reset")
    assert sandbox.ext("GET", "status")[1]["timeScale"] == TIME_SCALE
    assert sandbox.client("sts").get_caller_identity()["Account"] == "123456789012"
    assert len(ec2.describe_vpcs()["Vpcs"]) == 1
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    assert ec2.create_route_table(VpcId=vpc, ClientToken="t")["RouteTable"]["RouteTableId"] != table


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"faultz": []}, "faultz"),
        ({"timeScale": 0}, "timeScale"),
        ({"timeScale": -5}, "timeScale"),
        ({"timeScale": "fast"}, "timeScale"),
        ({"seed": 1.5}, "seed"),
        ({"seed": True}, "seed"),
        ({"faults": {}}, "faults"),
        ({"faults": [{"on": "ec2:*"}]}, "kind"),
        ({"faults": [{"kind": "error"}]}, "on"),
        ({"faults": [{"on": "ec2:*", "kind": "explode"}]}, "kind"),
        ({"faults": [{"on": "ec2:*", "kind": "error", "time": 1}]}, "time"),
        ({"faults": [{"on": "ec2:*", "kind": "error", "times": "1"}]}, "times"),
        ({"faults": [{"on": "ec2:*", "kind": "error", "prob": 2}]}, "prob"),
        ({"faults": [{"on": "ec2:*", "kind": "latency"}]}, "ms"),
        ({"health": [{"on": "addon/coredns", "state": "x"}]}, "state"),
        ({"health": [{"on": "addon/"}]}, "health"),
        ({"health": [{"on": "cluster", "resourceIds": [1]}]}, "resourceIds"),
        ([], "config"),
    ],
)
def test_bad_config_is_refused_and_changes_nothing(sandbox: Sandbox, document: object, words: str) -> None:
    sandbox.configure(timeScale=9)
    status, answer = sandbox.ext("POST", "config", document)
    assert status == 400
    assert words in answer["message"]
    assert sandbox.ext("GET", "status")[1]["timeScale"] == 9


def test_config_replaces_what_was_set(sandbox: Sandbox) -> None:
    sandbox.configure(faults=[{"on": "sts:*", "kind": "error", "code": "Nope"}])
    health = [{"on": "addon/coredns", "status": "DEGRADED", "code": "X", "message": "m", "resourceIds": ["a"]}]
    sandbox.configure(health=health)
    assert sandbox.client("sts").get_caller_identity()["Account"] == "123456789012"


def test_unknown_control_paths(sandbox: Sandbox) -> None:
    assert sandbox.ext("GET", "nothing")[0] == 404
    assert sandbox.ext("POST", "status", {})[0] == 405


def test_a_saved_account_is_restored_as_often_as_wanted(sandbox: Sandbox) -> None:
    ssm, ec2 = sandbox.client("ssm"), sandbox.client("ec2")
    ssm.put_parameter(Name="/kept", Value="first", Type="String")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    assert sandbox.ext("POST", "restore", "unknown")[0] == 409
    assert sandbox.ext("POST", "save", "before")[0] == 200
    for _ in range(2):
        ssm.put_parameter(Name="/kept", Value="second", Type="String", Overwrite=True)
        ssm.put_parameter(Name="/new", Value="new", Type="String")
        ec2.delete_vpc(VpcId=vpc)
        assert sandbox.ext("POST", "restore", "before")[0] == 200
        assert ssm.get_parameter(Name="/kept")["Parameter"]["Value"] == "first"
        assert ssm.get_parameters(Names=["/new"])["Parameters"] == []
        assert ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["CidrBlock"] == "10.0.0.0/16"


def test_saved_objects_outlast_a_reset(sandbox: Sandbox) -> None:
    s3 = sandbox.client("s3")
    s3.create_bucket(Bucket="kept-4711", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    s3.put_object(Bucket="kept-4711", Key="state", Body=b"first")
    assert sandbox.ext("POST", "save", "objects")[0] == 200
    for _ in range(2):
        assert sandbox.ext("POST", "reset")[0] == 200
        assert sandbox.ext("POST", "restore", "objects")[0] == 200
        assert s3.get_object(Bucket="kept-4711", Key="state")["Body"].read() == b"first"
        s3.put_object(Bucket="kept-4711", Key="state", Body=b"second")


def test_the_name_of_a_bucket_is_free_again_after_a_restore(sandbox: Sandbox) -> None:
    s3 = sandbox.client("s3")
    where = {"CreateBucketConfiguration": {"LocationConstraint": "eu-central-1"}}
    assert sandbox.ext("POST", "save", "empty")[0] == 200
    for _ in range(2):
        s3.create_bucket(Bucket="theirs-4711", **where)
        assert sandbox.ext("POST", "restore", "empty")[0] == 200
        assert s3.list_buckets()["Buckets"] == []
