"""Describe calls: ids, filters and pages, applied here to everything that moto has.

moto ignores MaxResults, crashes on filters it does not know, and leaves some out.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jmespath

from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.registry import HANDLERS, Call

Item = dict[str, Any]
MAX_PAGE = 1000
TOKEN_MARK = "after"


@dataclass(frozen=True)
class Listing:
    """A describe call. `filters`: AWS's filter name to where its value stands in an item."""

    operation: str
    result: str
    id_member: str
    ids_param: str
    not_found: tuple[str, str]
    filters: dict[str, str]
    filters_param: str = "Filters"
    tags_member: str = "Tags"
    decorate: Callable[[Call, list[Item]], list[Item]] | None = None
    source: Callable[[Call], list[Item]] | None = None
    taggable: bool = True
    extra_params: tuple[str, ...] = field(default=())


    def missing(self, wanted: str) -> AwsError:
        code, message = self.not_found
        return AwsError(code, message.format(wanted))


def listing(result: str, id_member: str, **fields: Any) -> Listing:
    """Registers a describe call, by default under the names that most have: `DescribeVpcs` returns `Vpcs`, whose member
    `VpcId` is asked for with `VpcIds`."""
    usual = {"operation": f"Describe{result}", "ids_param": f"{id_member}s"}
    made = Listing(result=result, id_member=id_member, **{**usual, **fields})
    HANDLERS["ec2", made.operation] = lambda call: describe(call, made)
    return made


def describe(call: Call, spec: Listing) -> dict[str, Any]:
    items = all_items(call, spec)
    ids = call.params.get(spec.ids_param) or []
    if ids:
        items = by_id(spec, items, ids)
    page, token = select(call, spec, items)
    return {spec.result: page, "NextToken": token} if token else {spec.result: page}


def select(call: Call, spec: Listing, items: list[Item]) -> tuple[list[Item], str | None]:
    """The page of the items that pass the call's filters, and the token of the next one."""
    for condition in call.params.get(spec.filters_param) or []:
        items = [item for item in items if passes(spec, item, condition)]
    return paginate(items, spec.id_member, call.params)


def all_items(call: Call, spec: Listing) -> list[Item]:
    if spec.source:
        items = spec.source(call)
    else:
        passed = {name: call.params[name] for name in spec.extra_params if name in call.params}
        items = call.moto(passed)[spec.result]
    return spec.decorate(call, items) if spec.decorate else items


def by_id(spec: Listing, items: list[Item], ids: list[str]) -> list[Item]:
    found = {item[spec.id_member]: item for item in items}
    for wanted in ids:
        if wanted not in found:
            raise spec.missing(wanted)
    return [found[wanted] for wanted in dict.fromkeys(ids)]


def passes(spec: Listing, item: Item, condition: dict[str, Any]) -> bool:
    name, wanted = condition.get("Name", ""), condition.get("Values") or []
    values = filter_values(spec, item, name)
    return any(matches(value, pattern) for value in values for pattern in wanted)


def filter_values(spec: Listing, item: Item, name: str) -> list[str]:
    tags = item.get(spec.tags_member) or []
    if spec.taggable and name.startswith("tag:"):
        return [tag.get("Value", "") for tag in tags if tag["Key"] == name[4:]]
    if spec.taggable and name == "tag-key":
        return [tag["Key"] for tag in tags]
    if name not in spec.filters:
        raise AwsError("InvalidParameterValue", f"The filter '{name}' is invalid")
    found = expression(spec.filters[name]).search(item)
    values = found if isinstance(found, list) else [found]
    return [as_text(value) for value in values if value is not None]


@cache
def expression(path: str) -> Any:
    return jmespath.compile(path)


def as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def matches(value: str, pattern: str) -> bool:
    """`*` and `?` are wildcards, a backslash takes that from them. Case counts.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html
    """
    return wildcard(pattern).fullmatch(value) is not None


@cache
def wildcard(pattern: str) -> re.Pattern[str]:
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    meaning = {"*": ".*", "?": "."}
    text = "".join(meaning.get(part) or re.escape(part[-1]) for part in parts)
    return re.compile(text, re.DOTALL)


def paginate(items: list[Item], id_member: str, params: dict[str, Any]) -> tuple[list[Item], str | None]:
    """The token names the last item given, so that a page stays right while others come and go."""
    if params.get("NextToken"):
        last = read_token(params["NextToken"])
        position = next((n for n, item in enumerate(items) if item[id_member] == last), None)
        items = items[position + 1 :] if position is not None else []
    size = min(params.get("MaxResults") or MAX_PAGE, MAX_PAGE)
    if len(items) <= size:
        return items, None
    return items[:size], base64.urlsafe_b64encode(f"{TOKEN_MARK}:{items[size - 1][id_member]}".encode()).decode()


def read_token(token: str) -> str:
    try:
        mark, _, last = base64.urlsafe_b64decode(token).decode().partition(":")
    except (binascii.Error, UnicodeError):
        mark = last = ""
    if mark != TOKEN_MARK or not last:
        raise AwsError("InvalidNextToken", "The specified NextToken is not valid.")
    return last
