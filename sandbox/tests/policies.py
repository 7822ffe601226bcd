"""Policy documents, as the tests of permissions write them."""

from __future__ import annotations

from typing import Any

CALLER = "arn:aws:iam::123456789012:user/sandbox"


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(*actions: str, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource, **more}


def deny(*actions: str, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {**allow(*actions, resource=resource, **more), "Effect": "Deny"}
