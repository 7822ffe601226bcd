"""Identity-based policies: an explicit deny wins, then an allow, and everything else is denied.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from provisioner_sandbox.policy import Question, concerns, identity_statements, is_about

ALLOWED = "allowed"
EXPLICIT_DENY = "explicitDeny"
IMPLICIT_DENY = "implicitDeny"


@dataclass
class Policy:
    name: str
    statements: list[dict[str, Any]]
    kind: str = "IAM Policy"


@dataclass
class Verdict:
    decision: str
    # The policy of each statement that decided.
    matched: list[Policy]
    # Keys that conditions ask for and the request does not have, as the policies write them.
    missing: list[str]


def read(name: str, document: str) -> Policy:
    return Policy(name, identity_statements(document))


ADMINISTRATOR = Policy("AdministratorAccess", [{"Effect": "Allow", "Action": "*", "Resource": "*"}])


def decide(
    policies: list[Policy], question: Question, fits: Callable[[dict[str, Any], Question], bool] = concerns
) -> Verdict:
    found = [(policy, statement) for policy in policies for statement in policy.statements]
    hits = [(policy, statement["Effect"]) for policy, statement in found if fits(statement, question)]
    denies = [policy for policy, effect in hits if effect == "Deny"]
    allows = [policy for policy, effect in hits if effect == "Allow"]
    missing = {
        key: None
        for _, statement in found
        if is_about(statement, question)
        for keys in statement.get("Condition", {}).values()
        for key in keys
        if key.lower() not in question.context
    }
    if denies:
        return Verdict(EXPLICIT_DENY, denies, list(missing))
    return Verdict(ALLOWED if allows else IMPLICIT_DENY, allows, list(missing))


def policies_of(kind: str, entity: Any) -> list[Policy]:
    inline = [
        read(f"{kind}_{entity.name}_{name}", document) for name, document in entity.policies.items()
    ]
    return inline + [managed(policy) for policy in entity.managed_policies.values()]


def managed(policy: Any) -> Policy:
    document = next(one.document for one in policy.versions if one.version_id == policy.default_version_id)
    return read(policy.name, document)
