"""Settings, read once from the environment. A variable that is set but empty counts as not set."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

LOG_LEVELS = ("debug", "info", "warning", "error")
# What SSM takes: a name or an ARN, with a version or a label behind a colon.
PARAMETER = re.compile(r"[A-Za-z0-9_.:/-]{1,2048}")


class SettingsError(ValueError):
    """Everything that is wrong, one sentence each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Settings:
    host: str = "0.0.0.0"
    port: int = 8000
    log_level: str = "info"
    root_response: str = "Welcome to ReaQta"
    api_response: str = "Welcome to ReaQta API"
    parameter: str | None = None
    parameter_ttl: int = 30
    region: str | None = None
    shutdown_delay: int = 5
    shutdown_timeout: int = 20


def read(environ: Mapping[str, str]) -> Settings:
    """The settings of this environment. Raises SettingsError with all that is wrong, not the first alone."""
    problems: list[str] = []

    def text(name: str, default: str) -> str:
        value = environ.get(name) or default
        try:
            value.encode()
        except UnicodeEncodeError:
            problems.append(f"{name}: is not UTF-8")
        return value

    def number(name: str, default: int, low: int, high: int) -> int:
        value = environ.get(name) or str(default)
        if re.fullmatch(r"[0-9]{1,6}", value) and low <= int(value) <= high:
            return int(value)
        problems.append(f"{name}: {value!r} is not a whole number from {low} to {high}")
        return default

    host = environ.get("HOST") or Settings.host
    try:
        ipaddress.ip_address(host)
    except ValueError:
        problems.append(f"HOST: {host!r} is not an IP address; 0.0.0.0 or :: listen on all")

    level = (environ.get("LOG_LEVEL") or Settings.log_level).lower()
    if level not in LOG_LEVELS:
        problems.append(f"LOG_LEVEL: {level!r} is not one of {', '.join(LOG_LEVELS)}")

    parameter = environ.get("DEMO_PARAMETER") or None
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or None
    if parameter is not None:
        if not PARAMETER.fullmatch(parameter):
            problems.append(f"DEMO_PARAMETER: {parameter!r} is not the name or ARN of an SSM parameter")
        if region is None:
            problems.append("AWS_REGION: must be set to read DEMO_PARAMETER")
        for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SSM", "AWS_ENDPOINT_URL_STS"):
            if (url := environ.get(name)) and not is_http_url(url):
                problems.append(f"{name}: is not a URL such as https://host:port")

    settings = Settings(
        host=host,
        port=number("PORT", Settings.port, 0, 65535),
        log_level=level,
        root_response=text("DEMO_ROOT_RESPONSE", Settings.root_response),
        api_response=text("DEMO_API_RESPONSE", Settings.api_response),
        parameter=parameter,
        parameter_ttl=number("DEMO_PARAMETER_TTL", Settings.parameter_ttl, 1, 3600),
        region=region,
        shutdown_delay=number("DEMO_SHUTDOWN_DELAY", Settings.shutdown_delay, 0, 300),
        shutdown_timeout=number("DEMO_SHUTDOWN_TIMEOUT", Settings.shutdown_timeout, 1, 300),
    )
    if problems:
        raise SettingsError(problems)
    return settings


def is_http_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
