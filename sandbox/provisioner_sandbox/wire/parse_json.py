"""JSON bodies. Members that the model does not know are left out, as AWS does; a wrong type is refused."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from botocore.utils import parse_timestamp
from moto.core.model import ListShape, MapShape, Shape, StructureShape

from provisioner_sandbox.errors import AwsError

PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
}


def parse_json(shape: StructureShape, body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body or b"{}")
    except ValueError:
        raise AwsError("SerializationException", "The request body is not valid JSON") from None
    return read(shape, document, "")


def read(shape: Shape, value: Any, path: str) -> Any:
    if isinstance(shape, StructureShape):
        if shape.is_document_type:
            return value
        expect(isinstance(value, dict), "an object", path)
        return {
            name: read(member, value[key], f"{path}.{key}" if path else key)
            for name, member in shape.members.items()
            if "location" not in member.serialization
            and (key := member.serialization.get("name", name)) in value
            and value[key] is not None
        }
    if isinstance(shape, ListShape):
        expect(isinstance(value, list), "a list", path)
        return [read(shape.member, item, f"{path}.{n}") for n, item in enumerate(value, 1)]
    if isinstance(shape, MapShape):
        expect(isinstance(value, dict), "a map", path)
        return {key: read(shape.value, item, f"{path}.{key}") for key, item in value.items() if item is not None}
    return scalar(shape, value, path)


def scalar(shape: Shape, value: Any, path: str) -> Any:
    if shape.type_name == "timestamp":
        try:
            return parse_timestamp(value)
        except ValueError:
            expect(False, "a timestamp", path)
    if shape.type_name == "blob":
        expect(isinstance(value, str), "base64 text", path)
        try:
            return base64.b64decode(value, validate=True)
        except binascii.Error:
            expect(False, "base64 text", path)
    wanted = PYTHON_TYPES.get(shape.type_name)
    if wanted:
        # A JSON true is an int in Python, and is none for AWS.
        right = isinstance(value, wanted) and (bool in wanted or not isinstance(value, bool))
        expect(right, f"a {shape.type_name}", path)
    return value


def expect(right: bool, kind: str, path: str) -> None:
    if not right:
        raise AwsError("SerializationException", f"{path or 'The request'} must be {kind}")
