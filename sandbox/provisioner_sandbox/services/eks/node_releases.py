"""Which AMI a node group runs: its type, and its releases, which only go forwards."""

from __future__ import annotations

import re
from typing import Any

from provisioner_sandbox.services.eks import versions
from provisioner_sandbox.services.eks.state import invalid

CUSTOM = "CUSTOM"
DEFAULT_TYPE = "AL2023_x86_64_STANDARD"
# `1.34.7-20260115`: Kubernetes, and the day of the AMI.
# https://docs.aws.amazon.com/eks/latest/userguide/eks-linux-ami-versions.html
AMAZON_LINUX = re.compile(r"(?P<minor>\d+\.\d+)\.\d+-20\d{6}")
NEWEST_DAY = "20260115"


def ami_type(params: dict[str, Any], image: str | None) -> str:
    """Of a new group whose launch template names this image, if it does.

    https://docs.aws.amazon.com/eks/latest/userguide/launch-templates.html#mng-ami-id-conditions
    """
    asked = params.get("amiType")
    if image is None:
        if asked == CUSTOM:
            raise invalid("You must specify an image id within the launch template when the AMI type is CUSTOM.")
        return asked or DEFAULT_TYPE
    if asked not in (None, CUSTOM):
        # https://github.com/pulumi/pulumi-eks/issues/1463
        raise invalid(
            "You cannot specify an AMI Type other than CUSTOM, when specifying an image id in your launch template."
        )
    refuse_versions(params)
    return CUSTOM


def refuse_versions(params: dict[str, Any]) -> None:
    """A group with its own image: https://github.com/pulumi/pulumi-eks/issues/1283"""
    for member, word in (("version", "kubernetes version"), ("releaseVersion", "release version")):
        if params.get(member):
            raise invalid(
                f"You cannot specify a {word} to use when specifying an image id to use within the launch template."
            )


def release_of(kind: str, version: str, asked: str | None) -> str:
    """The newest release for a minor, or the one that is asked for.

    https://github.com/hashicorp/terraform-provider-aws/issues/14492,
    https://github.com/awslabs/amazon-eks-ami/issues/435
    """
    if kind.startswith("BOTTLEROCKET"):
        known = versions.releases_of(version)
        newest, is_known = known[-1], asked in known
    else:
        newest = f"{versions.MINORS[version]['patch']}-{NEWEST_DAY}"
        found = AMAZON_LINUX.fullmatch(asked or "")
        is_known = not kind.startswith("AL2") or bool(
            asked and found and found["minor"] == version and numbers(asked) <= numbers(newest)
        )
    if asked and not is_known:
        raise invalid(f"Requested Nodegroup release version {asked} is invalid. Allowed release version is {newest}")
    return asked or newest


def check_forwards(doc: dict[str, Any], version: str, release: str) -> None:
    """https://docs.aws.amazon.com/eks/latest/APIReference/API_UpdateNodegroupVersion.html"""
    if version == doc["version"] and numbers(release) < numbers(doc["releaseVersion"]):
        raise invalid(
            "You cannot roll back a node group to an earlier Kubernetes version or AMI version: requested release "
            f"version {release} is older than {doc['releaseVersion']}"
        )


def numbers(release: str) -> list[int]:
    """A release without its build, for comparing: `1.54.0-2f6b08ec` is [1, 54, 0], `1.34.7-20260115` all four."""
    version, _, build = release.partition("-")
    date = [int(build)] if build.isdigit() and len(build) == len(NEWEST_DAY) and build.startswith("20") else []
    return [int(part) for part in version.split(".") if part.isdigit()] + date
