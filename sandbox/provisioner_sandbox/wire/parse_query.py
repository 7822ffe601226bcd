"""The query and EC2 protocols: flat form keys such as `Filter.1.Value.2`.

Strict where moto is not: EC2 answers UnknownParameter to a name that it does not know.
Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
"""

from __future__ import annotations

import base64
from typing import Any

from botocore.utils import parse_timestamp
from moto.core.model import ListShape, MapShape, OperationModel, Shape, StructureShape

from provisioner_sandbox.errors import AwsError

# Belong to the protocol and the signature, not to the operation.
COMMON = {"Action", "Version", "AWSAccessKeyId", "Signature", "SignatureMethod", "SignatureVersion", "Timestamp"}

Node = dict[str, Any]
TEXT = ""


def parse_query(operation: OperationModel, form: dict[str, str], ec2: bool) -> dict[str, Any]:
    root: Node = {}
    for key, value in form.items():
        if key in COMMON or key.startswith("X-Amz-"):
            continue
        node = root
        for part in key.split("."):
            node = node.setdefault(part, {})
        node[TEXT] = value
    return Reader(ec2).structure(operation.input_shape, root, "")


class Reader:
    def __init__(self, ec2: bool):
        self.ec2 = ec2

    def value(self, shape: Shape, node: Node, path: str) -> Any:
        if isinstance(shape, StructureShape):
            return self.structure(shape, node, path)
        if isinstance(shape, ListShape):
            return self.list(shape, node, path)
        if isinstance(shape, MapShape):
            return self.map(shape, node, path)
        extra = [part for part in node if part != TEXT]
        if extra or TEXT not in node:
            raise self.unknown(f"{path}.{extra[0]}" if extra else path)
        return self.scalar(shape, node[TEXT], path)

    def structure(self, shape: StructureShape, node: Node, path: str) -> dict[str, Any]:
        names = {self.wire_name(member, name): name for name, member in shape.members.items()}
        result = {}
        for part, child in node.items():
            if part == TEXT:
                if child:
                    raise self.unknown(path)
                continue
            if part not in names:
                raise self.unknown(f"{path}.{part}" if path else part)
            name = names[part]
            result[name] = self.value(shape.members[name], child, f"{path}.{part}" if path else part)
        return result

    def list(self, shape: ListShape, node: Node, path: str) -> list[Any]:
        if not self.ec2 and not shape.is_flattened:
            if node.get(TEXT) == "" and len(node) == 1:
                return []  # the protocol writes an empty list as an empty value
            inner = shape.member.serialization.get("name", "member")
            node = node.get(inner, {})
        if set(node) == {TEXT}:
            return [self.value(shape.member, node, path)]
        try:
            parts = sorted((part for part in node if part != TEXT), key=int)
        except ValueError:
            bad = next(part for part in node if not part.isdigit())
            raise self.unknown(f"{path}.{bad}") from None
        return [self.value(shape.member, node[part], f"{path}.{part}") for part in parts]

    def map(self, shape: MapShape, node: Node, path: str) -> dict[str, Any]:
        entries = node if shape.serialization.get("flattened") else node.get("entry", {})
        key_name = shape.key.serialization.get("name", "key")
        value_name = shape.value.serialization.get("name", "value")
        return {
            entry.get(key_name, {}).get(TEXT, ""): self.value(shape.value, entry.get(value_name, {}), path)
            for part, entry in entries.items()
            if part != TEXT
        }

    def scalar(self, shape: Shape, text: str, path: str) -> Any:
        try:
            match shape.type_name:
                case "integer" | "long":
                    return int(text)
                case "float" | "double":
                    return float(text)
                case "boolean":
                    return {"true": True, "false": False, "1": True, "0": False}[text.lower()]
                case "timestamp":
                    return parse_timestamp(text)
                case "blob":
                    return base64.b64decode(text)
        except (ValueError, KeyError):
            raise self.malformed(shape, text, path) from None
        return text

    def wire_name(self, shape: Shape, name: str) -> str:
        """EC2 takes `queryName`, else the capitalised name; query takes a flat list's inner name."""
        if self.ec2:
            if "queryName" in shape.serialization:
                return shape.serialization["queryName"]
            written = shape.serialization.get("name", name)
            return written[:1].upper() + written[1:]
        if isinstance(shape, ListShape) and shape.is_flattened and "name" in shape.member.serialization:
            return shape.member.serialization["name"]
        return shape.serialization.get("name", name)

    def unknown(self, path: str) -> AwsError:
        if self.ec2:
            return AwsError("UnknownParameter", f"The parameter {path} is not recognized")
        return AwsError("MalformedInput", f"Unexpected parameter {path}")

    def malformed(self, shape: Shape, text: str, path: str) -> AwsError:
        if self.ec2:
            return AwsError("InvalidParameterValue", f"Invalid value '{text}' for {path}. Must be a {shape.type_name}")
        return AwsError("MalformedInput", f"{path} must be a {shape.type_name}")
