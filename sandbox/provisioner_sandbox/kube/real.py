"""A real API server for a cluster, from the testbed, instead of the stand-in. The sandbox is its kubelet and its load
balancer controller, and authorizes its callers.

Here a pod has two addresses: one of the VPC, which Kubernetes knows (it takes no loopback address for an endpoint), and
the one at which its process listens.
"""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from provisioner_sandbox.kube import access, resources
from provisioner_sandbox.kube.balancer import Balancers, Source
from provisioner_sandbox.kube.balancing import seen
from provisioner_sandbox.kube.balancing.of_ingresses import CLASS_PARAMETERS
from provisioner_sandbox.kube.certificates import Signer
from provisioner_sandbox.kube.clock import Clock, micro
from provisioner_sandbox.kube.controllers.base import set_condition
from provisioner_sandbox.kube.controllers.scheduler import FARGATE_SECONDS, requests
from provisioner_sandbox.kube.draining import drain
from provisioner_sandbox.kube.kubelet import server
from provisioner_sandbox.kube.kubelet.client import MERGE, STRATEGIC, ApiError
from provisioner_sandbox.kube.kubelet.events import Recorder
from provisioner_sandbox.kube.kubelet.keeper import Keeper
from provisioner_sandbox.kube.kubelet.pod import Node, Tools
from provisioner_sandbox.kube.kubelet.remote import Api, Follower
from provisioner_sandbox.kube.kubelet.spec import Spec
from provisioner_sandbox.kube.nodes import FARGATE, PROFILE, Machine, document, fargate_size, state, vpc_of, wanted
from provisioner_sandbox.kube.passage import Passage
from provisioner_sandbox.kube.processes.addresses import ADDRESSES
from provisioner_sandbox.kube.processes.images import Images, machine
from provisioner_sandbox.kube.processes.runner import ProcessRunner

Object = dict[str, Any]
LOOK_SECONDS = 0.5
LEASE_SECONDS, RENEW_SECONDS = 40, 10.0
HOST = "127.0.0.1"
# Groups of Kubernetes that stand for access policies, with the cluster as their scope or a namespace.
GROUP = "sandbox:access"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
OWN_ROLES = {
    "AmazonEKSClusterAdminPolicy": "cluster-admin",
    "AmazonEKSAdminPolicy": "admin",
    "AmazonEKSEditPolicy": "edit",
    "AmazonEKSViewPolicy": "view",
}


class RealRunner(ProcessRunner):
    def __init__(self, *given: Any):
        super().__init__(*given)
        self.numbers = itertools.count()
        self.shown: dict[str, str] = {}

    def address(self, pod: Object) -> str:
        """The one that Kubernetes is told."""
        super().address(pod)
        uid = pod["metadata"]["uid"]
        if uid not in self.shown:
            number = next(self.numbers) % (64 * 250)
            self.shown[uid] = f"10.0.{128 + number // 250}.{number % 250 + 2}"
        return self.shown[uid]

    def listens(self, pod: Object) -> str:
        place = self.places.get(pod["metadata"]["uid"])
        return place.address if place else ""

    def behind(self, address: str) -> str | None:
        """Where the process of the pod listens that Kubernetes knows by this address."""
        uid = next((uid for uid, shown in list(self.shown.items()) if shown == address), "")
        place = self.places.get(uid)
        return place.address or None if place else None

    def release(self, pod: Object) -> None:
        super().release(pod)
        self.shown.pop(pod["metadata"]["uid"], None)


class Known:
    """All objects of a path, as they change."""

    def __init__(self, api: Api, path: str):
        self.things: dict[str, Object] = {}
        self.follower = Follower(api, path, self.changed, lambda uid: self.things.pop(uid, None) and None)

    def changed(self, thing: Object) -> None:
        self.things[thing["metadata"]["uid"]] = thing

    def list(self) -> list[Object]:
        return list(self.things.values())


class RealPlane:
    """As `planes.Plane`, with a testbed's cluster behind it. Its endpoint is known when `ready` is true."""

    def __init__(self, region: str, cluster: str, name: str, issuer: str, settings: Any):
        self.region, self.cluster, self.name, self.issuer, self.settings = region, cluster, name, issuer, settings
        self.folder: Path = settings.place() / "planes" / name
        self.folder.mkdir(parents=True, mode=0o700)
        self.lock = threading.Lock()
        self.made_signer: Signer | None = None
        self.trouble = ""
        self.endpoint = self.authority_data = ""
        self.world: World | None = None
        self.closed = False
        self.passage = socket.create_server((HOST, 0))
        self.process = self.launch()
        threading.Thread(target=self.wait, name=f"testbed {cluster}", daemon=True).start()

    def launch(self) -> subprocess.Popen[bytes]:
        (self.folder / "identities.json").write_text('{"credentials": {}, "access": {}}')
        command = [
            sys.executable, "-B", str(self.settings.testbed), "run", "--dir", str(self.folder / "plane"), "--cluster", self.cluster,
            "--region", self.region, "--identities", str(self.folder / "identities.json"), "--sts", self.settings.endpoint,
            "--nodes", "0", "--egress", f"{HOST}:{self.passage.getsockname()[1]}",
        ]  # fmt: skip
        with (self.folder / "log").open("wb") as log:
            # Its standard input is its lifeline: it ends with this process, however this one ends.
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env=os.environ,
            )

    def wait(self) -> None:
        line = self.process.stdout.readline() if self.process.stdout else b""
        try:
            found = json.loads(line)
            world = World(self, found, self.settings)
            world.start()
        except Exception as error:
            self.passage.close()
            if self.closed:
                return
            said = (self.folder / "log").read_text(errors="replace").strip().splitlines()
            self.trouble = f"the Kubernetes control plane did not start: {said[-1] if said else repr(error)}"
            traceback.print_exc(file=sys.stderr)
            return
        with self.lock:
            if self.closed:
                world.close()
                return
            self.world = world
            self.authority_data = found["caData"]
            self.endpoint = found["endpoint"]

    @property
    def ready(self) -> bool:
        return bool(self.endpoint)

    def signer(self) -> Signer:
        with self.lock:
            if self.made_signer is None:
                self.made_signer = Signer(self.issuer)
            return self.made_signer

    def open(self) -> None:
        """It answers from the moment that it is told of."""

    def close(self) -> None:
        with self.lock:
            self.closed = True
            world, self.world = self.world, None
        if world is not None:
            world.close()
        if self.process.stdin:
            with contextlib.suppress(OSError):
                self.process.stdin.close()


class World:
    """What the sandbox does for a cluster of the testbed."""

    def __init__(self, plane: RealPlane, found: Object, settings: Any):
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
        self.keeper = Keeper(tools, self.node)
        self.logs = server.serve(pki, self.keeper.find)
        self.pods = Follower(self.api, "/api/v1/pods", self.keeper.changed, self.keeper.gone)
        self.machines: dict[str, Machine] = {}
        self.waiting: dict[str, float] = {}
        self.identities = ""
        self.bound: set[str] = set()
        self.renewed = 0.0
        kinds = (
            resources.SERVICES, resources.INGRESSES, resources.INGRESS_CLASSES, resources.PODS, resources.DEPLOYMENTS,
        )  # fmt: skip
        self.known = {kind: Known(self.api, kind.path()) for kind in kinds}
        self.balancers = Balancers(self.source(), ADDRESSES)
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
            text, policies = self.who()
        if text != self.identities:
            # By rename: it is read at each review.
            partial = self.plane.folder / "identities.partial"
            partial.write_text(text)
            partial.replace(self.plane.folder / "identities.json")
            self.identities = text
        for name, namespace in policies:
            self.bind_policy(name, namespace)
        self.keep_nodes(machines)
        drain(self.api, {machine.name for machine in machines if machine.leaving})
        if profiles:
            self.to_fargate(profiles)

    # --- who ---------------------------------------------------------------------------------------------------------

    def who(self) -> tuple[str, set[tuple[str, str]]]:
        """The identities of the testbed's webhook, and the policies with their namespaces that groups stand for."""
        from provisioner_sandbox.services.eks.state import eks_state

        cluster = eks_state(self.plane.region).clusters.get(self.plane.cluster)
        entries: Object = {}
        used: set[tuple[str, str]] = set()
        for principal, entry in cluster.entries.items() if cluster else ():
            if entry.doc["type"] not in ("STANDARD", "EC2"):
                continue
            groups = list(entry.doc["kubernetesGroups"])
            for arn, policy in entry.policies.items():
                name = arn.removeprefix(access.POLICY)
                scope = policy["accessScope"]
                for namespace in scope["namespaces"] if scope["type"] == "namespace" else [""]:
                    used.add((name, namespace))
                    groups.append(f"{GROUP}:{name}:{namespace}")
            username = entry.doc["username"]
            # Sessions are told apart by their ARNs, which the webhook takes where no name is given.
            entries[principal] = {"groups": groups, **({} if "{{" in username else {"username": username})}
        if cluster and cluster.doc["accessConfig"]["authenticationMode"] == "CONFIG_MAP" and cluster.creator_is_admin:
            entries[cluster.creator] = {"groups": [access.MASTERS]}
        known = access.credentials(self.plane.region)
        return json.dumps({"credentials": known, "access": entries}, sort_keys=True), used

    def bind_policy(self, name: str, namespace: str) -> None:
        group = f"{GROUP}:{name}:{namespace}"
        if group in self.bound or name not in access.POLICIES:
            return
        role = OWN_ROLES.get(name) or f"sandbox-{name.lower()}"
        if name not in OWN_ROLES:
            rules = {"metadata": {"name": role}, "rules": access.POLICIES[name]}
            self.make(
                f"{RBAC}/clusterroles", {**rules, "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole"}
            )
        kind = "RoleBinding" if namespace else "ClusterRoleBinding"
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": kind,
            "metadata": {"name": f"sandbox-access-{name.lower()}"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}],
        }
        where = f"namespaces/{namespace}/rolebindings" if namespace else "clusterrolebindings"
        try:
            self.make(f"{RBAC}/{where}", binding)
        except ApiError as error:
            # The namespace may come later.
            if error.code != 404:
                raise
            return
        if not namespace:
            self.bound.add(group)

    def make(self, path: str, thing: Object) -> None:
        try:
            self.api.call("POST", path, thing)
        except ApiError as error:
            if error.code != 409:
                raise

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

    # --- nodes -------------------------------------------------------------------------------------------------------

    def node(self, name: str) -> Node | None:
        return Node(name, HOST) if name in self.machines else None

    def keep_nodes(self, machines: list[Machine]) -> None:
        names = {one.name for one in machines}
        for one in machines:
            if one.name not in self.machines:
                self.join(one)
        for name, one in list(self.machines.items()):
            fargate = FARGATE in one.labels
            used = any(pod["spec"].get("nodeName") == name for pod in self.known[resources.PODS].list())
            if (fargate and not used and name in self.bound) or (not fargate and name not in names):
                del self.machines[name]
                self.bound.discard(name)
                with contextlib.suppress(ApiError):
                    self.api.call("DELETE", f"/api/v1/nodes/{name}")
            elif fargate and used:
                self.bound.add(name)
        if time.monotonic() - self.renewed > RENEW_SECONDS:
            self.renewed = time.monotonic()
            for name in self.machines:
                self.lease(name)

    def join(self, one: Machine) -> None:
        made = {"apiVersion": "v1", "kind": "Node", **document(one, self.plane.region)}
        status = state(one)
        # Where the API server finds this kubelet.
        status["addresses"] = [{"type": "InternalIP", "address": HOST}, {"type": "Hostname", "address": one.name}]
        status["daemonEndpoints"] = {"kubeletEndpoint": {"Port": self.logs.port}}
        self.make("/api/v1/nodes", {**made, "status": status})
        # Put there at its making, and taken away by the controller manager in its own time: it is ready at once.
        self.api.call("PATCH", f"/api/v1/nodes/{one.name}", {"spec": {"taints": made["spec"].get("taints")}}, MERGE)
        self.machines[one.name] = one
        self.lease(one.name)

    def lease(self, name: str) -> None:
        spec = {"holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": micro(time.time())}
        base = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
        try:
            self.api.call("PATCH", f"{base}/{name}", {"spec": spec}, MERGE)
        except ApiError as error:
            if error.code != 404:
                raise
            self.make(
                base,
                {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}, "spec": spec},
            )

    def to_fargate(self, profiles: list[Any]) -> None:
        """Those that a profile selects and that no node has taken first."""
        for pod in self.known[resources.PODS].list():
            metadata = pod["metadata"]
            if pod["spec"].get("nodeName") or metadata.get("deletionTimestamp"):
                continue
            profile = next((one for one in profiles if one.takes(pod)), None)
            ready = self.waiting.setdefault(metadata["uid"], time.monotonic() + FARGATE_SECONDS / self.clock.scale)
            if profile is None or time.monotonic() < ready:
                continue
            asked = requests(pod)
            cpu, memory = fargate_size(float(asked["cpu"]), float(asked["memory"]))
            number = int(metadata["uid"].replace("-", "")[:4], 16)
            address = str(ipaddress.ip_address(int(ipaddress.ip_address("10.0.0.0")) + number)).replace(".", "-")
            name = f"fargate-ip-{address}.{self.plane.region}.compute.internal"
            zone = profile.zones[number % len(profile.zones)]
            taints = ((FARGATE, "fargate", "NoSchedule"),)
            self.join(
                Machine(
                    name, zone, "", machine(), f"aws:///{zone}/{name}", cpu, memory, 1, {FARGATE: "fargate"}, taints
                )
            )
            path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
            self.api.call("PATCH", path, {"metadata": {"labels": {PROFILE: profile.name}}}, MERGE)
            binding = {
                "apiVersion": "v1",
                "kind": "Binding",
                "metadata": {"name": metadata["name"]},
                "target": {"apiVersion": "v1", "kind": "Node", "name": name},
            }
            with contextlib.suppress(ApiError):
                self.api.call("POST", f"{path}/binding", binding)

    # --- balancers ---------------------------------------------------------------------------------------------------

    def source(self) -> Source:
        recorder = Recorder(self.api, "aws-load-balancer-controller")

        def path(thing: Object) -> str:
            kind = (
                resources.INGRESSES
                if "rules" in thing["spec"] or "defaultBackend" in thing["spec"]
                else resources.SERVICES
            )
            return kind.path(thing["metadata"]["namespace"], thing["metadata"]["name"])

        def publish(thing: Object, addresses: list[Object]) -> None:
            # A real API server takes an address for a name as little as DNS does.
            made = [
                {"ip": one["hostname"], **{key: value for key, value in one.items() if key != "hostname"}}
                for one in addresses
            ]
            if thing.get("status", {}).get("loadBalancer", {}).get("ingress") != made:
                with contextlib.suppress(ApiError):
                    self.api.call(
                        "PATCH", f"{path(thing)}/status", {"status": {"loadBalancer": {"ingress": made}}}, MERGE
                    )

        def pass_gates(pod: Object, gates: list[str]) -> None:
            conditions: list[Object] = []
            for gate in gates:
                conditions = set_condition(conditions, gate, "True", "Healthy", "")
            where = resources.PODS.path(pod["metadata"]["namespace"], pod["metadata"]["name"])
            with contextlib.suppress(ApiError):
                self.api.call("PATCH", f"{where}/status", {"status": {"conditions": conditions}}, STRATEGIC)

        def tell(thing: Object, kind: str, reason: str, message: str) -> None:
            if kind == "Warning":
                recorder.tell(thing, kind, reason, message)

        def patch(thing: Object, change: Object, subresource: str) -> None:
            try:
                self.api.call("PATCH", path(thing) + (f"/{subresource}" if subresource else ""), change, MERGE)
            except OSError as error:
                raise ApiError(503, "ServiceUnavailable", str(error)) from None

        def parameters(name: str) -> Object | None:
            group, version, plural = CLASS_PARAMETERS
            return self.api.get(f"/apis/{group}/{version}/{plural}/{name}")

        plane, known = self.plane, self.known
        return Source(
            seen.Cluster(
                plane.region, plane.cluster, self.settings.guard, lambda: vpc_of(plane.region, plane.cluster)
            ),
            known[resources.SERVICES].list, known[resources.INGRESSES].list, known[resources.INGRESS_CLASSES].list,
            known[resources.PODS].list, known[resources.DEPLOYMENTS].list,
            lambda: {name: machine.provider for name, machine in self.machines.items()}, parameters, patch, publish,
            self.runner.listens, tell, pass_gates,
        )  # fmt: skip
