"""Updates of clusters: one kind a call, one at a time."""

from __future__ import annotations

import json
from typing import Any

from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.eks import auto_mode, cluster_settings, clusters, encryption
from provisioner_sandbox.services.eks.readiness import ready_for
from provisioner_sandbox.services.eks.state import (
    Cluster,
    cluster_of,
    invalid,
    not_found,
    page,
    start_update,
)

# AWS seconds.
CONFIG = 120
AT_ONCE = 1
KINDS = (
    "resourcesVpcConfig", "logging", "accessConfig", "upgradePolicy", "zonalShiftConfig", "deletionProtection",
    "remoteNetworkConfig", "controlPlaneScalingConfig", "kubeApiServerConfig", "kubeSchedulerConfig",
    "kubeControllerManagerConfig",
)  # fmt: skip
ONE_KIND = "Only one type of update can be allowed."
ACCESS = ("endpointPublicAccess", "endpointPrivateAccess", "publicAccessCidrs")


@handles("eks", "UpdateClusterConfig")
def update_config(call: Call) -> dict:
    cluster, params = cluster_of(call, "name"), call.params
    asked = [kind for kind in KINDS if params.get(kind) is not None]
    auto = any(params.get(member) is not None for member in auto_mode.MEMBERS)
    if len(asked) + auto != 1:
        raise invalid(ONE_KIND if asked else auto_mode.NO_KIND)
    if auto:
        return {"update": auto_mode.update(call, cluster)}
    if asked[0] not in UPDATES:
        raise invalid(f"{asked[0]} cannot be updated for this cluster")
    return {"update": UPDATES[asked[0]](call, cluster, params[asked[0]])}


def update_network(call: Call, cluster: Cluster, asked: dict[str, Any]) -> dict[str, Any]:
    """EKS takes the members for what they change, and one kind of change a call.

    https://github.com/aws-controllers-k8s/eks-controller/pull/249
    """
    network = cluster.doc["resourcesVpcConfig"]
    places = bool(asked.get("subnetIds")) or asked.get("securityGroupIds") is not None
    egress = asked.get("controlPlaneEgressMode")
    if places + any(asked.get(key) is not None for key in ACCESS) + (egress is not None) > 1:
        raise invalid(ONE_KIND)
    if places:
        return update_subnets(call, cluster, asked)
    if egress is not None:
        return cluster_settings.update_egress(call, cluster, egress)
    ready_for("EndpointAccessUpdate", cluster)
    wanted = {**network, **{key: value for key, value in asked.items() if value is not None}}
    clusters.check_access(wanted)
    if all(wanted[key] == network[key] for key in ACCESS):
        raise invalid(
            "Cluster is already at the desired configuration with endpointPrivateAccess: "
            f"{str(network['endpointPrivateAccess']).lower()} , endpointPublicAccess: "
            f"{str(network['endpointPublicAccess']).lower()}, and Public Endpoint Restrictions: "
            f"[{', '.join(network['publicAccessCidrs'])}]"
        )
    params = {
        "EndpointPublicAccess": wanted["endpointPublicAccess"],
        "EndpointPrivateAccess": wanted["endpointPrivateAccess"],
        "PublicAccessCidrs": json.dumps(wanted["publicAccessCidrs"]),
    }
    changes = {"resourcesVpcConfig": {key: wanted[key] for key in ACCESS}}
    return start_update(call, cluster, cluster, "EndpointAccessUpdate", params, changes, CONFIG)


def update_subnets(call: Call, cluster: Cluster, asked: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html"""
    ready_for("VpcConfigUpdate", cluster)
    network = cluster.doc["resourcesVpcConfig"]
    wanted = clusters.network_of(call.region, {**network, **asked})
    if wanted["vpcId"] != network["vpcId"]:
        raise invalid("Subnets specified must belong to the cluster's VPC")
    zones = clusters.zones_of(call.region, wanted["subnetIds"])
    if zones != cluster.zones:
        raise invalid(
            f"Provided subnets belong to the AZs '{','.join(zones)}'. But they should belong to the exact set of AZs "
            f"'{','.join(cluster.zones)}' in which subnets were provided during cluster creation."
        )
    clusters.check_free(call.region, wanted["subnetIds"], sorted(set(wanted["subnetIds"]) - set(network["subnetIds"])))
    changes = {key: wanted[key] for key in ("subnetIds", "securityGroupIds")}
    params = {
        "Subnets": json.dumps(changes["subnetIds"]),
        "SecurityGroups": json.dumps(changes["securityGroupIds"]),
    }
    return start_update(call, cluster, cluster, "VpcConfigUpdate", params, {"resourcesVpcConfig": changes}, CONFIG)


def update_logging(call: Call, cluster: Cluster, asked: dict[str, Any]) -> dict[str, Any]:
    ready_for("LoggingUpdate", cluster)
    wanted = clusters.logging(asked, cluster.doc["logging"]["clusterLogging"])
    if wanted == cluster.doc["logging"]:
        raise invalid("No changes needed for the logging config provided")
    params = {"ClusterLogging": json.dumps(wanted)}
    return start_update(call, cluster, cluster, "LoggingUpdate", params, {"logging": wanted}, CONFIG)


def update_access(call: Call, cluster: Cluster, asked: dict[str, Any]) -> dict[str, Any]:
    ready_for("AccessConfigUpdate", cluster)
    modes = ["CONFIG_MAP", "API_AND_CONFIG_MAP", "API"]
    old, new = cluster.doc["accessConfig"]["authenticationMode"], asked.get("authenticationMode")
    if old == new:
        raise invalid(f"Cluster is already at the desired configuration with authenticationMode: {old}")
    if modes.index(new) < modes.index(old):
        raise invalid(f"Unsupported authentication mode update from {old} to {new}")
    changes = {"accessConfig": {"authenticationMode": new}}
    return start_update(call, cluster, cluster, "AccessConfigUpdate", {"AuthenticationMode": new}, changes, CONFIG / 2)


def update_policy(call: Call, cluster: Cluster, asked: dict[str, Any]) -> dict[str, Any]:
    ready_for("UpgradePolicyUpdate", cluster)
    if asked.get("supportType") == cluster.doc["upgradePolicy"]["supportType"]:
        raise invalid(f"Cluster is already at the desired configuration with supportType: {asked['supportType']}")
    params = {"UpgradePolicy": json.dumps(asked)}
    return start_update(call, cluster, cluster, "UpgradePolicyUpdate", params, {"upgradePolicy": asked}, AT_ONCE)


def update_protection(call: Call, cluster: Cluster, asked: bool) -> dict[str, Any]:
    ready_for("DeletionProtectionUpdate", cluster)
    if asked == cluster.doc["deletionProtection"]:
        raise invalid(f"Cluster is already at the desired configuration with deletionProtection: {str(asked).lower()}")
    params, changes = {"DeletionProtection": asked}, {"deletionProtection": asked}
    return start_update(call, cluster, cluster, "DeletionProtectionUpdate", params, changes, AT_ONCE)


UPDATES = {
    "resourcesVpcConfig": update_network,
    "logging": update_logging,
    "accessConfig": update_access,
    "upgradePolicy": update_policy,
    "deletionProtection": update_protection,
    "zonalShiftConfig": cluster_settings.update_zonal_shift,
    "controlPlaneScalingConfig": cluster_settings.update_tier,
}


@handles("eks", "AssociateEncryptionConfig")
def encrypt(call: Call) -> dict:
    cluster = cluster_of(call)
    ready_for("AssociateEncryptionConfig", cluster)
    if cluster.doc.get("encryptionConfig"):
        raise invalid("Encryption is already enabled for this cluster")
    for entry in call.params["encryptionConfig"]:
        encryption.check_key(call, entry.get("provider", {}).get("keyArn", ""))
    changes = {"encryptionConfig": call.params["encryptionConfig"]}
    params = {"EncryptionConfig": json.dumps(call.params["encryptionConfig"])}
    return {"update": start_update(call, cluster, cluster, "AssociateEncryptionConfig", params, changes, CONFIG * 5)}


def updates_of(call: Call) -> list[Any]:
    cluster = cluster_of(call, "name")
    pool, key = None, None
    for member, things in (("nodegroupName", cluster.nodegroups), ("addonName", cluster.addons)):
        if call.params.get(member):
            pool, key = things, call.params[member]
    if pool is not None and key not in pool:
        raise not_found(f"No resource found for name: {key}.")
    target = pool[key] if pool is not None else cluster
    return [update for update in cluster.updates.values() if update.target is target]


@handles("eks", "DescribeUpdate")
def describe(call: Call) -> dict:
    wanted = call.params["updateId"]
    update = next((update for update in updates_of(call) if update.doc["id"] == wanted), None)
    if update is None:
        raise not_found(f"No update found for ID: {wanted}")
    return {"update": update.doc}


@handles("eks", "ListUpdates")
def list_updates(call: Call) -> dict:
    ids, token = page(call, [update.doc["id"] for update in updates_of(call)])
    return {"updateIds": ids, "nextToken": token}
