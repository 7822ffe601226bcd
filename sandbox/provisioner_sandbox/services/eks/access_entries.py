"""Access entries and their policies."""

from __future__ import annotations

import re
import uuid
from typing import Any

from provisioner_sandbox.backend import ACCOUNT, backend
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
    refused,
)
from provisioner_sandbox.services.sts import CALLER

POLICY = "arn:aws:eks::aws:cluster-access-policy/"
# https://docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html
POLICIES = [
    "AmazonEKSAdminPolicy", "AmazonEKSClusterAdminPolicy", "AmazonEKSAdminViewPolicy", "AmazonEKSEditPolicy",
    "AmazonEKSViewPolicy", "AmazonEKSAutoNodePolicy", "AmazonEKSSecretReaderPolicy",
]  # fmt: skip
PRINCIPAL = re.compile(r"^arn:aws[a-z-]*:iam::(\d{12}):(role|user)/([\w+=,.@/-]+)$")
BY_EKS = ("EC2_LINUX", "EC2_WINDOWS", "FARGATE_LINUX", "HYBRID_LINUX", "EC2")


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
    if account == ACCOUNT and not any(one.arn == principal for one in known) and principal != CALLER:
        raise invalid("The specified principalArn is invalid: invalid principal.")


def new_entry(region: str, cluster: Cluster, principal: str, kind: str, **fields: Any) -> Thing:
    _, _, rest = principal.partition(f":{ACCOUNT}:") if f":{ACCOUNT}:" in principal else ("", "", principal.rpartition(":")[2])
    what, _, name = rest.partition("/")
    entry = Thing(
        "access-entry",
        {
            "clusterName": cluster.doc["name"],
            "principalArn": principal,
            "kubernetesGroups": [],
            "accessEntryArn": arn(
                region, f"access-entry/{cluster.doc['name']}/{what}/{principal.split(':')[4]}/{name.rpartition('/')[2]}/{uuid.uuid4()}"
            ),
            "createdAt": now(),
            "modifiedAt": now(),
            "tags": {},
            "username": username(principal),
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


def creator(call: Call, cluster: Cluster) -> None:
    """The entry that EKS makes for whoever makes a cluster, unless told not to."""
    entry = new_entry(call.region, cluster, CALLER, "STANDARD")
    policy(entry, f"{POLICY}AmazonEKSClusterAdminPolicy", {"type": "cluster", "namespaces": []})


def for_nodes(region: str, cluster: Cluster, role: str) -> None:
    made_by_eks(region, cluster, role, "EC2_LINUX", "system:node:{{EC2PrivateDNSName}}")


def for_fargate(region: str, cluster: Cluster, role: str) -> None:
    made_by_eks(region, cluster, role, "FARGATE_LINUX", "system:node:{{SessionName}}")


def made_by_eks(region: str, cluster: Cluster, role: str, kind: str, name: str) -> None:
    if cluster.doc["accessConfig"]["authenticationMode"] != "CONFIG_MAP" and role not in cluster.entries:
        new_entry(region, cluster, role, kind, username=name, kubernetesGroups=["system:nodes"])


def forget(cluster: Cluster, role: str) -> None:
    entry = cluster.entries.get(role)
    if entry and entry.doc["type"] in BY_EKS:
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
    check_groups(groups)
    if kind != "STANDARD" and (groups or params.get("username")):
        raise invalid(f"Kubernetes groups and usernames cannot be specified for type {kind}")
    fields = {"kubernetesGroups": groups, "tags": params.get("tags") or {}}
    if params.get("username"):
        fields["username"] = params["username"]
    return {"accessEntry": new_entry(call.region, cluster, principal, kind, **fields).doc}


def check_groups(groups: list[str]) -> None:
    for group in groups:
        if re.match(r"^(system|eks|aws|amazon|iam):", group):
            raise invalid(f"The kubernetes group name {group} is invalid, it cannot start with {group.partition(':')[0]}:")


def entry_of(call: Call) -> tuple[Cluster, Thing]:
    cluster = cluster_of(call)
    check_mode(cluster)
    principal = call.params["principalArn"]
    entry = cluster.entries.get(principal)
    if entry is None:
        raise not_found(f"The specified principalArn could not be found. You can view your available access entries with 'list-access-entries'. {principal}")
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
    if call.params.get("kubernetesGroups") is not None:
        check_groups(call.params["kubernetesGroups"])
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
