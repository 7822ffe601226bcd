"""What a load balancer does before a target sees a connection: it ends TLS, redirects, and selects by host.

An Application Load Balancer decides for each request; this one decides by the first request of a connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

# Bytes of the head of a request. Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html
MAX_HEAD = 64 * 1024
END = b"\r\n\r\n"


@dataclass(frozen=True)
class Front:
    tls: bool = False
    # The port of HTTPS that requests are redirected to.
    redirect: int | None = None
    # Patterns; none: every host.
    hosts: tuple[str, ...] = ()

    @property
    def reads(self) -> bool:
        """Whether it reads requests; otherwise it passes bytes on."""
        return self.redirect is not None or bool(self.hosts)

    def answer(self, head: bytes) -> bytes | None:
        """Returns its own answer to a request; None for a target's."""
        lines = head.decode("latin-1").split("\r\n")
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        words, host = lines[0].split(" "), fields.get("host", "").partition(":")[0].lower()
        if len(words) != 3:
            return said("400 Bad Request")
        if self.redirect is not None:
            return said("301 Moved Permanently", f"Location: https://{host}:{self.redirect}{words[1]}\r\n")
        if self.hosts and not any(fnmatchcase(host, pattern) for pattern in self.hosts):
            return said("404 Not Found")
        return None


def said(status: str, fields: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nServer: awselb/2.0\r\n{fields}Content-Length: 0\r\nConnection: close\r\n\r\n".encode()
