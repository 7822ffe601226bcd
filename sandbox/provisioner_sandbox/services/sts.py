"""STS: who calls is the sandbox's one caller, or a pod with its service account's role."""

from __future__ import annotations

import json
from typing import Any

from provisioner_sandbox.backend import ACCOUNT, backend
from provisioner_sandbox.caller import caller
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.policy_conditions import as_list, met
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.sessions import pods, session


@handles("sts", "GetCallerIdentity")
def who(call: Call) -> dict:
    held = session(call.request)
    if held is not None:
        return {"UserId": held.user_id, "Account": ACCOUNT, "Arn": held.arn}
    own = caller()
    return {"UserId": own.user_id, "Account": ACCOUNT, "Arn": own.arn}


@handles("sts", "AssumeRoleWithWebIdentity")
def with_web_identity(call: Call) -> dict:
    """A token must be a cluster's, known to IAM by its issuer and audience, and trusted by the role."""
    from provisioner_sandbox.kube import planes

    claims = planes.claims(call.params["WebIdentityToken"])
    if claims is None:
        message = (
            "Couldn't retrieve verification key from your identity provider, please reference "
            "AssumeRoleWithWebIdentity documentation for requirements"
        )
        raise AwsError("InvalidIdentityToken", message)
    host = claims["iss"].removeprefix("https://")
    iam = backend("iam", call.region)
    provider = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{host}"
    known = iam.open_id_providers.get(provider)
    if known is None:
        raise AwsError("InvalidIdentityToken", f"No OpenIDConnect provider found in your account for {claims['iss']}")
    if not set(claims["aud"]) & set(known.client_id_list or []):
        raise AwsError("InvalidIdentityToken", "Incorrect token audience")
    role = next((one for one in iam.roles.values() if one.arn == call.params["RoleArn"]), None)
    if role is None or not trusted(role, provider, host, claims):
        raise AwsError("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", 403)
    made = call.moto()
    pods(call.backend).add(made["Credentials"]["AccessKeyId"])
    return {**made, "SubjectFromWebIdentityToken": claims["sub"], "Provider": provider, "Audience": claims["aud"][0]}


@handles("sts", "AssumeRole")
def assume(call: Call) -> dict:
    """The role must trust who calls, and the external ID: whether a role exists is not told.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_common-scenarios_third-party.html
    """
    arn = call.params["RoleArn"]
    held = session(call.request)
    who = caller().arn if held is None else held.arn
    role = next((one for one in backend("iam", call.region).roles.values() if one.arn == arn), None)
    if role is None or not admits(role, who, call.params.get("ExternalId")):
        message = f"User: {who} is not authorized to perform: sts:AssumeRole on resource: {arn}"
        raise AwsError("AccessDenied", message, 403)
    return call.moto()


def admits(role: Any, who: str, external_id: str | None) -> bool:
    known = {"*", ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", who}
    if ":assumed-role/" in who:
        known.add(f"arn:aws:iam::{ACCOUNT}:role/{who.split('/')[1]}")
    context = {"sts:externalid": [external_id]} if external_id else {}
    for statement in statements_of(role):
        principal = statement.get("Principal")
        named = as_list(principal.get("AWS")) if isinstance(principal, dict) else as_list(principal)
        fits = known & set(named) and {"sts:AssumeRole", "sts:*", "*"} & set(as_list(statement.get("Action")))
        if statement.get("Effect") == "Allow" and fits and met(statement.get("Condition") or {}, context):
            return True
    return False


def statements_of(role: Any) -> list[dict[str, Any]]:
    document = role.assume_role_policy_document
    policy = json.loads(document) if isinstance(document, str) else document
    return as_list(policy.get("Statement"))


def trusted(role: Any, provider: str, host: str, claims: dict[str, Any]) -> bool:
    # Keys of conditions are compared whatever their case.
    context = {f"{host}:sub".lower(): [claims["sub"]], f"{host}:aud".lower(): list(claims["aud"])}
    for statement in statements_of(role):
        principal = statement.get("Principal")
        federated = as_list(principal.get("Federated")) if isinstance(principal, dict) else []
        actions = as_list(statement.get("Action"))
        if statement.get("Effect") != "Allow" or provider not in federated:
            continue
        if not {"sts:AssumeRoleWithWebIdentity", "sts:*", "*"} & set(actions):
            continue
        if met(statement.get("Condition") or {}, context):
            return True
    return False
