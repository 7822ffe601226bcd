"""moto, called in this process: no Flask, no second HTTP hop, no HTML error pages.

moto's in-process mode answers prepared botocore requests to AWS's own host names; the same code
serves `mock_aws` in its own test suite.
"""

from __future__ import annotations

import copy
import os
import re
import sys
import traceback
from contextlib import contextmanager
from functools import cache
from typing import Any
from urllib.parse import urlencode

# The account is always this one, whatever the credentials; AMIs are data that nothing here reads.
ACCOUNT = "123456789012"
os.environ["MOTO_ACCOUNT_ID"] = ACCOUNT
os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")

from provisioner_sandbox import moto_economy  # noqa: E402

moto_economy.install()

import botocore.parsers  # noqa: E402
import moto.backend_index as backend_index  # noqa: E402
import moto.backends as moto_backends  # noqa: E402
from botocore.awsrequest import AWSPreparedRequest  # noqa: E402
from botocore.compat import HTTPHeaders  # noqa: E402
from botocore.serialize import create_serializer  # noqa: E402
from moto.core.base_backend import BackendDict, BaseBackend, backend_lock  # noqa: E402
from moto.core.exceptions import HTTPException, ServiceException  # noqa: E402
from moto.core.model import OperationModel  # noqa: E402
from moto.core.model_instances import reset_model_data  # noqa: E402
from moto.core.serialize import SERIALIZERS  # noqa: E402
from moto.utilities.utils import get_partition  # noqa: E402

from provisioner_sandbox import managed_policies  # noqa: E402
from provisioner_sandbox.errors import AwsError, not_implemented  # noqa: E402
from provisioner_sandbox.wire.message import Answer, Request  # noqa: E402
from provisioner_sandbox.wire.models import service_model  # noqa: E402

managed_policies.install()


def account_backends(service: str, region: str) -> tuple[Any, str]:
    """A service's backends by region, and the key: the partition's name where one serves them all."""
    account = moto_backends.get_backend(service)[ACCOUNT]
    return account, region if region in account.regions else get_partition(region)


def backend(service: str, region: str) -> Any:
    """moto's backend of a service, whose attributes the handlers read and change."""
    account, key = account_backends(service, region)
    return account[key]


def forward(request: Request, service: str, region: str) -> Answer:
    """The request to moto as it is, and moto's answer as it is, but for crashes and missing parts."""
    host = f"https://{host_name(service, region)}"
    url = host + request.path
    headers = HTTPHeaders()
    for key, value in request.headers.items():
        headers[key] = value
    headers["host"] = host_name(service, region)
    if request.query:
        url += "?" + request.query
    prepared = AWSPreparedRequest(request.method, url, headers, request.body, False)
    handler = find_handler(service, region, host + request.path)
    if handler is None:
        raise not_implemented(f"{service}: {request.method} {request.path}")
    try:
        status, answer_headers, body = handler(prepared, url, headers)
    except NotImplementedError as missing:
        raise not_implemented(str(missing)) from None
    except ServiceException as error:
        raise AwsError(error.code, error.message) from None
    except HTTPException as error:
        status, answer_headers, body = error.code, error.get_headers(), error.get_body()
    except AwsError:
        raise
    except Exception as crash:
        traceback.print_exc(file=sys.stderr)
        raise not_implemented(f"{service}: {type(crash).__name__}: {crash}") from crash
    answer = Answer(
        int(status),
        {str(key): str(value) for key, value in dict(answer_headers).items() if key.lower() != "status"},
        body.encode() if isinstance(body, str) else bytes(body or b""),
    )
    if answer.body == b"Not yet implemented" or answer.body.lstrip()[:9].lower() == b"<!doctype":
        raise not_implemented(f"{service}: {request.method} {request.path}")
    return answer


def call(operation: OperationModel, params: dict[str, Any], region: str, like: Request) -> dict[str, Any]:
    """moto's answer to `params`, read back by botocore: for handlers that change either."""
    service = operation.service_model.service_name
    protocol = moto_protocol(operation)
    # As it stands before auth, a serialised request has no host and no credentials; moto needs none.
    raw = create_serializer(protocol, include_validation=False).serialize_to_request(params, operation)
    body = raw["body"]
    if isinstance(body, dict):
        body = urlencode(body, doseq=True)
    path, _, inline = raw["url_path"].partition("?")
    query = inline or urlencode(raw["query_string"] or {}, doseq=True)
    headers = HTTPHeaders()
    for key, value in raw["headers"].items():
        headers[key] = value
    headers["Authorization"] = like.headers.get("Authorization", "")
    request = Request(raw["method"], path, query, headers, body.encode() if isinstance(body, str) else body, like.id)
    return read_answer(operation, forward(request, service, region))


def moto_protocol(operation: OperationModel) -> str:
    """The first of the service's protocols that moto has a serialiser for."""
    model = operation.service_model
    return next(name for name in model.metadata.get("protocols", [model.protocol]) if name in SERIALIZERS)


def read_answer(operation: OperationModel, answer: Answer) -> dict[str, Any]:
    parser = botocore.parsers.create_parser(moto_protocol(operation))
    parts = {"status_code": answer.status, "headers": HTTPHeaders(), "body": answer.body, "context": {}}
    for key, value in answer.headers.items():
        parts["headers"][key] = value
    parsed = parser.parse(parts, operation.output_shape)
    if not answer.ok:
        error = parsed.get("Error", {})
        raise AwsError(error.get("Code", "InternalFailure"), error.get("Message", ""), answer.status)
    parsed.pop("ResponseMetadata", None)
    return parsed


@cache
def host_name(service: str, region: str) -> str:
    prefix = service_model(service).endpoint_prefix
    return f"{prefix}.amazonaws.com" if service in ("iam", "route53") else f"{prefix}.{region}.amazonaws.com"


def find_handler(service: str, region: str, url: str) -> Any:
    for pattern, handler in handlers(service, region):
        if pattern.match(url):
            return handler
    return None


@cache
def handlers(service: str, region: str) -> list[tuple[re.Pattern[str], Any]]:
    base = f"https://{host_name(service, region)}/"
    found: list[tuple[re.Pattern[str], Any]] = []
    for name, pattern in backend_index.backend_url_patterns:
        if pattern.match(base):
            try:
                backends = moto_backends.get_backend(name)
            except ImportError:
                continue  # needs an extra of moto that this package does without
            urls = any_backend(backends).urls
            found += [(re.compile(url), handler) for url, handler in urls.items()]
    return found


def any_backend(backends: Any) -> Any:
    """URLs are the same in every region; moto keeps them on an instance all the same."""
    account = backends[ACCOUNT] if isinstance(backends, BackendDict) else backends
    for key in ("us-east-1", "aws", "global"):
        if key in account:
            return account[key]
    return next(iter(account.values()))


def reset() -> None:
    """Discards all backends. moto's own reset would first create each of them again."""
    with backend_lock:
        for backends in BackendDict._instances:
            for account in backends.values():
                for one in account.values():
                    if type(one).reset is not BaseBackend.reset:
                        one.reset()  # which closes its files
            backends.clear()
        BackendDict._instances.clear()
    reset_model_data()


def snapshot(service: str, region: str) -> Any:
    if service == "ssm":
        from provisioner_sandbox import parameter_copies

        parameter_copies.install()
    return copy.deepcopy(backend(service, region))


# The backends, by service and key, in whose place copies of them answer.
PAST: set[tuple[str, str]] = set()


def is_past(service: str, region: str) -> bool:
    """Whether a call sees a copy, which nothing may be done to that lasts."""
    return (service, account_backends(service, region)[1]) in PAST


@contextmanager
def replaced(copies: dict[tuple[str, str], Any]):
    """Answers calls from copies of the backends for as long as the block runs."""
    originals = {}
    for (service, region), stand_in in copies.items():
        account, key = account_backends(service, region)
        originals[service, key] = (account, account[key])
        dict.__setitem__(account, key, stand_in)
    PAST.update(originals)
    try:
        yield
    finally:
        PAST.difference_update(originals)
        for (_, key), (account, original) in originals.items():
            dict.__setitem__(account, key, original)


def is_global(service: str, region: str) -> bool:
    """Whether one backend serves all regions, so that a write in any of them is seen in all."""
    return account_backends(service, region)[1] != region
