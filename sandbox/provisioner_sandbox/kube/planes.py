"""One Kubernetes for each EKS cluster: from the cluster's creation to its deletion, or the sandbox's reset.

Its port and authority exist from the start, so that EKS can return them when the cluster is active. Everything else is
created on the first request.
"""

from __future__ import annotations

import threading
import uuid
from typing import Any

from provisioner_sandbox.kube.certificates import Authority, Signer
from provisioner_sandbox.kube.server import HOST, Server
from provisioner_sandbox.kube.settings import SETTINGS

PLANES: dict[tuple[str, str], Any] = {}


class Plane:
    def __init__(self, region: str, cluster: str, services: str, issuer: str):
        self.region = region
        self.cluster = cluster
        self.services = services
        self.issuer = issuer
        self.name = f"{region}-{cluster}-{uuid.uuid4().hex[:8]}"
        self.authority = Authority()
        self.lock = threading.Lock()
        self.making = threading.Lock()
        self.world: Any = None
        self.closed = False
        self.made_signer: Signer | None = None
        self.server = Server(self.authority, self.begin)
        self.endpoint = f"https://{HOST}:{self.server.port}"
        self.authority_data = self.authority.data
        self.ready = True
        self.trouble = ""

    def signer(self) -> Signer:
        with self.lock:
            if self.made_signer is None:
                self.made_signer = Signer(self.issuer)
            return self.made_signer

    def open(self) -> None:
        if not self.server.opened:
            self.server.open()

    def begin(self) -> Any:
        """The API, with all that lives behind it."""
        # Not under `lock`: `close` takes it while it holds the lock over AWS's state, which the creation needs.
        with self.making:
            if self.world is None and not self.closed:
                # This takes much memory; clusters without requests do not need it.
                from provisioner_sandbox.kube.cluster import Cluster

                made = Cluster(self, SETTINGS.guard)
                with self.lock:
                    self.world = None if self.closed else made
                if self.world is None:
                    made.close()
            world = self.world
        if world is None:
            raise ConnectionError("the cluster was deleted")
        return world.api

    def close(self) -> None:
        """Waits for nothing: the caller that deletes a cluster holds the lock that its threads may need."""
        with self.lock:
            self.closed = True
            world, self.world = self.world, None
        self.server.close()
        if world is not None:
            world.close()


def make(region: str, cluster: str, services: str, issuer: str) -> None:
    close(region, cluster)
    if SETTINGS.testbed is None:
        PLANES[region, cluster] = Plane(region, cluster, services, issuer)
        return
    from provisioner_sandbox.kube.real.plane import RealPlane

    name = f"{region}-{cluster}-{uuid.uuid4().hex[:8]}"
    PLANES[region, cluster] = RealPlane(region, cluster, name, issuer, SETTINGS)


def find(region: str, cluster: str) -> Any:
    """A `Plane`, or a `RealPlane`."""
    return PLANES.get((region, cluster))


def claims(token: str) -> dict[str, Any] | None:
    """What a service account's token says, of whichever cluster; `None` where no cluster made it."""
    for plane in list(PLANES.values()):
        if plane.made_signer is not None and (found := plane.made_signer.claims(token)) is not None:
            return found
    return None


def close(region: str, cluster: str) -> None:
    plane = PLANES.pop((region, cluster), None)
    if plane is not None:
        plane.close()


def close_all() -> None:
    for region, cluster in list(PLANES):
        close(region, cluster)
