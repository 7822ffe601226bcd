"""Watches: what is there, then what changes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

from provisioner_sandbox.kube import status
from provisioner_sandbox.kube.message import Ask, Reply, Target
from provisioner_sandbox.kube.requests import fitting
from provisioner_sandbox.kube.store import Change, Object, Store
from provisioner_sandbox.kube.table import as_table

WATCH_SECONDS = 1800.0
BOOKMARK_SECONDS = 30.0


def watch(store: Store, ask: Ask, target: Target) -> Reply:
    query = ask.query
    fits = fitting(ask)
    if target.name:
        named = fits
        fits = lambda document: document["metadata"]["name"] == target.name and named(document)  # noqa: E731
    seconds = float(query.get("timeoutSeconds") or WATCH_SECONDS)
    initial = ask.flag("sendInitialEvents")
    version = query.get("resourceVersion", "")
    table = "as=Table" in ask.accept
    with store.lock:
        first: list[Object] | None = None
        if initial or version in ("", "0"):
            first = [one for one in store.list(target.resource, target.namespace) if fits(one)]
            at = store.version
        else:
            if not version.isdecimal():
                raise status.bad_request(
                    f'resourceVersion: Invalid value: "{version}": strconv.ParseUint: invalid syntax'
                )
            at = int(version)
            store.since(at)
    bookmarks = ask.flag("allowWatchBookmarks")
    ended = {"k8s.io/initial-events-end": "true"} if initial else None
    return Reply(200, stream=events(store, target, fits, at, first, ended, bookmarks, seconds, table))


def events(
    store: Store,
    target: Target,
    fits: Callable[[Object], bool],
    at: int,
    first: list[Object] | None,
    ended: Object | None,
    bookmarks: bool,
    seconds: float,
    table: bool,
) -> Iterator[bytes]:
    def line(kind: str, document: Object) -> bytes:
        if table and kind not in ("BOOKMARK", "ERROR"):
            document = as_table(target.resource, [document], {})
        return json.dumps({"type": kind, "object": document}, separators=(",", ":")).encode() + b"\n"

    def mark(annotations: Object | None) -> bytes:
        meta: Object = {"resourceVersion": str(at), "creationTimestamp": None}
        if annotations:
            meta["annotations"] = annotations
        resource = target.resource
        return line("BOOKMARK", {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta})

    for document in first or []:
        yield line("ADDED", document)
    if ended:
        yield mark(ended)
    limit = time.monotonic() + seconds
    marked = time.monotonic()
    yield b""
    while True:
        with store.lock:
            while True:
                try:
                    changes = store.since(at)
                except status.Refused as refused:
                    yield line("ERROR", refused.document())
                    return
                left = min(limit, marked + BOOKMARK_SECONDS) - time.monotonic()
                if changes or store.closed or left <= 0:
                    break
                store.changed.wait(left)
            closed = store.closed
        told = b""
        for change in changes:
            at = change.version
            if change.key == target.resource.key:
                told += seen(change, target, fits, line)
        if told:
            yield told
        if closed or time.monotonic() >= limit:
            return
        if time.monotonic() >= marked + BOOKMARK_SECONDS:
            marked = time.monotonic()
            yield mark(None) if bookmarks else b""


def seen(change: Change, target: Target, fits: Callable[[Object], bool], line: Callable[[str, Object], bytes]) -> bytes:
    """What a watch says of a change: what begins or ceases to fit is new or gone to it."""
    if target.namespace and change.document["metadata"].get("namespace") != target.namespace:
        return b""
    after = change.kind != "DELETED" and fits(change.document)
    before = change.before is not None and fits(change.before)
    if after:
        return line("MODIFIED" if before else "ADDED", change.document)
    return line("DELETED", change.document) if before else b""
