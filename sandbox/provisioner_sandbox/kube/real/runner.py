"""Pods with the addresses of a VPC."""

from __future__ import annotations

import itertools
from typing import Any

from provisioner_sandbox.kube.processes.runner import ProcessRunner

Object = dict[str, Any]


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
