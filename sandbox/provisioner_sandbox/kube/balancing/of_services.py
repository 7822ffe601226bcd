"""The model of a Service of type LoadBalancer: a Network Load Balancer.

Source: pkg/service of the controller.
"""

from __future__ import annotations

from provisioner_sandbox.kube.balancing.annotations import Annotations, BuildError, Object
from provisioner_sandbox.kube.balancing.installed import Installed
from provisioner_sandbox.kube.balancing.model import SERVICE, Check, Key, Listener, Model, TargetGroup, named

FINALIZER = "service.k8s.aws/resources"
PREFIXES = ("service.beta.kubernetes.io", "service.kubernetes.io")
START = "aws-load-balancer-"
SCHEMES = ("internal", "internet-facing")
LONGEST_NAME = 32


def annotations(service: Object) -> Annotations:
    return Annotations(PREFIXES, service)


def key_of(service: Object) -> Key:
    return Key(SERVICE, f"{service['metadata']['namespace']}/{service['metadata']['name']}")


def is_supported(service: Object, controller: Installed) -> bool:
    if service["spec"].get("type") != "LoadBalancer":
        return False
    if "loadBalancerClass" in service["spec"]:
        return bool(service["spec"]["loadBalancerClass"] == controller.service_class)
    of = annotations(service)
    kind, targets = of.text(f"{START}type"), of.text(f"{START}nlb-target-type")
    return kind == "nlb-ip" or (kind == "external" and targets in ("ip", "instance"))


def is_protected(service: Object) -> bool:
    return annotations(service).pairs(f"{START}attributes").get("deletion_protection.enabled") == "true"


def build(service: Object, controller: Installed) -> Model:
    of, metadata, cluster = annotations(service), service["metadata"], controller.cluster
    namespace, name, uid = metadata["namespace"], metadata["name"], metadata["uid"]
    scheme = scheme_of(of, controller)
    given = of.text(f"{START}name")
    if len(given) > LONGEST_NAME:
        raise BuildError("load balancer name cannot be longer than 32 characters")
    groups = tuple(group_of(service, port, of, controller) for port in service["spec"].get("ports", []))
    ranges = tuple(service["spec"].get("loadBalancerSourceRanges") or ()) or of.words("load-balancer-source-ranges")
    return Model(
        key_of(service), "network", given or named(namespace, name, cluster, uid, scheme), scheme,
        named(namespace, name, cluster, name, namespace, uid),
        tuple(
            (port.get("protocol", "TCP").lower(), port["port"], cidr)
            for port in service["spec"].get("ports", [])
            for cidr in ranges or ("0.0.0.0/0",)
        ),
        groups,
        tuple(
            Listener(
                port["port"], listener_protocol(port, of), group.resource, certificates=certificates_of(port, of),
                policy=of.text(f"{START}ssl-negotiation-policy") if has_tls(port, of) else "",
            )
            for port, group in zip(service["spec"].get("ports", []), groups)
        ),
        of.pairs(f"{START}additional-resource-tags"), of.pairs(f"{START}attributes"), of.words(f"{START}subnets"),
        of.words(f"{START}security-groups"), of.text(f"{START}manage-backend-security-group-rules") == "true",
        of.words(f"{START}eip-allocations"),
    )  # fmt: skip


def scheme_of(of: Annotations, controller: Installed) -> str:
    scheme = of.text(f"{START}scheme")
    if not scheme:
        inside = of.text(f"{START}internal")
        scheme = {"": controller.scheme, "false": "internet-facing"}.get(inside, "internal")
    if scheme not in SCHEMES:
        raise BuildError(f"unknown scheme: {scheme}")
    return scheme


def has_tls(port: Object, of: Annotations) -> bool:
    ports = of.words(f"{START}ssl-ports")
    return bool(of.words(f"{START}ssl-cert")) and (
        not ports or "*" in ports or port.get("name", "") in ports or str(port["port"]) in ports
    )


def group_of(service: Object, port: Object, of: Annotations, controller: Installed) -> TargetGroup:
    metadata, spec = service["metadata"], service["spec"]
    target_type = of.text(f"{START}nlb-target-type", controller.target_type)
    target_type = "ip" if of.text(f"{START}type") == "nlb-ip" or target_type == "ip" else "instance"
    if target_type == "instance" and not port.get("nodePort") and spec.get("allocateLoadBalancerNodePorts") is False:
        raise BuildError("unable to support instance target type with an unallocated NodePort")
    number = target_number(port, target_type)
    protocol = port.get("protocol", "TCP")
    if has_tls(port, of) and of.text(f"{START}backend-protocol") == "ssl":
        protocol = "TLS"
    check = check_of(of)
    name = named(
        metadata["namespace"], metadata["name"], controller.cluster, metadata["uid"], number, port["port"],
        target_type, protocol, check.protocol, check.interval,
    )  # fmt: skip
    identity = f"{metadata['namespace']}/{metadata['name']}:{port['port']}"
    attributes = {"proxy_protocol_v2.enabled": "false", **of.pairs(f"{START}target-group-attributes")}
    return TargetGroup(
        identity, name, number, protocol, None, target_type, check, tuple(sorted(attributes.items())),
        (metadata["namespace"], metadata["name"]), port["port"],
    )  # fmt: skip


def target_number(port: Object, target_type: str) -> int:
    """Returns the target group's port. No target uses it: each is registered with its own."""
    if target_type == "instance":
        if not port.get("nodePort"):
            raise BuildError(
                "TargetGroup port is empty. When using Instance targets, your service be must of type 'NodePort' or "
                "'LoadBalancer'"
            )
        return int(port["nodePort"])
    wanted = port.get("targetPort", port["port"])
    return wanted if isinstance(wanted, int) else 1


def check_of(of: Annotations) -> Check:
    protocol = of.text(f"{START}healthcheck-protocol", "TCP").upper()
    if protocol not in ("TCP", "HTTP", "HTTPS"):
        raise BuildError(f"unsupported health check protocol {protocol}")
    plain = protocol == "TCP"
    return Check(
        protocol,
        of.text(f"{START}healthcheck-port", "traffic-port"),
        None if plain else of.text(f"{START}healthcheck-path", "/"),
        None if plain else of.text(f"{START}healthcheck-success-codes", "200-399"),
        of.number(f"{START}healthcheck-interval", 10),
        of.number(f"{START}healthcheck-timeout", 10),
        of.number(f"{START}healthcheck-healthy-threshold", 3),
        of.number(f"{START}healthcheck-unhealthy-threshold", 3),
    )


def listener_protocol(port: Object, of: Annotations) -> str:
    return "TLS" if has_tls(port, of) else str(port.get("protocol", "TCP"))


def certificates_of(port: Object, of: Annotations) -> tuple[str, ...]:
    return of.words(f"{START}ssl-cert") if has_tls(port, of) else ()
