"""A request's parameters, by its service's protocol."""

from __future__ import annotations

from typing import Any

from provisioner_sandbox.wire.cbor import parse_cbor
from provisioner_sandbox.wire.identify import Target
from provisioner_sandbox.wire.message import Request
from provisioner_sandbox.wire.parse_json import parse_json
from provisioner_sandbox.wire.parse_query import parse_query
from provisioner_sandbox.wire.parse_rest import parse_rest


def parse(request: Request, target: Target) -> dict[str, Any]:
    operation = target.operation
    if operation.input_shape is None:
        return {}
    match target.protocol:
        case "query" | "ec2":
            return parse_query(operation, request.form, ec2=target.protocol == "ec2")
        case "json":
            return parse_json(operation.input_shape, request.body)
        case "smithy-rpc-v2-cbor":
            return parse_cbor(operation.input_shape, request.body)
    return parse_rest(operation, request, target.labels)
