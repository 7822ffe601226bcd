"""Sets of fields, and what is done with them: who owns what, what differs, merging and removing.

A path is a tuple of elements as FieldsV1 writes them: `f:NAME`, `k:{"KEY":VALUE}`, `v:VALUE`. The rules are those of
sigs.k8s.io/structured-merge-diff.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from provisioner_sandbox.kube.schema import Node, child, is_atomic, resolve

Path = tuple[str, ...]
Paths = set[Path]


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def element(node: Node, item: Any) -> str:
    """What tells an item of a list from the others. A key that is left out has its default."""
    if node.get("set"):
        return f"v:{compact(item)}"
    inner = resolve(node["list"])
    defaults = inner.get("defaults", {}) if isinstance(inner, dict) else {}
    keys = {}
    for key in sorted(node["keys"]):
        value = item.get(key, defaults.get(key)) if isinstance(item, dict) else None
        if value is not None:
            keys[key] = value
    return f"k:{compact(keys)}"


def text(path: Path) -> str:
    """As people read it: `.spec.containers[name="app"].image`."""
    said = ""
    for part in path:
        kind, _, rest = part.partition(":")
        if kind == "f":
            said += f".{rest}"
        elif kind == "v":
            said += f"[={rest}]"
        else:
            said += f"[{','.join(f'{key}={compact(value)}' for key, value in json.loads(rest).items())}]"
    return said


def to_document(paths: Paths) -> dict[str, Any]:
    """FieldsV1. What is owned itself and has owned parts too is marked by a dot."""
    root: dict[str, Any] = {}
    for path in sorted(paths, key=len):
        at = root
        for part in path[:-1]:
            inner = at.setdefault(part, {})
            if not inner and path[: len(path) - 1] in paths:
                inner["."] = {}
            at = inner
        at.setdefault(path[-1], {})
    return tidy(root, (), paths)


def tidy(node: dict[str, Any], at: Path, paths: Paths) -> dict[str, Any]:
    made: dict[str, Any] = {}
    inner = {key: value for key, value in node.items() if key != "."}
    if inner and at in paths:
        made["."] = {}
    for key in sorted(inner):
        made[key] = tidy(inner[key], (*at, key), paths)
    return made


def from_document(document: dict[str, Any], at: Path = ()) -> Paths:
    found: Paths = set()
    for key, value in document.items():
        if key == ".":
            found.add(at)
            continue
        path = (*at, key)
        if value:
            found |= from_document(value, path)
        else:
            found.add(path)
    return found


def of_object(node: Node, value: Any, at: Path = ()) -> Paths:
    """What an applied object names."""
    node = resolve(node)
    if value is None or is_atomic(node) or not isinstance(value, (dict, list)):
        return {at}
    found: Paths = set()
    if isinstance(value, list):
        for item in value:
            path = (*at, element(node, item))
            found |= of_object(node["list"], item, path)
            found.add(path)
        return found
    named = node.get("fields", {})
    for key, inner in value.items():
        shape = child(node, key)
        path = (*at, f"f:{key}")
        if shape is None or inner is None or inner == {}:
            found.add(path)
            continue
        found |= of_object(shape, inner, path)
        if key not in named:
            found.add(path)
    return found


@dataclass
class Difference:
    added: Paths = field(default_factory=set)
    modified: Paths = field(default_factory=set)
    removed: Paths = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.added or self.modified or self.removed)


NOTHING = object()


def compare(node: Node, old: Any, new: Any, at: Path = (), into: Difference | None = None) -> Difference:
    made = Difference() if into is None else into
    node = resolve(node)
    old = NOTHING if old is None else old
    new = NOTHING if new is None else new
    if old is NOTHING and new is NOTHING:
        return made
    leaf = (
        node is None
        or is_atomic(node)
        or not all(isinstance(one, (dict, list)) for one in (old, new) if one is not NOTHING)
    )
    if not leaf and all(one is NOTHING or not one for one in (old, new)):
        leaf = True
    if leaf:
        if old is NOTHING:
            made.added.add(at)
        elif new is NOTHING:
            made.removed.add(at)
        elif old != new:
            made.modified.add(at)
        return made
    before, after = members(node, old), members(node, new)
    for part in {**before, **after}:
        shape = child(node, part[2:]) if part.startswith("f:") and "list" not in node else node.get("list")
        compare(shape, before.get(part), after.get(part), (*at, part), made)
    if at and old is NOTHING:
        made.added.add(at)
    elif at and new is NOTHING:
        made.removed.add(at)
    return made


def members(node: Node, value: Any) -> dict[str, Any]:
    if value is NOTHING:
        return {}
    if isinstance(value, list):
        return {element(node, item): item for item in value}
    return {f"f:{key}": inner for key, inner in value.items()}


def merge(node: Node, live: Any, applied: Any) -> Any:
    """The live object with the applied one laid over it."""
    node = resolve(node)
    if node is None or is_atomic(node) or live is None or type(live) is not type(applied):
        return applied
    if isinstance(applied, list):
        return merge_lists(node, live, applied)
    if not isinstance(applied, dict):
        return applied
    made = dict(live)
    for key, value in applied.items():
        made[key] = merge(child(node, key), live.get(key), value)
    return {key: value for key, value in made.items() if value is not None}


def merge_lists(node: Node, live: list[Any], applied: list[Any]) -> list[Any]:
    """Shared items in the order of the applied ones; those of others where they were before them."""
    there, wanted = members(node, live), members(node, applied)
    made: list[Any] = []
    waiting = list(there)
    for part, item in wanted.items():
        while waiting and waiting[0] not in wanted:
            made.append(there[waiting.pop(0)])
        made.append(merge(node["list"], there.get(part), item))
        if part in waiting:
            waiting.remove(part)
    return made + [there[part] for part in waiting]


def remove(node: Node, value: Any, paths: Paths) -> Any:
    """The object without these fields and items; what holds nothing after that goes too."""
    if not paths:
        return value
    node = resolve(node)
    if is_atomic(node) or not isinstance(value, (dict, list)):
        return value
    inside: dict[str, Paths] = {}
    for path in paths:
        if path:
            inside.setdefault(path[0], set()).add(path[1:])
    if isinstance(value, list):
        items = []
        for item in value:
            part = element(node, item)
            gone = inside.get(part, set())
            if () not in gone:
                items.append(remove(node["list"], item, gone))
        return items or None
    made = {}
    for key, inner in value.items():
        gone = inside.get(f"f:{key}", set())
        if () in gone:
            continue
        kept = remove(child(node, key), inner, gone) if gone else inner
        if kept is not None:
            made[key] = kept
    return made or None


def with_named(node: Node, paths: Paths) -> Paths:
    """Those, and the fields of known names on the way to them."""
    found = set(paths)
    for path in paths:
        at = resolve(node)
        for depth, part in enumerate(path[:-1], 1):
            if at is None or isinstance(at, str):
                break
            if part.startswith("f:") and "list" not in at:
                if part[2:] in at.get("fields", {}):
                    found.add(path[:depth])
                at = child(at, part[2:])
            else:
                at = resolve(at["list"]) if "list" in at else None
    return found
