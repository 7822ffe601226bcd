"""Which service, region and operation a request is for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from urllib.parse import parse_qsl, unquote

from moto.core.model import OperationModel, ServiceModel

from provisioner_sandbox.errors import not_implemented
from provisioner_sandbox.wire.cbor import PROTOCOL as CBOR
from provisioner_sandbox.wire.message import Request
from provisioner_sandbox.wire.models import input_members, service_model, service_name

DEFAULT_REGION = "us-east-1"
SCOPE = re.compile(r"Credential=[^/,\s]+/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
# Operations that AWS lets anybody call, so that they come without a signature.
UNSIGNED_ACTIONS = {"AssumeRoleWithWebIdentity": "sts", "AssumeRoleWithSAML": "sts"}


@dataclass
class Target:
    service: str
    region: str
    operation: OperationModel
    labels: dict[str, str]
    protocol: str


@dataclass(frozen=True)
class Route:
    """How a REST operation is recognised: its path, and what must come with it."""

    operation: str
    method: str
    pattern: re.Pattern[str]
    constants: tuple[tuple[str, str], ...]
    query_members: frozenset[str]
    header_members: frozenset[str]
    deprecated: bool

    def rank(self) -> tuple[int, int, bool, int]:
        """The more a route asks for, the more it means the request."""
        asked = len(self.constants) + len(self.query_members) + len(self.header_members)
        return (asked, len(self.pattern.pattern), not self.deprecated, -len(self.operation))


def scope(request: Request) -> tuple[str, str]:
    """(signing name, region) from the header, from a presigned URL, or for unsigned calls by guess."""
    match = SCOPE.search(request.headers.get("Authorization", ""))
    if match:
        return match["service"], match["region"]
    presigned = request.query_items.get("X-Amz-Credential")
    if presigned:
        match = SCOPE.search(f"Credential={presigned[0]}")
        if match:
            return match["service"], match["region"]
    action = request.form.get("Action")
    if action in UNSIGNED_ACTIONS:
        return UNSIGNED_ACTIONS[action], DEFAULT_REGION
    return "s3", DEFAULT_REGION


def identify(request: Request) -> Target:
    signing_name, region = scope(request)
    service = service_name(signing_name, request.form.get("Version"))
    model = service_model(service)
    if model is None:
        raise not_implemented(f"the service {service!r}")
    name, labels = operation_name(request, model)
    if name is None or name not in model.operation_names:
        raise not_implemented(f"{service}:{name or request.method + ' ' + request.path}")
    return Target(service, region, model.operation_model(name), labels, protocol(request, model))


def protocol(request: Request, model: ServiceModel) -> str:
    """By what came, since a service may offer several and each SDK takes the one it likes best."""
    if "X-Amz-Target" in request.headers:
        return "json"
    if request.headers.get("smithy-protocol") == "rpc-v2-cbor":
        return CBOR
    if "Action" in request.form:
        return "ec2" if model.protocol == "ec2" else "query"
    return model.protocol


def operation_name(request: Request, model: ServiceModel) -> tuple[str | None, dict[str, str]]:
    target = request.headers.get("X-Amz-Target")
    if target:
        return target.rpartition(".")[2], {}
    if "Action" in request.form:
        return request.form["Action"], {}
    found = re.match(r"^/service/[^/]+/operation/(\w+)$", request.path)
    if found:
        return found[1], {}
    return rest_operation(request, model)


def rest_operation(request: Request, model: ServiceModel) -> tuple[str | None, dict[str, str]]:
    query = request.query_items
    best: tuple[Route, re.Match[str]] | None = None
    for route in routes(model.service_name):
        if route.method != request.method:
            continue
        match = route.pattern.match(request.path)
        if not match or not fits(route, request, query):
            continue
        if best is None or route.rank() > best[0].rank():
            best = (route, match)
    if best is None:
        return None, {}
    route, match = best
    labels = {key[1:]: unquote(value) for key, value in match.groupdict().items()}
    named = label_names(model.service_name, route.operation)
    return route.operation, {named[int(key)]: value for key, value in labels.items()}


def fits(route: Route, request: Request, query: dict[str, list[str]]) -> bool:
    for key, value in route.constants:
        if key not in query or (value and value not in query[key]):
            return False
    return all(name in query for name in route.query_members) and all(
        name in request.headers for name in route.header_members
    )


@cache
def routes(service: str) -> list[Route]:
    model = service_model(service)
    return [build_route(service, model.operation_model(name)) for name in model.operation_names]


@cache
def label_names(service: str, operation: str) -> list[str]:
    uri = service_model(service).operation_model(operation).http["requestUri"]
    return [name.rstrip("+") for name in re.findall(r"\{([^}]+)\}", uri.partition("?")[0])]


def build_route(service: str, operation: OperationModel) -> Route:
    path, _, constants = operation.http.get("requestUri", "/").partition("?")
    numbers = iter(range(len(label_names(service, operation.name))))
    pattern = ""
    for piece in re.split(r"(\{[^}]+\})", path):
        if not piece.startswith("{"):
            pattern += re.escape(piece)
        elif piece.endswith("+}"):
            pattern += f"(?P<_{next(numbers)}>.+)"
        else:
            pattern += f"(?P<_{next(numbers)}>[^/]+)"
    required = set(operation.input_shape.required_members) if operation.input_shape else set()
    members = input_members(operation)

    def needed(location: str) -> frozenset[str]:
        return frozenset(
            members[name].serialization.get("name", name)
            for name in required
            if members[name].serialization.get("location") == location
        )

    # Only S3 tells operations on one path apart by parameters. Elsewhere a missing one is an error
    # of the caller, and the operation is known all the same.
    by_parameters = service == "s3"
    return Route(
        operation.name,
        operation.http.get("method", "POST"),
        re.compile(f"^{pattern}/?$"),
        tuple(item for item in parse_qsl(constants, keep_blank_values=True) if item[0] != "x-id"),
        needed("querystring") if by_parameters else frozenset(),
        needed("header") if by_parameters else frozenset(),
        operation.deprecated,
    )
