"""What a request asks for: options, objects, selectors and changes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from provisioner_sandbox.kube import decode, patch, selectors, status
from provisioner_sandbox.kube.message import Ask
from provisioner_sandbox.kube.resources import Resource
from provisioner_sandbox.kube.store import Object
from provisioner_sandbox.kube.writer import Options

MANAGER = re.compile(r"^[^/\s]+")


def options(ask: Ask) -> Options:
    query = ask.query
    dry = query.get("dryRun", "")
    if dry not in ("", "All"):
        cause = status.unsupported("dryRun", [dry], ["All"])
        raise status.invalid("PatchOptions", "meta.k8s.io", "", [cause])
    strict = query.get("fieldValidation") or "Warn"
    if strict not in ("Ignore", "Warn", "Strict"):
        cause = status.unsupported("fieldValidation", strict, ["Ignore", "Warn", "Strict"])
        raise status.invalid("PatchOptions", "meta.k8s.io", "", [cause])
    found = MANAGER.match(ask.agent)
    manager = query.get("fieldManager") or (found[0] if found else "unknown")
    return Options(manager[:128], bool(dry), strict, ask.flag("force"))


def body(ask: Ask, resource: Resource) -> Object:
    """The object in the body, of the path's kind and version."""
    if not ask.body:
        raise status.bad_request("the body of the request is empty")
    if "protobuf" in ask.kind or "cbor" in ask.kind:
        message = (
            f"the sandbox's stand-in for Kubernetes accepts objects as JSON or YAML, not as {ask.kind}; use "
            "`kubectl apply`, which sends JSON, instead of `kubectl create NAME`"
        )
        raise status.Refused(415, "UnsupportedMediaType", message, {})
    document = decode.load(ask.body, "yaml" in ask.kind)
    check_kind(document, resource)
    return document


def check_kind(document: Object, resource: Resource) -> None:
    kind, version = document.get("kind", resource.kind), document.get("apiVersion", resource.api_version)
    if kind != resource.kind:
        raise status.bad_request(
            f'{kind} in version "{str(version).rpartition("/")[2]}" cannot be handled as a {resource.kind}: '
            f"the object's kind is not the path's"
        )
    if version != resource.api_version:
        raise status.bad_request(
            f"the API version in the data ({version}) does not match the expected API version ({resource.api_version})"
        )


def fitting(ask: Ask) -> Callable[[Object], bool]:
    """Whether an object fits the selectors for labels and fields."""
    tests = []
    if ask.query.get("labelSelector"):
        tests.append(selectors.by_labels(ask.query["labelSelector"]))
    if ask.query.get("fieldSelector"):
        tests.append(selectors.by_fields(ask.query["fieldSelector"]))
    return lambda document: all(test(document) for test in tests)


def change(kind: str, body: bytes, resource: Resource) -> Callable[[Object], Object]:
    """A patch of this content type as a function of the live object."""
    if kind == patch.JSON_PATCH:
        try:
            operations = json.loads(body)
        except ValueError as error:
            raise status.bad_request(f"error decoding patch: {error}") from None
        return lambda live: patch.json_patch(live, operations)
    document = decode.load(body)
    if kind == patch.MERGE:
        return lambda live: patch.merge(live, document)
    if kind == patch.STRATEGIC and resource.custom is None:
        return lambda live: patch.strategic(resource.node, live, document)
    raise status.Refused(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})


def delete_options(ask: Ask) -> Object:
    """From the body or the query."""
    how = decode.load(ask.body) if ask.body.strip() else {}
    if "gracePeriodSeconds" in ask.query:
        how["gracePeriodSeconds"] = int(ask.query["gracePeriodSeconds"])
    for key in ("propagationPolicy", "dryRun"):
        if key in ask.query:
            how[key] = ask.query[key]
    if isinstance(how.get("dryRun"), str):
        how["dryRun"] = [how["dryRun"]]
    policy = how.get("propagationPolicy")
    if policy not in (None, "", "Background", "Foreground", "Orphan"):
        cause = status.unsupported("propagationPolicy", policy, ["Foreground", "Background", "Orphan"])
        raise status.invalid("DeleteOptions", "", "", [cause])
    return how
