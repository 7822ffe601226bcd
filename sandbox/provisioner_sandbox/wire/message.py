"""HTTP requests and answers, free of any server's own types."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import parse_qsl

from botocore.compat import HTTPHeaders


@dataclass
class Request:
    """A request as it came in; `path` is still percent-encoded."""

    method: str
    path: str
    query: str
    headers: HTTPHeaders
    body: bytes
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @cached_property
    def query_items(self) -> dict[str, list[str]]:
        # A '+' in an S3 query is a plus sign; every SDK sends a blank as %20.
        raw = self.query.replace("+", "%2B")
        items: dict[str, list[str]] = {}
        for key, value in parse_qsl(raw, keep_blank_values=True):
            items.setdefault(key, []).append(value)
        return items

    @cached_property
    def form(self) -> dict[str, str]:
        """Parameters of the query protocols, from the body and, for presigned calls, the URL."""
        items = {key: values[0] for key, values in self.query_items.items()}
        if "form-urlencoded" in self.headers.get("Content-Type", "") and self.body:
            items.update(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))
        return items


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        return self.status < 400
