"""The key that encrypts a cluster's secrets."""

from __future__ import annotations

from typing import Any

from provisioner_sandbox import key_use, keys
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.keys import KeyProblem
from provisioner_sandbox.registry import Call
from provisioner_sandbox.services.eks.state import invalid


def check_key(call: Call, key_arn: str) -> None:
    """EKS uses the key by a grant that its caller must be allowed to give.

    https://docs.aws.amazon.com/eks/latest/userguide/enable-kms.html
    """
    problem = key_use.problem(call, key_arn, "kms:DescribeKey", "kms:CreateGrant")
    if problem and problem.code == "AccessDeniedException":
        raise AwsError(problem.code, problem.message, 403)
    if problem:
        raise invalid(f"KMS key {key_arn} is invalid: it does not exist or is not enabled")


# https://docs.aws.amazon.com/eks/latest/userguide/troubleshooting.html#cluster-health-status
KEY_ISSUES = {
    "DisabledException": "KmsKeyDisabled",
    "KMSInvalidStateException": "KmsKeyMarkedForDeletion",
    "NotFoundException": "KmsKeyNotFound",
}


def key_issues(document: dict[str, Any]) -> list[dict[str, Any]]:
    """What is wrong with the key of the cluster's secrets; its status does not show it."""
    found = []
    for entry in document.get("encryptionConfig") or []:
        arn = entry["provider"]["keyArn"]
        problem = keys.usable(document["arn"].split(":")[3], arn)
        if isinstance(problem, KeyProblem):
            found.append({"code": KEY_ISSUES[problem.code], "message": problem.message, "resourceIds": [arn]})
    return found
