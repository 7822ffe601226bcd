"""How the kubelet speaks to an API server, whichever it is."""

from __future__ import annotations

from typing import Any, Protocol

from provisioner_sandbox.kube.status import Refused as ApiError

__all__ = ["JSON", "MERGE", "STRATEGIC", "Api", "ApiError"]

JSON = "application/json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


class Api(Protocol):
    """Safe for many threads. Refusals are `ApiError`; where the server cannot be reached, `OSError`."""

    port: int

    def call(self, method: str, path: str, body: Any = None, kind: str = JSON) -> Any: ...

    def get(self, path: str) -> Any: ...
