"""EKS tokens: who signed one, and for which cluster.

A token is `k8s-aws-v1.` and the base64url of a presigned STS `GetCallerIdentity` URL, with the cluster's name in a
signed header that is not in the URL. EKS checks the URL's form and asks STS, which checks the signature; here both are
done. What is checked follows `pkg/token/token.go` of kubernetes-sigs/aws-iam-authenticator; the signature, AWS's
description of Signature Version 4 (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import urllib.parse
from datetime import datetime, timezone
from typing import Any

PREFIX = "k8s-aws-v1."
MOST_BYTES = 4096
CLUSTER_HEADER = "x-k8s-aws-id"
ALGORITHM = "AWS4-HMAC-SHA256"
DATE = "%Y%m%dT%H%M%SZ"
# A presigned URL of STS lives this long after its date, whatever its X-Amz-Expires says.
LIFE_SECONDS = 15 * 60
# STS refuses what is signed further ahead of its clock than this.
AHEAD_SECONDS = 5 * 60
MOST_EXPIRES = 900
REQUIRED = {
    "action", "version", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-expires", "x-amz-signedheaders",
    "x-amz-signature",
}  # fmt: skip
ALLOWED = REQUIRED | {"x-amz-security-token"}


class Refused(Exception):
    """Why a token is not taken. Never holds a part of it that could be used."""


def verify(
    token: str,
    *,
    cluster: str,
    region: str,
    credentials: dict[str, dict[str, Any]],
    now: float,
    sts: str | None = None,
) -> str:
    """Returns the ARN of the caller that created the token.

    `credentials` says for an access key id its `secret`, its `arn`, and its `sessionToken` where it has one. `now` is
    in seconds since 1970. `sts` is the origin of one more STS whose URLs are taken, such as `http://127.0.0.1:5700`.
    """
    url = presigned(token)
    parts = urllib.parse.urlsplit(url)
    if f"{parts.scheme}://{parts.netloc}" not in origins(region, sts):
        raise Refused(f"the URL is not one of STS in {region}: {parts.scheme}://{parts.hostname}")
    if parts.path != "/" or parts.fragment:
        raise Refused("the URL has a path or a fragment")
    pairs, query = parameters(parts.query)
    if query["action"] != "GetCallerIdentity":
        raise Refused("the URL's Action is not GetCallerIdentity")
    if query["x-amz-algorithm"] != ALGORITHM:
        raise Refused(f"the URL's X-Amz-Algorithm is not {ALGORITHM}")
    if not query["x-amz-expires"].isdecimal() or int(query["x-amz-expires"]) > MOST_EXPIRES:
        raise Refused(f"the URL's X-Amz-Expires is not a number from 0 to {MOST_EXPIRES}")
    check_date(query["x-amz-date"], now)
    signed = query["x-amz-signedheaders"].split(";")
    if CLUSTER_HEADER not in signed:
        raise Refused(f"the header {CLUSTER_HEADER} is not signed")
    if sorted(signed) != ["host", CLUSTER_HEADER]:
        raise Refused(f"other headers than host and {CLUSTER_HEADER} are signed, or host is not")
    key, *scope = query["x-amz-credential"].split("/")
    if scope != [query["x-amz-date"][:8], region, "sts", "aws4_request"]:
        raise Refused(f"the URL's X-Amz-Credential is not for this day, {region} and sts")
    if key not in credentials:
        raise Refused("the access key is not known")
    known = credentials[key]
    if query.get("x-amz-security-token") != known.get("sessionToken"):
        raise Refused("the session token is not the access key's")
    headers = {"host": parts.netloc, CLUSTER_HEADER: cluster}
    unsigned = [(name, value) for name, value in pairs if name.lower() != "x-amz-signature"]
    wanted = signature(known["secret"], scope, query["x-amz-date"], unsigned, {name: headers[name] for name in signed})
    if not hmac.compare_digest(wanted.encode(), query["x-amz-signature"].encode()):
        raise Refused(f"the signature is not right: the token is for another cluster than {cluster}, or was changed")
    arn: str = known["arn"]
    return arn


def presigned(token: str) -> str:
    if len(token) > MOST_BYTES:
        raise Refused(f"the token is longer than {MOST_BYTES} bytes")
    if not token.startswith(PREFIX):
        raise Refused(f"the token does not begin with {PREFIX}")
    encoded = token[len(PREFIX) :]
    try:
        # Strict, and without padding, as the authenticator's decoder.
        plain = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
        url = plain.decode("ascii")
    except (binascii.Error, UnicodeError, ValueError) as error:
        raise Refused("the token is not the base64url of a URL") from error
    if encoded.endswith("=") or not url.isprintable():
        raise Refused("the token is not the base64url of a URL")
    return url


def origins(region: str, sts: str | None) -> set[str]:
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    own = {f"https://sts.{region}.{suffix}"}
    return own | {sts.rstrip("/")} if sts else own


def parameters(text: str) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """In their order as they are, and by their names in lower case."""
    try:
        pairs = urllib.parse.parse_qsl(text, keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError as error:
        raise Refused("the URL's query cannot be read") from error
    query = {name.lower(): value for name, value in pairs}
    unknown = sorted(query.keys() - ALLOWED)
    if unknown:
        raise Refused(f"the URL has a parameter that is not allowed: {unknown[0]}")
    if len(query) != len(pairs):
        raise Refused("the URL has a parameter twice")
    missing = sorted(REQUIRED - query.keys())
    if missing:
        raise Refused(f"the URL has no {missing[0]}")
    return pairs, query


def check_date(text: str, now: float) -> None:
    try:
        date = datetime.strptime(text, DATE).replace(tzinfo=timezone.utc).timestamp()
    except ValueError as error:
        raise Refused("the URL's X-Amz-Date is not a date") from error
    if now > date + LIFE_SECONDS:
        raise Refused(f"the token has expired: it was created at {text} and is valid for {LIFE_SECONDS // 60} minutes")
    if now < date - AHEAD_SECONDS:
        raise Refused(f"the token is from the future: {text}")


def signature(secret: str, scope: list[str], date: str, query: list[tuple[str, str]], headers: dict[str, str]) -> str:
    """Of a GET of `/` without a body. `headers` are the signed ones by their names in lower case."""
    encoded = sorted((quote(name), quote(value)) for name, value in query)
    request = "\n".join(
        [
            "GET",
            "/",
            "&".join(f"{name}={value}" for name, value in encoded),
            "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in sorted(headers)),
            ";".join(sorted(headers)),
            hashlib.sha256(b"").hexdigest(),
        ]
    )
    text = "\n".join([ALGORITHM, date, "/".join(scope), hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{secret}".encode()
    for part in scope:
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def quote(text: str) -> str:
    return urllib.parse.quote(text, safe="-_.~")


def presign(
    *, cluster: str, region: str, key: str, secret: str, session: str | None = None, now: float, sts: str | None = None
) -> str:
    """A token, as `aws eks get-token` makes one."""
    origin = sts.rstrip("/") if sts else next(iter(origins(region, None)))
    date = datetime.fromtimestamp(now, timezone.utc).strftime(DATE)
    scope = [date[:8], region, "sts", "aws4_request"]
    query = [
        ("Action", "GetCallerIdentity"),
        ("Version", "2011-06-15"),
        ("X-Amz-Algorithm", ALGORITHM),
        ("X-Amz-Credential", "/".join([key, *scope])),
        ("X-Amz-Date", date),
        ("X-Amz-Expires", "60"),
        ("X-Amz-SignedHeaders", f"host;{CLUSTER_HEADER}"),
    ]
    if session:
        query.append(("X-Amz-Security-Token", session))
    headers = {"host": urllib.parse.urlsplit(origin).netloc, CLUSTER_HEADER: cluster}
    query.append(("X-Amz-Signature", signature(secret, scope, date, query, headers)))
    url = f"{origin}/?{urllib.parse.urlencode(query, quote_via=urllib.parse.quote, safe='-_.~')}"
    return PREFIX + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")
