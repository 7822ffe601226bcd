"""The process: settings, socket, server, and the way down."""

from __future__ import annotations

import os
import signal
import socket
import time
from dataclasses import asdict
from types import FrameType

import uvicorn

from demo import __version__, logs, settings
from demo.health import Lifecycle
from demo.logs import fields, log
from demo.service import create_app
from demo.settings import Settings, SettingsError

# Longer than the 60 s for which an Application Load Balancer keeps an idle connection. Were it shorter, the
# balancer would now and then send a request into a connection that is being closed, and answer 502.
KEEP_ALIVE = 75


class Server(uvicorn.Server):
    """Goes down in steps: on SIGTERM readiness fails and requests are served on for ``delay`` seconds, until no
    load balancer sends more; then the socket is closed and open requests get ``DEMO_SHUTDOWN_TIMEOUT`` to end.
    A second signal, or SIGINT, skips the delay, and one more ends the waiting."""

    def __init__(self, config: uvicorn.Config, lifecycle: Lifecycle, delay: int) -> None:
        super().__init__(config)
        self._lifecycle = lifecycle
        self._delay = delay
        self._stop_at: float | None = None
        self._signals: list[int] = []

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # uvicorn's own remembers the signal and dies of it at the end; a stop that was asked for ends with 0.
        if self.should_exit:
            self.force_exit = True
        hurry = self._lifecycle.draining or sig == signal.SIGINT
        self._lifecycle.draining = True
        self._stop_at = time.monotonic() + (0 if hurry else self._delay)
        self._signals.append(sig)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # From here on a signal drains.
        for listener in sockets or []:
            host, port = listener.getsockname()[:2]
            log.info("listening", extra=fields(host=host, port=port))

    async def on_tick(self, counter: int) -> bool:
        # Not in the handler, which may have interrupted the writing of another line.
        while self._signals:
            name = signal.Signals(self._signals.pop(0)).name
            wait = max(0.0, (self._stop_at or 0.0) - time.monotonic())
            log.info("draining", extra=fields(signal=name, seconds=round(wait, 1)))
        if self._stop_at is not None and time.monotonic() >= self._stop_at:
            self.should_exit = True
        return await super().on_tick(counter)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; ``::`` takes IPv4 too, where the machine has both."""
    if ":" not in host:
        return socket.create_server((host, port))
    dual = host == "::" and socket.has_dualstack_ipv6()
    return socket.create_server((host, port), family=socket.AF_INET6, dualstack_ipv6=dual)


def serve(config: Settings) -> int:
    log.info("starting", extra=fields(version=__version__, **asdict(config)))
    try:
        listener = listen(config.host, config.port)
    except OSError as error:
        cause = os.strerror(error.errno) if error.errno else str(error)
        log.error("cannot listen on %s port %s: %s", config.host, config.port, cause)
        return 1
    lifecycle = Lifecycle()
    server = Server(
        uvicorn.Config(
            create_app(config, lifecycle),
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=config.shutdown_timeout,
        ),
        lifecycle,
        config.shutdown_delay,
    )
    server.run(sockets=[listener])
    log.info("stopped")
    return 0


def main() -> int:
    """Serves until a signal; the exit code."""
    logs.configure(Settings.log_level)
    try:
        config = settings.read(os.environ)
    except SettingsError as error:
        for problem in error.problems:
            log.error(problem)
        return 2
    logs.configure(config.log_level)
    try:
        return serve(config)
    except Exception:
        log.exception("the service ended by an error")
        return 1
