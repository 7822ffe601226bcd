"""The nodes: registered, ready, and alive as long as this process is."""

from __future__ import annotations

import platform
import threading
import time
from dataclasses import dataclass
from typing import Any

from provisioner_sandbox.kube.clock import micro, stamp
from provisioner_sandbox.kube.kubelet.remote import MERGE, Api, ApiError

# The kubelet's own: a lease of 40 s, renewed every 10.
LEASE_SECONDS = 40
RENEW_SECONDS = 10.0
RETRY_SECONDS = 0.2
MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True)
class Size:
    """What each node has for pods."""

    cpu: str = "4"
    memory: str = "16Gi"
    pods: int = 58

    def resources(self) -> dict[str, str]:
        return {"cpu": self.cpu, "memory": self.memory, "pods": str(self.pods), "ephemeral-storage": "80Gi"}


class Nodes:
    """`count` nodes over the region's zones a, b and c; the API server finds all their kubelets at `port`."""

    def __init__(self, api: Api, region: str, count: int, size: Size, version: str, port: int):
        self.api = api
        self.region = region
        self.size = size
        self.version = version
        self.port = port
        self.zones = {name_of(region, number): f"{region}{'abc'[number % 3]}" for number in range(count)}

    def start(self) -> None:
        """Registers them; from then on a thread keeps them alive."""
        for name in self.zones:
            self.register(name)
        threading.Thread(target=self.renew, name="leases", daemon=True).start()

    def register(self, name: str) -> None:
        machine = MACHINES.get(platform.machine(), "amd64")
        labels = {
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": machine,
            "node.kubernetes.io/instance-type": "testplane",
            "topology.kubernetes.io/region": self.region,
            "topology.kubernetes.io/zone": self.zones[name],
        }
        node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": labels},
            "spec": {"providerID": f"aws:///{self.zones[name]}/i-{name.encode().hex()[:17]}"},
            "status": self.status(name, machine),
        }
        self.api.call("POST", "/api/v1/nodes", node)
        # Put there at its making, and taken away by the controller manager in its own time: it is ready at once.
        self.api.call("PATCH", f"/api/v1/nodes/{name}", {"spec": {"taints": None}}, MERGE)
        self.lease(name)

    def status(self, name: str, machine: str) -> dict[str, Any]:
        now = stamp(time.time())
        calm = {"status": "False", "lastHeartbeatTime": now, "lastTransitionTime": now}
        pressures = [
            {"type": kind, "reason": f"KubeletHasNo{kind}", **calm} for kind in ("MemoryPressure", "DiskPressure")
        ]
        ready = {**calm, "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is ready"}
        return {
            "capacity": self.size.resources(),
            "allocatable": self.size.resources(),
            "conditions": [*pressures, {"type": "PIDPressure", "reason": "KubeletHasSufficientPID", **calm}, ready],
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": name}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self.port}},
            "nodeInfo": {
                "architecture": machine,
                "operatingSystem": "linux",
                "kubeletVersion": f"v{self.version}",
                "kubeProxyVersion": "",
                "containerRuntimeVersion": "testplane://1",
                "osImage": "testplane",
                "kernelVersion": platform.release(),
                "machineID": name,
                "systemUUID": name,
                "bootID": name,
            },
        }

    def lease(self, name: str) -> None:
        """Made, or renewed."""
        spec = {"holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": micro(time.time())}
        base = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
        try:
            self.api.call("PATCH", f"{base}/{name}", {"spec": spec}, MERGE)
        except ApiError as error:
            if error.code != 404:
                raise
            lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}, "spec": spec}
            self.api.call("POST", base, lease)

    def renew(self) -> None:
        while True:
            time.sleep(RENEW_SECONDS)
            for name in self.zones:
                for _ in range(int(RENEW_SECONDS / RETRY_SECONDS)):
                    try:
                        self.lease(name)
                        break
                    except (ApiError, OSError):
                        time.sleep(RETRY_SECONDS)


def name_of(region: str, number: int) -> str:
    """As EKS names its nodes, by an address of the VPC."""
    return f"ip-10-0-{number // 200}-{number % 200 + 10}.{region}.compute.internal"
