"""The objects of a cluster, their versions, and what happened to them of late."""

from __future__ import annotations

import copy
import threading
from collections import deque
from dataclasses import dataclass
from typing import Any

from provisioner_sandbox.kube import status
from provisioner_sandbox.kube.resources import Resource

Object = dict[str, Any]
Key = tuple[str, str]
# How many changes watches can go back.
MOST_CHANGES = 4000


@dataclass(frozen=True)
class Change:
    version: int
    kind: str
    key: Key
    document: Object
    before: Object | None


class Store:
    """Stored documents are never changed, only replaced. `lock` is held while a caller reads, decides and writes."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.version = 1
        self.objects: dict[Key, dict[tuple[str, str], Object]] = {}
        self.changes: deque[Change] = deque(maxlen=MOST_CHANGES)
        self.closed = False

    def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        return self.objects.get(resource.key, {}).get((namespace, name))

    def list(self, resource: Resource, namespace: str = "") -> list[Object]:
        with self.lock:
            found = self.objects.get(resource.key, {})
            return [found[key] for key in sorted(found) if not namespace or key[0] == namespace]

    def put(self, resource: Resource, document: Object) -> Object:
        with self.lock:
            metadata = document["metadata"]
            where = (metadata.get("namespace", ""), metadata["name"])
            kept = self.objects.setdefault(resource.key, {})
            before = kept.get(where)
            self.version += 1
            document = copy.deepcopy(document)
            document["metadata"]["resourceVersion"] = str(self.version)
            kept[where] = document
            self.note(Change(self.version, "MODIFIED" if before else "ADDED", resource.key, document, before))
            return document

    def remove(self, resource: Resource, document: Object) -> Object:
        with self.lock:
            metadata = document["metadata"]
            before = self.objects[resource.key].pop((metadata.get("namespace", ""), metadata["name"]))
            self.version += 1
            document = copy.deepcopy(document)
            document["metadata"]["resourceVersion"] = str(self.version)
            self.note(Change(self.version, "DELETED", resource.key, document, before))
            return document

    def note(self, change: Change) -> None:
        self.changes.append(change)
        self.changed.notify_all()

    def since(self, version: int) -> list[Change]:
        """The changes after a version. Raises `Refused` where they are not known any more."""
        if self.changes and version < self.changes[0].version - 1:
            oldest = self.changes[0].version
            raise status.expired(f"too old resource version: {version} ({oldest})")
        if not self.changes and version < self.version:
            raise status.expired(f"too old resource version: {version} ({self.version})")
        found: list[Change] = []
        for change in reversed(self.changes):
            if change.version <= version:
                break
            found.append(change)
        return found[::-1]

    def close(self) -> None:
        """Ends all watches."""
        with self.lock:
            self.closed = True
            self.changed.notify_all()
