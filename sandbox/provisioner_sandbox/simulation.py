"""The policy simulator: what policies say of actions on resources, without any request.

Strict where `authorization` is lenient: "*" as the resource is matched by a statement for all resources alone.
https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulateCustomPolicy.html
"""

from __future__ import annotations

from typing import Any

from provisioner_sandbox.backend import ACCOUNT
from provisioner_sandbox.errors import AwsError, not_implemented
from provisioner_sandbox.identity import ALLOWED, EXPLICIT_DENY, IMPLICIT_DENY, Policy, Verdict, decide, read
from provisioner_sandbox.policy import Malformed, Question, applies, statements

NOT_SIMULATED = ("OrderedOrganizationPolicyInputList", "PolicyExclusionList", "ResourceHandlingOption")
PAGE = 100

Params = dict[str, Any]


def simulate(params: Params, policies: list[Policy], boundary: list[Policy], caller: str | None) -> dict[str, Any]:
    """`policies` and `boundary` are the principal's own; the request's come on top, or in their place."""
    for name in NOT_SIMULATED:
        if params.get(name):
            raise not_implemented(f"the policy simulator's {name}")
    policies = policies + inputs(params, "PolicyInputList")
    boundary = inputs(params, "PermissionsBoundaryPolicyInputList") or boundary
    resource_policy = of_resource(params, caller)
    names = params["ActionNames"]
    results = [evaluated(params, action, policies, boundary, resource_policy, caller) for action in names]
    start = position(params.get("Marker"))
    end = start + params.get("MaxItems", PAGE)
    more = {"Marker": str(end)} if len(results) > end else {}
    return {"EvaluationResults": results[start:end], "IsTruncated": bool(more), **more}


def position(marker: str | None) -> int:
    """AWS's markers are opaque, these count."""
    if marker and not marker.isdigit():
        raise invalid_input("Invalid Marker")
    return int(marker or 0)


def invalid_input(message: str) -> AwsError:
    return AwsError("InvalidInput", message)


def inputs(params: Params, member: str) -> list[Policy]:
    try:
        return [read(f"{member}.{n}", document) for n, document in enumerate(params.get(member) or [], 1)]
    except Malformed as error:
        raise invalid_input(str(error)) from None


def of_resource(params: Params, caller: str | None) -> list[Policy]:
    document = params.get("ResourcePolicy")
    if not document:
        return []
    if not caller:
        raise invalid_input("Invalid caller - Caller cannot be null or empty.")
    try:
        return [Policy("ResourcePolicy", statements(document), "Resource Policy")]
    except Malformed as error:
        raise invalid_input(str(error)) from None


def evaluated(
    params: Params,
    action: str,
    policies: list[Policy],
    boundary: list[Policy],
    resource_policy: list[Policy],
    caller: str | None,
) -> dict[str, Any]:
    """One action: its result as a whole, and for each resource that the request names."""
    context = context_of(params)
    given = params.get("ResourceArns") or []
    specific = []
    for resource in given or ["*"]:
        question = Question(account_of(caller), caller or "", action, resource, context)
        verdict = joined(decide(policies, question), decide(resource_policy, question, applies))
        bounds = decide(boundary, question) if boundary else None
        if bounds:
            verdict = capped(verdict, bounds)
        specific.append(
            {
                "EvalResourceName": resource,
                "EvalResourceDecision": verdict.decision,
                "MatchedStatements": [
                    {"SourcePolicyId": policy.name, "SourcePolicyType": policy.kind} for policy in verdict.matched
                ],
                "MissingContextValues": verdict.missing,
                **boundary_detail(bounds),
            }
        )
    decisions = [result["EvalResourceDecision"] for result in specific]
    # AWS does not say how it sums several resources up: the worst of them, here.
    overall = next((worst for worst in (EXPLICIT_DENY, IMPLICIT_DENY) if worst in decisions), ALLOWED)
    alone = specific[0] if len(specific) == 1 else {"MatchedStatements": [], "MissingContextValues": []}
    parts = ("MatchedStatements", "MissingContextValues", "PermissionsBoundaryDecisionDetail")
    return {
        "EvalActionName": action,
        "EvalResourceName": alone.get("EvalResourceName", "*"),
        "EvalDecision": overall,
        **{part: alone[part] for part in parts if part in alone},
        **({"ResourceSpecificResults": specific} if given else {}),
    }


def account_of(caller: str | None) -> str:
    return caller.split(":")[4] if caller else ACCOUNT


def context_of(params: Params) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for entry in params.get("ContextEntries") or []:
        values = entry.get("ContextKeyValues") or []
        found.setdefault(entry.get("ContextKeyName", "").lower(), []).extend(values)
    return found


def joined(own: Verdict, resource: Verdict) -> Verdict:
    """Within an account either kind of policy may grant, and either may deny."""
    missing = list(dict.fromkeys([*own.missing, *resource.missing]))
    for decision in (EXPLICIT_DENY, ALLOWED):
        deciding = [verdict for verdict in (own, resource) if verdict.decision == decision]
        if deciding:
            return Verdict(decision, [policy for verdict in deciding for policy in verdict.matched], missing)
    return Verdict(IMPLICIT_DENY, [], missing)


def capped(verdict: Verdict, bounds: Verdict) -> Verdict:
    """A boundary grants nothing; what it does not allow is denied."""
    if bounds.decision == EXPLICIT_DENY:
        return bounds
    if bounds.decision == IMPLICIT_DENY and verdict.decision == ALLOWED:
        return Verdict(IMPLICIT_DENY, [], verdict.missing)
    return verdict


def boundary_detail(bounds: Verdict | None) -> dict[str, Any]:
    if bounds is None:
        return {}
    return {"PermissionsBoundaryDecisionDetail": {"AllowedByPermissionsBoundary": bounds.decision == ALLOWED}}
