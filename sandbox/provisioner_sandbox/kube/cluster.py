"""What is behind a cluster's API server: its objects, its controllers, its nodes and balancers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from provisioner_sandbox.kube import access, resources
from provisioner_sandbox.kube.access import Gate
from provisioner_sandbox.kube.admission import UNDEAD, Admission
from provisioner_sandbox.kube.api import Api, Local
from provisioner_sandbox.kube.controllers.manager import Manager
from provisioner_sandbox.kube.resources import Catalogue
from provisioner_sandbox.kube.store import Store
from provisioner_sandbox.kube.writer import Options, Writer

if TYPE_CHECKING:
    from provisioner_sandbox.kube.planes import Plane

SERVER = Options(manager="kube-apiserver")


class Cluster:
    def __init__(self, plane: Plane, guard: Any):
        from provisioner_sandbox.kube.planes import SETTINGS

        self.plane = plane
        self.guard = guard
        self.store = Store()
        self.catalogue = Catalogue()
        self.writer = Writer(self.store, Admission(self.store, plane.services))
        gate = Gate(plane.region, plane.cluster, guard, self.store, plane.signer, lambda: SETTINGS.endpoint)
        self.api = Api(self.store, self.catalogue, self.writer, gate)
        self.seed()
        self.manager = Manager(self)
        self.manager.start()

    def local(self, agent: str) -> Local:
        return Local(self.api, agent, self.plane.server.port)

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
        self.store.close()
        self.manager.stop()
