"""What is behind a cluster's API server: its objects, its controllers, its nodes and balancers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, Protocol

from provisioner_sandbox.kube import access, nodes, resources, status
from provisioner_sandbox.kube.access import Gate
from provisioner_sandbox.kube.admission import UNDEAD, Admission
from provisioner_sandbox.kube.api import Api
from provisioner_sandbox.kube.balancer import Balancers, Source
from provisioner_sandbox.kube.balancing import seen
from provisioner_sandbox.kube.balancing.of_ingresses import CLASS_PARAMETERS
from provisioner_sandbox.kube.certificates import Authority, Signer
from provisioner_sandbox.kube.clock import Clock
from provisioner_sandbox.kube.controllers.base import Context, set_condition
from provisioner_sandbox.kube.controllers.manager import Manager
from provisioner_sandbox.kube.in_process import Local
from provisioner_sandbox.kube.kubelet.client import MERGE, STRATEGIC
from provisioner_sandbox.kube.kubelet.events import Recorder
from provisioner_sandbox.kube.kubelet.keeper import Keeper
from provisioner_sandbox.kube.kubelet.local import StoreFollower
from provisioner_sandbox.kube.kubelet.logs import NoLog, lines, log_of
from provisioner_sandbox.kube.kubelet.pod import Node, Tools
from provisioner_sandbox.kube.kubelet.spec import Spec
from provisioner_sandbox.kube.nodes import Nodes
from provisioner_sandbox.kube.processes.addresses import ADDRESSES
from provisioner_sandbox.kube.processes.images import Images
from provisioner_sandbox.kube.processes.runner import ProcessRunner
from provisioner_sandbox.kube.resources import Catalogue
from provisioner_sandbox.kube.server import Server
from provisioner_sandbox.kube.settings import SETTINGS
from provisioner_sandbox.kube.store import Object, Store
from provisioner_sandbox.kube.writer import Options, Writer

# Whose work the balancers do.
CONTROLLER = "aws-load-balancer-controller"
SERVER = Options(manager="kube-apiserver")


class Home(Protocol):
    """What a cluster needs of its plane."""

    region: str
    cluster: str
    services: str
    name: str
    authority: Authority
    server: Server

    def signer(self) -> Signer: ...


class Cluster:
    def __init__(self, plane: Home, guard: Any):
        self.plane = plane
        self.guard = guard
        self.store = Store()
        self.catalogue = Catalogue()
        self.writer = Writer(self.store, Admission(self.store, plane.services))
        gate = Gate(plane.region, plane.cluster, guard, self.store, plane.signer, lambda: SETTINGS.endpoint)
        self.api = Api(self.store, self.catalogue, self.writer, gate)
        self.seed()
        self.nodes = Nodes(self.context(), self.local("eks-node-drain"), plane.region, plane.cluster, guard)
        self.manager = Manager(self.context(), self.nodes, plane.authority.pem.decode())
        self.nodes.start()
        self.manager.start()
        self.play_kubelet(SETTINGS)

    def context(self) -> Context:
        return Context(self.store, self.writer, self.catalogue)

    def local(self, agent: str) -> Local:
        return Local(self.api, agent, self.plane.server.port)

    def play_kubelet(self, settings: Any) -> None:
        api = self.local("kubelet/sandbox")
        clock = Clock()
        folder = settings.pods() / self.plane.name
        spec = Spec(api, {"cpu": "2", "memory": "4Gi"})
        images = Images(settings.images(), self.guard)
        runner = ProcessRunner(
            folder, images, ADDRESSES, api, spec, self.plane.region, lambda: settings.endpoint, self.token
        )
        tools = Tools(
            api, runner, clock, Recorder(api, "sandbox"), spec, tell=lambda text: print(text, file=sys.stderr)
        )
        self.keeper = Keeper(tools, self.node)
        self.follower = StoreFollower(self.store, self.keeper.changed, self.keeper.gone)
        self.follower.start()
        self.api.logs = self.logs
        self.balancers = Balancers(self.source(), ADDRESSES)
        self.balancers.start()

    def source(self) -> Source:
        context = self.context()

        def publish(document: Object, addresses: list[Object]) -> None:
            resource = resources.SERVICES if document["kind"] == "Service" else resources.INGRESSES
            made = {**document.get("status", {}), "loadBalancer": {"ingress": addresses}}
            context.status(resource, document, made)

        def pass_gates(pod: Object, gates: list[str]) -> None:
            conditions = pod.get("status", {}).get("conditions", [])
            for gate in gates:
                conditions = set_condition(conditions, gate, "True", "Healthy", "")
            self.local(CONTROLLER).call(
                "PATCH", f"{resources.PODS.path(pod['metadata']['namespace'], pod['metadata']['name'])}/status",
                {"metadata": {"uid": pod["metadata"]["uid"]}, "status": {"conditions": conditions}}, STRATEGIC,
            )  # fmt: skip

        def patch(document: Object, change: Object, subresource: str) -> None:
            resource = resources.SERVICES if document["kind"] == "Service" else resources.INGRESSES
            metadata = document["metadata"]
            path = resource.path(metadata["namespace"], metadata["name"]) + (f"/{subresource}" if subresource else "")
            self.local(CONTROLLER).call("PATCH", path, change, MERGE)

        def parameters(name: str) -> Object | None:
            resource = self.catalogue.find(*CLASS_PARAMETERS)
            return self.store.get(resource, "", name) if resource else None

        def providers() -> dict[str, str]:
            known = self.store.list(resources.NODES)
            return {one["metadata"]["name"]: one["spec"].get("providerID", "") for one in known}

        plane = self.plane
        return Source(
            seen.Cluster(plane.region, plane.cluster, self.guard, lambda: nodes.vpc_of(plane.region, plane.cluster)),
            lambda: self.store.list(resources.SERVICES), lambda: self.store.list(resources.INGRESSES),
            lambda: self.store.list(resources.INGRESS_CLASSES), lambda: self.store.list(resources.PODS),
            lambda: self.store.list(resources.DEPLOYMENTS),
            providers, parameters, patch, publish, lambda pod: pod["status"]["podIP"],
            lambda *told: context.events.tell(*told, CONTROLLER), pass_gates,
        )  # fmt: skip

    def node(self, name: str) -> Node | None:
        found = self.store.get(resources.NODES, "", name)
        if found is None:
            return None
        addresses = found.get("status", {}).get("addresses") or [{"address": "127.0.0.1"}]
        return Node(name, addresses[0]["address"])

    def token(self, pod: Object, audience: str, seconds: int) -> str:
        """One of the pod's service account."""
        namespace, name = pod["metadata"]["namespace"], pod["spec"].get("serviceAccountName", "default")
        account = self.store.get(resources.SERVICE_ACCOUNTS, namespace, name)
        uid = account["metadata"]["uid"] if account else ""
        audiences = [audience or "https://kubernetes.default.svc"]
        return self.plane.signer().account(namespace, name, uid, audiences, seconds)

    def logs(self, namespace: str, name: str, query: dict[str, str]) -> Iterator[bytes]:
        pod = self.store.get(resources.PODS, namespace, name)
        names = [one["name"] for one in (pod or {}).get("spec", {}).get("containers", [])]
        first = [one["name"] for one in (pod or {}).get("spec", {}).get("initContainers", [])]
        wanted = query.get("container") or ""
        if wanted and wanted not in names + first:
            raise status.bad_request(f"container {wanted} is not valid for pod {name}")
        if not wanted and len(names) > 1:
            raise status.bad_request(
                f"a container name must be specified for pod {name}, choose one of: {names}".replace("'", "").replace(
                    ",", ""
                )
            )
        wanted = wanted or names[0]
        container = self.keeper.find(namespace, name, wanted)
        if container is None:
            raise status.bad_request(f'container "{wanted}" in pod "{name}" is waiting to start: ContainerCreating')
        try:
            log = log_of(container, name, query.get("previous") == "true")
        except NoLog as error:
            raise status.bad_request(str(error)) from None
        return (f"{line}\n".encode() for line in lines(log, query))

    def seed(self) -> None:
        """What every cluster begins with."""
        for name in sorted(UNDEAD):
            self.writer.create(resources.NAMESPACES, "", {"metadata": {"name": name}}, SERVER)
        for name, rules in access.CLUSTER_ROLES.items():
            metadata = {"name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}}
            self.writer.create(resources.CLUSTER_ROLES, "", {"metadata": metadata, "rules": rules}, SERVER)
        network = self.writer.admission.network
        service = {
            "metadata": {"name": "kubernetes", "labels": {"component": "apiserver", "provider": "kubernetes"}},
            "spec": {
                "clusterIP": str(network.network_address + 1),
                "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": self.plane.server.port}],
            },
        }
        self.writer.create(resources.SERVICES, "default", service, SERVER)

    def close(self) -> None:
        """Waits for nothing; what runs is killed."""
        self.nodes.stop()
        self.manager.stop()
        self.store.close()
        self.keeper.stop()
        self.balancers.stop()
