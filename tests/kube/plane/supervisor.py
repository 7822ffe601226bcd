"""One cluster from its start to its end: control plane, token webhook, nodes. All of it ends with this process."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import queue
import shutil
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from plane import binary, webhook
from plane.control import Component, ControlPlane, StartFailed
from plane.kubelet.kubelet import Kubelet
from plane.kubelet.node import Size
from plane.kubelet.scripted import ScriptedRunner
from provisioner_sandbox.kube.kubelet.remote import ApiError
from provisioner_sandbox.kube.kubelet.runner import Runner

LOCK = "lock"
PLANE = "plane.json"
IDENTITIES = "identities.json"
BEHAVIOUR = "behaviour.json"
# Written by `testplane.py start`.
START_LOG = "start.log"
# What a start does not clear away.
KEPT = {LOCK, IDENTITIES, BEHAVIOUR, START_LOG}


class Busy(Exception):
    """Another cluster runs in this folder."""


@dataclass(frozen=True)
class Options:
    """What a cluster is asked to be."""

    folder: Path
    cluster: str
    region: str
    identities: Path
    sts: str | None
    egress: str | None
    nodes: int
    size: Size
    scale: float


def lock(folder: Path) -> IO[str]:
    """The folder's, with this process's id in it. Held until the process ends; raises `Busy`."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    file = (folder / LOCK).open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise Busy(f"a cluster runs in {folder} already; `testplane.py stop --dir {folder}` ends it") from error
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def holder(folder: Path) -> int | None:
    """The process that runs the folder's cluster, if one does."""
    try:
        with (folder / LOCK).open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read().strip() or 0) or None
            return None
    except FileNotFoundError:
        return None


def details(folder: Path) -> dict[str, Any] | None:
    """What the folder's cluster said of itself when it was ready, if it runs and is."""
    if holder(folder) is None:
        return None
    try:
        found: dict[str, Any] = json.loads((folder / PLANE).read_text())
        return found
    except FileNotFoundError:
        return None


class Notes:
    """A log file's lines, with their times."""

    def __init__(self, path: Path):
        self.file = path.open("a")
        self.lock = threading.Lock()

    def tell(self, text: str) -> None:
        with self.lock:
            self.file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {text}\n")
            self.file.flush()


class Plane:
    """Made, started once, stopped once."""

    def __init__(self, options: Options, control_plane_binary: Path, runner: Runner):
        self.options = options
        self.runner = runner
        self.news: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        folder = options.folder
        self.clean(KEPT)
        (folder / "logs").mkdir()
        self.notes = Notes(folder / "logs" / "nodes.log")
        reviews = Notes(folder / "logs" / "webhook.log")
        # The keys are needed before the webhook can listen, and its port before the API server can start.
        self.control = ControlPlane(control_plane_binary, folder, self.ended, options.egress)
        identities = webhook.Identities(options.identities)
        reviewer = webhook.Reviewer(options.cluster, options.region, identities, options.sts)
        self.webhook = webhook.serve(self.control.pki, reviewer, reviews.tell)

    def clean(self, kept: set[str]) -> None:
        for path in self.options.folder.iterdir():
            if path.name in kept:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def ended(self, component: Component) -> None:
        self.news.put(("ended", component.name))

    def start(self) -> dict[str, Any]:
        """What a user of the cluster must know. Raises `StartFailed`."""
        began = time.monotonic()
        self.api = self.control.start(self.webhook.port)
        options = self.options
        kubelet = Kubelet(
            self.api,
            self.control.pki,
            self.runner,
            region=options.region,
            count=options.nodes,
            size=options.size,
            version=binary.kubernetes(),
            scale=options.scale,
            tell=self.notes.tell,
        )
        kubelet.start()
        authority = (self.control.pki / "ca.crt").read_bytes()
        found = {
            "endpoint": self.control.endpoint,
            "caData": base64.b64encode(authority).decode(),
            "adminKubeconfig": str(self.control.admin),
            "kubectl": str(self.control.binary.with_name("kubectl")),
            "cluster": options.cluster,
            "region": options.region,
            "version": binary.kubernetes(),
            "pid": os.getpid(),
            "dir": str(options.folder),
            "identities": str(options.identities),
            "behaviour": str(options.folder / BEHAVIOUR),
            "seconds": round(time.monotonic() - began, 2),
            "restarts": 0,
        }
        self.write(found)
        return found

    def write(self, found: dict[str, Any]) -> None:
        """By rename, so that a reader that waits for the file never reads half of it."""
        partial = self.options.folder / f"{PLANE}.partial"
        partial.write_text(json.dumps(found) + "\n")
        partial.replace(self.options.folder / PLANE)

    def serve(self, found: dict[str, Any]) -> str:
        """Until it is told to stop: `""`. Or until it cannot continue: why."""
        while True:
            kind, what = self.news.get()
            if kind == "stop":
                return ""
            if kind == "restart":
                try:
                    self.control.restart_api_server(self.api)
                except StartFailed as error:
                    return str(error)
                found = {**found, "restarts": found["restarts"] + 1}
                self.write(found)
            if kind == "ended":
                component = self.control.components[what]
                code = component.process.returncode if component.process else None
                return f"{what} ended unasked with {code}. Its log, {component.log}, ends:\n{component.said()}"

    def stop(self) -> None:
        """Nothing of it runs when it returns, and nothing but logs and the caller's files is left."""
        self.control.stop()
        self.clean({*KEPT, "logs"})


def announce(found: dict[str, Any]) -> None:
    # The caller may have ended; the lifeline says so too. Not by `print`, whose buffer is tried again at the exit.
    with contextlib.suppress(BrokenPipeError):
        os.write(sys.stdout.fileno(), f"{json.dumps(found)}\n".encode())


def run(options: Options, control_plane_binary: Path, lifeline: int | None, runner: Runner | None = None) -> int:
    """Starts a cluster, prints what it is as one line of JSON, and stays until a signal comes, or the end of the
    file with the number `lifeline`. Without a runner, containers behave as they are told (`kubelet/behaviour.py`)."""
    held = lock(options.folder)
    plane = Plane(options, control_plane_binary, runner or ScriptedRunner(options.folder / BEHAVIOUR))

    def told(kind: str) -> None:
        plane.news.put((kind, ""))

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told("stop"))
    signal.signal(signal.SIGHUP, lambda *_: told("restart"))
    if lifeline is not None:

        def hold() -> None:
            # By its number: a buffered stream in use by a thread aborts the interpreter when that exits.
            while os.read(lifeline, 1024):
                pass
            told("stop")

        threading.Thread(target=hold, name="lifeline", daemon=True).start()
    try:
        found = plane.start()
        announce(found)
        trouble = plane.serve(found)
    except (StartFailed, ApiError, OSError) as error:
        trouble = f"the cluster did not start: {error}"
    finally:
        plane.stop()
        held.close()
    if trouble:
        print(f"testplane: {trouble}\nEverything of this cluster was ended; its logs are kept.", file=sys.stderr)
        return 1
    return 0
