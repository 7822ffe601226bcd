"""Add-ons."""

from __future__ import annotations

import json
import uuid
from typing import Any

import yaml

from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.eks import addon_catalogue as catalogue
from provisioner_sandbox.services.eks import health
from provisioner_sandbox.services.eks.addon_schemas import SCHEMAS, problems
from provisioner_sandbox.services.eks.state import (
    GONE,
    Cluster,
    Thing,
    active_cluster,
    arn,
    cluster_of,
    in_use,
    invalid,
    not_found,
    now,
    page,
    role_of,
    start_update,
)

# AWS seconds; an add-on that runs on each node is there as soon as it is written down.
CREATE = 40
CREATE_DAEMON = 15
UPDATE = 40
DELETE = 20
HOMELESS = {
    "code": "InsufficientNumberOfReplicas",
    "message": "The add-on is unhealthy because it doesn't have the desired number of replicas.",
    "resourceIds": [],
}


@handles("eks", "DescribeAddonVersions")
def describe_versions(call: Call) -> dict:
    params = call.params
    found = []
    for product in catalogue.PRODUCTS:
        if params.get("addonName") not in (None, product.name):
            continue
        if any(
            params.get(member) and getattr(product, field) not in params[member]
            for member, field in (("types", "kind"), ("publishers", "publisher"), ("owners", "owner"))
        ):
            continue
        document = catalogue.describe(product, params.get("kubernetesVersion"))
        if document:
            found.append(document)
    if params.get("addonName") and not catalogue.product(params["addonName"]):
        raise not_found(f"Addon: {params['addonName']} not found")
    items, token = page(call, found)
    return {"addons": items, "nextToken": token}


@handles("eks", "DescribeAddonConfiguration")
def describe_configuration(call: Call) -> dict:
    name, version = call.params["addonName"], call.params["addonVersion"]
    if not catalogue.release(name, version):
        raise not_found(f"Addon: {name} with version: {version} not found")
    return {"addonName": name, "addonVersion": version, "configurationSchema": json.dumps(SCHEMAS[name])}


def check_version(cluster: Cluster, name: str, asked: str | None) -> str:
    if not catalogue.product(name):
        raise invalid(f"Addon {name} specified is not supported")
    minor = cluster.doc["version"]
    version = asked or catalogue.default_version(name, minor)
    release = catalogue.release(name, version or "")
    if release is None or minor not in release.minors:
        raise invalid(f"Addon version specified is not supported in {minor} kubernetes version: {version}")
    return release.version


def check_configuration(name: str, text: str | None) -> None:
    if not text:
        return
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise invalid("ConfigurationValue provided in request is not valid JSON or YAML") from None
    found = problems(value, SCHEMAS[name], SCHEMAS[name])
    if found:
        raise invalid(
            f"ConfigurationValue provided in request is not supported: Json schema validation failed with error: {found}"
        )


def check_role(call: Call) -> None:
    role = call.params.get("serviceAccountRoleArn")
    if role and role_of(call.region, role) is None:
        raise invalid(f"Role {role} provided in the request does not exist")


@handles("eks", "CreateAddon")
def create(call: Call) -> dict:
    params, cluster = call.params, active_cluster(call)
    name = params["addonName"]
    version = check_version(cluster, name, params.get("addonVersion"))
    if name in cluster.addons:
        raise in_use("Addon already exists.")
    check_configuration(name, params.get("configurationValues"))
    check_role(call)
    product = catalogue.product(name)
    assert product
    addon = Thing(
        "addon",
        {
            "addonName": name,
            "clusterName": cluster.doc["name"],
            "addonVersion": version,
            "health": {"issues": []},
            "addonArn": arn(call.region, f"addon/{cluster.doc['name']}/{name}/{uuid.uuid4()}"),
            "createdAt": now(),
            "modifiedAt": now(),
            "tags": params.get("tags") or {},
            "publisher": product.publisher,
            "owner": product.owner,
        },
    )
    set_fields(addon, params)
    addon.turn("CREATING", CREATE_DAEMON if product.daemon else CREATE, "ACTIVE")
    cluster.addons[name] = addon
    return {"addon": addon.doc}


def set_fields(addon: Thing, params: dict[str, Any]) -> None:
    for member in ("serviceAccountRoleArn", "configurationValues"):
        if params.get(member):
            addon.doc[member] = params[member]


def has_place(cluster: Cluster, addon: Thing) -> bool:
    """Pods of a Deployment need a node, or a Fargate profile that takes them."""
    product = catalogue.product(addon.doc["addonName"])
    assert product
    if product.daemon or any(
        group.status in ("ACTIVE", "UPDATING", "DEGRADED") and group.doc["scalingConfig"]["desiredSize"] > 0
        for group in cluster.nodegroups.values()
    ):
        return True
    profiles = [
        selector
        for profile in cluster.profiles.values()
        if profile.status == "ACTIVE"
        for selector in profile.doc["selectors"]
    ]
    takes = any(selector["namespace"] == product.namespace for selector in profiles)
    if addon.doc["addonName"] != "coredns":
        return takes
    # CoreDNS is marked as a pod of EC2 unless its configuration says otherwise.
    configuration = yaml.safe_load(addon.doc.get("configurationValues") or "{}") or {}
    return takes and str(configuration.get("computeType", "")).lower() == "fargate"


def shown(cluster: Cluster, addon: Thing) -> dict[str, Any]:
    document = health.shown(addon, f"addon/{addon.doc['addonName']}")
    if document["status"] == "ACTIVE" and not has_place(cluster, addon):
        document["status"] = "DEGRADED"
        document["health"] = {"issues": [HOMELESS]}
    return document


def addon_of(call: Call) -> tuple[Cluster, Thing]:
    cluster, name = cluster_of(call), call.params["addonName"]
    if name not in cluster.addons:
        raise not_found(f"No addon: {name} found in cluster: {cluster.doc['name']}")
    return cluster, cluster.addons[name]


@handles("eks", "DescribeAddon")
def describe(call: Call) -> dict:
    return {"addon": shown(*addon_of(call))}


@handles("eks", "ListAddons")
def list_addons(call: Call) -> dict:
    names, token = page(call, sorted(cluster_of(call).addons))
    return {"addons": names, "nextToken": token}


@handles("eks", "UpdateAddon")
def update(call: Call) -> dict:
    cluster, addon = addon_of(call)
    params, name = call.params, addon.doc["addonName"]
    if addon.status in ("CREATING", "UPDATING", "DELETING"):
        raise in_use(f"Addon {name} cannot be updated as it is currently in {addon.status} state")
    changes: dict[str, Any] = {"addonVersion": check_version(cluster, name, params.get("addonVersion") or addon.doc["addonVersion"])}
    check_configuration(name, params.get("configurationValues"))
    check_role(call)
    for member in ("serviceAccountRoleArn", "configurationValues"):
        if params.get(member):
            changes[member] = params[member]
    said = {"AddonVersion": changes["addonVersion"], "ResolveConflicts": params.get("resolveConflicts", "NONE")}
    return {"update": start_update(cluster, addon, "AddonUpdate", said, changes, UPDATE)}


@handles("eks", "DeleteAddon")
def delete(call: Call) -> dict:
    _, addon = addon_of(call)
    if addon.status == "DELETING":
        raise in_use(f"Addon {addon.doc['addonName']} is already being deleted")
    addon.turn("DELETING", DELETE, GONE)
    return {"addon": addon.doc}
