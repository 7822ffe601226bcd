"""Who calls, unless it is a pod: the session whose keys the call has, or, with any other credentials, the user `sandbox`,
or the session that is configured.

Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
"""

from __future__ import annotations

import json
import re
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from provisioner_sandbox.backend import ACCOUNT, backend

USER = f"arn:aws:iam::{ACCOUNT}:user/sandbox"
USER_ID = "AIDASANDBOXSANDBOXUSE"
NAME = r"[\w+=,.@-]"
SESSION = re.compile(rf"arn:aws:sts::{ACCOUNT}:assumed-role/(?P<role>{NAME}{{1,64}})/(?P<session>{NAME}{{2,64}})")
# Where IAM Identity Center puts its roles, here of an instance in this region.
# https://docs.aws.amazon.com/singlesignon/latest/userguide/referencingpermissionsets.html
SSO_PREFIX, SSO_PATH = "AWSReservedSSO_", "/aws-reserved/sso.amazonaws.com/eu-central-1/"

# The ARN of the session, set with each configuration of the sandbox; empty is the user.
CONFIGURED: list[str] = []


@dataclass(frozen=True)
class Caller:
    # As STS tells it: of a user, or of a session.
    arn: str
    # The user or role as IAM knows it, with its path.
    principal: str
    user_id: str


# Of the call that this thread answers; None if its keys are of no session.
CURRENT: ContextVar[Caller | None] = ContextVar("caller", default=None)


def calls(held: Any) -> None:
    """`held`: moto's session of a role that calls now, or None."""
    CURRENT.set(Caller(held.arn, principal_of(held.arn)[0], held.user_id) if held is not None else None)


def configure(arn: str | None) -> None:
    CONFIGURED[:] = [arn] if arn else []
    configured()


def caller() -> Caller:
    """Who makes the call that is answered now."""
    return CURRENT.get() or configured()


def configured() -> Caller:
    """Who calls with keys of no session."""
    if not CONFIGURED:
        return Caller(USER, USER, USER_ID)
    match = SESSION.fullmatch(CONFIGURED[0])
    role = find_role(match["role"]) or create_role(match["role"])
    return Caller(CONFIGURED[0], role.arn, f"{role.id}:{match['session']}")


def find_role(name: str) -> Any:
    return next((role for role in backend("iam", "us-east-1").roles.values() if role.name == name), None)


def create_role(name: str) -> Any:
    is_sso = name.startswith(SSO_PREFIX)
    provider = f"arn:aws:iam::{ACCOUNT}:saml-provider/AWSSSO_0123456789abcdef_DO_NOT_DELETE"
    statement = (
        {"Principal": {"Federated": provider}, "Action": ["sts:AssumeRoleWithSAML", "sts:TagSession"]}
        if is_sso
        else {"Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    )
    return backend("iam", "us-east-1").create_role(
        name,
        json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]}),
        SSO_PATH if is_sso else "/",
        None,
        "",
        [],
        "3600",
    )


def principal_of(arn: str) -> tuple[str, str]:
    """The role that a session is of, with its path, and the session's name; anything else is itself."""
    head, _, rest = arn.partition(":assumed-role/")
    if not rest:
        return arn, ""
    name, _, session = rest.rpartition("/")
    role = find_role(name)
    return (role.arn if role else f"arn:{head.split(':')[1]}:iam::{ACCOUNT}:role/{name}"), session
