"""What the API server refuses in an object, as far as people get it wrong. After Kubernetes' `pkg/apis/*/validation`."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any

from provisioner_sandbox.kube.schema import Node, child, resolve
from provisioner_sandbox.kube.selectors import selects
from provisioner_sandbox.kube.status import Cause, forbidden_field, missing, unsupported, wrong

Object = dict[str, Any]
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
ENV_NAME = re.compile(r"^[^=\x00-\x1f]+$")
KEY = re.compile(r"^[-._a-zA-Z0-9]+$")
PATH_NAMED = {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
QUANTITY = re.compile(r"^[+-]?(\d+(\.\d*)?|\.\d+)(([KMGTPE]i)|[numkMGTPE]|([eE][+-]?\d+))?$")
ANNOTATIONS_BYTES = 256 * 1024
IMMUTABLE = "field is immutable"
CHECKS: dict[str, Callable[[Object, Object | None], list[Cause]]] = {}
Causes = list[Cause]


def of(*kinds: str) -> Callable[[Any], Any]:
    def register(function: Any) -> Any:
        for kind in kinds:
            CHECKS[kind] = function
        return function

    return register


def check(kind: str, node: Node, document: Object, old: Object | None) -> Causes:
    causes = metadata(kind, document["metadata"], old)
    causes += by_schema(node, {key: value for key, value in document.items() if key not in ("metadata", "status")}, "")
    if kind in CHECKS:
        known = {cause.field for cause in causes}
        causes += [cause for cause in CHECKS[kind](document, old) if cause.field not in known]
    return causes


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


def by_schema(node: Node, value: Any, path: str) -> Causes:
    """Required fields and values of a list of choices."""
    node = resolve(node)
    if node is None or value is None:
        return []
    if isinstance(node, str):
        if node == "quantity" and not QUANTITY.match(str(value)):
            return [
                wrong(
                    path,
                    value,
                    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
                )
            ]
        return []
    if "enum" in node:
        if value in node["enum"] or value == "":
            return []
        return [unsupported(path, value, [one for one in node["enum"] if one != ""])]
    causes: Causes = []
    if "list" in node:
        for n, item in enumerate(value):
            causes += by_schema(node["list"], item, f"{path}[{n}]")
        return causes
    for name in node.get("required", []):
        if not path and name == "metadata":
            continue
        # An empty list or text is what Go's types make of what is not there.
        if value.get(name) is None:
            causes.append(missing(f"{path}.{name}".lstrip(".")))
    for key, inner in value.items():
        where = f"{path}.{key}".lstrip(".") if "map" not in node else f"{path}[{key}]"
        causes += by_schema(child(node, key), inner, where)
    return causes


# --- pods and what makes them ---------------------------------------------------------------------------------------


def pod_spec(spec: Object, path: str) -> Causes:
    causes: Causes = []
    volumes = {volume.get("name") for volume in spec.get("volumes", [])}
    if not spec.get("containers"):
        causes.append(missing(f"{path}.containers"))
    names: set[str] = set()
    for group in ("initContainers", "containers"):
        for n, one in enumerate(spec.get(group, [])):
            where = f"{path}.{group}[{n}]"
            causes += container(one, where, volumes)
            name = one.get("name", "")
            if name in names:
                causes.append(Cause("FieldValueDuplicate", f"{where}.name", name))
            names.add(name)
    grace = spec.get("terminationGracePeriodSeconds", 30)
    if grace < 0:
        causes.append(wrong(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than or equal to 0"))
    return causes


def container(one: Object, path: str, volumes: set[Any]) -> Causes:
    causes: Causes = []
    name = one.get("name", "")
    if not name:
        causes.append(missing(f"{path}.name"))
    elif not re.fullmatch(LABEL, name) or len(name) > 63:
        causes.append(wrong(f"{path}.name", name, LABEL_TEXT))
    image = one.get("image", "")
    if not image:
        causes.append(missing(f"{path}.image"))
    elif image != image.strip():
        causes.append(wrong(f"{path}.image", image, "must not have leading or trailing whitespace"))
    for n, port in enumerate(one.get("ports", [])):
        number = port.get("containerPort", 0)
        if not 0 < number < 65536:
            causes.append(wrong(f"{path}.ports[{n}].containerPort", number, "must be between 1 and 65535, inclusive"))
    for n, variable in enumerate(one.get("env", [])):
        if not variable.get("name"):
            causes.append(missing(f"{path}.env[{n}].name"))
        elif not ENV_NAME.match(variable["name"]):
            causes.append(
                wrong(
                    f"{path}.env[{n}].name",
                    variable["name"],
                    "a valid environment variable name must consist only of printable ASCII characters other than '='",
                )
            )
        if variable.get("value") and variable.get("valueFrom"):
            causes.append(wrong(f"{path}.env[{n}].valueFrom", "", "may not be specified when `value` is not empty"))
    for n, mount in enumerate(one.get("volumeMounts", [])):
        if mount.get("name") not in volumes:
            causes.append(Cause("FieldValueNotFound", f"{path}.volumeMounts[{n}].name", mount.get("name", "")))
        if not mount.get("mountPath"):
            causes.append(missing(f"{path}.volumeMounts[{n}].mountPath"))
    for kind in ("livenessProbe", "readinessProbe", "startupProbe"):
        if kind in one:
            causes += probe(one[kind], f"{path}.{kind}", kind)
    resources = one.get("resources", {})
    for name, amount in resources.get("requests", {}).items():
        limit = resources.get("limits", {}).get(name)
        if limit is not None and number_of(amount) > number_of(limit):
            causes.append(
                wrong(f"{path}.resources.requests", amount, f"must be less than or equal to {name} limit of {limit}")
            )
    return causes


def probe(one: Object, path: str, kind: str) -> Causes:
    handlers = [name for name in ("exec", "httpGet", "tcpSocket", "grpc") if name in one]
    if not handlers:
        return [missing(path, "must specify a handler type")]
    if len(handlers) > 1:
        return [forbidden_field(f"{path}.{handlers[1]}", "may not specify more than 1 handler type")]
    causes: Causes = []
    if handlers[0] in ("httpGet", "tcpSocket") and not one[handlers[0]].get("port"):
        causes.append(wrong(f"{path}.{handlers[0]}.port", 0, "must be between 1 and 65535, inclusive"))
    if kind != "readinessProbe" and one.get("successThreshold", 1) != 1:
        causes.append(wrong(f"{path}.successThreshold", one["successThreshold"], "must be 1"))
    return causes


def number_of(text: str) -> float:
    from provisioner_sandbox.kube.kubelet.spec import quantity

    return float(quantity(str(text)))


def workload(document: Object, old: Object | None) -> Causes:
    spec = document.get("spec", {})
    causes: Causes = []
    selector, template = spec.get("selector"), spec.get("template", {})
    given = (template.get("metadata") or {}).get("labels")
    if selector is not None and not selector:
        causes.append(wrong("spec.selector", {}, "empty selector is invalid for deployment"))
    elif selector is not None and not selects(selector, given):
        causes.append(wrong("spec.template.metadata.labels", given, "`selector` does not match template `labels`"))
    causes += labels("spec.template.labels", given)
    if spec.get("replicas", 0) < 0:
        causes.append(wrong("spec.replicas", spec["replicas"], "must be greater than or equal to 0"))
    pod = template.get("spec", {})
    causes += pod_spec(pod, "spec.template.spec")
    if pod.get("restartPolicy", "Always") != "Always":
        causes.append(unsupported("spec.template.spec.restartPolicy", pod["restartPolicy"], ["Always"]))
    if old is not None and old["spec"].get("selector") != selector:
        causes.append(wrong("spec.selector", selector, IMMUTABLE))
    return causes


@of("ReplicaSet")
def replica_set(document: Object, old: Object | None) -> Causes:
    return workload(document, old)


@of("Deployment")
def deployment(document: Object, old: Object | None) -> Causes:
    causes = workload(document, old)
    spec = document["spec"]
    rolling = spec.get("strategy", {}).get("rollingUpdate")
    if rolling and all(str(rolling.get(name)) in ("0", "0%") for name in ("maxUnavailable", "maxSurge")):
        text = "may not be 0 when `maxSurge` is 0"
        causes.append(wrong("spec.strategy.rollingUpdate.maxUnavailable", rolling["maxUnavailable"], text))
    if rolling and spec["strategy"].get("type") == "Recreate":
        text = "may not be specified when strategy `type` is 'Recreate'"
        causes.append(forbidden_field("spec.strategy.rollingUpdate", text))
    if spec.get("progressDeadlineSeconds", 600) <= spec.get("minReadySeconds", 0):
        text = "must be greater than minReadySeconds"
        causes.append(wrong("spec.progressDeadlineSeconds", spec["progressDeadlineSeconds"], text))
    return causes


# What of a pod may change while it lives.
MAY_CHANGE = {"activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "schedulingGates", "nodeName"}


@of("Pod")
def pod(document: Object, old: Object | None) -> Causes:
    causes = pod_spec(document["spec"], "spec")
    if old is not None and fixed(old["spec"]) != fixed(document["spec"]):
        text = (
            "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
            "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
            "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
        )
        causes.append(forbidden_field("spec", text))
    return causes


def fixed(spec: Object) -> Object:
    kept = {key: value for key, value in spec.items() if key not in MAY_CHANGE}
    for group in ("containers", "initContainers"):
        kept[group] = [{**one, "image": ""} for one in spec.get(group, [])]
    return kept


# --- the network ----------------------------------------------------------------------------------------------------


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


# --- configuration, policies, access --------------------------------------------------------------------------------


@of("PersistentVolumeClaim")
def claim(document: Object, old: Object | None) -> Causes:
    """Source: ValidatePersistentVolumeClaimUpdate in pkg/apis/core/validation of Kubernetes."""
    spec = document.get("spec", {})
    causes: Causes = []
    if not spec.get("accessModes"):
        causes.append(missing("spec.accessModes", "at least 1 access mode is required"))
    if "storage" not in ((spec.get("resources") or {}).get("requests") or {}):
        causes.append(missing("spec.resources[storage]"))
    if old is not None:
        fixed = {key: value for key, value in spec.items() if key not in ("resources", "volumeAttributesClassName")}
        before = {key: old["spec"][key] for key in old["spec"] if key not in ("resources", "volumeAttributesClassName")}
        if "volumeName" not in before:
            fixed.pop("volumeName", None)
        if fixed != before:
            text = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
            causes.append(forbidden_field("spec", text))
    return causes


@of("PersistentVolume")
def volume(document: Object, old: Object | None) -> Causes:
    spec = document.get("spec", {})
    causes = [missing("spec.accessModes")] if not spec.get("accessModes") else []
    return causes + ([missing("spec.capacity")] if "storage" not in (spec.get("capacity") or {}) else [])


@of("ConfigMap", "Secret")
def configuration(document: Object, old: Object | None) -> Causes:
    causes: Causes = []
    for part in ("data", "binaryData"):
        for key in document.get(part) or {}:
            if not KEY.match(key) or len(key) > 253:
                text = (
                    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
                    "'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
                )
                causes.append(wrong(f"{part}[{key}]", key, text))
    if old is not None and old.get("immutable"):
        for part in ("data", "binaryData"):
            if old.get(part) != document.get(part):
                causes.append(forbidden_field(part, "field is immutable when `immutable` is set"))
    if old is not None and document["kind"] == "Secret" and old.get("type") != document.get("type"):
        causes.append(wrong("type", document.get("type"), IMMUTABLE))
    return causes


@of("PodDisruptionBudget")
def disruption_budget(document: Object, old: Object | None) -> Causes:
    spec = document.get("spec", {})
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        return [wrong("spec", spec, "minAvailable and maxUnavailable cannot be both set")]
    return []


@of("HorizontalPodAutoscaler")
def autoscaler(document: Object, old: Object | None) -> Causes:
    spec = document["spec"]
    causes: Causes = []
    least, most = spec.get("minReplicas", 1), spec.get("maxReplicas", 0)
    if least < 1:
        causes.append(wrong("spec.minReplicas", least, "must be greater than or equal to 1"))
    if most < 1:
        causes.append(wrong("spec.maxReplicas", most, "must be greater than 0"))
    if most < least:
        causes.append(wrong("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`"))
    return causes


@of("RoleBinding", "ClusterRoleBinding")
def binding(document: Object, old: Object | None) -> Causes:
    if old is not None and old.get("roleRef") != document.get("roleRef"):
        return [wrong("roleRef", document.get("roleRef"), "cannot change roleRef")]
    return []


@of("CustomResourceDefinition")
def definition(document: Object, old: Object | None) -> Causes:
    spec = document.get("spec", {})
    causes: Causes = []
    wanted = f"{spec.get('names', {}).get('plural', '')}.{spec.get('group', '')}"
    name = document["metadata"].get("name", "")
    if name != wanted:
        causes.append(wrong("metadata.name", name, 'must be spec.names.plural+"."+spec.group'))
    versions = spec.get("versions", [])
    if len([version for version in versions if version.get("storage")]) != 1:
        causes.append(wrong("spec.versions", [], "must have exactly one version marked as storage version"))
    for n, version in enumerate(versions):
        if not (version.get("schema") or {}).get("openAPIV3Schema"):
            causes.append(missing(f"spec.versions[{n}].schema.openAPIV3Schema", "schemas are required"))
    return causes
