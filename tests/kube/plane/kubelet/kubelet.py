"""All nodes' kubelets in one: which pods are whose, and who answers for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from plane.kubelet.node import Nodes, Size
from provisioner_sandbox.kube.clock import Clock
from provisioner_sandbox.kube.kubelet import server
from provisioner_sandbox.kube.kubelet.events import Recorder
from provisioner_sandbox.kube.kubelet.keeper import Keeper
from provisioner_sandbox.kube.kubelet.pod import Node, Tools
from provisioner_sandbox.kube.kubelet.remote import Api, Follower
from provisioner_sandbox.kube.kubelet.runner import Runner
from provisioner_sandbox.kube.kubelet.spec import Spec

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
        tools = Tools(api, runner, Clock(scale), Recorder(api, HOST), Spec(api, size.resources()), tell=tell)
        self.keeper = Keeper(tools, self.node)
        self.server = server.serve(pki, self.keeper.find)
        self.nodes = Nodes(api, region, count, size, version, self.server.port)
        self.follower = Follower(api, "/api/v1/pods", self.keeper.changed, self.keeper.gone)

    def start(self) -> None:
        """The nodes are there and ready when it returns."""
        self.nodes.start()
        self.follower.start()

    def node(self, name: str) -> Node | None:
        return Node(name, HOST) if name in self.nodes.zones else None
