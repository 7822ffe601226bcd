"""EndpointSlices: the pods behind a Service."""

from __future__ import annotations

from typing import Any

from provisioner_sandbox.kube import resources
from provisioner_sandbox.kube.controllers.base import Context, is_ready, owned, reference
from provisioner_sandbox.kube.store import Object
from provisioner_sandbox.kube.writer import suffix

MANAGED = "endpointslice.kubernetes.io/managed-by"
SERVICE = "kubernetes.io/service-name"


def behind(service: Object, pods: list[Object]) -> list[Object]:
    """The pods that a Service selects and that have an address."""
    selector = service["spec"].get("selector")
    if not selector:
        return []
    return [
        pod
        for pod in pods
        if pod["metadata"].get("namespace") == service["metadata"]["namespace"]
        and selector.items() <= (pod["metadata"].get("labels") or {}).items()
        and pod.get("status", {}).get("podIP")
        and pod["status"].get("phase") not in ("Succeeded", "Failed")
    ]


def target_port(pod: Object, port: Object) -> int | None:
    """The number that a Service's port means on a pod."""
    wanted: Any = port.get("targetPort", port["port"])
    if isinstance(wanted, int):
        return wanted
    if wanted.isdecimal():
        return int(wanted)
    for one in pod["spec"]["containers"]:
        for known in one.get("ports", []):
            if known.get("name") == wanted:
                found: int = known["containerPort"]
                return found
    return None


class Endpoints:
    def __init__(self, context: Context):
        self.context = context

    def look(self) -> float | None:
        context = self.context
        pods, slices = context.list(resources.PODS), context.list(resources.ENDPOINT_SLICES)
        for service in context.list(resources.SERVICES):
            if service["spec"].get("selector") and not service["metadata"].get("deletionTimestamp"):
                self.sync(service, behind(service, pods), owned(slices, service))
        return None

    def sync(self, service: Object, pods: list[Object], slices: list[Object]) -> None:
        endpoints = [self.endpoint(pod) for pod in pods]
        ports = []
        for port in service["spec"].get("ports", []):
            number = next((found for pod in pods if (found := target_port(pod, port)) is not None), None)
            if number is not None:
                one = {"name": port.get("name", ""), "port": number, "protocol": port.get("protocol", "TCP")}
                ports.append({**one, **({"appProtocol": port["appProtocol"]} if port.get("appProtocol") else {})})
        if not slices:
            name = service["metadata"]["name"]
            made = {
                "metadata": {
                    "name": f"{name}-{suffix()}",
                    "namespace": service["metadata"]["namespace"],
                    "labels": {SERVICE: name, MANAGED: "endpointslice-controller.k8s.io"},
                    "ownerReferences": [reference(service)],
                },
                "addressType": "IPv4",
                "endpoints": endpoints,
                "ports": ports,
            }
            self.context.create(resources.ENDPOINT_SLICES, made)
            return
        one = slices[0]
        if one.get("endpoints", []) != endpoints or one.get("ports", []) != ports:
            self.context.change(resources.ENDPOINT_SLICES, one, endpoints=endpoints, ports=ports)

    def endpoint(self, pod: Object) -> Object:
        ending = bool(pod["metadata"].get("deletionTimestamp"))
        node = self.context.store.get(resources.NODES, "", pod["spec"].get("nodeName", ""))
        made: Object = {
            "addresses": [pod["status"]["podIP"]],
            "conditions": {"ready": is_ready(pod) and not ending, "serving": is_ready(pod), "terminating": ending},
            "nodeName": pod["spec"].get("nodeName", ""),
            "targetRef": {
                "kind": "Pod",
                "namespace": pod["metadata"]["namespace"],
                "name": pod["metadata"]["name"],
                "uid": pod["metadata"]["uid"],
            },
        }
        zone = ((node or {}).get("metadata") or {}).get("labels", {}).get("topology.kubernetes.io/zone")
        if zone:
            made["zone"] = zone
        return made
