"""What the API server fills in. Source: `pkg/apis/*/v1/defaults.go` of Kubernetes."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from provisioner_sandbox.kube.schema import Node, child, resolve

Object = dict[str, Any]
TABLE: dict[str, Callable[[Object], None]] = {}


def of(kind: str) -> Callable[[Callable[[Object], None]], Callable[[Object], None]]:
    def register(function: Callable[[Object], None]) -> Callable[[Object], None]:
        TABLE[kind] = function
        return function

    return register


def fill(target: Object, **values: Any) -> None:
    for key, value in values.items():
        if target.get(key) is None:
            target[key] = value


def by_schema(node: Node, value: Any) -> None:
    """What shapes themselves say: all of it for custom resources, little for built-in ones."""
    node = resolve(node)
    if isinstance(node, str) or value is None or "enum" in node:
        return
    if isinstance(value, list):
        for item in value:
            by_schema(node.get("list", "any"), item)
        return
    if not isinstance(value, dict):
        return
    for key, default in node.get("defaults", {}).items():
        if key not in value:
            value[key] = default
    for key, inner in value.items():
        by_schema(child(node, key) or "any", inner)


def apply(kind: str, node: Node, document: Object) -> None:
    by_schema(node, document)
    if kind in TABLE:
        TABLE[kind](document)


def pod_template(template: Object) -> None:
    template.setdefault("metadata", {})
    pod_spec(template.setdefault("spec", {}))


def pod_spec(spec: Object) -> None:
    fill(
        spec, restartPolicy="Always", terminationGracePeriodSeconds=30, dnsPolicy="ClusterFirst", securityContext={},
        schedulerName="default-scheduler",
    )  # fmt: skip
    if spec.get("serviceAccountName"):
        spec["serviceAccount"] = spec["serviceAccountName"]
    for one in [*spec.get("initContainers", []), *spec.get("containers", [])]:
        container(one)
    for volume in spec.get("volumes", []):
        for kind in ("configMap", "secret", "projected", "downwardAPI"):
            if kind in volume:
                fill(volume[kind], defaultMode=420)
        for source in volume.get("projected", {}).get("sources", []):
            if "serviceAccountToken" in source:
                fill(source["serviceAccountToken"], expirationSeconds=3600)
        if "hostPath" in volume:
            fill(volume["hostPath"], type="")


def container(one: Object) -> None:
    image = one.get("image", "")
    last = image.rpartition("/")[2]
    latest = "@" not in last and (":" not in last or last.endswith(":latest"))
    fill(
        one, resources={}, terminationMessagePath="/dev/termination-log", terminationMessagePolicy="File",
        imagePullPolicy="Always" if latest else "IfNotPresent",
    )  # fmt: skip
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if probe in one:
            fill(one[probe], timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3)
            http_get(one[probe].get("httpGet"))
            if "grpc" in one[probe]:
                fill(one[probe]["grpc"], service="")
    for hook in one.get("lifecycle", {}).values():
        if isinstance(hook, dict):
            http_get(hook.get("httpGet"))
    for variable in one.get("env", []):
        field = variable.get("valueFrom", {}).get("fieldRef")
        if field:
            fill(field, apiVersion="v1")


def http_get(probe: Object | None) -> None:
    if probe is not None:
        fill(probe, path="/", scheme="HTTP")


@of("Pod")
def pod(document: Object) -> None:
    pod_spec(document.setdefault("spec", {}))
    spec = document["spec"]
    fill(spec, enableServiceLinks=True, preemptionPolicy="PreemptLowerPriority", priority=0)
    for one in [*spec.get("initContainers", []), *spec.get("containers", [])]:
        requests, limits = one["resources"].get("requests", {}), one["resources"].get("limits", {})
        if set(limits) - set(requests):
            one["resources"]["requests"] = {**limits, **requests}


@of("Deployment")
def deployment(document: Object) -> None:
    spec = document.setdefault("spec", {})
    fill(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600, strategy={})
    fill(spec["strategy"], type="RollingUpdate")
    if spec["strategy"]["type"] == "RollingUpdate":
        rolling = spec["strategy"].setdefault("rollingUpdate", {})
        fill(rolling, maxUnavailable="25%", maxSurge="25%")
    pod_template(spec.setdefault("template", {}))


@of("ReplicaSet")
def replica_set(document: Object) -> None:
    spec = document.setdefault("spec", {})
    fill(spec, replicas=1)
    pod_template(spec.setdefault("template", {}))


def job_spec(spec: Object) -> None:
    if spec.get("completions") is None and spec.get("parallelism") is None:
        fill(spec, completions=1)
    fill(spec, parallelism=1)
    if spec.get("backoffLimit") is None:
        spec["backoffLimit"] = 6
    fill(spec, completionMode="NonIndexed", suspend=False, podReplacementPolicy="TerminatingOrFailed", manualSelector=False)
    pod_template(spec.setdefault("template", {}))


@of("Job")
def job(document: Object) -> None:
    job_spec(document.setdefault("spec", {}))


@of("CronJob")
def cron_job(document: Object) -> None:
    spec = document.setdefault("spec", {})
    fill(spec, concurrencyPolicy="Allow", suspend=False, successfulJobsHistoryLimit=3, failedJobsHistoryLimit=1)
    inner = spec.setdefault("jobTemplate", {})
    inner.setdefault("metadata", {})
    pod_template(inner.setdefault("spec", {}).setdefault("template", {}))


@of("Service")
def service(document: Object) -> None:
    spec = document.setdefault("spec", {})
    fill(spec, type="ClusterIP", sessionAffinity="None")
    kind = spec["type"]
    if kind != "ExternalName":
        fill(spec, internalTrafficPolicy="Cluster", ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack")
    if kind in ("NodePort", "LoadBalancer"):
        fill(spec, externalTrafficPolicy="Cluster")
    if kind == "LoadBalancer":
        fill(spec, allocateLoadBalancerNodePorts=True)
    if spec["sessionAffinity"] == "ClientIP":
        fill(spec, sessionAffinityConfig={"clientIP": {"timeoutSeconds": 10800}})
    for port in spec.get("ports", []):
        fill(port, protocol="TCP")
        fill(port, targetPort=port.get("port"))


@of("NetworkPolicy")
def network_policy(document: Object) -> None:
    spec = document.setdefault("spec", {})
    fill(spec, podSelector={})
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
    for rule in [*spec.get("ingress", []), *spec.get("egress", [])]:
        for port in rule.get("ports", []):
            fill(port, protocol="TCP")


@of("HorizontalPodAutoscaler")
def autoscaler(document: Object) -> None:
    spec = document.setdefault("spec", {})
    fill(spec, minReplicas=1)
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    if "behavior" in spec:
        up = [{"type": "Pods", "value": 4, "periodSeconds": 15}, {"type": "Percent", "value": 100, "periodSeconds": 15}]
        down = [{"type": "Percent", "value": 100, "periodSeconds": 15}]
        fill(spec["behavior"], scaleUp={}, scaleDown={})
        fill(spec["behavior"]["scaleUp"], stabilizationWindowSeconds=0, selectPolicy="Max", policies=up)
        fill(spec["behavior"]["scaleDown"], selectPolicy="Max", policies=down)


@of("Secret")
def secret(document: Object) -> None:
    fill(document, type="Opaque")
    plain = document.pop("stringData", None)
    if plain:
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in plain.items()}
        document["data"] = {**document.get("data", {}), **encoded}


@of("Namespace")
def namespace(document: Object) -> None:
    labels = document["metadata"].setdefault("labels", {})
    labels["kubernetes.io/metadata.name"] = document["metadata"].get("name", "")


@of("IngressClass")
def ingress_class(document: Object) -> None:
    parameters = document.get("spec", {}).get("parameters")
    if parameters is not None:
        fill(parameters, scope="Cluster")


@of("StorageClass")
def storage_class(document: Object) -> None:
    fill(document, reclaimPolicy="Delete", volumeBindingMode="Immediate")


@of("PersistentVolume")
def volume(document: Object) -> None:
    fill(document.setdefault("spec", {}), persistentVolumeReclaimPolicy="Retain", volumeMode="Filesystem")


@of("PersistentVolumeClaim")
def claim(document: Object) -> None:
    fill(document.setdefault("spec", {}), volumeMode="Filesystem")


@of("Role")
@of("ClusterRole")
def role(document: Object) -> None:
    if "rules" not in document:
        document["rules"] = None


@of("RoleBinding")
@of("ClusterRoleBinding")
def binding(document: Object) -> None:
    for subject in document.get("subjects", []):
        if subject.get("kind") in ("User", "Group"):
            fill(subject, apiGroup="rbac.authorization.k8s.io")
    if "roleRef" in document:
        fill(document["roleRef"], apiGroup="rbac.authorization.k8s.io")


@of("ValidatingWebhookConfiguration")
@of("MutatingWebhookConfiguration")
def webhooks(document: Object) -> None:
    for one in document.get("webhooks", []):
        fill(
            one,
            failurePolicy="Fail",
            matchPolicy="Equivalent",
            namespaceSelector={},
            objectSelector={},
            timeoutSeconds=10,
        )
        if document["kind"].startswith("Mutating"):
            fill(one, reinvocationPolicy="Never")
        for rule in one.get("rules", []):
            fill(rule, scope="*")
        if "service" in one.get("clientConfig", {}):
            fill(one["clientConfig"]["service"], port=443)


@of("CustomResourceDefinition")
def definition(document: Object) -> None:
    spec = document.setdefault("spec", {})
    fill(spec, conversion={"strategy": "None"})
    names = spec.get("names", {})
    fill(names, singular=names.get("kind", "").lower(), listKind=f"{names.get('kind', '')}List")
