"""From a path to what it names."""

from __future__ import annotations

from provisioner_sandbox.kube import resources, status
from provisioner_sandbox.kube.message import Target
from provisioner_sandbox.kube.resources import Catalogue

# Kinds of Kubernetes that are not supported here.
REAL_KINDS = {
    "daemonsets", "statefulsets", "controllerrevisions", "jobs", "cronjobs", "endpoints", "limitranges",
    "podtemplates", "replicationcontrollers", "bindings",
    "componentstatuses", "priorityclasses", "runtimeclasses", "csidrivers", "csinodes", "csistoragecapacities",
    "volumeattachments", "certificatesigningrequests", "validatingadmissionpolicies", "servicecidrs", "ipaddresses",
    "validatingadmissionpolicybindings", "subjectaccessreviews", "localsubjectaccessreviews", "flowschemas",
    "selfsubjectrulesreviews", "tokenreviews", "apiservices", "prioritylevelconfigurations", "deviceclasses",
    "resourceclaims", "resourceclaimtemplates", "resourceslices", "volumeattributesclasses",
}  # fmt: skip


def served(catalogue: Catalogue, group: str, version: str, rest: list[str]) -> bool:
    return version in catalogue.groups().get(group, []) or REAL_KINDS & set(rest) != set()


def target(catalogue: Catalogue, group: str, version: str, rest: list[str]) -> Target:
    """Raises `Refused` for kinds and subresources that do not exist or are not supported."""
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and catalogue.find(group, version, rest[2]):
        namespace, rest = rest[1], rest[2:]
    elif rest[0] == "namespaces" and group:
        namespace, rest = (rest[1] if len(rest) > 1 else ""), rest[2:]
        if not rest:
            raise status.no_such_resource()
    elif rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource = [*rest, "", ""][:3]
    resource = catalogue.find(group, version, plural)
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
