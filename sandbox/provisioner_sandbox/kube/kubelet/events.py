"""What the kubelet tells of pods, as events."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from typing import Any

from provisioner_sandbox.kube.clock import stamp
from provisioner_sandbox.kube.kubelet.client import MERGE, Api, ApiError


class Recorder:
    """One event that comes again is counted, not repeated. What the server refuses is left out: a namespace that is
    being deleted takes none."""

    def __init__(self, api: Api, host: str):
        self.api = api
        self.host = host
        self.lock = threading.Lock()
        self.known: dict[tuple[str, ...], tuple[str, int]] = {}

    def tell(self, pod: dict[str, Any], kind: str, reason: str, message: str, container: str = "") -> None:
        """`kind` is `Normal` or `Warning`; `container` the field path of one, where it is about one."""
        metadata = pod["metadata"]
        key = (metadata["uid"], kind, reason, message, container)
        with self.lock:
            path, count = self.known.get(key, ("", 0))
        now = stamp(time.time())
        with contextlib.suppress(ApiError, OSError):
            if path:
                self.api.call("PATCH", path, {"count": count + 1, "lastTimestamp": now}, MERGE)
            else:
                base = f"/api/v1/namespaces/{metadata['namespace']}/events"
                event = self.event(pod, kind, reason, message, container, now)
                self.api.call("POST", base, event)
                path = f"{base}/{event['metadata']['name']}"
            with self.lock:
                self.known[key] = (path, count + 1)

    def event(
        self, pod: dict[str, Any], kind: str, reason: str, message: str, container: str, now: str
    ) -> dict[str, Any]:
        metadata = pod["metadata"]
        about = {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
        }
        if container:
            about["fieldPath"] = container
        # A pod's name may be as long as an event's.
        name = f"{metadata['name'][:230]}.{uuid.uuid4().hex[:16]}"
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": metadata["namespace"]},
            "involvedObject": about,
            "type": kind,
            "reason": reason,
            "message": message[:1024],
            "source": {"component": "kubelet", "host": self.host},
            "reportingComponent": "kubelet",
            "reportingInstance": self.host,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }

    def forget(self, uid: str) -> None:
        with self.lock:
            for key in [key for key in self.known if key[0] == uid]:
                del self.known[key]
