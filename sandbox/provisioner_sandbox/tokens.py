"""Idempotency tokens: the first answer again, or a refusal when the parameters are others.

Source: https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from moto.core.model import OperationModel

from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.wire.message import Answer
from provisioner_sandbox.wire.models import input_members

TOKEN_NAMES = ("ClientToken", "clientToken", "ClientRequestToken", "clientRequestToken")
# In what a service declares for it, the first that an operation has.
MISMATCH_CODES = ("IdempotentParameterMismatchException", "IdempotentParameterMismatch", "InvalidParameterException")

Key = tuple[str, str, str, str]


@dataclass
class First:
    params: dict[str, Any]
    answer: Answer


class Tokens:
    def __init__(self) -> None:
        self.first: dict[Key, First] = {}

    def replay(self, service: str, region: str, operation: OperationModel, params: dict[str, Any]) -> Answer | None:
        member = token_member(operation, params)
        first = member and self.first.get((service, region, operation.name, params[member]))
        if not first:
            return None
        if first.params != without(params, member):
            raise mismatch(operation, params[member])
        return first.answer

    def remember(
        self, service: str, region: str, operation: OperationModel, params: dict[str, Any], answer: Answer
    ) -> None:
        member = token_member(operation, params)
        if member and answer.ok:
            self.first[service, region, operation.name, params[member]] = First(without(params, member), answer)


def token_member(operation: OperationModel, params: dict[str, Any]) -> str | None:
    for name, shape in input_members(operation).items():
        marked = shape.metadata.get("idempotencyToken") or name in TOKEN_NAMES
        if marked and isinstance(params.get(name), str) and params[name]:
            return name
    return None


def without(params: dict[str, Any], member: str) -> dict[str, Any]:
    return {key: value for key, value in params.items() if key != member}


def mismatch(operation: OperationModel, token: str) -> AwsError:
    codes = {shape.error_code for shape in operation.error_shapes}
    code = next((code for code in MISMATCH_CODES if code in codes), "IdempotentParameterMismatch")
    message = f"The client token {token!r} was used before with other parameters."
    return AwsError(code, message)
