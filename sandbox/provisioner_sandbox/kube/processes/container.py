"""A container: a shim, and the process that it runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from provisioner_sandbox.kube.kubelet.log import Log
from provisioner_sandbox.kube.kubelet.runner import Exit, Process, Refused
from provisioner_sandbox.kube.kubelet.spec import quantity
from provisioner_sandbox.kube.processes import memory
from provisioner_sandbox.kube.processes.command import PATH, PYTHON, PYTHONS
from provisioner_sandbox.kube.processes.probing import LEAST_TIMEOUT, Probing

SHIM = Path(__file__).with_name("shim.py")


class Container(Process):
    """A shim and what it runs."""

    def __init__(
        self, plan: dict[str, Any], probing: Probing, spec: dict[str, Any], log: Log, changed: Callable[[], None]
    ):
        self.plan = plan
        self.probing = probing
        self.log = log
        self.ended: Exit | None = None
        self.over = threading.Event()
        self.too_large = False
        self.process, self.child = launch(plan)
        limit = spec.get("resources", {}).get("limits", {}).get("memory")
        if limit is not None and sys.platform == "linux":
            bound = int(quantity(str(limit)))
            threading.Thread(target=self.confine, args=(bound,), name=f"limit {spec['name']}", daemon=True).start()
        threading.Thread(target=self.watch, args=(changed,), name=f"wait {spec['name']}", daemon=True).start()

    def watch(self, changed: Callable[[], None]) -> None:
        for line in self.process.stdout or ():
            self.log.write(line.decode("utf-8", "replace").rstrip("\n"))
        code = self.process.wait()
        self.over.set()
        if self.too_large:
            self.ended = Exit(128 + signal.SIGKILL, "OOMKilled")
        else:
            self.ended = Exit(code if code >= 0 else 128 - code)
        changed()

    def confine(self, limit: int) -> None:
        while not self.over.wait(memory.LOOK_SECONDS):
            if memory.exceeds(self.child, limit):
                self.too_large = True
                self.kill()
                return

    def running(self) -> int | None:
        """Its first process, until it has ended."""
        return self.child if self.ended is None else None

    def exit(self) -> Exit | None:
        return self.ended

    def probe(self, kind: str, probe: dict[str, Any]) -> str | None:
        timeout = max(float(probe.get("timeoutSeconds", 1)), LEAST_TIMEOUT)
        if "httpGet" in probe:
            return self.probing.http(probe, timeout)
        if "tcpSocket" in probe:
            return self.probing.tcp(probe, timeout)
        if "exec" in probe:
            return self.execute(probe["exec"].get("command", []), timeout)
        return "the sandbox's kubelet does not support gRPC probes"

    def execute(self, argv: list[str], timeout: float) -> str | None:
        plan = {**self.plan, "argv": argv, "join": self.child if self.plan["root"] else None}
        if argv and PYTHONS.fullmatch(argv[0]) and self.plan["argv"][0] == PYTHON:
            plan["argv"] = [PYTHON, *argv[1:]]
        try:
            process, _ = launch(plan)
        except Refused as refused:
            return f"command error: {refused.message}"
        try:
            out = wait(process, timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return f'command "{" ".join(argv)}" timed out'
        if process.returncode == 0:
            return None
        return out.decode("utf-8", "replace").strip() or f"command exited with {process.returncode}"

    def terminate(self) -> None:
        if self.ended is None:
            self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        # The end of its lifeline: the shim takes all with it.
        if self.process.stdin and not self.process.stdin.closed:
            self.process.stdin.close()


def wait(process: subprocess.Popen[bytes], timeout: float) -> bytes:
    """What it writes until it ends; its lifeline stays open."""
    timer = threading.Timer(timeout, lambda: process.stdin.close() if process.stdin else None)
    timer.start()
    try:
        out = process.stdout.read() if process.stdout else b""
        process.wait()
    finally:
        fired = not timer.is_alive()
        timer.cancel()
    if fired:
        raise subprocess.TimeoutExpired("probe", timeout)
    if process.stdin:
        process.stdin.close()
    return out


def launch(plan: dict[str, Any]) -> tuple[subprocess.Popen[bytes], int]:
    """The shim, and the process that it started. Raises `Refused`."""
    reading, writing = os.pipe()
    network = plan.get("network")
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(SHIM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            pass_fds=(writing, *([] if network is None else [network])), start_new_session=True, env={"PATH": PATH}, cwd="/",
        )  # fmt: skip
    finally:
        os.close(writing)
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps({**plan, "report": writing}).encode() + b"\n")
        process.stdin.flush()
    except OSError:
        pass
    with open(reading, "rb") as report:
        said = report.read().decode("utf-8", "replace").splitlines()
    trouble = [line.removeprefix("error ") for line in said if line.startswith("error ")]
    child = next((int(line.removeprefix("pid ")) for line in said if line.startswith("pid ")), 0)
    if trouble or not child:
        process.stdin.close()
        rest = (process.stdout.read() if process.stdout else b"").decode("utf-8", "replace").strip()
        process.wait()
        text = trouble[0] if trouble else f"the process could not be started: {rest.splitlines()[-1] if rest else ''}"
        prefix = "failed to create containerd task: failed to create shim task: OCI runtime create failed: "
        raise Refused("RunContainerError", f"{prefix}unable to start container process: {text}")
    return process, child
