"""Namespaces: what each has from its beginning, and how one ends."""

from __future__ import annotations

from provisioner_sandbox.kube import resources
from provisioner_sandbox.kube.controllers.base import Context
from provisioner_sandbox.kube.store import Object


class Namespaces:
    def __init__(self, context: Context, authority: str):
        self.context = context
        self.authority = authority

    def look(self) -> float | None:
        for namespace in self.context.list(resources.NAMESPACES):
            if namespace["metadata"].get("deletionTimestamp"):
                self.end(namespace)
            else:
                self.furnish(namespace["metadata"]["name"])
        return None

    def furnish(self, name: str) -> None:
        context = self.context
        if context.store.get(resources.SERVICE_ACCOUNTS, name, "default") is None:
            context.create(resources.SERVICE_ACCOUNTS, {"metadata": {"name": "default", "namespace": name}})
        if context.store.get(resources.CONFIG_MAPS, name, "kube-root-ca.crt") is None:
            data = {"ca.crt": self.authority}
            metadata = {"name": "kube-root-ca.crt", "namespace": name}
            context.create(resources.CONFIG_MAPS, {"metadata": metadata, "data": data})

    def end(self, namespace: Object) -> None:
        context, name = self.context, namespace["metadata"]["name"]
        for resource in context.catalogue.all():
            if not resource.namespaced:
                continue
            for one in context.list(resource, name):
                if not one["metadata"].get("deletionTimestamp"):
                    context.delete(resource, one, propagationPolicy="Background")
        if not any(context.list(resource, name) for resource in context.catalogue.all() if resource.namespaced):
            context.change(resources.NAMESPACES, namespace, "finalize", spec={"finalizers": []})
