"""Whether instances of a node group start and become nodes, and what EKS says of those that do not.

Codes: https://docs.aws.amazon.com/eks/latest/APIReference/API_Issue.html
"""

from __future__ import annotations

from typing import Any

from provisioner_sandbox.backend import backend
from provisioner_sandbox.clock import CLOCK
from provisioner_sandbox.services.eks import fleet, reach
from provisioner_sandbox.services.eks.disk_keys import LAUNCH_FAILURE
from provisioner_sandbox.services.eks.state import Cluster, Thing, Update, fails, issue

# AWS seconds. A group whose nodes do not join fails after 20 minutes, and so, in these words, does its update:
# https://github.com/terraform-aws-modules/terraform-aws-eks/issues/3283
JOIN_LIMIT = 1200
# One whose nodes do not start is CREATING for 21 minutes in all.
# https://github.com/terraform-aws-modules/terraform-aws-eks/issues/1910
LAUNCH_LIMIT = 1260
# How long a group is CREATING with these; with others it fails at once.
LIMITS = {"NodeCreationFailure": JOIN_LIMIT, LAUNCH_FAILURE: LAUNCH_LIMIT}
# Between two tries of Auto Scaling, and two looks at instances that have not joined.
RETRY = 30
NOT_JOINED = "Instances failed to join the kubernetes cluster"
NOT_UPDATED = "Couldn't proceed with upgrade process as new nodes are not joining node group {}"
FULL = (
    "Amazon Autoscaling was unable to launch instances because there are not enough free addresses in the subnet "
    "associated with your AutoScaling group(s)."
)
# https://github.com/sassoftware/viya4-iac-aws/issues/271
NO_PUBLIC_ADDRESS = (
    "One or more Amazon EC2 Subnets of [{}] for node group {} does not automatically assign public IP addresses to "
    "instances launched into it. If you want your instances to be assigned a public IP address, then you need to enable "
    "auto-assign public IP address for the subnet. See IP addressing in VPC guide: "
    "https://docs.aws.amazon.com/vpc/latest/userguide/vpc-ip-addressing.html#subnet-public-ip"
)


def without_public_addresses(region: str, group: Thing) -> list[str]:
    """The group's subnets whose default route is an internet gateway, and in which its instances get no public address."""
    ec2 = backend("ec2", region)
    return [
        subnet.id
        for subnet in fleet.subnets(region, group)
        if reach.way_out(ec2, subnet) == reach.INTERNET and not fleet.has_public_address(region, group, subnet)
    ]


def can_join(region: str, cluster: Cluster, group: Thing, subnet: Any) -> bool:
    """Whether an instance in this subnet reaches the cluster and AWS."""
    ec2, network = backend("ec2", region), cluster.doc["resourcesVpcConfig"]
    if not reach.has_dns(ec2.vpcs[subnet.vpc_id]):
        return False
    if reach.way_out(ec2, subnet):
        return True
    own = fleet.security_groups(region, cluster, group)
    return network["endpointPrivateAccess"] and not reach.missing_endpoints(ec2, subnet, own)


def look(region: str, cluster: Cluster, group: Thing) -> list[dict[str, Any]]:
    """Starts and ends instances, lets those join that can, and returns what is wrong with the rest."""
    fleet.scale(region, cluster, group)
    ec2, there = backend("ec2", region), fleet.instances(region, group)
    group.joined &= {instance.id for instance in there}
    for instance in there:
        if instance.id not in group.joined and can_join(
            region, cluster, group, ec2.get_subnet(instance.subnet_id)
        ):
            group.joined.add(instance.id)
    found: list[dict[str, Any]] = []
    if group.launch_issue:
        found.append(group.launch_issue)
    elif len(there) < group.doc["scalingConfig"]["desiredSize"] and "Launch" not in group.suspended:
        found.append({"code": "InsufficientFreeAddresses", "message": FULL, "resourceIds": group.doc["subnets"]})
    outside = [instance.id for instance in there if instance.id not in group.joined]
    if outside:
        found.append({"code": "NodeCreationFailure", "message": NOT_JOINED, "resourceIds": outside})
    return [issue(entry) for entry in found]


def at_creation(region: str, cluster: Cluster, group: Thing) -> None:
    """Called when the group could be active, and again while its nodes are waited for."""
    age = CLOCK.elapsed(group.waiting_since or CLOCK.now())
    public = without_public_addresses(region, group)
    if public:
        words = NO_PUBLIC_ADDRESS.format(", ".join(public), group.doc["nodegroupName"])
        fail(group, [issue({"code": "Ec2SubnetInvalidConfiguration", "message": words, "resourceIds": public})])
        return
    wrong = look(region, cluster, group)
    limit = min((LIMITS.get(one["code"], 0) for one in wrong), default=0)
    if age < limit:
        group.turn("CREATING", min(RETRY, limit - age), "ACTIVE")
    elif wrong:
        fail(group, wrong)
    else:
        group.is_created = True
        group.waiting_since = None


def fail(group: Thing, issues: list[dict[str, Any]]) -> None:
    group.doc["status"] = "CREATE_FAILED"
    group.doc["health"] = {"issues": issues}


def afterwards(region: str, cluster: Cluster, group: Thing) -> None:
    """Called when the group of instances may have changed, and again while something is wrong with it."""
    wrong = look(region, cluster, group)
    if not wrong:
        group.waiting_since = None
    elif group.waiting_since is None:
        group.waiting_since = CLOCK.now()
    late = group.waiting_since is not None and CLOCK.elapsed(group.waiting_since) >= JOIN_LIMIT
    shown = [one for one in wrong if late or one["code"] != "NodeCreationFailure"]
    group.doc["health"] = {"issues": shown}
    if group.status in ("ACTIVE", "DEGRADED"):
        group.doc["status"] = "DEGRADED" if shown else "ACTIVE"
        if wrong:
            group.turn(group.doc["status"], RETRY, "ACTIVE")


@fails("nodegroup", "VersionUpdate")
def update_error(region: str, cluster: Cluster, update: Update) -> dict[str, Any] | None:
    """Why an update that replaces the group's instances fails: the new ones do not start, or, where the old ones are,
    do not join.

    The first new nodes come before an old one goes: without them the update ends, and the old ones stay.
    https://docs.aws.amazon.com/eks/latest/userguide/managed-node-update-behavior.html
    """
    group = update.target
    found = fleet.launch_issue(region, group, update.changes) if group.doc["scalingConfig"]["desiredSize"] else None
    if found:
        return {"errorCode": "NodeCreationFailure", "errorMessage": found["message"], "resourceIds": []}
    ec2, there = backend("ec2", region), fleet.instances(region, group)
    lost = [one.id for one in there if not can_join(region, cluster, group, ec2.get_subnet(one.subnet_id))]
    if not lost:
        return None
    message = NOT_UPDATED.format(group.doc["nodegroupName"])
    return {"errorCode": "NodeCreationFailure", "errorMessage": message, "resourceIds": lost}
