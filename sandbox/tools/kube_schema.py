#!/usr/bin/env python3
"""Makes `provisioner_sandbox/kube/schemas.json` from the OpenAPI of a real API server, which KUBECONFIG leads to.

Field names, types, list types and merge keys; no descriptions. See `kube/schema.py` for the form.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parent.parent / "provisioner_sandbox" / "kube" / "schemas.json"
KINDS = {
    "api/v1": [
        "Namespace", "ServiceAccount", "ConfigMap", "Secret", "Service", "Event", "Node", "Pod", "ResourceQuota",
        "PersistentVolume", "PersistentVolumeClaim",
    ],
    "apis/apps/v1": ["Deployment", "ReplicaSet"],
    "apis/batch/v1": ["CronJob", "Job"],
    "apis/networking.k8s.io/v1": ["Ingress", "IngressClass", "NetworkPolicy"],
    "apis/policy/v1": ["PodDisruptionBudget"],
    "apis/autoscaling/v2": ["HorizontalPodAutoscaler"],
    "apis/autoscaling/v1": ["Scale"],
    "apis/discovery.k8s.io/v1": ["EndpointSlice"],
    "apis/rbac.authorization.k8s.io/v1": ["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"],
    "apis/apiextensions.k8s.io/v1": ["CustomResourceDefinition"],
    "apis/admissionregistration.k8s.io/v1": ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"],
    "apis/coordination.k8s.io/v1": ["Lease"],
    "apis/storage.k8s.io/v1": ["StorageClass"],
}  # fmt: skip
PREFIXES = ("io.k8s.apimachinery.pkg.", "io.k8s.apiextensions-apiserver.pkg.apis.", "io.k8s.api.")
REFERENCE = "#/components/schemas/"
# What JSON cannot tell: written as scalars.
LEAVES = {
    "apimachinery.pkg.api.resource.Quantity": "quantity",
    "apimachinery.pkg.util.intstr.IntOrString": "int-or-string",
    "apimachinery.pkg.apis.meta.v1.Time": "time",
    "apimachinery.pkg.apis.meta.v1.MicroTime": "time",
    "apimachinery.pkg.apis.meta.v1.FieldsV1": "any",
}


def fetch(path: str) -> dict[str, Any]:
    return json.loads(subprocess.run(["kubectl", "get", "--raw", path], check=True, capture_output=True).stdout)


def short(name: str) -> str:
    return next((name.removeprefix(prefix) for prefix in PREFIXES if name.startswith(prefix)), name)


class Table:
    def __init__(self) -> None:
        self.types: dict[str, Any] = {}

    def reference(self, name: str, schemas: dict[str, Any]) -> str:
        leaf = LEAVES.get(name.removeprefix("io.k8s."))
        if leaf:
            return leaf
        key = short(name)
        if key not in self.types:
            self.types[key] = {}
            made = self.node(schemas[name], schemas)
            # A name for what is but a scalar would say nothing.
            if isinstance(made, str):
                del self.types[key]
                return made
            self.types[key] = made
        return "#" + key

    def node(self, schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
        target = schema.get("$ref") or next((part["$ref"] for part in schema.get("allOf", []) if "$ref" in part), None)
        if target:
            return self.reference(target.removeprefix(REFERENCE), schemas)
        kind = schema.get("type")
        if kind == "array":
            made: dict[str, Any] = {"list": self.node(schema["items"], schemas)}
            how = schema.get("x-kubernetes-list-type")
            if how == "map":
                made["keys"] = schema["x-kubernetes-list-map-keys"]
            elif how == "set":
                made["set"] = 1
            # Strategic merge patches know keys that apply does not.
            merge = schema.get("x-kubernetes-patch-merge-key")
            if merge and merge not in made.get("keys", []):
                made["merge"] = merge
            return made
        if kind == "object" and "properties" in schema:
            made = {"fields": {name: self.node(one, schemas) for name, one in sorted(schema["properties"].items())}}
            if schema.get("required"):
                made["required"] = schema["required"]
            defaults = {name: one["default"] for name, one in schema["properties"].items() if one.get("default")}
            if defaults:
                made["defaults"] = defaults
            if schema.get("x-kubernetes-map-type") == "atomic":
                made["atomic"] = 1
            return made
        if kind == "object" and "additionalProperties" in schema:
            made = {"map": self.node(schema["additionalProperties"], schemas)}
            return {**made, "atomic": 1} if schema.get("x-kubernetes-map-type") == "atomic" else made
        if "enum" in schema:
            return {"enum": schema["enum"]}
        if schema.get("format") == "int-or-string":
            return "int-or-string"
        if schema.get("format") == "byte":
            return "bytes"
        return {"string": "string", "integer": "integer", "number": "number", "boolean": "boolean"}.get(kind, "any")


def main() -> None:
    table, kinds = Table(), {}
    for path, names in KINDS.items():
        document = fetch(f"/openapi/v3/{path}")
        schemas = document["components"]["schemas"]
        version = path.partition("/")[2]
        for full in sorted(schemas):
            for known in schemas[full].get("x-kubernetes-group-version-kind", []):
                group = "/".join(part for part in (known["group"], known["version"]) if part)
                if known["kind"] in names and group == version:
                    kinds[f"{version}/{known['kind']}"] = table.reference(full, schemas)
    # Validated against by the stand-in's own rules, not by their recursive schema.
    for name in [name for name in table.types if name.endswith("v1.JSONSchemaProps")]:
        table.types[name] = {"map": "any", "atomic": 1}
    used, todo = set(), list(kinds.values())
    while todo:
        name = todo.pop()
        if name in used:
            continue
        used.add(name)
        todo += [one for one in references(table.types[name[1:]])]
    types = {name: table.types[name] for name in sorted(table.types) if "#" + name in used}
    version = fetch("/version")["gitVersion"]
    text = json.dumps({"version": version, "kinds": kinds}, separators=(",", ":"))[:-1] + ',"types":{\n'
    text += ",\n".join(f"{json.dumps(name)}:{json.dumps(one, separators=(',', ':'))}" for name, one in types.items())
    TARGET.write_text(text + "\n}}\n")


def references(node: Any) -> list[str]:
    if isinstance(node, str):
        return [node] if node.startswith("#") else []
    if isinstance(node, dict):
        return [one for value in node.values() for one in references(value)]
    return []


if __name__ == "__main__":
    main()
