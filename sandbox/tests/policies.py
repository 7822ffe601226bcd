"""Policy documents, as the tests of permissions write them."""

from __future__ import annotations

import json
from typing import Any

ACCOUNT = "123456789012"
CALLER = f"arn:aws:iam::{ACCOUNT}:user/sandbox"


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(*actions: str, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource, **more}


def deny(*actions: str, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {**allow(*actions, resource=resource, **more), "Effect": "Deny"}


# What lets the policies of users and roles decide on a key, as in each key's default policy.
ROOT_STATEMENT = allow("kms:*", Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"})
AUTO_SCALING = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"


def document(*statements: dict[str, Any]) -> str:
    return json.dumps(policy(*statements))


def for_logs(region: str, **more: Any) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html"""
    actions = ("kms:Encrypt*", "kms:Decrypt*", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*")
    return allow(*actions, Principal={"Service": f"logs.{region}.amazonaws.com"}, **more)


def for_disks() -> dict[str, Any]:
    """https://docs.aws.amazon.com/autoscaling/ec2/userguide/key-policy-requirements-EBS-encryption.html"""
    actions = ("kms:Decrypt", "kms:GenerateDataKey*", "kms:CreateGrant", "kms:DescribeKey")
    return allow(*actions, Principal={"AWS": AUTO_SCALING})
