"""Lambda: the network interfaces of functions in a VPC, which stay for a while after the function.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-enis
"""

from __future__ import annotations

import uuid
from typing import Any

from provisioner_sandbox.backend import backend
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.ec2 import requesters
from provisioner_sandbox.services.ec2.interfaces import create_managed
from provisioner_sandbox.services.ec2.state import ec2_state

# "can take up to 20 minutes": https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
RELEASE = 1200


def interfaces(call: Call) -> dict[str, list[str]]:
    """The ids of each function's interfaces, on moto's own backend, so that a reset takes them along."""
    found: dict[str, list[str]] = call.backend.__dict__.setdefault("sandbox_interfaces", {})
    return found


@handles("lambda", "CreateFunction")
def create(call: Call) -> dict:
    check(call)
    made = call.moto()
    place(call, made["FunctionName"], made["Role"])
    return {**made, **shown(call)}


@handles("lambda", "UpdateFunctionConfiguration")
def update(call: Call) -> dict:
    check(call)
    made = call.moto()
    if "VpcConfig" in call.params:
        release(call, made["FunctionName"])
        place(call, made["FunctionName"], made["Role"])
    return {**made, **shown(call)}


@handles("lambda", "DeleteFunction")
def delete(call: Call) -> Any:
    name = call.params["FunctionName"].rpartition(":function:")[2].partition(":")[0]
    answer = call.forward()
    if not call.params.get("Qualifier"):
        release(call, name)
    return answer


def asked(call: Call) -> tuple[list[str], list[str]]:
    config = call.params.get("VpcConfig") or {}
    return config.get("SubnetIds") or [], config.get("SecurityGroupIds") or []


def check(call: Call) -> None:
    """moto takes any ids."""
    ec2 = backend("ec2", call.region)
    subnets, groups = asked(call)
    known = {subnet_id for zone in ec2.subnets.values() for subnet_id in zone}
    for subnet_id in subnets:
        if subnet_id not in known:
            message = (
                "Error occurred while DescribeSubnets. EC2 Error Code: InvalidSubnetID.NotFound. EC2 Error Message: "
                f"The subnet ID '{subnet_id}' does not exist"
            )
            raise AwsError("InvalidParameterValueException", message)
    for group_id in groups:
        if ec2.get_security_group_from_id(group_id) is None:
            message = (
                "Error occurred while DescribeSecurityGroups. EC2 Error Code: InvalidGroup.NotFound. EC2 Error "
                f"Message: The security group '{group_id}' does not exist"
            )
            raise AwsError("InvalidParameterValueException", message)


def shown(call: Call) -> dict[str, Any]:
    subnets, groups = asked(call)
    if not subnets:
        return {}
    vpc_id = backend("ec2", call.region).get_subnet(subnets[0]).vpc_id
    return {"VpcConfig": {"SubnetIds": subnets, "SecurityGroupIds": groups, "VpcId": vpc_id}}


def place(call: Call, name: str, role_arn: str) -> None:
    ec2 = backend("ec2", call.region)
    subnets, groups = asked(call)
    role = next((one for one in backend("iam", call.region).roles.values() if one.arn == role_arn), None)
    requester = requesters.function(role)
    for subnet_id in subnets:
        description = f"AWS Lambda VPC ENI-{name}-{uuid.uuid4()}"
        interface = create_managed(ec2, subnet_id, groups, requester, description)
        interfaces(call).setdefault(name, []).append(interface.id)


def release(call: Call, name: str) -> None:
    state = ec2_state(backend("ec2", call.region))
    for interface_id in interfaces(call).pop(name, []):
        state.release(interface_id, RELEASE)
