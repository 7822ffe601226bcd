"""Which pods run on the nodes that a process plays, and who of them is whom."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from provisioner_sandbox.kube.kubelet.container import Container
from provisioner_sandbox.kube.kubelet.pod import Node, Pod, Tools


class Keeper:
    """Hears of pods as they change, and starts those that are on one of `nodes`, which gives a node by its name."""

    def __init__(self, tools: Tools, nodes: Callable[[str], Node | None]):
        self.tools = tools
        self.nodes = nodes
        self.lock = threading.Lock()
        self.pods: dict[str, Pod] = {}

    def changed(self, pod: dict[str, Any]) -> None:
        uid = pod["metadata"]["uid"]
        with self.lock:
            known = self.pods.get(uid)
            if known is None:
                node = self.nodes(pod["spec"].get("nodeName", ""))
                if node is None:
                    return
                self.pods[uid] = known = Pod(self.tools, node, self.tools.runner.address(pod), pod)
                known.start()
                return
        known.update(pod)

    def gone(self, uid: str) -> None:
        with self.lock:
            known = self.pods.pop(uid, None)
        if known is not None:
            known.vanish()

    def find(self, namespace: str, name: str, container: str) -> Container | None:
        """A container of a pod; its only or first one where none is named."""
        with self.lock:
            pods = list(self.pods.values())
        for pod in pods:
            metadata = pod.pod["metadata"]
            if (metadata["namespace"], metadata["name"]) == (namespace, name):
                return pod.container(container) if container else pod.main[0]
        return None

    def stop(self) -> list[Pod]:
        """Lets go of all at once, without a word to the server."""
        with self.lock:
            pods, self.pods = list(self.pods.values()), {}
        for pod in pods:
            pod.vanish()
        return pods
