"""The instances behind a node group, and its Auto Scaling group."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from provisioner_sandbox.backend import ACCOUNT, backend
from provisioner_sandbox.services.ec2.state import drop_interface, ec2_state
from provisioner_sandbox.services.eks.state import Cluster, Thing, now
from provisioner_sandbox.services.eks.versions import image_id

# The AMI of what is not Bottlerocket.
IMAGE = "ami-0b0771e70c3e71000"
ROOT_DEVICE = "/dev/xvda"
# What a disk has whose size the template leaves to the image, GiB.
IMAGE_DISK = 4


def new_group(name: str) -> str:
    """EKS's name for a node group's Auto Scaling group."""
    return f"eks-{name}-{uuid.uuid4()}"


def group_name(group: Thing) -> str:
    return group.doc["resources"]["autoScalingGroups"][0]["name"]


def instances(region: str, group: Thing) -> list[Any]:
    wanted = group_name(group)
    ec2 = backend("ec2", region)
    found = [
        instance
        for reservation in ec2.reservations.values()
        for instance in reservation.instances
        if ec2.tags.get(instance.id, {}).get("aws:autoscaling:groupName") == wanted
    ]
    return [instance for instance in found if instance._state.name in ("pending", "running")]


def scale(region: str, cluster: Cluster, group: Thing) -> None:
    """As many instances as are desired, spread over the subnets."""
    there = instances(region, group)
    desired = group.doc["scalingConfig"]["desiredSize"]
    for instance in there[desired:]:
        end(region, instance)
    per_subnet = {subnet: 0 for subnet in group.doc["subnets"]}
    for instance in there[:desired]:
        per_subnet[instance.subnet_id] = per_subnet.get(instance.subnet_id, 0) + 1
    for _ in range(desired - len(there)):
        subnet = min(group.doc["subnets"], key=lambda one: per_subnet[one])
        per_subnet[subnet] += 1
        launch(region, cluster, group, subnet)


def launch(region: str, cluster: Cluster, group: Thing, subnet: str) -> None:
    ec2, name = backend("ec2", region), cluster.doc["name"]
    own = {
        "aws:autoscaling:groupName": group_name(group),
        "aws:eks:cluster-name": name,
        "eks:cluster-name": name,
        "eks:nodegroup-name": group.doc["nodegroupName"],
        f"kubernetes.io/cluster/{name}": "owned",
        "k8s.io/cluster-autoscaler/enabled": "true",
        f"k8s.io/cluster-autoscaler/{name}": "owned",
    }
    own_group = cluster.doc["resourcesVpcConfig"]["clusterSecurityGroupId"]
    data = template_data(region, group)
    tags = tags_of(data)
    if data:
        template = group.doc["launchTemplate"]
        own |= {"aws:ec2launchtemplate:id": template["id"], "aws:ec2launchtemplate:version": template["version"]}
    reservation = ec2.run_instances(
        data.get("ImageId") or image(region, group), 1, None, [],
        subnet_id=subnet,
        instance_type=group.doc["instanceTypes"][0],
        is_instance_type_default=False,
        security_group_ids=data.get("SecurityGroupIds") or [own_group],
        private_ip=None,
        key_name=data.get("KeyName"),
        metadata_options=data.get("MetadataOptions") or {},
        region_name=region,
        lifecycle="spot" if group.doc["capacityType"] == "SPOT" else None,
        block_device_mappings=disks(group, data),
        tags={"instance": {**tags.get("instance", {}), **own}, "volume": tags.get("volume", {})},
    )  # fmt: skip
    for instance in reservation.instances:
        for interface in instance.nics.values():
            interface.description = f"aws-K8S-{instance.id}"
            ec2.tags[interface.id].update(tags.get("network-interface", {}))


def template_data(region: str, group: Thing) -> dict[str, Any]:
    """What the group's version of its launch template says, if it has one."""
    wanted = group.doc.get("launchTemplate")
    template = backend("ec2", region).launch_templates.get(wanted["id"]) if wanted else None
    return template.get_version(wanted["version"]).data if template else {}


def tags_of(data: dict[str, Any]) -> dict[str, dict[str, str]]:
    specifications = data.get("TagSpecifications") or []
    return {
        entry["ResourceType"]: {tag["Key"]: tag.get("Value", "") for tag in entry.get("Tags") or []}
        for entry in specifications
    }


def image(region: str, group: Thing) -> str:
    kind = group.doc["amiType"]
    if not kind.startswith("BOTTLEROCKET"):
        return IMAGE
    architecture = "arm64" if "ARM_64" in kind else "x86_64"
    return image_id(region, group.doc["version"], architecture, group.doc["releaseVersion"])


def disks(group: Thing, data: dict[str, Any]) -> list[dict[str, Any]]:
    asked = data.get("BlockDeviceMappings") or [
        {"DeviceName": ROOT_DEVICE, "Ebs": {"VolumeSize": group.doc.get("diskSize", IMAGE_DISK)}}
    ]
    default = {"VolumeSize": IMAGE_DISK, "DeleteOnTermination": True}
    return [{"DeviceName": disk["DeviceName"], "Ebs": {**default, **disk["Ebs"]}} for disk in asked if disk.get("Ebs")]


def end(region: str, instance: Any) -> None:
    ec2 = backend("ec2", region)
    interfaces = [interface.id for interface in instance.nics.values()]
    ec2.terminate_instances([instance.id])
    ec2_state(ec2).end(instance.id)
    for interface_id in interfaces:
        drop_interface(ec2, interface_id)


def replace(region: str, cluster: Cluster, group: Thing) -> None:
    """A rolling update, seen from its end."""
    for instance in instances(region, group):
        end(region, instance)
    scale(region, cluster, group)


def describe(region: str, group: Thing) -> dict[str, Any]:
    """The Auto Scaling group as its own service describes it."""
    name, cluster, scaling = group_name(group), group.doc["clusterName"], group.doc["scalingConfig"]
    ec2 = backend("ec2", region)
    there = instances(region, group)
    zones = sorted({ec2.get_subnet(subnet).availability_zone for subnet in group.doc["subnets"]})
    tags = {
        "eks:cluster-name": cluster,
        "eks:nodegroup-name": group.doc["nodegroupName"],
        f"kubernetes.io/cluster/{cluster}": "owned",
        "k8s.io/cluster-autoscaler/enabled": "true",
        f"k8s.io/cluster-autoscaler/{cluster}": "owned",
    }
    return {
        "AutoScalingGroupName": name,
        "AutoScalingGroupARN": (
            f"arn:aws:autoscaling:{region}:{ACCOUNT}:autoScalingGroup:{name[-36:]}:autoScalingGroupName/{name}"
        ),
        "MinSize": scaling["minSize"],
        "MaxSize": scaling["maxSize"],
        "DesiredCapacity": scaling["desiredSize"],
        "DefaultCooldown": 300,
        "AvailabilityZones": zones,
        "HealthCheckType": "EC2",
        "HealthCheckGracePeriod": 15,
        "CreatedTime": group.doc["createdAt"],
        "VPCZoneIdentifier": ",".join(group.doc["subnets"]),
        "Instances": [
            {
                "InstanceId": instance.id,
                "InstanceType": instance.instance_type,
                "AvailabilityZone": instance.placement,
                "LifecycleState": "InService",
                "HealthStatus": "Healthy",
                "ProtectedFromScaleIn": False,
            }
            for instance in there
        ],
        "Tags": [
            {
                "ResourceId": name,
                "ResourceType": "auto-scaling-group",
                "Key": key,
                "Value": value,
                "PropagateAtLaunch": True,
            }
            for key, value in tags.items()
        ],
        "TerminationPolicies": ["AllocationStrategy", "OldestLaunchTemplate", "OldestInstance"],
        "NewInstancesProtectedFromScaleIn": False,
    }


def activity(
    name: str, description: str, status: str = "Successful", at: datetime | None = None, message: str | None = None
) -> dict[str, Any]:
    at = at or now()
    entry = {
        "ActivityId": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{name}/{description}")),
        "AutoScalingGroupName": name,
        "Description": description,
        "Cause": f"At {at:%Y-%m-%dT%H:%M:%SZ} an instance was started in response to a difference between "
        "desired and actual capacity.",
        "StartTime": at,
        "StatusCode": status,
        "Progress": 50 if status == "InProgress" else 100,
    }
    if status != "InProgress":
        entry["EndTime"] = at
    return entry if message is None else {**entry, "StatusMessage": message}


def activities(region: str, group: Thing, trouble: dict[str, Any] | None) -> list[dict[str, Any]]:
    """What the group did, newest first; a configured launch failure is the newest."""
    name = group_name(group)
    done = [
        activity(name, f"Launching a new EC2 instance: {instance.id}", at=instance.launch_time)
        for instance in reversed(instances(region, group))
    ]
    if trouble is None:
        return done
    return [activity(name, "Launching a new EC2 instance", "Failed", message=trouble.get("message", "")), *done]
