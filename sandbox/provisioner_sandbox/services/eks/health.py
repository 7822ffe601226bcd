"""What the configuration says is wrong with a thing: shown wherever it is described, as long as it is configured."""

from __future__ import annotations

import copy
from typing import Any

from provisioner_sandbox.health import configured
from provisioner_sandbox.services.eks.state import Thing


def shown(thing: Thing, on: str) -> dict[str, Any]:
    """The thing's document with what is configured for it laid over."""
    document = copy.deepcopy(thing.doc)
    entry = configured(on)
    if entry is None or document.get("status") == "DELETING":
        return document
    if "status" in entry:
        document["status"] = entry["status"]
    issue = {"code": entry.get("code", "Unknown"), "message": entry.get("message", "")}
    issue["resourceIds"] = entry.get("resourceIds", [])
    issues = document.get("health", {}).get("issues", [])
    if ("code" in entry or "message" in entry) and issue not in issues:
        document["health"] = {"issues": [*issues, issue]}
    return document
