"""Images in the OCI layout that `PROVISIONER_BASE_LAYOUT` names: those of registries that the sandbox does not call.

Source: https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from provisioner_sandbox.kube.kubelet.runner import Refused

VARIABLE = "PROVISIONER_BASE_LAYOUT"
# https://github.com/opencontainers/image-spec/blob/main/annotations.md
REF_NAME = "org.opencontainers.image.ref.name"


class Blobs(Mapping[str, bytes]):
    """The contents of a layout by their digests, read when they are needed."""

    def __init__(self, folder: Path):
        self.folder = folder

    def path(self, digest: str) -> Path:
        algorithm, _, number = digest.partition(":")
        if algorithm != "sha256" or not number.isalnum():
            raise KeyError(digest)
        return self.folder / "blobs" / algorithm / number

    def __getitem__(self, digest: str) -> bytes:
        try:
            found = self.path(digest).read_bytes()
        except OSError:
            raise KeyError(digest) from None
        if digest != "sha256:" + hashlib.sha256(found).hexdigest():
            raise Refused("ErrImagePull", f"{self.path(digest)}: the content does not have this digest")
        return found

    def __contains__(self, digest: object) -> bool:
        try:
            return self.path(str(digest)).is_file()
        except KeyError:
            return False

    def __iter__(self) -> Iterator[str]:
        return (f"sha256:{one.name}" for one in (self.folder / "blobs/sha256").iterdir())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def document(self, digest: str) -> dict[str, Any]:
        """Raises `Refused` for one that is not there, or is not JSON."""
        try:
            found: dict[str, Any] = json.loads(self[digest])
            return found
        except (KeyError, ValueError):
            raise Refused("ErrImagePull", f"{self.folder}: {digest} is missing, or is not JSON") from None


def find(reference: str) -> tuple[str, Blobs] | None:
    """The digest of the manifest or index by which the layout's index knows a reference. Raises `Refused` for a layout that
    cannot be read."""
    if not os.environ.get(VARIABLE):
        return None
    folder = Path(os.environ[VARIABLE])
    try:
        images = json.loads((folder / "index.json").read_text()).get("manifests", [])
        found = next((one["digest"] for one in images if (one.get("annotations") or {}).get(REF_NAME) == reference), None)
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise Refused("ErrImagePull", f"{VARIABLE}: {folder / 'index.json'}: {error}") from None
    return (found, Blobs(folder)) if found else None
