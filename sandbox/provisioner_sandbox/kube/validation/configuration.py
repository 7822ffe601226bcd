"""Volumes, configuration, policies, bindings and definitions."""

from __future__ import annotations

import re

from provisioner_sandbox.kube.status import forbidden_field, missing, wrong
from provisioner_sandbox.kube.validation.checks import IMMUTABLE, Causes, Object, of

KEY = re.compile(r"^[-._a-zA-Z0-9]+$")


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
