"""The pods of a stand-in's store, as they change."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

from provisioner_sandbox.kube import resources, status
from provisioner_sandbox.kube.store import Store


class StoreFollower:
    def __init__(self, store: Store, changed: Callable[[dict[str, Any]], None], gone: Callable[[str], None]):
        self.store = store
        self.changed = changed
        self.gone = gone
        self.known: set[str] = set()

    def start(self) -> None:
        threading.Thread(target=self.run, name="kube pods", daemon=True).start()

    def run(self) -> None:
        at: int | None = None
        while not self.store.closed:
            with self.store.lock:
                if at is None:
                    at, pods = self.store.version, self.store.list(resources.PODS)
                    present = {pod["metadata"]["uid"] for pod in pods}
                    told = [(pod, False) for pod in pods]
                    gone = self.known - present
                else:
                    try:
                        while not (changes := self.store.since(at)) and not self.store.closed:
                            self.store.changed.wait()
                    except status.Refused:
                        at = None
                        continue
                    told = [(one.document, one.kind == "DELETED") for one in changes if one.key == resources.PODS.key]
                    gone = set()
                    at = changes[-1].version if changes else at
            for uid in gone:
                self.forget(uid)
            for pod, deleted in told:
                uid = pod["metadata"]["uid"]
                if deleted:
                    self.forget(uid)
                    continue
                self.known.add(uid)
                try:
                    self.changed(pod)
                except Exception:
                    traceback.print_exc(file=sys.stderr)

    def forget(self, uid: str) -> None:
        self.known.discard(uid)
        self.gone(uid)
