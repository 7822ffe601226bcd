"""What the configuration says that EKS finds in a cluster: cluster insights."""

from __future__ import annotations

from typing import Any

# Set with each configuration of the sandbox.
CONFIGURED: list[dict[str, Any]] = []
UPGRADE, ROLLBACK, MISCONFIGURATION = "UPGRADE_READINESS", "ROLLBACK_READINESS", "MISCONFIGURATION"
CATEGORIES = (UPGRADE, MISCONFIGURATION, ROLLBACK)
STATUSES = ("PASSING", "WARNING", "ERROR", "UNKNOWN")


def configure(entries: list[dict[str, Any]]) -> None:
    CONFIGURED[:] = entries


def findings(category: str) -> list[dict[str, Any]]:
    return [entry for entry in CONFIGURED if entry.get("category", UPGRADE) == category]
