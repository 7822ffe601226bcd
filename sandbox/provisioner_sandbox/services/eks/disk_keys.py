"""The keys of nodes' disks: whether Auto Scaling can launch a node with them."""

from __future__ import annotations

from typing import Any

from provisioner_sandbox import keys
from provisioner_sandbox.backend import ACCOUNT
from provisioner_sandbox.keys import KeyProblem

# Who launches the nodes. It exists in each account that has had an Auto Scaling group, and its own policies say nothing
# of keys: https://docs.aws.amazon.com/autoscaling/ec2/userguide/autoscaling-service-linked-role.html
AUTO_SCALING = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
# What it takes to make an encrypted disk and to attach it.
# https://docs.aws.amazon.com/autoscaling/ec2/userguide/key-policy-requirements-EBS-encryption.html
DISK_ACTIONS = ("kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext")
LAUNCH_FAILURE = "AsgInstanceLaunchFailures"
UNHEALTHY = "Instance became unhealthy while waiting for instance to be in InService state. Termination Reason: "


def launch_issue(region: str, disks: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Why nodes with these disks do not start, as a health issue of their group."""
    for disk in disks:
        given = (disk.get("Ebs") or {}).get("KmsKeyId")
        if not given:
            continue
        key = keys.usable(region, given)
        if isinstance(key, KeyProblem):
            # https://github.com/hashicorp/terraform-provider-aws/issues/39904
            reason = "Client.InvalidKMSKey.InvalidState: The KMS key provided is in an incorrect state"
        elif keys.role_problem(key, AUTO_SCALING, DISK_ACTIONS, f"ec2.{region}.amazonaws.com"):
            # https://docs.aws.amazon.com/autoscaling/ec2/userguide/ts-as-instancelaunchfailure.html,
            # https://github.com/kubernetes/kops/issues/11545
            reason = "Client.InternalError: Client error on launch"
        else:
            continue
        return {"code": LAUNCH_FAILURE, "message": UNHEALTHY + reason, "resourceIds": []}
    return None
