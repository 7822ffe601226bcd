"""Repositories' encryption and pages, and the token that a registry's clients log in with."""

from __future__ import annotations

import base64
import secrets
import uuid
from datetime import datetime, timedelta, timezone
from typing import Any

from provisioner_sandbox import key_use, keys
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.keys import KeyProblem
from provisioner_sandbox.registry import Call, handles, prepares
from provisioner_sandbox.services.ecr.state import invalid, paginate

# https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_AuthorizationData.html
TOKEN_LIFE = timedelta(hours=12)
TOKEN_BYTES = 1200
# Of the account's AWS managed key; its id only has to stay the same.
MANAGED_KEY = "alias/aws/ecr"
# What writes into a repository, and so has KmsException among its errors in botocore's model.
WRITES = ("InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload", "PutImage")


@prepares("ecr")
def check_repository_key(call: Call) -> None:
    """ECR uses the key by its own grants, so that its state alone matters.

    https://docs.aws.amazon.com/AmazonECR/latest/userguide/encryption-at-rest.html
    """
    repository = call.backend.repositories.get(call.params.get("repositoryName"))
    key = (repository.encryption_configuration or {}).get("kmsKey") if repository else None
    if call.name in WRITES and key and key != managed_key(call):
        refuse_key(keys.usable(call.region, key))


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
    refuse_key(key_use.problem(call, given, "kms:DescribeKey", "kms:CreateGrant"))
    return keys.find(call.region, given).arn


def refuse_key(found: Any) -> None:
    if isinstance(found, KeyProblem):
        raise AwsError("KmsException", found.message, kmsError=found.code)


@handles("ecr", "DescribeRepositories")
def describe(call: Call) -> dict:
    params = call.params
    # moto would list those of other accounts too.
    registry = params.get("registryId") or call.backend.account_id
    names = params.get("repositoryNames")
    found = call.moto({"registryId": registry, **({"repositoryNames": names} if names else {})})["repositories"]
    absent = [one for one in names or [] if one not in {repository["repositoryName"] for repository in found}]
    if absent:
        message = f"The repository with name '{absent[0]}' does not exist in the registry with id '{registry}'"
        raise AwsError("RepositoryNotFoundException", message)
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
