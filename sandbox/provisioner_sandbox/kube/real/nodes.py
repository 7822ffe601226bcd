"""A Node for each instance of the node groups, and for each pod of a Fargate profile."""

from __future__ import annotations

import contextlib
import ipaddress
import time
from typing import Any

from provisioner_sandbox.kube.clock import Clock, micro
from provisioner_sandbox.kube.controllers.scheduler import FARGATE_SECONDS, requests
from provisioner_sandbox.kube.kubelet.client import MERGE, ApiError
from provisioner_sandbox.kube.kubelet.pod import Node
from provisioner_sandbox.kube.kubelet.remote import Api
from provisioner_sandbox.kube.nodes import COMPUTE, PROFILE, Machine, document, fargate_size, state
from provisioner_sandbox.kube.processes.images import machine
from provisioner_sandbox.kube.real.objects import Known, create

LEASE_SECONDS, RENEW_SECONDS = 40, 10.0
HOST = "127.0.0.1"


class RealNodes:
    def __init__(self, api: Api, clock: Clock, region: str, pods: Known, kubelet_port: int):
        self.api, self.clock, self.region, self.pods, self.kubelet_port = api, clock, region, pods, kubelet_port
        self.machines: dict[str, Machine] = {}
        # When each pod may get its node of Fargate, by its uid.
        self.waiting: dict[str, float] = {}
        # Nodes of Fargate that had a pod.
        self.used: set[str] = set()
        self.renewed = 0.0

    def find(self, name: str) -> Node | None:
        return Node(name, HOST) if name in self.machines else None

    def keep(self, machines: list[Machine]) -> None:
        names = {one.name for one in machines}
        for one in machines:
            if one.name not in self.machines:
                self.join(one)
        for name, one in list(self.machines.items()):
            fargate = one.labels.get(COMPUTE) == "fargate"
            used = any(pod["spec"].get("nodeName") == name for pod in self.pods.list())
            if (fargate and not used and name in self.used) or (not fargate and name not in names):
                del self.machines[name]
                self.used.discard(name)
                with contextlib.suppress(ApiError):
                    self.api.call("DELETE", f"/api/v1/nodes/{name}")
            elif fargate and used:
                self.used.add(name)
        if time.monotonic() - self.renewed > RENEW_SECONDS:
            self.renewed = time.monotonic()
            for name in self.machines:
                self.lease(name)

    def join(self, one: Machine) -> None:
        made = {"apiVersion": "v1", "kind": "Node", **document(one, self.region)}
        status = state(one)
        # Where the API server finds this kubelet.
        status["addresses"] = [{"type": "InternalIP", "address": HOST}, {"type": "Hostname", "address": one.name}]
        status["daemonEndpoints"] = {"kubeletEndpoint": {"Port": self.kubelet_port}}
        create(self.api, "/api/v1/nodes", {**made, "status": status})
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
            create(
                self.api,
                base,
                {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}, "spec": spec},
            )

    def to_fargate(self, profiles: list[Any]) -> None:
        """Those that a profile selects and that no node has taken first."""
        for pod in self.pods.list():
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
            name = f"fargate-ip-{address}.{self.region}.compute.internal"
            zone = profile.zones[number % len(profile.zones)]
            taints = ((COMPUTE, "fargate", "NoSchedule"),)
            self.join(
                Machine(
                    name, zone, "", machine(), f"aws:///{zone}/{name}", cpu, memory, 1, {COMPUTE: "fargate"}, taints
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
