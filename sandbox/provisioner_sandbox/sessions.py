"""The sessions of roles that calls come from: those of pods, and those of the user's own `AssumeRole`."""

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
    """moto's session of a role, if the call is a pod's."""
    held = any_session(request)
    return held if held is not None and held.access_key_id in pods(backend("sts", "us-east-1")) else None


def any_session(request: Request) -> Any:
    """moto's session whose access key signs the call; None for keys that no session has."""
    said = request.headers.get("Authorization") or f"Credential={request.query_items.get(IN_URL, [''])[0]}"
    found = KEY.search(said)
    known = backend("sts", "us-east-1").assumed_roles if found else []
    return next((one for one in known if found and one.access_key_id == found["key"]), None)
