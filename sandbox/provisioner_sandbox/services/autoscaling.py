"""Auto Scaling: the groups behind EKS node groups beside moto's own."""

from __future__ import annotations

from typing import Any

from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.eks import fleet, health
from provisioner_sandbox.services.eks.nodegroups import LAUNCH_FAILURES
from provisioner_sandbox.services.eks.state import Cluster, Thing, eks_state


def groups(call: Call) -> dict[str, tuple[Cluster, Thing]]:
    return {
        fleet.group_name(group): (cluster, group)
        for cluster in eks_state(call.region).clusters.values()
        for group in cluster.nodegroups.values()
    }


@handles("autoscaling", "DescribeAutoScalingGroups")
def describe(call: Call) -> dict:
    own = groups(call)
    names = call.params.get("AutoScalingGroupNames")
    filters = call.params.get("Filters") or []
    found = [fleet.describe(call.region, group) for name, (_, group) in own.items() if not names or name in names]
    found = [group for group in found if all(has_tag(group, one) for one in filters)]
    theirs = [name for name in names or [] if name not in own]
    if theirs or not names:
        found += call.moto({**call.params, "AutoScalingGroupNames": theirs} if theirs else None)["AutoScalingGroups"]
    return {"AutoScalingGroups": found}


def has_tag(group: dict[str, Any], wanted: dict[str, Any]) -> bool:
    values = wanted.get("Values") or []
    match wanted.get("Name", ""):
        case "tag-key":
            return any(tag["Key"] in values for tag in group["Tags"])
        case "tag-value":
            return any(tag["Value"] in values for tag in group["Tags"])
        case name if name.startswith("tag:"):
            return any(tag["Key"] == name[4:] and tag["Value"] in values for tag in group["Tags"])
        case name:
            raise AwsError("ValidationError", f"Filter {name} is not supported")


@handles("autoscaling", "DescribeScalingActivities")
def activities(call: Call) -> Any:
    name = call.params.get("AutoScalingGroupName")
    own = groups(call)
    if name not in own:
        return call.forward()
    group = own[name][1]
    entry = health.configured(f"nodegroup/{group.doc['nodegroupName']}")
    trouble = entry if entry and entry.get("code") in LAUNCH_FAILURES else None
    size = call.params.get("MaxRecords") or 100
    return {"Activities": fleet.activities(call.region, group, trouble)[:size]}


@handles("autoscaling", "SetDesiredCapacity", "UpdateAutoScalingGroup")
def resize(call: Call) -> Any:
    own = groups(call)
    name = call.params["AutoScalingGroupName"]
    if name not in own:
        return call.forward()
    cluster, group = own[name]
    members = {"DesiredCapacity": "desiredSize", "MinSize": "minSize", "MaxSize": "maxSize"}
    scaling = {own: call.params[member] for member, own in members.items() if call.params.get(member) is not None}
    wanted = {**group.doc["scalingConfig"], **scaling}
    if not wanted["minSize"] <= wanted["desiredSize"] <= wanted["maxSize"]:
        raise AwsError("ValidationError", "Desired capacity must be between the minimum and the maximum size")
    group.doc["scalingConfig"] = wanted
    fleet.scale(call.region, cluster, group)
    return {}
