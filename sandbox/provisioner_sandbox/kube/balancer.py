"""Load balancers: a loopback address for each that is active in AWS, spread over ready pods.

What is in AWS is the matter of `balancing`, which does the work of the AWS Load Balancer Controller. A Service that is
not the controller's has an address only, and nothing in AWS.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from provisioner_sandbox.kube.balancing import of_ingresses, of_services
from provisioner_sandbox.kube.balancing.endpoints import ready
from provisioner_sandbox.kube.balancing.front import Front, Targets
from provisioner_sandbox.kube.balancing.installed import Installed
from provisioner_sandbox.kube.balancing.listening import Listener
from provisioner_sandbox.kube.balancing.of_ingresses import Member
from provisioner_sandbox.kube.balancing.reconciler import Reconciler
from provisioner_sandbox.kube.balancing.seen import Cluster, Kube, Seen
from provisioner_sandbox.kube.certificates import Authority
from provisioner_sandbox.kube.clock import Clock
from provisioner_sandbox.kube.processes.addresses import Addresses, NoAddress

Object = dict[str, Any]
LOOK_SECONDS = 0.1
# AWS seconds until one that is not in AWS has its name and takes requests.
PROVISIONING = 120
CONTROLLER = "ingress.k8s.aws/alb"
GATE = "target-health.elbv2.k8s.aws/"
# Where binding a low port is not allowed.
HIGH = 8000


@dataclass
class Port:
    """What a port of a balancer leads to."""

    targets: list[tuple[str, int]]
    front: Front = Front()


@dataclass
class Balancer:
    """Of one object, by its uid, or of a group of Ingresses."""

    due: float = 0.0
    address: str = ""
    listeners: dict[int, Listener] = field(default_factory=dict)
    trouble: str = ""


@dataclass
class Source:
    """What balancers are made for, and how they are told of: the stand-in's store, or a real API server."""

    cluster: Cluster
    services: Callable[[], list[Object]]
    ingresses: Callable[[], list[Object]]
    classes: Callable[[], list[Object]]
    pods: Callable[[], list[Object]]
    deployments: Callable[[], list[Object]]
    # The providers' ids of nodes, by name.
    providers: Callable[[], dict[str, str]]
    # An IngressClassParams, by its name.
    parameters: Callable[[str], Object | None]
    # A merge patch, of a subresource too.
    patch: Callable[[Object, Object, str], None]
    publish: Callable[[Object, list[Object]], None]
    # Where a pod really listens, where its address in the cluster is another.
    real: Callable[[Object], str]
    tell: Callable[[Object, str, str, str], None]
    pass_gates: Callable[[Object, list[str]], None]


class Balancers:
    def __init__(self, source: Source, addresses: Addresses):
        self.source = source
        self.addresses = addresses
        self.clock = Clock()
        self.known: dict[str, Balancer] = {}
        self.stopped = threading.Event()
        self.loop = asyncio.new_event_loop()
        self.reconciler = Reconciler(source.cluster, Kube(source.patch, source.tell), self.stopped.is_set)

    @cached_property
    def context(self) -> ssl.SSLContext:
        """For all listeners with TLS. No authority that a client knows signed it."""
        return Authority().context()

    def start(self) -> None:
        threading.Thread(target=self.serve, name="kube balancers", daemon=True).start()
        threading.Thread(target=self.run, name="kube balancing", daemon=True).start()

    def serve(self) -> None:
        self.loop.run_forever()
        self.loop.close()

    def stop(self) -> None:
        self.stopped.set()
        for uid in list(self.known):
            self.end(uid)
        self.loop.call_soon_threadsafe(self.loop.stop)

    def run(self) -> None:
        while not self.stopped.wait(LOOK_SECONDS):
            try:
                self.look()
            except Exception:
                if not self.stopped.is_set():
                    traceback.print_exc(file=sys.stderr)

    # --- what is wanted ---------------------------------------------------------------------------------------------

    def look(self) -> None:
        pods = self.source.pods()
        services, ingresses = self.source.services(), self.source.ingresses()
        # By uid, whether the load balancer of an object is active; others have none in AWS.
        standing = self.reconciler.look(
            Seen(
                self.source.deployments(), services, ingresses, pods, self.source.providers(), self.is_ours,
                self.settings,
            )  # fmt: skip
        )
        wanted: dict[str, tuple[list[Object], dict[int, Port]]] = {}
        for service in services:
            uid = service["metadata"]["uid"]
            if standing.get(uid) or (uid not in standing and self.is_plain(service)):
                wanted[uid] = ([service], self.of_service(service, pods))
        for name, members in self.groups(ingresses, standing).items():
            ports = self.of_ingresses(members, services, pods)
            wanted[name] = ([one.document for one in members], ports)
        for uid in set(self.known) - set(wanted):
            self.end(uid)
        for name, (documents, ports) in wanted.items():
            aws = any(one["metadata"]["uid"] in standing for one in documents)
            failed = any(one["metadata"]["uid"] in self.reconciler.failed for one in documents)
            self.sync(name, documents, self.as_before(name, ports) if failed else ports, 0 if aws else PROVISIONING)
        self.gates(pods, services)

    def groups(self, ingresses: list[Object], standing: dict[str, bool]) -> dict[str, list[Member]]:
        """Those that share a load balancer in AWS share an address. One that is being deleted has no more rules in it."""
        found: dict[str, list[Member]] = {}
        for ingress in ingresses:
            metadata = ingress["metadata"]
            if standing.get(metadata["uid"]):
                member = Member(ingress, self.settings(ingress))
                alone = "/" in member.key.stack
                found.setdefault(metadata["uid"] if alone else f"group {member.key.stack}", []).append(member)
        return {
            name: [one for one in members if not one.document["metadata"].get("deletionTimestamp")] or members
            for name, members in found.items()
        }

    def as_before(self, name: str, ports: dict[int, Port]) -> dict[int, Port]:
        """What AWS refused changes no listener; targets are registered all the same."""
        balancer = self.known.get(name)
        if balancer is None or not balancer.listeners:
            return ports
        return {
            port: Port(ports[port].targets if port in ports else one.targets, one.front)
            for port, one in balancer.listeners.items()
        }

    @staticmethod
    def is_plain(service: Object) -> bool:
        """One without a class: elsewhere EKS itself creates a Classic Load Balancer for it."""
        if service["spec"].get("type") != "LoadBalancer" or "loadBalancerClass" in service["spec"]:
            return False
        ours = of_services.is_supported(service, Installed(""))
        return not ours and not service["metadata"].get("deletionTimestamp")

    def is_ours(self, ingress: Object, controller: Installed) -> bool:
        name = ingress["spec"].get("ingressClassName") or ingress["metadata"].get("annotations", {}).get(
            "kubernetes.io/ingress.class", ""
        )
        if name == controller.ingress_class:
            return True
        found = self.class_of(name)
        return found is not None and found["spec"].get("controller") == CONTROLLER

    def class_of(self, name: str) -> Object | None:
        return next((one for one in self.source.classes() if one["metadata"]["name"] == name), None)

    def settings(self, ingress: Object) -> Object:
        found = self.class_of(ingress["spec"].get("ingressClassName", ""))
        given = found["spec"].get("parameters") if found else None
        parameters = self.source.parameters(given["name"]) if given else None
        return parameters.get("spec") or {} if parameters else {}

    def targets(self, service: Object, port: Object, pods: list[Object]) -> list[tuple[str, int]]:
        return [(self.source.real(pod), number) for pod, number in ready(service, port, pods)]

    def of_service(self, service: Object, pods: list[Object]) -> dict[int, Port]:
        of = of_services.annotations(service)
        return {
            port["port"]: Port(self.targets(service, port, pods), Front(tls=of_services.has_tls(port, of)))
            for port in service["spec"].get("ports", [])
        }

    def of_ingresses(self, members: list[Member], services: list[Object], pods: list[Object]) -> dict[int, Port]:
        """Of an Ingress, or of all of a group."""

        def targets(member: Member, backend: Object) -> Targets:
            wanted, namespace = backend.get("service") or {}, member.document["metadata"]["namespace"]
            for service in services:
                metadata = service["metadata"]
                if (metadata["namespace"], metadata["name"]) != (namespace, wanted.get("name")):
                    continue
                for port in service["spec"].get("ports", []):
                    if wanted.get("port", {}) in ({"name": port.get("name")}, {"number": port["port"]}):
                        return tuple(self.targets(service, port, pods))
            return ()

        found = of_ingresses.fronts(members, targets)
        return {port: Port(list(those), front) for port, (front, those) in found.items()}

    # --- what is done -----------------------------------------------------------------------------------------------

    def sync(self, name: str, documents: list[Object], ports: dict[int, Port], seconds: float) -> None:
        """`seconds`: how long it takes until it has an address."""
        balancer = self.known.get(name)
        if balancer is None:
            balancer = self.known[name] = Balancer(time.monotonic() + seconds / self.clock.scale)
        if time.monotonic() < balancer.due:
            return
        if not balancer.address:
            try:
                balancer.address = self.addresses.take()
            except NoAddress as error:
                self.complain(documents, balancer, str(error))
                return
        for port, listener in list(balancer.listeners.items()):
            if port not in ports or ports[port].front.tls != listener.front.tls:
                balancer.listeners.pop(port).stop()
        for port, wanted in ports.items():
            if port not in balancer.listeners:
                made = self.listen(documents, balancer, port, wanted.front)
                if made is None:
                    continue
                balancer.listeners[port] = made
            balancer.listeners[port].targets, balancer.listeners[port].front = wanted.targets, wanted.front
        for document in documents if balancer.listeners else []:
            self.say(document, balancer)

    def listen(self, documents: list[Object], balancer: Balancer, port: int, front: Front) -> Listener | None:
        context = self.context if front.tls else None
        for number in (port, port + HIGH) if port < 1024 else (port,):
            listener = Listener(self.loop, balancer.address, number, front, context)
            try:
                listener.start()
            except PermissionError:
                continue
            except OSError as error:
                self.complain(documents, balancer, f"{balancer.address}:{number}: {error}")
                return None
            return listener
        self.complain(documents, balancer, f"{balancer.address}: no right to listen at port {port}")
        return None

    def say(self, document: Object, balancer: Balancer) -> None:
        shown = [{"port": listener.port, "protocol": "TCP"} for _, listener in sorted(balancer.listeners.items())]
        # AWS gives a name. One that every machine resolves is the address itself.
        wanted: list[Object] = [{"hostname": balancer.address}]
        if any(number != listener.port for number, listener in balancer.listeners.items()):
            wanted[0]["ports"] = shown
        leaving = document["metadata"].get("deletionTimestamp")
        if not leaving and document.get("status", {}).get("loadBalancer", {}).get("ingress") != wanted:
            self.source.publish(document, wanted)
            text = "Successfully reconciled"
            self.source.tell(document, "Normal", "SuccessfullyReconciled", text)

    def complain(self, documents: list[Object], balancer: Balancer, why: str) -> None:
        told, balancer.trouble = balancer.trouble, why
        for document in documents if told != why else []:
            self.source.tell(document, "Warning", "FailedDeployModel", f"Failed deploy model due to {why}")

    def end(self, uid: str) -> None:
        balancer = self.known.pop(uid, None)
        if balancer is None:
            return
        for listener in balancer.listeners.values():
            listener.stop()
        if balancer.address:
            self.addresses.give_back(balancer.address)

    def gates(self, pods: list[Object], services: list[Object]) -> None:
        """Readiness gates of the controller's: a pod is healthy for a balancer as soon as its containers are ready."""
        for pod in pods:
            wanted = [
                one["conditionType"]
                for one in pod["spec"].get("readinessGates", [])
                if one["conditionType"].startswith(GATE)
            ]
            if not wanted or pod["metadata"].get("deletionTimestamp"):
                continue
            found = {one["type"]: one["status"] for one in pod.get("status", {}).get("conditions", [])}
            if found.get("ContainersReady") == "True":
                missing = [one for one in wanted if found.get(one) != "True"]
                if missing:
                    self.source.pass_gates(pod, missing)
