"""SSM: AWS's public parameters for Bottlerocket; of others the types, tiers and keys, which moto leaves open."""

from __future__ import annotations

import re
from typing import Any

from provisioner_sandbox import key_use
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.keys import KeyProblem
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.eks.versions import BOTTLEROCKET_RELEASES, image_id, releases_of

# https://bottlerocket.dev/en/os/latest/install/quickstart/aws/kubernetes/
ROOT = "/aws/service/bottlerocket"
PUBLIC = re.compile(
    rf"^{ROOT}/aws-k8s-(?P<minor>[\d.]+)/(?P<arch>x86_64|arm64)/(?P<release>[\w.-]+)/(?P<what>image_id|image_version)$"
)
RELEASED = 1767225600.0
PAGE = 10
DEFAULT_KEY = "alias/aws/ssm"


def release_of(minor: str, asked: str) -> str | None:
    """`latest`, a release with the digest of its commit, or without."""
    releases = releases_of(minor)
    if asked == "latest":
        return releases[-1] if releases else None
    return next((release for release in releases if asked in (release, release.partition("-")[0])), None)


def public(call: Call, name: str) -> dict[str, Any] | None:
    match = PUBLIC.match(name)
    release = release_of(match["minor"], match["release"]) if match else None
    if not match or release is None:
        return None
    image = image_id(call.region, match["minor"], match["arch"], release)
    return {
        "Name": name,
        "Type": "String",
        "Value": release if match["what"] == "image_version" else image,
        # Only `latest` changes, with each release.
        "Version": len(releases_of(match["minor"])) if match["release"] == "latest" else 1,
        "LastModifiedDate": RELEASED,
        "ARN": f"arn:aws:ssm:{call.region}::parameter{name}",
        "DataType": "text",
    }


@handles("ssm", "GetParameter")
def get(call: Call) -> Any:
    found = public(call, call.params["Name"])
    if found:
        return {"Parameter": found}
    result = call.moto()
    check_readable(call, [result["Parameter"]])
    return result


@handles("ssm", "GetParameters")
def get_all(call: Call) -> Any:
    found = {name: public(call, name) for name in call.params["Names"]}
    own = [parameter for parameter in found.values() if parameter]
    others = [name for name, parameter in found.items() if not parameter]
    theirs = call.moto({**call.params, "Names": others}) if others else {}
    check_readable(call, theirs.get("Parameters", []))
    return {
        "Parameters": own + theirs.get("Parameters", []),
        "InvalidParameters": theirs.get("InvalidParameters", []),
    }


@handles("ssm", "GetParameterHistory")
def history(call: Call) -> dict:
    result = call.moto()
    check_readable(call, result["Parameters"])
    return result


def check_readable(call: Call, parameters: list[dict[str, Any]]) -> None:
    """Values of SecureStrings are read with the key that they were written with.

    https://docs.aws.amazon.com/systems-manager/latest/userguide/secure-string-parameter-kms-encryption.html
    """
    if not call.params.get("WithDecryption"):
        return
    for parameter in parameters:
        if parameter["Type"] == "SecureString":
            versions = versions_of(call.backend, parameter["Name"])
            version = next(one for one in versions if one.version == parameter["Version"])
            given = version.keyid or DEFAULT_KEY
            refuse_key(given, key_use.cached_problem(call, version, given, "kms:Decrypt"))


@handles("ssm", "GetParametersByPath")
def get_by_path(call: Call) -> Any:
    path = call.params["Path"].rstrip("/")
    if not (path == ROOT or path.startswith(ROOT + "/")):
        result = call.moto()
        check_readable(call, result["Parameters"])
        return result
    depth = None if call.params.get("Recursive") else path.count("/") + 1
    names = [
        f"{ROOT}/aws-k8s-{minor}/{arch}/{release}/{what}"
        for minor in BOTTLEROCKET_RELEASES
        for arch in ("arm64", "x86_64")
        for release in ("latest", *(form for one in releases_of(minor) for form in (one.partition("-")[0], one)))
        for what in ("image_id", "image_version")
    ]
    found = [name for name in names if name.startswith(path + "/") and depth in (None, name.count("/"))]
    start, size = int(call.params.get("NextToken") or 0), call.params.get("MaxResults") or PAGE
    answer: dict[str, Any] = {"Parameters": [public(call, name) for name in found[start : start + size]]}
    return {**answer, "NextToken": str(start + size)} if len(found) > start + size else answer


@handles("ssm", "PutParameter")
def put(call: Call) -> Any:
    params = call.params
    if params.get("Overwrite") and params.get("Tags"):
        message = (
            "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please "
            "remove overwrite flag. To update tags for an existing parameter, please use AddTagsToResource or "
            "RemoveTagsFromResource."
        )
        raise AwsError("ValidationException", message)
    there = versions_of(call.backend, params["Name"])
    last = there[-1] if there else None
    kind = params.get("Type") or (last.parameter_type if last else None)
    if kind is None:
        # https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
        raise AwsError("ValidationException", "A parameter type is required when you create a parameter.")
    if last and not params.get("Overwrite"):
        return call.forward()  # moto's ParameterAlreadyExists
    # A String may become a SecureString and the other way round: TestAccSSMParameter_Secure_insecureChangeSecure in
    # https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/ssm/parameter_test.go
    if last and last.parameter_type != kind and "StringList" in (last.parameter_type, kind):
        message = "Parameter Store does not support changing a parameter's type."
        raise AwsError("HierarchyTypeMismatchException", message)
    tier = tier_of(params, last)
    if kind == "SecureString":
        actions = ("kms:Encrypt",) if tier == STANDARD else ("kms:GenerateDataKey",)
        given = params.get("KeyId") or (last.keyid if last else None) or DEFAULT_KEY
        refuse_key(given, key_use.problem(call, given, *actions))
    result = call.moto({**params, "Type": kind, "Tier": tier})
    if kind == "SecureString":
        # KMS knows now that the caller reads it.
        key_use.cached_problem(call, versions_of(call.backend, params["Name"])[-1], given, "kms:Decrypt")
    return result


@handles("ssm", "DeleteParameter", "DeleteParameters")
def delete(call: Call) -> Any:
    names = [call.params["Name"]] if "Name" in call.params else call.params["Names"]
    kept = call.backend._resource_tags.get("Parameter", {})
    for name in names:
        for version in versions_of(call.backend, name):
            # moto keeps those of a name of one level.
            kept.pop(version.name, None)
    return call.forward()


def versions_of(ssm: Any, name: str) -> list[Any]:
    """Of a parameter, oldest first. `/a` and `a` are one: moto's `get` does not know that, its `in` and `[]` do."""
    return ssm._parameters[name] if name in ssm._parameters else []


STANDARD, ADVANCED = "Standard", "Advanced"
# Bytes: https://docs.aws.amazon.com/general/latest/gr/ssm.html
SIZES = {STANDARD: 4096, ADVANCED: 8192}


def tier_of(params: dict[str, Any], last: Any) -> str:
    """The tier that a parameter is assigned to.

    https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html
    """
    asked, size = params.get("Tier", STANDARD), len(params["Value"].encode())
    before = last.tier if last else STANDARD
    if asked == "Intelligent-Tiering":
        is_large = size > SIZES[STANDARD] or params.get("Policies") not in (None, "", "[]", "[{}]")
        tier = ADVANCED if is_large or before == ADVANCED else STANDARD
    else:
        tier = before if last and "Tier" not in params else asked
    if before == ADVANCED and tier == STANDARD:
        message = (
            "This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the "
            "advanced-parameter tier to the standard-parameter tier. If necessary, you can delete the advanced "
            "parameter and recreate it as a standard parameter."
        )
        raise AwsError("ValidationException", message)
    if size > SIZES[tier]:
        message = f"{tier} tier parameters support a maximum parameter value of {SIZES[tier]} characters."
        raise AwsError("ValidationException", message)
    return tier


def refuse_key(given: str, problem: KeyProblem | None) -> None:
    """KMS's refusal as Systems Manager passes it on: https://github.com/stelligent/mu/issues/345,
    https://github.com/binxio/aws-ssm-copy/issues/10"""
    if problem is None or given.endswith(DEFAULT_KEY):
        return
    code = "AccessDeniedException" if problem.code == "AccessDeniedException" else "InvalidKeyId"
    message = f"{problem.message} (Service: AWSKMS; Status Code: 400; Error Code: {problem.code})"
    raise AwsError(code, message)


def tagged(ssm: Any) -> list[tuple[str, dict[str, str]]]:
    found = []
    for name, tags in ssm._resource_tags.get("Parameter", {}).items():
        if tags and versions_of(ssm, name):
            found.append((arn(ssm, name), dict(tags)))
    return found


def arn(ssm: Any, name: str) -> str:
    separator = "" if name.startswith("/") else "/"
    return f"arn:aws:ssm:{ssm.region_name}:{ssm.account_id}:parameter{separator}{name}"
