"""SSM: AWS's public parameters for Bottlerocket, and the rest as moto has it."""

from __future__ import annotations

import re
from typing import Any

from provisioner_sandbox.backend import backend
from provisioner_sandbox.errors import AwsError
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
    return {"Parameter": found} if found else call.forward()


@handles("ssm", "GetParameters")
def get_all(call: Call) -> Any:
    found = {name: public(call, name) for name in call.params["Names"]}
    own = [parameter for parameter in found.values() if parameter]
    others = [name for name, parameter in found.items() if not parameter]
    if not own:
        return call.forward()
    theirs = call.moto({**call.params, "Names": others}) if others else {}
    return {
        "Parameters": own + theirs.get("Parameters", []),
        "InvalidParameters": theirs.get("InvalidParameters", []),
    }


@handles("ssm", "GetParametersByPath")
def get_by_path(call: Call) -> Any:
    path = call.params["Path"].rstrip("/")
    if not (path == ROOT or path.startswith(ROOT + "/")):
        return call.forward()
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
    there = call.backend._parameters.get(params["Name"])
    if there and params.get("Overwrite") and params.get("Type") and there[-1].parameter_type != params["Type"]:
        message = "Parameter Store does not support changing a parameter's type."
        raise AwsError("HierarchyTypeMismatchException", message)
    if params.get("Type") == "SecureString":
        check_key(call, params.get("KeyId") or DEFAULT_KEY)
    return call.forward()


def check_key(call: Call, given: str) -> None:
    """A key may be given by its ID, its alias, or the ARN of either."""
    if given.endswith(DEFAULT_KEY):
        return
    keys = backend("kms", call.region).keys
    if "alias/" in given:
        alias = "alias/" + given.partition("alias/")[2]
        key = next((key for key in keys.values() if alias in key.aliases), None)
    else:
        key = keys.get(given.rpartition("/")[2])
    if key is None or key.key_state != "Enabled":
        raise AwsError("InvalidKeyId", f"Invalid keyId {given}")


def tagged(ssm: Any) -> list[tuple[str, dict[str, str]]]:
    found = []
    for name, tags in ssm._resource_tags.get("Parameter", {}).items():
        versions = ssm._parameters.get(name)
        if versions and tags:
            found.append((arn(ssm, name), dict(tags)))
    return found


def arn(ssm: Any, name: str) -> str:
    separator = "" if name.startswith("/") else "/"
    return f"arn:aws:ssm:{ssm.region_name}:{ssm.account_id}:parameter{separator}{name}"
