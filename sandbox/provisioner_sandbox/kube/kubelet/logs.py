"""What `kubectl logs` asks of a kubelet."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime

from provisioner_sandbox.kube.kubelet.container import Container
from provisioner_sandbox.kube.kubelet.log import Log

# `container "web" in pod "x" is waiting to start: ...`, as the kubelet words it.
WAITING = {
    "ErrImagePull": "trying and failing to pull image",
    "ImagePullBackOff": "image can't be pulled",
}


class NoLog(Exception):
    """Why there is nothing to read."""


def log_of(container: Container, pod: str, previous: bool) -> Log:
    log = container.previous if previous or container.log is None else container.log
    if log is not None:
        return log
    if previous:
        raise NoLog(f'previous terminated container "{container.name}" in pod "{pod}" not found')
    reason = container.state.get("waiting", {}).get("reason", "")
    told = WAITING.get(reason, reason)
    raise NoLog(f'container "{container.name}" in pod "{pod}" is waiting to start: {told}')


def since(query: dict[str, str]) -> float:
    if "sinceSeconds" in query:
        return time.time() - float(query["sinceSeconds"])
    if "sinceTime" in query:
        return datetime.fromisoformat(query["sinceTime"].replace("Z", "+00:00")).timestamp()
    return 0.0


def lines(log: Log, query: dict[str, str]) -> Iterator[str]:
    """Those that are asked for, and with `follow` those that come, until the container has ended."""
    stamps = query.get("timestamps") == "true"
    tail = int(query["tailLines"]) if "tailLines" in query else None
    count, found = log.read(tail, since(query), stamps)
    yield from found
    if query.get("follow") == "true":
        yield from log.follow(count, stamps)
