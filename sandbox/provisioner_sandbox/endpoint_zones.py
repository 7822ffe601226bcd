"""In which zones the configuration says that there are the services of VPC endpoints."""

from __future__ import annotations

# Set with each configuration of the sandbox: zones by the name of a service. A service without an entry is everywhere.
CONFIGURED: dict[str, list[str]] = {}


def configure(zones: dict[str, list[str]]) -> None:
    CONFIGURED.clear()
    CONFIGURED.update(zones)


def has(service: str, zone: str) -> bool:
    return zone in CONFIGURED.get(service, [zone])
