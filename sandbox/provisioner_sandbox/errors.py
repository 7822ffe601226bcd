"""The one exception that becomes an AWS error answer."""

from __future__ import annotations

from typing import Any

NOT_IMPLEMENTED = "NotImplementedByTarget"


class AwsError(Exception):
    """An error as AWS answers it; the protocol's shape is given to it by `wire.render`."""

    def __init__(self, code: str, message: str, status: int = 400, **fields: Any):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.fields = fields


def not_implemented(what: str) -> AwsError:
    """501 and not 500: SDKs repeat a 500, and no repeat can make a missing operation work."""
    return AwsError(NOT_IMPLEMENTED, f"{what} is not implemented by this target", 501)
