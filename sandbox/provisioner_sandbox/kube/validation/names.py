"""Names, labels and annotations. After Kubernetes' `apimachinery/pkg/util/validation`."""

from __future__ import annotations

import re

from provisioner_sandbox.kube.status import Cause, wrong
from provisioner_sandbox.kube.validation.checks import IMMUTABLE, Causes, Object

LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN = rf"{LABEL}(\.{LABEL})*"
SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    f"end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{SUBDOMAIN}')"
)
LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    f"an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{LABEL}')"
)
SERVICE = r"[a-z]([-a-z0-9]*[a-z0-9])?"
SERVICE_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    f"and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '{SERVICE}')"
)
QUALIFIED = re.compile(rf"^({SUBDOMAIN}/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")
NAME_TEXT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
LABEL_VALUE = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
LABEL_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
PATH_NAMED = {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
ANNOTATIONS_BYTES = 256 * 1024


def metadata(kind: str, meta: Object, old: Object | None) -> Causes:
    causes: Causes = []
    name = meta.get("name", "")
    if kind in PATH_NAMED:
        if name in (".", "..") or "/" in name or "%" in name:
            causes.append(wrong("metadata.name", name, "may not contain '/'"))
    elif kind == "Namespace":
        if not re.fullmatch(LABEL, name) or len(name) > 63:
            causes.append(wrong("metadata.name", name, LABEL_TEXT))
    elif kind == "Service":
        if not re.fullmatch(SERVICE, name) or len(name) > 63:
            causes.append(wrong("metadata.name", name, SERVICE_TEXT))
    elif not re.fullmatch(SUBDOMAIN, name):
        causes.append(wrong("metadata.name", name, SUBDOMAIN_TEXT))
    elif len(name) > 253:
        causes.append(wrong("metadata.name", name, "must be no more than 253 characters"))
    causes += labels("metadata.labels", meta.get("labels"))
    for key in meta.get("annotations") or {}:
        if not QUALIFIED.match(key.lower()):
            causes.append(wrong("metadata.annotations", key, NAME_TEXT))
    if sum(len(key) + len(value) for key, value in (meta.get("annotations") or {}).items()) > ANNOTATIONS_BYTES:
        causes.append(
            Cause("FieldValueInvalid", "metadata.annotations", "", f"must have at most {ANNOTATIONS_BYTES} bytes")
        )
    if old is not None and old["metadata"].get("uid") != meta.get("uid"):
        causes.append(wrong("metadata.uid", meta.get("uid", ""), IMMUTABLE))
    return causes


def labels(path: str, given: Object | None) -> Causes:
    causes = []
    for key, value in (given or {}).items():
        if not QUALIFIED.match(key) or len(key.rpartition("/")[2]) > 63:
            causes.append(wrong(path, key, NAME_TEXT))
        if len(value) > 63:
            causes.append(wrong(path, value, "must be no more than 63 bytes"))
        elif not LABEL_VALUE.match(value):
            causes.append(wrong(path, value, LABEL_VALUE_TEXT))
    return causes
