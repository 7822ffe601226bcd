"""Keys that a service uses for its caller: who may use them is a matter of the caller's policies and of the key's.

https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-via-service
"""

from __future__ import annotations

from typing import Any

from provisioner_sandbox import authorization, iam_context, iam_resources, keys
from provisioner_sandbox.backend import ACCOUNT
from provisioner_sandbox.clock import CLOCK
from provisioner_sandbox.identity import ALLOWED, EXPLICIT_DENY, decide
from provisioner_sandbox.keys import KeyProblem
from provisioner_sandbox.policy import Question
from provisioner_sandbox.registry import Call


def problem(call: Call, given: str, *actions: str) -> KeyProblem | None:
    """What keeps the called service from doing this with a key for its caller."""
    key = keys.usable(call.region, given)
    return key if isinstance(key, KeyProblem) else denial(call, key, *actions)


def denial(call: Call, key: Any, *actions: str) -> KeyProblem | None:
    """What keeps the caller from doing this with the key through the called service."""
    caller, policies = authorization.who(call.request)
    context = {
        **iam_context.circumstances(call.request, call.region, caller),
        **iam_context.of_resource_tags("kms", iam_resources.tags("kms", key.arn, key.id, call.region)),
        "aws:viaawsservice": ["true"],
        "kms:calleraccount": [ACCOUNT],
        "kms:viaservice": [f"{call.service}.{call.region}.amazonaws.com"],
        "kms:grantisforawsresource": ["true"],
    }
    for action in actions:
        verdict = decide(policies, Question(ACCOUNT, caller, action, key.arn, context))
        if verdict.decision == EXPLICIT_DENY:
            return keys.not_allowed(caller, action, key, "with an explicit deny in an identity-based policy")
        by_identity = verdict.decision == ALLOWED
        if not keys.lets(key, [caller], action, context, by_identity):
            why = None if by_identity else f"because no identity-based policy allows the {action} action"
            return keys.not_allowed(caller, action, key, why)
    return None


def cached_problem(call: Call, holder: Any, given: str, *actions: str) -> KeyProblem | None:
    """The same for a use of which KMS's refusal comes late.

    S3 with Bucket Keys and DynamoDB keep a copy of the key for each caller, here on `holder`, and ask KMS only at
    times; and no change of a key is known everywhere at once:
    https://docs.aws.amazon.com/kms/latest/developerguide/accessing-kms.html#programming-eventual-consistency
    """
    found = problem(call, given, *actions)
    copies: dict[tuple[str, str], float] = holder.__dict__.setdefault("sandbox_key_copies", {})
    owner = (authorization.who(call.request)[0], given)
    if found is None:
        copies[owner] = CLOCK.now()
        return None
    (seconds,) = keys.CACHE
    is_fresh = owner in copies and (seconds is None or CLOCK.elapsed(copies[owner]) < seconds)
    return None if is_fresh else found
