"""What each add-on can be configured with: JSON Schemas of the kind that AWS answers, and their check."""

from __future__ import annotations

import re
from typing import Any

QUANTITIES = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "limits": {"type": "object", "additionalProperties": False,
                   "properties": {"cpu": {"type": "string"}, "memory": {"type": "string"}}},
        "requests": {"type": "object", "additionalProperties": False,
                     "properties": {"cpu": {"type": "string"}, "memory": {"type": "string"}}},
    },
}  # fmt: skip
ANY_LIST = {"type": "array"}
ANY_MAP = {"type": "object"}
LABELS = {"type": "object", "additionalProperties": {"type": "string"}}
PLACES = {
    "affinity": ANY_MAP, "nodeSelector": LABELS, "tolerations": ANY_LIST, "topologySpreadConstraints": ANY_LIST,
    "podAnnotations": LABELS, "podLabels": LABELS, "resources": QUANTITIES,
}  # fmt: skip
WHOLE = {"type": "integer", "minimum": 1}


def schema(title: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$ref": f"#/definitions/{title}",
        "definitions": {
            title: {"title": title, "type": "object", "additionalProperties": False, "properties": properties}
        },
    }


SCHEMAS = {
    "vpc-cni": schema("VpcCni", {
        **PLACES,
        "enableNetworkPolicy": {"type": "string", "format": "boolean", "enum": ["true", "false"]},
        "enableWindowsIpam": {"type": "string", "enum": ["true", "false"]},
        "env": {"type": "object", "additionalProperties": False, "properties": {
            name: {"type": "string"} for name in (
                "ADDITIONAL_ENI_TAGS", "AWS_VPC_CNI_NODE_PORT_SUPPORT", "AWS_VPC_ENI_MTU",
                "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG", "AWS_VPC_K8S_CNI_EXTERNALSNAT", "AWS_VPC_K8S_CNI_LOGLEVEL",
                "ENABLE_POD_ENI", "ENABLE_PREFIX_DELEGATION", "ENI_CONFIG_LABEL_DEF", "MAX_ENI", "MINIMUM_IP_TARGET",
                "POD_SECURITY_GROUP_ENFORCING_MODE", "WARM_ENI_TARGET", "WARM_IP_TARGET", "WARM_PREFIX_TARGET",
            )
        }},
        "init": ANY_MAP,
        "nodeAgent": ANY_MAP,
        "eniConfig": ANY_MAP,
        "livenessProbeTimeoutSeconds": {"type": "integer"},
        "readinessProbeTimeoutSeconds": {"type": "integer"},
    }),
    "kube-proxy": schema("KubeProxy", {
        "ipvs": {"type": "object", "additionalProperties": False, "properties": {"scheduler": {"type": "string"}}},
        "mode": {"type": "string", "enum": ["iptables", "ipvs"]},
        "podAnnotations": LABELS, "podLabels": LABELS, "resources": QUANTITIES,
    }),
    "coredns": schema("Coredns", {
        **PLACES,
        "autoScaling": {"type": "object", "additionalProperties": False, "required": ["enabled"], "properties": {
            "enabled": {"type": "boolean"}, "minReplicas": WHOLE, "maxReplicas": WHOLE,
        }},
        "computeType": {"type": "string"},
        "corefile": {"type": "string"},
        "podDisruptionBudget": ANY_MAP,
        "replicaCount": {"type": "integer"},
    }),
    "eks-node-monitoring-agent": schema("EksNodeMonitoringAgent", {
        "monitoringAgent": ANY_MAP, "dcgmAgent": ANY_MAP, "podAnnotations": LABELS, "podLabels": LABELS,
    }),
    "eks-pod-identity-agent": schema("EksPodIdentityAgent", {
        **PLACES,
        "agent": ANY_MAP,
        "priorityClassName": {"type": "string"},
        "updateStrategy": ANY_MAP,
    }),
    "metrics-server": schema("MetricsServer", {
        **PLACES,
        "addonResizer": ANY_MAP,
        "args": ANY_LIST,
        "containerPort": {"type": "integer"},
        "hostNetwork": ANY_MAP,
        "metrics": ANY_MAP,
        "podDisruptionBudget": ANY_MAP,
        "replicas": WHOLE,
        "updateStrategy": ANY_MAP,
    }),
    "aws-ebs-csi-driver": schema("EbsCsiDriver", {
        "controller": {"type": "object", "additionalProperties": False, "properties": {
            **PLACES,
            "additionalArgs": ANY_LIST, "batching": {"type": "boolean"}, "defaultFsType": {"type": "string"},
            "enableMetrics": {"type": "boolean"}, "env": ANY_LIST, "extraCreateMetadata": {"type": "boolean"},
            "extraVolumeTags": LABELS, "loggingFormat": {"type": "string", "enum": ["text", "json"]},
            "logLevel": {"type": "integer"}, "replicaCount": WHOLE, "sdkDebugLog": {"type": "boolean"},
            "updateStrategy": ANY_MAP, "volumeModificationFeature": ANY_MAP,
        }},
        "defaultStorageClass": {"type": "object", "additionalProperties": False,
                                "properties": {"enabled": {"type": "boolean"}}},
        "node": ANY_MAP,
        "sidecars": ANY_MAP,
    }),
    "aws-efs-csi-driver": schema("EfsCsiDriver", {"controller": ANY_MAP, "node": ANY_MAP, "sidecars": ANY_MAP}),
    "snapshot-controller": schema("SnapshotController", {**PLACES, "replicaCount": WHOLE}),
    "amazon-cloudwatch-observability": schema("CloudwatchObservability", {
        "agent": ANY_MAP, "agents": ANY_LIST, "containerLogs": ANY_MAP, "dcgmExporter": ANY_MAP, "manager": ANY_MAP,
        "tolerations": ANY_LIST,
    }),
}  # fmt: skip

TYPES = {
    "object": dict, "array": list, "string": str, "integer": int, "boolean": bool, "number": (int, float),
}  # fmt: skip


def problems(value: Any, rule: dict[str, Any], root: dict[str, Any], path: str = "$") -> list[str]:
    """What is wrong with a configuration, in the words of the validator that EKS uses."""
    if "$ref" in rule:
        return problems(value, root["definitions"][rule["$ref"].rpartition("/")[2]], root, path)
    wanted = rule.get("type")
    if wanted:
        fits = isinstance(value, TYPES[wanted]) and not (wanted in ("integer", "number") and isinstance(value, bool))
        if not fits:
            return [f"{path}: {name_of(value)} found, {wanted} expected"]
    found: list[str] = []
    if "enum" in rule and value not in rule["enum"]:
        found.append(f"{path}: does not have a value in the enumeration {rule['enum']}")
    if "minimum" in rule and value < rule["minimum"]:
        found.append(f"{path}: must have a minimum value of {rule['minimum']}")
    if isinstance(value, dict):
        known, others = rule.get("properties", {}), rule.get("additionalProperties", True)
        for key in rule.get("required", []):
            if key not in value:
                found.append(f"{path}.{key}: is missing but it is required")
        for key, item in value.items():
            at = f"{path}.{key}" if re.match(r"^\w+$", key) else f"{path}['{key}']"
            if key in known:
                found += problems(item, known[key], root, at)
            elif others is False:
                found.append(f"{at}: is not defined in the schema and the schema does not allow additional properties")
            elif isinstance(others, dict):
                found += problems(item, others, root, at)
    return found


def name_of(value: Any) -> str:
    return next((name for name, kind in TYPES.items() if type(value) is kind), "null")
