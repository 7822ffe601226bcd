"""The checks by kind. The modules of this package add theirs with `of`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from provisioner_sandbox.kube.status import Cause

Object = dict[str, Any]
Causes = list[Cause]
IMMUTABLE = "field is immutable"
CHECKS: dict[str, Callable[[Object, Object | None], Causes]] = {}


def of(*kinds: str) -> Callable[[Any], Any]:
    def register(function: Any) -> Any:
        for kind in kinds:
            CHECKS[kind] = function
        return function

    return register
