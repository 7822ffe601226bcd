"""EKS Auto Mode: what a cluster needs for it, how it is switched, and how AWS answers it.

https://docs.aws.amazon.com/eks/latest/userguide/automode.html; ComputeConfigRequest in botocore's model. The wording of
errors is from users' logs and from calls that https://github.com/badmintoncryer/cdk-preflight measured.
"""

from __future__ import annotations

import json
from typing import Any

from provisioner_sandbox.registry import Call
from provisioner_sandbox.services.eks import access_entries
from provisioner_sandbox.services.eks.readiness import ready_for
from provisioner_sandbox.services.eks.state import (
    Cluster,
    Thing,
    invalid,
    reaches,
    refused,
    role_of,
    start_update,
    trusts,
)

# What `UpdateClusterConfig` takes together, as one kind of update.
MEMBERS = ("computeConfig", "storageConfig", "kubernetesNetworkConfig")
UPDATE_TYPE = "AutoModeUpdate"
# AWS seconds; AWS documents no duration.
UPDATE = 180
# Built in, named with the case that counts: https://docs.aws.amazon.com/eks/latest/userguide/set-builtin-node-pools.html
NODE_POOLS = ("general-purpose", "system")
# https://docs.aws.amazon.com/eks/latest/userguide/auto-cluster-iam-role.html
CLUSTER_POLICIES = (
    "AmazonEKSBlockStoragePolicy", "AmazonEKSClusterPolicy", "AmazonEKSComputePolicy", "AmazonEKSLoadBalancingPolicy",
    "AmazonEKSNetworkingPolicy",
)  # fmt: skip
NODE_POLICY = "AmazonEKSAutoNodePolicy"
# https://github.com/kubernetes-sigs/cluster-api-provider-aws/issues/5278
ALL_OR_NONE = (
    "For EKS Auto Mode, please ensure that all required configs, including computeConfig, kubernetesNetworkConfig, and "
    "blockStorage are all either fully enabled or fully disabled."
)
# https://github.com/hashicorp/terraform-provider-aws/pull/40483
NO_ADDONS = "When EKS Auto Mode is enabled, bootstrapSelfManagedAddons must be set to false."
MODE = (
    "When EKS Auto Mode is enabled, you must use an EKS access config authentication mode of API_AND_CONFIG_MAP or API"
)
# https://github.com/terraform-aws-modules/terraform-aws-eks/issues/3366 and 3238
NO_ROLE = "When Compute Config nodeRoleArn is null or empty, nodePool list cannot be populated."
NO_POOLS = "When Compute Config nodeRoleArn is not null or empty, nodePool value(s) must be provided."
# https://github.com/aws-controllers-k8s/community/issues/3046
IS_OFF = "Cannot modify EKS Auto Mode configuration. Auto Mode is not enabled on this cluster."
# https://github.com/awsdocs/amazon-eks-user-guide/issues/819
NO_KIND = "The type for cluster update was not provided."


def flags(params: dict[str, Any]) -> list[bool | None]:
    """The three switches of a request; None is one that it does not name."""
    compute, storage, network = (params.get(member) or {} for member in MEMBERS)
    holders = (compute, storage.get("blockStorage") or {}, network.get("elasticLoadBalancing") or {})
    return [holder.get("enabled") for holder in holders]


def is_on(cluster: Cluster) -> bool:
    return bool((cluster.doc.get("computeConfig") or {}).get("enabled"))


def takes_pods(cluster: Cluster) -> bool:
    """Whether it starts nodes for pods that tolerate nothing: `system`'s are tainted.

    https://docs.aws.amazon.com/eks/latest/userguide/set-builtin-node-pools.html
    """
    return is_on(cluster) and "general-purpose" in (cluster.doc["computeConfig"].get("nodePools") or [])


def of_new(region: str, params: dict[str, Any]) -> dict[str, Any]:
    """What a new cluster has, and whether it may: what a request does not name is false."""
    asked = [bool(flag) for flag in flags(params)]
    if len(set(asked)) > 1:
        raise invalid(ALL_OR_NONE)
    compute = params.get("computeConfig") or {}
    if not asked[0]:
        if compute.get("nodePools") or compute.get("nodeRoleArn"):
            # https://github.com/aws/aws-cdk/pull/33373
            raise invalid(
                "When the computeConfig enabled flag is set to false, the request must not include values for the "
                "nodeRoleArn or nodePools fields."
            )
        # Off, the answer has what the request named: a cluster that names nothing has no such members.
        named = {"computeConfig": {"enabled": False}, "storageConfig": {"blockStorage": {"enabled": False}}}
        return {member: value for member, value in named.items() if params.get(member) is not None}
    if params.get("bootstrapSelfManagedAddons", True):
        raise invalid(NO_ADDONS)
    check_mode((params.get("accessConfig") or {}).get("authenticationMode", "CONFIG_MAP"))
    check_cluster_role(region, params["roleArn"])
    check_pools(region, compute)
    return {"computeConfig": shown(compute), "storageConfig": {"blockStorage": {"enabled": True}}}


def shown(compute: dict[str, Any]) -> dict[str, Any]:
    """The compute configuration of a cluster in Auto Mode."""
    role = {"nodeRoleArn": compute["nodeRoleArn"]} if compute.get("nodeRoleArn") else {}
    return {"enabled": True, "nodePools": compute.get("nodePools") or [], **role}


def check_mode(mode: str) -> None:
    if mode == "CONFIG_MAP":
        raise invalid(MODE)


def check_cluster_role(region: str, role_arn: str) -> None:
    role = role_of(region, role_arn)
    if role is None or not trusts(role, "eks.amazonaws.com", "sts:AssumeRole", "sts:TagSession"):
        raise invalid(
            f"Role with arn: {role_arn}, could not be assumed because it does not exist or the trusted entity is not "
            "correct. EKS Auto Mode requires sts:AssumeRole and sts:TagSession."
        )
    attached = {policy.rpartition("/")[2] for policy in role.managed_policies}
    missing = [policy for policy in CLUSTER_POLICIES if policy not in attached]
    if missing:
        raise invalid(
            "The provided role doesn't have the Amazon EKS Managed Policies associated with it. "
            f"Please ensure the following policies are attached: {', '.join(missing)}"
        )


def check_pools(region: str, compute: dict[str, Any]) -> None:
    pools, role_arn = compute.get("nodePools") or [], compute.get("nodeRoleArn")
    unknown = [pool for pool in pools if pool not in NODE_POOLS]
    if unknown or len(set(pools)) < len(pools):
        raise invalid(f"Compute Config nodePools must be any of {', '.join(NODE_POOLS)}, each once: {', '.join(pools)}")
    if pools and not role_arn:
        raise invalid(NO_ROLE)
    if role_arn and not pools:
        raise invalid(NO_POOLS)
    if not role_arn:
        return
    role = role_of(region, role_arn)
    if role is None:
        raise invalid(f"The role with name {role_arn.rpartition('/')[2]} cannot be found. It does not exist")
    if not trusts(role, "ec2.amazonaws.com", "sts:AssumeRole"):
        raise invalid(
            "Following required service principals [ec2.amazonaws.com] were not found in the trust relationships "
            "of nodeRole"
        )


def update(call: Call, cluster: Cluster) -> dict[str, Any]:
    asked = flags(call.params)
    if None in asked and True not in asked:
        raise invalid(NO_KIND)
    if len(set(asked)) > 1:
        raise invalid(ALL_OR_NONE)
    ready_for(UPDATE_TYPE, cluster)
    compute = call.params["computeConfig"]
    if asked[0]:
        wanted = switched_on(call.region, cluster, compute)
    elif is_on(cluster):
        wanted = {"enabled": False, "nodePools": []}
    else:
        raise refused(IS_OFF)
    if wanted == cluster.doc.get("computeConfig"):
        raise invalid("Cluster is already at the desired configuration with computeConfig.")
    switch = {"enabled": asked[0]}
    network = {**cluster.doc["kubernetesNetworkConfig"], "elasticLoadBalancing": switch}
    changes = {
        "computeConfig": wanted,
        "storageConfig": {"blockStorage": switch},
        "kubernetesNetworkConfig": network,
    }
    params = {
        "ComputeConfig": json.dumps(wanted),
        "StorageConfig": json.dumps(changes["storageConfig"]),
        "KubernetesNetworkConfig": json.dumps({"elasticLoadBalancing": switch}),
    }
    return start_update(call, cluster, cluster, UPDATE_TYPE, params, changes, UPDATE)


def switched_on(region: str, cluster: Cluster, asked: dict[str, Any]) -> dict[str, Any]:
    """The compute configuration after a request; pools that it does not name stay."""
    check_mode(cluster.doc["accessConfig"]["authenticationMode"])
    check_cluster_role(region, cluster.doc["roleArn"])
    check_pools(region, asked)
    before = cluster.doc.get("computeConfig") or {}
    role = before.get("nodeRoleArn")
    if role and asked.get("nodeRoleArn") not in (None, "", role):
        raise invalid(f"Compute Config nodeRoleArn cannot be changed once it is set: {role}")
    pools = before.get("nodePools") if asked.get("nodePools") is None else asked["nodePools"]
    return shown({"nodePools": pools, "nodeRoleArn": asked.get("nodeRoleArn") or role})


@reaches("cluster", "ACTIVE")
@reaches("cluster", UPDATE_TYPE)
def let_nodes_in(region: str, cluster: Cluster, _: Thing) -> None:
    """EKS makes an access entry for the nodes of its own pools.

    https://docs.aws.amazon.com/eks/latest/userguide/auto-learn-iam.html
    """
    compute = cluster.doc.get("computeConfig") or {}
    if compute.get("nodePools"):
        access_entries.for_auto_nodes(region, cluster, compute["nodeRoleArn"], NODE_POLICY)
