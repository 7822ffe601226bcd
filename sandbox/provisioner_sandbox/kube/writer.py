"""Creates, changes and deletes objects, as the API server does it for every kind."""

from __future__ import annotations

import copy
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from provisioner_sandbox.kube import decode, defaults, managed, resources, status, validate
from provisioner_sandbox.kube.admission import UNDEAD, Admission
from provisioner_sandbox.kube.managed import APPLY, UPDATE, Manager, stamp
from provisioner_sandbox.kube.resources import Resource
from provisioner_sandbox.kube.store import Object, Store

# What generated names are made of: no vowels, and nothing that looks like another.
LETTERS = "bcdfghjklmnpqrstvwxz2456789"
# Keeps a definition until its objects are gone.
CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
# Set by the server, whatever is sent.
OWN = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
    "resourceVersion",
)


@dataclass
class Options:
    """Of one write. `strict` is `Ignore`, `Warn` or `Strict`; `warnings` takes what the caller is told."""

    manager: str = "unknown"
    dry: bool = False
    strict: str = "Warn"
    force: bool = False
    warnings: list[str] = field(default_factory=list)


def suffix(length: int = 5) -> str:
    return "".join(random.choice(LETTERS) for _ in range(length))


class Writer:
    def __init__(self, store: Store, admission: Admission):
        self.store = store
        self.admission = admission

    def find(self, resource: Resource, namespace: str, name: str) -> Object:
        found = self.store.get(resource, namespace, name)
        if found is None:
            raise status.not_found(resource.plural, resource.group, name)
        return found

    @staticmethod
    def read(resource: Resource, sent: Object, options: Options) -> Object:
        clean, warned = decode.sent(resource, sent, options.strict)
        options.warnings += warned
        return clean or {}

    # --- create -----------------------------------------------------------------------------------------------------

    def create(self, resource: Resource, namespace: str, sent: Object, options: Options) -> Object:
        clean = self.read(resource, sent, options)
        document: Object = {**clean, "apiVersion": resource.api_version, "kind": resource.kind}
        with self.store.lock:
            document = self.prepare(resource, namespace, document)
            return self.insert(resource, document, options, Manager(options.manager, UPDATE, resource.api_version))

    def prepare(self, resource: Resource, namespace: str, document: Object) -> Object:
        metadata = dict(document.get("metadata") or {})
        document["metadata"] = metadata
        if metadata.get("resourceVersion"):
            raise status.bad_request("resourceVersion should not be set on objects to be created")
        if resource.namespaced:
            if metadata.setdefault("namespace", namespace) != namespace:
                raise status.bad_request(
                    "the namespace of the provided object does not match the namespace sent on the request"
                )
        else:
            metadata.pop("namespace", None)
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = f"{metadata['generateName'][:58]}{suffix()}"
        if not metadata.get("name"):
            cause = status.missing("metadata.name", "name or generateName is required")
            raise status.invalid(resource.kind, resource.group, "", [cause])
        for key in OWN:
            metadata.pop(key, None)
        if resources.STATUS in resource.subresources:
            document.pop("status", None)
        return document

    def insert(self, resource: Resource, document: Object, options: Options, manager: Manager | None = None) -> Object:
        """The last steps of a create, by whatever verb. The document is changed. `manager` owns it with its defaults."""
        metadata = document["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        if resource.namespaced:
            self.admission.enter(resource, namespace, name)
        metadata["uid"] = str(uuid.uuid4())
        if resource == resources.JOBS:
            identify(document)
        defaults.apply(resource.kind, resource.node, document)
        if manager is not None:
            managed.update(resource.node, None, document, manager)
        causes = validate.check(resource.kind, resource.node, document, None)
        if causes:
            raise status.invalid(resource.kind, resource.group, name, causes)
        there = self.store.get(resource, namespace, name)
        if there is not None:
            ending = bool(there["metadata"].get("deletionTimestamp"))
            raise status.exists(resource.plural, resource.group, name, ending)
        metadata["creationTimestamp"] = stamp()
        if resource.counted or resource.custom is not None:
            metadata["generation"] = 1
        if resource.kind in BORN and resource.custom is None:
            document["status"] = BORN[resource.kind]()
        options.warnings += self.admission.create(resource, document)
        return document if options.dry else self.store.put(resource, document)

    # --- change -----------------------------------------------------------------------------------------------------

    def update(
        self, resource: Resource, namespace: str, name: str, subresource: str, sent: Object, options: Options
    ) -> Object:
        """PUT. Creates nothing: what is not there is not found."""
        clean = self.read(resource, sent, options)
        with self.store.lock:
            return self.change(resource, namespace, name, subresource, lambda live: clean, options)

    def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        subresource: str,
        change: Callable[[Object], Object],
        options: Options,
    ) -> Object:
        """`change` makes the new object of the live one."""

        def read(live: Object) -> Object:
            return self.read(resource, change(live), options)

        with self.store.lock:
            return self.change(resource, namespace, name, subresource, read, options)

    def apply(
        self, resource: Resource, namespace: str, name: str, subresource: str, sent: Object, options: Options
    ) -> Object:
        config = decode.applied(resource.node, sent, resource.api_version, resource.kind, resource.custom is not None)
        metadata = {**(config.get("metadata") or {})}
        if metadata.get("managedFields"):
            raise status.bad_request("metadata.managedFields must be nil")
        if metadata.setdefault("name", name) != name:
            raise status.bad_request(
                f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
            )
        if resource.namespaced and metadata.setdefault("namespace", namespace) != namespace:
            raise status.bad_request(
                f"the namespace of the object ({metadata['namespace']}) does not match the namespace on the URL ({namespace})"
            )
        config = {**config, "apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
        manager = Manager(options.manager, APPLY, resource.api_version, subresource)
        with self.store.lock:
            live = self.store.get(resource, namespace, name)
            if live is None:
                if subresource:
                    raise status.not_found(resource.plural, resource.group, name)
                if metadata.get("uid"):
                    why = f"Precondition failed: UID in precondition: {metadata['uid']}, UID in object meta: "
                    raise status.conflict(resource.plural, resource.group, name, why)
                config = self.prepare(resource, namespace, config)
                made = managed.apply(resource.node, None, config, manager, options.force)
                clean = self.tidy(resource, made)
                return self.insert(resource, clean, options)

            def over(live: Object) -> Object:
                return self.tidy(resource, managed.apply(resource.node, live, config, manager, options.force))

            return self.change(resource, namespace, name, subresource, over, options, applied=True)

    @staticmethod
    def tidy(resource: Resource, made: Object) -> Object:
        """As the types of the kind would write it."""
        kept = made["metadata"].get("managedFields")
        clean = decode.read(resource.node, made, decode.Reading(), resource.custom is not None)
        clean["metadata"] = {**clean.get("metadata", {}), **({"managedFields": kept} if kept else {})}
        return clean

    def change(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        subresource: str,
        make: Callable[[Object], Object],
        options: Options,
        applied: bool = False,
    ) -> Object:
        live = self.find(resource, namespace, name)
        document = copy.deepcopy(make(live))
        document |= {"apiVersion": resource.api_version, "kind": resource.kind}
        metadata, was = document.setdefault("metadata", {}), live["metadata"]
        self.check_sent(resource, name, namespace, metadata, was)
        for key in OWN:
            metadata.pop(key, None)
            if key in was:
                metadata[key] = was[key]
        metadata["name"] = name
        if resource.namespaced:
            metadata["namespace"] = namespace
        if subresource == resources.STATUS:
            document = {**live, "metadata": {**was, **only(metadata, "managedFields")}, **only(document, "status")}
            document["metadata"] = {**document["metadata"], **only(metadata, "labels", "annotations", "finalizers")}
        else:
            if resources.STATUS in resource.subresources:
                document.pop("status", None)
                document |= only(live, "status")
            defaults.apply(resource.kind, resource.node, document)
            if subresource != "finalize":
                causes = validate.check(resource.kind, resource.node, document, live)
                if causes:
                    raise status.invalid(resource.kind, resource.group, name, causes)
            options.warnings += self.admission.update(resource, document, live)
            if "generation" in was and payload(document) != payload(live):
                metadata["generation"] = was["generation"] + 1
        if not applied:
            manager = Manager(options.manager, UPDATE, resource.api_version, subresource)
            managed.update(resource.node, live, document, manager)
        if same(live, document):
            return live
        if options.dry:
            return document
        if document["metadata"].get("deletionTimestamp") and gone(resource, document):
            return self.store.remove(resource, document)
        return self.store.put(resource, document)

    @staticmethod
    def check_sent(resource: Resource, name: str, namespace: str, metadata: Object, was: Object) -> None:
        if metadata.get("name", name) != name:
            raise status.bad_request(
                f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
            )
        if resource.namespaced and metadata.get("namespace", namespace) != namespace:
            raise status.bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        if metadata.get("uid", was["uid"]) != was["uid"]:
            why = f"Precondition failed: UID in precondition: {metadata['uid']}, UID in object meta: {was['uid']}"
            raise status.conflict(resource.plural, resource.group, name, why)
        version = metadata.get("resourceVersion")
        if version and version != was["resourceVersion"]:
            raise status.modified(resource.plural, resource.group, name)

    # --- delete -----------------------------------------------------------------------------------------------------

    def delete(
        self, resource: Resource, namespace: str, name: str, how: Object, dry: bool = False
    ) -> tuple[Object, bool]:
        """The object as it is then, and whether it is gone. `how` is a DeleteOptions."""
        with self.store.lock:
            live = self.find(resource, namespace, name)
            metadata = live["metadata"]
            for key, shown in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
                wanted = (how.get("preconditions") or {}).get(key)
                if wanted and wanted != metadata[key]:
                    why = f"Precondition failed: {shown} in precondition: {wanted}, {shown} in object meta: {metadata[key]}"
                    raise status.conflict(resource.plural, resource.group, name, why)
            if resource == resources.NAMESPACES and name in UNDEAD:
                raise status.forbidden("namespaces", "", name, "this namespace may not be deleted")
            grace = self.grace(resource, live, how)
            document = copy.deepcopy(live)
            finalizers = set(metadata.get("finalizers") or [])
            policy = how.get("propagationPolicy") or ("Orphan" if how.get("orphanDependents") else "")
            finalizers -= {FOREGROUND, ORPHAN} if policy else set()
            finalizers |= {"Foreground": {FOREGROUND}, "Orphan": {ORPHAN}}.get(policy, set())
            kept = [one for one in metadata.get("finalizers") or [] if one in finalizers]
            kept += sorted(finalizers - set(kept))
            if resource == resources.DEFINITIONS and CLEANUP not in kept and not metadata.get("deletionTimestamp"):
                kept.append(CLEANUP)
            document["metadata"].pop("finalizers", None)
            if kept:
                document["metadata"]["finalizers"] = kept
            waits = grace > 0 or kept or resource == resources.NAMESPACES
            if dry:
                return live, not waits
            if not waits:
                return self.store.remove(resource, document), True
            before = metadata.get("deletionGracePeriodSeconds")
            if not metadata.get("deletionTimestamp"):
                document["metadata"]["deletionTimestamp"] = stamp_in(grace)
                if "generation" in metadata:
                    document["metadata"]["generation"] = metadata["generation"] + 1
            if resource == resources.PODS or before is None:
                document["metadata"]["deletionGracePeriodSeconds"] = grace if before is None else min(grace, before)
            if resource == resources.NAMESPACES:
                document["metadata"].pop("deletionGracePeriodSeconds", None)
                document["status"] = {**document.get("status", {}), "phase": "Terminating"}
            return (live if same(live, document) else self.store.put(resource, document)), False

    @staticmethod
    def grace(resource: Resource, live: Object, how: Object) -> int:
        """Only pods that run on a node take time to end."""
        if resource != resources.PODS or not live["spec"].get("nodeName"):
            return 0
        if live.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            return 0
        asked = how.get("gracePeriodSeconds")
        return live["spec"].get("terminationGracePeriodSeconds", 30) if asked is None else max(asked, 0)


def stamp_in(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


def only(document: Object, *keys: str) -> Object:
    return {key: document[key] for key in keys if key in document}


def payload(document: Object) -> Object:
    """What a generation counts the changes of."""
    return {key: value for key, value in document.items() if key not in ("metadata", "status", "apiVersion", "kind")}


def same(one: Object, other: Object) -> bool:
    """Times of managed fields apart."""

    def plain(document: Object) -> Object:
        entries = [{**entry, "time": ""} for entry in document["metadata"].get("managedFields") or []]
        return {**document, "metadata": {**document["metadata"], "managedFields": entries}}

    return plain(one) == plain(other)


def identify(job: Object) -> None:
    """Labels of a new Job by which it knows its pods."""
    metadata, spec = job["metadata"], job.setdefault("spec", {})
    prefix = "batch.kubernetes.io/"
    labels = {"controller-uid": metadata["uid"], "job-name": metadata["name"]}
    labels |= {prefix + key: value for key, value in labels.items()}
    template = spec.setdefault("template", {})
    for place in (metadata, template.setdefault("metadata", {})):
        place["labels"] = {**(place.get("labels") or {}), **labels}
    spec["selector"] = {"matchLabels": {f"{prefix}controller-uid": metadata["uid"]}}


def gone(resource: Resource, document: Object) -> bool:
    """Whether nothing keeps an object that is being deleted."""
    metadata = document["metadata"]
    if metadata.get("finalizers"):
        return False
    if resource == resources.NAMESPACES:
        return not document.get("spec", {}).get("finalizers")
    return not metadata.get("deletionGracePeriodSeconds")


BORN: dict[str, Callable[[], Any]] = {
    "Namespace": lambda: {"phase": "Active"},
    "Deployment": dict,
    "Job": dict,
    "CronJob": dict,
    "ReplicaSet": lambda: {"replicas": 0},
    "HorizontalPodAutoscaler": lambda: {"desiredReplicas": 0, "currentMetrics": None},
    "PodDisruptionBudget": lambda: {
        "disruptionsAllowed": 0,
        "currentHealthy": 0,
        "desiredHealthy": 0,
        "expectedPods": 0,
    },
    "ResourceQuota": dict,
    "PersistentVolume": lambda: {"phase": "Pending"},
    "PersistentVolumeClaim": lambda: {"phase": "Pending"},
}
