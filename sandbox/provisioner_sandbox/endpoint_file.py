"""`endpoint.json`: where the sandbox answers, which process it is, and the keys of this start."""

from __future__ import annotations

import json
import os
import secrets
import sys
from pathlib import Path

from provisioner_sandbox import __version__
from provisioner_sandbox.own_keys import own_keys

NAME = "endpoint.json"


def write_endpoint(directory: Path, port: int) -> None:
    """By rename: a reader that waits for the file never reads half of it, and a link in its place is replaced."""
    directory.mkdir(parents=True, exist_ok=True)
    keys = own_keys()
    endpoint = {
        "endpoint": f"http://127.0.0.1:{port}",
        "port": port,
        "pid": os.getpid(),
        "startTime": start_time(),
        "version": __version__,
        "accessKeyId": keys.key_id,
        "secretAccessKey": keys.secret,
    }
    partial = directory / f".endpoint.{secrets.token_hex(8)}"
    with open(partial, "x", opener=private) as file:
        file.write(json.dumps(endpoint) + "\n")
    partial.replace(directory / NAME)


def private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def start_time() -> int | None:
    """In clock ticks since the machine started (`proc_pid_stat(5)`): it tells this process from a later one with its id."""
    if sys.platform != "linux":
        return None
    # The program's name, in parentheses, may hold blanks and parentheses of its own.
    return int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
