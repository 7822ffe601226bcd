"""Objects as rows, as `kubectl get` prints them."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from provisioner_sandbox.kube.resources import Resource

Object = dict[str, Any]
Column = tuple[str, Callable[[Object], Any]]


def age(stamp: str | None) -> str:
    if not stamp:
        return "<unknown>"
    seconds = max(int(time.time() - datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()), 0)
    for size, unit in ((86400, "d"), (3600, "h"), (120, "m")):
        if seconds >= size:
            return f"{seconds // (60 if unit == 'm' else size)}{unit}"
    return f"{seconds}s"


def pod_state(pod: Object) -> str:
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    found = pod.get("status", {})
    for one in found.get("containerStatuses", []):
        state = one.get("state", {})
        reason = (state.get("waiting") or state.get("terminated") or {}).get("reason")
        if reason:
            return reason
    return found.get("reason") or found.get("phase", "Unknown")


def ready(pod: Object) -> str:
    found = pod.get("status", {}).get("containerStatuses", [])
    return f"{sum(bool(one.get('ready')) for one in found)}/{len(pod['spec']['containers'])}"


def status(name: str, default: Any = 0) -> Callable[[Object], Any]:
    return lambda document: document.get("status", {}).get(name, default)


def balancer(document: Object) -> str:
    found = document.get("status", {}).get("loadBalancer", {}).get("ingress", [])
    return ",".join(one.get("hostname") or one.get("ip", "") for one in found)


def external(service: Object) -> str:
    return (balancer(service) or "<pending>") if service["spec"]["type"] == "LoadBalancer" else "<none>"


def ports(service: Object) -> str:
    said = [
        f"{port['port']}{':' + str(port['nodePort']) if port.get('nodePort') else ''}/{port.get('protocol', 'TCP')}"
        for port in service["spec"].get("ports", [])
    ]
    return ",".join(said) or "<none>"


def job_state(job: Object) -> str:
    found = [one["type"] for one in job.get("status", {}).get("conditions") or [] if one["status"] == "True"]
    return next((kind for kind in ("Complete", "Failed", "Suspended") if kind in found), "Running")


def node_state(node: Object) -> str:
    found = {one["type"]: one["status"] for one in node.get("status", {}).get("conditions", [])}
    return ("Ready" if found.get("Ready") == "True" else "NotReady") + (
        ",SchedulingDisabled" if node.get("spec", {}).get("unschedulable") else ""
    )


COLUMNS: dict[str, list[Column]] = {
    "Pod": [
        ("Ready", ready),
        ("Status", pod_state),
        (
            "Restarts",
            lambda pod: sum(one.get("restartCount", 0) for one in pod.get("status", {}).get("containerStatuses", [])),
        ),
        ("IP", lambda pod: pod.get("status", {}).get("podIP", "<none>")),
        ("Node", lambda pod: pod["spec"].get("nodeName", "<none>")),
    ],
    "Deployment": [
        ("Ready", lambda one: f"{one.get('status', {}).get('readyReplicas', 0)}/{one['spec'].get('replicas', 0)}"),
        ("Up-to-date", status("updatedReplicas")),
        ("Available", status("availableReplicas")),
    ],
    "ReplicaSet": [
        ("Desired", lambda one: one["spec"].get("replicas", 0)),
        ("Current", status("replicas")),
        ("Ready", status("readyReplicas")),
    ],
    "Job": [
        ("Status", job_state),
        ("Completions", lambda one: f"{one.get('status', {}).get('succeeded', 0)}/{one['spec'].get('completions', 1)}"),
    ],
    "CronJob": [
        ("Schedule", lambda one: one["spec"]["schedule"]),
        ("Suspend", lambda one: str(one["spec"].get("suspend", False))),
        ("Active", lambda one: len(one.get("status", {}).get("active") or [])),
    ],
    "Service": [
        ("Type", lambda one: one["spec"]["type"]),
        ("Cluster-IP", lambda one: one["spec"].get("clusterIP", "<none>")),
        ("External-IP", external),
        ("Port(s)", ports),
    ],
    "PersistentVolumeClaim": [
        ("Status", status("phase")),
        ("Volume", lambda one: one["spec"].get("volumeName", "")),
        ("Capacity", lambda one: one.get("status", {}).get("capacity", {}).get("storage", "")),
        ("StorageClass", lambda one: one["spec"].get("storageClassName", "")),
    ],
    "PersistentVolume": [
        ("Capacity", lambda one: one["spec"].get("capacity", {}).get("storage", "")),
        ("Reclaim Policy", lambda one: one["spec"].get("persistentVolumeReclaimPolicy", "")),
        ("Status", status("phase")),
        ("Claim", lambda one: "/".join(one["spec"]["claimRef"][key] for key in ("namespace", "name")) if "claimRef" in one["spec"] else ""),
    ],
    "Ingress": [
        ("Class", lambda one: one["spec"].get("ingressClassName", "<none>")),
        ("Hosts", lambda one: ",".join(rule.get("host", "*") for rule in one["spec"].get("rules", [])) or "*"),
        ("Address", balancer),
    ],
    "Node": [
        ("Status", node_state),
        ("Version", lambda one: one.get("status", {}).get("nodeInfo", {}).get("kubeletVersion", "")),
    ],
    "Namespace": [("Status", status("phase", "Active"))],
    "ConfigMap": [("Data", lambda one: len(one.get("data") or {}) + len(one.get("binaryData") or {}))],
    "Secret": [("Type", lambda one: one.get("type", "")), ("Data", lambda one: len(one.get("data") or {}))],
    "Event": [
        ("Type", lambda one: one.get("type", "")),
        ("Reason", lambda one: one.get("reason", "")),
        (
            "Object",
            lambda one: f"{one['involvedObject'].get('kind', '').lower()}/{one['involvedObject'].get('name', '')}",
        ),
        ("Message", lambda one: one.get("message", "")),
    ],
}


def as_table(resource: Resource, items: list[Object], meta: Object) -> Object:
    columns: list[Column] = [
        ("Name", lambda one: one["metadata"]["name"]),
        *(COLUMNS.get(resource.kind, []) if resource.custom is None else []),
        ("Age", lambda one: age(one["metadata"].get("creationTimestamp"))),
    ]
    definitions = [
        {"name": name, "type": "string", "format": "name" if name == "Name" else "", "description": "", "priority": 0}
        for name, _ in columns
    ]
    rows = [
        {
            "cells": [value(one) for _, value in columns],
            "object": {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": one["metadata"]},
        }
        for one in items
    ]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": meta,
        "columnDefinitions": definitions,
        "rows": rows,
    }
