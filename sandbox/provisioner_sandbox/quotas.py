"""Service quotas: the codes and defaults of what a stack of EKS uses, and what the configuration sets them to.

Codes, names and defaults: https://docs.aws.amazon.com/general/latest/gr/eks.html,
https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html and
https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html
"""

from __future__ import annotations

from dataclasses import dataclass

from provisioner_sandbox.errors import AwsError


@dataclass(frozen=True)
class Quota:
    service: str
    code: str
    name: str
    default: float
    adjustable: bool = True


SERVICES = {
    "ec2": "Amazon Elastic Compute Cloud (Amazon EC2)",
    "eks": "Amazon Elastic Kubernetes Service (Amazon EKS)",
    "vpc": "Amazon Virtual Private Cloud (Amazon VPC)",
}
ADDRESSES = "L-0263D0A3"
VPCS = "L-F678F1CE"
NAT_GATEWAYS_PER_ZONE = "L-FE5A380F"
INTERNET_GATEWAYS = "L-A4707A72"
INTERFACE_ENDPOINTS_PER_VPC = "L-29B6F2EB"
CLUSTERS = "L-1194D53C"
NODE_GROUPS_PER_CLUSTER = "L-6D54EA21"

KNOWN = {
    quota.code: quota
    for quota in (
        Quota("ec2", ADDRESSES, "EC2-VPC Elastic IPs", 5),
        Quota("ec2", "L-1216C47A", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", 5),
        Quota("ec2", "L-34B43A08", "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests", 5),
        Quota("vpc", VPCS, "VPCs per Region", 5),
        Quota("vpc", NAT_GATEWAYS_PER_ZONE, "NAT gateways per Availability Zone", 5),
        Quota("vpc", INTERNET_GATEWAYS, "Internet gateways per Region", 5),
        Quota("vpc", INTERFACE_ENDPOINTS_PER_VPC, "Interface VPC endpoints per VPC", 50),
        Quota("vpc", "L-1B52E74A", "Gateway VPC endpoints per Region", 20),
        Quota("eks", CLUSTERS, "Clusters", 100),
        Quota("eks", NODE_GROUPS_PER_CLUSTER, "Managed node groups per cluster", 30),
        Quota("eks", "L-BD136A63", "Nodes per managed node group", 450),
        Quota("eks", "L-33415657", "Fargate profiles per cluster", 10),
        Quota("eks", "L-D78D8AF8", "Selectors per Fargate profile", 5),
        Quota("eks", "L-23414FF3", "Label pairs per Fargate profile selector", 5),
        Quota("eks", "L-11427A54", "Control plane security groups per cluster", 4, adjustable=False),
        Quota("eks", "L-93A74D60", "Public endpoint access CIDR ranges per cluster", 40, adjustable=False),
    )
}

# The values that the sandbox enforces where nothing is configured: room for many stacks, as in an account whose quotas
# were raised. What is reported as applied is what is enforced.
ROOM = {VPCS: 100, ADDRESSES: 50, INTERNET_GATEWAYS: 100}

# Set with each configuration of the sandbox.
CONFIGURED: dict[str, float] = {}
# Of these the account has no value of its own: the default holds, and is all that can be asked for.
# https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_ListServiceQuotas.html
ONLY_DEFAULT: set[str] = set()


def configure(values: dict[str, float | None]) -> None:
    CONFIGURED.clear()
    CONFIGURED.update({code: KNOWN[code].default if value is None else value for code, value in values.items()})
    ONLY_DEFAULT.clear()
    ONLY_DEFAULT.update(code for code, value in values.items() if value is None)


def applied(code: str) -> float:
    """The value that holds in the account."""
    return CONFIGURED.get(code, ROOM.get(code, KNOWN[code].default))


def check(code: str, used: int, error: str, message: str, otherwise: float | None = None) -> None:
    """Refuses one thing more than the quota. One that is not configured is `otherwise`, or none.

    `{}` in the message stands for the quota's value.
    """
    limit = CONFIGURED.get(code, otherwise)
    if limit is not None and used >= limit:
        raise AwsError(error, message.format(f"{limit:g}"))
