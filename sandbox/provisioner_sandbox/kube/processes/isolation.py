"""Whether containers get a root of their own: Linux, as root, with the right to mount."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading

from provisioner_sandbox.kube.processes import shim

TELL = "pods run without isolation"


class Isolation:
    """What is known of this machine; found out once."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.known = False
        self.why: str | None = None

    def trouble(self) -> str | None:
        """Why containers are plain processes of the user who runs the sandbox; `None` where they are not."""
        with self.lock:
            if not self.known:
                self.why, self.known = find_trouble(), True
                if self.why:
                    print(f"{TELL}: {self.why}", file=sys.stderr, flush=True)
            return self.why


ISOLATION = Isolation()


def isolates() -> bool:
    return ISOLATION.trouble() is None


def find_trouble() -> str | None:
    if sys.platform != "linux":
        return "only Linux has namespaces"
    if os.geteuid() != 0:
        return "the sandbox does not run as root"
    with tempfile.TemporaryDirectory(prefix="provisioner-sandbox-") as folder:
        return attempt(folder)


def attempt(folder: str) -> str | None:
    """Does in a process of its own what each container needs."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        said = ""
        try:
            shim.check(shim.libc().unshare(shim.NEW_PIDS | shim.NEW_IPC), "unshare")
            shim.enter({"root": folder, "made": True, "mounts": [["", "/dev", "tmpfs"]], "seal": True})
        except BaseException as error:
            said = str(getattr(error, "strerror", None) or error)
        with contextlib.suppress(OSError):
            os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as report:
        said = report.read().decode("utf-8", "replace")
    os.waitpid(child, 0)
    return f"namespaces are not permitted here ({said})" if said else None
