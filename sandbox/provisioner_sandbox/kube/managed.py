"""Who manages which fields: `metadata.managedFields`, for updates and for server-side apply."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, field
from typing import Any

from provisioner_sandbox.kube import fields, status
from provisioner_sandbox.kube.fields import Paths
from provisioner_sandbox.kube.schema import Node

# What the server itself writes has no owner.
SERVERS = {
    ("f:apiVersion",), ("f:kind",), ("f:metadata",), ("f:metadata", "f:name"), ("f:metadata", "f:generateName"),
    ("f:metadata", "f:namespace"), ("f:metadata", "f:creationTimestamp"), ("f:metadata", "f:selfLink"),
    ("f:metadata", "f:uid"), ("f:metadata", "f:clusterName"), ("f:metadata", "f:generation"),
    ("f:metadata", "f:managedFields"), ("f:metadata", "f:resourceVersion"), ("f:metadata", "f:deletionTimestamp"),
    ("f:metadata", "f:deletionGracePeriodSeconds"),
}  # fmt: skip
APPLY, UPDATE = "Apply", "Update"
Object = dict[str, Any]


@dataclass(frozen=True)
class Manager:
    name: str
    operation: str
    api_version: str
    subresource: str = ""

    def shown(self) -> str:
        said = fields.compact(self.name)
        if self.subresource:
            said += f" with subresource {fields.compact(self.subresource)}"
        if self.operation == UPDATE:
            said += f" using {self.api_version}"
        return said


@dataclass
class Entry:
    paths: Paths = field(default_factory=set)
    time: str = ""


Managers = dict[Manager, Entry]


def read(document: Object) -> Managers:
    found: Managers = {}
    for entry in document["metadata"].get("managedFields") or []:
        manager = Manager(
            entry.get("manager", ""), entry["operation"], entry["apiVersion"], entry.get("subresource", "")
        )
        found[manager] = Entry(fields.from_document(entry.get("fieldsV1") or {}), entry.get("time", ""))
    return found


def write(document: Object, managers: Managers) -> None:
    kept = [(manager, entry) for manager, entry in managers.items() if entry.paths]
    kept.sort(key=lambda one: (one[0].operation != APPLY, one[1].time, one[0].name, one[0].subresource))
    entries = []
    for manager, entry in kept:
        made = {
            "manager": manager.name,
            "operation": manager.operation,
            "apiVersion": manager.api_version,
            **({"time": entry.time} if entry.time else {}),
            "fieldsType": "FieldsV1",
            "fieldsV1": fields.to_document(entry.paths),
        }
        if manager.subresource:
            made["subresource"] = manager.subresource
        entries.append(made)
    if entries:
        document["metadata"]["managedFields"] = entries
    else:
        document["metadata"].pop("managedFields", None)


def stamp() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def bare(document: Object) -> Object:
    """Without what says who manages it."""
    metadata = {key: value for key, value in document["metadata"].items() if key != "managedFields"}
    return {**document, "metadata": metadata}


def others_field(path: fields.Path, subresource: str) -> bool:
    """Whether another endpoint than the one in use writes it."""
    return not path or path in SERVERS or path[0] == ("f:spec" if subresource == "status" else "f:status")


def ours(paths: Paths, subresource: str) -> Paths:
    return {path for path in paths if not others_field(path, subresource)}


def update(node: Node, live: Object | None, made: Object, manager: Manager) -> None:
    """Writes into `made` who manages it after the manager has put it in `live`'s place."""
    # What a client sends of managed fields counts only where it takes them away.
    sent = made["metadata"].get("managedFields")
    managers = {} if live is None or sent == [] else read(live)
    before = {"apiVersion": made["apiVersion"], "kind": made["kind"], "metadata": {}} if live is None else bare(live)
    if live is None:
        before |= {key: {} for key in ("spec", "status") if isinstance(made.get(key), dict)}
        if isinstance(made.get("spec"), dict) and isinstance(made["spec"].get("template"), dict):
            before["spec"] = {"template": {"metadata": {}, "spec": {"containers": []}}}
        elif made["kind"] == "Pod":
            before["spec"] = {"containers": []}
    change = fields.compare(node, before, bare(made))
    taken = ours(change.added | change.modified, manager.subresource)
    for other, entry in managers.items():
        if other != manager:
            entry.paths = entry.paths - change.modified - change.added - change.removed
    own = managers.setdefault(manager, Entry())
    paths = (own.paths - change.removed) | taken
    if paths != own.paths or taken:
        own.time = stamp()
    own.paths = paths
    write(made, managers)


def apply(node: Node, live: Object | None, applied: Object, manager: Manager, force: bool) -> Object:
    """The object after an apply, before defaults. Raises `Refused` for conflicts."""
    managers = {} if live is None else read(live)
    config = bare(applied)
    named = fields.of_object(node, config)
    wanted = ours(named, manager.subresource)
    start = (
        {"apiVersion": applied["apiVersion"], "kind": applied["kind"], "metadata": {}} if live is None else bare(live)
    )
    merged = fields.merge(node, start, config)
    last = managers.get(manager)
    own = managers[manager] = Entry(wanted, last.time if last else "")
    if last is not None and last.paths:
        merged = prune(node, merged, last.paths, named.union(*(entry.paths for entry in managers.values())))
    change = fields.compare(node, start, merged)
    touched = change.added | change.modified
    if change:
        own.time = stamp()
    conflicts: list[tuple[Manager, fields.Path]] = []
    for other, entry in sorted(managers.items(), key=lambda one: (one[0].name, one[0].operation, one[0].subresource)):
        if other == manager:
            continue
        both = entry.paths & touched
        conflicts += [(other, path) for path in sorted(both, key=fields.text)]
        entry.paths = entry.paths - both - change.removed
    if conflicts and not force:
        raise conflicted(conflicts)
    made = copy.deepcopy(merged)
    write(made, managers)
    return made


def prune(node: Node, merged: Object, last: Paths, owned: Paths) -> Object:
    """Removes what the manager applied before, unless another manager owns it."""
    everything = fields.with_named(node, fields.of_object(node, merged))
    last = fields.with_named(node, last)
    owned = fields.with_named(node, owned)

    def kept(document: Object) -> Paths:
        return fields.with_named(node, fields.of_object(node, document))

    pruned = fields.remove(node, merged, last) or {}
    pruned = fields.remove(node, merged, (everything - kept(pruned)) - owned) or {}
    return fields.remove(node, merged, (everything - kept(pruned)) & last) or {}


def conflicted(conflicts: list[tuple[Manager, fields.Path]]) -> status.Refused:
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f"conflict with {manager.shown()}",
            "field": fields.text(path),
        }
        for manager, path in conflicts
    ]
    if len(conflicts) == 1:
        manager, path = conflicts[0]
        said = f"Apply failed with 1 conflict: conflict with {manager.shown()}: {fields.text(path)}"
    else:
        by: dict[str, list[str]] = {}
        for manager, path in conflicts:
            by.setdefault(manager.shown(), []).append(f"- {fields.text(path)}")
        listed = [f"conflicts with {name}:\n" + "\n".join(paths) for name, paths in sorted(by.items())]
        said = f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(listed)
    return status.Refused(409, "Conflict", said, {"causes": causes})
