"""The sessions of roles that calls come from: those of pods."""

from __future__ import annotations

import re
from typing import Any

from provisioner_sandbox.backend import backend
from provisioner_sandbox.wire.message import Request

KEY = re.compile(r"Credential=(?P<key>[^/,\s]+)/")
IN_URL = "X-Amz-Credential"


def pods(sts: Any) -> set[str]:
    """The access keys of pods, on moto's own backend, so that a reset takes them along."""
    found: set[str] = sts.__dict__.setdefault("sandbox_pods", set())
    return found


def session(request: Request) -> Any:
    """moto's session of a role, if the call is a pod's. Every other call is the one caller's, whatever the keys."""
    said = request.headers.get("Authorization") or f"Credential={request.query_items.get(IN_URL, [''])[0]}"
    found = KEY.search(said)
    sts = backend("sts", "us-east-1")
    if not found or found["key"] not in pods(sts):
        return None
    return next((one for one in sts.assumed_roles if one.access_key_id == found["key"]), None)
