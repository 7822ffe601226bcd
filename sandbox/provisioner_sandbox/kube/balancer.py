"""Load balancers: a loopback address for each that is active in AWS, spread over ready pods.

What is in AWS is the matter of `balancing`, which does the work of the AWS Load Balancer Controller. A Service that is
not the controller's has an address only, and nothing in AWS.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import socket
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
from provisioner_sandbox.kube.balancing.front import END, MAX_HEAD, Front
from provisioner_sandbox.kube.balancing.installed import Installed
from provisioner_sandbox.kube.balancing.reconciler import Reconciler
from provisioner_sandbox.kube.balancing.seen import Cluster, Kube, Seen
from provisioner_sandbox.kube.certificates import Authority
from provisioner_sandbox.kube.clock import Clock
from provisioner_sandbox.kube.processes.addresses import Addresses, NoAddress
from provisioner_sandbox.kube.relay import relay

Object = dict[str, Any]
LOOK_SECONDS = 0.1
# AWS seconds until one that is not in AWS has its name and takes requests.
PROVISIONING = 120
CONTROLLER = "ingress.k8s.aws/alb"
CONNECT_SECONDS = 2.0
GATE = "target-health.elbv2.k8s.aws/"
# Where binding a low port is not allowed.
HIGH = 8000


class Listener:
    """One port of a balancer. `targets` are addresses and ports; connections stay with theirs to their end."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, address: str, port: int, front: Front = Front(),
        context: ssl.SSLContext | None = None,
    ):  # fmt: skip
        self.loop = loop
        self.address = address
        self.port = port
        self.front = front
        self.context = context
        self.targets: list[tuple[str, int]] = []
        self.next = itertools.count(random.randrange(1000))
        self.server: asyncio.AbstractServer | None = None
        self.open: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Raises `OSError` where the port cannot be had."""
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            held.bind((self.address, self.port))
        except OSError:
            held.close()
            raise
        asyncio.run_coroutine_threadsafe(self.serve(held), self.loop).result(5)

    async def serve(self, held: socket.socket) -> None:
        self.server = await asyncio.start_server(
            self.accept, sock=held, backlog=256, limit=MAX_HEAD, ssl=self.context
        )  # fmt: skip

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self.open.add(task)
            task.add_done_callback(self.open.discard)
        target, head = None, b""
        try:
            if self.front.reads:
                head = await reader.readuntil(END)
                answer = self.front.answer(head)
                if answer is not None:
                    writer.write(answer)
                    await writer.drain()
                    return
            target = await self.connect()
            if target is None:
                # As an NLB without targets; an ALB would say 503 first.
                writer.transport.abort()
                return
            there, onward = target
            onward.write(head)
            await asyncio.gather(self.pump(reader, onward), self.pump(there, writer))
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()
            # One that is left to the garbage collector may be closed after its descriptor is another's: that one then
            # hears nothing more.
            if target is not None:
                target[1].close()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """To the next target; one that does not answer costs the caller nothing but a moment."""
        targets = list(self.targets)
        start = next(self.next)
        for step in range(len(targets)):
            host, port = targets[(start + step) % len(targets)]
            try:
                return await asyncio.wait_for(asyncio.open_connection(host, port), CONNECT_SECONDS)
            except (OSError, asyncio.TimeoutError):
                continue
        return None

    @staticmethod
    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await relay(reader, writer)
        finally:
            # One direction may end while the other continues, but not with TLS.
            try:
                if writer.can_write_eof():
                    writer.write_eof()
                else:
                    writer.close()
            except OSError:
                pass

    def stop(self) -> None:
        async def end() -> None:
            if self.server is not None:
                self.server.close()
            for task in self.open:
                task.cancel()

        asyncio.run_coroutine_threadsafe(end(), self.loop)


@dataclass
class Port:
    """What a port of a balancer leads to."""

    targets: list[tuple[str, int]]
    front: Front = Front()


@dataclass
class Balancer:
    """Of one object, by its uid."""

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
        wanted: dict[str, tuple[Object, dict[int, Port]]] = {}
        for service in services:
            uid = service["metadata"]["uid"]
            if standing.get(uid) or (uid not in standing and self.is_plain(service)):
                wanted[uid] = (service, self.of_service(service, pods))
        for ingress in ingresses:
            if standing.get(ingress["metadata"]["uid"]):
                wanted[ingress["metadata"]["uid"]] = (ingress, self.of_ingress(ingress, services, pods))
        for uid in set(self.known) - set(wanted):
            self.end(uid)
        for uid, (document, ports) in wanted.items():
            self.sync(uid, document, ports, PROVISIONING if uid not in standing else 0)
        self.gates(pods, services)

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

    def of_ingress(self, ingress: Object, services: list[Object], pods: list[Object]) -> dict[int, Port]:
        """All paths lead to their services' pods alike: connections are spread, not requests."""
        backends = [ingress["spec"]["defaultBackend"]] if ingress["spec"].get("defaultBackend") else []
        for rule in ingress["spec"].get("rules", []):
            backends += [path["backend"] for path in rule.get("http", {}).get("paths", [])]
        found: list[tuple[str, int]] = []
        for backend in backends:
            wanted = backend.get("service") or {}
            for service in services:
                metadata = service["metadata"]
                if (metadata["namespace"], metadata["name"]) != (ingress["metadata"]["namespace"], wanted.get("name")):
                    continue
                for port in service["spec"].get("ports", []):
                    if wanted.get("port", {}) in ({"name": port.get("name")}, {"number": port["port"]}):
                        found += [one for one in self.targets(service, port, pods) if one not in found]
        fronts = of_ingresses.fronts(of_ingresses.Member(ingress, self.settings(ingress)))
        return {port: Port(found, front) for port, front in fronts.items()}

    # --- what is done -----------------------------------------------------------------------------------------------

    def sync(self, uid: str, document: Object, ports: dict[int, Port], seconds: float) -> None:
        """`seconds`: how long it takes until it has an address."""
        balancer = self.known.get(uid)
        if balancer is None:
            balancer = self.known[uid] = Balancer(time.monotonic() + seconds / self.clock.scale)
        if time.monotonic() < balancer.due:
            return
        if not balancer.address:
            try:
                balancer.address = self.addresses.take()
            except NoAddress as error:
                self.complain(document, balancer, str(error))
                return
        for port, listener in list(balancer.listeners.items()):
            if port not in ports or ports[port].front.tls != listener.front.tls:
                balancer.listeners.pop(port).stop()
        for port, wanted in ports.items():
            if port not in balancer.listeners:
                made = self.listen(document, balancer, port, wanted.front)
                if made is None:
                    continue
                balancer.listeners[port] = made
            balancer.listeners[port].targets, balancer.listeners[port].front = wanted.targets, wanted.front
        if balancer.listeners:
            self.say(document, balancer)

    def listen(self, document: Object, balancer: Balancer, port: int, front: Front) -> Listener | None:
        context = self.context if front.tls else None
        for number in (port, port + HIGH) if port < 1024 else (port,):
            listener = Listener(self.loop, balancer.address, number, front, context)
            try:
                listener.start()
            except PermissionError:
                continue
            except OSError as error:
                self.complain(document, balancer, f"{balancer.address}:{number}: {error}")
                return None
            return listener
        self.complain(document, balancer, f"{balancer.address}: no right to listen at port {port}")
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

    def complain(self, document: Object, balancer: Balancer, why: str) -> None:
        if balancer.trouble != why:
            balancer.trouble = why
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
