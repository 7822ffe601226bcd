"""Services, Ingresses and NetworkPolicies."""

from __future__ import annotations

import ipaddress

from provisioner_sandbox.kube.status import Cause, forbidden_field, missing, wrong
from provisioner_sandbox.kube.validation.checks import Causes, Object, of


@of("Service")
def service(document: Object, old: Object | None) -> Causes:
    spec = document["spec"]
    causes: Causes = []
    if spec["type"] == "ExternalName":
        return [] if spec.get("externalName") else [missing("spec.externalName")]
    if not spec.get("ports") and spec.get("clusterIP") != "None":
        causes.append(missing("spec.ports"))
    names: set[str] = set()
    for n, port in enumerate(spec.get("ports", [])):
        if len(spec["ports"]) > 1 and not port.get("name"):
            causes.append(missing(f"spec.ports[{n}].name"))
        if port.get("name") and port["name"] in names:
            causes.append(Cause("FieldValueDuplicate", f"spec.ports[{n}].name", port["name"]))
        names.add(port.get("name", ""))
        if not 0 < port.get("port", 0) < 65536:
            causes.append(wrong(f"spec.ports[{n}].port", port.get("port"), "must be between 1 and 65535, inclusive"))
    if spec.get("loadBalancerClass") and spec["type"] != "LoadBalancer":
        causes.append(forbidden_field("spec.loadBalancerClass", "may only be used when `type` is 'LoadBalancer'"))
    if old is not None and old["spec"].get("type") == "LoadBalancer" == spec["type"]:
        before, now = old["spec"].get("loadBalancerClass"), spec.get("loadBalancerClass")
        if before != now:
            causes.append(wrong("spec.loadBalancerClass", now, "may not change once set"))
    if old is not None and old["spec"].get("clusterIP") and spec.get("clusterIP") != old["spec"]["clusterIP"]:
        if "ExternalName" not in (old["spec"]["type"], spec["type"]):
            causes.append(wrong("spec.clusterIPs[0]", [spec.get("clusterIP")], "may not change once set"))
    return causes


@of("Ingress")
def ingress(document: Object, old: Object | None) -> Causes:
    spec = document.get("spec", {})
    causes: Causes = []
    if not spec.get("rules") and not spec.get("defaultBackend"):
        causes.append(wrong("spec", [], "either `defaultBackend` or `rules` must be specified"))
    for n, rule in enumerate(spec.get("rules", [])):
        for m, path in enumerate(rule.get("http", {}).get("paths", [])):
            where = f"spec.rules[{n}].http.paths[{m}]"
            if path.get("pathType") in ("Prefix", "Exact") and not path.get("path", "").startswith("/"):
                causes.append(wrong(f"{where}.path", path.get("path", ""), "must be an absolute path"))
            backend = path.get("backend") or {}
            if not backend.get("service") and not backend.get("resource"):
                causes.append(missing(f"{where}.backend"))
    return causes


@of("NetworkPolicy")
def network_policy(document: Object, old: Object | None) -> Causes:
    causes: Causes = []
    for side, peers in (("ingress", "from"), ("egress", "to")):
        for n, rule in enumerate(document["spec"].get(side, [])):
            for m, peer in enumerate(rule.get(peers, [])):
                cidr = peer.get("ipBlock", {}).get("cidr")
                if cidr is not None:
                    try:
                        ipaddress.ip_network(cidr)
                    except ValueError:
                        where = f"spec.{side}[{n}].{peers}[{m}].ipBlock.cidr"
                        causes.append(
                            wrong(where, cidr, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")
                        )
    return causes
