"""The objects that the controller watches, and its changes to them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from provisioner_sandbox.kube.balancing import of_ingresses, of_services
from provisioner_sandbox.kube.balancing.annotations import BuildError, Object
from provisioner_sandbox.kube.balancing.installed import Installed
from provisioner_sandbox.kube.balancing.model import SERVICE, Key
from provisioner_sandbox.kube.balancing.of_ingresses import Member


@dataclass(frozen=True)
class Cluster:
    """The cluster of the controller."""

    region: str
    name: str
    guard: AbstractContextManager[Any]
    # The VPC of its nodes, which the controller uses without `--aws-vpc-id`.
    vpc: Callable[[], str]


@dataclass
class Seen:
    """All objects at one moment."""

    deployments: list[Object]
    services: list[Object]
    ingresses: list[Object]
    pods: list[Object]
    # The providers' ids of nodes, by name.
    providers: dict[str, str]
    is_ours: Callable[[Object, Installed], bool]
    # The settings of an Ingress' class.
    settings: Callable[[Object], Object]

    def service(self, namespace: str, name: str) -> Object | None:
        wanted = (namespace, name)
        metadata = ((one, one["metadata"]) for one in self.services)
        return next((one for one, meta in metadata if (meta["namespace"], meta["name"]) == wanted), None)


@dataclass
class Kube:
    """Changes objects by merge patches, of a subresource too, and creates events."""

    patch: Callable[[Object, Object, str], None]
    tell: Callable[[Object, str, str, str], None]


def finalizer_of(key: Key) -> str:
    return of_services.FINALIZER if key.prefix == SERVICE else of_ingresses.finalizer_of(key)


def pending(seen: Seen, members: dict[Key, list[Member]]) -> list[tuple[Object, Key, str]]:
    """Returns the objects that have the finalizer of a stack without being members of it."""
    active = {(key, one.document["metadata"]["uid"]) for key, ones in members.items() for one in ones}
    found = []
    for service in seen.services:
        if of_services.FINALIZER in (service["metadata"].get("finalizers") or []):
            found.append((service, of_services.key_of(service), of_services.FINALIZER))
    for ingress in seen.ingresses:
        found += [(ingress, key, of_ingresses.finalizer_of(key)) for key in of_ingresses.keys_of(ingress)]
    return [one for one in found if (one[1], one[0]["metadata"]["uid"]) not in active]


def is_protected(document: Object) -> bool:
    try:
        return of_services.is_protected(document) or of_ingresses.is_protected(document)
    except BuildError:
        return False


def without_finalizer(document: Object, finalizer: str) -> Object:
    left = [one for one in document["metadata"].get("finalizers") or [] if one != finalizer]
    return {"metadata": {"finalizers": left or None}}
