"""The body of `POST /_ext/config`, checked strictly: a misspelt fault would test nothing."""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import dataclass, field
from typing import Any

from provisioner_sandbox.backend import ACCOUNT
from provisioner_sandbox.caller import SESSION
from provisioner_sandbox.clock import DEFAULT_SCALE
from provisioner_sandbox.faults import KINDS, Fault
from provisioner_sandbox.insight_findings import CATEGORIES, STATUSES
from provisioner_sandbox.policy import Malformed, identity_statements
from provisioner_sandbox.policy_conditions import as_list
from provisioner_sandbox.quotas import KNOWN

NUMBER = (int, float)
FIELDS: dict[str, Any] = {
    "seed": int, "timeScale": NUMBER, "latencyMs": NUMBER, "faults": list, "health": list, "quotas": dict,
    "callerPolicy": (dict, list), "bottlerocket": str, "callerAddress": str, "caller": str,
    "endpointZones": dict, "keyCache": NUMBER, "lateLogs": bool, "cniLeftovers": int, "autoModeLeftovers": bool,
    "insights": list,
}  # fmt: skip
FAULT_FIELDS: dict[str, Any] = {
    "on": str, "kind": str, "match": str, "code": str, "status": int, "message": str,
    "ms": NUMBER, "times": int, "skip": int, "prob": NUMBER, "seconds": NUMBER,
}  # fmt: skip
HEALTH_FIELDS: dict[str, Any] = {"on": str, "status": str, "code": str, "message": str, "resourceIds": list}
INSIGHT_FIELDS: dict[str, Any] = {
    "name": str, "category": str, "status": str, "reason": str, "description": str, "recommendation": str,
    "deprecationDetails": list, "addonCompatibilityDetails": list,
}  # fmt: skip
KINDS_OF_VALUE: dict[Any, str] = {
    NUMBER: "a number", bool: "a boolean", int: "an integer", str: "a string", list: "a list", dict: "an object",
    (dict, list): "a policy document or a list of them", (*NUMBER, type(None)): "a number or null",
}  # fmt: skip
SERVICE = re.compile(r"com\.amazonaws\.(?P<region>[a-z]{2}(-[a-z]+)+-\d)\.[a-z0-9.-]+")
HEALTH_PREFIXES = ("addon/", "nodegroup/", "fargateprofile/")


class ConfigError(ValueError):
    pass


@dataclass
class Config:
    seed: int = 0
    time_scale: float = DEFAULT_SCALE
    latency_ms: float = 0
    faults: list[Fault] = field(default_factory=list)
    health: list[dict[str, Any]] = field(default_factory=list)
    # None: the account has no value of its own.
    quotas: dict[str, float | None] = field(default_factory=dict)
    # The caller's own policies as JSON; None is an administrator, [] may do nothing.
    caller_policy: list[str] | None = None
    # The newest release that is out; None is the newest that is known.
    bottlerocket: str | None = None
    # From where people call API servers, an address; None is from everywhere.
    caller_address: str | None = None
    # Who calls, the ARN of a session of a role; None is the user.
    caller: str | None = None
    # The zones of services of VPC endpoints, by their names; the others are everywhere.
    endpoint_zones: dict[str, list[str]] = field(default_factory=dict)
    # For how many AWS seconds S3 and DynamoDB answer with a copy of a key that cannot be used; None is for ever.
    key_cache: float | None = None
    # Whether a cluster's last log events arrive after its end.
    late_logs: bool = False
    # Interfaces that stay of each node when its instance terminates.
    cni_leftovers: int = 0
    # Whether a security group stays of a cluster in Auto Mode.
    auto_mode_leftovers: bool = False
    # What EKS finds in clusters beside what it sees.
    insights: list[dict[str, Any]] = field(default_factory=list)


def read_config(document: Any, default_scale: float) -> Config:
    values = check("config", document, FIELDS)
    scale = values.get("timeScale", default_scale)
    if scale <= 0:
        raise ConfigError("timeScale must be greater than 0")
    for name in ("latencyMs", "keyCache", "cniLeftovers"):
        if values.get(name, 0) < 0:
            raise ConfigError(f"{name} must not be negative")
    return Config(
        values.get("seed", 0),
        scale,
        values.get("latencyMs", 0),
        [read_fault(n, item) for n, item in enumerate(values.get("faults", []))],
        [read_health(n, item) for n, item in enumerate(values.get("health", []))],
        read_quotas(values.get("quotas", {})),
        read_policies(values["callerPolicy"]) if "callerPolicy" in values else None,
        values.get("bottlerocket"),
        read_address(values["callerAddress"]) if "callerAddress" in values else None,
        read_caller(values["caller"]) if "caller" in values else None,
        read_endpoint_zones(values.get("endpointZones", {})),
        values.get("keyCache"),
        values.get("lateLogs", False),
        values.get("cniLeftovers", 0),
        values.get("autoModeLeftovers", False),
        [read_insight(n, item) for n, item in enumerate(values.get("insights", []))],
    )


def read_fault(n: int, item: Any) -> Fault:
    name = f"faults[{n}]"
    values = check(name, item, FAULT_FIELDS)
    require(name, values, "on", "kind")
    if values["kind"] not in KINDS:
        raise ConfigError(f"{name}.kind must be one of {', '.join(sorted(KINDS))}")
    if values["kind"] == "latency" and "ms" not in values:
        raise ConfigError(f"{name}.ms is missing")
    if not 0 <= values.get("prob", 1) <= 1:
        raise ConfigError(f"{name}.prob must be between 0 and 1")
    if not 300 <= values.get("status", 400) <= 599:
        raise ConfigError(f"{name}.status must be between 300 and 599")
    for key in ("ms", "times", "skip", "seconds"):
        if values.get(key, 0) < 0:
            raise ConfigError(f"{name}.{key} must not be negative")
    return Fault(**values)


def read_health(n: int, item: Any) -> dict[str, Any]:
    name = f"health[{n}]"
    values = check(name, item, HEALTH_FIELDS)
    require(name, values, "on")
    if values["on"] != "cluster" and not any(
        values["on"].startswith(prefix) and values["on"] != prefix for prefix in HEALTH_PREFIXES
    ):
        raise ConfigError(f"{name}.on must be cluster, addon/NAME, nodegroup/NAME or fargateprofile/NAME")
    if not all(isinstance(entry, str) for entry in values.get("resourceIds", [])):
        raise ConfigError(f"{name}.resourceIds must be a list of strings")
    return values


def read_insight(n: int, item: Any) -> dict[str, Any]:
    name = f"insights[{n}]"
    values = check(name, item, INSIGHT_FIELDS)
    require(name, values, "name", "status")
    for key, known in (("status", STATUSES), ("category", CATEGORIES)):
        if values.get(key, known[0]) not in known:
            raise ConfigError(f"{name}.{key} must be one of {', '.join(known)}")
    return values


def read_quotas(values: dict[str, Any]) -> dict[str, float | None]:
    check("quotas", values, dict.fromkeys(KNOWN, (*NUMBER, type(None))))
    for code, value in values.items():
        if value is not None and value < 0:
            raise ConfigError(f"quotas.{code} must not be negative")
    return values


def read_address(given: str) -> str:
    try:
        return str(ipaddress.ip_address(given))
    except ValueError:
        raise ConfigError("callerAddress must be an IP address") from None


def read_caller(given: str) -> str:
    if not SESSION.fullmatch(given):
        raise ConfigError(f"caller must be arn:aws:sts::{ACCOUNT}:assumed-role/ROLE/SESSION")
    return given


def read_endpoint_zones(values: dict[str, Any]) -> dict[str, list[str]]:
    for service, zones in values.items():
        name = f"endpointZones.{service}"
        match = SERVICE.fullmatch(service)
        if not match:
            raise ConfigError(f"{name} must be named com.amazonaws.REGION.SERVICE")
        if not isinstance(zones, list) or not all(isinstance(zone, str) for zone in zones):
            raise ConfigError(f"{name} must be a list of strings")
        for zone in zones:
            if not re.fullmatch(rf"{re.escape(match['region'])}[a-z]", zone):
                raise ConfigError(f"{name}: {zone} is not a zone of {match['region']}")
    return values


def read_policies(given: Any) -> list[str]:
    documents = [json.dumps(document) for document in as_list(given)]
    for document in documents:
        try:
            identity_statements(document)
        except Malformed as error:
            raise ConfigError(f"callerPolicy: {error}") from None
    return documents


def check(name: str, document: Any, fields: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise ConfigError(f"{name} must be an object")
    for key, value in document.items():
        if key not in fields:
            raise ConfigError(f"{name}: unknown key {key!r}; expected one of: {', '.join(fields)}")
        wanted = fields[key]
        # A boolean is an integer to Python, and to nothing else.
        if isinstance(value, bool) != (wanted is bool) or not isinstance(value, wanted):
            raise ConfigError(f"{name}.{key} must be {KINDS_OF_VALUE[wanted]}")
    return document


def require(name: str, values: dict[str, Any], *keys: str) -> None:
    for key in keys:
        if key not in values:
            raise ConfigError(f"{name}.{key} is missing")
