"""Fargate profiles: one at a time is made or deleted."""

from __future__ import annotations

import re
import uuid
from typing import Any

from provisioner_sandbox.backend import backend
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.eks import access_entries, health
from provisioner_sandbox.services.eks.reach import is_public
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
    role_of,
    trusts,
)

# AWS seconds.
CREATE = 60
DELETE = 90
NAME = re.compile(r"^[0-9A-Za-z][A-Za-z0-9\-_]{0,99}$")
# A DNS label, or a pattern for some: https://docs.aws.amazon.com/eks/latest/userguide/fargate-profile.html
NAMESPACE = re.compile(r"^[a-z0-9*?]([a-z0-9*?-]{0,61}[a-z0-9*?])?$")
MOST_PROFILES = 10
MOST_SELECTORS = 5
MOST_LABELS = 5


@handles("eks", "CreateFargateProfile")
def create(call: Call) -> dict:
    params, region = call.params, call.region
    cluster = active_cluster(call)
    name = params["fargateProfileName"]
    if not NAME.match(name):
        raise invalid(f"The fargateProfileName {name} must match the pattern {NAME.pattern}")
    if name.startswith("eks-"):
        raise invalid(f"The fargateProfileName {name} is invalid: it must not begin with eks-")
    if name in cluster.profiles:
        raise in_use("A Fargate Profile already exists with this name in this cluster.")
    one_at_a_time(cluster, name, "create")
    if len(cluster.profiles) >= MOST_PROFILES:
        raise AwsError("ResourceLimitExceededException", "Fargate profile limit exceeded for cluster", 400)
    role = role_of(region, params["podExecutionRoleArn"])
    if role is None or not trusts(role, "eks-fargate-pods.amazonaws.com", "sts:AssumeRole"):
        raise invalid(
            "Misconfigured PodExecutionRole Trust Policy; "
            "Please add the eks-fargate-pods.amazonaws.com Service Principal"
        )
    check_selectors(params.get("selectors") or [])
    subnets = params.get("subnets") or cluster.doc["resourcesVpcConfig"]["subnetIds"]
    check_subnets(region, cluster, subnets)
    profile = Thing(
        "fargateprofile",
        {
            "fargateProfileName": name,
            "fargateProfileArn": arn(region, f"fargateprofile/{cluster.doc['name']}/{name}/{uuid.uuid4()}"),
            "clusterName": cluster.doc["name"],
            "createdAt": now(),
            "podExecutionRoleArn": params["podExecutionRoleArn"],
            "subnets": subnets,
            "selectors": params["selectors"],
            "health": {"issues": []},
            "tags": params.get("tags") or {},
        },
    )
    profile.turn("CREATING", CREATE, "ACTIVE")
    cluster.profiles[name] = profile
    access_entries.for_fargate(region, cluster, params["podExecutionRoleArn"])
    return {"fargateProfile": profile.doc}


def one_at_a_time(cluster: Cluster, name: str, verb: str) -> None:
    for other, profile in cluster.profiles.items():
        if profile.status in ("CREATING", "DELETING"):
            raise in_use(
                f"Cannot {verb} Fargate Profile {name} because cluster {cluster.doc['name']} "
                f"currently has Fargate profile {other} in status {profile.status}"
            )


def check_selectors(selectors: list[dict[str, Any]]) -> None:
    if not 1 <= len(selectors) <= MOST_SELECTORS:
        raise invalid(f"A Fargate profile has 1 to {MOST_SELECTORS} selectors")
    for selector in selectors:
        if not selector.get("namespace"):
            raise invalid("Fargate Profile selector must have a namespace")
        if not NAMESPACE.match(selector["namespace"]):
            raise invalid(f"Fargate Profile selector has an invalid namespace: {selector['namespace']}")
        if len(selector.get("labels") or {}) > MOST_LABELS:
            raise invalid(f"A selector has at most {MOST_LABELS} labels")


def check_subnets(region: str, cluster: Cluster, subnet_ids: list[str]) -> None:
    ec2 = backend("ec2", region)
    known = {subnet.id: subnet for zone in ec2.subnets.values() for subnet in zone.values()}
    for subnet_id in subnet_ids:
        subnet = known.get(subnet_id)
        if subnet is None or subnet.vpc_id != cluster.doc["resourcesVpcConfig"]["vpcId"]:
            raise invalid(f"The subnet ID '{subnet_id}' does not exist in the cluster's VPC")
        if is_public(ec2, subnet):
            raise invalid(f"Subnet {subnet_id} provided in Fargate Profile is not a private subnet")


@handles("eks", "DescribeFargateProfile")
def describe(call: Call) -> dict:
    profile = profile_of(call)
    return {"fargateProfile": health.shown(profile, f"fargateprofile/{profile.doc['fargateProfileName']}")}


def profile_of(call: Call) -> Thing:
    name = call.params["fargateProfileName"]
    profile = cluster_of(call).profiles.get(name)
    if profile is None:
        raise not_found(f"No Fargate Profile found with name: {name}.")
    return profile


@handles("eks", "ListFargateProfiles")
def list_profiles(call: Call) -> dict:
    names, token = page(call, sorted(cluster_of(call).profiles))
    return {"fargateProfileNames": names, "nextToken": token}


@handles("eks", "DeleteFargateProfile")
def delete(call: Call) -> dict:
    profile = profile_of(call)
    one_at_a_time(cluster_of(call), profile.doc["fargateProfileName"], "delete")
    profile.turn("DELETING", DELETE, GONE)
    return {"fargateProfile": profile.doc}


@reaches("fargateprofile", GONE)
def remove(region: str, cluster: Cluster, profile: Thing) -> None:
    role = profile.doc["podExecutionRoleArn"]
    others = [other for other in cluster.profiles.values() if other is not profile]
    if not any(other.doc["podExecutionRoleArn"] == role for other in others):
        access_entries.forget(cluster, role)
