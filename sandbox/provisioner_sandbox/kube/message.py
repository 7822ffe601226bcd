"""A request to the API server, its answer, and what a path names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from provisioner_sandbox.kube.resources import Resource


@dataclass
class Ask:
    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    kind: str = "application/json"
    accept: str = ""
    agent: str = ""
    host: str = ""

    def flag(self, name: str) -> bool:
        return self.query.get(name, "false").lower() in ("true", "1")


@dataclass
class Reply:
    """`stream` is sent as it comes, in place of a document; `text` is plain."""

    code: int
    document: Any = None
    text: str | None = None
    stream: Iterator[bytes] | None = None
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Target:
    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""
