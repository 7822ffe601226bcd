"""The tagging API over what can be tagged here, with the ARNs that AWS forms.

moto's own needs most of its optional dependencies and knows few resource types. IAM roles are left
out, as by AWS: https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/supported-services.html
"""

from __future__ import annotations

import base64
import importlib
from functools import cache
from typing import Any

from provisioner_sandbox import backend
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.registry import Call, handles

# Where each service's `tagged(backend)` is: (ARN, tags) of everything that has any.
SOURCES = {
    "ec2": "ec2.tags", "eks": "eks.tags", "ecr": "ecr", "ssm": "ssm", "kms": "kms", "logs": "logs", "s3": "s3",
    "dynamodb": "dynamodb", "elbv2": "elbv2.tags",
}  # fmt: skip
# https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/API_GetResources.html
PAGES = range(1, 101)

Tagged = tuple[str, dict[str, str]]


@cache
def source(service: str) -> Any:
    return importlib.import_module(f"provisioner_sandbox.services.{SOURCES[service]}").tagged


def everything(call: Call) -> list[Tagged]:
    found: list[Tagged] = []
    for service in SOURCES:
        importlib.import_module(f"provisioner_sandbox.services.{service}")
        found += [
            (arn, tags) for arn, tags in source(service)(backend.backend(service, call.region)) if in_region(arn, call)
        ]
    return sorted(found)


def in_region(arn: str, call: Call) -> bool:
    if not arn.startswith("arn:aws:s3:::"):
        return True
    bucket = backend.backend("s3", call.region).buckets.get(arn.rpartition(":")[2])
    return bucket is not None and bucket.region_name == call.region


@handles("resourcegroupstaggingapi", "GetResources")
def get_resources(call: Call) -> dict:
    params = call.params
    arns = params.get("ResourceARNList")
    if arns and (params.get("TagFilters") or params.get("ResourceTypeFilters")):
        message = "You cannot specify ResourceARNList together with TagFilters or ResourceTypeFilters."
        raise AwsError("InvalidParameterException", message)
    found = [
        (arn, tags)
        for arn, tags in everything(call)
        if (not arns or arn in arns) and has_tags(tags, params) and has_type(arn, params)
    ]
    page, token = paginate(found, params)
    return {
        "PaginationToken": token,
        "ResourceTagMappingList": [
            {"ResourceARN": arn, "Tags": [{"Key": key, "Value": value} for key, value in sorted(tags.items())]}
            for arn, tags in page
        ],
    }


def has_tags(tags: dict[str, str], params: dict[str, Any]) -> bool:
    """All filters must hold; of one's values, any; one without values asks for the key alone."""
    return all(
        wanted["Key"] in tags and (not wanted.get("Values") or tags[wanted["Key"]] in wanted["Values"])
        for wanted in params.get("TagFilters") or []
    )


def has_type(arn: str, params: dict[str, Any]) -> bool:
    wanted = params.get("ResourceTypeFilters")
    if not wanted:
        return True
    _, _, service, _, _, rest = arn.split(":", 5)
    kind = rest.replace(":", "/").partition("/")[0] if "/" in rest or ":" in rest else ""
    return any(one == service or one == f"{service}:{kind}" for one in wanted)


def paginate(found: list[Tagged], params: dict[str, Any]) -> tuple[list[Tagged], str]:
    token = params.get("PaginationToken")
    if token:
        try:
            last = base64.urlsafe_b64decode(token).decode()
        except ValueError:
            raise AwsError("PaginationTokenExpiredException", "A PaginationToken is invalid or expired.") from None
        found = [item for item in found if item[0] > last]
    size = params.get("ResourcesPerPage", PAGES[-1])
    if size not in PAGES:
        message = (
            f"1 validation error detected: Value '{size}' at 'resourcesPerPage' failed to satisfy constraint: "
            "Member must be between 1 and 100"
        )
        raise AwsError("InvalidParameterException", message)
    more = len(found) > size
    return found[:size], base64.urlsafe_b64encode(found[size - 1][0].encode()).decode() if more else ""


@handles("resourcegroupstaggingapi", "GetTagKeys")
def get_tag_keys(call: Call) -> dict:
    return {"PaginationToken": "", "TagKeys": sorted({key for _, tags in everything(call) for key in tags})}


@handles("resourcegroupstaggingapi", "GetTagValues")
def get_tag_values(call: Call) -> dict:
    key = call.params["Key"]
    return {"PaginationToken": "", "TagValues": sorted({tags[key] for _, tags in everything(call) if key in tags})}
