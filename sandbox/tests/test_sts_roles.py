"""`AssumeRole`: a role admits who its trust policy names, with the external ID that it asks for.

https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_common-scenarios_third-party.html
"""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Sandbox
from eks import trust, trusted_by_account

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
