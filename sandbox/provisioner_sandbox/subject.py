"""Which resource a request asks for: the `resource` of its log line."""

from __future__ import annotations

import re
from typing import Any

from moto.core.model import ListShape, OperationModel

from provisioner_sandbox.wire.models import input_members

ID_LIKE = re.compile(r"(Id|Name|Arn|ARN|name|arn)$")
ID_LISTS = re.compile(r"(Ids|Names|ARNs|Arns|ARNList|Resources|names)$")
VERB = re.compile(r"^[A-Z][a-z]+")
# Say who owns, pays or repeats; never what a request is about.
NOT_A_RESOURCE = re.compile(r"(?i)(token|expectedbucketowner|principalarn|roleArn$|KmsKeyId|SSEKMSKeyId|ServiceName)")


def subject(operation: OperationModel, params: dict[str, Any]) -> str | None:
    if operation.service_model.service_name == "s3":
        return "/".join(params[part] for part in ("Bucket", "Key") if part in params) or None
    members = input_members(operation)
    labels = [name for name, shape in members.items() if shape.serialization.get("location") == "uri"]
    if labels:
        return deepest_label(operation, members, labels, params)
    return by_name(operation, params) or first_of_list(members, params)


def deepest_label(operation: OperationModel, members: dict, labels: list[str], params: dict[str, Any]) -> str | None:
    """The path's last part, but the new thing's own name where its path is the parent's."""
    own = own_names(operation)
    for name in members:
        if name in own and isinstance(params.get(name), str):
            return params[name]
    uri = operation.http["requestUri"]
    labels.sort(key=lambda name: uri.find("{" + members[name].serialization.get("name", name)))
    return params.get(labels[-1])


def own_names(operation: OperationModel) -> list[str]:
    """CreateRouteTable: RouteTableId, RouteTableName, ..., as each service may call it."""
    noun = VERB.sub("", operation.name, count=1)
    bare = noun[0].lower() + noun[1:] if noun else noun
    suffixes = ("Id", "Name", "Arn")
    return [start + suffix for start in (noun, bare) for suffix in suffixes] + ["name"]


def by_name(operation: OperationModel, params: dict[str, Any]) -> str | None:
    texts = {
        name: value
        for name, value in params.items()
        if isinstance(value, str) and ID_LIKE.search(name) and not NOT_A_RESOURCE.search(name)
    }
    for name in own_names(operation):
        if name in texts:
            return texts[name]
    required = operation.input_shape.required_members if operation.input_shape else []
    return next((texts[name] for name in required if name in texts), None) or next(iter(texts.values()), None)


def first_of_list(members: dict, params: dict[str, Any]) -> str | None:
    for name, value in params.items():
        is_ids = isinstance(members.get(name), ListShape) and ID_LISTS.search(name)
        if is_ids and value and isinstance(value[0], str):
            return value[0]
    return None
