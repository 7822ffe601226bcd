"""What the configuration says is wrong with the things of EKS."""

from __future__ import annotations

from typing import Any

# Set with each configuration of the sandbox.
CONFIGURED: list[dict[str, Any]] = []


def configure(entries: list[dict[str, Any]]) -> None:
    CONFIGURED[:] = entries


def configured(on: str) -> dict[str, Any] | None:
    return next((entry for entry in CONFIGURED if entry["on"] == on), None)
