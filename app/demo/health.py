"""Health answers in the format of draft-inadarei-api-health-check-06."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from starlette.responses import JSONResponse

from demo import __version__
from demo.parameter import ParameterReader

Check = dict[str, Any]


@dataclass
class Lifecycle:
    """Since when the process serves, on the monotonic clock, and whether it is about to stop."""

    started: float = field(default_factory=time.monotonic)
    draining: bool = False


def now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")


def uptime(lifecycle: Lifecycle) -> Check:
    return {
        "componentType": "system",
        "observedValue": round(time.monotonic() - lifecycle.started, 1),
        "observedUnit": "s",
        "status": "pass",
        "time": now(),
    }


def serving(lifecycle: Lifecycle) -> Check:
    check: Check = {
        "componentType": "component",
        "observedValue": "draining" if lifecycle.draining else "serving",
        "status": "fail" if lifecycle.draining else "pass",
        "time": now(),
    }
    if lifecycle.draining:
        check["output"] = "the process is about to stop"
    return check


def parameter(reader: ParameterReader) -> Check:
    """The last read, whenever that was: a probe calls nothing. A failure is a warning, since the other paths do
    without AWS, and since all replicas would fail at once."""
    check: Check = {"componentId": reader.name, "componentType": "datastore", "status": "pass"}
    if (last := reader.last) is not None:
        check |= {"observedValue": round(last.seconds * 1000), "observedUnit": "ms", "time": last.time}
        if last.code is not None:
            check |= {"status": "warn", "output": last.code}
    return check


def answer(checks: dict[str, Check]) -> JSONResponse:
    """The worst status of the checks; 503 when it is ``fail``."""
    statuses = {check["status"] for check in checks.values()}
    status = next(status for status in ("fail", "warn", "pass") if status in statuses)
    body: dict[str, Any] = {
        "status": status,
        "version": "1",
        "releaseId": __version__,
        "serviceId": "demo",
        "checks": {name: [check] for name, check in checks.items()},
    }
    outputs = [check["output"] for check in checks.values() if "output" in check]
    if outputs:
        body["output"] = "; ".join(outputs)
    headers = {"Cache-Control": "no-store"}
    return JSONResponse(body, 503 if status == "fail" else 200, headers, "application/health+json")
