"""The volumes in EC2 that the EBS CSI driver creates for PersistentVolumes, while its add-on runs, or Auto Mode has it.

Tags: https://github.com/kubernetes-sigs/aws-ebs-csi-driver/blob/master/docs/tagging.md; Auto Mode's driver:
https://docs.aws.amazon.com/eks/latest/userguide/create-storage-class.html
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

Object = dict[str, Any]
ADDON = "aws-ebs-csi-driver"
DRIVER, AUTO_DRIVER = "ebs.csi.aws.com", "ebs.csi.eks.amazonaws.com"
DRIVERS = (DRIVER, AUTO_DRIVER)
# By which the driver finds what it created.
VOLUME_NAME = "CSIVolumeName"


class Disks:
    """Of one cluster. The add-on's status is read at each call."""

    def __init__(self, region: str, cluster: str, guard: AbstractContextManager[Any], stopped: Callable[[], bool]):
        self.region = region
        self.cluster = cluster
        self.guard = guard
        self.stopped = stopped

    def runs(self, driver: str) -> bool:
        from provisioner_sandbox.services.eks.state import eks_state, settle

        with self.guard:
            if self.stopped():
                return False
            settle(self.region)
            cluster = eks_state(self.region).clusters.get(self.cluster)
            if cluster is None:
                return False
            if driver == AUTO_DRIVER:
                return bool((cluster.doc.get("storageConfig") or {}).get("blockStorage", {}).get("enabled"))
            addon = cluster.addons.get(ADDON)
            return addon is not None and addon.status in ("ACTIVE", "UPDATING", "DEGRADED")

    def create(
        self, driver: str, name: str, claim: Object, zone: str, gigabytes: int, parameters: Object
    ) -> str | None:
        """Returns the id of the volume with this name, which is created if it does not exist."""
        from provisioner_sandbox.backend import backend

        metadata = claim["metadata"]
        tags = {
            VOLUME_NAME: name,
            f"{driver}/cluster": "true",
            **({"eks:eks-cluster-name": self.cluster} if driver == AUTO_DRIVER else {}),
            f"kubernetes.io/cluster/{self.cluster}": "owned",
            "KubernetesCluster": self.cluster,
            "Name": f"{self.cluster}-dynamic-{name}",
            "kubernetes.io/created-for/pvc/name": metadata["name"],
            "kubernetes.io/created-for/pvc/namespace": metadata["namespace"],
            "kubernetes.io/created-for/pv/name": name,
        }
        with self.guard:
            if self.stopped():
                return None
            ec2 = backend("ec2", self.region)
            there = next((one for one in ec2.volumes if ec2.tags.get(one, {}).get(VOLUME_NAME) == name), None)
            if there is not None:
                return str(there)
            encrypted = parameters.get("encrypted") == "true"
            made = ec2.create_volume(
                gigabytes, zone, encrypted=encrypted, kms_key_id=parameters.get("kmsKeyId") if encrypted else None,
                volume_type=parameters.get("type", "gp3"), iops=int(parameters["iops"]) if "iops" in parameters else None,
            )  # fmt: skip
            ec2.tags[made.id].update(tags)
            return str(made.id)

    def delete(self, volume_id: str) -> None:
        """One that does not exist counts as deleted."""
        from provisioner_sandbox.backend import backend

        with self.guard:
            ec2 = backend("ec2", self.region)
            if not self.stopped() and volume_id in ec2.volumes:
                ec2.delete_volume(volume_id)
                ec2.tags.pop(volume_id, None)
