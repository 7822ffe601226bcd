"""Repositories' encryption and pages, and the token that a registry's clients log in with."""

from __future__ import annotations

import base64
import secrets
import uuid
from datetime import datetime, timedelta, timezone
from typing import Any

from provisioner_sandbox.backend import backend
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.ecr.state import invalid, paginate

# https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_AuthorizationData.html
TOKEN_LIFE = timedelta(hours=12)
TOKEN_BYTES = 1200
# Of the account's AWS managed key; its id only has to stay the same.
MANAGED_KEY = "alias/aws/ecr"


@handles("ecr", "CreateRepository")
def create(call: Call) -> dict:
    params = dict(call.params)
    encryption = params.get("encryptionConfiguration")
    if encryption and params["repositoryName"] not in call.backend.repositories:
        params["encryptionConfiguration"] = encrypted(call, encryption)
    return call.moto(params)


@handles("ecr", "PutImageScanningConfiguration")
def scan(call: Call) -> dict:
    """What is not said is false, and clients leave it out; moto would change nothing then.

    https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageScanningConfiguration.html
    """
    asked = {"scanOnPush": False, **call.params["imageScanningConfiguration"]}
    return call.moto({**call.params, "imageScanningConfiguration": asked})


def encrypted(call: Call, given: dict[str, str]) -> dict[str, str]:
    key = given.get("kmsKey")
    if given["encryptionType"] == "AES256":
        if key:
            raise invalid("encryptionConfiguration", "kmsKey can only be specified when encryptionType is KMS")
        return given
    return {**given, "kmsKey": key_arn(call, key) if key else managed_key(call)}


def managed_key(call: Call) -> str:
    key_id = uuid.uuid5(uuid.NAMESPACE_URL, f"{call.region}/{MANAGED_KEY}")
    return f"arn:aws:kms:{call.region}:{call.backend.account_id}:key/{key_id}"


def key_arn(call: Call, given: str) -> str:
    """A key may be given by its id, its alias or the ARN of either; kept is the key's ARN."""
    if given == managed_key(call) or given.endswith(MANAGED_KEY):
        return managed_key(call)
    key = find_key(call, given)
    if key is None:
        raise kms_error("NotFoundException", f"Key '{given}' does not exist")
    if key.key_state == "PendingDeletion":
        raise kms_error("KMSInvalidStateException", f"{key.arn} is pending deletion.")
    if not key.enabled:
        raise kms_error("DisabledException", f"{key.arn} is disabled.")
    return key.arn


def find_key(call: Call, given: str) -> Any:
    keys = backend("kms", call.region).keys
    if given.startswith("arn:") and f":kms:{call.region}:{call.backend.account_id}:" not in given:
        return None
    if "alias/" in given:
        name = "alias/" + given.partition("alias/")[2]
        return next((key for key in keys.values() if name in key.aliases), None)
    return keys.get(given.rpartition("/")[2])


def kms_error(code: str, message: str) -> AwsError:
    return AwsError("KmsException", message, kmsError=code)


@handles("ecr", "DescribeRepositories")
def describe(call: Call) -> dict:
    params = call.params
    passed = {name: params[name] for name in ("registryId", "repositoryNames") if name in params}
    found = call.moto(passed)["repositories"]
    if params.get("repositoryNames"):
        for name in ("maxResults", "nextToken"):
            if params.get(name) is not None:
                raise invalid(name, f"{name} cannot be used together with repositoryNames")
        return {"repositories": found}
    page, token = paginate(found, lambda repository: repository["repositoryName"], params)
    return {"repositories": page, "nextToken": token}


@handles("ecr", "GetAuthorizationToken")
def authorization_token(call: Call) -> dict:
    expires = datetime.now(timezone.utc) + TOKEN_LIFE
    registries = call.params.get("registryIds") or [call.backend.account_id]
    return {
        "authorizationData": [
            {
                "authorizationToken": base64.b64encode(b"AWS:" + password()).decode(),
                "expiresAt": expires,
                "proxyEndpoint": f"https://{registry}.dkr.ecr.{call.region}.amazonaws.com",
            }
            for registry in registries
        ]
    }


def password() -> bytes:
    return base64.b64encode(secrets.token_bytes(TOKEN_BYTES))
