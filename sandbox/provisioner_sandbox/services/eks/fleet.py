"""The instances behind a node group, and its Auto Scaling group."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from provisioner_sandbox import leftovers
from provisioner_sandbox.backend import ACCOUNT, backend
from provisioner_sandbox.services.ec2 import requesters
from provisioner_sandbox.services.ec2.endpoints import is_on
from provisioner_sandbox.services.ec2.state import drop_interface, ec2_state
from provisioner_sandbox.services.eks import disk_keys
from provisioner_sandbox.services.eks.state import Cluster, Thing, now, role_of
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
    for instance in [] if "Terminate" in group.suspended else there[desired:]:
        end(region, instance)
    per_subnet: dict[str, int] = {}
    for instance in there[:desired]:
        per_subnet[instance.subnet_id] = per_subnet.get(instance.subnet_id, 0) + 1
    missing = 0 if "Launch" in group.suspended else desired - len(there)
    group.launch_issue = launch_issue(region, group) if missing > 0 else None
    for _ in range(0 if group.launch_issue else missing):
        # In a zone without room none starts, and Auto Scaling tries the others.
        # https://docs.aws.amazon.com/autoscaling/ec2/userguide/auto-scaling-benefits.html#arch-AutoScalingMultiAZ
        open_ones = [subnet for subnet in subnets(region, group) if subnet.available_ip_address_count > 0]
        if not open_ones:
            break
        subnet = min(open_ones, key=lambda one: per_subnet.get(one.id, 0))
        per_subnet[subnet.id] = per_subnet.get(subnet.id, 0) + 1
        launch(region, cluster, group, subnet)


def launch_issue(region: str, group: Thing, changes: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """Why no node of the group could start now, or after `changes` of it."""
    data = template_data(region, {**group.doc, **(changes or {})})
    return disk_keys.launch_issue(region, data.get("BlockDeviceMappings") or [])


def subnets(region: str, group: Thing) -> list[Any]:
    """moto's subnets of the group, without those that were deleted."""
    known = {subnet.id: subnet for zone in backend("ec2", region).subnets.values() for subnet in zone.values()}
    return [known[subnet_id] for subnet_id in group.doc["subnets"] if subnet_id in known]


def security_groups(region: str, cluster: Cluster, group: Thing) -> list[str]:
    """The ids of those that the group's instances have."""
    asked: list[str] = template_data(region, group.doc).get("SecurityGroupIds") or []
    return asked or [cluster.doc["resourcesVpcConfig"]["clusterSecurityGroupId"]]


def launch(region: str, cluster: Cluster, group: Thing, subnet: Any) -> None:
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
    data = template_data(region, group.doc)
    tags = tags_of(data)
    if data:
        template = group.doc["launchTemplate"]
        own |= {"aws:ec2launchtemplate:id": template["id"], "aws:ec2launchtemplate:version": template["version"]}
    reservation = ec2.run_instances(
        data.get("ImageId") or image(region, group), 1, None, [],
        subnet_id=subnet.id,
        instance_type=group.doc["instanceTypes"][0],
        is_instance_type_default=False,
        security_group_ids=security_groups(region, cluster, group),
        private_ip=None,
        key_name=data.get("KeyName"),
        metadata_options=data.get("MetadataOptions") or {},
        region_name=region,
        lifecycle="spot" if group.doc["capacityType"] == "SPOT" else None,
        block_device_mappings=disks(group, data),
        tags={"instance": {**tags.get("instance", {}), **own}, "volume": tags.get("volume", {})},
    )  # fmt: skip
    role = role_of(region, group.doc["nodeRole"])
    for instance in reservation.instances:
        for interface in instance.nics.values():
            interface.description = f"aws-K8S-{instance.id}"
            # The VPC CNI acts with the node's role, in a session of the instance's name.
            interface.requester_id = requesters.of_role(role, instance.id)
            ec2.tags[interface.id].update(tags.get("network-interface", {}))
            if has_public_address(region, group, subnet):
                interface.public_ip_auto_assign = True
                interface.start()


def has_public_address(region: str, group: Thing, subnet: Any) -> bool:
    """Whether the group's instances in this subnet get one: a launch template decides it before the subnet does."""
    asked = [
        one["AssociatePublicIpAddress"]
        for one in template_data(region, group.doc).get("NetworkInterfaces") or []
        if one.get("AssociatePublicIpAddress") is not None
    ]
    return is_on(asked[0] if asked else subnet.map_public_ip_on_launch)


def template_data(region: str, document: dict[str, Any]) -> dict[str, Any]:
    """What a group's version of its launch template says, if it has one."""
    wanted = document.get("launchTemplate")
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
    interfaces = list(instance.nics.values())
    ec2.terminate_instances([instance.id])
    ec2_state(ec2).end(instance.id)
    for interface in interfaces:
        drop_interface(ec2, interface.id)
    for _ in range(leftovers.interfaces()):
        leave_interface(ec2, instance, interfaces[0])


def leave_interface(ec2: Any, instance: Any, first: Any) -> None:
    """One for more pods, whose node ended after it was detached and before it was deleted.

    Sources: https://github.com/aws/amazon-vpc-cni-k8s/issues/608; description and tags:
    https://github.com/aws/amazon-vpc-cni-k8s/blob/master/pkg/awsutils/awsutils.go
    """
    tags = {
        "node.k8s.amazonaws.com/instance_id": instance.id,
        "node.k8s.amazonaws.com/createdAt": f"{now():%Y-%m-%dT%H:%M:%SZ}",
        "cluster.k8s.amazonaws.com/name": ec2.tags[instance.id]["eks:cluster-name"],
        "eks:eni:owner": "amazon-vpc-cni",
    }
    subnet, group_ids = ec2.get_subnet(instance.subnet_id), [group.id for group in first.group_set]
    left = ec2.create_network_interface(subnet, None, group_ids=group_ids, description=first.description, tags=tags)
    left.requester_id = first.requester_id


def end_all(region: str, group: Thing) -> None:
    for instance in instances(region, group):
        end(region, instance)


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
        "SuspendedProcesses": [
            {"ProcessName": process, "SuspensionReason": f"User suspended at {at}"}
            for process, at in sorted(group.suspended.items())
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
