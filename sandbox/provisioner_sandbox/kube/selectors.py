"""Label and field selectors."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from provisioner_sandbox.kube import status

Object = dict[str, Any]
Test = Callable[[Object], bool]
SET = re.compile(r"^\s*(?P<key>[^\s!=,()]+)\s+(?P<op>in|notin)\s*\((?P<values>[^)]*)\)\s*$")
EQUAL = re.compile(r"^\s*(?P<key>[^\s!=,()]+)\s*(?P<op>!=|==|=)\s*(?P<value>[^\s=!,()]*)\s*$")
EXISTS = re.compile(r"^\s*(?P<not>!?)\s*(?P<key>[^\s!=,()]+)\s*$")


def by_labels(text: str) -> Test:
    terms = [term(part) for part in re.split(r",(?![^(]*\))", text) if part.strip()]
    return lambda document: all(holds(document["metadata"].get("labels") or {}) for holds in terms)


def term(text: str) -> Callable[[dict[str, str]], bool]:
    if found := SET.match(text):
        key, values = found["key"], {value.strip() for value in found["values"].split(",")}
        if found["op"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if found := EQUAL.match(text):
        key, value = found["key"], found["value"]
        if found["op"] == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if found := EXISTS.match(text):
        key, wanted = found["key"], not found["not"]
        return lambda labels: (key in labels) == wanted
    raise status.bad_request(f"unable to parse requirement: {text.strip()}")


def by_fields(text: str) -> Test:
    terms = []
    for part in text.split(","):
        found = EQUAL.match(part)
        if not found:
            raise status.bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
        terms.append((found["key"].split("."), found["value"], found["op"] == "!="))

    def fits(document: Object) -> bool:
        for path, value, other in terms:
            at: Any = document
            for key in path:
                at = at.get(key) if isinstance(at, dict) else None
            if ((at or "") == value) == other:
                return False
        return True

    return fits


def selects(selector: Object | None, labels: dict[str, str] | None) -> bool:
    """A LabelSelector; none selects nothing, an empty one everything."""
    if selector is None:
        return False
    labels = labels or {}
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(meets(one, labels) for one in selector.get("matchExpressions") or [])


def meets(requirement: Object, labels: dict[str, str]) -> bool:
    """Of a label selector, and of node affinity, which compares numbers too."""
    key, values = requirement["key"], requirement.get("values") or []
    match requirement["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case "Gt":
            return labels.get(key, "").isdecimal() and int(labels[key]) > int(values[0])
        case "Lt":
            return labels.get(key, "").isdecimal() and int(labels[key]) < int(values[0])
    return False


def to_text(selector: Object) -> str:
    """As `kubectl` writes it."""
    said = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for one in selector.get("matchExpressions") or []:
        key, values = one["key"], ",".join(sorted(one.get("values") or []))
        words = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key}
        said.append(words.get(one["operator"], f"!{key}"))
    return ",".join(said)
