"""Signature Version 4 of a request, in its headers or in its URL.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote, unquote

from provisioner_sandbox.wire.message import Request

ALGORITHM = "AWS4-HMAC-SHA256"
HEADER = re.compile(
    rf"{ALGORITHM} +Credential=(?P<credential>[^,\s]+)[, ]+SignedHeaders=(?P<signed>[^,\s]+)[, ]+"
    r"Signature=(?P<signature>[0-9a-f]{64})"
)
DATE = "%Y%m%dT%H%M%SZ"
# What AWS allows between its clock and the signature's.
SKEW_SECONDS = 15 * 60
MOST_EXPIRES = 7 * 24 * 3600
UNSIGNED = "UNSIGNED-PAYLOAD"

# By an access key's id its `secret`, and its `sessionToken` where it has one; `None` if it is not known.
Known = Callable[[str], "dict[str, Any] | None"]


class Refused(Exception):
    """Why a request does not count as signed, with AWS's code for it."""

    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Signature:
    key: str
    scope: list[str]
    headers: list[str]
    value: str
    date: str
    seconds: int
    token: str | None
    in_url: bool


def claims_signature(request: Request) -> bool:
    """Whether it says that it is signed, in whichever form."""
    return "Authorization" in request.headers or any(name.startswith("X-Amz-") for name in request.query_items)


def signature_of(request: Request) -> Signature | None:
    """What a request says of its signature; `None` if it has none. One in the headers goes first, as when it is read."""
    if "Authorization" in request.headers:
        match = HEADER.fullmatch(request.headers["Authorization"].strip())
        if match is None:
            return None
        key, *scope = match["credential"].split("/")
        date, token = request.headers.get("X-Amz-Date", ""), request.headers.get("X-Amz-Security-Token")
        signed = match["signed"].split(";")
        return Signature(key, scope, signed, match["signature"], date, SKEW_SECONDS, token, False)
    query = {name: values[0] for name, values in request.query_items.items()}
    if query.get("X-Amz-Algorithm") != ALGORITHM:
        return None
    key, *scope = query.get("X-Amz-Credential", "").split("/")
    expires = query.get("X-Amz-Expires", "")
    seconds = min(int(expires), MOST_EXPIRES) if expires.isdecimal() else 0
    return Signature(
        key, scope, query.get("X-Amz-SignedHeaders", "").split(";"), query.get("X-Amz-Signature", ""),
        query.get("X-Amz-Date", ""), seconds, query.get("X-Amz-Security-Token"), True,
    )  # fmt: skip


def verify(request: Request, known: Known, now: float) -> None:
    """Raises `Refused` unless a key that is known has signed the request."""
    given = signature_of(request)
    if given is None:
        raise Refused("MissingAuthenticationToken", "the request is not signed")
    pair = known(given.key)
    if pair is None or pair.get("sessionToken") != given.token:
        raise Refused("InvalidClientTokenId", "the access key, or its session token, is not one of this sandbox")
    check_date(given, now)
    if len(given.scope) != 4 or given.scope[0] != given.date[:8] or given.scope[3] != "aws4_request":
        raise Refused("SignatureDoesNotMatch", "the credential's scope is not right")
    if "host" not in given.headers:
        raise Refused("SignatureDoesNotMatch", "the header host is not signed")
    hashed = request.headers.get("X-Amz-Content-SHA256", "")
    own = hashlib.sha256(request.body).hexdigest()
    if re.fullmatch(r"[0-9a-f]{64}", hashed) and hashed != own:
        raise Refused("XAmzContentSHA256Mismatch", "the body is not the one that was signed")
    for text in canonical(request, given, hashed or own):
        wanted = sign(pair["secret"], given.scope, given.date, text)
        if hmac.compare_digest(wanted.encode(), given.value.encode("utf-8", "replace")):
            return
    raise Refused("SignatureDoesNotMatch", "the signature is not that of the access key's secret")


def check_date(given: Signature, now: float) -> None:
    try:
        date = datetime.strptime(given.date, DATE).replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        raise Refused("SignatureDoesNotMatch", "the request has no date of signature") from None
    if now > date + given.seconds or now < date - SKEW_SECONDS:
        raise Refused("RequestExpired", f"the request was signed at {given.date}, which is too far from now")


def canonical(request: Request, given: Signature, hashed: str) -> Iterator[str]:
    """The texts that the request may have been signed as: S3 encodes a path once, all others twice."""
    pairs = [pair.partition("=")[::2] for pair in request.query.split("&") if pair]
    query = sorted(
        (encoded(unquote(name)), encoded(unquote(value)))
        for name, value in pairs
        if not (given.in_url and name == "X-Amz-Signature")
    )
    headers = "".join(
        f"{name}:{','.join(' '.join(value.split()) for value in request.headers.get_all(name) or [])}\n"
        for name in given.headers
    )
    paths = {request.path, encoded(request.path, "/"), encoded(unquote(request.path), "/")}
    hashes = {hashed, UNSIGNED} if given.in_url else {hashed}
    for path in paths:
        for one in hashes:
            yield "\n".join(
                [
                    request.method,
                    path,
                    "&".join(f"{name}={value}" for name, value in query),
                    headers,
                    ";".join(given.headers),
                    one,
                ]
            )


def encoded(text: str, safe: str = "") -> str:
    return quote(text, safe=f"-_.~{safe}")


def sign(secret: str, scope: list[str], date: str, text: str) -> str:
    said = "\n".join([ALGORITHM, date, "/".join(scope), hashlib.sha256(text.encode()).hexdigest()])
    key = f"AWS4{secret}".encode()
    for part in scope:
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, said.encode(), hashlib.sha256).hexdigest()
