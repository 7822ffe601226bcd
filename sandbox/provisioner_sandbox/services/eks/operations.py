"""All operations of EKS; `registry.load` imports this file."""

from provisioner_sandbox.backend import is_past
from provisioner_sandbox.registry import Call, prepares
from provisioner_sandbox.services.eks import (  # noqa: F401  each registers its operations
    access_entries,
    addons,
    auto_fleet,
    clusters,
    control_plane_logs,
    fargate,
    insights,
    nodegroups,
    pod_identity,
    tags,
    updates,
    version_updates,
    versions,
)
from provisioner_sandbox.services.eks.state import settle


# What reads what becomes of clusters and their nodes.
@prepares("eks", "autoscaling", "ec2", "logs", "resourcegroupstaggingapi")
def pass_time(call: Call) -> None:
    settle(call.region)
    if any(is_past(service, call.region) for service in ("eks", "ec2", "logs")):
        return
    control_plane_logs.arrive(call.region)


@prepares("eks")
def check(call: Call) -> None:
    tags.check_new(call)
