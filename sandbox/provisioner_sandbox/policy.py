"""Policy documents: are they well-formed, and what does a statement say of a request?

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from provisioner_sandbox import policy_conditions
from provisioner_sandbox.policy_conditions import as_list

VERSIONS = ("2012-10-17", "2008-10-17")
STATEMENT_KEYS = {
    "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition",
}  # fmt: skip


class Malformed(ValueError):
    pass


@dataclass
class Question:
    """Who asks to do what to what (None: unknown), under which circumstances (keys in lower case)."""

    account: str
    principal: str
    action: str
    resource: str | None
    context: dict[str, list[str]] = field(default_factory=dict)
    # The role, if the principal is a session: a policy may name either.
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
    role: str = ""
    # Whether what is given to the account reaches the principal: its own policies decide on that.
    in_account: bool = True


def statements(document: str, needs_principal: bool = True, needs_resource: bool = True) -> list[dict[str, Any]]:
    """The statements of a well-formed policy of a resource."""
    try:
        policy = json.loads(document)
    except ValueError:
        raise Malformed("Syntax errors in policy.") from None
    if not isinstance(policy, dict) or "Statement" not in policy:
        raise Malformed("Missing required field Statement")
    if policy.get("Version", VERSIONS[1]) not in VERSIONS:
        raise Malformed("The policy must contain a valid version string")
    found = as_list(policy["Statement"])
    if not found:
        raise Malformed("Could not parse the policy: Statement is empty!")
    for statement in found:
        check_statement(statement, needs_principal, needs_resource)
    return found


def identity_statements(document: str) -> list[dict[str, Any]]:
    """The statements of a well-formed policy of a user or a role."""
    found = statements(document, needs_principal=False)
    if any(key in statement for statement in found for key in ("Principal", "NotPrincipal")):
        raise Malformed("Policy document should not specify a principal.")
    return found


def check_statement(statement: Any, needs_principal: bool, needs_resource: bool) -> None:
    if not isinstance(statement, dict):
        raise Malformed("Syntax errors in policy.")
    unknown = set(statement) - STATEMENT_KEYS
    if unknown:
        raise Malformed(f"Unknown field {sorted(unknown)[0]}")
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise Malformed(f"Invalid effect: {statement.get('Effect')}")
    needed = [("Action", "NotAction")]
    needed += [("Principal", "NotPrincipal")] if needs_principal else []
    needed += [("Resource", "NotResource")] if needs_resource else []
    for one, other in needed:
        if (one in statement) == (other in statement):
            raise Malformed(f"Missing required field {one}" if one not in statement else f"{one} and {other} together")
    condition = statement.get("Condition", {})
    if not isinstance(condition, dict) or not all(isinstance(keys, dict) for keys in condition.values()):
        raise Malformed("Syntax errors in policy.")
    for operator in condition:
        if not policy_conditions.is_operator(operator):
            raise Malformed(f"Invalid Condition type : {operator}")
    for principal in principals(statement.get("Principal", {})) + principals(statement.get("NotPrincipal", {})):
        check_principal(*principal)


def principals(element: Any) -> list[tuple[str, str]]:
    if element == "*":
        return [("AWS", "*")]
    if not isinstance(element, dict):
        raise Malformed("Invalid principal in policy")
    return [(kind, str(name)) for kind, names in element.items() for name in as_list(names)]


def check_principal(kind: str, name: str) -> None:
    """The form alone: which services exist is not known here, and grows."""
    if kind not in ("AWS", "Service", "Federated", "CanonicalUser"):
        raise Malformed(f"Invalid principal in policy: {kind!r}:{name!r}")
    arn = name == "*" or re.fullmatch(r"\d{12}|AROA\w+|AIDA\w+|arn:aws[\w-]*:(iam|sts)::\d{12}:.+", name)
    if kind == "AWS" and not arn:
        raise Malformed(f'Invalid principal in policy: "AWS":"{name}"')


def denied(document: str, question: Question) -> bool:
    return any(statement["Effect"] == "Deny" and applies(statement, question) for statement in statements(document))


def allowed(document: str, question: Question) -> bool:
    return any(statement["Effect"] == "Allow" and applies(statement, question) for statement in statements(document))


def applies(statement: dict[str, Any], question: Question) -> bool:
    """For policies of a resource, which say whom they are about."""
    return concerns(statement, question) and principal_fits(statement, question)


def concerns(statement: dict[str, Any], question: Question) -> bool:
    return is_about(statement, question) and policy_conditions.met(statement.get("Condition", {}), question.context)


def is_about(statement: dict[str, Any], question: Question) -> bool:
    """Action and resource, whatever the conditions."""
    return element_fits(statement, "Action", question.action, ignore_case=True) and resource_fits(
        statement, question.resource
    )


def resource_fits(statement: dict[str, Any], resource: str | None) -> bool:
    """In doubt for the caller: an unknown resource is one that is allowed, and not one that is denied."""
    if resource is None:
        return statement["Effect"] == "Allow" or "*" in as_list(statement.get("Resource"))
    return element_fits(statement, "Resource", resource)


def element_fits(statement: dict[str, Any], name: str, value: str, ignore_case: bool = False) -> bool:
    positive = name in statement
    patterns = as_list(statement[name if positive else f"Not{name}"])
    return any(like(pattern, value, ignore_case) for pattern in patterns) == positive


def principal_fits(statement: dict[str, Any], question: Question) -> bool:
    positive = "Principal" in statement
    listed = principals(statement["Principal" if positive else "NotPrincipal"])
    own = {"*", question.principal, question.role or question.principal}
    if question.in_account or statement["Effect"] == "Deny":
        own |= {question.account, f"arn:aws:iam::{question.account}:root"}
    kinds = ("AWS", "Service")
    return any(kind in kinds and name in own for kind, name in listed) == positive


def like(pattern: str, value: str, ignore_case: bool = False) -> bool:
    return glob(pattern, ignore_case).fullmatch(value) is not None


@cache
def glob(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    text = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(text, re.DOTALL | (re.IGNORECASE if ignore_case else 0))
