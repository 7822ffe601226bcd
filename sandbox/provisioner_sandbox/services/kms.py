"""KMS: how keys may be named, what a key's state and policy forbid, rotation periods, and policies that would lock
everybody out."""

from __future__ import annotations

from typing import Any

import moto.kms.responses

from provisioner_sandbox import authorization, iam_context, keys
from provisioner_sandbox.backend import ACCOUNT
from provisioner_sandbox.caller import caller
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.keys import KeyProblem
from provisioner_sandbox.policy import Malformed, Question, allowed, statements
from provisioner_sandbox.registry import Call, handles, prepares

# moto's reading of key policies knows neither principals nor conditions; `check_permission` takes its place.
moto.kms.responses.validate_policy = lambda key, action: None

# https://docs.aws.amazon.com/kms/latest/APIReference/API_ScheduleKeyDeletion.html
WINDOWS = range(7, 31)
# https://docs.aws.amazon.com/kms/latest/APIReference/API_EnableKeyRotation.html
ROTATION_PERIODS = range(90, 2561)
DEFAULT_ROTATION = 365

# Parameters that name a key.
KEY_MEMBERS = ("KeyId", "TargetKeyId", "SourceKeyId", "DestinationKeyId")
# The operations whose `KeyId` may be an alias or its ARN; all others take a key's ID or ARN, as botocore's model says
# of each `KeyId`.
TAKE_ALIASES = {
    "Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "GetPublicKey",
    "ReEncrypt", "Sign", "Verify",
}  # fmt: skip
# What a key in state PendingDeletion cannot do, and what a disabled one cannot, by the table in
# https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html and the errors in botocore's model
NOT_WHILE_DISABLED = {
    "CreateGrant", "Decrypt", "DisableKeyRotation", "EnableKeyRotation", "Encrypt", "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext", "GenerateMac", "GetPublicKey", "ReEncrypt", "RotateKeyOnDemand", "Sign",
    "Verify", "VerifyMac",
}  # fmt: skip
NOT_WHILE_PENDING = NOT_WHILE_DISABLED | {
    "CreateAlias", "DisableKey", "EnableKey", "PutKeyPolicy", "ScheduleKeyDeletion", "TagResource", "UntagResource",
    "UpdateAlias", "UpdateKeyDescription",
}  # fmt: skip
CONTEXT = {"aws:principalaccount": [ACCOUNT], "kms:calleraccount": [ACCOUNT]}
# Operations on a key that need no function of their own here.
PLAIN = (
    "CancelKeyDeletion", "CreateAlias", "CreateGrant", "DescribeKey", "DisableKey", "DisableKeyRotation", "EnableKey",
    "Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "GenerateMac", "GetKeyPolicy", "GetPublicKey",
    "ListGrants", "ListKeyPolicies", "ListKeyRotations", "ListResourceTags", "ReplicateKey", "RetireGrant",
    "RevokeGrant", "RotateKeyOnDemand", "Sign", "TagResource", "UntagResource", "UpdateAlias", "UpdateKeyDescription",
    "Verify", "VerifyMac",
)  # fmt: skip
# After these a key is not what it was for those who use it.
CHANGE_A_KEY = {"CancelKeyDeletion", "DisableKey", "EnableKey", "RevokeGrant"}


@prepares("kms")
def resolve(call: Call) -> None:
    """Replaces each name of a key by its ID, and checks that the key may be used so."""
    for member in KEY_MEMBERS:
        given = call.params.get(member)
        if given is None:
            continue
        if "alias/" in given and call.name not in TAKE_ALIASES:
            raise AwsError("NotFoundException", f"Invalid keyId {given}")
        key = demand(keys.find(call.region, given))
        check_permission(call, key)
        check_state(call, key)
        call.params = {**call.params, member: key.id}


def demand(found: Any) -> Any:
    """The key that was found, or the error of that there is none."""
    if isinstance(found, KeyProblem):
        raise AwsError(found.code, found.message)
    return found


def check_permission(call: Call, key: Any) -> None:
    """The caller's own policies were asked before; what the key's policy gives to the account they decided on."""
    caller, _ = authorization.who(call.request)
    context = {**iam_context.circumstances(call.request, call.region, caller), "kms:calleraccount": [ACCOUNT]}
    action = f"kms:{call.name}"
    if not keys.lets(key, [caller], action, context, by_identity=True):
        refused = keys.not_allowed(caller, action, key)
        raise AwsError(refused.code, refused.message)


def check_state(call: Call, key: Any) -> None:
    state = key.key_state
    if (state == "PendingDeletion" and call.name in NOT_WHILE_PENDING) or (
        state == "Disabled" and call.name in NOT_WHILE_DISABLED
    ):
        demand(keys.state_problem(key))
    if call.name == "CancelKeyDeletion" and state != "PendingDeletion":
        raise AwsError("KMSInvalidStateException", f"{key.arn} is not pending deletion.")


def key_of(call: Call) -> Any:
    """The key that `resolve` found."""
    return call.backend.keys[call.params["KeyId"]]


@handles("kms", *PLAIN)
def use(call: Call) -> dict:
    result = call.moto()
    if call.name in CHANGE_A_KEY:
        keys.changed(key_of(call))
    # moto answers with the ID: https://docs.aws.amazon.com/kms/latest/APIReference/API_CancelKeyDeletion.html
    return {**result, "KeyId": key_of(call).arn} if call.name == "CancelKeyDeletion" else result


@handles("kms", "Decrypt", "ReEncrypt")
def decrypt(call: Call) -> dict:
    """The ciphertext says which key it is under."""
    result = call.moto()
    key = demand(keys.find(call.region, result["SourceKeyId" if call.name == "ReEncrypt" else "KeyId"]))
    check_permission(call, key)
    check_state(call, key)
    return result


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
    result = call.moto()
    key = key_of(call)
    keys.changed(key)
    return {**result, "KeyId": key.arn, "KeyState": key.key_state, "PendingWindowInDays": days}


@handles("kms", "EnableKeyRotation")
def enable_rotation(call: Call) -> dict:
    days = call.params.get("RotationPeriodInDays", DEFAULT_ROTATION)
    if days not in ROTATION_PERIODS:
        raise AwsError("ValidationException", "RotationPeriodInDays must be between 90 and 2560")
    result = call.moto()
    key_of(call).sandbox_rotation_days = days
    return result


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
def with_policy(call: Call) -> dict:
    document = call.params.get("Policy")
    if document is not None:
        check_policy(document, bool(call.params.get("BypassPolicyLockoutSafetyCheck")))
    result = call.moto()
    if call.name == "PutKeyPolicy":
        keys.changed(key_of(call))
    return result


def check_policy(document: str, bypass: bool) -> None:
    try:
        statements(document)
        # The caller must stay able to change the policy; here, the account's own root, user or role.
        own = caller()
        question = Question(ACCOUNT, own.arn, "kms:PutKeyPolicy", "*", CONTEXT, role=own.principal)
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
