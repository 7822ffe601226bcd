"""What moto's repositories do not hold: layers, and the uploads that become layers."""

from __future__ import annotations

import base64
import copy
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from moto.ecr.models import ECRBackend

from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.registry import Call

# When maxResults is not given; https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImages.html
DEFAULT_PAGE = 100
LOCKS = (type(threading.Lock()), type(threading.RLock()))


@dataclass
class Upload:
    parts: list[bytes] = field(default_factory=list)

    @property
    def received(self) -> int:
        return sum(len(part) for part in self.parts)


@dataclass
class Contents:
    """Kept on moto's repository, so that it goes with it, with a reset and into a copy."""

    layers: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)


def contents(repository: Any) -> Contents:
    if not hasattr(repository, "sandbox_contents"):
        repository.sandbox_contents = Contents()
    return repository.sandbox_contents


def repository_of(call: Call) -> Any:
    """Or RepositoryNotFoundException, as moto words it."""
    return call.backend._get_repository(call.params["repositoryName"], call.params.get("registryId"))


def where(repository: Any) -> str:
    return f"repository with name '{repository.name}' in the registry with id '{repository.registry_id}'"


def invalid(parameter: str, reason: str) -> AwsError:
    message = f"Invalid parameter at '{parameter}' failed to satisfy constraint: '{reason}'"
    return AwsError("InvalidParameterException", message)


def paginate(items: list[Any], identity: Callable[[Any], str], params: dict[str, Any]) -> tuple[list[Any], str | None]:
    """The token names the last item given, so that a page stays right while others come and go."""
    items = sorted(items, key=identity)
    if params.get("nextToken"):
        last = read_token(params["nextToken"])
        items = [item for item in items if identity(item) > last]
    size = params.get("maxResults") or DEFAULT_PAGE
    if len(items) <= size:
        return items, None
    return items[:size], base64.urlsafe_b64encode(identity(items[size - 1]).encode()).decode()


def read_token(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except ValueError:
        raise invalid("nextToken", "Invalid nextToken") from None


def copied(self: ECRBackend, memo: dict[int, Any]) -> ECRBackend:
    """moto keeps a lock here, which no copy can hold: the copy shares it."""
    memo.update({id(value): value for value in vars(self).values() if isinstance(value, LOCKS)})
    made = self.__class__.__new__(self.__class__)
    memo[id(self)] = made
    made.__dict__.update(copy.deepcopy(vars(self), memo))
    return made


ECRBackend.__deepcopy__ = copied
