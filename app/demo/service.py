"""The application and its paths."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.exceptions import HTTPException

from demo import __version__, health, problems
from demo.health import Lifecycle
from demo.metrics import Metrics
from demo.observe import Observer
from demo.parameter import ParameterReader
from demo.settings import Settings

METHODS = ["GET", "HEAD"]


def create_app(settings: Settings, lifecycle: Lifecycle) -> FastAPI:
    metrics = Metrics()
    reader = None
    if settings.parameter is not None:
        reader = ParameterReader(settings.parameter, settings.region, settings.parameter_ttl, metrics)

    # No generated pages: they would load scripts from the internet. No redirects: they would repeat the Host header.
    app = FastAPI(title="demo", version=__version__, openapi_url=None, redirect_slashes=False)
    app.add_middleware(Observer, metrics=metrics, lifecycle=lifecycle)
    app.exception_handler(problems.Problem)(problems.on_problem)
    app.exception_handler(HTTPException)(problems.on_http_exception)

    @app.api_route("/", methods=METHODS)
    async def root() -> PlainTextResponse:
        return PlainTextResponse(settings.root_response)

    @app.api_route("/api", methods=METHODS)
    async def api() -> JSONResponse:
        return JSONResponse({"message": settings.api_response})

    @app.api_route("/config", methods=METHODS)
    async def config() -> JSONResponse:
        if reader is None:
            raise problems.Problem(404, "No parameter is configured: DEMO_PARAMETER is not set.", "NotConfigured")
        found = await reader.read()
        body = {"name": found.name, "value": found.value, "version": found.version}
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    @app.api_route("/metrics", methods=METHODS)
    async def show_metrics(request: Request) -> Response:
        return metrics.answer(request.headers.get("accept", ""))

    @app.api_route("/health", methods=METHODS)
    async def overall() -> JSONResponse:
        checks = {"uptime": health.uptime(lifecycle), "server:state": health.serving(lifecycle)}
        if reader is not None:
            checks["ssm:responseTime"] = health.parameter(reader)
        return health.answer(checks)

    @app.api_route("/health/live", methods=METHODS)
    async def live() -> JSONResponse:
        return health.answer({"uptime": health.uptime(lifecycle)})

    @app.api_route("/health/ready", methods=METHODS)
    async def ready() -> JSONResponse:
        return health.answer({"server:state": health.serving(lifecycle)})

    return app
