"""The API for what lives in this process."""

from __future__ import annotations

import copy
import json
from typing import Any

from provisioner_sandbox.kube import status
from provisioner_sandbox.kube.access import ROOT
from provisioner_sandbox.kube.api import Api
from provisioner_sandbox.kube.message import Ask, Reply


class Local:
    """As over HTTP, but without it. Safe for many threads."""

    def __init__(self, api: Api, agent: str, port: int):
        self.api = api
        self.agent = agent
        # Where others find it.
        self.port = port

    def raw(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Reply:
        where, _, query = path.partition("?")
        data = b"" if body is None else json.dumps(body).encode()
        pairs = dict(part.partition("=")[::2] for part in query.split("&") if part)
        return self.api.handle(Ask(method, where, pairs, data, kind, agent=self.agent), ROOT)

    def call(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """The answer's document. Raises `Refused`."""
        reply = self.raw(method, path, body, kind)
        if reply.code >= 300:
            document = reply.document or {}
            raise status.Refused(
                reply.code, document.get("reason", ""), document.get("message", ""), document.get("details")
            )
        return copy.deepcopy(reply.document)

    def get(self, path: str) -> Any:
        """As `call`, but `None` for what is not there."""
        try:
            return self.call("GET", path)
        except status.Refused as refused:
            if refused.code == 404:
                return None
            raise
