"""All controllers, in one thread: each looks whenever something has changed, and says when to look again."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable

from provisioner_sandbox.kube import auto_nodes, status
from provisioner_sandbox.kube.controllers import (
    budgets,
    cron_jobs,
    definitions,
    deployments,
    endpoints,
    garbage,
    jobs,
    namespaces,
    replicas,
    scheduler,
    volumes,
)
from provisioner_sandbox.kube.controllers.base import Context
from provisioner_sandbox.kube.disks import Disks
from provisioner_sandbox.kube.nodes import Nodes

# Changes that come together are looked at together.
PAUSE_SECONDS = 0.01
LONGEST_SECONDS = 5.0
Controller = Callable[[], "float | None"]


class Manager:
    def __init__(self, context: Context, nodes: Nodes, authority: str):
        self.store = context.store
        self.stopped = False
        self.controllers: list[Controller] = [
            definitions.Definitions(context).look,
            namespaces.Namespaces(context, authority).look,
            garbage.Garbage(context).look,
            deployments.Deployments(context).look,
            replicas.ReplicaSets(context).look,
            cron_jobs.CronJobs(context).look,
            jobs.Jobs(context).look,
            scheduler.Scheduler(context, nodes).look,
            auto_nodes.AutoNodes(context, nodes).look,
            endpoints.Endpoints(context).look,
            volumes.Volumes(context, Disks(nodes.region, nodes.cluster, nodes.guard, lambda: self.stopped)).look,
            budgets.Budgets(context).look,
            budgets.Quotas(context).look,
        ]

    def start(self) -> None:
        # Once here, so that the first caller finds a complete cluster.
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
                # Another client was faster, or the namespace is being deleted.
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
