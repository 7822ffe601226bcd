"""What the configuration says is wrong with a thing: shown wherever it is described, as long as it is configured."""

from __future__ import annotations

import copy
from typing import Any

from provisioner_sandbox.health import configured
from provisioner_sandbox.services.eks.state import Thing, issue


def shown(thing: Thing, on: str) -> dict[str, Any]:
    """The thing's document with what is configured for it laid over."""
    document = copy.deepcopy(thing.doc)
    entry = configured(on)
    if entry is None or document.get("status") == "DELETING":
        return document
    if entry.get("status") == "UPDATE_FAILED":
        # It is about the thing's updates: only an add-on bears this status, once an update of it failed.
        return document
    if "status" in entry:
        document["status"] = entry["status"]
    found = issue(entry)
    issues = document.get("health", {}).get("issues", [])
    if ("code" in entry or "message" in entry) and found not in issues:
        document["health"] = {"issues": [*issues, found]}
    return document
