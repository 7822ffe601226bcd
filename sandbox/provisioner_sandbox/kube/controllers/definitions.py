"""CustomResourceDefinitions: accepted, established, and served from then on."""

from __future__ import annotations

from provisioner_sandbox.kube import resources, schema
from provisioner_sandbox.kube.controllers.base import Context, set_condition
from provisioner_sandbox.kube.resources import Resource
from provisioner_sandbox.kube.store import Object
from provisioner_sandbox.kube.writer import CLEANUP


def served(definition: Object) -> list[Resource]:
    spec = definition["spec"]
    names = spec["names"]
    found = []
    for version in spec["versions"]:
        if not version.get("served"):
            continue
        parts = tuple(
            part for part in (resources.STATUS, resources.SCALE) if part in (version.get("subresources") or {})
        )
        node = schema.of_custom((version.get("schema") or {}).get("openAPIV3Schema") or {})
        found.append(
            Resource(
                spec["group"],
                version["name"],
                names["kind"],
                names["plural"],
                spec.get("scope") == "Namespaced",
                parts,
                tuple(names.get("shortNames", [])),
                tuple(names.get("categories", [])),
                True,
                custom={"names": names, "node": node},
            )  # fmt: skip
        )
    return found


class Definitions:
    def __init__(self, context: Context):
        self.context = context
        self.seen: dict[str, tuple[str, int]] = {}

    def look(self) -> float | None:
        context = self.context
        present = set()
        for definition in context.list(resources.DEFINITIONS):
            metadata = definition["metadata"]
            name = metadata["name"]
            present.add(name)
            if metadata.get("deletionTimestamp"):
                self.end(definition)
                continue
            state = (metadata["uid"], metadata["generation"])
            if self.seen.get(name) != state:
                self.establish(definition)
                self.seen[name] = state
        for name in set(self.seen) - present:
            self.seen.pop(name)
            context.catalogue.custom.pop(name, None)
        return None

    def establish(self, definition: Object) -> None:
        name, spec = definition["metadata"]["name"], definition["spec"]
        self.context.catalogue.custom[name] = served(definition)
        conditions = definition.get("status", {}).get("conditions", [])
        conditions = set_condition(conditions, "NamesAccepted", "True", "NoConflicts", "no conflicts found")
        text = "the initial names have been accepted"
        conditions = set_condition(conditions, "Established", "True", "InitialNamesAccepted", text)
        stored = [version["name"] for version in spec["versions"] if version.get("storage")]
        wanted = {"acceptedNames": spec["names"], "conditions": conditions, "storedVersions": stored}
        self.context.status(resources.DEFINITIONS, definition, wanted)

    def end(self, definition: Object) -> None:
        """Its objects go first."""
        context, name = self.context, definition["metadata"]["name"]
        kinds = context.catalogue.custom.get(name) or served(definition)
        left = [(kinds[0], one) for one in context.list(kinds[0])] if kinds else []
        for kind, one in left:
            if not one["metadata"].get("deletionTimestamp"):
                context.delete(kind, one)
        if not left or not context.list(kinds[0]):
            finalizers = [one for one in definition["metadata"].get("finalizers", []) if one != CLEANUP]
            if finalizers != definition["metadata"].get("finalizers"):
                context.change(resources.DEFINITIONS, definition, metadata={"finalizers": finalizers or None})
