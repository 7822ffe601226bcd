"""What a service's file adds to moto: a function for an operation, found by its name.

    @handles("ec2", "DeleteSubnet")
    def delete_subnet(call: Call) -> dict | Answer | None: ...

A handler validates, then answers with a dict in the output shape's names, or asks moto: with
`call.forward()` for moto's answer unchanged, with `call.moto()` for one to change. Operations without
a handler are passed to moto. A function with `@prepares` runs before each operation of its service.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from moto.core.model import OperationModel

from provisioner_sandbox import backend
from provisioner_sandbox.wire import cbor
from provisioner_sandbox.wire.message import Answer, Request


@dataclass
class Call:
    """One request to one operation, its parameters read and checked."""

    request: Request
    service: str
    region: str
    operation: OperationModel
    params: dict[str, Any]
    protocol: str
    # Why the update that this call starts is going to fail; none when it is left to its own outcome.
    update_error: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        return self.operation.name

    @property
    def backend(self) -> Any:
        return backend.backend(self.service, self.region)

    def forward(self) -> Answer | dict[str, Any]:
        if self.protocol == cbor.PROTOCOL:
            return self.moto()  # moto speaks the service's other protocol only
        return backend.forward(self.request, self.service, self.region)

    def moto(self, params: dict[str, Any] | None = None, operation: str | None = None) -> dict[str, Any]:
        """moto's result, for other parameters than the caller's or of another operation if given."""
        model = self.operation.service_model.operation_model(operation) if operation else self.operation
        return backend.call(model, self.params if params is None else params, self.region, self.request)


Handler = Callable[[Call], "dict[str, Any] | Answer | None"]
HANDLERS: dict[tuple[str, str], Handler] = {}
PREPARE: dict[str, list[Callable[[Call], None]]] = {}


def handles(service: str, *operations: str) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        for operation in operations:
            HANDLERS[service, operation] = handler
        return handler

    return register


def prepares(*services: str) -> Callable[[Callable[[Call], None]], Callable[[Call], None]]:
    def register(function: Callable[[Call], None]) -> Callable[[Call], None]:
        for service in services:
            PREPARE.setdefault(service, []).append(function)
        return function

    return register


@cache
def load(service: str) -> None:
    """Imports `services/<service>` and its `operations`, if they exist, the first time the service is called."""
    module = f"provisioner_sandbox.services.{service.replace('-', '_')}"
    for name in (module, f"{module}.operations"):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as missing:
            # A service of one file is no package.
            if missing.name not in (module, name):
                raise


def run(call: Call) -> dict[str, Any] | Answer | None:
    load(call.service)
    for prepare in PREPARE.get(call.service, []):
        prepare(call)
    handler = HANDLERS.get((call.service, call.name))
    return handler(call) if handler else call.forward()
