"""The way of a request: identify, fault, permission, check, token, moto, log."""

from __future__ import annotations

import sys
import time
import traceback
from contextlib import nullcontext
from typing import Any

from moto.core.exceptions import HTTPException, ServiceException

from provisioner_sandbox import authorization, registry
from provisioner_sandbox.caller import calls
from provisioner_sandbox.clock import CLOCK
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.faults import HELD, LOST_REQUESTS, LOST_RESPONSES, Fault
from provisioner_sandbox.registry import Call
from provisioner_sandbox.sessions import any_session, session
from provisioner_sandbox.subject import subject
from provisioner_sandbox.wire.identify import Target, identify, scope
from provisioner_sandbox.wire.message import Answer, Request
from provisioner_sandbox.wire.models import is_read
from provisioner_sandbox.wire.parse import parse
from provisioner_sandbox.wire.render import render_error, render_result
from provisioner_sandbox.wire.validate import validate
from provisioner_sandbox.world import World

# What the log says of a call whose answer was never sent.
NO_ANSWER = 0


class Gateway:
    def __init__(self, world: World):
        self.world = world

    def handle(self, request: Request) -> Answer | None:
        """The answer, or None where the connection is to be dropped without one."""
        try:
            target = identify(request)
        except AwsError as error:
            return self.unidentified(request, error)
        protocol = target.protocol
        name = f"{target.service}:{target.operation.name}"
        with self.world.lock:
            delays, fault = self.world.faults.pick(name, request)
            latency = self.world.config.latency_ms + sum(delay.ms for delay in delays)
        if latency:
            time.sleep(latency / 1000)
        resource: str | None = None
        answer: Answer | None
        try:
            params = parse(request, target)
            resource = subject(target.operation, params)
            answer = self.act(request, target, params, fault)
        except AwsError as error:
            answer = render_error(protocol, error, request)
        except (ServiceException, HTTPException) as refused:
            answer = render_error(protocol, from_moto(refused), request)
        except Exception as crash:
            traceback.print_exc(file=sys.stderr)
            error = AwsError("SandboxFailure", f"{name}: {type(crash).__name__}: {crash}", 501)
            answer = render_error(protocol, error, request)
        if fault and fault.kind == "error_after" and answer.ok:
            answer = render_error(protocol, fault.error(target.service, protocol), request)
        if fault and fault.kind in HELD:
            # The effect is complete, or never happens: the caller can be stopped in between.
            self.world.hold(name)
        if fault and fault.kind in LOST_REQUESTS | LOST_RESPONSES:
            answer = None
        hit = fault or (delays[0] if delays else None)
        status = answer.status if answer else NO_ANSWER
        self.world.record(target.service, target.operation.name, resource, status, hit and hit.kind)
        return answer

    def act(self, request: Request, target: Target, params: dict[str, Any], fault: Fault | None) -> Answer:
        operation, service, region = target.operation, target.service, target.region
        if fault and fault.kind in ("throttle", "error"):
            raise fault.error(service, target.protocol)
        if fault and fault.kind in LOST_REQUESTS:
            return Answer(200, {}, b"")
        world = self.world
        with world.lock:
            held = any_session(request)
            calls(None if session(request) is not None else held)
            authorization.check(target, params, request)
        validate(operation, params)
        with world.lock:
            replayed = world.tokens.replay(service, region, operation, params)
            if replayed:
                return replayed
            if not is_read(operation.name):
                world.history.before_write(service, region, world.faults.stale_window(service))
            stale = fault if fault and fault.kind == "stale" else None
            past = world.history.as_of(service, region, stale.delay()) if stale else nullcontext()
            with past, CLOCK.standing_still():
                error = update_error(fault) if fault and fault.kind == "update_fails" else None
                result = registry.run(Call(request, service, region, operation, params, target.protocol, error))
            answer = (
                result if isinstance(result, Answer) else render_result(operation, result, request, target.protocol)
            )
            world.tokens.remember(service, region, operation, params, answer)
        return answer

    def unidentified(self, request: Request, error: AwsError) -> Answer:
        service, _ = scope(request)
        action = request.form.get("Action") or request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        self.world.record(service, action or f"{request.method} {request.path}", None, error.status, None)
        return refusal(request, error)


def refusal(request: Request, error: AwsError) -> Answer:
    """An error in the form that the caller expects, as far as it can be told."""
    return render_error(protocol_guess(request, scope(request)[0]), error, request)


def update_error(fault: Fault) -> dict[str, Any]:
    """The error of an update that fails because of `fault`, as DescribeUpdate lists it."""
    message = fault.message or "The update failed."
    return {"errorCode": fault.code or "Unknown", "errorMessage": message, "resourceIds": []}


def from_moto(error: Exception) -> AwsError:
    """What moto's own classes raise when a handler calls them directly."""
    if isinstance(error, ServiceException):
        return AwsError(error.code, error.message)
    code = getattr(error, "error_type", type(error).__name__)
    return AwsError(code, getattr(error, "message", str(error)), error.code or 400)


def protocol_guess(request: Request, service: str) -> str:
    if service == "ec2":
        return "ec2"
    if service == "s3":
        return "rest-xml"
    return "query" if "Action" in request.form else "json"
