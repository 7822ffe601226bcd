"""Pod identity associations: one for each service account."""

from __future__ import annotations

import uuid
from typing import Any

from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.eks.state import (
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
    trusts,
)


ID_LENGTH = 19
SUMMARY = ("clusterName", "namespace", "serviceAccount", "associationArn", "associationId", "ownerArn")


def check_role(region: str, role_arn: str) -> None:
    role = role_of(region, role_arn)
    if role is None:
        raise invalid(f"Role provided in the request does not exist: {role_arn}")
    if not trusts(role, "pods.eks.amazonaws.com", "sts:AssumeRole", "sts:TagSession"):
        raise invalid(
            "Trust policy of the role must allow pods.eks.amazonaws.com to sts:AssumeRole and sts:TagSession."
        )


@handles("eks", "CreatePodIdentityAssociation")
def create(call: Call) -> dict:
    params, cluster = call.params, active_cluster(call)
    there = of_account(cluster, params["namespace"], params["serviceAccount"])
    if there:
        raise in_use(f"Association already exists: {there.doc['associationId']}")
    check_role(call.region, params["roleArn"])
    association = associate(
        call.region,
        cluster,
        params["namespace"],
        params["serviceAccount"],
        params["roleArn"],
        tags=params.get("tags") or {},
        disableSessionTags=params.get("disableSessionTags", False),
    )
    set_target(association, params)
    return {"association": association.doc}


def of_account(cluster: Cluster, namespace: str, account: str) -> Thing | None:
    place = namespace, account
    found = cluster.associations.values()
    return next((one for one in found if place == (one.doc["namespace"], one.doc["serviceAccount"])), None)


def associate(region: str, cluster: Cluster, namespace: str, account: str, role: str, **more: Any) -> Thing:
    association_id = f"a-{uuid.uuid4().hex}"[:ID_LENGTH]
    association = Thing(
        "podidentityassociation",
        {
            "clusterName": cluster.doc["name"],
            "namespace": namespace,
            "serviceAccount": account,
            "roleArn": role,
            "associationArn": arn(region, f"podidentityassociation/{cluster.doc['name']}/{association_id}"),
            "associationId": association_id,
            "tags": {},
            "createdAt": now(),
            "modifiedAt": now(),
            "disableSessionTags": False,
            **more,
        },
    )
    cluster.associations[association_id] = association
    return association


def set_target(association: Thing, params: dict[str, Any]) -> None:
    """The role of another account that the first one takes, told to that account by the external ID."""
    if params.get("targetRoleArn"):
        association.doc["targetRoleArn"] = params["targetRoleArn"]
        association.doc.setdefault("externalId", str(uuid.uuid4()))
    if params.get("policy"):
        association.doc["policy"] = params["policy"]


def association_of(call: Call) -> tuple[Cluster, Thing]:
    cluster = cluster_of(call)
    wanted = call.params["associationId"]
    if len(wanted) != ID_LENGTH:
        raise invalid(f"The parameter associationId should be {ID_LENGTH} characters long.")
    if wanted not in cluster.associations:
        raise not_found(f"No association found with id: {wanted}")
    return cluster, cluster.associations[wanted]


@handles("eks", "DescribePodIdentityAssociation")
def describe(call: Call) -> dict:
    return {"association": association_of(call)[1].doc}


@handles("eks", "ListPodIdentityAssociations")
def list_associations(call: Call) -> dict:
    params = call.params
    found = [
        {key: association.doc[key] for key in SUMMARY if key in association.doc}
        for association in cluster_of(call).associations.values()
        if params.get("namespace") in (None, association.doc["namespace"])
        and params.get("serviceAccount") in (None, association.doc["serviceAccount"])
    ]
    items, token = page(call, found)
    return {"associations": items, "nextToken": token}


@handles("eks", "UpdatePodIdentityAssociation")
def update(call: Call) -> dict:
    _, association = association_of(call)
    if call.params.get("roleArn"):
        check_role(call.region, call.params["roleArn"])
        association.doc["roleArn"] = call.params["roleArn"]
    if call.params.get("disableSessionTags") is not None:
        association.doc["disableSessionTags"] = call.params["disableSessionTags"]
    set_target(association, call.params)
    association.doc["modifiedAt"] = now()
    return {"association": association.doc}


@handles("eks", "DeletePodIdentityAssociation")
def delete(call: Call) -> dict:
    cluster, association = association_of(call)
    cluster.associations.pop(association.doc["associationId"])
    for addon in cluster.addons.values():
        if addon.arn == association.doc.get("ownerArn"):
            addon.doc["podIdentityAssociations"].remove(association.arn)
    return {"association": association.doc}
