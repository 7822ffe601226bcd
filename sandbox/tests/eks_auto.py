"""A cluster in Auto Mode, and the roles that it takes."""

from __future__ import annotations

from typing import Any

from conftest import Sandbox
from eks import Eks

CLUSTER_POLICIES = [
    "AmazonEKSBlockStoragePolicy", "AmazonEKSClusterPolicy", "AmazonEKSComputePolicy", "AmazonEKSLoadBalancingPolicy",
    "AmazonEKSNetworkingPolicy",
]  # fmt: skip


def switches(enabled: bool, pools: list[str] | None = None, role: str | None = None) -> dict[str, Any]:
    """The three members that switch Auto Mode."""
    compute: dict[str, Any] = {"enabled": enabled, "nodePools": pools, "nodeRoleArn": role}
    return {
        "computeConfig": {member: value for member, value in compute.items() if value is not None},
        "storageConfig": {"blockStorage": {"enabled": enabled}},
        "kubernetesNetworkConfig": {"elasticLoadBalancing": {"enabled": enabled}},
    }


class Auto(Eks):
    """Everything that `created` needs; `auto_role` is a cluster role for Auto Mode."""

    def __init__(self, sandbox: Sandbox, **config: Any):
        super().__init__(sandbox, **config)
        actions = ("sts:AssumeRole", "sts:TagSession")
        self.auto_role = self.role("auto", "eks.amazonaws.com", *actions, policies=CLUSTER_POLICIES)
        policies = ["AmazonEKSWorkerNodeMinimalPolicy", "AmazonEC2ContainerRegistryPullOnly"]
        self.node_role = self.role("auto-nodes", "ec2.amazonaws.com", policies=policies)

    def auto_wanted(self, pools: list[str] | None = None, **more: Any) -> dict[str, Any]:
        """What creates the cluster in Auto Mode, with the built-in pools if none are named."""
        pools = ["general-purpose", "system"] if pools is None else pools
        return {
            "roleArn": self.auto_role,
            "bootstrapSelfManagedAddons": False,
            "accessConfig": {"authenticationMode": "API"},
            **switches(True, pools, self.node_role if pools else None),
            **more,
        }

    def config(self, **change: Any) -> dict[str, Any]:
        return self.client.update_cluster_config(name=self.name, **change)["update"]

    def done(self, update: dict[str, Any]) -> dict[str, Any]:
        """The cluster once the update has ended well."""
        described = self.client.describe_update
        self.has("Successful", lambda: described(name=self.name, updateId=update["id"])["update"])
        return self.cluster()
