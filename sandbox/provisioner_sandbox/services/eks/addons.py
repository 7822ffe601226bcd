"""Add-ons."""

from __future__ import annotations

import json
import uuid
from fnmatch import fnmatchcase
from typing import Any

import yaml

from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.eks import addon_catalogue as catalogue
from provisioner_sandbox.services.eks import auto_mode, health, pod_identity, rollback
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
    reaches,
    refused,
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
CONFLICT = {
    "code": "ConfigurationConflict",
    "message": (
        "Conflicts found when trying to apply. Will not continue due to resolve conflicts mode. Conflicts:\n"
        '{} - .spec.template.spec.containers[name="{}"].image'
    ),
    "resourceIds": [],
}
# What a cluster has without add-ons, unless it is made without: the object, and its container.
SELF_MANAGED = {
    "coredns": ("Deployment.apps coredns", "coredns"),
    "kube-proxy": ("DaemonSet.apps kube-proxy", "kube-proxy"),
    "vpc-cni": ("DaemonSet.apps aws-node", "aws-node"),
}
POLICY = "arn:aws:iam::aws:policy/"


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
    items, token = page(call, found)
    return {"addons": items, "nextToken": token}


@handles("eks", "DescribeAddonConfiguration")
def describe_configuration(call: Call) -> dict:
    name, version = call.params["addonName"], call.params["addonVersion"]
    if not catalogue.release(name, version):
        raise not_found(f"Addon: {name} with version: {version} not found")
    product = catalogue.product(name)
    assert product
    return {
        "addonName": name,
        "addonVersion": version,
        "configurationSchema": json.dumps(SCHEMAS[name]),
        "podIdentityConfiguration": [
            {"serviceAccount": account, "recommendedManagedPolicies": [POLICY + policy for policy in policies]}
            for account, policies in product.accounts.items()
        ],
    }


def check_version(cluster: Cluster, name: str, asked: str | None, goal: str | None = None) -> str:
    """The add-on's version, for the cluster's own, or for `goal`, to which it is to be rolled back."""
    if not catalogue.product(name):
        raise invalid("Addon specified is not supported")
    minor = cluster.doc["version"]
    version = asked or catalogue.default_version(name, minor)
    release = catalogue.release(name, version or "")
    if release is None or not {minor, goal} & {*release.minors}:
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
            "ConfigurationValue provided in request is not supported: "
            f"Json schema validation failed with error: {found}"
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
    if params.get("resolveConflicts") == "PRESERVE":
        raise invalid("Resolve conflicts option preserve is not supported for operation CreateAddon")
    check_configuration(name, params.get("configurationValues"))
    check_role(call)
    wanted = check_associations(call, cluster, None)
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
    for member in ("serviceAccountRoleArn", "configurationValues", "namespaceConfig"):
        if params.get(member):
            addon.doc[member] = params[member]
    end = "CREATE_FAILED" if conflicts(cluster, addon, params.get("resolveConflicts")) else "ACTIVE"
    addon.turn("CREATING", CREATE_DAEMON if product.daemon else CREATE, end)
    cluster.addons[name] = addon
    if wanted:
        addon.doc["podIdentityAssociations"] = own(call.region, cluster, addon, wanted)
    return {"addon": addon.doc}


def conflicts(cluster: Cluster, addon: Thing, mode: str | None) -> bool:
    """Whether the add-on would change the cluster's self-managed software without being allowed to."""
    name, minor = addon.doc["addonName"], cluster.doc["version"]
    if mode == "OVERWRITE" or name not in cluster.self_managed:
        return False
    return bool(addon.doc.get("configurationValues")) or addon.doc["addonVersion"] != catalogue.default_version(
        name, minor
    )


@reaches("addon", "CREATE_FAILED")
def fail(region: str, cluster: Cluster, addon: Thing) -> None:
    message = CONFLICT["message"].format(*SELF_MANAGED[addon.doc["addonName"]])
    addon.doc["health"] = {"issues": [{**CONFLICT, "message": message}]}


@reaches("addon", "ACTIVE")
def take_over(region: str, cluster: Cluster, addon: Thing) -> None:
    cluster.self_managed.discard(addon.doc["addonName"])


def check_associations(call: Call, cluster: Cluster, addon: Thing | None) -> dict[str, str] | None:
    """The roles asked for, by service account; none where the request does not speak of them."""
    asked, name = call.params.get("podIdentityAssociations"), call.params["addonName"]
    if asked is None:
        return None
    product = catalogue.product(name)
    assert product
    if asked and not product.accounts:
        raise invalid(f"Pod Identity feature is not supported for addon {name}")
    for one in asked:
        account = one["serviceAccount"]
        if account not in product.accounts:
            raise invalid(f"Service account {account} in pod identity configuration is not supported for addon {name}")
        pod_identity.check_role(call.region, one["roleArn"])
        there = pod_identity.of_account(cluster, namespace_of(call.params, product), account)
        if there and (addon is None or there.doc.get("ownerArn") != addon.arn):
            raise in_use(f"Association already exists: {there.doc['associationId']}")
    return {one["serviceAccount"]: one["roleArn"] for one in asked}


def namespace_of(document: dict[str, Any], product: catalogue.Product) -> str:
    return (document.get("namespaceConfig") or {}).get("namespace") or product.namespace


def own(region: str, cluster: Cluster, addon: Thing, wanted: dict[str, str]) -> list[str]:
    """Makes the add-on's associations exactly these; all others are "overwritten".

    https://docs.aws.amazon.com/eks/latest/userguide/update-addon-role.html
    """
    product = catalogue.product(addon.doc["addonName"])
    assert product
    for key, association in list(cluster.associations.items()):
        if association.doc.get("ownerArn") == addon.arn and association.doc["serviceAccount"] not in wanted:
            cluster.associations.pop(key)
    arns = []
    for account, role in wanted.items():
        namespace = namespace_of(addon.doc, product)
        there = pod_identity.of_account(cluster, namespace, account)
        if there is None:
            there = pod_identity.associate(region, cluster, namespace, account, role, ownerArn=addon.arn)
        there.doc.update(roleArn=role, modifiedAt=now())
        arns.append(there.arn)
    return arns


def has_place(cluster: Cluster, addon: Thing) -> bool:
    """Pods of a Deployment need a node, Auto Mode that starts one, or a Fargate profile that takes them."""
    product = catalogue.product(addon.doc["addonName"])
    assert product
    if product.daemon or auto_mode.takes_pods(cluster) or any(
        group.status in ("ACTIVE", "UPDATING", "DEGRADED") and group.joined
        for group in cluster.nodegroups.values()
    ):
        return True
    profiles = [
        selector
        for profile in cluster.profiles.values()
        if profile.status == "ACTIVE"
        for selector in profile.doc["selectors"]
    ]
    takes = any(fnmatchcase(product.namespace, selector["namespace"]) for selector in profiles)
    if addon.doc["addonName"] != "coredns":
        return takes
    # CoreDNS is marked as a pod of EC2 unless its configuration says otherwise.
    configuration = yaml.safe_load(addon.doc.get("configurationValues") or "{}") or {}
    return takes and str(configuration.get("computeType", "")).lower() == "fargate"


def shown(cluster: Cluster, addon: Thing) -> dict[str, Any]:
    document = health.shown(addon, f"addon/{addon.doc['addonName']}")
    if document["status"] == "ACTIVE" and not has_place(cluster, addon):
        document["status"] = "DEGRADED"
        document["health"] = {"issues": [*document["health"]["issues"], HOMELESS]}
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
    asked = params.get("addonVersion") or addon.doc["addonVersion"]
    version = check_version(cluster, name, asked, rollback.target(cluster))
    changes: dict[str, Any] = {"addonVersion": version, "health": {"issues": []}}
    check_configuration(name, params.get("configurationValues"))
    check_role(call)
    wanted = check_associations(call, cluster, addon)
    for member in ("serviceAccountRoleArn", "configurationValues"):
        if params.get(member):
            changes[member] = params[member]
    if wanted is not None:
        changes["podIdentityAssociations"] = own(call.region, cluster, addon, wanted)
        if wanted:
            # One role for a service account: that of the association takes the place of IRSA's.
            addon.doc.pop("serviceAccountRoleArn", None)
    said = {
        "AddonVersion": params.get("addonVersion"),
        "ServiceAccountRoleArn": params.get("serviceAccountRoleArn"),
        "ResolveConflicts": params.get("resolveConflicts"),
        "ConfigurationValues": params.get("configurationValues"),
        "PodIdentityAssociations": None if wanted is None else json.dumps(params["podIdentityAssociations"]),
    }
    return {"update": start_update(call, cluster, addon, "AddonUpdate", said, changes, UPDATE)}


@reaches("addon", "AddonUpdate")
def end_update(region: str, cluster: Cluster, addon: Thing) -> None:
    take_over(region, cluster, addon)


@handles("eks", "DeleteAddon")
def delete(call: Call) -> dict:
    cluster, addon = addon_of(call)
    name = addon.doc["addonName"]
    if addon.status == "DELETING":
        raise refused(f"Addon {name} cannot be deleted as it is currently in DELETING state")
    if call.params.get("preserve") and name in SELF_MANAGED:
        cluster.self_managed.add(name)
    addon.turn("DELETING", DELETE, GONE)
    return {"addon": addon.doc}


@reaches("addon", GONE)
def remove(region: str, cluster: Cluster, addon: Thing) -> None:
    own(region, cluster, addon, {})
