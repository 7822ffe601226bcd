"""What the pods of this machine have of their own."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

# The volume with the token of a role, under a name that no volume can have.
IRSA = "\0irsa"
IRSA_FOLDER = "/var/run/secrets/eks.amazonaws.com/serviceaccount"


@dataclass
class Place:
    """Of a pod: its folder, its address, and its volumes by name, with whether they may be written to."""

    folder: Path
    address: str
    volumes: dict[str, tuple[Path, bool]] = field(default_factory=dict)
    identity: dict[str, str] = field(default_factory=dict)
