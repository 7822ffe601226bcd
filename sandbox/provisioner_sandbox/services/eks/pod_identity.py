"""Pod identity associations: one for each service account."""

from __future__ import annotations

import uuid

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


def check_role(call: Call, role_arn: str) -> None:
    role = role_of(call.region, role_arn)
    if role is None:
        raise invalid(f"Role provided in the request does not exist: {role_arn}")
    if not trusts(role, "pods.eks.amazonaws.com", "sts:AssumeRole", "sts:TagSession"):
        raise invalid("Trust policy of the role must allow pods.eks.amazonaws.com to sts:AssumeRole and sts:TagSession.")


@handles("eks", "CreatePodIdentityAssociation")
def create(call: Call) -> dict:
    params, cluster = call.params, active_cluster(call)
    place = params["namespace"], params["serviceAccount"]
    for other in cluster.associations.values():
        if place == (other.doc["namespace"], other.doc["serviceAccount"]):
            raise in_use(f"Association already exists: {other.doc['associationId']}")
    check_role(call, params["roleArn"])
    association_id = f"a-{uuid.uuid4().hex[:17]}"
    association = Thing(
        "podidentityassociation",
        {
            "clusterName": cluster.doc["name"],
            "namespace": place[0],
            "serviceAccount": place[1],
            "roleArn": params["roleArn"],
            "associationArn": arn(call.region, f"podidentityassociation/{cluster.doc['name']}/{association_id}"),
            "associationId": association_id,
            "tags": params.get("tags") or {},
            "createdAt": now(),
            "modifiedAt": now(),
            "disableSessionTags": params.get("disableSessionTags", False),
        },
    )
    if params.get("targetRoleArn"):
        association.doc.update(targetRoleArn=params["targetRoleArn"], externalId=str(uuid.uuid4()))
    cluster.associations[association_id] = association
    return {"association": association.doc}


def association_of(call: Call) -> tuple[Cluster, Thing]:
    cluster = cluster_of(call)
    wanted = call.params["associationId"]
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
        {key: association.doc[key] for key in ("clusterName", "namespace", "serviceAccount", "associationArn", "associationId")}
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
        check_role(call, call.params["roleArn"])
        association.doc["roleArn"] = call.params["roleArn"]
    if call.params.get("disableSessionTags") is not None:
        association.doc["disableSessionTags"] = call.params["disableSessionTags"]
    association.doc["modifiedAt"] = now()
    return {"association": association.doc}


@handles("eks", "DeletePodIdentityAssociation")
def delete(call: Call) -> dict:
    cluster, association = association_of(call)
    cluster.associations.pop(association.doc["associationId"])
    return {"association": association.doc}
