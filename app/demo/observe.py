"""Around each request: its id, its log line, its metrics, and an answer where the code had none."""

from __future__ import annotations

import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo import problems
from demo.health import Lifecycle
from demo.logs import fields, log, request_id
from demo.metrics import Metrics

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"}
# Asked every few seconds by machines: their lines are shown at debug while all is well.
QUIET = ("/health", "/metrics")
LONGEST = 256


class Observer:
    def __init__(self, app: ASGIApp, metrics: Metrics, lifecycle: Lifecycle) -> None:
        self.app = app
        self.metrics = metrics
        self.lifecycle = lifecycle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        identity = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        token = request_id.set(identity)
        started = time.perf_counter()
        status = 0

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                added = MutableHeaders(scope=message)
                added["X-Request-ID"] = identity
                added["X-Content-Type-Options"] = "nosniff"
                if self.lifecycle.draining:
                    added["Connection"] = "close"
            await send(message)

        try:
            with self.metrics.in_progress.track_inprogress():
                await self.app(scope, receive, observed)
        except Exception:
            if status:
                # Half an answer is out: the server ends the connection, and logs why.
                raise
            log.exception("request failed")
            await problems.answer(500, "The service failed. Its log has the cause.")(scope, receive, observed)
        finally:
            self._record(scope, headers, status or 500, time.perf_counter() - started)
            request_id.reset(token)

    def _record(self, scope: Scope, headers: Headers, status: int, seconds: float) -> None:
        # The template, never the path: a scanner must not become thousands of time series.
        route = getattr(scope.get("route"), "path", None) or "unmatched"
        method = scope["method"] if scope["method"] in METHODS else "other"
        labels = (method, route, str(status))
        self.metrics.requests.labels(*labels).inc()
        self.metrics.duration.labels(*labels).observe(seconds)
        path = scope["path"][:LONGEST]
        level = logging.DEBUG if route.startswith(QUIET) and status < 400 else logging.INFO
        log.log(
            level,
            "%s %s %s",
            scope["method"][:16],
            path,
            status,
            extra=fields(
                method=scope["method"][:16],
                path=path,
                route=route,
                status=status,
                durationMs=round(seconds * 1000, 1),
                client=scope["client"][0] if scope.get("client") else None,
                forwardedFor=headers.get("x-forwarded-for", "")[:LONGEST] or None,
            ),
        )
