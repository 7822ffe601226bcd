"""What Kubernetes answers when it refuses: an exception that is a `Status`.

Wording: k8s.io/apimachinery/pkg/api/errors and k8s.io/apimachinery/pkg/util/validation/field.
"""

from __future__ import annotations

import json
from typing import Any


class Refused(Exception):
    """`code` is HTTP's, `reason` Kubernetes' own."""

    def __init__(self, code: int, reason: str, message: str, details: dict[str, Any] | None = None):
        super().__init__(f"{code} {reason}: {message}")
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    def document(self) -> dict[str, Any]:
        document = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": self.details,
            "code": self.code,
        }
        return {key: value for key, value in document.items() if value not in (None, "")}


class Cause:
    """One thing wrong with one field."""

    KINDS = {
        "FieldValueInvalid": "Invalid value",
        "FieldValueRequired": "Required value",
        "FieldValueNotSupported": "Unsupported value",
        "FieldValueForbidden": "Forbidden",
        "FieldValueDuplicate": "Duplicate value",
        "FieldValueNotFound": "Not found",
    }

    def __init__(self, reason: str, field: str, value: Any = None, detail: str = ""):
        self.reason = reason
        self.field = field
        text = self.KINDS[reason]
        if reason not in ("FieldValueRequired", "FieldValueForbidden"):
            text += f": {json.dumps(value, separators=(',', ':'))}"
        self.message = f"{text}: {detail}" if detail else text

    def document(self) -> dict[str, str]:
        return {"reason": self.reason, "message": self.message, "field": self.field}


def wrong(field: str, value: Any, detail: str) -> Cause:
    return Cause("FieldValueInvalid", field, value, detail)


def missing(field: str, detail: str = "") -> Cause:
    return Cause("FieldValueRequired", field, None, detail)


def forbidden_field(field: str, detail: str) -> Cause:
    return Cause("FieldValueForbidden", field, None, detail)


def unsupported(field: str, value: Any, known: list[str]) -> Cause:
    listed = ", ".join(json.dumps(one) for one in known)
    return Cause("FieldValueNotSupported", field, value, f"supported values: {listed}")


def qualified(plural: str, group: str) -> str:
    return f"{plural}.{group}" if group else plural


def details(name: str, group: str, kind: str, **more: Any) -> dict[str, Any]:
    found = {"name": name, "group": group, "kind": kind, **more}
    return {key: value for key, value in found.items() if value}


def not_found(plural: str, group: str, name: str) -> Refused:
    message = f'{qualified(plural, group)} "{name}" not found'
    return Refused(404, "NotFound", message, details(name, group, plural))


def no_such_resource() -> Refused:
    return Refused(404, "NotFound", "the server could not find the requested resource", {})


def not_allowed() -> Refused:
    return Refused(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {})


def exists(plural: str, group: str, name: str, ending: bool = False) -> Refused:
    message = f'{"object is being deleted: " if ending else ""}{qualified(plural, group)} "{name}" already exists'
    return Refused(409, "AlreadyExists", message, details(name, group, plural))


def conflict(plural: str, group: str, name: str, why: str) -> Refused:
    message = f'Operation cannot be fulfilled on {qualified(plural, group)} "{name}": {why}'
    return Refused(409, "Conflict", message, details(name, group, plural))


def modified(plural: str, group: str, name: str) -> Refused:
    why = "the object has been modified; please apply your changes to the latest version and try again"
    return conflict(plural, group, name, why)


def forbidden(plural: str, group: str, name: str, why: str, causes: list[dict[str, str]] | None = None) -> Refused:
    what = f'{qualified(plural, group)} "{name}"' if name else qualified(plural, group)
    return Refused(403, "Forbidden", f"{what} is forbidden: {why}", details(name, group, plural, causes=causes))


def invalid(kind: str, group: str, name: str, causes: list[Cause]) -> Refused:
    texts = [f"{cause.field}: {cause.message}" for cause in causes]
    text = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    message = f'{qualified(kind, group)} "{name}" is invalid: {text}'
    found = details(name, group, kind, causes=[cause.document() for cause in causes])
    return Refused(422, "Invalid", message, found)


def bad_request(message: str) -> Refused:
    return Refused(400, "BadRequest", message)


def unauthorized(why: str) -> Refused:
    """Kubernetes says no more than the word; why is among the causes."""
    return Refused(401, "Unauthorized", "Unauthorized", {"causes": [{"message": why}]})


def expired(message: str) -> Refused:
    return Refused(410, "Expired", message)


def unknown_to_us(what: str) -> Refused:
    message = (
        f"the sandbox's stand-in for Kubernetes does not support {what}; "
        "`provisioner sandbox start --kubernetes` starts a real API server"
    )
    return Refused(501, "NotImplemented", message)
