"""Errors as answers: problem details of RFC 9457, with an error code where there is one. Never a stack trace."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from demo.logs import request_id


class Problem(Exception):
    def __init__(self, status: int, detail: str, code: str | None = None, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.code = code
        self.retry_after = retry_after


def answer(
    status: int, detail: str | None, code: str | None = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "requestId": request_id.get(),
    }
    return JSONResponse(
        {name: value for name, value in body.items() if value is not None},
        status,
        {"Cache-Control": "no-store", **(headers or {})},
        "application/problem+json",
    )


async def on_problem(_: Request, problem: Problem) -> JSONResponse:
    headers = {} if problem.retry_after is None else {"Retry-After": str(problem.retry_after)}
    return answer(problem.status, problem.detail, problem.code, headers)


async def on_http_exception(_: Request, error: HTTPException) -> JSONResponse:
    """What the framework itself refuses: unknown paths and methods."""
    return answer(error.status_code, None, headers=error.headers)
