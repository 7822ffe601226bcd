"""What the sandbox does for a cluster of the testbed."""

from __future__ import annotations

import sys
import threading
import traceback
from typing import Any

from provisioner_sandbox.kube import resources
from provisioner_sandbox.kube.balancer import Balancers
from provisioner_sandbox.kube.clock import Clock
from provisioner_sandbox.kube.draining import drain
from provisioner_sandbox.kube.kubelet import server
from provisioner_sandbox.kube.kubelet.client import ApiError
from provisioner_sandbox.kube.kubelet.events import Recorder
from provisioner_sandbox.kube.kubelet.keeper import Keeper
from provisioner_sandbox.kube.kubelet.pod import Tools
from provisioner_sandbox.kube.kubelet.remote import Api, Follower
from provisioner_sandbox.kube.kubelet.spec import Spec
from provisioner_sandbox.kube.nodes import wanted
from provisioner_sandbox.kube.passage import Passage
from provisioner_sandbox.kube.processes.addresses import ADDRESSES
from provisioner_sandbox.kube.processes.images import Images
from provisioner_sandbox.kube.real.balancers import source
from provisioner_sandbox.kube.real.identities import Identities
from provisioner_sandbox.kube.real.nodes import HOST, RealNodes
from provisioner_sandbox.kube.real.objects import Known
from provisioner_sandbox.kube.real.runner import RealRunner

Object = dict[str, Any]
LOOK_SECONDS = 0.5


class World:
    """The kubelet, the nodes, the identities and the load balancers of one cluster."""

    def __init__(self, plane: Any, found: Object, settings: Any):
        self.plane, self.settings = plane, settings
        self.stopped = threading.Event()
        port = int(found["endpoint"].rpartition(":")[2])
        pki = plane.folder / "plane" / "pki"
        self.api = Api(port, pki, "admin", "kubelet/sandbox")
        self.clock = Clock()
        spec = Spec(self.api, {"cpu": "2", "memory": "4Gi"})  # type: ignore[arg-type]
        self.runner = RealRunner(
            settings.pods() / plane.name, Images(settings.images(), settings.guard), ADDRESSES, self.api, spec, plane.region,
            lambda: settings.endpoint, self.token,
        )  # fmt: skip
        tools = Tools(
            self.api,
            self.runner,
            self.clock,
            Recorder(self.api, HOST),
            spec,
            tell=lambda text: print(text, file=sys.stderr),
        )  # type: ignore[arg-type]
        self.keeper = Keeper(tools, lambda name: self.nodes.find(name))
        self.logs = server.serve(pki, self.keeper.find)
        self.pods = Follower(self.api, "/api/v1/pods", self.keeper.changed, self.keeper.gone)
        kinds = (
            resources.SERVICES, resources.INGRESSES, resources.INGRESS_CLASSES, resources.PODS, resources.DEPLOYMENTS,
        )  # fmt: skip
        self.known = {kind: Known(self.api, kind.path()) for kind in kinds}
        self.nodes = RealNodes(self.api, self.clock, plane.region, self.known[resources.PODS], self.logs.port)
        self.identities = Identities(self.api, plane.folder, plane.region, plane.cluster)
        self.balancers = Balancers(
            source(self.api, plane, settings.guard, self.known, self.nodes, self.runner), ADDRESSES
        )
        self.passage = Passage(plane.passage, pki, self.way)

    def start(self) -> None:
        """Nodes and identities are there when it returns."""
        self.passage.start()
        self.look()
        self.pods.start()
        for known in self.known.values():
            known.follower.start()
        self.balancers.start()
        threading.Thread(target=self.run, name="kube world", daemon=True).start()

    def run(self) -> None:
        while not self.stopped.wait(LOOK_SECONDS):
            try:
                self.look()
            except (ApiError, OSError):
                continue
            except Exception:
                if not self.stopped.is_set():
                    traceback.print_exc(file=sys.stderr)

    def close(self) -> None:
        self.stopped.set()
        self.balancers.stop()
        self.passage.stop()
        self.keeper.stop()
        threading.Thread(target=self.logs.shutdown, daemon=True).start()

    def way(self, host: str, port: int) -> str | None:
        return HOST if (host, port) == (HOST, self.logs.port) else self.runner.behind(host)

    def look(self) -> None:
        with self.settings.guard:
            machines, profiles = wanted(self.plane.region, self.plane.cluster)
            text, policies = self.identities.read()
        self.identities.write(text)
        for name, namespace in policies:
            self.identities.bind_policy(name, namespace)
        self.nodes.keep(machines)
        drain(self.api, {machine.name for machine in machines if machine.leaving})
        if profiles:
            self.nodes.to_fargate(profiles)

    def token(self, pod: Object, audience: str, seconds: int) -> str:
        namespace, name = pod["metadata"]["namespace"], pod["spec"].get("serviceAccountName", "default")
        account = self.api.get(f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}")
        uid = account["metadata"]["uid"] if account else ""
        if audience in ("", "https://kubernetes.default.svc"):
            # The API server takes its own alone.
            request = {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenRequest",
                "spec": {"expirationSeconds": max(seconds, 600)},
            }
            made = self.api.call("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token", request)
            return str(made["status"]["token"])
        return self.plane.signer().account(namespace, name, uid, [audience], seconds)
