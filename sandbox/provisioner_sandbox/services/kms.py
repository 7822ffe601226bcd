"""KMS: what a key's state forbids, rotation periods, and policies that would lock everybody out."""

from __future__ import annotations

from typing import Any

from provisioner_sandbox.backend import ACCOUNT
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.policy import Malformed, Question, allowed, statements
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.sts import CALLER
from provisioner_sandbox.wire.message import Answer

# https://docs.aws.amazon.com/kms/latest/APIReference/API_ScheduleKeyDeletion.html
WINDOWS = range(7, 31)
# https://docs.aws.amazon.com/kms/latest/APIReference/API_EnableKeyRotation.html
ROTATION_PERIODS = range(90, 2561)
DEFAULT_ROTATION = 365

# What a key in state PendingDeletion cannot do, by the table in
# https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html
NOT_WHILE_PENDING = (
    "CreateAlias", "CreateGrant", "Decrypt", "DisableKey", "DisableKeyRotation", "EnableKey", "EnableKeyRotation",
    "Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "GenerateMac", "GetPublicKey", "ReEncrypt",
    "Sign", "TagResource", "UntagResource", "UpdateAlias", "UpdateKeyDescription", "Verify",
)  # fmt: skip
CONTEXT = {"aws:principalaccount": [ACCOUNT], "kms:calleraccount": [ACCOUNT]}
KEY_MEMBERS = ("KeyId", "TargetKeyId", "SourceKeyId")


def key_of(call: Call) -> Any:
    """The key asked for, or None where moto is to say that it is missing."""
    given = next((call.params[name] for name in KEY_MEMBERS if name in call.params), "")
    keys = call.backend.keys
    if "alias/" in given:
        name = "alias/" + given.partition("alias/")[2]
        return next((key for key in keys.values() if name in key.aliases), None)
    return keys.get(given.rpartition("/")[2])


def check_usable(call: Call) -> None:
    key = key_of(call)
    if key is not None and key.key_state == "PendingDeletion":
        raise AwsError("KMSInvalidStateException", f"{key.arn} is pending deletion.")


@handles("kms", *NOT_WHILE_PENDING)
def use(call: Call) -> Answer:
    check_usable(call)
    return call.forward()


@handles("kms", "ScheduleKeyDeletion")
def schedule_deletion(call: Call) -> dict:
    days = call.params.get("PendingWindowInDays", WINDOWS[-1])
    if days not in WINDOWS:
        bound = "greater than or equal to 7" if days < WINDOWS[0] else "less than or equal to 30"
        message = (
            f"1 validation error detected: Value '{days}' at 'pendingWindowInDays' failed to satisfy constraint: "
            f"Member must have value {bound}"
        )
        raise AwsError("ValidationException", message)
    check_usable(call)
    result = call.moto()
    key = key_of(call)
    return {**result, "KeyId": key.arn, "KeyState": key.key_state, "PendingWindowInDays": days}


@handles("kms", "EnableKeyRotation")
def enable_rotation(call: Call) -> Answer:
    days = call.params.get("RotationPeriodInDays", DEFAULT_ROTATION)
    if days not in ROTATION_PERIODS:
        raise AwsError("ValidationException", "RotationPeriodInDays must be between 90 and 2560")
    check_usable(call)
    answer = call.forward()
    key = key_of(call)
    if answer.ok and key is not None:
        key.sandbox_rotation_days = days
    return answer


@handles("kms", "GetKeyRotationStatus")
def rotation_status(call: Call) -> dict:
    result = call.moto()
    key = key_of(call)
    result["KeyId"] = key.arn
    if key.key_state == "PendingDeletion":
        result["KeyRotationEnabled"] = False
    if result["KeyRotationEnabled"]:
        result["RotationPeriodInDays"] = getattr(key, "sandbox_rotation_days", DEFAULT_ROTATION)
    return result


@handles("kms", "CreateKey", "PutKeyPolicy")
def with_policy(call: Call) -> Answer:
    if call.name == "PutKeyPolicy":
        check_usable(call)
    document = call.params.get("Policy")
    if document is not None:
        check_policy(document, bool(call.params.get("BypassPolicyLockoutSafetyCheck")))
    return call.forward()


def check_policy(document: str, bypass: bool) -> None:
    try:
        statements(document)
        # The caller must stay able to change the policy; here, the account's own root or user.
        question = Question(ACCOUNT, CALLER, "kms:PutKeyPolicy", "*", CONTEXT)
        safe = bypass or allowed(document, question)
    except Malformed as error:
        raise AwsError("MalformedPolicyDocumentException", str(error)) from None
    if not safe:
        message = "The new key policy will not allow you to update the key policy in the future."
        raise AwsError("MalformedPolicyDocumentException", message)


@handles("kms", "ListAliases", "ListKeys")
def paginate(call: Call) -> dict:
    """moto gives everything at once."""
    key, identity = {"ListAliases": ("Aliases", "AliasName"), "ListKeys": ("Keys", "KeyId")}[call.name]
    params = {name: value for name, value in call.params.items() if name not in ("Limit", "Marker")}
    result = call.moto(params)
    items = sorted(result[key], key=lambda item: item[identity])
    marker = call.params.get("Marker")
    items = [item for item in items if not marker or item[identity] > marker]
    size = call.params.get("Limit", 100)
    page = items[:size]
    result[key] = page
    result["Truncated"] = len(items) > size
    if result["Truncated"]:
        result["NextMarker"] = page[-1][identity]
    return result


def tagged(backend: Any) -> list[tuple[str, dict[str, str]]]:
    """(ARN, tags) of the keys, those that wait for their deletion included, as in AWS."""
    found = []
    for key in backend.keys.values():
        tags = backend.tagger.get_tag_dict_for_resource(key.id) or backend.tagger.get_tag_dict_for_resource(key.arn)
        if tags:
            found.append((key.arn, tags))
    return found
