"""`AssumeRole`: a role admits who its trust policy names, with the external ID that it asks for.

https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_common-scenarios_third-party.html
"""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from conftest import REGION, Sandbox
from eks import Eks, trust, trusted_by_account
from kubernetes import Client, token

ROLE = "arn:aws:iam::123456789012:role/platform"


def made(sandbox: Sandbox, document: str) -> None:
    sandbox.client("iam").create_role(RoleName="platform", AssumeRolePolicyDocument=document)


def assumed(sandbox: Sandbox, **more: Any) -> str:
    answer = sandbox.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="provisioner-shop", **more)
    return answer["AssumedRoleUser"]["Arn"]


def test_a_role_that_trusts_the_account(sandbox: Sandbox) -> None:
    made(sandbox, trusted_by_account())
    assert assumed(sandbox) == "arn:aws:sts::123456789012:assumed-role/platform/provisioner-shop"


def test_the_external_id_is_the_right_one(sandbox: Sandbox, refused: Any) -> None:
    made(sandbox, trusted_by_account(Condition={"StringEquals": {"sts:ExternalId": "shop-4711"}}))
    for more in ({}, {"ExternalId": "other"}):
        refused("AccessDenied", lambda more=more: assumed(sandbox, **more))
    assert assumed(sandbox, ExternalId="shop-4711")


@pytest.mark.parametrize("service", [None, "ec2.amazonaws.com"])
def test_no_role_and_one_that_trusts_a_service_only(sandbox: Sandbox, refused: Any, service: str | None) -> None:
    if service:
        made(sandbox, trust(service))
    refused("AccessDenied", lambda: assumed(sandbox))


class TestTheSession:
    """https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html tells a session, and
    https://docs.aws.amazon.com/eks/latest/userguide/access-entries.html says that an entry is of the role.
    """

    ARN = "arn:aws:sts::123456789012:assumed-role/platform/provisioner-shop"

    @pytest.fixture
    def keys(self, sandbox: Sandbox) -> dict[str, str]:
        made(sandbox, trusted_by_account())
        found = sandbox.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="provisioner-shop")["Credentials"]
        return {
            "aws_access_key_id": found["AccessKeyId"], "aws_secret_access_key": found["SecretAccessKey"],
            "aws_session_token": found["SessionToken"],
        }  # fmt: skip

    def test_is_the_caller_and_other_keys_are_the_user(self, sandbox: Sandbox, keys: dict[str, str]) -> None:
        def who(**given: str) -> dict[str, str]:
            client = boto3.client("sts", region_name=REGION, endpoint_url=sandbox.endpoint, **given)
            return client.get_caller_identity()

        assert who(**keys)["Arn"] == self.ARN
        assert who(**keys)["UserId"].endswith(":provisioner-shop")
        for key in ("any", "ASIAUNKNOWNUNKNOWNXX"):
            found = who(aws_access_key_id=key, aws_secret_access_key="thing")
            assert found["Arn"] == "arn:aws:iam::123456789012:user/sandbox"

    def test_creates_a_cluster_for_its_role(self, sandbox: Sandbox, keys: dict[str, str]) -> None:
        eks = Eks(sandbox)
        eks.client = boto3.client("eks", region_name=REGION, endpoint_url=sandbox.endpoint, **keys)
        eks.active(accessConfig={"authenticationMode": "API"})
        assert ROLE in sandbox.client("eks").list_access_entries(clusterName="demo")["accessEntries"]
        given = keys["aws_access_key_id"], keys["aws_secret_access_key"]
        bearer = token(key=given[0], secret=given[1], session=keys["aws_session_token"])
        assert Client(eks.cluster(), bearer)("GET", "/api/v1/namespaces")[0] == 200
        # Another one has no entry there.
        assert Client(eks.cluster(), token())("GET", "/api/v1/namespaces")[0] == 401

    def test_may_what_the_caller_may(self, sandbox: Sandbox, keys: dict[str, str]) -> None:
        client = boto3.client("iam", region_name=REGION, endpoint_url=sandbox.endpoint, **keys)
        assert client.list_roles()["Roles"]
        sandbox.configure(callerPolicy=[])
        with pytest.raises(client.exceptions.ClientError, match=f"User: {self.ARN} is not authorized"):
            client.list_roles()
