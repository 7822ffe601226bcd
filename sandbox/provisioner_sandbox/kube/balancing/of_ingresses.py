"""The model of a group of Ingresses: an Application Load Balancer. An Ingress without a group name is its own group.

Source: pkg/ingress of the controller.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from provisioner_sandbox.kube.balancing.annotations import Annotations, BuildError, Object
from provisioner_sandbox.kube.balancing.front import Front, Route, Targets
from provisioner_sandbox.kube.balancing.installed import Installed
from provisioner_sandbox.kube.balancing.model import (
    INGRESS,
    NO_SERVICE,
    Check,
    Key,
    Listener,
    Model,
    Rule,
    TargetGroup,
    named,
    named_group,
)
from provisioner_sandbox.kube.balancing.of_services import LONGEST_NAME, SCHEMES, target_number

FINALIZER, GROUP_FINALIZER = "ingress.k8s.aws/resources", "group.ingress.k8s.aws/"
PREFIXES = ("alb.ingress.kubernetes.io",)
ANYWHERE = "0.0.0.0/0"
# The custom resource with the settings of an IngressClass: group, version, plural.
CLASS_PARAMETERS = ("elbv2.k8s.aws", "v1beta1", "ingressclassparams")


@dataclass(frozen=True)
class Member:
    """An Ingress with the settings of its class: the spec of an IngressClassParams."""

    document: Object
    settings: Object

    @property
    def of(self) -> Annotations:
        return Annotations(PREFIXES, self.document)

    @property
    def name(self) -> str:
        return f"{self.document['metadata']['namespace']}/{self.document['metadata']['name']}"

    @property
    def key(self) -> Key:
        group = (self.settings.get("group") or {}).get("name") or self.of.text("group.name")
        return Key(INGRESS, group or self.name)

    @property
    def tags(self) -> dict[str, str]:
        own = {one["key"]: one["value"] for one in self.settings.get("tags") or []}
        return {**self.of.pairs("tags"), **own}


def finalizer_of(key: Key) -> str:
    return FINALIZER if "/" in key.stack else f"{GROUP_FINALIZER}{key.stack}"


def keys_of(ingress: Object) -> list[Key]:
    """Returns the stacks whose finalizer it has."""
    metadata = ingress["metadata"]
    found = []
    for finalizer in metadata.get("finalizers") or []:
        if finalizer == FINALIZER:
            found.append(Key(INGRESS, f"{metadata['namespace']}/{metadata['name']}"))
        elif finalizer.startswith(GROUP_FINALIZER):
            found.append(Key(INGRESS, finalizer.removeprefix(GROUP_FINALIZER)))
    return found


def is_protected(ingress: Object) -> bool:
    attributes = Annotations(PREFIXES, ingress).pairs("load-balancer-attributes")
    return attributes.get("deletion_protection.enabled") == "true"


def build(
    key: Key, members: list[Member], service_of: Callable[[str, str], Object | None], controller: Installed
) -> Model:
    cluster = controller.cluster
    groups: dict[str, TargetGroup] = {}

    def group(member: Member, backend: Object) -> str:
        made = group_of(key, member, backend, service_of, controller)
        return groups.setdefault(made.resource, made).resource if made else NO_SERVICE

    members = by_order(members)
    scheme = agreed("scheme", [one.settings.get("scheme") or one.of.text("scheme") for one in members])
    scheme = scheme or controller.scheme
    if scheme not in SCHEMES:
        raise BuildError(f"unknown scheme: {scheme}")
    given = agreed("load balancer name", [
        one.settings.get("loadBalancerName") or one.of.text("load-balancer-name") for one in members
    ])  # fmt: skip
    if len(given) > LONGEST_NAME:
        raise BuildError("load balancer name cannot be longer than 32 characters")

    def name(*parts: object) -> str:
        if "/" in key.stack:
            return named(*key.stack.split("/"), *parts)
        return named_group(key.stack, *parts)

    ports: dict[int, str] = {}
    inbound: dict[tuple[str, int, str], None] = {}
    for member in members:
        for port, protocol in listen_ports(member).items():
            if ports.setdefault(port, protocol) != protocol:
                raise BuildError(f"conflicting protocol, {ports[port]} | {member.name}: {protocol}")
            for cidr in member.settings.get("inboundCIDRs") or member.of.words("inbound-cidrs") or (ANYWHERE,):
                inbound["tcp", port, cidr] = None
    listeners = tuple(listener(port, protocol, members, group) for port, protocol in sorted(ports.items()))
    attributes: dict[str, str] = {}
    tags: dict[str, str] = {}
    for member in members:
        for word, value in member.tags.items():
            if tags.setdefault(word, value) != value:
                raise BuildError(f"conflicting tag {word}: {tags[word]} | {value}")
        attributes |= member.of.pairs("load-balancer-attributes")
        attributes |= {one["key"]: one["value"] for one in member.settings.get("loadBalancerAttributes") or []}
    first = members[0]
    subnets = tuple((first.settings.get("subnets") or {}).get("ids") or first.of.words("subnets"))
    return Model(
        key, "application", given or name(cluster, key.stack, scheme), scheme, name(cluster, key.stack), tuple(inbound),
        tuple(groups.values()), listeners, tags, attributes, subnets, first.of.words("security-groups"),
        first.of.text("manage-backend-security-group-rules") == "true",
    )  # fmt: skip


def agreed(what: str, values: list[str]) -> str:
    found = {value for value in values if value}
    if len(found) > 1:
        raise BuildError(f"conflicting {what}: {sorted(found)}")
    return found.pop() if found else ""


def listen_ports(member: Member) -> dict[int, str]:
    text = member.of.text("listen-ports")
    if not text:
        return {443: "HTTPS"} if member.of.words("certificate-arn") else {80: "HTTP"}
    try:
        found = {int(port): protocol for entry in json.loads(text) for protocol, port in entry.items()}
    except (ValueError, AttributeError, TypeError):
        raise BuildError(f"failed to parse `listen-ports` configuration: `{text}`") from None
    for port, protocol in found.items():
        if not 1 <= port <= 65535:
            raise BuildError(f"listen port must be within [1, 65535]: {port}")
        if protocol not in ("HTTP", "HTTPS"):
            raise BuildError(f"listen protocol must be within [HTTP, HTTPS]: {protocol}")
    return found


def listener(port: int, protocol: str, members: list[Member], group: Callable[[Member, Object], str]) -> Listener:
    members = [one for one in members if port in listen_ports(one)]
    defaults = [one for one in members if one.document["spec"].get("defaultBackend")]
    if len(defaults) > 1:
        raise BuildError(f"multiple ingress defined default backend: {[one.name for one in defaults]}")
    rules = tuple(
        Rule(conditions(rule, path), group(member, path["backend"]))
        for member in members
        for rule in member.document["spec"].get("rules") or []
        for path in in_order((rule.get("http") or {}).get("paths") or [])
    )
    default = group(defaults[0], defaults[0].document["spec"]["defaultBackend"]) if defaults else None
    if protocol == "HTTPS":
        certificates = tuple(word for one in members for word in one.of.words("certificate-arn"))
        if not certificates:
            raise BuildError("no certificate found: the sandbox does not discover certificates by host")
        policy = agreed("sslPolicy", [one.of.text("ssl-policy") for one in members])
        return Listener(port, protocol, default, rules, certificates, policy)
    target = next((number for one in members if (number := redirect(one))), None)
    return Listener(port, protocol, None if target else default, () if target else rules, redirect=target)


def redirect(member: Member) -> int | None:
    """Returns the port of HTTPS that requests over HTTP are redirected to."""
    number = member.of.number("ssl-redirect", 0)
    if number and listen_ports(member).get(number) != "HTTPS":
        raise BuildError(f"listener does not exist for SSL Redirect port: {number}")
    return number or None


def by_order(members: list[Member]) -> list[Member]:
    """Source: https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/ingress/annotations/#group.order"""
    return sorted(members, key=lambda one: (one.of.number("group.order", 0), one.name))


def fronts(members: list[Member], targets: Callable[[Member, Object], Targets]) -> dict[int, tuple[Front, Targets]]:
    """Returns, by port, what happens to a request before a target sees it, and the targets if all requests have the same.
    An Ingress whose model cannot be built takes HTTP."""
    found: dict[int, tuple[Front, Targets]] = {}
    try:
        members = by_order(members)
        ports = {port: protocol for one in members for port, protocol in listen_ports(one).items()}
        for port, protocol in ports.items():
            those = [one for one in members if port in listen_ports(one)]
            is_tls = protocol == "HTTPS"
            target = None if is_tls else next((number for one in those if (number := redirect(one))), None)
            routes = routes_of(those, targets)
            if len(routes) == 1 and routes[0].takes_all:
                found[port] = Front(is_tls, target), routes[0].targets
            else:
                found[port] = Front(is_tls, target, routes), ()
        return found
    except BuildError:
        return {80: (Front(False, None, routes_of(members, targets)), ())}


def routes_of(members: list[Member], targets: Callable[[Member, Object], Targets]) -> tuple[Route, ...]:
    found = []
    for member in members:
        for rule in member.document["spec"].get("rules") or []:
            for path in in_order((rule.get("http") or {}).get("paths") or []):
                patterns = dict(conditions(rule, path))
                hosts, paths = patterns.get("host-header", ()), patterns.get("path-pattern", ())
                found.append(Route(hosts, paths, targets(member, path["backend"])))
    defaults = [one for one in members if one.document["spec"].get("defaultBackend")]
    found += [Route((), (), targets(one, one.document["spec"]["defaultBackend"])) for one in defaults]
    return tuple(found)


def in_order(paths: list[Object]) -> list[Object]:
    """Exact ones, then prefixes from the longest on, then the others as they are."""
    exact = [path for path in paths if path.get("pathType") == "Exact"]
    prefixes = sorted((path for path in paths if path.get("pathType") == "Prefix"), key=lambda one: -len(one["path"]))
    return exact + prefixes + [path for path in paths if path.get("pathType") not in ("Exact", "Prefix")]


def conditions(rule: Object, path: Object) -> tuple[tuple[str, tuple[str, ...]], ...]:
    found: list[tuple[str, tuple[str, ...]]] = []
    if rule.get("host"):
        found.append(("host-header", (rule["host"],)))
    text = path.get("path", "")
    if text == "/" and path.get("pathType") == "Prefix":
        found.append(("path-pattern", ("/*",)))
    elif text and path.get("pathType") == "Prefix":
        found.append(("path-pattern", (text.removesuffix("/"), f"{text.removesuffix('/')}/*")))
    elif text:
        found.append(("path-pattern", (text,)))
    return tuple(found or [("path-pattern", ("/*",))])


def group_of(
    key: Key,
    member: Member,
    backend: Object,
    service_of: Callable[[str, str], Object | None],
    controller: Installed,
) -> TargetGroup | None:
    """Returns None if the Service does not exist: its requests are answered with 503."""
    wanted = backend.get("service")
    namespace = member.document["metadata"]["namespace"]
    if not wanted:
        raise BuildError('missing required "service" field')
    given = wanted.get("port") or {}
    if given.get("name") == "use-annotation":
        raise BuildError(f"the sandbox does not read actions of annotations: {PREFIXES[0]}/actions.{wanted['name']}")
    service = service_of(namespace, wanted["name"])
    if service is None:
        return None
    text = given.get("name") or given.get("number")
    ports = service["spec"].get("ports", [])
    port = next((one for one in ports if text in (one.get("name"), one["port"])), None)
    if port is None:
        raise BuildError(f"unable to find port {text} on service {namespace}/{wanted['name']}")
    of = Annotations(PREFIXES, service, member.document)
    target_type = member.settings.get("targetType") or of.text("target-type", controller.target_type)
    if target_type not in ("instance", "ip"):
        raise BuildError(f"unknown targetType: {target_type}")
    number = target_number(port, target_type)
    protocol = of.text("backend-protocol", "HTTP")
    version = of.text("backend-protocol-version", "HTTP1")
    metadata = service["metadata"]
    name = named(
        namespace, metadata["name"], controller.cluster, key.stack, namespace, member.document["metadata"]["name"],
        metadata["uid"], text, number, target_type, protocol, version,
    )  # fmt: skip
    check = Check(
        of.text("healthcheck-protocol", protocol), of.text("healthcheck-port", "traffic-port"),
        of.text("healthcheck-path", "/AWS.ALB/healthcheck" if version == "GRPC" else "/"),
        of.text("success-codes", "12" if version == "GRPC" else "200"), of.number("healthcheck-interval-seconds", 15),
        of.number("healthcheck-timeout-seconds", 5), of.number("healthy-threshold-count", 2),
        of.number("unhealthy-threshold-count", 2),
    )  # fmt: skip
    return TargetGroup(
        f"{member.name}-{metadata['name']}:{text}", name, number, protocol, version, target_type, check,
        tuple(sorted(of.pairs("target-group-attributes").items())), (namespace, metadata["name"]), port["port"],
    )  # fmt: skip
