"""Documents as they come, read by the shape of their kind: what is unknown, and what is of a wrong type."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

import yaml

from provisioner_sandbox.kube import status
from provisioner_sandbox.kube.resources import Resource
from provisioner_sandbox.kube.schema import Node, child, resolve

GO = {
    "string": "string",
    "integer": "int32",
    "number": "float64",
    "boolean": "bool",
    "time": "string",
    "bytes": "[]uint8",
}
SMD = {
    "string": "string",
    "integer": "numeric (int or float)",
    "number": "numeric (int or float)",
    "boolean": "boolean",
}


@dataclass
class Reading:
    """Unknown fields by their paths without a leading dot, and values of a wrong type: path, wanted, what came."""

    unknown: list[str] = field(default_factory=list)
    mistyped: list[tuple[str, str, str]] = field(default_factory=list)
    bad_bytes: list[tuple[str, int]] = field(default_factory=list)


def load(body: bytes, is_yaml: bool = False) -> dict[str, Any]:
    try:
        document = yaml.safe_load(body) if is_yaml and not body.lstrip().startswith(b"{") else json.loads(body)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise status.bad_request(f"error decoding the body: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise status.bad_request("couldn't get version/kind; the body is not an object")
    return document


def read(node: Node, document: Any, reading: Reading, loose: bool, path: str = "") -> Any:
    """The document without what is unknown and what is empty. `loose` keeps what is empty, as custom resources do."""
    node = resolve(node)
    if document is None:
        return None
    if isinstance(node, str) or "enum" in node:
        return scalar("string" if isinstance(node, dict) else node, document, reading, path)
    if "list" in node:
        if not isinstance(document, list):
            reading.mistyped.append((path, "list", kind_of(document)))
            return None
        items = [read(node["list"], item, reading, loose, f"{path}[{n}]") for n, item in enumerate(document)]
        return items if items or loose else None
    if not isinstance(document, dict):
        reading.mistyped.append((path, "map", kind_of(document)))
        return None
    made = {}
    for key, value in document.items():
        where = f"{path}.{key}" if path else str(key)
        shape = child(node, key)
        if shape is None:
            reading.unknown.append(where)
            continue
        clean = read(shape, value, reading, loose, where)
        if clean is not None or (loose and isinstance(shape, dict) and shape.get("nullable")):
            made[key] = clean
    if "map" in node and not made and not loose:
        return None
    return made


def scalar(kind: str, value: Any, reading: Reading, path: str) -> Any:
    if kind == "any":
        return value
    if kind == "quantity":
        return quantity(value)
    right = {
        "string": isinstance(value, str),
        "time": isinstance(value, str),
        "bytes": isinstance(value, str),
        "integer": isinstance(value, int) and not isinstance(value, bool),
        "number": isinstance(value, (int, float)) and not isinstance(value, bool),
        "boolean": isinstance(value, bool),
        "int-or-string": isinstance(value, (int, str)) and not isinstance(value, bool),
    }[kind]
    if kind == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    if not right:
        reading.mistyped.append((path, kind, kind_of(value)))
    elif kind == "bytes":
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            bad = next((n for n, one in enumerate(value) if not (one.isalnum() or one in "+/=")), len(value))
            reading.bad_bytes.append((path, bad))
    return value


def quantity(value: Any) -> Any:
    """In its usual form, where it is but a number."""
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return value
    if number == number.to_integral_value():
        return str(int(number))
    return f"{int((number * 1000).to_integral_value(rounding='ROUND_CEILING'))}m"


def kind_of(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    names: dict[Any, str] = {str: "string", int: "number", float: "number", list: "array", dict: "object"}
    return names.get(type(value), "null")


def sent(resource: Resource, document: dict[str, Any], strict: str) -> tuple[Any, list[str]]:
    """What a create, update or other patch puts there, and warnings. Raises `Refused`."""
    kind, reading = resource.kind, Reading()
    clean = read(resource.node, document, reading, resource.custom is not None)
    start = f'{kind} in version "{resource.version}" cannot be handled as a {kind}: '
    if resource.custom is not None and reading.mistyped:
        causes = [
            status.wrong(path, came, f'{path} in body must be of type {wanted}: "{came}"')
            for path, wanted, came in reading.mistyped
        ]
        raise status.invalid(kind, resource.group, document.get("metadata", {}).get("name", ""), causes)
    for path, wanted, came in reading.mistyped:
        go = GO.get(wanted, wanted)
        raise status.bad_request(
            f"{start}json: cannot unmarshal {came} into Go struct field {kind}.{path} of type {go}"
        )
    for _, at in reading.bad_bytes:
        raise status.bad_request(f"{start}illegal base64 data at input byte {at}")
    said = [f'unknown field "{path}"' for path in reading.unknown]
    if said and strict == "Strict":
        raise status.bad_request(f"{start}strict decoding error: {', '.join(said)}")
    return clean, said if strict == "Warn" else []


def applied(node: Node, document: dict[str, Any], group_version: str, kind: str, loose: bool) -> Any:
    """Parses an applied configuration: no field of it may be unknown. Raises `Refused`."""
    reading = Reading()
    read(node, document, reading, loose)
    wrong = [f".{path}: field not declared in schema" for path in reading.unknown]
    for path, wanted, came in reading.mistyped:
        wrong.append(f".{path}: expected {SMD.get(wanted, wanted)}, got {came}")
    if wrong:
        name = document.get("metadata", {}).get("name", "")
        namespace = document.get("metadata", {}).get("namespace", "")
        version = group_version if "/" in group_version else f"/{group_version}"
        text = wrong[0] if len(wrong) == 1 else "errors:\n  " + "\n  ".join(wrong)
        message = f"failed to create typed patch object ({namespace}/{name}; {version}, Kind={kind}): {text}"
        raise status.Refused(500, "", message)
    return without_nulls(document)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [without_nulls(inner) for inner in value]
    return value
