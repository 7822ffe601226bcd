"""Whether the caller may do it: `callerPolicy` of the configuration, asked of each call before it is checked.

Without one the caller is an administrator. Policies of resources can only deny more, never grant. A resource that the
parameters do not tell is taken for one that is allowed, and not for one that is denied: a policy narrower than what
is known here refuses nothing that AWS would grant. `iam:PassRole` is not asked for.
"""

from __future__ import annotations

from typing import Any

from provisioner_sandbox import iam_actions, iam_context, iam_resources
from provisioner_sandbox.backend import ACCOUNT, backend
from provisioner_sandbox.caller import caller as own_caller
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.identity import (
    ADMINISTRATOR,
    ALLOWED,
    EXPLICIT_DENY,
    Policy,
    decide,
    policies_of,
    read,
)
from provisioner_sandbox.policy import Question
from provisioner_sandbox.sessions import session
from provisioner_sandbox.subject import subject
from provisioner_sandbox.wire.identify import UNSIGNED_ACTIONS, Target
from provisioner_sandbox.wire.message import Request

# No policy can take these away, or the call comes without a caller.
# https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
# https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_getsessiontoken.html
ALWAYS = {"GetCallerIdentity", "GetSessionToken", *UNSIGNED_ACTIONS}

# Of their things the ARN is known before there are any.
NAMED_BEFORE = {"dynamodb", "ecr", "iam", "s3", "ssm"}

# Set with each configuration of the sandbox.
POLICIES: list[Policy] = [ADMINISTRATOR]


def configure(documents: list[str] | None) -> None:
    if documents is None:
        POLICIES[:] = [ADMINISTRATOR]
    else:
        POLICIES[:] = [read(f"callerPolicy.{n}", document) for n, document in enumerate(documents, 1)]


def check(target: Target, params: dict[str, Any], request: Request) -> None:
    service, operation = target.service, target.operation.name
    caller, policies = who(request)
    if policies == [ADMINISTRATOR] or (service == "sts" and operation in ALWAYS):
        return
    prefix, tagging = iam_actions.prefix(service), iam_actions.tagging(service, operation, params)
    found = iam_resources.resources(service, operation, params, target.region)
    common = {
        **iam_context.circumstances(request, target.region, caller),
        **iam_context.of_request_tags(params),
        **(iam_context.of_s3(request) if service == "s3" else {}),
        **(iam_context.of_iam(params) if service == "iam" else {}),
        **(iam_context.of_eks(params) if service == "eks" else {}),
    }
    for resource in found or [None]:
        tags = iam_resources.tags(service, resource, subject(target.operation, params), target.region)
        context = {**common, **iam_context.of_resource_tags(prefix, tags)}
        for name in iam_actions.own(service, operation, params):
            ask(target, caller, policies, f"{prefix}:{name}", resource, context)
        if tagging:
            made = resource if service in NAMED_BEFORE else None
            ask(target, caller, policies, f"{prefix}:{tagging}", made, {**context, f"{prefix}:createaction": [operation]})


def who(request: Request) -> tuple[str, list[Policy]]:
    """The caller, and what he may do: a pod what its role may, everybody else what the configuration says."""
    held = session(request)
    if held is None:
        return own_caller().arn, POLICIES
    role = next((one for one in backend("iam", "us-east-1").roles.values() if one.arn == held.role_arn), None)
    return held.arn, policies_of("role", role) if role else []


def ask(
    target: Target, caller: str, policies: list[Policy], action: str, resource: str | None, context: iam_context.Context
) -> None:
    verdict = decide(policies, Question(ACCOUNT, caller, action, resource, context))
    if verdict.decision != ALLOWED:
        raise denied(target, caller, action, resource, verdict.decision)


def denied(target: Target, caller: str, action: str, resource: str | None, decision: str) -> AwsError:
    if decision == EXPLICIT_DENY:
        why = "with an explicit deny in an identity-based policy"
    else:
        why = f"because no identity-based policy allows the {action} action"
    start = f"User: {caller} is not authorized to perform: {action}"
    if target.protocol == "ec2":
        where = f" on resource: {resource}" if resource not in (None, "*") else ""
        message = f"You are not authorized to perform this operation. {start}{where} {why}"
        return AwsError("UnauthorizedOperation", message, 403)
    if target.service == "s3":
        return AwsError("AccessDenied", f'{start} on resource: "{resource or "*"}" {why}', 403)
    message = f"{start} on resource: {resource or '*'} {why}"
    if target.protocol in ("query", "rest-xml"):
        return AwsError("AccessDenied", message, 403)
    return AwsError("AccessDeniedException", message, json_status(target))


def json_status(target: Target) -> int:
    """REST services say it by the status; the others have one status for all that is the caller's fault."""
    return 403 if target.protocol.startswith("rest-") else 400
