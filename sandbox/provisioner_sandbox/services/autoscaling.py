"""Auto Scaling: the groups behind EKS node groups beside moto's own.

Rules and wording: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from provisioner_sandbox.clock import CLOCK
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.eks import fleet, health, joining
from provisioner_sandbox.services.eks.nodegroups import LAUNCH_FAILURES
from provisioner_sandbox.services.eks.state import Cluster, Thing, eks_state

# https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-suspend-resume-processes.html
PROCESSES = [
    "Launch",
    "Terminate",
    "AddToLoadBalancer",
    "AlarmNotification",
    "AZRebalance",
    "HealthCheck",
    "InstanceRefresh",
    "ReplaceUnhealthy",
    "ScheduledActions",
]
PAGE = {"DescribeAutoScalingGroups": 50, "DescribeAutoScalingInstances": 50, "DescribeScalingActivities": 100}


def groups(call: Call) -> dict[str, tuple[Cluster, Thing]]:
    return {
        fleet.group_name(group): (cluster, group)
        for cluster in eks_state(call.region).clusters.values()
        for group in cluster.nodegroups.values()
    }


def page(call: Call, member: str, items: list[Any]) -> dict[str, Any]:
    """One page of a list; the tokens are opaque in AWS, these count."""
    token = call.params.get("NextToken") or "0"
    if not token.isdigit():
        raise AwsError("InvalidNextToken", "The NextToken value is not valid.")
    start, size = int(token), call.params.get("MaxRecords") or PAGE[call.name]
    answer = {member: items[start : start + size]}
    return {**answer, "NextToken": str(start + size)} if len(items) > start + size else answer


def theirs(call: Call, names: str, wanted: list[str], member: str) -> list[Any]:
    """What moto has: all of it, or what is named."""
    params = {key: value for key, value in call.params.items() if key not in ("NextToken", "MaxRecords")}
    return call.moto({**params, names: wanted} if wanted else params)[member]


@handles("autoscaling", "DescribeAutoScalingGroups")
def describe(call: Call) -> dict:
    own = groups(call)
    names = call.params.get("AutoScalingGroupNames") or []
    filters = call.params.get("Filters") or []
    found = [fleet.describe(call.region, group) for name, (_, group) in own.items() if not names or name in names]
    found = [group for group in found if all(has_tag(group, one) for one in filters)]
    others = [name for name in names if name not in own]
    if others or not names:
        found += theirs(call, "AutoScalingGroupNames", others, "AutoScalingGroups")
    return page(call, "AutoScalingGroups", found)


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


@handles("autoscaling", "DescribeAutoScalingInstances")
def describe_instances(call: Call) -> dict:
    asked = call.params.get("InstanceIds") or []
    own = [
        {**instance, "AutoScalingGroupName": name}
        for name, (_, group) in groups(call).items()
        for instance in fleet.describe(call.region, group)["Instances"]
    ]
    found = [instance for instance in own if not asked or instance["InstanceId"] in asked]
    others = [one for one in asked if one not in {instance["InstanceId"] for instance in own}]
    if others or not asked:
        found += theirs(call, "InstanceIds", others, "AutoScalingInstances")
    return page(call, "AutoScalingInstances", found)


@handles("autoscaling", "DescribeScalingActivities")
def activities(call: Call) -> Any:
    name = call.params.get("AutoScalingGroupName")
    own = groups(call)
    if name is not None and name not in own and name not in call.backend.autoscaling_groups:
        raise AwsError("ValidationError", f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
    if name not in own:
        return call.forward()
    group = own[name][1]
    entry = health.configured(f"nodegroup/{group.doc['nodegroupName']}")
    trouble = entry if entry and entry.get("code") in LAUNCH_FAILURES else group.launch_issue
    return page(call, "Activities", fleet.activities(call.region, group, trouble))


@handles("autoscaling", "SetDesiredCapacity")
def set_desired(call: Call) -> Any:
    own, name = groups(call), call.params["AutoScalingGroupName"]
    if name not in own:
        return call.forward()
    cluster, group = own[name]
    wanted, scaling = call.params["DesiredCapacity"], group.doc["scalingConfig"]
    for end, word, wrong in (
        ("max", "above", wanted > scaling["maxSize"]),
        ("min", "below", wanted < scaling["minSize"]),
    ):
        if wrong:
            bound = scaling[f"{end}Size"]
            message = f"New SetDesiredCapacity value {wanted} is {word} {end} value {bound} for the AutoScalingGroup."
            raise AwsError("ValidationError", message)
    resize(call, cluster, group, {"desiredSize": wanted})
    return {}


@handles("autoscaling", "UpdateAutoScalingGroup")
def update(call: Call) -> Any:
    own, name = groups(call), call.params["AutoScalingGroupName"]
    if name not in own:
        return call.forward()
    cluster, group = own[name]
    members = {"DesiredCapacity": "desiredSize", "MinSize": "minSize", "MaxSize": "maxSize"}
    asked = {own: call.params[member] for member, own in members.items() if call.params.get(member) is not None}
    wanted = {**group.doc["scalingConfig"], **asked}
    if wanted["minSize"] > wanted["maxSize"]:
        raise AwsError("ValidationError", "Max bound must be greater than or equal to min bound")
    if "desiredSize" not in asked:
        # New bounds take the number of instances along.
        wanted["desiredSize"] = min(max(wanted["desiredSize"], wanted["minSize"]), wanted["maxSize"])
    if not wanted["minSize"] <= wanted["desiredSize"] <= wanted["maxSize"]:
        message = (
            f"Desired capacity:{wanted['desiredSize']} must be between the specified min size:{wanted['minSize']} "
            f"and max size:{wanted['maxSize']}"
        )
        raise AwsError("ValidationError", message)
    resize(call, cluster, group, wanted)
    return {}


def processes(call: Call) -> list[str]:
    asked = call.params.get("ScalingProcesses") or PROCESSES
    for name in asked:
        if name not in PROCESSES:
            raise AwsError("ValidationError", f"Invalid process name: {name}. Valid names are {', '.join(PROCESSES)}")
    return asked


@handles("autoscaling", "SuspendProcesses")
def suspend(call: Call) -> Any:
    own, name = groups(call), call.params["AutoScalingGroupName"]
    if name not in own:
        return call.forward()
    at = datetime.fromtimestamp(CLOCK.now(), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    own[name][1].suspended.update(dict.fromkeys(processes(call), at))
    return {}


@handles("autoscaling", "ResumeProcesses")
def resume(call: Call) -> Any:
    own, name = groups(call), call.params["AutoScalingGroupName"]
    if name not in own:
        return call.forward()
    cluster, group = own[name]
    for process in processes(call):
        group.suspended.pop(process, None)
    # What it was to do in the meantime it does now.
    resize(call, cluster, group, {})
    return {}


def resize(call: Call, cluster: Cluster, group: Thing, scaling: dict[str, int]) -> None:
    group.doc["scalingConfig"] = {**group.doc["scalingConfig"], **scaling}
    # Before the group is there, it is made with as many instances as it then should have.
    if group.status not in ("CREATING", "CREATE_FAILED", "DELETING"):
        joining.afterwards(call.region, cluster, group)


@handles("autoscaling", "TerminateInstanceInAutoScalingGroup")
def terminate(call: Call) -> Any:
    """How the cluster autoscaler removes a node."""
    wanted = call.params["InstanceId"]
    for cluster, group in groups(call).values():
        instance = next((one for one in fleet.instances(call.region, group) if one.id == wanted), None)
        if instance is None:
            continue
        scaling = group.doc["scalingConfig"]
        fewer = call.params["ShouldDecrementDesiredCapacity"]
        if fewer and scaling["desiredSize"] <= scaling["minSize"]:
            message = (
                f"Currently, desiredSize equals minSize ({scaling['minSize']}). Terminating instance without "
                "replacement will violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag "
                "to false or lower group's min size."
            )
            raise AwsError("ValidationError", message)
        fleet.end(call.region, instance)
        resize(call, cluster, group, {"desiredSize": scaling["desiredSize"] - bool(fewer)})
        description = f"Terminating EC2 instance: {wanted}"
        return {"Activity": fleet.activity(fleet.group_name(group), description, "InProgress")}
    return call.forward()
