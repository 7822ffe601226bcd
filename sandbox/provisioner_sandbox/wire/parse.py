"""A request's parameters, by its service's protocol."""

from __future__ import annotations

from typing import Any

from provisioner_sandbox.wire.identify import Target
from provisioner_sandbox.wire.message import Request
from provisioner_sandbox.wire.parse_json import parse_json
from provisioner_sandbox.wire.parse_query import parse_query
from provisioner_sandbox.wire.parse_rest import parse_rest


def parse(request: Request, target: Target) -> dict[str, Any] | None:
    """The parameters, or None for a protocol that is only passed on (CBOR)."""
    operation = target.operation
    protocol = operation.service_model.protocol
    if operation.input_shape is None:
        return {}
    if protocol in ("query", "ec2") and "Action" in request.form:
        return parse_query(operation, request.form, ec2=protocol == "ec2")
    if "X-Amz-Target" in request.headers:
        return parse_json(operation.input_shape, request.body)
    if protocol in ("rest-json", "rest-xml"):
        return parse_rest(operation, request, target.labels)
    return None
