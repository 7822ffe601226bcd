"""`/_ext/`: what tests ask of the sandbox itself."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from provisioner_sandbox import __version__
from provisioner_sandbox.config import ConfigError
from provisioner_sandbox.kube.processes.images import machine
from provisioner_sandbox.kube.processes.isolation import ISOLATION
from provisioner_sandbox.kube.settings import SETTINGS
from provisioner_sandbox.wire.message import Answer, Request
from provisioner_sandbox.world import World

PREFIX = "/_ext/"


class Control:
    def __init__(self, world: World):
        self.world = world
        self.routes = {
            ("GET", "/_ext/log"): lambda _: self.get_log(),
            ("DELETE", "/_ext/log"): lambda _: self.done(world.empty_log),
            ("POST", "/_ext/config"): self.configure,
            ("GET", "/_ext/status"): lambda _: self.status(),
            ("POST", "/_ext/release"): lambda _: self.done(world.released.set),
            ("POST", "/_ext/reset"): lambda _: self.done(world.reset),
            ("POST", "/_ext/save"): self.save,
            ("POST", "/_ext/restore"): self.restore,
        }

    def handle(self, request: Request) -> Answer:
        route = self.routes.get((request.method, request.path))
        if route:
            return route(request)
        known = any(path == request.path for _, path in self.routes)
        return reply(405 if known else 404, {"message": f"no {request.method} {request.path}"})

    def get_log(self) -> Answer:
        with self.world.lock:
            return reply(200, self.world.log)

    def configure(self, request: Request) -> Answer:
        try:
            self.world.configure(json.loads(request.body or b"{}"))
        except (ConfigError, json.JSONDecodeError, UnicodeDecodeError) as error:
            return reply(400, {"message": str(error)})
        return reply(200, {})

    def status(self) -> Answer:
        world = self.world
        return reply(
            200,
            {
                "running": True,
                "pid": os.getpid(),
                "version": __version__,
                "timeScale": world.config.time_scale,
                "calls": world.calls,
                "held": world.held,
                # What runs images that have no base of their own.
                "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
                "platform": f"linux/{machine()}",
                "kubernetes": SETTINGS.kubernetes(),
                # Why pods are plain processes of this user, where they are.
                "unisolated": ISOLATION.trouble(),
            },
        )

    def save(self, request: Request) -> Answer:
        return self.done(lambda: self.world.save(request.body.decode()))

    def restore(self, request: Request) -> Answer:
        name = request.body.decode()
        if name not in self.world.saved:
            return reply(409, {"message": f"nothing was saved as {name!r}"})
        return self.done(lambda: self.world.restore(name))

    @staticmethod
    def done(action: Any) -> Answer:
        action()
        return reply(200, {})


def reply(status: int, document: Any) -> Answer:
    return Answer(status, {"Content-Type": "application/json"}, json.dumps(document).encode())
