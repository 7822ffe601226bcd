"""CloudWatch Logs: keys of log groups, and tags by the ARN without the trailing `:*`."""

from __future__ import annotations

from typing import Any

from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.wire.message import Answer


def group_of(call: Call) -> Any:
    name = call.params.get("logGroupName")
    if name is None and "resourceIdentifier" in call.params:
        name = call.params["resourceIdentifier"].partition(":log-group:")[2].removesuffix(":*")
    group = call.backend.groups.get(name)
    if group is None:
        raise AwsError("ResourceNotFoundException", "The specified log group does not exist.")
    return group


@handles("logs", "AssociateKmsKey")
def associate_key(call: Call) -> dict:
    group_of(call).kms_key_id = call.params["kmsKeyId"]
    return {}


@handles("logs", "DisassociateKmsKey")
def disassociate_key(call: Call) -> dict:
    group_of(call).kms_key_id = None
    return {}


@handles("logs", "ListTagsForResource", "TagResource", "UntagResource")
def tags_by_arn(call: Call) -> Answer | dict:
    arn = call.params["resourceArn"]
    if ":log-group:" not in arn:
        return call.forward()
    if arn.partition(":log-group:")[2] not in call.backend.groups:
        raise AwsError("ResourceNotFoundException", "The specified resource does not exist.")
    return call.forward()


@handles("logs", "DescribeLogGroups")
def describe(call: Call) -> dict:
    result = call.moto()
    for group in result.get("logGroups", []):
        group.setdefault("logGroupArn", group["arn"].removesuffix(":*"))
        group.setdefault("logGroupClass", "STANDARD")
    return result


def tagged(backend: Any) -> list[tuple[str, dict[str, str]]]:
    found = ((group.arn, backend.list_tags_for_resource(group.arn)) for group in backend.groups.values())
    return [(arn, tags) for arn, tags in found if tags]
