"""The API server's answers: from a path and a verb to objects, lists, watches and refusals."""

from __future__ import annotations

import copy
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from provisioner_sandbox.kube import decode, discovery, eviction, patch, resources, selectors, status
from provisioner_sandbox.kube.access import MASTERS, ROOT, Attributes, Gate, User
from provisioner_sandbox.kube.resources import EVICTION, SCALE, Catalogue, Resource
from provisioner_sandbox.kube.store import Change, Object, Store
from provisioner_sandbox.kube.table import as_table
from provisioner_sandbox.kube.writer import Options, Writer

WATCH_SECONDS = 1800.0
BOOKMARK_SECONDS = 30.0
# Beside resources, these paths are for everybody who is known.
OPEN = ("/api", "/apis", "/openapi", "/version", "/readyz", "/livez", "/healthz")
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
MANAGER = re.compile(r"^[^/\s]+")
HEALTHY = re.compile(r"^/(readyz|livez|healthz)(/.*)?$")
# Of these a delete answers with the object itself.
TOLD_AGAIN = (
    resources.PODS, resources.SERVICES, resources.SERVICE_ACCOUNTS, resources.QUOTAS, resources.STORAGE_CLASSES,
    resources.VOLUMES, resources.CLAIMS,
)  # fmt: skip
REAL_KINDS = {
    "daemonsets", "statefulsets", "controllerrevisions", "jobs", "cronjobs", "endpoints", "limitranges",
    "podtemplates", "replicationcontrollers", "bindings",
    "componentstatuses", "priorityclasses", "runtimeclasses", "csidrivers", "csinodes", "csistoragecapacities",
    "volumeattachments", "certificatesigningrequests", "validatingadmissionpolicies", "servicecidrs", "ipaddresses",
    "validatingadmissionpolicybindings", "subjectaccessreviews", "localsubjectaccessreviews", "flowschemas",
    "selfsubjectrulesreviews", "tokenreviews", "apiservices", "prioritylevelconfigurations", "deviceclasses",
    "resourceclaims", "resourceclaimtemplates", "resourceslices", "volumeattributesclasses",
}  # fmt: skip


@dataclass
class Ask:
    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    kind: str = "application/json"
    accept: str = ""
    agent: str = ""
    host: str = ""

    def flag(self, name: str) -> bool:
        return self.query.get(name, "false").lower() in ("true", "1")


@dataclass
class Reply:
    """`stream` is sent as it comes, in place of a document; `text` is plain."""

    code: int
    document: Any = None
    text: str | None = None
    stream: Iterator[bytes] | None = None
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Target:
    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""


class Api:
    def __init__(self, store: Store, catalogue: Catalogue, writer: Writer, gate: Gate):
        self.store = store
        self.catalogue = catalogue
        self.writer = writer
        self.gate = gate
        # By others: logs of a pod's container, and tokens of a service account.
        self.logs: Callable[[str, str, dict[str, str]], Iterator[bytes]] | None = None

    def handle(self, ask: Ask, user: User) -> Reply:
        try:
            return self.answer(ask, user)
        except status.Refused as refused:
            return Reply(refused.code, refused.document())

    def answer(self, ask: Ask, user: User) -> Reply:
        path = ask.path.rstrip("/") or "/"
        if HEALTHY.match(path):
            return Reply(200, text="ok")
        parts = [part for part in path.split("/") if part]
        match parts:
            case ["version"]:
                return Reply(200, discovery.versions(self.gate.version()))
            case ["api"]:
                return Reply(200, discovery.core(ask.host))
            case ["apis"]:
                return Reply(200, discovery.groups(self.catalogue))
            case ["apis", group] if group in self.catalogue.groups():
                found = discovery.group(group, self.catalogue.groups()[group])
                return Reply(200, {"kind": "APIGroup", "apiVersion": "v1", **found})
            case ["api", version] | ["apis", version] if listed := discovery.resources(self.catalogue, "", version):
                return Reply(200, listed)
            case ["apis", group, version] if listed := discovery.resources(self.catalogue, group, version):
                return Reply(200, listed)
            case ["openapi", "v3"]:
                return Reply(200, discovery.paths(self.catalogue))
            case ["openapi", "v3", "api", version] if found := discovery.openapi(self.catalogue, "", version):
                return Reply(200, found)
            case ["openapi", "v3", "apis", group, version] if found := discovery.openapi(
                self.catalogue, group, version
            ):
                return Reply(200, found)
            case ["api", "v1", *rest] if rest:
                return self.resource(ask, user, "", "v1", rest)
            case ["apis", group, version, *rest] if rest and self.served(group, version, rest):
                return self.resource(ask, user, group, version, rest)
        if parts and parts[0] in ("api", "apis", "openapi"):
            return Reply(404, text="404 page not found\n")
        raise status.no_such_resource()

    def served(self, group: str, version: str, rest: list[str]) -> bool:
        return version in self.catalogue.groups().get(group, []) or REAL_KINDS & set(rest) != set()

    # --- where to ---------------------------------------------------------------------------------------------------

    def resource(self, ask: Ask, user: User, group: str, version: str, rest: list[str]) -> Reply:
        target = self.target(group, version, rest)
        resource = target.resource
        if resource in (resources.ACCESS_REVIEWS, resources.SUBJECT_REVIEWS):
            return self.review(ask, user, resource)
        watch = ask.flag("watch") or ask.flag("w")
        if ask.method in ("GET", "HEAD"):
            verb = "watch" if watch else "get" if target.name else "list"
        elif ask.method == "DELETE" and not target.name:
            verb = "deletecollection"
        else:
            verb = VERBS.get(ask.method, ask.method.lower())
        self.gate.demand(
            user,
            Attributes(
                verb, group, resource.plural, target.subresource, target.namespace or self.own(target), target.name
            ),
        )
        if target.subresource:
            return self.part(ask, user, target)
        match verb:
            case "get":
                return self.shown(ask, resource, self.writer.find(resource, target.namespace, target.name))
            case "list":
                return self.list(ask, target)
            case "watch":
                return self.watch(ask, target)
            case "create" if not target.name:
                options = self.options(ask, user)
                document = self.body(ask, resource)
                made = self.writer.create(resource, target.namespace, document, options)
                return self.shown(ask, resource, made, 201, options)
            case "update" if target.name:
                options = self.options(ask, user)
                document = self.body(ask, resource)
                made = self.writer.update(resource, target.namespace, target.name, "", document, options)
                return self.shown(ask, resource, made, 200, options)
            case "patch" if target.name:
                return self.patch(ask, user, target)
            case "delete":
                return self.delete(ask, target)
            case "deletecollection" if "deletecollection" in resource.verbs:
                return self.delete_all(ask, target)
        raise status.not_allowed()

    @staticmethod
    def own(target: Target) -> str:
        """A namespace's rights are those in it."""
        return target.name if target.resource == resources.NAMESPACES and target.name else ""

    def target(self, group: str, version: str, rest: list[str]) -> Target:
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2 and self.catalogue.find(group, version, rest[2]):
            namespace, rest = rest[1], rest[2:]
        elif rest[0] == "namespaces" and group:
            namespace, rest = (rest[1] if len(rest) > 1 else ""), rest[2:]
            if not rest:
                raise status.no_such_resource()
        elif rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
            namespace, rest = rest[1], rest[2:]
        plural, name, subresource = [*rest, "", ""][:3]
        resource = self.catalogue.find(group, version, plural)
        if resource is None:
            if plural in REAL_KINDS:
                raise status.unknown_to_us(status.qualified(plural, group))
            raise status.no_such_resource()
        if len(rest) > 3 or (subresource and subresource not in resource.subresources):
            if resource == resources.PODS and subresource in ("attach", "exec", "portforward", "proxy"):
                message = f"the sandbox's kubelet does not offer pods/{subresource}: pods are processes of this machine"
                raise status.Refused(501, "NotImplemented", message)
            if resource == resources.PODS or subresource == "token":
                raise status.unknown_to_us(f"{resource.plural}/{subresource}")
            raise status.no_such_resource()
        if bool(namespace) != resource.namespaced and (name or namespace):
            raise status.no_such_resource()
        return Target(resource, namespace, name, subresource)

    # --- what comes -------------------------------------------------------------------------------------------------

    def options(self, ask: Ask, user: User) -> Options:
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

    def body(self, ask: Ask, resource: Resource) -> Object:
        if not ask.body:
            raise status.bad_request("the body of the request is empty")
        if "protobuf" in ask.kind or "cbor" in ask.kind:
            message = (
                f"the sandbox's stand-in for Kubernetes accepts objects as JSON or YAML, not as {ask.kind}; use "
                "`kubectl apply`, which sends JSON, instead of `kubectl create NAME`"
            )
            raise status.Refused(415, "UnsupportedMediaType", message, {})
        document = decode.load(ask.body, "yaml" in ask.kind)
        self.check_kind(document, resource)
        return document

    @staticmethod
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

    def shown(
        self, ask: Ask, resource: Resource, document: Object, code: int = 200, options: Options | None = None
    ) -> Reply:
        if "as=Table" in ask.accept:
            document = as_table(
                resource, [document], {"resourceVersion": document["metadata"].get("resourceVersion", "")}
            )
        return Reply(code, document, warnings=options.warnings if options else [])

    # --- reads ------------------------------------------------------------------------------------------------------

    def fitting(self, ask: Ask) -> Callable[[Object], bool]:
        tests = []
        if ask.query.get("labelSelector"):
            tests.append(selectors.by_labels(ask.query["labelSelector"]))
        if ask.query.get("fieldSelector"):
            tests.append(selectors.by_fields(ask.query["fieldSelector"]))
        return lambda document: all(test(document) for test in tests)

    def list(self, ask: Ask, target: Target) -> Reply:
        fits = self.fitting(ask)
        with self.store.lock:
            found = [one for one in self.store.list(target.resource, target.namespace) if fits(one)]
            meta: Object = {"resourceVersion": str(self.store.version)}
        start = int(ask.query.get("continue") or 0)
        limit = int(ask.query.get("limit") or 0)
        if limit and len(found) > start + limit:
            meta |= {"continue": str(start + limit), "remainingItemCount": len(found) - start - limit}
        items = found[start : start + limit] if limit else found[start:]
        if "as=Table" in ask.accept:
            return Reply(200, as_table(target.resource, items, meta))
        kind = target.resource.kind
        listed = (
            f"{kind}List"
            if target.resource.custom is None
            else target.resource.custom["names"].get("listKind", f"{kind}List")
        )
        if target.resource.custom is None:
            items = [{key: value for key, value in one.items() if key not in ("apiVersion", "kind")} for one in items]
        return Reply(200, {"kind": listed, "apiVersion": target.resource.api_version, "metadata": meta, "items": items})

    def watch(self, ask: Ask, target: Target) -> Reply:
        query = ask.query
        fits = self.fitting(ask)
        if target.name:
            named = fits
            fits = lambda document: document["metadata"]["name"] == target.name and named(document)  # noqa: E731
        seconds = float(query.get("timeoutSeconds") or WATCH_SECONDS)
        initial = ask.flag("sendInitialEvents")
        version = query.get("resourceVersion", "")
        table = "as=Table" in ask.accept
        with self.store.lock:
            first: list[Object] | None = None
            if initial or version in ("", "0"):
                first = [one for one in self.store.list(target.resource, target.namespace) if fits(one)]
                at = self.store.version
            else:
                if not version.isdecimal():
                    raise status.bad_request(
                        f'resourceVersion: Invalid value: "{version}": strconv.ParseUint: invalid syntax'
                    )
                at = int(version)
                self.store.since(at)
        bookmarks = ask.flag("allowWatchBookmarks")
        ended = {"k8s.io/initial-events-end": "true"} if initial else None
        return Reply(200, stream=self.events(target, fits, at, first, ended, bookmarks, seconds, table))

    def events(
        self,
        target: Target,
        fits: Callable[[Object], bool],
        at: int,
        first: list[Object] | None,
        ended: Object | None,
        bookmarks: bool,
        seconds: float,
        table: bool,
    ) -> Iterator[bytes]:
        def line(kind: str, document: Object) -> bytes:
            if table and kind not in ("BOOKMARK", "ERROR"):
                document = as_table(target.resource, [document], {})
            return json.dumps({"type": kind, "object": document}, separators=(",", ":")).encode() + b"\n"

        def mark(annotations: Object | None) -> bytes:
            meta: Object = {"resourceVersion": str(at), "creationTimestamp": None}
            if annotations:
                meta["annotations"] = annotations
            resource = target.resource
            return line("BOOKMARK", {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta})

        for document in first or []:
            yield line("ADDED", document)
        if ended:
            yield mark(ended)
        limit = time.monotonic() + seconds
        marked = time.monotonic()
        yield b""
        while True:
            with self.store.lock:
                while True:
                    try:
                        changes = self.store.since(at)
                    except status.Refused as refused:
                        yield line("ERROR", refused.document())
                        return
                    left = min(limit, marked + BOOKMARK_SECONDS) - time.monotonic()
                    if changes or self.store.closed or left <= 0:
                        break
                    self.store.changed.wait(left)
                closed = self.store.closed
            told = b""
            for change in changes:
                at = change.version
                if change.key == target.resource.key:
                    told += seen(change, target, fits, line)
            if told:
                yield told
            if closed or time.monotonic() >= limit:
                return
            if time.monotonic() >= marked + BOOKMARK_SECONDS:
                marked = time.monotonic()
                yield mark(None) if bookmarks else b""

    # --- writes -----------------------------------------------------------------------------------------------------

    def patch(self, ask: Ask, user: User, target: Target) -> Reply:
        resource, options = target.resource, self.options(ask, user)
        kind = ask.kind.partition(";")[0].strip()
        where = (resource, target.namespace, target.name, target.subresource)
        if kind in (patch.APPLY, "application/apply-patch+cbor"):
            if not ask.query.get("fieldManager"):
                cause = status.missing("fieldManager", "is required for apply patch")
                raise status.invalid("PatchOptions", "meta.k8s.io", "", [cause])
            document = decode.load(ask.body, True)
            self.check_kind(document, resource)
            for key in ("apiVersion", "kind"):
                if key not in document:
                    raise status.bad_request(f"error decoding patch: {key} must be specified")
            with self.store.lock:
                there = self.store.get(resource, target.namespace, target.name) is not None
                if not there:
                    wanted = Attributes("create", resource.group, resource.plural, "", target.namespace, target.name)
                    self.gate.demand(user, wanted)
                made = self.writer.apply(*where, document, options)
            return self.shown(ask, resource, made, 200 if there else 201, options)
        if ask.flag("force"):
            cause = status.forbidden_field("force", "may not be specified for non-apply patch")
            raise status.invalid("PatchOptions", "meta.k8s.io", "", [cause])
        change = self.change(kind, ask.body, resource)
        made = self.writer.patch(*where, change, options)
        return self.shown(ask, resource, made, 200, options)

    @staticmethod
    def change(kind: str, body: bytes, resource: Resource) -> Callable[[Object], Object]:
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

    def how(self, ask: Ask) -> Object:
        """DeleteOptions, from the body or the query."""
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

    def delete(self, ask: Ask, target: Target) -> Reply:
        resource, how = target.resource, self.how(ask)
        document, gone = self.writer.delete(resource, target.namespace, target.name, how, bool(how.get("dryRun")))
        if not gone or resource in TOLD_AGAIN:
            return self.shown(ask, resource, document)
        details = status.details(target.name, resource.group, resource.plural, uid=document["metadata"]["uid"])
        return Reply(
            200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        )

    def delete_all(self, ask: Ask, target: Target) -> Reply:
        how, fits = self.how(ask), self.fitting(ask)
        with self.store.lock:
            found = [one for one in self.store.list(target.resource, target.namespace) if fits(one)]
            for one in found:
                metadata = one["metadata"]
                self.writer.delete(
                    target.resource, metadata.get("namespace", ""), metadata["name"], how, bool(how.get("dryRun"))
                )
        kind = f"{target.resource.kind}List"
        meta = {"resourceVersion": str(self.store.version)}
        return Reply(200, {"kind": kind, "apiVersion": target.resource.api_version, "metadata": meta, "items": found})

    # --- parts ------------------------------------------------------------------------------------------------------

    def part(self, ask: Ask, user: User, target: Target) -> Reply:
        if target.subresource == "log":
            return self.log(ask, target)
        if target.subresource == SCALE:
            return self.scale(ask, user, target)
        if target.subresource == EVICTION:
            return self.evict(ask, user, target)
        if ask.method in ("GET", "HEAD"):
            return self.shown(ask, target.resource, self.writer.find(target.resource, target.namespace, target.name))
        if ask.method == "PATCH":
            return self.patch(ask, user, target)
        options, document = self.options(ask, user), self.body(ask, target.resource)
        made = self.writer.update(target.resource, target.namespace, target.name, target.subresource, document, options)
        return self.shown(ask, target.resource, made, 200, options)

    def log(self, ask: Ask, target: Target) -> Reply:
        self.writer.find(target.resource, target.namespace, target.name)
        if self.logs is None:
            raise status.unknown_to_us("logs of pods without nodes")
        return Reply(200, text="", stream=self.logs(target.namespace, target.name, ask.query))

    def evict(self, ask: Ask, user: User, target: Target) -> Reply:
        if ask.method != "POST":
            raise status.not_allowed()
        options, sent = self.options(ask, user), decode.load(ask.body)
        return Reply(201, eviction.evict(self.writer, target.namespace, target.name, sent, options))

    def scale(self, ask: Ask, user: User, target: Target) -> Reply:
        live = self.writer.find(target.resource, target.namespace, target.name)
        if ask.method in ("GET", "HEAD"):
            return Reply(200, scale_of(live))
        options = self.options(ask, user)
        document = decode.load(ask.body)
        if ask.method == "PATCH":
            document = patch.merge(scale_of(live), document)
        replicas = document.get("spec", {}).get("replicas", 0)
        if not isinstance(replicas, int) or isinstance(replicas, bool):
            raise status.bad_request(
                'Scale in version "v1" cannot be handled as a Scale: spec.replicas is not a number'
            )

        def change(before: Object) -> Object:
            made = copy.deepcopy(before)
            made["spec"]["replicas"] = replicas
            return made

        made = self.writer.patch(target.resource, target.namespace, target.name, SCALE, change, options)
        return Reply(200, scale_of(made))

    def review(self, ask: Ask, user: User, resource: Resource) -> Reply:
        document = self.body(ask, resource)
        if resource == resources.SUBJECT_REVIEWS:
            info = {"username": user.name, "groups": user.groups, **({"uid": user.uid} if user.uid else {})}
            return Reply(201, {**document, "status": {"userInfo": info}})
        asked = document.get("spec", {}).get("resourceAttributes")
        if asked is None:
            allowed = (
                MASTERS in user.groups or document.get("spec", {}).get("nonResourceAttributes", {}).get("verb") == "get"
            )
        else:
            names = ("verb", "group", "resource", "subresource", "namespace", "name")
            allowed = self.gate.allows(user, Attributes(*(asked.get(name, "") for name in names)))
        return Reply(201, {**document, "metadata": document.get("metadata") or {}, "status": {"allowed": allowed}})


def seen(change: Change, target: Target, fits: Callable[[Object], bool], line: Callable[[str, Object], bytes]) -> bytes:
    """What a watch says of a change: what begins or ceases to fit is new or gone to it."""
    if target.namespace and change.document["metadata"].get("namespace") != target.namespace:
        return b""
    after = change.kind != "DELETED" and fits(change.document)
    before = change.before is not None and fits(change.before)
    if after:
        return line("MODIFIED" if before else "ADDED", change.document)
    return line("DELETED", change.document) if before else b""


def scale_of(document: Object) -> Object:
    metadata = {
        key: document["metadata"][key] for key in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    }
    made = {
        "replicas": document.get("status", {}).get("replicas", 0),
        "selector": selectors.to_text(document["spec"].get("selector") or {}),
    }
    spec = {"replicas": document["spec"].get("replicas", 0)}
    return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": made}


class Local:
    """The API for what lives in this process: as over HTTP, but without it. Safe for many threads."""

    def __init__(self, api: Api, agent: str, port: int):
        self.api = api
        self.agent = agent
        # Where others find it.
        self.port = port

    def raw(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Reply:
        where, _, query = path.partition("?")
        data = b"" if body is None else json.dumps(body).encode()
        pairs = dict(part.partition("=")[::2] for part in query.split("&") if part)
        return self.api.handle(Ask(method, where, pairs, data, kind, agent=self.agent), ROOT)

    def call(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """The answer's document. Raises `Refused`."""
        reply = self.raw(method, path, body, kind)
        if reply.code >= 300:
            document = reply.document or {}
            raise status.Refused(
                reply.code, document.get("reason", ""), document.get("message", ""), document.get("details")
            )
        return copy.deepcopy(reply.document)

    def get(self, path: str) -> Any:
        """As `call`, but `None` for what is not there."""
        try:
            return self.call("GET", path)
        except status.Refused as refused:
            if refused.code == 404:
                return None
            raise
