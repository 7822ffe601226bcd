"""All that a run of the sandbox knows beside moto's own backends."""

from __future__ import annotations

import threading
import time
from typing import Any

from provisioner_sandbox import (
    authorization,
    backend,
    caller,
    endpoint_zones,
    health,
    insight_findings,
    keys,
    late_logs,
    leftovers,
    quotas,
    releases,
    whereabouts,
)
from provisioner_sandbox.clock import CLOCK, DEFAULT_SCALE
from provisioner_sandbox.config import Config, read_config
from provisioner_sandbox.faults import LONGEST_HOLD, Faults
from provisioner_sandbox.history import History
from provisioner_sandbox.kube import planes
from provisioner_sandbox.kube.settings import SETTINGS
from provisioner_sandbox.tokens import Tokens


class World:
    def __init__(self, time_scale: float = DEFAULT_SCALE):
        # moto checks, then acts, without locks of its own: two winners of one If-Match were seen.
        self.lock = threading.RLock()
        SETTINGS.guard = self.lock
        self.default_scale = time_scale
        self.log: list[dict[str, Any]] = []
        self.calls = 0
        self.tokens = Tokens()
        self.held: str | None = None
        self.released = threading.Event()
        self.saved: dict[str, Any] = {}
        self.apply(Config(time_scale=time_scale))

    def configure(self, document: Any) -> None:
        config = read_config(document, self.default_scale)
        with self.lock:
            self.apply(config)

    def apply(self, config: Config) -> None:
        self.config = config
        self.faults = Faults(config.faults, config.seed)
        self.history = History()
        CLOCK.set_scale(config.time_scale)
        health.configure(config.health)
        quotas.configure(config.quotas)
        releases.configure(config.bottlerocket)
        whereabouts.configure(config.caller_address)
        keys.configure(config.key_cache)
        late_logs.configure(config.late_logs)
        insight_findings.configure(config.insights)
        leftovers.configure(config.cni_leftovers, config.auto_mode_leftovers)
        authorization.configure(config.caller_policy)
        caller.configure(config.caller)
        endpoint_zones.configure(config.endpoint_zones)

    def reset(self) -> None:
        with self.lock:
            planes.close_all()
            backend.reset()
            self.tokens = Tokens()
            self.log = []
            self.calls = 0
            self.apply(Config(time_scale=self.default_scale))

    def save(self, name: str) -> None:
        from provisioner_sandbox import saves

        with self.lock:
            self.saved[name] = saves.save(self.tokens)

    def restore(self, name: str) -> None:
        """Raises `KeyError` if nothing was saved under this name."""
        from provisioner_sandbox import saves

        with self.lock:
            self.tokens = saves.restore(self.saved[name])
            self.history = History()

    def hold(self, name: str) -> None:
        """Holds a call without an answer until it is released, or for a minute."""
        self.released.clear()
        self.held = name
        self.released.wait(LONGEST_HOLD)
        self.held = None

    def record(self, service: str, action: str, resource: str | None, status: int, fault: str | None) -> None:
        with self.lock:
            self.calls += 1
            self.log.append(
                {
                    "n": self.calls,
                    "time": time.time(),
                    "service": service,
                    "action": action,
                    "resource": resource,
                    "status": status,
                    "fault": fault,
                }
            )

    def empty_log(self) -> None:
        with self.lock:
            self.log = []
