"""Access entries and their policies."""

from __future__ import annotations

import re
import uuid
from typing import Any

from provisioner_sandbox.backend import ACCOUNT, backend
from provisioner_sandbox.caller import USER
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.eks.state import (
    Cluster,
    Thing,
    arn,
    cluster_of,
    in_use,
    invalid,
    not_found,
    now,
    page,
    reaches,
    refused,
)

POLICY = "arn:aws:eks::aws:cluster-access-policy/"
# https://docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html
POLICIES = [
    "AmazonEKSAdminPolicy", "AmazonEKSClusterAdminPolicy", "AmazonEKSAdminViewPolicy", "AmazonEKSEditPolicy",
    "AmazonEKSViewPolicy", "AmazonEKSAutoNodePolicy", "AmazonEKSSecretReaderPolicy",
]  # fmt: skip
PRINCIPAL = re.compile(r"^arn:aws[a-z-]*:iam::(\d{12}):(role|user)/([\w+=,.@/-]+)$")
# The names under which Kubernetes knows the nodes of each type of entry; they cannot be chosen.
# https://docs.aws.amazon.com/eks/latest/userguide/creating-access-entries.html
NODES = {
    "EC2_LINUX": "system:node:{{EC2PrivateDNSName}}",
    "EC2_WINDOWS": "system:node:{{EC2PrivateDNSName}}",
    "EC2": "system:node:{{EC2PrivateDNSName}}",
    "FARGATE_LINUX": "system:node:{{SessionName}}",
    "HYBRID_LINUX": "system:node:{{SessionName}}",
}
NODE_GROUPS = ["system:nodes"]
RESERVED = re.compile(r"^(system|eks|aws|amazon|iam):")


def check_mode(cluster: Cluster) -> None:
    if cluster.doc["accessConfig"]["authenticationMode"] == "CONFIG_MAP":
        raise refused(
            "The cluster's authentication mode must be set to one of [API, API_AND_CONFIG_MAP] "
            "to perform this operation."
        )


def check_principal(region: str, principal: str) -> None:
    match = PRINCIPAL.match(principal)
    if not match:
        raise invalid("The specified principalArn is invalid: invalid principal.")
    account, kind, _ = match.groups()
    iam = backend("iam", region)
    known = iam.roles.values() if kind == "role" else iam.users.values()
    if account == ACCOUNT and not any(one.arn == principal for one in known) and principal != USER:
        raise invalid("The specified principalArn is invalid: invalid principal.")


def new_entry(region: str, cluster: Cluster, principal: str, kind: str, **fields: Any) -> Thing:
    account, what, name = PRINCIPAL.match(principal).groups()
    place = f"{cluster.doc['name']}/{what}/{account}/{name.rpartition('/')[2]}"
    entry = Thing(
        "access-entry",
        {
            "clusterName": cluster.doc["name"],
            "principalArn": principal,
            "kubernetesGroups": NODE_GROUPS if kind in NODES else [],
            "accessEntryArn": arn(region, f"access-entry/{place}/{uuid.uuid4()}"),
            "createdAt": now(),
            "modifiedAt": now(),
            "tags": {},
            "username": NODES.get(kind) or username(principal),
            "type": kind,
            **fields,
        },
    )
    cluster.entries[principal] = entry
    return entry


def username(principal: str) -> str:
    match = PRINCIPAL.match(principal)
    if match and match.group(2) == "role":
        return f"arn:aws:sts::{match.group(1)}:assumed-role/{match.group(3).rpartition('/')[2]}/{{{{SessionName}}}}"
    return principal


@reaches("cluster", "AccessConfigUpdate")
def creator(region: str, cluster: Cluster, _: Thing) -> None:
    """Creates EKS's entry for the creator of a cluster, unless told not to, as soon as the cluster has entries."""
    mode = cluster.doc["accessConfig"]["authenticationMode"]
    if mode == "CONFIG_MAP" or not cluster.creator_is_admin or cluster.creator in cluster.entries:
        return
    entry = new_entry(region, cluster, cluster.creator, "STANDARD")
    policy(entry, f"{POLICY}AmazonEKSClusterAdminPolicy", {"type": "cluster", "namespaces": []})


def for_nodes(region: str, cluster: Cluster, role: str) -> None:
    made_by_eks(region, cluster, role, "EC2_LINUX")


def for_fargate(region: str, cluster: Cluster, role: str) -> None:
    made_by_eks(region, cluster, role, "FARGATE_LINUX")


def for_auto_nodes(region: str, cluster: Cluster, role: str, policy_name: str) -> None:
    """Of Auto Mode: without the policy its nodes may do nothing."""
    made_by_eks(region, cluster, role, "EC2")
    entry = cluster.entries.get(role)
    if entry and entry.doc["type"] == "EC2":
        policy(entry, f"{POLICY}{policy_name}", {"type": "cluster", "namespaces": []})


def made_by_eks(region: str, cluster: Cluster, role: str, kind: str) -> None:
    if cluster.doc["accessConfig"]["authenticationMode"] != "CONFIG_MAP" and role not in cluster.entries:
        new_entry(region, cluster, role, kind)


def forget(cluster: Cluster, role: str) -> None:
    entry = cluster.entries.get(role)
    if entry and entry.doc["type"] in NODES:
        cluster.entries.pop(role)


@handles("eks", "CreateAccessEntry")
def create(call: Call) -> dict:
    params, cluster = call.params, cluster_of(call)
    check_mode(cluster)
    principal, kind = params["principalArn"], params.get("type", "STANDARD")
    if principal in cluster.entries:
        raise in_use("The specified access entry resource is already in use on this cluster.")
    check_principal(call.region, principal)
    groups = params.get("kubernetesGroups") or []
    check_names(groups, params.get("username"))
    if kind not in ("STANDARD", *NODES):
        raise invalid(f"The specified type is invalid: {kind}")
    if kind != "STANDARD" and (groups or params.get("username")):
        raise invalid(f"Kubernetes groups and usernames cannot be specified for type {kind}")
    fields = {"tags": params.get("tags") or {}}
    if groups:
        fields["kubernetesGroups"] = groups
    if params.get("username"):
        fields["username"] = params["username"]
    return {"accessEntry": new_entry(call.region, cluster, principal, kind, **fields).doc}


def check_names(groups: list[str], user: str | None) -> None:
    for what, names in (("kubernetes group name", groups), ("username", [user] if user else [])):
        for name in names:
            if RESERVED.match(name):
                raise invalid(f"The {what} {name} is invalid, it cannot start with {name.partition(':')[0]}:")


def entry_of(call: Call) -> tuple[Cluster, Thing]:
    cluster = cluster_of(call)
    check_mode(cluster)
    principal = call.params["principalArn"]
    entry = cluster.entries.get(principal)
    if entry is None:
        raise not_found(
            "The specified principalArn could not be found. "
            "You can view your available access entries with 'list-access-entries'."
        )
    return cluster, entry


@handles("eks", "DescribeAccessEntry")
def describe(call: Call) -> dict:
    return {"accessEntry": entry_of(call)[1].doc}


@handles("eks", "ListAccessEntries")
def list_entries(call: Call) -> dict:
    cluster = cluster_of(call)
    check_mode(cluster)
    wanted = call.params.get("associatedPolicyArn")
    found = sorted(name for name, entry in cluster.entries.items() if not wanted or wanted in entry.policies)
    names, token = page(call, found)
    return {"accessEntries": names, "nextToken": token}


@handles("eks", "UpdateAccessEntry")
def update(call: Call) -> dict:
    _, entry = entry_of(call)
    if entry.doc["type"] != "STANDARD":
        raise refused(f"Access entries of type {entry.doc['type']} cannot be updated")
    check_names(call.params.get("kubernetesGroups") or [], call.params.get("username"))
    if call.params.get("kubernetesGroups") is not None:
        entry.doc["kubernetesGroups"] = call.params["kubernetesGroups"]
    if call.params.get("username"):
        entry.doc["username"] = call.params["username"]
    entry.doc["modifiedAt"] = now()
    return {"accessEntry": entry.doc}


@handles("eks", "DeleteAccessEntry")
def delete(call: Call) -> dict:
    cluster, entry = entry_of(call)
    cluster.entries.pop(entry.doc["principalArn"])
    return {}


def policy(entry: Thing, policy_arn: str, scope: dict[str, Any]) -> dict[str, Any]:
    known = entry.policies.get(policy_arn)
    document = {
        "policyArn": policy_arn,
        "accessScope": scope,
        "associatedAt": known["associatedAt"] if known else now(),
        "modifiedAt": now(),
    }
    entry.policies[policy_arn] = document
    return document


@handles("eks", "AssociateAccessPolicy")
def associate(call: Call) -> dict:
    cluster, entry = entry_of(call)
    params = call.params
    if params["policyArn"].removeprefix(POLICY) not in POLICIES:
        raise invalid(f"The specified policyArn is invalid: {params['policyArn']}")
    if entry.doc["type"] not in ("STANDARD", "EC2"):
        raise refused(f"Access policies cannot be associated with access entries of type {entry.doc['type']}")
    scope = params["accessScope"]
    namespaces = scope.get("namespaces") or []
    if scope.get("type") == "namespace" and not namespaces:
        raise invalid("The access scope of type namespace needs namespaces")
    if scope.get("type") == "cluster" and namespaces:
        raise invalid("The access scope of type cluster takes no namespaces")
    document = policy(entry, params["policyArn"], {"type": scope["type"], "namespaces": namespaces})
    return {
        "clusterName": cluster.doc["name"],
        "principalArn": entry.doc["principalArn"],
        "associatedAccessPolicy": document,
    }


@handles("eks", "DisassociateAccessPolicy")
def disassociate(call: Call) -> dict:
    _, entry = entry_of(call)
    if entry.policies.pop(call.params["policyArn"], None) is None:
        raise not_found("The specified access policy association could not be found.")
    return {}


@handles("eks", "ListAssociatedAccessPolicies")
def list_associated(call: Call) -> dict:
    cluster, entry = entry_of(call)
    items, token = page(call, list(entry.policies.values()))
    return {
        "clusterName": cluster.doc["name"],
        "principalArn": entry.doc["principalArn"],
        "associatedAccessPolicies": items,
        "nextToken": token,
    }


@handles("eks", "ListAccessPolicies")
def list_policies(call: Call) -> dict:
    items, token = page(call, [{"name": name, "arn": f"{POLICY}{name}"} for name in sorted(POLICIES)])
    return {"accessPolicies": items, "nextToken": token}
