"""Faults by configuration: which request is hit, and by what."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.wire.message import Request
from provisioner_sandbox.wire.models import is_read

KINDS = {
    "throttle", "error", "error_after", "lost_request", "lost_response", "hold_request", "hold_response", "latency", "stale",
    "update_fails",
}  # fmt: skip
# No effect, or no answer; a held one waits for `POST /_ext/release` before it is lost.
LOST_REQUESTS = {"lost_request", "hold_request"}
LOST_RESPONSES = {"lost_response", "hold_response"}
HELD = {"hold_request", "hold_response"}
LONGEST_HOLD = 60.0

# How each service says "slow down". Sources: the services' pages of common errors, and
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/throttling.html,
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html.
THROTTLE = {
    "ec2": ("RequestLimitExceeded", 503, "Request limit exceeded."),
    "s3": ("SlowDown", 503, "Please reduce your request rate."),
    "dynamodb": ("ThrottlingException", 400, "Rate of requests exceeds the allowed throughput."),
    "eks": ("ThrottlingException", 429, "Rate exceeded"),
}
THROTTLE_QUERY = ("Throttling", 400, "Rate exceeded")
THROTTLE_JSON = ("ThrottlingException", 400, "Rate exceeded")
STALE_SECONDS = 5.0


@dataclass
class Fault:
    on: str
    kind: str
    match: str = ""
    code: str | None = None
    status: int | None = None
    message: str | None = None
    ms: int = 0
    times: int | None = None
    skip: int = 0
    prob: float = 1.0
    seconds: float | None = None
    seen: int = field(default=0, init=False)
    hits: int = field(default=0, init=False)
    first_hit: float | None = field(default=None, init=False)

    def concerns(self, name: str, request: Request) -> bool:
        if not fnmatchcase(name, self.on):
            return False
        if not self.match:
            return True
        where = f"{request.path}?{request.query}\n".encode() + request.body
        return self.match.encode() in where

    def fires(self, rng: random.Random) -> bool:
        """Whether it hits this request, which concerns it; counts the request either way."""
        self.seen += 1
        if self.seen <= self.skip or (self.times is not None and self.hits >= self.times):
            return False
        if self.over():
            return False
        if self.prob < 1 and rng.random() >= self.prob:
            return False
        self.hits += 1
        if self.first_hit is None:
            self.first_hit = time.monotonic()
        return True

    def over(self) -> bool:
        """For `stale`, `seconds` is how late a write is seen; every other fault ends after it."""
        if self.kind == "stale" or self.seconds is None or self.first_hit is None:
            return False
        return time.monotonic() - self.first_hit > self.seconds

    def delay(self) -> float:
        return STALE_SECONDS if self.seconds is None else self.seconds

    def error(self, service: str, protocol: str) -> AwsError:
        code, status, message = throttle(service, protocol) if self.kind == "throttle" else self.failure(protocol)
        return AwsError(self.code or code, self.message or message, self.status or status)

    def failure(self, protocol: str) -> tuple[str, int, str]:
        code = "InternalError" if protocol in ("ec2", "rest-xml") else "InternalFailure"
        # A named code is the caller's fault unless the status says otherwise, as it mostly is in AWS.
        status = 400 if self.code and self.kind == "error" else 500
        return code, status, "An internal error has occurred"


def throttle(service: str, protocol: str) -> tuple[str, int, str]:
    return THROTTLE.get(service) or (THROTTLE_QUERY if protocol == "query" else THROTTLE_JSON)


class Faults:
    def __init__(self, faults: Iterable[Fault] = (), seed: int = 0):
        self.faults = list(faults)
        self.rng = random.Random(seed)

    def pick(self, name: str, request: Request) -> tuple[list[Fault], Fault | None]:
        """All latencies that hit the request, and the first fault of another kind."""
        delays: list[Fault] = []
        chosen: Fault | None = None
        for fault in self.faults:
            if fault.kind != "latency" and chosen is not None:
                continue
            if fault.kind == "stale" and not is_read(name.partition(":")[2]):
                continue  # a write always meets the world as it is
            if fault.concerns(name, request) and fault.fires(self.rng):
                if fault.kind == "latency":
                    delays.append(fault)
                else:
                    chosen = fault
        return delays, chosen

    def stale_window(self, service: str) -> float:
        """How far back a read of the service may have to look; 0 if none is delayed."""
        windows: list[Any] = [
            fault.delay()
            for fault in self.faults
            if fault.kind == "stale" and may_read(fault.on.partition(":")[0], service)
        ]
        return max(windows, default=0.0)


def may_read(reader: str, service: str) -> bool:
    return fnmatchcase(service, reader) or fnmatchcase("resourcegroupstaggingapi", reader)
