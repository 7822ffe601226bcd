"""Dependents go with their owners: after them, before them, or not at all."""

from __future__ import annotations

from provisioner_sandbox.kube.controllers.base import Context
from provisioner_sandbox.kube.resources import Resource
from provisioner_sandbox.kube.store import Object
from provisioner_sandbox.kube.writer import FOREGROUND, ORPHAN


class Garbage:
    def __init__(self, context: Context):
        self.context = context

    def look(self) -> float | None:
        context = self.context
        everything: list[tuple[Resource, Object]] = []
        seen = set()
        for resource in context.catalogue.all():
            if resource.key not in seen:
                seen.add(resource.key)
                everything += [(resource, one) for one in context.list(resource)]
        alive = {one["metadata"]["uid"]: one for _, one in everything}
        dependents: dict[str, list[tuple[Resource, Object]]] = {}
        for resource, one in everything:
            references = one["metadata"].get("ownerReferences") or []
            for reference in references:
                dependents.setdefault(reference["uid"], []).append((resource, one))
            if references and not one["metadata"].get("deletionTimestamp"):
                if not any(reference["uid"] in alive for reference in references):
                    context.delete(resource, one, propagationPolicy="Background")
        for resource, one in everything:
            finalizers = one["metadata"].get("finalizers") or []
            if one["metadata"].get("deletionTimestamp") and {FOREGROUND, ORPHAN} & set(finalizers):
                self.end(resource, one, dependents.get(one["metadata"]["uid"], []))
        return None

    def end(self, resource: Resource, owner: Object, dependents: list[tuple[Resource, Object]]) -> None:
        finalizers, uid = owner["metadata"]["finalizers"], owner["metadata"]["uid"]
        if ORPHAN in finalizers:
            for kind, one in dependents:
                kept = [reference for reference in one["metadata"]["ownerReferences"] if reference["uid"] != uid]
                self.context.change(kind, one, metadata={"ownerReferences": kept or None})
        else:
            for kind, one in dependents:
                if not one["metadata"].get("deletionTimestamp"):
                    self.context.delete(kind, one, propagationPolicy="Foreground")
            blocking = [
                one
                for _, one in dependents
                if any(
                    ref["uid"] == uid and ref.get("blockOwnerDeletion") for ref in one["metadata"]["ownerReferences"]
                )
            ]
            if blocking:
                return
        kept = [one for one in finalizers if one not in (FOREGROUND, ORPHAN)]
        self.context.change(resource, owner, metadata={"finalizers": kept or None})
