"""What the pods of this machine have of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from provisioner_sandbox.kube.networks.pods import PodNetwork

# The volume with the token of a role, under a name that no volume can have.
IRSA = "\0irsa"
IRSA_FOLDER = "/var/run/secrets/eks.amazonaws.com/serviceaccount"


@dataclass
class Place:
    """Of a pod: its folder, its address, its network, if it has one, and its volumes by name, with whether they may be
    written to."""

    folder: Path
    address: str
    network: PodNetwork | None = None
    volumes: dict[str, tuple[Path, bool]] = field(default_factory=dict)
    identity: dict[str, str] = field(default_factory=dict)
    # What the pod is called, and what returns the process of a container while it runs.
    name: str = ""
    containers: list[Callable[[], int | None]] = field(default_factory=list)

    def processes(self) -> list[int]:
        """Those of the containers that run now."""
        return [process for container in list(self.containers) if (process := container()) is not None]

    @property
    def network_descriptor(self) -> int | None:
        """Of the namespace that the containers of the pod share."""
        return self.network.namespace.fd if self.network else None
