"""Elastic Load Balancing v2: load balancers with network interfaces, which moto's lack, and with states over time.

Wording of errors and rules: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/
"""

from provisioner_sandbox.backend import backend
from provisioner_sandbox.registry import Call, prepares
from provisioner_sandbox.services.ec2.settling import settle
from provisioner_sandbox.services.elbv2 import (  # noqa: F401  each registers its operations
    listeners,
    load_balancers,
    tags,
    target_groups,
    targets,
)


@prepares("elbv2")
def pass_time(call: Call) -> None:
    settle(backend("ec2", call.region))
