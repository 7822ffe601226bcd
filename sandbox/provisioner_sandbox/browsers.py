"""No web page may call the sandbox: a browser says where a request comes from (`Origin`, `Sec-Fetch-Site`), and by which
name it found the sandbox (`Host`), which for a page elsewhere is not one of loopback (DNS rebinding)."""

from __future__ import annotations

import ipaddress
import re
from email.message import Message

PORT = re.compile(r":\d{1,5}$")
# A bucket in front of an address. A name of the internet does not end in numbers.
BEFORE_ADDRESS = re.compile(r"[a-z0-9._-]+\.(127\.\d{1,3}\.\d{1,3}\.\d{1,3})")


class Refused(Exception):
    """Why a request is refused, with AWS's code for it."""

    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code = code
        self.message = message


def check_browser(headers: Message) -> None:
    """Raises `Refused` for what a web page can have sent."""
    hosts = headers.get_all("Host") or [""]
    if len(hosts) != 1 or not is_loopback(hosts[0]):
        raise Refused("AccessDenied", f"the sandbox is only reached by names of loopback, not by the Host {hosts[0]!r}")
    if "Origin" in headers or headers.get("Sec-Fetch-Site", "none") != "none":
        raise Refused("AccessDenied", "the sandbox takes no requests of web pages: leave out Origin and Sec-Fetch-Site")


def is_loopback(host: str) -> bool:
    """Whether a Host header names loopback. `localhost`, with all that ends in it, is a name of no other machine.

    https://www.rfc-editor.org/rfc/rfc6761#section-6.3
    """
    name = PORT.sub("", host.strip().lower()).rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    before = BEFORE_ADDRESS.fullmatch(name)
    try:
        address = ipaddress.ip_address(before[1] if before else name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return address.is_loopback
