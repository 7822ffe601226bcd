"""Parameters against the service model: what is required, how long, how big, of which form.

moto checks little of this, and botocore checks lengths and patterns not at all, so that a client
other than boto3 would find out in AWS only.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from functools import cache
from typing import Any

from moto.core.model import ListShape, MapShape, OperationModel, Shape, StructureShape

from provisioner_sandbox.errors import AwsError

# Unicode classes that Python's `re` does not have, by the nearest class that holds all of them: a
# check that is too wide misses an error, one that is too narrow would refuse what AWS takes.
UNICODE_CLASSES = {r"\p{L}": r"\w", r"\p{N}": r"\w", r"\p{M}": r"\w", r"\p{Z}": r"\s", r"\p{S}": r"\W", r"\p{P}": r"\W"}


class Violation(Exception):
    def __init__(self, kind: str, path: str, value: Any, rule: str):
        super().__init__(rule)
        self.kind, self.path, self.value, self.rule = kind, path, value, rule


def validate(operation: OperationModel, params: dict[str, Any]) -> None:
    violation = next(violations(operation.input_shape, params, ""), None)
    if violation:
        raise refusal(operation, violation)


def violations(shape: Shape, value: Any, path: str) -> Iterator[Violation]:
    if isinstance(shape, StructureShape):
        yield from structure(shape, value, path)
        return
    yield from bounds(shape, value, path)
    if isinstance(shape, ListShape):
        for n, item in enumerate(value, 1):
            yield from violations(shape.member, item, f"{path}.{n}")
    elif isinstance(shape, MapShape):
        for key, item in value.items():
            yield from violations(shape.key, key, f"{path}.{key}")
            yield from violations(shape.value, item, f"{path}.{key}")
    elif shape.type_name == "string" and isinstance(value, str):
        yield from text(shape, value, path)


def structure(shape: StructureShape, value: Any, path: str) -> Iterator[Violation]:
    if shape.is_document_type or not isinstance(value, dict):
        return
    for name in shape.required_members:
        if name not in value:
            yield Violation("missing", f"{path}.{name}" if path else name, None, "Member must not be null")
    for name, item in value.items():
        if name in shape.members:
            yield from violations(shape.members[name], item, f"{path}.{name}" if path else name)


def bounds(shape: Shape, value: Any, path: str) -> Iterator[Violation]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is None and high is None:
        return
    if shape.type_name in ("integer", "long", "float", "double"):
        size, words = value, "value"
    else:
        size, words = len(value), "length"
    if low is not None and size < low:
        yield Violation("bounds", path, value, f"Member must have {words} greater than or equal to {low}")
    if high is not None and size > high:
        yield Violation("bounds", path, value, f"Member must have {words} less than or equal to {high}")


def text(shape: Shape, value: str, path: str) -> Iterator[Violation]:
    allowed = shape.metadata.get("enum")
    if allowed and value not in allowed:
        yield Violation("enum", path, value, f"Member must satisfy enum value set: [{', '.join(allowed)}]")
    pattern = shape.metadata.get("pattern")
    if pattern and not matches(pattern, value):
        yield Violation("pattern", path, value, f"Member must satisfy regular expression pattern: {pattern}")


def matches(pattern: str, value: str) -> bool:
    compiled = compile_pattern(pattern)
    if compiled is None:
        return True
    # A pattern without anchors means the whole value; one that is anchored says itself what it means.
    if pattern.startswith("^") or pattern.endswith("$"):
        return compiled.search(value) is not None
    return compiled.fullmatch(value) is not None


@cache
def compile_pattern(pattern: str) -> re.Pattern[str] | None:
    """None for what Python cannot read: better no check than a false refusal."""
    for theirs, ours in UNICODE_CLASSES.items():
        pattern = pattern.replace(theirs, ours)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return re.compile(pattern)
    except re.error:
        return None


def refusal(operation: OperationModel, found: Violation) -> AwsError:
    protocol = operation.service_model.protocol
    if protocol == "ec2":
        return ec2_refusal(found)
    if protocol == "rest-xml":
        if found.kind == "missing" or "." in found.path:
            return AwsError(
                "MalformedXML",
                "The XML you provided was not well-formed or did not validate against our published schema",
            )
        return AwsError("InvalidArgument", f"Invalid value {found.value!r} for {found.path}: {found.rule}")
    path = ".".join(part[:1].lower() + part[1:] for part in found.path.split("."))
    value = "null" if found.kind == "missing" else f"'{found.value}'"
    message = f"1 validation error detected: Value {value} at '{path}' failed to satisfy constraint: {found.rule}"
    return AwsError(validation_code(operation), message)


def ec2_refusal(found: Violation) -> AwsError:
    name = found.path[:1].lower() + found.path[1:]
    if found.kind == "missing":
        return AwsError("MissingParameter", f"The request must contain the parameter {name}")
    return AwsError("InvalidParameterValue", f"Value ({found.value}) for parameter {name} is invalid. {found.rule}")


def validation_code(operation: OperationModel) -> str:
    """What the service calls a bad parameter: by its model where that says so.

    EKS, ECR, CloudWatch Logs and the tagging API declare InvalidParameterException; KMS, DynamoDB
    and SSM answer AWS's common ValidationException, the query services ValidationError.
    https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
    """
    if operation.service_model.protocol == "query":
        return "ValidationError"
    codes = {shape.error_code for shape in operation.error_shapes} | {shape.name for shape in operation.error_shapes}
    return "InvalidParameterException" if "InvalidParameterException" in codes else "ValidationException"
