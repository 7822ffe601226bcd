"""The shapes of objects: what `schemas.json` says of built-in kinds, and their definitions of custom ones.

A node is a name (`string`, `integer`, `number`, `boolean`, `quantity`, `int-or-string`, `time`, `bytes`, `any`), a
reference `#type`, or a dict: `{enum}`; `{fields, required, defaults, atomic}`; `{map, atomic}`; `{list}`, which is
atomic unless it has the `keys` of its items or is a `set` (`merge` is the key of strategic merge patches alone). `open`
lets unknown fields stand, `nullable` a null.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

Node = Any
ANY: Node = "any"
METADATA: Node = "#apis.meta.v1.ObjectMeta"
FILE = Path(__file__).with_name("schemas.json")


@cache
def table() -> dict[str, Any]:
    return json.loads(FILE.read_text())


def version() -> str:
    """Of the server whose schemas these are, such as `v1.35.4`."""
    return table()["version"]


def of_kind(api_version: str, kind: str) -> Node:
    return table()["kinds"][f"{api_version}/{kind}"]


def resolve(node: Node) -> Node:
    while isinstance(node, str) and node.startswith("#"):
        node = table()["types"][node[1:]]
    return node


def is_atomic(node: Node) -> bool:
    """Whether it has one owner as a whole: scalars, what is marked so, and what nothing is known of."""
    if isinstance(node, str) or "enum" in node:
        return True
    if "list" in node:
        return not (node.get("keys") or node.get("set"))
    return bool(node.get("atomic"))


def child(node: Node, key: str) -> Node:
    """The shape of a member of an object; `None` where it may have none of this name."""
    if isinstance(node, str):
        return ANY
    if "map" in node:
        return resolve(node["map"])
    found = node.get("fields", {}).get(key)
    if found is None:
        return ANY if node.get("open") else None
    return resolve(found)


def of_custom(schema: dict[str, Any]) -> Node:
    """A custom resource's, whose metadata is everybody's."""
    node = custom(schema)
    if isinstance(node, str) or "fields" not in node:
        node = {"fields": {}, "open": 1}
    node["fields"] = {**node["fields"], "apiVersion": "string", "kind": "string", "metadata": METADATA}
    return node


def custom(schema: dict[str, Any]) -> Node:
    if schema.get("x-kubernetes-int-or-string"):
        return "int-or-string"
    kind = schema.get("type")
    if kind == "array":
        made: dict[str, Any] = {"list": custom(schema.get("items") or {})}
        how = schema.get("x-kubernetes-list-type")
        if how == "map":
            made["keys"] = schema.get("x-kubernetes-list-map-keys") or []
        elif how == "set":
            made["set"] = 1
        return marked(made, schema)
    if kind == "object" or "properties" in schema:
        loose = schema.get("x-kubernetes-preserve-unknown-fields")
        if "properties" in schema or not schema.get("additionalProperties"):
            properties = schema.get("properties") or {}
            if not properties and not loose:
                return marked({"fields": {}}, schema)
            made = {"fields": {name: custom(one) for name, one in properties.items()}}
            if loose:
                made["open"] = 1
            if schema.get("required"):
                made["required"] = schema["required"]
            defaults = {name: one["default"] for name, one in properties.items() if "default" in one}
            if defaults:
                made["defaults"] = defaults
            return marked(made, schema)
        values = schema["additionalProperties"]
        return marked({"map": custom(values) if isinstance(values, dict) else ANY}, schema)
    if schema.get("enum"):
        return marked({"enum": schema["enum"]}, schema)
    return {"string": "string", "integer": "integer", "number": "number", "boolean": "boolean"}.get(str(kind), ANY)


def marked(made: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("x-kubernetes-map-type") == "atomic":
        made["atomic"] = 1
    if schema.get("nullable"):
        made["nullable"] = 1
    return made
