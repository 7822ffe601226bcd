"""REST protocols: parameters from the path, the query, the headers and the body."""

from __future__ import annotations

from typing import Any

from botocore.utils import parse_timestamp
from moto.core.model import ListShape, OperationModel, Shape, StructureShape
from moto.core.parse import RequestParserError, RestXMLParser

from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.wire.message import Request
from provisioner_sandbox.wire.parse_json import parse_json


def parse_rest(operation: OperationModel, request: Request, labels: dict[str, str]) -> dict[str, Any]:
    shape = operation.input_shape
    params: dict[str, Any] = {}
    for name, member in shape.members.items():
        wire_name = member.serialization.get("name", name)
        match member.serialization.get("location"):
            case "uri" if wire_name in labels:
                params[name] = labels[wire_name]
            case "header" if wire_name in request.headers:
                params[name] = simple(member, request.headers[wire_name], wire_name)
            case "headers":
                prefix = wire_name.lower()
                params[name] = {
                    key[len(prefix) :]: value
                    for key, value in request.headers.items()
                    if key.lower().startswith(prefix)
                }
            case "querystring":
                take_query(params, name, member, wire_name, request)
    params.update(body(operation, shape, request))
    return params


def take_query(params: dict[str, Any], name: str, member: Shape, wire_name: str, request: Request) -> None:
    values = request.query_items.get(wire_name)
    if member.type_name == "map":
        params[name] = {key: items[0] for key, items in request.query_items.items()}
    elif values is not None:
        is_list = isinstance(member, ListShape)
        params[name] = (
            [simple(member.member, v, wire_name) for v in values] if is_list else simple(member, values[0], wire_name)
        )


def simple(shape: Shape, text: str, name: str) -> Any:
    try:
        match shape.type_name:
            case "integer" | "long":
                return int(text)
            case "boolean":
                return {"true": True, "false": False}[text.lower()]
            case "timestamp":
                return parse_timestamp(text)
            case "list":
                return [part.strip() for part in text.split(",")]
    except (ValueError, KeyError):
        raise AwsError("InvalidArgument", f"Invalid value {text!r} for {name}") from None
    return text


def body(operation: OperationModel, shape: StructureShape, request: Request) -> dict[str, Any]:
    payload = shape.serialization.get("payload")
    if payload and shape.members[payload].type_name in ("blob", "string"):
        # An object's content or a policy document: the handler reads the body itself.
        return {payload: request.body} if request.body else {}
    if operation.service_model.protocol == "rest-xml":
        return xml_body(operation, shape, payload, request.body)
    if payload:
        inner = shape.members[payload]
        return {payload: parse_json(inner, request.body)} if request.body else {}
    return parse_json(shape, request.body)


def xml_body(operation: OperationModel, shape: StructureShape, payload: str | None, content: bytes) -> dict[str, Any]:
    if not content or not payload:
        return {}
    parser = RestXMLParser(operation)
    try:
        root = parser._parse_xml_string_to_dom(content)
        return {payload: parser._parse_shape(shape.members[payload], root)}
    except (RequestParserError, ValueError, TypeError, AttributeError):
        raise AwsError(
            "MalformedXML",
            "The XML you provided was not well-formed or did not validate against our published schema",
        ) from None
