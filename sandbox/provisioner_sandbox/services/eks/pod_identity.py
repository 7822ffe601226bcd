"""Pod identity associations: one for each service account.

What is refused in which words, beside what botocore's model says: https://github.com/badmintoncryer/cdk-preflight, which
measured the calls.
"""

from __future__ import annotations

import re
import uuid
from typing import Any

from provisioner_sandbox.backend import ACCOUNT
from provisioner_sandbox.errors import AwsError
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
ROLE = re.compile(r"arn:aws[a-z-]*:iam::(?P<account>\d{12}):role/[\w+=,.@/-]+")
LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
NAMES = {"namespace": f"^{LABEL}$", "serviceAccount": rf"^{LABEL}(\.{LABEL})*$"}
SUMMARY = ("clusterName", "namespace", "serviceAccount", "associationArn", "associationId", "ownerArn")


def check_names(params: dict[str, Any]) -> None:
    for member, pattern in NAMES.items():
        if not re.fullmatch(pattern, params[member]):
            raise invalid(
                f"The parameter {member} contains invalid characters. "
                f'It should conform to the regular expression "{pattern}"'
            )


def check_role(region: str, role_arn: str) -> None:
    match = ROLE.fullmatch(role_arn)
    if match and match["account"] != ACCOUNT:
        raise AwsError("AccessDeniedException", "Cross-account pass role is not allowed.", 403)
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
    check_names(params)
    check_session(params, params.get("disableSessionTags", False), params.get("policy"))
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
    set_target(association, params, call.region)
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


def check_session(params: dict[str, Any], without_tags: bool, policy: str | None) -> None:
    """What the sessions of an association would be."""
    if policy and not without_tags:
        raise invalid("When policy is specified, disableSessionTags must be set to true")
    target = params.get("targetRoleArn")
    if target and not ROLE.fullmatch(target):
        raise invalid(f"The parameter targetRoleArn is not the ARN of a role: {target}")


def set_target(association: Thing, params: dict[str, Any], region: str) -> None:
    """The role that the first one assumes, also of another account, which knows the association by the external ID.

    https://docs.aws.amazon.com/eks/latest/userguide/pod-id-assign-target-role.html
    An empty value ends it: https://github.com/aws-controllers-k8s/eks-controller/pull/164
    """
    document = association.doc
    for member in ("targetRoleArn", "policy"):
        if params.get(member):
            document[member] = params[member]
        elif params.get(member) == "":
            document.pop(member, None)
    document.pop("externalId", None)
    if "targetRoleArn" in document:
        place = (document[member] for member in ("clusterName", "namespace", "serviceAccount"))
        document["externalId"] = "/".join((region, ACCOUNT, *place))


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
    params, document = call.params, association.doc
    without_tags = params.get("disableSessionTags")
    without_tags = document["disableSessionTags"] if without_tags is None else without_tags
    check_session(params, without_tags, params.get("policy", document.get("policy")))
    if params.get("roleArn"):
        check_role(call.region, params["roleArn"])
        document["roleArn"] = params["roleArn"]
    document["disableSessionTags"] = without_tags
    set_target(association, params, call.region)
    document["modifiedAt"] = now()
    return {"association": document}


@handles("eks", "DeletePodIdentityAssociation")
def delete(call: Call) -> dict:
    cluster, association = association_of(call)
    cluster.associations.pop(association.doc["associationId"])
    for addon in cluster.addons.values():
        if addon.arn == association.doc.get("ownerArn"):
            addon.doc["podIdentityAssociations"].remove(association.arn)
    return {"association": association.doc}
