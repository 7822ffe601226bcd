"""The Kubernetes API over HTTPS: calls on kept connections, and watches."""

from __future__ import annotations

import contextlib
import http.client
import json
import queue
import ssl
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from provisioner_sandbox.kube.kubelet.client import JSON, MERGE, ApiError

__all__ = ["JSON", "MERGE", "Api", "ApiError", "Follower", "refusal"]

# A watch ends automatically after this time, and is opened again.
WATCH_SECONDS = 300
CALL_SECONDS = 10.0
RETRY_SECONDS = 0.5


def refusal(code: int, body: bytes) -> ApiError:
    try:
        said = json.loads(body)
    except ValueError:
        return ApiError(code, "", body.decode("utf-8", "replace")[:500])
    return ApiError(code, said.get("reason", ""), said.get("message", ""), said.get("details"))


class Api:
    """One caller, known by its client certificate. Safe for many threads."""

    def __init__(self, port: int, pki: Path, identity: str, agent: str):
        self.port = port
        self.context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self.context.load_cert_chain(pki / f"{identity}.crt", pki / f"{identity}.key")
        # The part before the slash is the name of the field manager.
        self.agent = agent
        self.idle: queue.LifoQueue[http.client.HTTPSConnection] = queue.LifoQueue()

    def connection(self, timeout: float = CALL_SECONDS) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context, timeout=timeout)

    def close(self) -> None:
        """Lets go of kept connections."""
        with contextlib.suppress(queue.Empty):
            while True:
                self.idle.get_nowait().close()

    def call(self, method: str, path: str, body: Any = None, kind: str = JSON) -> Any:
        """The answer's document. Raises `ApiError`, and `OSError` where the server cannot be reached."""
        code, answer = self.raw(method, path, body, kind)
        if code >= 300:
            raise refusal(code, answer)
        return json.loads(answer)

    def raw(self, method: str, path: str, body: Any = None, kind: str = JSON) -> tuple[int, bytes]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Accept": JSON, "Content-Type": kind, "User-Agent": self.agent}
        try:
            connection, kept = self.idle.get_nowait(), True
        except queue.Empty:
            connection, kept = self.connection(), False
        while True:
            try:
                connection.request(method, path, data, headers)
                response = connection.getresponse()
                answer = response.read()
            except (http.client.HTTPException, OSError) as error:
                connection.close()
                # A kept connection may have been closed meanwhile: that says nothing of the server.
                if kept:
                    connection, kept = self.connection(), False
                    continue
                raise error if isinstance(error, OSError) else ConnectionError(repr(error)) from error
            self.idle.put(connection)
            return response.status, answer

    def get(self, path: str) -> Any:
        """As `call`, but `None` for what is not there."""
        try:
            return self.call("GET", path)
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    def watch(self, path: str, version: str) -> Iterator[dict[str, Any]]:
        """Events after this resource version, until the server ends the watch."""
        query = {"watch": "1", "resourceVersion": version, "timeoutSeconds": WATCH_SECONDS, "allowWatchBookmarks": "1"}
        connection = self.connection(WATCH_SECONDS + CALL_SECONDS)
        try:
            headers = {"Accept": JSON, "User-Agent": self.agent}
            connection.request("GET", f"{path}?{urllib.parse.urlencode(query)}", headers=headers)
            response = connection.getresponse()
            if response.status != 200:
                raise refusal(response.status, response.read())
            while line := response.readline():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    status = event["object"]
                    raise ApiError(status.get("code", 500), status.get("reason", ""), status.get("message", ""))
                yield event
        except http.client.HTTPException as error:
            raise ConnectionError(repr(error)) from error
        finally:
            connection.close()


class Follower:
    """All objects of a path: listed once, watched, and listed again where the watch has lost its place."""

    def __init__(self, api: Api, path: str, changed: Callable[[dict[str, Any]], None], gone: Callable[[str], None]):
        self.api = api
        self.path = path
        self.changed = changed
        self.gone = gone
        self.known: set[str] = set()

    def start(self) -> None:
        threading.Thread(target=self.run, name=f"follow {self.path}", daemon=True).start()

    def run(self) -> None:
        version = None
        while True:
            try:
                if version is None:
                    version = self.list()
                for event in self.api.watch(self.path, version):
                    version = event["object"]["metadata"]["resourceVersion"]
                    self.take(event)
            except ApiError as error:
                # 410: the version is older than what the server remembers.
                version = None if error.code == 410 else version
                time.sleep(RETRY_SECONDS)
            except (OSError, ValueError):
                time.sleep(RETRY_SECONDS)

    def list(self) -> str:
        answer = self.api.call("GET", self.path)
        present = {item["metadata"]["uid"] for item in answer["items"]}
        for uid in self.known - present:
            self.gone(uid)
        self.known = present
        for item in answer["items"]:
            self.changed(item)
        version: str = answer["metadata"]["resourceVersion"]
        return version

    def take(self, event: dict[str, Any]) -> None:
        thing = event["object"]
        uid = thing["metadata"].get("uid", "")
        if event["type"] == "DELETED":
            self.known.discard(uid)
            self.gone(uid)
        elif event["type"] in ("ADDED", "MODIFIED"):
            self.known.add(uid)
            self.changed(thing)
