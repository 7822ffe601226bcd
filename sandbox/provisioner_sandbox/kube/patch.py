"""The patches that are no applies: merge (RFC 7386), JSON (RFC 6902), and Kubernetes' strategic merge."""

from __future__ import annotations

import copy
from typing import Any

from provisioner_sandbox.kube import status
from provisioner_sandbox.kube.schema import Node, child, resolve

MERGE, JSON_PATCH = "application/merge-patch+json", "application/json-patch+json"
STRATEGIC, APPLY = "application/strategic-merge-patch+json", "application/apply-patch+yaml"


def merge(live: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    made = dict(live) if isinstance(live, dict) else {}
    for key, value in patch.items():
        if value is None:
            made.pop(key, None)
        else:
            made[key] = merge(made.get(key), value)
    return made


def strategic(node: Node, live: Any, patch: Any) -> Any:
    node = resolve(node)
    if isinstance(patch, dict):
        if patch.get("$patch") == "replace":
            return {key: value for key, value in patch.items() if key != "$patch"}
        if patch.get("$patch") == "delete":
            return None
        made = dict(live) if isinstance(live, dict) else {}
        for key, value in patch.items():
            if key.startswith("$"):
                continue
            if value is None:
                made.pop(key, None)
                continue
            shape = child(node, key) if node is not None else None
            kept = strategic(shape, made.get(key), value)
            if kept is None:
                made.pop(key, None)
            else:
                made[key] = kept
        return made
    if not isinstance(patch, list) or not isinstance(node, dict):
        return patch
    key = node.get("merge") or next(iter(node.get("keys", [])), None)
    if node.get("set"):
        return [*(live or []), *(one for one in patch if one not in (live or []))]
    if key is None or not all(isinstance(one, dict) for one in patch):
        return patch
    made_list = list(live or [])
    for item in patch:
        if item.get("$patch") == "replace":
            return [one for one in patch if one.get("$patch") != "replace"]
        at = next((n for n, one in enumerate(made_list) if one.get(key) == item.get(key)), None)
        if item.get("$patch") == "delete":
            made_list = [one for one in made_list if one.get(key) != item.get(key)]
        elif at is None:
            made_list.append(item)
        else:
            made_list[at] = strategic(node["list"], made_list[at], item)
    return made_list


def json_patch(live: Any, operations: Any) -> Any:
    """Raises `Refused`."""
    if not isinstance(operations, list):
        raise status.bad_request("the body is not a list of operations")
    made = copy.deepcopy(live)
    for one in operations:
        try:
            made = operate(made, one)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            message = f"the server rejected our request due to an error in our request: {one.get('op')} {one.get('path')}: {error}"
            raise status.Refused(422, "Invalid", message) from None
    return made


def operate(document: Any, one: dict[str, Any]) -> Any:
    op, path = one["op"], pointer(one["path"])
    if op == "test":
        if at(document, path) != one.get("value"):
            raise ValueError("testing value failed")
        return document
    if op in ("move", "copy"):
        value = copy.deepcopy(at(document, pointer(one["from"])))
        if op == "move":
            document = operate(document, {"op": "remove", "path": one["from"]})
        return operate(document, {"op": "add", "path": one["path"], "value": value})
    if not path:
        return one["value"]
    parent, last = at(document, path[:-1]), path[-1]
    if isinstance(parent, list):
        index = len(parent) if last == "-" else int(last)
        if op == "add":
            parent.insert(index, one["value"])
        elif op == "replace":
            parent[index] = one["value"]
        else:
            del parent[index]
    elif op == "remove":
        del parent[last]
    elif op == "replace" and last not in parent:
        raise KeyError(last)
    else:
        parent[last] = one["value"]
    return document


def pointer(text: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def at(document: Any, path: list[str]) -> Any:
    for part in path:
        document = document[int(part)] if isinstance(document, list) else document[part]
    return document
