"""Pods, and what creates them."""

from __future__ import annotations

import re
from typing import Any

from provisioner_sandbox.kube.kubelet.spec import quantity
from provisioner_sandbox.kube.selectors import selects
from provisioner_sandbox.kube.status import Cause, forbidden_field, missing, unsupported, wrong
from provisioner_sandbox.kube.validation.checks import IMMUTABLE, Causes, Object, of
from provisioner_sandbox.kube.validation.names import LABEL, LABEL_TEXT, labels

ENV_NAME = re.compile(r"^[^=\x00-\x1f]+$")
# What may change in a pod that exists.
MAY_CHANGE = {"activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "schedulingGates", "nodeName"}


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
