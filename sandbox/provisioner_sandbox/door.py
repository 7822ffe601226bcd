"""Who may call the sandbox: the user who runs it, whatever the credentials; others with a key that it gave out.

`browsers.py` keeps web pages out, also those that this user has open.
"""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager
from email.message import Message
from typing import Any

from provisioner_sandbox import signatures
from provisioner_sandbox.browsers import Refused
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.key_pairs import key_pairs
from provisioner_sandbox.kube import planes
from provisioner_sandbox.own_keys import own_keys
from provisioner_sandbox.wire.identify import identify
from provisioner_sandbox.wire.message import Request

SECRET_HEADER = "X-Provisioner-Secret"
CONTROL, LAYERS = "/_ext/", "/_ecr/"
# What is read of a request before it is known who sent it.
MOST_BYTES = 64 * 1024


def strangers() -> str:
    """Who may call, and what a user has to do who may not."""
    return (
        f"the sandbox serves the user who started it (uid {os.geteuid()}) and root: run "
        '`eval "$(provisioner sandbox env)"` as that user, and use the keys that it sets'
    )


def check_head(head: Request, guard: AbstractContextManager[Any]) -> None:
    """Raises `Refused` for a stranger's request that is not worth reading to its end. `head` has no body yet."""
    length = head.headers.get("Content-Length", "0")
    if length.isdecimal() and int(length) <= MOST_BYTES and "Transfer-Encoding" not in head.headers:
        return
    given = signatures.signature_of(head)
    with guard:
        if given is None or given.key not in key_pairs(region_of(given)):
            raise Refused("InvalidClientTokenId", strangers())


def check(request: Request, guard: AbstractContextManager[Any]) -> None:
    """Raises `Refused` unless a stranger's request has a secret of this sandbox. `guard` is held while state is read."""
    if request.path.startswith(CONTROL):
        # `check_secret` has looked at it if it is there.
        if SECRET_HEADER not in request.headers:
            raise Refused("AccessDenied", f"{strangers()}, the secret one as the header {SECRET_HEADER}")
        return
    if request.path.startswith(LAYERS) and own_keys().is_sealed(request.path, request.query):
        return
    if is_of_a_pod(request):
        return
    given = signatures.signature_of(request)
    with guard:
        known = key_pairs(region_of(given))
    try:
        signatures.verify(request, known.get, time.time())
    except signatures.Refused as refused:
        raise Refused(refused.code, f"{refused}: {strangers()}") from None


def is_of_a_pod(request: Request) -> bool:
    """Whether it is the one call that AWS takes unsigned, with a token that a cluster of this sandbox has given its pod."""
    if planes.claims(request.form.get("WebIdentityToken", "")) is None or signatures.claims_signature(request):
        return False
    try:
        # As the gateway will understand it, whatever else the request says.
        target = identify(request)
    except AwsError:
        return False
    return (target.service, target.operation.name) == ("sts", "AssumeRoleWithWebIdentity")


def region_of(given: signatures.Signature | None) -> str:
    return given.scope[1] if given is not None and len(given.scope) == 4 else "us-east-1"


def check_secret(headers: Message) -> None:
    """Raises `Refused` for a wrong secret, from every caller: it is meant for another sandbox."""
    if not own_keys().is_secret(headers.get(SECRET_HEADER, own_keys().secret)):
        raise Refused("AccessDenied", f"the header {SECRET_HEADER} does not hold the secret of this sandbox")
