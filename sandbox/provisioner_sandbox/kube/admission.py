"""What is done with an object on its way in, beyond defaults and validation: by kind, and against what is there."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Callable
from typing import Any

from provisioner_sandbox.kube import resources, security, status
from provisioner_sandbox.kube.kubelet.spec import quantity
from provisioner_sandbox.kube.resources import Resource
from provisioner_sandbox.kube.store import Object, Store

NODE_PORTS = range(30000, 32768)
DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"
DEFAULT_STORAGE = "storageclass.kubernetes.io/is-default-class"
UNDEAD = {"default", "kube-system", "kube-public", "kube-node-lease"}


def protect(document: Object, finalizer: str) -> None:
    there = document["metadata"].get("finalizers") or []
    document["metadata"]["finalizers"] = [*there, *([] if finalizer in there else [finalizer])]


class Admission:
    """`services` is the range of Services' addresses."""

    def __init__(self, store: Store, services: str):
        self.store = store
        self.network = ipaddress.ip_network(services)
        self.creating: dict[str, Callable[[Object], Any]] = {
            "Namespace": lambda namespace: namespace.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"]),
            "Pod": self.pod,
            "Service": lambda service: self.service(service, None),
            "Ingress": self.ingress,
            "PersistentVolume": lambda volume: protect(volume, "kubernetes.io/pv-protection"),
            "PersistentVolumeClaim": self.claim,
        }

    def create(self, resource: Resource, document: Object) -> list[str]:
        """Changes the document. Returns warnings; raises `Refused`."""
        if resource.group == "" or resource.custom is None:
            act = self.creating.get(resource.kind)
            if act is not None:
                act(document)
        return self.warnings(resource, document)

    def update(self, resource: Resource, document: Object, old: Object) -> list[str]:
        if resource == resources.SERVICES:
            self.service(document, old)
        if resource == resources.PODS:
            document["spec"].setdefault("nodeName", old["spec"].get("nodeName"))
            if document["spec"]["nodeName"] is None:
                del document["spec"]["nodeName"]
        return self.warnings(resource, document) if document.get("spec") != old.get("spec") else []

    def namespace(self, name: str) -> Object | None:
        return self.store.get(resources.NAMESPACES, "", name)

    def enter(self, resource: Resource, namespace: str, name: str) -> None:
        """Raises `Refused` where nothing can be made in the namespace."""
        found = self.namespace(namespace)
        if found is None:
            raise status.not_found("namespaces", "", namespace)
        if found["metadata"].get("deletionTimestamp"):
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            cause = {
                "reason": "NamespaceTerminating",
                "message": f"namespace {namespace} is being terminated",
                "field": "metadata.namespace",
            }
            raise status.forbidden(resource.plural, resource.group, name, why, [cause])

    # --- pods -------------------------------------------------------------------------------------------------------

    def warnings(self, resource: Resource, document: Object) -> list[str]:
        if resource == resources.PODS:
            spec = document["spec"]
        elif resource in (resources.DEPLOYMENTS, resources.REPLICA_SETS):
            spec = document["spec"]["template"]["spec"]
        elif resource == resources.JOBS:
            spec = document["spec"]["template"]["spec"]
        elif resource == resources.CRON_JOBS:
            spec = document["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        else:
            return []
        level, version = security.level(self.namespace(document["metadata"]["namespace"]), "warn")
        found = security.violations(spec, level)
        return [f'would violate PodSecurity "{level}:{version}": {found}'] if found else []

    def pod(self, pod: Object) -> None:
        metadata, spec = pod["metadata"], pod["spec"]
        namespace, name = metadata["namespace"], metadata["name"]
        account = spec.setdefault("serviceAccountName", "default")
        spec["serviceAccount"] = account
        if self.store.get(resources.SERVICE_ACCOUNTS, namespace, account) is None:
            why = f'error looking up service account {namespace}/{account}: serviceaccount "{account}" not found'
            raise status.forbidden("pods", "", name, why)
        level, version = security.level(self.namespace(namespace), "enforce")
        found = security.violations(spec, level)
        if found:
            raise status.forbidden("pods", "", name, f'violates PodSecurity "{level}:{version}": {found}')
        self.quotas(pod)
        pod["status"] = {"phase": "Pending", "qosClass": quality(spec)}

    def quotas(self, pod: Object) -> None:
        namespace = pod["metadata"]["namespace"]
        wanted = usage(pod)
        for quota in self.store.list(resources.QUOTAS, namespace):
            hard = quota["spec"].get("hard", {})
            if quota["spec"].get("scopes") or quota["spec"].get("scopeSelector"):
                continue
            used = used_by(self.store.list(resources.PODS, namespace), hard)
            computed = [
                name
                for name in hard
                if name in ("requests.cpu", "requests.memory", "limits.cpu", "limits.memory", "cpu", "memory")
            ]
            absent = [name for name in computed if wanted.get(plain(name)) is None]
            name = quota["metadata"]["name"]
            if absent:
                why = f"failed quota: {name}: must specify {'; '.join(f'{one} for: {first_container(pod)}' for one in sorted(absent))}"
                raise status.forbidden("pods", "", pod["metadata"]["name"], why)
            over = [
                one
                for one in hard
                if plain(one) in wanted and used[one] + wanted[plain(one)] > quantity(str(hard[one]))
            ]
            if over:
                said = [
                    ",".join(f"{one}={shown(one, values[one])}" for one in sorted(over))
                    for values in ({one: wanted[plain(one)] for one in over}, used)
                ]
                limits = ",".join(f"{one}={hard[one]}" for one in sorted(over))
                why = f"exceeded quota: {name}, requested: {said[0]}, used: {said[1]}, limited: {limits}"
                raise status.forbidden("pods", "", pod["metadata"]["name"], why)

    def claim(self, claim: Object) -> None:
        """One without a class gets the default one, the newest if there are several."""
        protect(claim, "kubernetes.io/pvc-protection")
        if "storageClassName" in claim["spec"]:
            return
        defaults = [
            one
            for one in self.store.list(resources.STORAGE_CLASSES)
            if (one["metadata"].get("annotations") or {}).get(DEFAULT_STORAGE) == "true"
        ]
        if defaults:
            newest = max(defaults, key=lambda one: str(one["metadata"]["creationTimestamp"]))
            claim["spec"]["storageClassName"] = newest["metadata"]["name"]

    # --- the network ------------------------------------------------------------------------------------------------

    def service(self, service: Object, old: Object | None) -> None:
        spec = service["spec"]
        service.setdefault("status", {}).setdefault("loadBalancer", {})
        if spec["type"] == "ExternalName":
            return
        before = (old or {}).get("spec", {})
        if not spec.get("clusterIP"):
            spec["clusterIP"] = before.get("clusterIP") or self.address()
        elif old is None and spec["clusterIP"] != "None":
            self.check_address(service, spec["clusterIP"])
        spec["clusterIPs"] = [spec["clusterIP"]]
        if spec["type"] == "NodePort" or (
            spec["type"] == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts", True)
        ):
            had = {(port.get("port"), port.get("protocol")): port.get("nodePort") for port in before.get("ports", [])}
            for port in spec.get("ports", []):
                if not port.get("nodePort"):
                    port["nodePort"] = had.get((port["port"], port["protocol"])) or self.node_port(service)

    def check_address(self, service: Object, given: str) -> None:
        name = service["metadata"]["name"]
        try:
            inside = ipaddress.ip_address(given) in self.network
        except ValueError:
            inside = False
        if not inside:
            text = f"failed to allocate IP {given}: the provided IP ({given}) is not in the valid range. The range of valid IPs is {self.network}"
            raise status.invalid("Service", "", name, [status.wrong("spec.clusterIPs", [given], text)])
        if given in self.taken():
            text = f"failed to allocate IP {given}: provided IP is already allocated"
            raise status.invalid("Service", "", name, [status.wrong("spec.clusterIPs", [given], text)])

    def taken(self) -> set[str]:
        return {one["spec"].get("clusterIP", "") for one in self.store.list(resources.SERVICES)}

    def address(self) -> str:
        taken, first, size = self.taken(), int(self.network.network_address), self.network.num_addresses
        while True:
            # The first ones are for those who ask for them.
            found = str(ipaddress.ip_address(first + random.randrange(20, size - 1)))
            if found not in taken:
                return found

    def node_port(self, service: Object) -> int:
        taken = {
            port.get("nodePort")
            for one in [*self.store.list(resources.SERVICES), service]
            for port in one["spec"].get("ports", [])
        }
        return random.choice([port for port in NODE_PORTS if port not in taken])

    def ingress(self, ingress: Object) -> None:
        ingress.setdefault("status", {}).setdefault("loadBalancer", {})
        if ingress["spec"].get("ingressClassName"):
            return
        for one in self.store.list(resources.INGRESS_CLASSES):
            if (one["metadata"].get("annotations") or {}).get(DEFAULT_CLASS) == "true":
                ingress["spec"]["ingressClassName"] = one["metadata"]["name"]


def first_container(pod: Object) -> str:
    return pod["spec"]["containers"][0]["name"]


def plain(name: str) -> str:
    """`cpu` in a quota means what is requested."""
    return f"requests.{name}" if name in ("cpu", "memory") else name.removeprefix("count/")


def shown(name: str, value: Any) -> str:
    if name.endswith("cpu"):
        return str(int(value)) if value == int(value) else f"{int(value * 1000)}m"
    if name.endswith("memory"):
        for unit, size in (("Gi", 2**30), ("Mi", 2**20), ("Ki", 2**10)):
            if value and value % size == 0:
                return f"{int(value // size)}{unit}"
    return str(int(value))


def usage(pod: Object) -> dict[str, Any]:
    """What a pod counts for; what a container leaves out is not there."""
    found: dict[str, Any] = {"pods": quantity("1")}
    for what in ("requests", "limits"):
        for name in ("cpu", "memory"):
            amounts = [one.get("resources", {}).get(what, {}).get(name) for one in pod["spec"]["containers"]]
            if all(amount is not None for amount in amounts):
                found[f"{what}.{name}"] = sum((quantity(str(amount)) for amount in amounts), quantity("0"))
    return found


def used_by(pods: list[Object], hard: dict[str, Any]) -> dict[str, Any]:
    alive = [usage(pod) for pod in pods if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")]
    return {one: sum((found.get(plain(one), quantity("0")) for found in alive), quantity("0")) for one in hard}


def quality(spec: Object) -> str:
    found = [one.get("resources", {}) for one in spec["containers"]]
    if not any(one.get("requests") or one.get("limits") for one in found):
        return "BestEffort"
    both = all(
        {"cpu", "memory"} <= set(one.get("limits", {})) and one.get("requests", one["limits"]) == one["limits"]
        for one in found
    )
    return "Guaranteed" if both else "Burstable"
