"""How a node group replaces its nodes: in a version update, and when one is unhealthy.

What is refused and in which words: the descriptions of NodegroupUpdateConfig and NodeRepairConfig in botocore's model,
and calls that https://github.com/badmintoncryer/cdk-preflight measured. The defaults are those of outputs of
`describe-nodegroup` of 2026; older ones have no `updateStrategy`.
"""

from __future__ import annotations

import json
from typing import Any

from provisioner_sandbox.services.eks.state import invalid

DEFAULT_STRATEGY = "DEFAULT"
COUNTS = ("maxUnavailable", "maxUnavailablePercentage")
# Each pair excludes each other.
REPAIR_LIMITS = (
    ("maxUnhealthyNodeThresholdCount", "maxUnhealthyNodeThresholdPercentage"),
    ("maxParallelNodesRepairedCount", "maxParallelNodesRepairedPercentage"),
)
# "If you use this, you must specify all the values."
# https://docs.aws.amazon.com/eks/latest/APIReference/API_NodeRepairConfigOverrides.html
OVERRIDE = ("nodeMonitoringCondition", "nodeUnhealthyReason", "minRepairWaitTimeMins", "repairAction")


def update_config(
    asked: dict[str, Any] | None, scaling: dict[str, int], before: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The update configuration after a request, in which `before` is what the group has now."""
    strategy = {"updateStrategy": (before or {}).get("updateStrategy", DEFAULT_STRATEGY)}
    if asked is None:
        return {"maxUnavailable": 1, **strategy}
    if not asked:
        raise invalid("UpdateConfig cannot be empty if set in the request.")
    if all(asked.get(member) for member in COUNTS):
        raise invalid("Either provide max-unavailable or max-unavailable-percentage in the request.")
    if asked.get("maxUnavailable", 1) > scaling["maxSize"]:
        raise invalid("max-unavailable must be within the range 1 and max size of the node group")
    if any(asked.get(member) for member in COUNTS):
        return {**strategy, **asked}
    kept = {member: before[member] for member in COUNTS if member in before} if before else {"maxUnavailable": 1}
    return {**kept, **asked}


def update_params(asked: dict[str, Any]) -> dict[str, Any]:
    """What `DescribeUpdate` says of a request to change the update configuration."""
    return {
        "MaxUnavailable": asked.get("maxUnavailable"),
        "MaxUnavailablePercentage": asked.get("maxUnavailablePercentage"),
        "UpdateStrategy": asked.get("updateStrategy"),
    }


def repair_config(asked: dict[str, Any] | None) -> dict[str, Any]:
    """The whole repair configuration after a request: AWS replaces it, and repairs nothing unless told to."""
    for pair in REPAIR_LIMITS:
        if all((asked or {}).get(member) for member in pair):
            raise invalid("Either provide max parallel nodes to repair count or percentage in the request.")
    for override in (asked or {}).get("nodeRepairConfigOverrides") or []:
        missing = [member for member in OVERRIDE if not override.get(member)]
        if missing:
            raise invalid(f"nodeRepairConfigOverrides must specify all values: {', '.join(missing)} missing")
    return {"enabled": False, **(asked or {})}


def repair_params(config: dict[str, Any]) -> dict[str, Any]:
    """What `DescribeUpdate` says of a new repair configuration."""
    return {"NodeRepairEnabled": config["enabled"], "NodeRepairConfig": json.dumps(config)}
