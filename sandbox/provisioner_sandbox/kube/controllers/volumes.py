"""PersistentVolumes: bound to claims, created for those of the EBS CSI driver, and deleted after them.

https://kubernetes.io/docs/concepts/storage/persistent-volumes/; wording: pkg/controller/volume/persistentvolume of
Kubernetes.
"""

from __future__ import annotations

import math
import time

from provisioner_sandbox.kube import resources
from provisioner_sandbox.kube.controllers.base import Context
from provisioner_sandbox.kube.disks import DRIVERS, Disks
from provisioner_sandbox.kube.kubelet.spec import quantity
from provisioner_sandbox.kube.store import Object

CLAIM_FINALIZER, VOLUME_FINALIZER = "kubernetes.io/pvc-protection", "kubernetes.io/pv-protection"
# Of the driver, while it has a volume to delete.
DRIVER_FINALIZER = "external-provisioner.volume.kubernetes.io/finalizer"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
COMPONENT = "persistentvolume-controller"
ZONE = "topology.kubernetes.io/zone"
LOOK_SECONDS = 0.5
EXTERNAL = (
    "Waiting for a volume to be created either by the external provisioner '{}' or manually by the system administrator. "
    "If volume creation is delayed, please verify that the provisioner is running and correctly registered."
)


class Volumes:
    def __init__(self, context: Context, disks: Disks):
        self.context = context
        self.disks = disks
        self.told: set[tuple[str, str]] = set()

    def look(self) -> float | None:
        context = self.context
        users = used(context.list(resources.PODS))
        waits = False
        for claim in context.list(resources.CLAIMS):
            metadata = claim["metadata"]
            if metadata.get("deletionTimestamp"):
                if (metadata["namespace"], metadata["name"]) not in users:
                    self.drop(resources.CLAIMS, claim, CLAIM_FINALIZER)
            elif claim.get("status", {}).get("phase") != "Bound":
                waits = not self.bind(claim, users) or waits
        for volume in context.list(resources.VOLUMES):
            waits = not self.keep(volume) or waits
        return time.monotonic() + LOOK_SECONDS if waits else None

    # --- claims ------------------------------------------------------------------------------------------------------

    def bind(self, claim: Object, users: dict[tuple[str, str], list[Object]]) -> bool:
        """Returns whether the claim is bound now."""
        context, metadata = self.context, claim["metadata"]
        existing = next((one for one in context.list(resources.VOLUMES) if fits(one, claim)), None)
        if existing is not None:
            self.join(claim, existing)
            return True
        name = claim["spec"].get("storageClassName")
        if not name:
            text = "no persistent volumes available for this claim and no storage class is set"
            return self.tell(claim, "Normal", "FailedBinding", text)
        found = context.store.get(resources.STORAGE_CLASSES, "", name)
        if found is None:
            return self.tell(claim, "Warning", "ProvisioningFailed", f'storageclass.storage.k8s.io "{name}" not found')
        pods = users.get((metadata["namespace"], metadata["name"]), [])
        node = next((pod["spec"]["nodeName"] for pod in pods if pod["spec"].get("nodeName")), "")
        if found["volumeBindingMode"] == "WaitForFirstConsumer" and not node:
            text = "waiting for first consumer to be created before binding"
            return self.tell(claim, "Normal", "WaitForFirstConsumer", text)
        if found["provisioner"] not in DRIVERS or not self.disks.runs(found["provisioner"]):
            return self.tell(claim, "Normal", "ExternalProvisioning", EXTERNAL.format(found["provisioner"]))
        zone = self.zone(node)
        return zone is not None and self.provision(claim, found, zone)

    def zone(self, node: str) -> str | None:
        nodes = self.context.list(resources.NODES)
        zones = {one["metadata"]["name"]: one["metadata"].get("labels", {}).get(ZONE) for one in nodes}
        return zones.get(node) or min((zone for zone in zones.values() if zone), default=None)

    def provision(self, claim: Object, storage: Object, zone: str) -> bool:
        name = f"pvc-{claim['metadata']['uid']}"
        asked = quantity(str(claim["spec"]["resources"]["requests"]["storage"]))
        gigabytes = max(math.ceil(asked / 2**30), 1)
        parameters = storage.get("parameters") or {}
        driver = storage["provisioner"]
        volume_id = self.disks.create(driver, name, claim, zone, gigabytes, parameters)
        if volume_id is None:
            return False
        deleted = storage["reclaimPolicy"] == "Delete"
        made = self.context.create(resources.VOLUMES, {
            "metadata": {
                "name": name,
                "annotations": {PROVISIONED_BY: driver},
                **({"finalizers": [DRIVER_FINALIZER]} if deleted else {}),
            },
            "spec": {
                "capacity": {"storage": f"{gigabytes}Gi"},
                "accessModes": claim["spec"]["accessModes"],
                "persistentVolumeReclaimPolicy": storage["reclaimPolicy"],
                "storageClassName": storage["metadata"]["name"],
                "volumeMode": claim["spec"].get("volumeMode", "Filesystem"),
                "claimRef": reference(claim),
                "csi": {"driver": driver, "volumeHandle": volume_id, "fsType": parameters.get("csi.storage.k8s.io/fstype", "ext4")},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [
                    {"matchExpressions": [{"key": ZONE, "operator": "In", "values": [zone]}]},
                ]}},
            },
        })  # fmt: skip
        self.tell(claim, "Normal", "ProvisioningSucceeded", f"Successfully provisioned volume {name}")
        self.join(claim, made)
        return True

    def join(self, claim: Object, volume: Object) -> None:
        context, name = self.context, volume["metadata"]["name"]
        if (volume["spec"].get("claimRef") or {}).get("uid") != claim["metadata"]["uid"]:
            volume = context.change(resources.VOLUMES, volume, spec={"claimRef": reference(claim)})
        context.status(resources.VOLUMES, volume, {"phase": "Bound"})
        claim = context.change(resources.CLAIMS, claim, spec={"volumeName": name})
        status = {"phase": "Bound", "accessModes": volume["spec"]["accessModes"], "capacity": volume["spec"]["capacity"]}
        context.status(resources.CLAIMS, claim, status)

    # --- volumes -----------------------------------------------------------------------------------------------------

    def keep(self, volume: Object) -> bool:
        """Returns whether nothing is left to do for the volume now."""
        context, spec, metadata = self.context, volume["spec"], volume["metadata"]
        claimed = spec.get("claimRef")
        claim = context.store.get(resources.CLAIMS, claimed["namespace"], claimed["name"]) if claimed else None
        if claim is not None and claim["metadata"]["uid"] == claimed.get("uid", claim["metadata"]["uid"]):
            return True
        released = bool(claimed and claimed.get("uid"))
        context.status(resources.VOLUMES, volume, {"phase": "Released" if released else "Available"})
        driver = metadata.get("annotations", {}).get(PROVISIONED_BY)
        deletes = driver in DRIVERS and spec["persistentVolumeReclaimPolicy"] == "Delete"
        if (released and deletes) or (metadata.get("deletionTimestamp") and deletes):
            if not self.disks.runs(driver):
                return False
            self.disks.delete(spec["csi"]["volumeHandle"])
            context.delete(resources.VOLUMES, volume)
            self.drop(resources.VOLUMES, volume, DRIVER_FINALIZER, VOLUME_FINALIZER)
        elif metadata.get("deletionTimestamp"):
            self.drop(resources.VOLUMES, volume, VOLUME_FINALIZER)
        return True

    def drop(self, resource: resources.Resource, document: Object, *finalizers: str) -> None:
        metadata = document["metadata"]
        live = self.context.store.get(resource, metadata.get("namespace", ""), metadata["name"])
        if live is None or live["metadata"]["uid"] != metadata["uid"]:
            return
        left = [one for one in live["metadata"].get("finalizers") or [] if one not in finalizers]
        self.context.change(resource, live, metadata={"finalizers": left})

    def tell(self, claim: Object, kind: str, reason: str, message: str) -> bool:
        """Creates an event once. Returns False."""
        key = (claim["metadata"]["uid"], reason)
        if key not in self.told:
            self.told.add(key)
            self.context.events.tell(claim, kind, reason, message, COMPONENT)
        return False


def used(pods: list[Object]) -> dict[tuple[str, str], list[Object]]:
    """The pods that use a claim, by its namespace and name."""
    found: dict[tuple[str, str], list[Object]] = {}
    for pod in pods:
        if pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            continue
        for volume in pod["spec"].get("volumes", []):
            if "persistentVolumeClaim" in volume:
                key = (pod["metadata"]["namespace"], volume["persistentVolumeClaim"]["claimName"])
                found.setdefault(key, []).append(pod)
    return found


def fits(volume: Object, claim: Object) -> bool:
    """Whether an existing volume can be bound to a claim."""
    spec, wanted, metadata = volume["spec"], claim["spec"], claim["metadata"]
    claimed = spec.get("claimRef")
    if claimed:
        same = (claimed.get("namespace"), claimed.get("name")) == (metadata["namespace"], metadata["name"])
        return same and claimed.get("uid", metadata["uid"]) == metadata["uid"]
    if volume["metadata"].get("deletionTimestamp") or wanted.get("volumeName", volume["metadata"]["name"]) != volume["metadata"]["name"]:
        return False
    size = quantity(str(wanted["resources"]["requests"]["storage"]))
    return (
        spec.get("storageClassName", "") == (wanted.get("storageClassName") or "")
        and quantity(str(spec["capacity"]["storage"])) >= size
        and set(wanted["accessModes"]) <= set(spec["accessModes"])
    )


def reference(claim: Object) -> Object:
    metadata = claim["metadata"]
    keys = ("namespace", "name", "uid", "resourceVersion")
    return {"kind": "PersistentVolumeClaim", "apiVersion": "v1", **{key: metadata[key] for key in keys}}
