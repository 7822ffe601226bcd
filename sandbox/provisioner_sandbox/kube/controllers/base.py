"""What controllers share: reading, writing, events, and owners."""

from __future__ import annotations

import copy
import threading
import time
import uuid
from typing import Any

from provisioner_sandbox.kube import resources, status
from provisioner_sandbox.kube.clock import Clock
from provisioner_sandbox.kube.managed import stamp
from provisioner_sandbox.kube.resources import Catalogue, Resource
from provisioner_sandbox.kube.store import Object, Store
from provisioner_sandbox.kube.writer import Options, Writer

NAME = "kube-controller-manager"


class Context:
    def __init__(self, store: Store, writer: Writer, catalogue: Catalogue):
        self.store = store
        self.writer = writer
        self.catalogue = catalogue
        self.clock = Clock()
        self.events = Events(self)

    @staticmethod
    def options() -> Options:
        return Options(manager=NAME, strict="Ignore")

    def list(self, resource: Resource, namespace: str = "") -> list[Object]:
        return self.store.list(resource, namespace)

    def create(self, resource: Resource, document: Object) -> Object:
        return self.writer.create(resource, document["metadata"].get("namespace", ""), document, self.options())

    def delete(self, resource: Resource, document: Object, **how: Any) -> None:
        metadata = document["metadata"]
        how["preconditions"] = {"uid": metadata["uid"]}
        try:
            self.writer.delete(resource, metadata.get("namespace", ""), metadata["name"], how)
        except status.Refused as refused:
            if refused.code not in (404, 409):
                raise

    def change(self, resource: Resource, document: Object, subresource: str = "", **parts: Any) -> Object:
        """Puts other parts into an object's place, as it is now. One that is gone or another is left alone."""
        metadata = document["metadata"]

        def over(live: Object) -> Object:
            if live["metadata"]["uid"] != metadata["uid"]:
                raise status.not_found(resource.plural, resource.group, metadata["name"])
            made = copy.deepcopy(live)
            for key, value in parts.items():
                made[key] = {**made.get(key, {}), **value} if key in ("metadata", "spec") else value
            return made

        return self.writer.patch(
            resource, metadata.get("namespace", ""), metadata["name"], subresource, over, self.options()
        )

    def status(self, resource: Resource, document: Object, wanted: Object) -> None:
        if document.get("status") != wanted:
            self.change(resource, document, resources.STATUS, status=wanted)


class Events:
    """One that comes again is counted, not repeated."""

    def __init__(self, context: Context):
        self.context = context
        self.lock = threading.Lock()
        self.known: dict[tuple[str, ...], tuple[str, int, float]] = {}

    def tell(self, about: Object, kind: str, reason: str, message: str, component: str) -> None:
        metadata = about["metadata"]
        key = (metadata["uid"], kind, reason, message)
        with self.lock:
            name, count, last = self.known.get(key, ("", 0, 0.0))
            # As Kubernetes' own recorder does, no more than so often.
            if name and time.monotonic() - last < 1.0:
                return
            name = name or f"{metadata['name'][:200]}.{uuid.uuid4().hex[:16]}"
            self.known[key] = (name, count + 1, time.monotonic())
        now = stamp()
        namespace = metadata.get("namespace", "default")
        writer, options = self.context.writer, Options(manager=component, strict="Ignore")
        try:
            if count:
                change = {"count": count + 1, "lastTimestamp": now}
                writer.patch(resources.EVENTS, namespace, name, "", lambda live: {**live, **change}, options)
                return
            event = {
                "metadata": {"name": name},
                "involvedObject": {
                    "kind": about["kind"], "namespace": namespace, "name": metadata["name"], "uid": metadata["uid"],
                    "apiVersion": about["apiVersion"], "resourceVersion": metadata.get("resourceVersion", ""),
                },
                "reason": reason,
                "message": message[:1024],
                "source": {"component": component},
                "firstTimestamp": now,
                "lastTimestamp": now,
                "count": 1,
                "type": kind,
                "reportingComponent": component,
                "reportingInstance": "",
            }  # fmt: skip
            writer.create(resources.EVENTS, namespace, event, options)
        except status.Refused:
            # A namespace that ends takes no events.
            return


def controller_of(document: Object) -> Object | None:
    return next((one for one in document["metadata"].get("ownerReferences") or [] if one.get("controller")), None)


def owned(documents: list[Object], owner: Object) -> list[Object]:
    uid = owner["metadata"]["uid"]
    return [one for one in documents if (controller_of(one) or {}).get("uid") == uid]


def reference(owner: Object) -> Object:
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def is_ready(pod: Object) -> bool:
    found = pod.get("status", {}).get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in found)


def is_active(pod: Object) -> bool:
    return not pod["metadata"].get("deletionTimestamp") and pod.get("status", {}).get("phase") not in (
        "Succeeded",
        "Failed",
    )


def set_condition(
    conditions: list[Object], kind: str, holds: str, reason: str, message: str, updated: bool = False
) -> list[Object]:
    """With the time of its last change kept. `updated`: it has a time of its last look too, as a Deployment's."""
    now = stamp()
    before = next((one for one in conditions if one["type"] == kind), None)
    made = {"type": kind, "status": holds, "reason": reason, "message": message}
    if before and all(before.get(key, "") == value for key, value in made.items()):
        return conditions
    made["lastTransitionTime"] = before["lastTransitionTime"] if before and before["status"] == holds else now
    if updated:
        made["lastUpdateTime"] = now
    if before is None:
        return [*conditions, made]
    return [made if one is before else one for one in conditions]


def without_condition(conditions: list[Object], kind: str) -> list[Object]:
    return [one for one in conditions if one["type"] != kind]
