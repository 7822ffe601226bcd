#!/usr/bin/env python3
"""A Kubernetes cluster on loopback for tests: a real API server, EKS tokens, nodes that pretend. See README.md."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from plane import binary, supervisor
from plane.control import StartFailed
from plane.kubelet.node import Size

FAILED = 1
NO_GO = 3
STOP_SECONDS = 20.0
RESTART_SECONDS = 60.0
POLL_SECONDS = 0.05


def tell(text: str) -> None:
    print(f"testplane: {text}", file=sys.stderr, flush=True)


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="testplane.py", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="build the control plane, where that is not done yet, and print its path")
    folder = argparse.ArgumentParser(add_help=False)
    folder.add_argument("--dir", type=Path, required=True, help="folder of the cluster: keys, data, logs")
    cluster = argparse.ArgumentParser(add_help=False)
    cluster.add_argument("--cluster", required=True, help="name that tokens must be made for")
    cluster.add_argument("--region", required=True, help="region whose STS must have been asked")
    cluster.add_argument("--identities", type=Path, help="keys and access entries (default: DIR/identities.json)")
    cluster.add_argument("--sts", help="origin of one more STS that tokens may name, as http://127.0.0.1:5700")
    cluster.add_argument("--egress", help="HOST:PORT of a proxy for CONNECT that leads to nodes and pods (README.md)")
    cluster.add_argument("--nodes", type=int, default=2, help="how many, over three zones (default: 2)")
    cluster.add_argument("--node-cpu", default=Size.cpu, help=f"of each for pods (default: {Size.cpu})")
    cluster.add_argument("--node-memory", default=Size.memory, help=f"of each for pods (default: {Size.memory})")
    cluster.add_argument("--node-pods", type=int, default=Size.pods, help=f"on each (default: {Size.pods})")
    cluster.add_argument(
        "--time-scale", type=float, default=10.0, help="how much faster the kubelet's waits are (default: 10)"
    )
    commands.add_parser("start", parents=[folder, cluster], help="start a cluster, print it as JSON, leave it running")
    run = commands.add_parser("run", parents=[folder, cluster], help="the same, until standard input ends")
    run.add_argument("--detached", action="store_true", help="until `stop`, whatever standard input does")
    commands.add_parser("stop", parents=[folder], help="end the folder's cluster")
    commands.add_parser("status", parents=[folder], help="print what runs as JSON")
    commands.add_parser("restart-api-server", parents=[folder], help="break all connections, forget old versions")
    parsed = parser.parse_args(argv)
    if parsed.command in ("start", "run") and (parsed.nodes < 0 or parsed.time_scale <= 0):
        parser.error("--nodes must not be negative, and --time-scale greater than 0")
    return parsed


def options(parsed: argparse.Namespace) -> supervisor.Options:
    folder = parsed.dir.absolute()
    return supervisor.Options(
        folder=folder,
        cluster=parsed.cluster,
        region=parsed.region,
        identities=(parsed.identities or folder / supervisor.IDENTITIES).absolute(),
        sts=parsed.sts,
        egress=parsed.egress,
        nodes=parsed.nodes,
        size=Size(parsed.node_cpu, parsed.node_memory, parsed.node_pods),
        scale=parsed.time_scale,
    )


def start(parsed: argparse.Namespace, argv: list[str]) -> int:
    """A process of its own does what `run` does; this one waits until it is ready."""
    binary.ensure(tell)
    folder: Path = parsed.dir
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    errors = folder / supervisor.START_LOG
    with errors.open("wb") as written:
        process = subprocess.Popen(
            [sys.executable, "-B", str(Path(__file__).resolve()), "run", "--detached", *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=written,
            start_new_session=True,
        )
    # Empty where it ended before it was ready.
    line = process.stdout.readline() if process.stdout else b""
    if not line:
        process.wait()
        sys.stderr.write(errors.read_text(errors="replace"))
        return process.returncode or FAILED
    sys.stdout.write(line.decode())
    return 0


def stop(folder: Path) -> int:
    pid = supervisor.holder(folder)
    if pid is None:
        tell(f"no cluster runs in {folder}")
        return 0
    os.kill(pid, signal.SIGTERM)
    limit = time.monotonic() + STOP_SECONDS
    while supervisor.holder(folder) == pid:
        if time.monotonic() > limit:
            tell(f"process {pid} did not end within {STOP_SECONDS:.0f} s and is killed; what it started ends with it")
            os.kill(pid, signal.SIGKILL)
            limit = float("inf")
        time.sleep(POLL_SECONDS)
    return 0


def status(folder: Path) -> int:
    found = supervisor.details(folder)
    print(json.dumps({"running": False} if found is None else {"running": True, **found}))
    return 0


def restart(folder: Path) -> int:
    before = supervisor.details(folder)
    if before is None:
        tell(f"no cluster runs in {folder}")
        return FAILED
    os.kill(before["pid"], signal.SIGHUP)
    limit = time.monotonic() + RESTART_SECONDS
    while time.monotonic() < limit:
        found: dict[str, Any] | None = supervisor.details(folder)
        if found is None:
            break
        if found["restarts"] > before["restarts"]:
            print(json.dumps({"running": True, **found}))
            return 0
        time.sleep(POLL_SECONDS)
    tell(f"the API server did not come back; see {folder / 'logs'}")
    return FAILED


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    parsed = arguments(argv)
    try:
        match parsed.command:
            case "build":
                print(binary.ensure(tell))
                return 0
            case "start":
                return start(parsed, argv[1:])
            case "run":
                lifeline = None if parsed.detached else sys.stdin.fileno()
                return supervisor.run(options(parsed), binary.ensure(tell), lifeline)
            case "stop":
                return stop(parsed.dir)
            case "status":
                return status(parsed.dir)
            case _:
                return restart(parsed.dir)
    except binary.GoMissing as error:
        tell(str(error))
        return NO_GO
    except (binary.BuildFailed, supervisor.Busy, StartFailed) as error:
        tell(str(error))
        return FAILED


if __name__ == "__main__":
    sys.exit(main())
