"""The API server's answers: from a path and a verb to objects, lists, watches and refusals."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator

from provisioner_sandbox.kube import decode, discovery, eviction, patch, paths, requests, resources, selectors, status
from provisioner_sandbox.kube.access import MASTERS, Attributes, Gate, User
from provisioner_sandbox.kube.message import Ask, Reply, Target
from provisioner_sandbox.kube.resources import EVICTION, SCALE, Catalogue, Resource
from provisioner_sandbox.kube.store import Object, Store
from provisioner_sandbox.kube.table import as_table
from provisioner_sandbox.kube.watch import watch
from provisioner_sandbox.kube.writer import Options, Writer

VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
HEALTHY = re.compile(r"^/(readyz|livez|healthz)(/.*)?$")
# Of these a delete answers with the object itself.
TOLD_AGAIN = (
    resources.PODS, resources.SERVICES, resources.SERVICE_ACCOUNTS, resources.QUOTAS, resources.STORAGE_CLASSES,
    resources.VOLUMES, resources.CLAIMS,
)  # fmt: skip


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
            case ["apis", group, version, *rest] if rest and paths.served(self.catalogue, group, version, rest):
                return self.resource(ask, user, group, version, rest)
        if parts and parts[0] in ("api", "apis", "openapi"):
            return Reply(404, text="404 page not found\n")
        raise status.no_such_resource()

    # --- where to ---------------------------------------------------------------------------------------------------

    def resource(self, ask: Ask, user: User, group: str, version: str, rest: list[str]) -> Reply:
        target = paths.target(self.catalogue, group, version, rest)
        resource = target.resource
        if resource in (resources.ACCESS_REVIEWS, resources.SUBJECT_REVIEWS):
            return self.review(ask, user, resource)
        if ask.method in ("GET", "HEAD"):
            verb = "watch" if ask.flag("watch") or ask.flag("w") else "get" if target.name else "list"
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
                return watch(self.store, ask, target)
            case "create" if not target.name:
                options = requests.options(ask)
                document = requests.body(ask, resource)
                made = self.writer.create(resource, target.namespace, document, options)
                return self.shown(ask, resource, made, 201, options)
            case "update" if target.name:
                options = requests.options(ask)
                document = requests.body(ask, resource)
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

    def shown(
        self, ask: Ask, resource: Resource, document: Object, code: int = 200, options: Options | None = None
    ) -> Reply:
        if "as=Table" in ask.accept:
            document = as_table(
                resource, [document], {"resourceVersion": document["metadata"].get("resourceVersion", "")}
            )
        return Reply(code, document, warnings=options.warnings if options else [])

    # --- reads ------------------------------------------------------------------------------------------------------

    def list(self, ask: Ask, target: Target) -> Reply:
        fits = requests.fitting(ask)
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

    # --- writes -----------------------------------------------------------------------------------------------------

    def patch(self, ask: Ask, user: User, target: Target) -> Reply:
        resource, options = target.resource, requests.options(ask)
        kind = ask.kind.partition(";")[0].strip()
        where = (resource, target.namespace, target.name, target.subresource)
        if kind in (patch.APPLY, "application/apply-patch+cbor"):
            if not ask.query.get("fieldManager"):
                cause = status.missing("fieldManager", "is required for apply patch")
                raise status.invalid("PatchOptions", "meta.k8s.io", "", [cause])
            document = decode.load(ask.body, True)
            requests.check_kind(document, resource)
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
        change = requests.change(kind, ask.body, resource)
        made = self.writer.patch(*where, change, options)
        return self.shown(ask, resource, made, 200, options)

    def delete(self, ask: Ask, target: Target) -> Reply:
        resource, how = target.resource, requests.delete_options(ask)
        document, gone = self.writer.delete(resource, target.namespace, target.name, how, bool(how.get("dryRun")))
        if not gone or resource in TOLD_AGAIN:
            return self.shown(ask, resource, document)
        details = status.details(target.name, resource.group, resource.plural, uid=document["metadata"]["uid"])
        return Reply(
            200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        )

    def delete_all(self, ask: Ask, target: Target) -> Reply:
        how, fits = requests.delete_options(ask), requests.fitting(ask)
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
        options, document = requests.options(ask), requests.body(ask, target.resource)
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
        options, sent = requests.options(ask), decode.load(ask.body)
        return Reply(201, eviction.evict(self.writer, target.namespace, target.name, sent, options))

    def scale(self, ask: Ask, user: User, target: Target) -> Reply:
        live = self.writer.find(target.resource, target.namespace, target.name)
        if ask.method in ("GET", "HEAD"):
            return Reply(200, scale_of(live))
        options = requests.options(ask)
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
        document = requests.body(ask, resource)
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

