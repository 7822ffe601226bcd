"""What the API server refuses in an object, as far as people get it wrong. After Kubernetes' `pkg/apis/*/validation`."""

from __future__ import annotations

import re
from typing import Any

from provisioner_sandbox.kube.schema import Node, child, resolve
from provisioner_sandbox.kube.status import missing, unsupported, wrong
from provisioner_sandbox.kube.validation import configuration, jobs, networking, workloads  # noqa: F401
from provisioner_sandbox.kube.validation.checks import CHECKS, Causes, Object
from provisioner_sandbox.kube.validation.names import metadata

QUANTITY = re.compile(r"^[+-]?(\d+(\.\d*)?|\.\d+)(([KMGTPE]i)|[numkMGTPE]|([eE][+-]?\d+))?$")


def check(kind: str, node: Node, document: Object, old: Object | None) -> Causes:
    causes = metadata(kind, document["metadata"], old)
    causes += by_schema(node, {key: value for key, value in document.items() if key not in ("metadata", "status")}, "")
    if kind in CHECKS:
        known = {cause.field for cause in causes}
        causes += [cause for cause in CHECKS[kind](document, old) if cause.field not in known]
    return causes


def by_schema(node: Node, value: Any, path: str) -> Causes:
    """Required fields and values of a list of choices."""
    node = resolve(node)
    if node is None or value is None:
        return []
    if isinstance(node, str):
        if node == "quantity" and not QUANTITY.match(str(value)):
            return [
                wrong(
                    path,
                    value,
                    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
                )
            ]
        return []
    if "enum" in node:
        if value in node["enum"] or value == "":
            return []
        return [unsupported(path, value, [one for one in node["enum"] if one != ""])]
    causes: Causes = []
    if "list" in node:
        for n, item in enumerate(value):
            causes += by_schema(node["list"], item, f"{path}[{n}]")
        return causes
    for name in node.get("required", []):
        if not path and name == "metadata":
            continue
        # An empty list or text is what Go's types make of what is not there.
        if value.get(name) is None:
            causes.append(missing(f"{path}.{name}".lstrip(".")))
    for key, inner in value.items():
        where = f"{path}.{key}".lstrip(".") if "map" not in node else f"{path}[{key}]"
        causes += by_schema(child(node, key), inner, where)
    return causes
