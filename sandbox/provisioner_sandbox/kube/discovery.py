"""What clients ask before they ask for anything: groups, resources, versions, and as much OpenAPI as they need."""

from __future__ import annotations

from typing import Any

from provisioner_sandbox.kube.resources import EVICTION, SCALE, STATUS, Catalogue, Resource
from provisioner_sandbox.kube.schema import version

Document = dict[str, Any]
CHANGES = ("get", "patch", "update")


def versions(wanted: str) -> Document:
    """`wanted` is the cluster's minor version, such as `1.35`; all have the schemas of one."""
    major, minor = wanted.split(".")
    return {
        "major": major,
        "minor": minor,
        "gitVersion": f"v{wanted}.0-sandbox",
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": "",
    }


def group(name: str, names: list[str]) -> Document:
    listed = [{"groupVersion": f"{name}/{one}", "version": one} for one in names]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def groups(catalogue: Catalogue) -> Document:
    found = [group(name, names) for name, names in catalogue.groups().items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": found}


def core(host: str) -> Document:
    addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": host}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}


def resources(catalogue: Catalogue, name: str, one: str) -> Document | None:
    found = [resource for resource in catalogue.all() if (resource.group, resource.version) == (name, one)]
    if not found:
        return None
    listed = [entry for resource in found for entry in entries(resource)]
    version = f"{name}/{one}" if name else one
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": listed}


def entries(resource: Resource) -> list[Document]:
    own: Document = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short:
        own["shortNames"] = list(resource.short)
    if resource.categories:
        own["categories"] = list(resource.categories)
    found = [own]
    for name in resource.subresources:
        part = {**own, "name": f"{resource.plural}/{name}", "singularName": "", "verbs": list(CHANGES)}
        part.pop("shortNames", None)
        part.pop("categories", None)
        if name == SCALE:
            part |= {"group": "autoscaling", "version": "v1", "kind": "Scale"}
        elif name == EVICTION:
            part |= {"group": "policy", "version": "v1", "kind": "Eviction", "verbs": ["create"]}
        elif name not in (STATUS, "finalize"):
            part["verbs"] = ["get"]
        found.append(part)
    return found


def paths(catalogue: Catalogue) -> Document:
    """The root of OpenAPI v3."""
    found = {}
    for name, names in catalogue.groups().items():
        for one in names:
            path = f"apis/{name}/{one}" if name else f"api/{one}"
            found[path] = {"serverRelativeURL": f"/openapi/v3/{path}"}
    return {"paths": found}


def openapi(catalogue: Catalogue, name: str, one: str) -> Document | None:
    """Of a group's version: that its objects can be patched, and with which parameters. kubectl asks no more of it."""
    found = [resource for resource in catalogue.all() if (resource.group, resource.version) == (name, one)]
    if not found:
        return None
    parameters = [
        {"name": name, "in": "query", "schema": {"type": "string"}}
        for name in ("dryRun", "fieldManager", "fieldValidation", "force")
    ]
    documented = {}
    for resource in found:
        path = resource.path("{namespace}", "{name}")
        kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
        operation = {"responses": {"200": {"description": "OK"}}, "x-kubernetes-group-version-kind": kind}
        documented[path] = {"patch": {**operation, "parameters": parameters}}
    info = {"title": "Kubernetes", "version": version()}
    return {"openapi": "3.0.0", "info": info, "paths": documented, "components": {"schemas": {}}}
