"""Eventual consistency: reads answered from the state of a while ago.

Before a write, the backend that it will change is copied. A stale read is answered by the copy that
shows what was there `seconds` ago, so that whatever was written since does not exist for it, in
every call, and whatever was written earlier does. Exact, and nothing need know which read is about
which write.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from provisioner_sandbox import backend

# What the tagging API reads from, and so has to see late with it.
TAGGED = ("dynamodb", "ec2", "ecr", "eks", "elbv2", "kms", "logs", "s3", "ssm")


class History:
    def __init__(self) -> None:
        self.copies: dict[tuple[str, str], list[tuple[float, Any]]] = {}

    def before_write(self, service: str, region: str, window: float) -> None:
        if not window:
            return
        try:
            copy = backend.snapshot(service, region)
        except (ImportError, KeyError):
            return  # no backend of its own, so no state that could be seen late
        kept = self.copies.setdefault((service, region), [])
        now = time.monotonic()
        while kept and kept[0][0] < now - window:
            kept.pop(0)
        kept.append((now, copy))

    def as_of(self, service: str, region: str, seconds: float) -> AbstractContextManager[None]:
        """The world of `seconds` ago: the first copy made since, which a later write followed."""
        since = time.monotonic() - seconds
        services = TAGGED if service == "resourcegroupstaggingapi" else (service,)
        past = {}
        for key, copies in self.copies.items():
            if key[0] in services and (key[1] == region or backend.is_global(*key)):
                earliest = next((copy for made, copy in copies if made >= since), None)
                if earliest is not None:
                    past[key] = earliest
        return backend.replaced(past) if past else nullcontext()
