"""All nodes' kubelets in one: which pods are whose, and who answers for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from plane.api import Api, Follower
from plane.kubelet import server
from plane.kubelet.clock import Clock
from plane.kubelet.container import Container
from plane.kubelet.events import Recorder
from plane.kubelet.node import Nodes, Size
from plane.kubelet.pod import Node, Pod, Tools
from plane.kubelet.runner import Runner
from plane.kubelet.spec import Spec

HOST = "127.0.0.1"


class Kubelet:
    """Makes `count` nodes, and runs what is bound to them with `runner`."""

    def __init__(
        self,
        api: Api,
        pki: Path,
        runner: Runner,
        *,
        region: str,
        count: int,
        size: Size,
        version: str,
        scale: float,
        tell: Callable[[str], None],
    ):
        self.lock = threading.Lock()
        self.pods: dict[str, Pod] = {}
        self.addresses = 0
        self.server = server.serve(pki, self.find)
        self.nodes = Nodes(api, region, count, size, version, self.server.port)
        self.tools = Tools(api, runner, Clock(scale), Recorder(api, HOST), Spec(api, size.resources()), tell=tell)
        self.follower = Follower(api, "/api/v1/pods", self.changed, self.gone)

    def start(self) -> None:
        """The nodes are there and ready when it returns."""
        self.nodes.start()
        self.follower.start()

    def changed(self, pod: dict[str, Any]) -> None:
        name = pod["spec"].get("nodeName", "")
        if name not in self.nodes.zones:
            return
        uid = pod["metadata"]["uid"]
        with self.lock:
            known = self.pods.get(uid)
            if known is None:
                self.pods[uid] = known = Pod(self.tools, Node(name, HOST), self.address(), pod)
                known.start()
                return
        known.update(pod)

    def gone(self, uid: str) -> None:
        with self.lock:
            known = self.pods.pop(uid, None)
        if known is not None:
            known.vanish()

    def address(self) -> str:
        """One that no other pod has had for long; none on loopback, which endpoints may not be."""
        number = self.addresses % (64 * 250)
        self.addresses += 1
        return f"10.0.{128 + number // 250}.{number % 250 + 2}"

    def find(self, namespace: str, name: str, container: str) -> Container | None:
        with self.lock:
            pods = list(self.pods.values())
        for pod in pods:
            metadata = pod.pod["metadata"]
            if (metadata["namespace"], metadata["name"]) == (namespace, name):
                return pod.container(container)
        return None
