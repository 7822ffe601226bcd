"""Condition blocks of policies.

A key that a request does not have makes a condition false, a negated one and one `IfExists` true.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

from __future__ import annotations

import fnmatch
import ipaddress
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from botocore.utils import parse_timestamp

Test = Callable[[str, str], bool]


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def like(value: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(value, pattern.replace("[", "[[]"))


def number(test: Callable[[float, float], bool]) -> Test:
    def compare(value: str, wanted: str) -> bool:
        try:
            return test(float(value), float(wanted))
        except ValueError:
            return False

    return compare


def date(test: Callable[[datetime, datetime], bool]) -> Test:
    def aware(text: str) -> datetime:
        parsed = parse_timestamp(text)
        return parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)

    def compare(value: str, wanted: str) -> bool:
        try:
            return test(aware(value), aware(wanted))
        except ValueError:
            return False

    return compare


def in_network(value: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


POSITIVE: dict[str, Test] = {
    "StringEquals": lambda value, wanted: value == wanted,
    "StringEqualsIgnoreCase": lambda value, wanted: value.lower() == wanted.lower(),
    "StringLike": like,
    "NumericEquals": number(lambda value, wanted: value == wanted),
    "NumericLessThan": number(lambda value, wanted: value < wanted),
    "NumericLessThanEquals": number(lambda value, wanted: value <= wanted),
    "NumericGreaterThan": number(lambda value, wanted: value > wanted),
    "NumericGreaterThanEquals": number(lambda value, wanted: value >= wanted),
    "DateEquals": date(lambda value, wanted: value == wanted),
    "DateLessThan": date(lambda value, wanted: value < wanted),
    "DateLessThanEquals": date(lambda value, wanted: value <= wanted),
    "DateGreaterThan": date(lambda value, wanted: value > wanted),
    "DateGreaterThanEquals": date(lambda value, wanted: value >= wanted),
    "Bool": lambda value, wanted: value.lower() == wanted.lower(),
    "BinaryEquals": lambda value, wanted: value == wanted,
    "IpAddress": in_network,
    "ArnEquals": like,
    "ArnLike": like,
}
NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
    "NotIpAddress": "IpAddress",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
}


def split(operator: str) -> tuple[str, str, bool]:
    """(ForAllValues, ForAnyValue or nothing; the operator itself; whether IfExists)."""
    quantifier, _, bare = operator.rpartition(":")
    return quantifier, bare.removesuffix("IfExists"), bare.endswith("IfExists")


def is_operator(operator: str) -> bool:
    quantifier, bare, _ = split(operator)
    known = bare in POSITIVE or bare in NEGATED or bare == "Null"
    return known and quantifier in ("", "ForAllValues", "ForAnyValue")


def met(conditions: dict[str, dict[str, Any]], context: dict[str, list[str]]) -> bool:
    """All operators and all keys must hold; of several wanted values, one."""
    return all(
        holds(operator, context.get(key.lower()), [text(value) for value in as_list(wanted)])
        for operator, keys in conditions.items()
        for key, wanted in keys.items()
    )


def text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def holds(operator: str, values: list[str] | None, wanted: list[str]) -> bool:
    quantifier, bare, if_exists = split(operator)
    if bare == "Null":
        return any((values is None) == (one.lower() == "true") for one in wanted)
    negated = bare in NEGATED
    if values is None:
        return negated or if_exists or quantifier == "ForAllValues"
    test = POSITIVE[NEGATED.get(bare, bare)]

    def one_holds(value: str) -> bool:
        return any(test(value, one) for one in wanted) != negated

    return all(map(one_holds, values)) if quantifier == "ForAllValues" else any(map(one_holds, values))
