"""All controllers, in one thread: each looks whenever something has changed, and says when to look again."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

from provisioner_sandbox.kube import status

if TYPE_CHECKING:
    from provisioner_sandbox.kube.cluster import Cluster

# Changes that come together are looked at together.
PAUSE_SECONDS = 0.01
LONGEST_SECONDS = 5.0
Controller = Callable[[], "float | None"]


class Manager:
    def __init__(self, cluster: Cluster):
        from provisioner_sandbox.kube.controllers import (
            budgets,
            definitions,
            deployments,
            endpoints,
            garbage,
            namespaces,
            replicas,
            scheduler,
        )
        from provisioner_sandbox.kube.controllers.base import Context

        self.store = cluster.store
        self.stopped = False
        context = Context(cluster)
        self.controllers: list[Controller] = [
            definitions.Definitions(context).look,
            namespaces.Namespaces(context).look,
            garbage.Garbage(context).look,
            deployments.Deployments(context).look,
            replicas.ReplicaSets(context).look,
            scheduler.Scheduler(context, cluster.nodes).look,
            endpoints.Endpoints(context).look,
            budgets.Budgets(context).look,
            budgets.Quotas(context).look,
        ]

    def start(self) -> None:
        # Once here, so that whoever asks first finds a cluster that is whole.
        self.look()
        threading.Thread(target=self.run, name="kube controllers", daemon=True).start()

    def stop(self) -> None:
        self.stopped = True

    def look(self) -> float:
        due = time.monotonic() + LONGEST_SECONDS
        for controller in self.controllers:
            try:
                when = controller()
            except status.Refused:
                # Somebody was faster, or the namespace is on its way out.
                when = time.monotonic() + 0.1
            except Exception:
                traceback.print_exc(file=sys.stderr)
                when = time.monotonic() + 1.0
            due = min(due, due if when is None else when)
        return due

    def run(self) -> None:
        seen = -1
        due = 0.0
        while not self.stopped:
            with self.store.lock:
                while (
                    self.store.version == seen and time.monotonic() < due and not self.stopped and not self.store.closed
                ):
                    self.store.changed.wait(max(due - time.monotonic(), 0.001))
                if self.store.closed:
                    return
                seen = self.store.version
            due = self.look()
            time.sleep(PAUSE_SECONDS)
