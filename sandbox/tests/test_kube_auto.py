"""Nodes of Auto Mode, for pods that wait for one.

https://docs.aws.amazon.com/eks/latest/userguide/set-builtin-node-pools.html,
https://docs.aws.amazon.com/eks/latest/userguide/create-node-pool.html and create-node-class.html
"""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Sandbox, until
from eks_auto import Auto, switches
from kubernetes import SLOW, Kube, deployment, pod_spec, push

POOLS, CLASSES = "/apis/karpenter.sh/v1/nodepools", "/apis/eks.amazonaws.com/v1/nodeclasses"
CRITICAL = [{"key": "CriticalAddonsOnly", "operator": "Exists"}]


class AutoKube(Kube, Auto):
    """A cluster in Auto Mode with its client."""

    def __init__(self, sandbox: Sandbox, pools: list[str] | None = None):
        self.pools = pools
        super().__init__(sandbox)
        until(lambda: self.api("GET", POOLS)[0] == 200)

    def active(self, **more: Any) -> dict[str, Any]:
        return super().active(**self.auto_wanted(self.pools, **more))

    def nodes(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.api.get("/api/v1/nodes")["items"]
        return found

    def instances(self) -> list[dict[str, Any]]:
        filters = [
            {"Name": "tag:eks:eks-cluster-name", "Values": [self.name]},
            {"Name": "instance-state-name", "Values": ["running"]},
        ]
        found = self.ec2.describe_instances(Filters=filters)["Reservations"]
        return [instance for reservation in found for instance in reservation["Instances"]]

    def pod(self, name: str, **more: Any) -> None:
        """One that only has to find a node: its image does not exist."""
        spec = pod_spec("none:1", resources={"requests": {"cpu": "500m", "memory": "64Mi"}})
        code, made = self.api("POST", f"{self.ns}/pods", {"metadata": {"name": name}, "spec": {**spec, **more}})
        assert code == 201, made

    def placed(self, name: str) -> dict[str, Any]:
        """The node that the pod got."""
        node = until(lambda: self.api.get(f"{self.ns}/pods/{name}")["spec"].get("nodeName"), SLOW)
        found: dict[str, Any] = self.api.get(f"/api/v1/nodes/{node}")
        return found

    def pool_names(self) -> list[str]:
        return sorted(one["metadata"]["name"] for one in self.api.get(POOLS)["items"])

    def pool_of(self, node: dict[str, Any]) -> str:
        found: str = node["metadata"]["labels"]["karpenter.sh/nodepool"]
        return found


@pytest.fixture
def kube(sandbox: Sandbox) -> AutoKube:
    made = AutoKube(sandbox)
    made.namespace()
    return made


def test_a_node_for_pods_and_its_end(sandbox: Sandbox, kube: AutoKube) -> None:
    assert (kube.nodes(), kube.instances()) == ([], [])
    kube.roll_out(deployment(push(sandbox), 2))
    (node,) = kube.nodes()
    (instance,) = kube.instances()
    assert node["metadata"]["name"] == instance["InstanceId"]
    labels = node["metadata"]["labels"]
    assert (labels["eks.amazonaws.com/compute-type"], labels["karpenter.sh/capacity-type"]) == ("auto", "on-demand")
    assert (kube.pool_of(node), labels["kubernetes.io/arch"]) == ("general-purpose", "amd64")
    tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
    assert tags["eks:kubernetes-node-pool-name"] == "general-purpose"
    assert instance["SubnetId"] in kube.subnets
    kube.api("DELETE", kube.deployment)
    until(lambda: not kube.nodes() and not kube.instances(), SLOW)


def test_the_system_pool_takes_what_tolerates_it(kube: AutoKube) -> None:
    kube.pod("arm", tolerations=CRITICAL, nodeSelector={"kubernetes.io/arch": "arm64"})
    node = kube.placed("arm")
    assert (kube.pool_of(node), node["metadata"]["labels"]["kubernetes.io/arch"]) == ("system", "arm64")
    # General purpose has no arm64, and the system pool takes nothing that does not tolerate its taint.
    kube.pod("homeless", nodeSelector={"kubernetes.io/arch": "arm64"})
    words = "no nodepool has an instance type that satisfies it"
    until(lambda: [text for text in kube.events("FailedScheduling") if words in text], SLOW)
    assert "nodeName" not in kube.api.get(f"{kube.ns}/pods/homeless")["spec"]


def test_pods_share_a_node_that_has_room(kube: AutoKube) -> None:
    for n in range(4):
        kube.pod(f"p{n}")
    names = {kube.placed(f"p{n}")["metadata"]["name"] for n in range(4)}
    assert len(names) <= 2
    assert len(kube.nodes()) == len(names)


def test_pools_come_and_go_with_the_cluster(kube: AutoKube) -> None:
    until(lambda: kube.pool_names() == ["general-purpose", "system"], SLOW)
    (default,) = until(lambda: kube.api.get(CLASSES)["items"], SLOW)
    assert (default["metadata"]["name"], default["spec"]["role"]) == ("default", "auto-nodes")
    kube.done(kube.config(**switches(True, ["system"], kube.node_role)))
    kube.sandbox.configure(timeScale=200)
    until(lambda: kube.pool_names() == ["system"], SLOW)
    kube.pod("homeless")
    until(lambda: kube.events("FailedScheduling"), SLOW)
    assert kube.instances() == []


def test_a_pool_of_ones_own(sandbox: Sandbox) -> None:
    """It needs an access entry of the type EC2 for its role, with AmazonEKSAutoNodePolicy."""
    kube = AutoKube(sandbox, [])
    kube.namespace()
    assert (kube.api.get(POOLS)["items"], kube.api.get(CLASSES)["items"]) == ([], [])
    node_class = {"metadata": {"name": "mine"}, "spec": {"role": "auto-nodes"}}
    assert kube.api("POST", CLASSES, {"apiVersion": "eks.amazonaws.com/v1", "kind": "NodeClass", **node_class})[0] == 201
    spec = {
        "nodeClassRef": {"group": "eks.amazonaws.com", "kind": "NodeClass", "name": "mine"},
        "requirements": [
            {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["spot", "on-demand"]},
            {"key": "eks.amazonaws.com/instance-category", "operator": "In", "values": ["m"]},
        ],
        "taints": [{"key": "dedicated", "value": "apps", "effect": "NoSchedule"}],
    }
    pool = {"limits": {"cpu": "2"}, "template": {"metadata": {"labels": {"team": "blue"}}, "spec": spec}}
    made = {"apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": {"name": "own"}, "spec": pool}
    assert kube.api("POST", POOLS, made)[0] == 201
    tolerations = [{"key": "dedicated", "operator": "Exists"}]
    kube.pod("p", tolerations=tolerations)
    until(lambda: kube.events("FailedScheduling"), SLOW)
    assert kube.instances() == []
    kube.call("create_access_entry", principalArn=kube.node_role, type="EC2")
    policy = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSAutoNodePolicy"
    scope = {"type": "cluster"}
    kube.call("associate_access_policy", principalArn=kube.node_role, policyArn=policy, accessScope=scope)
    node = kube.placed("p")
    labels = node["metadata"]["labels"]
    assert (labels["team"], labels["karpenter.sh/capacity-type"]) == ("blue", "spot")
    assert labels["eks.amazonaws.com/instance-category"] == "m"
    # Its limit is reached.
    kube.pod("big", tolerations=tolerations, nodeSelector={"team": "blue"}, **{"containers": big()})
    until(lambda: [text for text in kube.events("FailedScheduling") if "no nodepool" in text], SLOW)
    assert len(kube.instances()) == 1


def big() -> list[dict[str, Any]]:
    containers: list[dict[str, Any]] = pod_spec("none:1", resources={"requests": {"cpu": "1900m"}})["containers"]
    return containers


def test_a_volume_without_the_addon(kube: AutoKube) -> None:
    """https://docs.aws.amazon.com/eks/latest/userguide/create-storage-class.html"""
    storage = {"metadata": {"name": "auto"}, "provisioner": "ebs.csi.eks.amazonaws.com", "volumeBindingMode": "Immediate"}
    assert kube.api("POST", "/apis/storage.k8s.io/v1/storageclasses", {**storage, "reclaimPolicy": "Delete"})[0] == 201
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}, "storageClassName": "auto"}
    claims = f"{kube.ns}/persistentvolumeclaims"
    kube.pod("p")
    kube.placed("p")
    assert kube.api("POST", claims, {"metadata": {"name": "data"}, "spec": spec})[0] == 201
    until(lambda: kube.api.get(f"{claims}/data")["status"]["phase"] == "Bound", SLOW)
    filters = [{"Name": "tag:ebs.csi.eks.amazonaws.com/cluster", "Values": ["true"]}]
    (volume,) = kube.ec2.describe_volumes(Filters=filters)["Volumes"]
    assert {"Key": "eks:eks-cluster-name", "Value": "demo"} in volume["Tags"]
    kube.api("DELETE", f"{claims}/data")
    until(lambda: not kube.ec2.describe_volumes(Filters=filters)["Volumes"], SLOW)


class TestTheEnd:
    def groups(self, kube: AutoKube) -> list[dict[str, Any]]:
        filters = [{"Name": "tag:eks:eks-cluster-name", "Values": ["demo"]}]
        found: list[dict[str, Any]] = kube.ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
        return found

    def test_off_ends_every_node(self, kube: AutoKube) -> None:
        """https://docs.aws.amazon.com/eks/latest/userguide/auto-disable.html"""
        kube.pod("p")
        kube.placed("p")
        kube.done(kube.config(**switches(False)))
        assert kube.instances() == []
        until(lambda: not kube.nodes(), SLOW)
        assert self.groups(kube) == []

    @pytest.mark.parametrize("left", [False, True])
    def test_of_the_cluster(self, kube: AutoKube, left: bool) -> None:
        kube.pod("p")
        kube.placed("p")
        kube.settings = {"autoModeLeftovers": left}
        kube.client.delete_cluster(name="demo")
        kube.gone(kube.cluster)
        assert kube.instances() == []
        groups = self.groups(kube)
        assert len(groups) == left
        for subnet in kube.subnets:
            kube.ec2.delete_subnet(SubnetId=subnet)
        for group in groups:
            kube.ec2.delete_security_group(GroupId=group["GroupId"])
