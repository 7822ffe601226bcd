"""SSM: AWS's public parameters for Bottlerocket, and the rest as moto has it."""

from __future__ import annotations

import re
from typing import Any

from provisioner_sandbox.backend import backend
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.eks.versions import BOTTLEROCKET_RELEASES, image_id

# https://bottlerocket.dev/en/os/latest/install/quickstart/aws/kubernetes/
PUBLIC = re.compile(
    r"^/aws/service/bottlerocket/aws-k8s-(?P<minor>[\d.]+)/(?P<arch>x86_64|arm64)/(?P<release>[\w.-]+)/(?P<what>image_id|image_version)$"
)
MOST_NAMES = 10
RELEASED = 1767225600.0


def public(call: Call, name: str) -> dict[str, Any] | None:
    match = PUBLIC.match(name)
    releases = BOTTLEROCKET_RELEASES.get(match["minor"], []) if match else []
    if not match or not releases:
        return None
    asked = match["release"]
    known = {release.partition("-")[0]: release for release in releases} | {release: release for release in releases}
    release = releases[-1] if asked == "latest" else known.get(asked)
    if release is None:
        return None
    image = image_id(call.region, match["minor"], match["arch"], release)
    return {
        "Name": name,
        "Type": "String",
        "Value": release if match["what"] == "image_version" else image,
        "Version": len(releases),
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
    names = call.params["Names"]
    if len(names) > MOST_NAMES:
        message = f"1 validation error detected: Value '{names}' at 'names' failed to satisfy constraint: Member must have length less than or equal to {MOST_NAMES}"
        raise AwsError("ValidationException", message)
    found = [parameter for name in names if (parameter := public(call, name))]
    others = [name for name in names if not PUBLIC.match(name) or not public(call, name)]
    if not found:
        return call.forward()
    theirs = call.moto({**call.params, "Names": others}) if others else {"Parameters": [], "InvalidParameters": []}
    return {
        "Parameters": found + theirs.get("Parameters", []),
        "InvalidParameters": theirs.get("InvalidParameters", []),
    }


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
        raise AwsError("HierarchyTypeMismatchException", "Parameter Store does not support changing a parameter's type.")
    key = params.get("KeyId")
    if key and key != "alias/aws/ssm" and params.get("Type") == "SecureString":
        keys = backend("kms", call.region).keys
        if key.rpartition("/")[2] not in keys and not key.startswith("alias/"):
            raise AwsError("InvalidKeyId", f"Invalid keyId {key}")
    return call.forward()


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
