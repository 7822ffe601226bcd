"""Smithy's RPC v2 with CBOR bodies, which newer SDKs prefer for services that offer it.

https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html
"""

from __future__ import annotations

from typing import Any

from botocore.parsers import ResponseParserError, RpcV2CBORParser
from botocore.serialize import RpcV2CBORSerializer
from moto.core.model import OperationModel, Shape

from provisioner_sandbox.errors import AwsError

PROTOCOL = "smithy-rpc-v2-cbor"
HEADERS = {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}


def parse_cbor(shape: Shape, body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    parser = RpcV2CBORParser()
    try:
        return parser._parse_shape(shape, parser._initial_body_parse(body))
    except (ResponseParserError, ValueError, TypeError, AttributeError):
        raise AwsError("SerializationException", "The request body is not valid CBOR") from None


def render_cbor(operation: OperationModel, result: Any) -> bytes:
    body = bytearray()
    if operation.output_shape is not None:
        RpcV2CBORSerializer()._serialize_data_item(body, result or {}, operation.output_shape)
    return bytes(body)


def render_cbor_error(error: AwsError) -> bytes:
    """A map of two texts. 0xA2: a map with two pairs."""
    writer, body = RpcV2CBORSerializer(), bytearray(b"\xa2")
    for text in ("__type", error.code, "message", error.message):
        writer._serialize_type_string(body, text, None, None)
    return bytes(body)
