"""PersistentVolumeClaims, and the volumes in EC2 that the EBS CSI driver creates and deletes for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Sandbox, until
from kubernetes import MERGE, SLOW, Kube, deployment, pod_spec, push

CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
VOLUMES = "/api/v1/persistentvolumes"


class Stored(Kube):
    def __init__(self, sandbox: Sandbox):
        super().__init__(sandbox, nodes=1)
        self.image = push(sandbox)
        for name, policy, mode in (
            ("now", "Delete", "Immediate"),
            ("kept", "Retain", "Immediate"),
            ("later", "Delete", "WaitForFirstConsumer"),
        ):
            more = {"reclaimPolicy": policy, "volumeBindingMode": mode, "parameters": {"encrypted": "true"}}
            assert self.api("POST", CLASSES, {"metadata": {"name": name}, "provisioner": "ebs.csi.aws.com", **more})[0] == 201

    def driver(self) -> None:
        if "aws-ebs-csi-driver" not in self.call("list_addons")["addons"]:
            self.call("create_addon", addonName="aws-ebs-csi-driver")
        self.has("ACTIVE", lambda: self.call("describe_addon", addonName="aws-ebs-csi-driver")["addon"])
        self.sandbox.configure()

    def claim(self, storage: str, name: str = "data") -> str:
        spec = {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": storage,
            "resources": {"requests": {"storage": "3Gi"}},
        }
        path = f"{self.ns}/persistentvolumeclaims/{name}"
        code, made = self.api("POST", f"{self.ns}/persistentvolumeclaims", {"metadata": {"name": name}, "spec": spec})
        assert (code, made["status"]) == (201, {"phase": "Pending"}), made
        return path

    def bound(self, path: str) -> dict[str, Any]:
        found = until(lambda: (claim := self.api.get(path))["status"]["phase"] == "Bound" and claim, SLOW)
        return self.api.get(f"{VOLUMES}/{found['spec']['volumeName']}")

    def disks(self) -> list[dict[str, Any]]:
        wanted = [{"Name": "tag:ebs.csi.aws.com/cluster", "Values": ["true"]}]
        return self.ec2.describe_volumes(Filters=wanted)["Volumes"]

    def gone(self, path: str) -> bool:
        return until(lambda: self.api("GET", path)[0] == 404, SLOW)


@pytest.fixture(scope="module")
def cluster(running: Sandbox) -> Stored:
    assert running.ext("POST", "reset")[0] == 200
    return Stored(running)


@pytest.fixture
def kube(cluster: Stored) -> Iterator[Stored]:
    cluster.namespace()
    yield cluster
    cluster.clear()


def test_without_the_driver_a_claim_waits(kube: Stored) -> None:
    path = kube.claim("now")
    until(lambda: any("external provisioner 'ebs.csi.aws.com'" in one for one in kube.events("ExternalProvisioning")), SLOW)
    assert kube.api.get(path)["status"] == {"phase": "Pending"}
    assert kube.disks() == []
    kube.driver()
    kube.bound(path)


def test_a_volume_is_created_and_deleted(kube: Stored) -> None:
    kube.driver()
    path = kube.claim("now")
    volume = kube.bound(path)
    (disk,) = kube.disks()
    name = volume["metadata"]["name"]
    assert {tag["Key"]: tag["Value"] for tag in disk["Tags"]} == {
        "CSIVolumeName": name, "ebs.csi.aws.com/cluster": "true", "kubernetes.io/cluster/demo": "owned",
        "KubernetesCluster": "demo", "Name": f"demo-dynamic-{name}", "kubernetes.io/created-for/pvc/name": "data",
        "kubernetes.io/created-for/pvc/namespace": "test", "kubernetes.io/created-for/pv/name": name,
    }  # fmt: skip
    assert (disk["Size"], disk["VolumeType"], disk["Encrypted"], disk["State"]) == (3, "gp3", True, "available")
    assert volume["spec"]["csi"]["volumeHandle"] == disk["VolumeId"]
    assert volume["status"]["phase"] == "Bound"
    api = kube.sandbox.client("resourcegroupstaggingapi")
    owned = [{"Key": "kubernetes.io/cluster/demo", "Values": ["owned"]}]
    found = api.get_resources(TagFilters=owned, ResourceTypeFilters=["ec2:volume"])["ResourceTagMappingList"]
    assert [one["ResourceARN"].rpartition("/")[2] for one in found] == [disk["VolumeId"]]
    spec = {"spec": {"storageClassName": "kept"}}
    code, refused = kube.api("PATCH", path, spec, MERGE)
    assert code == 422
    assert "spec is immutable after creation" in refused["message"]
    kube.api("DELETE", path)
    kube.gone(path)
    kube.gone(f"{VOLUMES}/{name}")
    assert kube.disks() == []


def test_a_retained_volume_stays(kube: Stored) -> None:
    kube.driver()
    path = kube.claim("kept")
    volume = f"{VOLUMES}/{kube.bound(path)['metadata']['name']}"
    kube.api("DELETE", path)
    kube.gone(path)
    until(lambda: kube.api.get(volume)["status"]["phase"] == "Released", SLOW)
    kube.api("DELETE", volume)
    kube.gone(volume)
    (disk,) = kube.disks()
    kube.ec2.delete_volume(VolumeId=disk["VolumeId"])


def test_it_waits_for_a_pod_and_outlives_it(kube: Stored) -> None:
    kube.driver()
    path = kube.claim("later")
    until(lambda: kube.events("WaitForFirstConsumer"), SLOW)
    assert kube.disks() == []
    spec = pod_spec(kube.image)
    spec["volumes"].append({"name": "data", "persistentVolumeClaim": {"claimName": "data"}})
    spec["containers"][0]["volumeMounts"].append({"name": "data", "mountPath": "/data"})
    kube.roll_out(deployment("", spec=spec))
    kube.bound(path)
    (disk,) = kube.disks()
    node = kube.api.get("/api/v1/nodes")["items"][0]
    assert disk["AvailabilityZone"] == node["metadata"]["labels"]["topology.kubernetes.io/zone"]
    # A claim in use stays until its pods end.
    kube.api("DELETE", path)
    assert kube.api.get(path)["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    kube.api("DELETE", kube.deployment)
    kube.gone(path)
    until(lambda: kube.disks() == [], SLOW)
