"""EKS, whole: moto's lacks most fields, statuses and checks, so that nothing of it is used.

Wording of errors and rules: https://docs.aws.amazon.com/eks/latest/APIReference/
"""

from provisioner_sandbox.registry import Call, prepares
from provisioner_sandbox.services.eks import (  # noqa: F401  each registers its operations
    access_entries,
    addons,
    clusters,
    fargate,
    nodegroups,
    pod_identity,
    tags,
    updates,
    versions,
)
from provisioner_sandbox.services.eks.state import settle


# What reads what becomes of clusters and their nodes.
@prepares("eks", "autoscaling", "ec2", "logs", "resourcegroupstaggingapi")
def pass_time(call: Call) -> None:
    settle(call.region)


@prepares("eks")
def check(call: Call) -> None:
    tags.check_new(call)
