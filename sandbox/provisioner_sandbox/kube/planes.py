"""One Kubernetes for each cluster of EKS: from the cluster's making to its end, or the sandbox's reset.

Its port and authority are there from the start, so that EKS can tell them when the cluster is active. Everything else
is made when somebody first asks.
"""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
import threading
import uuid
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from provisioner_sandbox.kube.certificates import Authority, Signer
from provisioner_sandbox.kube.server import HOST, Server

# Unpacked, across runs: with the demo's, some hundred megabytes.
KEPT_IMAGES = 5


class Settings:
    """Of the process: the lock over AWS's state, and where the sandbox answers."""

    guard: AbstractContextManager[Any] = nullcontext()
    endpoint = ""
    folder: Path | None = None
    # `testplane.py`, where clusters are to have a real API server.
    testbed: Path | None = None

    def place(self) -> Path:
        """Where pods and images are put: in the sandbox's folder, if it has one."""
        if self.folder is None:
            self.folder = Path(tempfile.mkdtemp(prefix="provisioner-sandbox-"))
            atexit.register(shutil.rmtree, self.folder, True)
        return self.folder

    def tidy(self) -> None:
        """Takes away what ran for a sandbox before this one, and all but the last images."""
        for left in (self.pods(), self.place() / "planes"):
            shutil.rmtree(left, ignore_errors=True)
        if self.images().is_dir():
            known = sorted(self.images().iterdir(), key=lambda one: one.stat().st_mtime, reverse=True)
            for old in known[KEPT_IMAGES:] + [one for one in known if one.name.startswith("partial-")]:
                shutil.rmtree(old, ignore_errors=True)

    def kubernetes(self) -> str:
        """The version that clusters get, or that they get the stand-in."""
        if self.testbed is None:
            return "stand-in"
        found = re.search(r"k8s\.io/kubernetes v(\S+)", (self.testbed.parent / "go.mod").read_text())
        return found[1] if found else "unknown"

    def images(self) -> Path:
        return self.place() / "images"

    def pods(self) -> Path:
        return self.place() / "pods"


SETTINGS = Settings()
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
        # Not under `lock`, which whoever closes it wants while he holds the lock over AWS's state; the making wants that.
        with self.making:
            if self.world is None and not self.closed:
                # What is behind it is much; clusters that nobody talks to do without.
                from provisioner_sandbox.kube.cluster import Cluster

                made = Cluster(self, SETTINGS.guard)
                with self.lock:
                    self.world = None if self.closed else made
                if self.world is None:
                    made.close()
            world = self.world
        if world is None:
            raise ConnectionError("the cluster is gone")
        return world.api

    def close(self) -> None:
        """Waits for nothing: whoever deletes a cluster holds the lock that its threads may want."""
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
    from provisioner_sandbox.kube.real import RealPlane

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
