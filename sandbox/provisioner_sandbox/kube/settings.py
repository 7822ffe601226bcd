"""Of the process: the lock over AWS's state, where the sandbox answers, and its folders."""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

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
        """Takes away what ran for a sandbox before this one, and all but the last images.

        The folder is this user's alone: Secrets and tokens of pods are in it. Containers find theirs at other places.
        """
        self.place().mkdir(parents=True, exist_ok=True)
        self.place().chmod(0o700)
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
