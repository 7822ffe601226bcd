"""STS: who calls is always one user, whose ARN is IAM's, as that of any user."""

from __future__ import annotations

from provisioner_sandbox.backend import ACCOUNT
from provisioner_sandbox.registry import Call, handles

CALLER = f"arn:aws:iam::{ACCOUNT}:user/sandbox"


@handles("sts", "GetCallerIdentity")
def caller(call: Call) -> dict:
    return {"UserId": "AIDASANDBOXSANDBOXUSE", "Account": ACCOUNT, "Arn": CALLER}
