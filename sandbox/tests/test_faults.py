"""Faults, idempotency tokens, eventual consistency."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from conftest import REGION, Sandbox
from eks import Eks
from network import Network, tagged


@pytest.mark.parametrize(
    ("service", "operation", "params", "code", "status"),
    [
        ("ec2", "describe_vpcs", {}, "RequestLimitExceeded", 503),
        ("s3", "list_buckets", {}, "SlowDown", 503),
        ("iam", "list_roles", {}, "Throttling", 400),
        ("dynamodb", "list_tables", {}, "ThrottlingException", 400),
        ("kms", "list_keys", {}, "ThrottlingException", 400),
        ("eks", "list_clusters", {}, "ThrottlingException", 429),
    ],
)
def test_throttle(
    sandbox: Sandbox, refused: Any, service: str, operation: str, params: dict, code: str, status: int
) -> None:
    sandbox.configure(faults=[{"on": f"{service}:*", "kind": "throttle", "times": 2}])
    call = getattr(sandbox.client(service), operation)
    refused(code, call, status, **params)
    refused(code, call, status, **params)
    call(**params)
    assert [entry["fault"] for entry in sandbox.log()] == ["throttle", "throttle", None]


def test_error_comes_before_the_effect(sandbox: Sandbox, refused: Any) -> None:
    ec2 = sandbox.client("ec2")
    fault = {"on": "ec2:CreateVpc", "kind": "error", "code": "UnauthorizedOperation", "status": 403, "message": "no"}
    sandbox.configure(faults=[fault])
    error = refused("UnauthorizedOperation", ec2.create_vpc, 403, CidrBlock="10.0.0.0/16")
    assert error.response["Error"]["Message"] == "no"
    assert len(ec2.describe_vpcs()["Vpcs"]) == 1


def test_error_after_has_had_its_effect(sandbox: Sandbox, refused: Any) -> None:
    ec2 = sandbox.client("ec2")
    sandbox.configure(faults=[{"on": "ec2:CreateVpc", "kind": "error_after", "times": 1}])
    refused("InternalError", ec2.create_vpc, 500, CidrBlock="10.0.0.0/16")
    assert len(ec2.describe_vpcs()["Vpcs"]) == 2


@pytest.mark.parametrize(("kind", "vpcs"), [("lost_request", 1), ("lost_response", 2)])
def test_lost(sandbox: Sandbox, kind: str, vpcs: int) -> None:
    ec2 = sandbox.client("ec2")
    sandbox.configure(faults=[{"on": "ec2:CreateVpc", "kind": kind}])
    with pytest.raises(ConnectionClosedError):
        ec2.create_vpc(CidrBlock="10.0.0.0/16")
    assert len(ec2.describe_vpcs()["Vpcs"]) == vpcs
    assert sandbox.log()[0]["fault"] == kind
    assert sandbox.log()[0]["status"] == 0


def test_latency_of_one_fault_and_of_all(sandbox: Sandbox) -> None:
    sts = sandbox.client("sts")
    sts.get_caller_identity()
    sandbox.configure(latencyMs=60, faults=[{"on": "sts:*", "kind": "latency", "ms": 120, "times": 1}])
    first, second = timed(sts.get_caller_identity), timed(sts.get_caller_identity)
    assert first >= 0.18
    assert 0.06 <= second < first
    assert [entry["fault"] for entry in sandbox.log()[1:]] == ["latency", None]


def timed(call: Any) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


def test_skip_match_and_seconds_limit_a_fault(sandbox: Sandbox, refused: Any) -> None:
    ec2 = sandbox.client("ec2")
    sandbox.configure(
        faults=[{"on": "ec2:Create*", "kind": "error", "code": "Late", "match": "10.7.0.0", "skip": 1, "seconds": 0.3}]
    )
    ec2.create_vpc(CidrBlock="10.6.0.0/16")
    ec2.create_vpc(CidrBlock="10.7.0.0/16")
    refused("Late", ec2.create_vpc, CidrBlock="10.7.0.0/16")
    ec2.create_vpc(CidrBlock="10.6.0.0/16")
    time.sleep(0.35)
    ec2.create_vpc(CidrBlock="10.7.0.0/16")


def test_match_looks_at_path_and_query_too(sandbox: Sandbox, refused: Any) -> None:
    s3 = sandbox.client("s3")
    for bucket in ("one-bucket", "two-bucket"):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    sandbox.configure(faults=[{"on": "s3:List*", "kind": "error", "code": "Here", "match": "two-bucket"}])
    s3.list_objects_v2(Bucket="one-bucket")
    refused("Here", s3.list_objects_v2, Bucket="two-bucket")
    sandbox.configure(faults=[{"on": "s3:List*", "kind": "error", "code": "Here", "match": "prefix=abc"}])
    s3.list_objects_v2(Bucket="two-bucket", Prefix="x")
    refused("Here", s3.list_objects_v2, Bucket="two-bucket", Prefix="abc")


def test_prob_is_repeatable_by_seed(sandbox: Sandbox) -> None:
    def run() -> list[int]:
        sandbox.configure(seed=11, faults=[{"on": "sts:*", "kind": "throttle", "prob": 0.5}])
        sandbox.ext("DELETE", "log")
        for _ in range(20):
            with contextlib.suppress(ClientError):
                sandbox.client("sts").get_caller_identity()
        return [entry["status"] for entry in sandbox.log()]

    first = run()
    assert first == run()
    assert {200, 400} == set(first)


class TestStale:
    def test_a_write_is_seen_late_and_only_its_own_service_waits(self, sandbox: Sandbox, refused: Any) -> None:
        ec2, iam = sandbox.client("ec2"), sandbox.client("iam")
        old = Network(ec2)
        time.sleep(1.1)
        sandbox.configure(faults=[{"on": "ec2:Describe*", "kind": "stale", "seconds": 1}])
        new = ec2.create_vpc(CidrBlock="10.1.0.0/16", TagSpecifications=tagged("vpc"))["Vpc"]["VpcId"]
        ec2.create_tags(Resources=[old.vpc], Tags=[{"Key": "later", "Value": "yes"}])
        made = time.monotonic()
        refused("InvalidVpcID.NotFound", ec2.describe_vpcs, VpcIds=[new])
        listed = {vpc["VpcId"]: vpc for vpc in ec2.describe_vpcs()["Vpcs"]}
        assert new not in listed
        assert [tag["Key"] for tag in listed[old.vpc]["Tags"]] == ["provisioner:stack"]
        assert iam.list_roles()["Roles"] == []
        time.sleep(max(0, 1.1 - (time.monotonic() - made)))
        listed = {vpc["VpcId"]: vpc for vpc in ec2.describe_vpcs()["Vpcs"]}
        assert new in listed
        assert "later" in [tag["Key"] for tag in listed[old.vpc]["Tags"]]
        assert {entry["fault"] for entry in sandbox.log() if entry["action"] == "DescribeVpcs"} == {"stale"}

    def test_writes_themselves_see_what_is(self, sandbox: Sandbox) -> None:
        ec2 = sandbox.client("ec2")
        sandbox.configure(faults=[{"on": "ec2:*", "kind": "stale", "seconds": 60}])
        network = Network(ec2)
        ec2.delete_subnet(SubnetId=network.subnets[0])
        assert [vpc["IsDefault"] for vpc in ec2.describe_vpcs()["Vpcs"]] == [True]

    def test_a_new_role_is_not_there_at_first(self, sandbox: Sandbox, refused: Any) -> None:
        iam = sandbox.client("iam")
        sandbox.configure(faults=[{"on": "iam:GetRole", "kind": "stale", "seconds": 0.3}])
        statement = {"Effect": "Allow", "Principal": {"Service": "eks.amazonaws.com"}, "Action": "sts:AssumeRole"}
        trust = json.dumps({"Statement": [statement]})
        iam.create_role(RoleName="fresh", AssumeRolePolicyDocument=trust)
        refused("NoSuchEntity", iam.get_role, 404, RoleName="fresh")
        assert [role["RoleName"] for role in iam.list_roles()["Roles"]] == ["fresh"]
        time.sleep(0.35)
        assert iam.get_role(RoleName="fresh")["Role"]["RoleName"] == "fresh"

    def test_the_tagging_index_lags_behind(self, sandbox: Sandbox) -> None:
        tagging = sandbox.client("resourcegroupstaggingapi")
        tagging.get_resources()
        sandbox.configure(faults=[{"on": "resourcegroupstaggingapi:*", "kind": "stale", "seconds": 0.8}])
        sandbox.client("kms").create_key(Tags=[{"TagKey": "a", "TagValue": "b"}])
        assert tagging.get_resources()["ResourceTagMappingList"] == []
        time.sleep(0.85)
        assert len(tagging.get_resources()["ResourceTagMappingList"]) == 1

    @pytest.mark.parametrize("service", ["s3", "dynamodb", "kms", "logs", "eks", "ssm"])
    def test_every_service_can_be_seen_late(self, sandbox: Sandbox, service: str) -> None:
        sandbox.configure(faults=[{"on": f"{service}:*", "kind": "stale", "seconds": 30}])
        s3, logs, kms = sandbox.client("s3"), sandbox.client("logs"), sandbox.client("kms")
        s3.create_bucket(Bucket="late-one", CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_object(Bucket="late-one", Key="k", Body=b"content")
        logs.create_log_group(logGroupName="/late")
        kms.create_key()
        sandbox.client("ssm").put_parameter(Name="/late/one", Value="v", Type="String")
        sandbox.client("dynamodb").create_table(
            TableName="late",
            KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        listing = {
            "s3": lambda: s3.list_buckets()["Buckets"],
            "dynamodb": lambda: sandbox.client("dynamodb").list_tables()["TableNames"],
            "kms": lambda: kms.list_keys()["Keys"],
            "logs": lambda: logs.describe_log_groups()["logGroups"],
            "eks": lambda: sandbox.client("eks").list_clusters()["clusters"],
            "ssm": lambda: sandbox.client("ssm").get_parameters_by_path(Path="/late")["Parameters"],
        }
        assert listing[service]() == []


class TestTokens:
    def test_a_replay_gives_the_first_answer(self, sandbox: Sandbox, refused: Any) -> None:
        ec2 = sandbox.client("ec2")
        network = Network(ec2)
        network.internet_gateway()
        address = network.address()
        first = network.nat_gateway(address, ClientToken="nat-1")
        assert network.nat_gateway(address, ClientToken="nat-1") == first
        refused(
            "IdempotentParameterMismatch",
            ec2.create_nat_gateway,
            400,
            SubnetId=network.subnets[1],
            AllocationId=address,
            ClientToken="nat-1",
        )
        table = network.route_table(ClientToken="rt-1")
        assert network.route_table(ClientToken="rt-1") == table
        assert network.route_table(ClientToken="rt-2") != table
        endpoint = network.gateway_endpoint([table], ClientToken="ep-1")
        assert network.gateway_endpoint([table], ClientToken="ep-1") == endpoint

    def test_a_lost_answer_can_be_asked_for_again(self, sandbox: Sandbox) -> None:
        network = Network(sandbox.client("ec2"))
        network.internet_gateway()
        address = network.address()
        sandbox.configure(faults=[{"on": "ec2:CreateNatGateway", "kind": "lost_response", "times": 1}])
        with pytest.raises(ConnectionClosedError):
            network.nat_gateway(address, ClientToken="t")
        nat = network.nat_gateway(address, ClientToken="t")
        assert [n["NatGatewayId"] for n in network.ec2.describe_nat_gateways()["NatGateways"]] == [nat]

    def test_a_refused_call_does_not_use_its_token_up(self, sandbox: Sandbox, refused: Any) -> None:
        ec2 = sandbox.client("ec2")
        refused("InvalidVpcID.NotFound", ec2.create_route_table, VpcId="vpc-0123456789abcdef0", ClientToken="t")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        assert ec2.create_route_table(VpcId=vpc, ClientToken="t")["RouteTable"]["VpcId"] == vpc

    def test_eks_says_it_with_another_code(self, sandbox: Sandbox, refused: Any) -> None:
        eks = Eks.again(sandbox)
        params = eks.wanted(clientRequestToken="same")
        create = eks.client.create_cluster
        first = create(**params)["cluster"]["arn"]
        assert create(**params)["cluster"]["arn"] == first
        refused("InvalidParameterException", create, 400, **{**params, "deletionProtection": True})

    def test_transactions(self, sandbox: Sandbox, refused: Any) -> None:
        dynamodb = sandbox.client("dynamodb")
        dynamodb.create_table(
            TableName="t",
            KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        dynamodb.get_waiter("table_exists").wait(TableName="t", WaiterConfig={"Delay": 1})
        put = {
            "TableName": "t",
            "Item": {"k": {"S": "1"}},
            "ConditionExpression": "attribute_not_exists(k)",
        }
        for _ in range(2):
            dynamodb.transact_write_items(TransactItems=[{"Put": put}], ClientRequestToken="once")
        refused(
            "IdempotentParameterMismatchException",
            dynamodb.transact_write_items,
            TransactItems=[{"Put": {**put, "Item": {"k": {"S": "2"}}}}],
            ClientRequestToken="once",
        )
        refused("TransactionCanceledException", dynamodb.transact_write_items, TransactItems=[{"Put": put}])


def test_of_many_at_once_one_wins(sandbox: Sandbox) -> None:
    s3, eks = sandbox.client("s3"), Eks.again(sandbox)
    s3.create_bucket(Bucket="race", CreateBucketConfiguration={"LocationConstraint": REGION})
    etag = s3.put_object(Bucket="race", Key="k", Body=b"0")["ETag"]
    won: list[str] = []

    def race(n: int) -> None:
        for name, call in (
            ("put", lambda: s3.put_object(Bucket="race", Key="k", Body=str(n + 1).encode(), IfMatch=etag)),
            ("cluster", eks.create),
        ):
            try:
                call()
                won.append(name)
            except ClientError:
                pass

    threads = [threading.Thread(target=race, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == ["cluster", "put"]
