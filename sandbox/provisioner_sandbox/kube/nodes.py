"""Nodes: one for each instance of the cluster's node groups, and one for each pod on Fargate."""

from __future__ import annotations

import hashlib
import ipaddress
import sys
import threading
import traceback
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from provisioner_sandbox.kube import resources, status
from provisioner_sandbox.kube.controllers.base import Context
from provisioner_sandbox.kube.draining import drain
from provisioner_sandbox.kube.kubelet.client import Api
from provisioner_sandbox.kube.managed import stamp
from provisioner_sandbox.kube.schema import version
from provisioner_sandbox.kube.store import Object

LOOK_SECONDS = 0.5
EFFECTS = {"NO_SCHEDULE": "NoSchedule", "NO_EXECUTE": "NoExecute", "PREFER_NO_SCHEDULE": "PreferNoSchedule"}
COMPUTE = "eks.amazonaws.com/compute-type"
PROFILE = "eks.amazonaws.com/fargate-profile"
# Sizes of Fargate, vCPU in thousandths and GiB: https://docs.aws.amazon.com/eks/latest/userguide/fargate-pod-configuration.html
FARGATE_SIZES = {
    250: [0.5, 1, 2],
    500: [1, 2, 3, 4],
    1000: range(2, 9),
    2000: range(4, 17),
    4000: range(8, 31),
    8000: range(16, 61, 4),
    16000: range(32, 121, 8),
}
# What Fargate keeps for itself of the memory, MiB.
FARGATE_OWN = 256


@dataclass(frozen=True)
class Machine:
    name: str
    zone: str
    kind: str
    arch: str
    provider: str
    cpu: int
    memory: int
    pods: int
    labels: dict[str, str] = field(default_factory=dict)
    taints: tuple[tuple[str, str, str], ...] = ()
    # Its node group is being deleted.
    leaving: bool = False
    # Where its name does not say it.
    address: str = ""


@dataclass(frozen=True)
class Profile:
    name: str
    selectors: list[dict[str, Any]]
    zones: list[str]

    def takes(self, pod: Object) -> bool:
        labels = pod["metadata"].get("labels") or {}
        return any(
            fnmatchcase(pod["metadata"]["namespace"], one["namespace"])
            and all(fnmatchcase(labels.get(key, "\0"), value) for key, value in (one.get("labels") or {}).items())
            for one in self.selectors
        )


def size_of(kind: str) -> tuple[int, int, int, str]:
    """vCPUs in thousandths, memory in MiB and pods of an instance type, and its architecture."""
    from moto.ec2.models.instance_types import INSTANCE_TYPES

    known = INSTANCE_TYPES.get(kind) or {}
    cpus = known.get("VCpuInfo", {}).get("DefaultVCpus", 2)
    memory = known.get("MemoryInfo", {}).get("SizeInMiB", 4096)
    network = known.get("NetworkInfo", {})
    # https://docs.aws.amazon.com/eks/latest/userguide/choosing-instance-type.html
    pods = network.get("MaximumNetworkInterfaces", 3) * (network.get("Ipv4AddressesPerInterface", 6) - 1) + 2
    machines = known.get("ProcessorInfo", {}).get("SupportedArchitectures", ["x86_64"])
    return cpus * 1000, memory, pods, "arm64" if "arm64" in machines else "amd64"


def wanted(region: str, name: str) -> tuple[list[Machine], list[Profile]]:
    """As EKS and EC2 have them. The lock over AWS's state is the caller's."""
    from provisioner_sandbox.backend import backend
    from provisioner_sandbox.services.eks import auto_fleet, fleet
    from provisioner_sandbox.services.eks.state import eks_state, settle

    settle(region)
    cluster = eks_state(region).clusters.get(name)
    if cluster is None:
        return [], []
    machines, profiles = [], []
    ec2 = backend("ec2", region)
    for group in cluster.nodegroups.values():
        for instance in fleet.instances(region, group):
            if instance.id not in group.joined:
                continue
            cpu, memory, pods, arch = size_of(instance.instance_type)
            zone = ec2.get_subnet(instance.subnet_id).availability_zone
            dashed = instance.private_ip.replace(".", "-")
            labels = {
                "eks.amazonaws.com/nodegroup": group.doc["nodegroupName"],
                "eks.amazonaws.com/capacityType": group.doc.get("capacityType", "ON_DEMAND"),
                **(group.doc.get("labels") or {}),
            }
            taints = tuple(
                (one["key"], one.get("value", ""), EFFECTS[one["effect"]]) for one in group.doc.get("taints") or []
            )
            machines.append(
                Machine(
                    f"ip-{dashed}.{region}.compute.internal",
                    zone,
                    instance.instance_type,
                    arch,
                    f"aws:///{zone}/{instance.id}",
                    cpu,
                    memory,
                    pods,
                    labels,
                    taints,
                    group.status == "DELETING",
                )  # fmt: skip
            )
    machines += [auto_machine(instance) for instance in auto_fleet.instances(region, name)]
    for profile in cluster.profiles.values():
        if profile.status == "ACTIVE":
            zones = sorted({ec2.get_subnet(subnet).availability_zone for subnet in profile.doc["subnets"]})
            profiles.append(Profile(profile.doc["fargateProfileName"], profile.doc["selectors"], zones))
    return machines, profiles


def auto_machine(instance: Any) -> Machine:
    """A node of Auto Mode, whose name is its instance's id."""
    made = instance.sandbox_node
    cpu, memory, pods, arch = size_of(made.kind)
    return Machine(
        instance.id,
        made.zone,
        made.kind,
        arch,
        f"aws:///{made.zone}/{instance.id}",
        cpu,
        memory,
        pods,
        made.labels,
        made.taints,
        address=instance.private_ip,
    )


def vpc_of(region: str, name: str) -> str:
    """Where a cluster's nodes are. The lock over AWS's state is the caller's."""
    from provisioner_sandbox.services.eks.state import eks_state

    cluster = eks_state(region).clusters.get(name)
    return cluster.doc["resourcesVpcConfig"]["vpcId"] if cluster else ""


def document(machine: Machine, region: str) -> Object:
    own = {
        "kubernetes.io/hostname": machine.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": machine.arch,
        "node.kubernetes.io/instance-type": machine.kind,
        "topology.kubernetes.io/region": region,
        "topology.kubernetes.io/zone": machine.zone,
    }
    spec: Object = {"providerID": machine.provider}
    if machine.taints:
        spec["taints"] = [
            {"key": key, "effect": effect, **({"value": value} if value else {})}
            for key, value, effect in machine.taints
        ]
    return {"metadata": {"name": machine.name, "labels": {**own, **machine.labels}}, "spec": spec}


def state(machine: Machine) -> Object:
    now = stamp()
    calm = {"status": "False", "lastHeartbeatTime": now, "lastTransitionTime": now}
    conditions = [
        {"type": kind, "reason": f"KubeletHas{reason}", **calm}
        for kind, reason in (
            ("MemoryPressure", "SufficientMemory"),
            ("DiskPressure", "NoDiskPressure"),
            ("PIDPressure", "SufficientPID"),
        )
    ]
    ready = {"type": "Ready", "reason": "KubeletReady", "message": "kubelet is posting ready status"}
    conditions.append({**calm, **ready, "status": "True"})
    # What a node keeps for itself: https://docs.aws.amazon.com/eks/latest/userguide/node-config.html
    is_fargate = machine.labels.get(COMPUTE) == "fargate"
    kept = 0 if is_fargate else 100 + 255 + 11 * machine.pods
    whole = {
        "cpu": f"{machine.cpu}m" if machine.cpu % 1000 else str(machine.cpu // 1000),
        "memory": f"{machine.memory}Mi",
    }
    cpu = machine.cpu if is_fargate else machine.cpu - 70
    usable = {"cpu": f"{cpu}m", "memory": f"{max(machine.memory - kept, 0)}Mi"}
    named = machine.name.removeprefix("fargate-").removeprefix("ip-").partition(".")[0].replace("-", ".")
    address = machine.address or named
    return {
        "capacity": {**whole, "pods": str(machine.pods)},
        "allocatable": {**usable, "pods": str(machine.pods)},
        "conditions": conditions,
        "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": machine.name}],
        "nodeInfo": {
            "architecture": machine.arch, "operatingSystem": "linux", "kubeletVersion": f"{version()}-sandbox",
            "kubeProxyVersion": "", "containerRuntimeVersion": "sandbox://1", "osImage": "the sandbox", "kernelVersion": "",
            "machineID": machine.provider, "systemUUID": machine.provider, "bootID": machine.provider,
        },
    }  # fmt: skip


class Nodes:
    """Keeps the cluster's nodes as AWS has them."""

    def __init__(self, context: Context, api: Api, region: str, cluster: str, guard: Any):
        self.context = context
        self.api = api
        self.region = region
        self.cluster = cluster
        self.guard = guard
        self.profiles: list[Profile] = []
        # What Auto Mode has in this cluster; None while it is off.
        self.auto: Any = None
        self.stopped = threading.Event()

    def start(self) -> None:
        self.look()
        threading.Thread(target=self.run, name="kube nodes", daemon=True).start()

    def stop(self) -> None:
        self.stopped.set()

    def run(self) -> None:
        while not self.stopped.wait(LOOK_SECONDS):
            try:
                self.look()
            except status.Refused:
                continue
            except Exception:
                if not self.stopped.is_set():
                    traceback.print_exc(file=sys.stderr)

    def look(self) -> None:
        from provisioner_sandbox.services.eks import auto_fleet

        with self.guard:
            if self.stopped.is_set():
                return
            machines, self.profiles = wanted(self.region, self.cluster)
            self.auto = auto_fleet.settings(self.region, self.cluster)
        there = {node["metadata"]["name"]: node for node in self.context.list(resources.NODES)}
        names = {machine.name for machine in machines}
        for machine in machines:
            if machine.name not in there:
                self.join(machine)
        pods = self.context.list(resources.PODS)
        used = {pod["spec"].get("nodeName") for pod in pods}
        for name, node in there.items():
            fargate = node["metadata"].get("labels", {}).get(COMPUTE) == "fargate"
            if (fargate and name not in used) or (not fargate and name not in names):
                self.context.delete(resources.NODES, node)
                # What ran there is gone with it.
                for pod in pods:
                    if pod["spec"].get("nodeName") == name:
                        self.context.delete(resources.PODS, pod, gracePeriodSeconds=0)
        drain(self.api, {machine.name for machine in machines if machine.leaving})

    def join(self, machine: Machine) -> None:
        made = self.context.create(resources.NODES, document(machine, self.region))
        self.context.status(resources.NODES, made, state(machine))

    def fargate(self, pod: Object, profile: Profile, cpu: int, memory: int) -> str:
        """A node for this pod alone; its name."""
        digest = hashlib.sha256(pod["metadata"]["uid"].encode()).digest()
        address = str(ipaddress.ip_address(int(ipaddress.ip_address("10.0.0.0")) + int.from_bytes(digest[:2], "big")))
        zone = profile.zones[digest[2] % len(profile.zones)]
        name = f"fargate-ip-{address.replace('.', '-')}.{self.region}.compute.internal"
        if self.context.store.get(resources.NODES, "", name) is None:
            from provisioner_sandbox.kube.processes.images import machine

            arch = machine()
            labels = {COMPUTE: "fargate"}
            taints = ((COMPUTE, "fargate", "NoSchedule"),)
            provider = f"aws:///{zone}/{digest.hex()[:32]}/fargate-{name.removeprefix('fargate-')}"
            self.join(Machine(name, zone, "", arch, provider, cpu, memory, 1, labels, taints))
        return name


def fargate_size(cpu: float, memory: float) -> tuple[int, int]:
    """The smallest that has room: thousandths of a vCPU, MiB. What asks for nothing gets the smallest of all."""
    needed = memory / 2**20 + FARGATE_OWN
    for size, amounts in FARGATE_SIZES.items():
        for amount in amounts:
            if cpu * 1000 <= size and needed <= amount * 1024:
                return size, int(amount * 1024)
    return 16000, 120 * 1024
