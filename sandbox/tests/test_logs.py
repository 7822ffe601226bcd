"""Log groups: the keys that they may be encrypted with, and what their deletion leaves."""

from __future__ import annotations

import time
from typing import Any

import pytest
from conftest import REGION, Sandbox
from eks import FAST, SLOW, Eks
from policies import ACCOUNT, ROOT_STATEMENT, allow, deny, document, for_logs

NAME = "/aws/eks/demo/cluster"
ARN = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{NAME}"
# At this pace minutes take tenths of a second.
MINUTES = 200
CONTEXT = "kms:EncryptionContext:aws:logs:arn"


def only_for(arn: str) -> dict[str, Any]:
    return for_logs(REGION, Condition={"ArnEquals": {CONTEXT: [arn, f"{ARN}-2"]}})


class Logs:
    def __init__(self, sandbox: Sandbox):
        self.client, self.kms = sandbox.client("logs"), sandbox.client("kms")

    def key(self, *statements: dict[str, Any]) -> str:
        return self.kms.create_key(Policy=document(ROOT_STATEMENT, *statements))["KeyMetadata"]["Arn"]

    def names(self) -> list[str]:
        return [group["logGroupName"] for group in self.client.describe_log_groups()["logGroups"]]


@pytest.fixture
def logs(sandbox: Sandbox) -> Logs:
    return Logs(sandbox)


class TestKeys:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html"""

    @pytest.mark.parametrize(
        "statements",
        [
            [],
            [for_logs("eu-west-3")],
            [only_for(f"{ARN}-1")],
            [allow("kms:Decrypt", Principal={"Service": f"logs.{REGION}.amazonaws.com"})],
            [for_logs(REGION), deny("kms:GenerateDataKey*", Principal="*")],
            [allow("kms:*", Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:user/sandbox"})],
        ],
    )
    def test_a_policy_that_does_not_let_the_service(self, logs: Logs, refused: Any, statements: list[Any]) -> None:
        key = logs.key(*statements)
        error = refused("AccessDeniedException", logs.client.create_log_group, 400, logGroupName=NAME, kmsKeyId=key)
        assert f"is not allowed to be used with Arn '{ARN}'" in str(error)
        assert logs.names() == []
        logs.client.create_log_group(logGroupName=NAME)
        refused("AccessDeniedException", logs.client.associate_kms_key, 400, logGroupName=NAME, kmsKeyId=key)
        assert "kmsKeyId" not in logs.client.describe_log_groups()["logGroups"][0]

    @pytest.mark.parametrize(
        "statement",
        [
            for_logs(REGION),
            only_for(ARN),
            {**for_logs(REGION), "Principal": {"Service": "logs.amazonaws.com"}},
            {**for_logs(REGION), "Principal": "*", "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}}},
        ],
    )
    def test_a_policy_that_does(self, logs: Logs, statement: dict[str, Any]) -> None:
        key = logs.key(statement)
        logs.client.create_log_group(logGroupName=NAME, kmsKeyId=key)
        assert logs.client.describe_log_groups()["logGroups"][0]["kmsKeyId"] == key

    def test_a_key_that_cannot_be_used(self, logs: Logs, refused: Any) -> None:
        key = logs.key(for_logs(REGION))
        logs.kms.create_alias(AliasName="alias/logs", TargetKeyId=key)
        for given in (key[:-1] + "x", "alias/logs", key.partition("key/")[2], key.replace(REGION, "us-east-1")):
            refused("InvalidParameterException", logs.client.create_log_group, 400, logGroupName=NAME, kmsKeyId=given)
        logs.kms.disable_key(KeyId=key)
        refused("InvalidParameterException", logs.client.create_log_group, 400, logGroupName=NAME, kmsKeyId=key)
        logs.kms.schedule_key_deletion(KeyId=key)
        refused("InvalidParameterException", logs.client.create_log_group, 400, logGroupName=NAME, kmsKeyId=key)
        assert logs.names() == []


def test_tags_go_with_their_group(sandbox: Sandbox, logs: Logs) -> None:
    tagging = sandbox.client("resourcegroupstaggingapi")

    def tagged() -> list[str]:
        found = tagging.get_resources(ResourceTypeFilters=["logs:log-group"])["ResourceTagMappingList"]
        return [entry["ResourceARN"] for entry in found]

    logs.client.create_log_group(logGroupName=NAME, tags={"stack": "one"})
    assert tagged() == [ARN]
    logs.client.delete_log_group(logGroupName=NAME)
    assert tagged() == []
    # Another group of that name begins without any.
    logs.client.create_log_group(logGroupName=NAME)
    assert logs.client.list_tags_for_resource(resourceArn=ARN)["tags"] == {}
    assert tagged() == []


class TestControlPlane:
    """What EKS logs: https://github.com/terraform-aws-modules/terraform-aws-eks/issues/920 and 2763."""

    ON = {"clusterLogging": [{"types": ["audit"], "enabled": True}]}

    def deleted(self, eks: Eks, logging: Any = ON, **config: Any) -> Eks:
        """A cluster that is gone, with AWS's time nearly standing still."""
        eks.active(logging=logging)
        eks.client.delete_cluster(name="demo")
        # Its end comes with the first call after its time, and so at the slow pace.
        eks.sandbox.configure(timeScale=FAST, **config)
        time.sleep(0.1)
        eks.sandbox.configure(timeScale=SLOW, **config)
        assert eks.client.list_clusters()["clusters"] == []
        return eks

    def pass_minutes(self, eks: Eks, **config: Any) -> None:
        eks.sandbox.configure(timeScale=MINUTES, **config)
        time.sleep(0.8)
        eks.sandbox.configure(timeScale=SLOW, **config)

    def test_they_come_for_two_minutes(self, sandbox: Sandbox, logs: Logs) -> None:
        self.deleted(Eks.again(sandbox), lateLogs=True)
        logs.client.delete_log_group(logGroupName=NAME)
        sandbox.configure(timeScale=MINUTES, lateLogs=True)
        again = 0
        limit = time.monotonic() + 1
        while time.monotonic() < limit:
            if logs.names():
                logs.client.delete_log_group(logGroupName=NAME)
                again += 1
        assert 1 <= again <= 4
        assert logs.names() == []

    def test_the_last_events_create_the_group_again(self, sandbox: Sandbox, logs: Logs) -> None:
        eks = self.deleted(Eks.again(sandbox), lateLogs=True)
        logs.client.tag_resource(resourceArn=ARN, tags={"stack": "one"})
        logs.client.delete_log_group(logGroupName=NAME)
        assert logs.names() == []
        self.pass_minutes(eks, lateLogs=True)
        (group,) = logs.client.describe_log_groups()["logGroups"]
        assert group["logGroupName"] == NAME
        assert "retentionInDays" not in group and "kmsKeyId" not in group
        assert logs.client.list_tags_for_resource(resourceArn=ARN)["tags"] == {}
        # Two minutes later none arrives any more.
        logs.client.delete_log_group(logGroupName=NAME)
        self.pass_minutes(eks, lateLogs=True)
        assert logs.names() == []

    def test_only_if_so_configured(self, sandbox: Sandbox, logs: Logs) -> None:
        eks = self.deleted(Eks.again(sandbox))
        logs.client.delete_log_group(logGroupName=NAME)
        self.pass_minutes(eks)
        assert logs.names() == []

    def test_only_of_a_cluster_with_logs(self, sandbox: Sandbox, logs: Logs) -> None:
        eks = self.deleted(Eks.again(sandbox), logging={"clusterLogging": []}, lateLogs=True)
        self.pass_minutes(eks, lateLogs=True)
        assert logs.names() == []

    def test_a_group_that_goes_before_its_cluster_comes_again(self, sandbox: Sandbox, logs: Logs) -> None:
        eks = Eks.again(sandbox)
        eks.active(logging=self.ON)
        logs.client.delete_log_group(logGroupName=NAME)
        eks.client.delete_cluster(name="demo")
        eks.gone(eks.cluster)
        assert logs.names() == [NAME]

    @pytest.mark.parametrize("value", [1, "true", None])
    def test_the_configuration_is_a_boolean(self, sandbox: Sandbox, value: Any) -> None:
        assert sandbox.ext("POST", "config", {"lateLogs": value})[0] == 400
