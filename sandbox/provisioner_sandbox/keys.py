"""KMS keys: which one is meant, whether its state lets it be used, and whom its policy and its grants let use it.

https://docs.aws.amazon.com/kms/latest/developerguide/control-access.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from provisioner_sandbox.backend import ACCOUNT, backend
from provisioner_sandbox.caller import principal_of
from provisioner_sandbox.clock import CLOCK
from provisioner_sandbox.iam_context import Context
from provisioner_sandbox.policy import Question, allowed, denied

# A key ID, or the key's or the alias' ARN, or an alias.
# https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#key-id
ARN = re.compile(r"arn:aws:kms:(?P<region>[^:]*):(?P<account>\d{12}):(?P<kind>key|alias)/(?P<name>.+)")

# Set with each configuration of the sandbox: for how many AWS seconds services answer from a copy of a key that
# cannot be used any more. None is for ever.
CACHE: list[float | None] = [None]


@dataclass
class KeyProblem:
    """Why KMS refuses to use a key, in its own code and words."""

    code: str
    message: str


def configure(seconds: float | None) -> None:
    CACHE[:] = [seconds]


def find(region: str, given: str) -> Any | KeyProblem:
    """moto's key of this ID, alias, or ARN of either; or that there is none."""
    found = ARN.fullmatch(given)
    if given.startswith("arn:") and found is None:
        return KeyProblem("InvalidArnException", f"{given} is not a valid ARN")
    if found and found["region"] != region:
        return KeyProblem("NotFoundException", f"Invalid arn {found['region']}")
    keys = backend("kms", region).keys
    name = f"alias/{found['name']}" if found and found["kind"] == "alias" else found["name"] if found else given
    if name.startswith("alias/"):
        key = next((key for key in keys.values() if name in key.aliases), None)
        arn = f"arn:aws:kms:{region}:{ACCOUNT}:{name}"
        return key or KeyProblem("NotFoundException", f"Alias {arn} is not found.")
    missing = KeyProblem("NotFoundException", f"Key 'arn:aws:kms:{region}:{ACCOUNT}:key/{name}' does not exist")
    return keys.get(name) or missing


def state_problem(key: Any) -> KeyProblem | None:
    """What its state forbids: https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html"""
    if key.key_state == "PendingDeletion":
        return KeyProblem("KMSInvalidStateException", f"{key.arn} is pending deletion.")
    if key.key_state == "Disabled":
        return KeyProblem("DisabledException", f"{key.arn} is disabled.")
    return None


def usable(region: str, given: str) -> Any | KeyProblem:
    """The key, if there is one and its state lets it be used."""
    key = find(region, given)
    return key if isinstance(key, KeyProblem) else state_problem(key) or key


def changed(key: Any) -> None:
    """Remembers when its state or its policy was changed last."""
    key.sandbox_changed = CLOCK.now()


def unchanged_for(key: Any) -> float:
    """AWS seconds since the last change of its state or its policy."""
    return CLOCK.elapsed(getattr(key, "sandbox_changed", float("-inf")))


def lets(key: Any, principals: list[str], action: str, context: Context, by_identity: bool = False) -> bool:
    """Whether the key's policy or a grant lets a principal do this; `principals` are its names.

    What the policy gives to the account counts only `by_identity`: if the principal's own policies allow it too.
    https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html
    """
    questions = [
        Question(ACCOUNT, name, action, key.arn, context, role=principal_of(name)[0], in_account=by_identity)
        for name in principals
    ]
    if any(denied(key.policy, question) for question in questions):
        return False
    return any(allowed(key.policy, question) for question in questions) or any(
        is_granted(key, name, action) for name in principals
    )


def is_granted(key: Any, principal: str, action: str) -> bool:
    """https://docs.aws.amazon.com/kms/latest/developerguide/grants.html"""
    operation = action.partition(":")[2]
    return any(
        grant.grantee_principal in (principal, principal_of(principal)[0]) and operation in grant.operations
        for grant in key.grants.values()
    )


def service_problem(key: Any, service: str, actions: tuple[str, ...], context: Context) -> KeyProblem | None:
    """What keeps a service, such as `logs.eu-central-1.amazonaws.com`, from using the key under its own name."""
    regional, _, rest = service.partition(".")
    names = [service, f"{regional}.{rest.partition('.')[2]}"]
    own = {"aws:principalisawsservice": ["true"], "aws:principalservicename": [service], **context}
    for action in actions:
        if not lets(key, names, action, own):
            return not_allowed(service, action, key)
    return None


def role_problem(key: Any, role_arn: str, actions: tuple[str, ...], via: str) -> KeyProblem | None:
    """What keeps a role whose own policies say nothing of keys from using the key through a service."""
    context = {
        "aws:principalarn": [role_arn],
        "aws:principalaccount": [ACCOUNT],
        "kms:calleraccount": [ACCOUNT],
        "kms:viaservice": [via],
        "kms:grantisforawsresource": ["true"],
    }
    for action in actions:
        if not lets(key, [role_arn], action, context):
            return not_allowed(role_arn, action, key)
    return None


def not_allowed(principal: str, action: str, key: Any, why: str | None = None) -> KeyProblem:
    why = why or f"because no resource-based policy allows the {action} action"
    message = f"User: {principal} is not authorized to perform: {action} on resource: {key.arn} {why}"
    return KeyProblem("AccessDeniedException", message)
