"""What a load balancer does before a target sees a connection: it ends TLS, redirects, and selects by host and path.

An Application Load Balancer decides for each request; this one decides by the first request of a connection.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Bytes of the head of a request. Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html
MAX_HEAD = 64 * 1024
END = b"\r\n\r\n"

Targets = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Route:
    """A rule: patterns of hosts and of paths, of which one each must match, and its targets. No pattern: all match.

    Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-condition-types.html
    """

    hosts: tuple[str, ...]
    paths: tuple[str, ...]
    targets: Targets

    def takes(self, host: str, path: str) -> bool:
        return matches(self.hosts, host, re.IGNORECASE) and matches(self.paths, path, 0)

    @property
    def takes_all(self) -> bool:
        return not self.hosts and self.paths in ((), ("/*",))


def matches(patterns: tuple[str, ...], text: str, flags: int) -> bool:
    """In a pattern `*` is any text, and `?` any character."""
    return not patterns or any(
        re.fullmatch(re.escape(one).replace(r"\*", ".*").replace(r"\?", "."), text, flags | re.DOTALL) for one in patterns
    )


@dataclass(frozen=True)
class Front:
    tls: bool = False
    # The port of HTTPS that requests are redirected to.
    redirect: int | None = None
    # By priority; none: every request, to the targets of the port.
    routes: tuple[Route, ...] = ()

    @property
    def reads(self) -> bool:
        """Whether it reads requests; otherwise it passes bytes on."""
        return self.redirect is not None or bool(self.routes)

    def answer(self, head: bytes) -> bytes | Route | None:
        """Returns its own answer to a request, or the rule whose targets answer it; None for the targets of the port."""
        lines = head.decode("latin-1").split("\r\n")
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        words, host = lines[0].split(" "), fields.get("host", "").partition(":")[0].lower()
        if len(words) != 3:
            return said("400 Bad Request")
        if self.redirect is not None:
            return said("301 Moved Permanently", f"Location: https://{host}:{self.redirect}{words[1]}\r\n")
        if not self.routes:
            return None
        path = words[1].partition("?")[0]
        return next((route for route in self.routes if route.takes(host, path)), None) or said("404 Not Found")


def said(status: str, fields: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nServer: awselb/2.0\r\n{fields}Content-Length: 0\r\nConnection: close\r\n\r\n".encode()
