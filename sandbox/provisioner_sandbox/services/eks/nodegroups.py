"""Managed node groups."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

from moto.ec2.models.instance_types import INSTANCE_TYPES

from provisioner_sandbox import quotas
from provisioner_sandbox.backend import backend
from provisioner_sandbox.clock import CLOCK
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.eks import (
    access_entries,
    fleet,
    health,
    joining,
    node_releases,
    node_settings,
    rollback,
    versions,
)
from provisioner_sandbox.services.eks.state import (
    GONE,
    Cluster,
    Thing,
    active_cluster,
    arn,
    cluster_of,
    in_use,
    invalid,
    not_found,
    now,
    page,
    reaches,
    refused,
    role_of,
    start_update,
    trusts,
)

# AWS seconds: a create was seen to take 110.
CREATE = 110
# What is not drained after five minutes is terminated by force.
# Source: https://docs.aws.amazon.com/eks/latest/userguide/delete-managed-node-group.html
DELETE = 300
CONFIG = 30
VERSION = 300
NAME = re.compile(r"^[0-9A-Za-z][A-Za-z0-9\-_]{0,62}$")
MOST_GROUPS = 30
MOST_TAINTS = 50
# Codes of health issues that Auto Scaling knows the cause of.
LAUNCH_FAILURES = {
    "AsgInstanceLaunchFailures", "InstanceLimitExceeded", "InsufficientFreeAddresses", "Ec2SubnetNotFound",
    "Ec2LaunchTemplateNotFound", "Ec2LaunchTemplateDeletionFailure", "IamInstanceProfileNotFound", "AccessDenied",
}  # fmt: skip


@handles("eks", "CreateNodegroup")
def create(call: Call) -> dict:
    params, region = call.params, call.region
    cluster = active_cluster(call)
    name = params["nodegroupName"]
    if not NAME.match(name):
        raise invalid("Nodegroup name must match the pattern ^[0-9A-Za-z][A-Za-z0-9\\-_]*$")
    if name in cluster.nodegroups:
        raise in_use(f"NodeGroup already exists with name {name} and cluster name {cluster.doc['name']}")
    used, message = len(cluster.nodegroups), "Nodegroup limit exceeded for cluster."
    quotas.check(quotas.NODE_GROUPS_PER_CLUSTER, used, "ResourceLimitExceededException", message, MOST_GROUPS)
    scaling = {"minSize": 1, "maxSize": 2, "desiredSize": 2, **(params.get("scalingConfig") or {})}
    check_scaling(scaling)
    check_subnets(region, cluster, params["subnets"])
    check_role(region, params["nodeRole"])
    template = template_of(region, params)
    image = fleet.template_data(region, {"launchTemplate": template}).get("ImageId")
    ami_type = node_releases.ami_type(params, image)
    types = instance_types(types_asked(region, params, template), ami_type)
    version = params.get("version") or cluster.doc["version"]
    check_version(cluster, version)
    # Of an image of one's own the release is its ID. Source: botocore's model of Nodegroup
    release = image or node_releases.release_of(ami_type, version, params.get("releaseVersion"))
    check_taints(params.get("taints") or [])
    group = Thing(
        "nodegroup",
        {
            "nodegroupName": name,
            "nodegroupArn": arn(region, f"nodegroup/{cluster.doc['name']}/{name}/{uuid.uuid4()}"),
            "clusterName": cluster.doc["name"],
            "version": version,
            "releaseVersion": release,
            "createdAt": now(),
            "modifiedAt": now(),
            "status": "CREATING",
            "capacityType": params.get("capacityType", "ON_DEMAND"),
            "scalingConfig": scaling,
            "instanceTypes": types,
            "subnets": params["subnets"],
            "amiType": ami_type,
            "nodeRole": params["nodeRole"],
            "labels": params.get("labels") or {},
            "taints": params.get("taints") or [],
            "resources": {"autoScalingGroups": [{"name": fleet.new_group(name)}]},
            "health": {"issues": []},
            "updateConfig": node_settings.update_config(params.get("updateConfig"), scaling),
            "nodeRepairConfig": node_settings.repair_config(params.get("nodeRepairConfig")),
            "tags": params.get("tags") or {},
        },
    )
    if template:
        group.doc["launchTemplate"] = template
    else:
        group.doc["diskSize"] = params.get("diskSize", 20)
    if params.get("remoteAccess"):
        group.doc["remoteAccess"] = params["remoteAccess"]
    group.turn("CREATING", CREATE, "ACTIVE")
    group.waiting_since = CLOCK.now()
    cluster.nodegroups[name] = group
    access_entries.for_nodes(region, cluster, params["nodeRole"])
    return {"nodegroup": group.doc}


def check_scaling(scaling: dict[str, int]) -> None:
    low, desired, high = scaling["minSize"], scaling["desiredSize"], scaling["maxSize"]
    if high < 1:
        raise invalid("Maximum capacity must be at least 1")
    if low > high:
        raise invalid(f"Minimum capacity {low} can't be greater than maximum size {high}")
    if desired < low:
        raise invalid(f"Minimum capacity {low} can't be greater than desired size {desired}")
    if desired > high:
        raise invalid(f"desired capacity {desired} can't be greater than max size {high}")


def check_subnets(region: str, cluster: Cluster, subnet_ids: list[str]) -> None:
    known = {subnet.id: subnet for zone in backend("ec2", region).subnets.values() for subnet in zone.values()}
    for subnet_id in subnet_ids:
        if subnet_id not in known:
            raise invalid(f"The subnet ID '{subnet_id}' does not exist")
        if known[subnet_id].vpc_id != cluster.doc["resourcesVpcConfig"]["vpcId"]:
            raise invalid("Subnets are not tagged with the required tag or not in the cluster's VPC")


def check_role(region: str, role_arn: str) -> None:
    role = role_of(region, role_arn)
    if role is None:
        raise invalid(f"The role with name {role_arn.rpartition('/')[2]} cannot be found. It does not exist")
    if not trusts(role, "ec2.amazonaws.com", "sts:AssumeRole"):
        raise invalid(
            "Following required service principals [ec2.amazonaws.com] were not found in the trust relationships "
            "of nodeRole"
        )


def instance_types(asked: list[str], ami_type: str) -> list[str]:
    arm = "ARM_64" in ami_type
    types = asked or (["t4g.medium"] if arm else ["t3.medium"])
    unknown = [name for name in types if name not in INSTANCE_TYPES]
    if unknown:
        raise invalid(f"The following supplied instance types do not exist: [{', '.join(unknown)}]")
    if ami_type == node_releases.CUSTOM:
        return types
    wanted = "arm64" if arm else "x86_64"
    other = [
        name for name in types if wanted not in INSTANCE_TYPES[name]["ProcessorInfo"]["SupportedArchitectures"]
    ]
    if other:
        raise invalid(f"[{', '.join(other)}] is not a valid instance type for requested amiType {ami_type}")
    return types


def template_of(region: str, params: dict[str, Any]) -> dict[str, str] | None:
    asked = params.get("launchTemplate")
    if not asked:
        return None
    if params.get("diskSize"):
        raise invalid("Disk size must be specified within the launch template.")
    if params.get("remoteAccess"):
        raise invalid("Remote access configuration cannot be specified with a launch template.")
    return resolved(region, asked)


def types_asked(region: str, params: dict[str, Any], template: dict[str, str] | None) -> list[str]:
    types = params.get("instanceTypes") or []
    if template is None:
        return types
    version = backend("ec2", region).launch_templates[template["id"]].get_version(template["version"])
    if version.instance_type and types:
        raise invalid("Instance types cannot be specified both in the launch template and in the request.")
    return [version.instance_type] if version.instance_type else types


def resolved(region: str, asked: dict[str, str]) -> dict[str, str]:
    """The template and the number of its version: EKS keeps no `$Latest`."""
    ec2 = backend("ec2", region)
    if bool(asked.get("id")) == bool(asked.get("name")):
        raise invalid("Either the ID or the name of the launch template must be specified, not both.")
    known = ec2.launch_templates.values()
    template = next((one for one in known if one.id == asked.get("id") or one.name == asked.get("name")), None)
    if template is None:
        raise refused("Launch template not found")
    number = asked.get("version") or "$Default"
    numbers = {"$Latest": template.latest_version_number, "$Default": template.default_version_number}
    number = str(numbers.get(number, number))
    if not number.isdigit() or not 1 <= int(number) <= template.latest_version_number:
        raise refused(f"Could not find the specified version {number} for the launch template with ID {template.id}.")
    return {"id": template.id, "name": template.name, "version": number}


def check_version(cluster: Cluster, version: str) -> None:
    if version not in versions.MINORS:
        raise invalid(f"unsupported Kubernetes version {version}")
    ahead = versions.minor(version) - versions.minor(cluster.doc["version"])
    if ahead > 0 or ahead < -3:
        raise invalid(
            f"Requested Nodegroup version {version} is not compatible with cluster version {cluster.doc['version']}"
        )


def check_taints(taints: list[dict[str, str]]) -> None:
    if len(taints) > MOST_TAINTS:
        raise invalid(f"A nodegroup has at most {MOST_TAINTS} taints")


@reaches("nodegroup", "ACTIVE", elsewhere=True)
def activate(region: str, cluster: Cluster, group: Thing) -> None:
    if group.is_created:
        joining.afterwards(region, cluster, group)
    else:
        joining.at_creation(region, cluster, group)


def group_of(call: Call) -> tuple[Cluster, Thing]:
    cluster = cluster_of(call)
    name = call.params["nodegroupName"]
    if name not in cluster.nodegroups:
        raise not_found(f"No node group found for name: {name}.")
    return cluster, cluster.nodegroups[name]


@handles("eks", "DescribeNodegroup")
def describe(call: Call) -> dict:
    _, group = group_of(call)
    return {"nodegroup": health.shown(group, f"nodegroup/{group.doc['nodegroupName']}")}


@handles("eks", "ListNodegroups")
def list_groups(call: Call) -> dict:
    names, token = page(call, sorted(cluster_of(call).nodegroups))
    return {"nodegroups": names, "nextToken": token}


def ready_for_update(call: Call) -> tuple[Cluster, Thing]:
    cluster, group = group_of(call)
    if group.status not in ("ACTIVE", "DEGRADED"):
        raise in_use(f"Nodegroup cannot be updated as it is currently in {group.status} state")
    return cluster, group


@handles("eks", "UpdateNodegroupConfig")
def update_groups_config(call: Call) -> dict:
    cluster, group = ready_for_update(call)
    params, doc = call.params, group.doc
    changes: dict[str, Any] = {}
    said: dict[str, Any] = {}
    if labels := params.get("labels"):
        if set(labels.get("removeLabels") or []) & set(labels.get("addOrUpdateLabels") or {}):
            raise invalid("The same label cannot be both removed and added or updated")
        kept = {key: value for key, value in doc["labels"].items() if key not in (labels.get("removeLabels") or [])}
        changes["labels"] = {**kept, **(labels.get("addOrUpdateLabels") or {})}
        said["LabelsToAdd"] = json.dumps(labels.get("addOrUpdateLabels") or {})
        said["LabelsToRemove"] = json.dumps(labels.get("removeLabels") or [])
    if taints := params.get("taints"):
        gone = [
            (taint["key"], taint["effect"])
            for key in ("removeTaints", "addOrUpdateTaints")
            for taint in taints.get(key) or []
        ]
        kept_taints = [taint for taint in doc["taints"] if (taint["key"], taint["effect"]) not in gone]
        changes["taints"] = [*kept_taints, *(taints.get("addOrUpdateTaints") or [])]
        check_taints(changes["taints"])
        said["TaintsToAdd"] = json.dumps(taints.get("addOrUpdateTaints") or [])
        said["TaintsToRemove"] = json.dumps(taints.get("removeTaints") or [])
    if scaling := params.get("scalingConfig"):
        changes["scalingConfig"] = {**doc["scalingConfig"], **scaling}
        check_scaling(changes["scalingConfig"])
        for member, size in (("MinSize", "minSize"), ("MaxSize", "maxSize"), ("DesiredSize", "desiredSize")):
            said[member] = scaling.get(size)
    if params.get("updateConfig") is not None:
        sizes = changes.get("scalingConfig", doc["scalingConfig"])
        changes["updateConfig"] = node_settings.update_config(params["updateConfig"], sizes, doc["updateConfig"])
        said |= node_settings.update_params(params["updateConfig"])
    if params.get("nodeRepairConfig") is not None:
        changes["nodeRepairConfig"] = node_settings.repair_config(params["nodeRepairConfig"])
        said |= node_settings.repair_params(changes["nodeRepairConfig"])
    if not changes:
        raise invalid("The request has no changes.")
    return {"update": start_update(call, cluster, group, "ConfigUpdate", said, changes, CONFIG)}


@reaches("nodegroup", "ConfigUpdate", elsewhere=True)
def rescale(region: str, cluster: Cluster, group: Thing) -> None:
    joining.afterwards(region, cluster, group)


@handles("eks", "UpdateNodegroupVersion")
def update_version(call: Call) -> dict:
    cluster, group = ready_for_update(call)
    params, doc = call.params, group.doc
    changes: dict[str, Any] = {}
    template = params.get("launchTemplate")
    if template:
        if "launchTemplate" not in doc:
            raise invalid("You cannot specify a launch template for a nodegroup that was made without one")
        changes["launchTemplate"] = resolved(call.region, template)
        if changes["launchTemplate"]["id"] != doc["launchTemplate"]["id"]:
            raise invalid("A different launch template cannot be specified than the nodegroup was made with")
    if doc["amiType"] == node_releases.CUSTOM:
        node_releases.refuse_versions(params)
        changes["releaseVersion"] = fleet.template_data(call.region, {**doc, **changes}).get("ImageId")
    elif params.get("version") or params.get("releaseVersion") or not template:
        version = params.get("version") or doc["version"]
        check_version(cluster, version)
        # Before a rollback of the control plane the nodes go back: no further, and at no other time.
        if versions.minor(version) < versions.minor(doc["version"]) and version != rollback.target(cluster):
            raise invalid(f"Requested Nodegroup version {version} is older than its version {doc['version']}")
        changes["version"] = version
        changes["releaseVersion"] = node_releases.release_of(doc["amiType"], version, params.get("releaseVersion"))
        node_releases.check_forwards(doc, version, changes["releaseVersion"])
    said = {
        "Version": changes.get("version", doc["version"]),
        "ReleaseVersion": changes.get("releaseVersion", doc["releaseVersion"]),
    }
    if template:
        said |= {
            "LaunchTemplateName": changes["launchTemplate"]["name"],
            "LaunchTemplateVersion": changes["launchTemplate"]["version"],
        }
    return {"update": start_update(call, cluster, group, "VersionUpdate", said, changes, VERSION)}


@reaches("nodegroup", "VersionUpdate", elsewhere=True)
def renew(region: str, cluster: Cluster, group: Thing) -> None:
    fleet.end_all(region, group)
    joining.afterwards(region, cluster, group)


@handles("eks", "DeleteNodegroup")
def delete(call: Call) -> dict:
    cluster, group = group_of(call)
    if group.status == "DELETING":
        raise in_use(f"Nodegroup {group.doc['nodegroupName']} is already being deleted")
    if group.status in ("UPDATING", "CREATING"):
        raise in_use(f"Nodegroup cannot be deleted as it is currently in {group.status} state")
    group.turn("DELETING", DELETE, GONE)
    return {"nodegroup": group.doc}


@reaches("nodegroup", GONE, elsewhere=True)
def remove(region: str, cluster: Cluster, group: Thing) -> None:
    fleet.end_all(region, group)
    others = [other for other in cluster.nodegroups.values() if other is not group]
    if not any(other.doc["nodeRole"] == group.doc["nodeRole"] for other in others):
        access_entries.forget(cluster, group.doc["nodeRole"])
