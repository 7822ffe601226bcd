"""EC2's network part: life cycles, dependencies, filters and pages as AWS has them.

Error codes: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
"""

from provisioner_sandbox.backend import backend
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.registry import Call, prepares
from provisioner_sandbox.services.ec2 import (  # noqa: F401  each registers its operations
    addresses,
    endpoint_services,
    endpoints,
    flow_logs,
    gateways,
    groups,
    interfaces,
    key_pairs,
    launch_templates,
    nat,
    routes,
    tags,
    transit,
    vpc,
    vpc_contents,
    zones,
)
from provisioner_sandbox.services.ec2.settling import settle


@prepares("ec2", "resourcegroupstaggingapi")
def pass_time(call: Call) -> None:
    settle(backend("ec2", call.region))


@prepares("ec2")
def check(call: Call) -> None:
    tags.check_specifications(call)
    if call.params.get("DryRun"):
        message = "Request would have succeeded, but DryRun flag is set."
        raise AwsError("DryRunOperation", message, 412)
