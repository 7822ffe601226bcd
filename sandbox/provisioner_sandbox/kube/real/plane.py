"""A cluster of the testbed, from its start to its end."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from provisioner_sandbox.kube.certificates import Signer
from provisioner_sandbox.kube.real.nodes import HOST
from provisioner_sandbox.kube.real.world import World


class RealPlane:
    """As `planes.Plane`, with a testbed's cluster behind it. Its endpoint is known when `ready` is true."""

    def __init__(self, region: str, cluster: str, name: str, issuer: str, settings: Any):
        self.region, self.cluster, self.name, self.issuer, self.settings = region, cluster, name, issuer, settings
        self.folder: Path = settings.place() / "planes" / name
        self.folder.mkdir(parents=True, mode=0o700)
        self.lock = threading.Lock()
        self.made_signer: Signer | None = None
        self.trouble = ""
        self.endpoint = self.authority_data = ""
        self.world: World | None = None
        self.closed = False
        self.passage = socket.create_server((HOST, 0))
        self.process = self.launch()
        threading.Thread(target=self.wait, name=f"testbed {cluster}", daemon=True).start()

    def launch(self) -> subprocess.Popen[bytes]:
        (self.folder / "identities.json").write_text('{"credentials": {}, "access": {}}')
        command = [
            sys.executable, "-B", str(self.settings.testbed), "run", "--dir", str(self.folder / "plane"), "--cluster", self.cluster,
            "--region", self.region, "--identities", str(self.folder / "identities.json"), "--sts", self.settings.endpoint,
            "--nodes", "0", "--egress", f"{HOST}:{self.passage.getsockname()[1]}",
        ]  # fmt: skip
        with (self.folder / "log").open("wb") as log:
            # Its standard input is its lifeline: it ends with this process, however this one ends.
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env=os.environ,
            )

    def wait(self) -> None:
        line = self.process.stdout.readline() if self.process.stdout else b""
        try:
            found = json.loads(line)
            world = World(self, found, self.settings)
            world.start()
        except Exception as error:
            self.passage.close()
            if self.closed:
                return
            said = (self.folder / "log").read_text(errors="replace").strip().splitlines()
            self.trouble = f"the Kubernetes control plane did not start: {said[-1] if said else repr(error)}"
            traceback.print_exc(file=sys.stderr)
            return
        with self.lock:
            if self.closed:
                world.close()
                return
            self.world = world
            self.authority_data = found["caData"]
            self.endpoint = found["endpoint"]

    @property
    def ready(self) -> bool:
        return bool(self.endpoint)

    def signer(self) -> Signer:
        with self.lock:
            if self.made_signer is None:
                self.made_signer = Signer(self.issuer)
            return self.made_signer

    def open(self) -> None:
        """It answers from the moment that it is told of."""

    def close(self) -> None:
        with self.lock:
            self.closed = True
            world, self.world = self.world, None
        if world is not None:
            world.close()
        if self.process.stdin:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
