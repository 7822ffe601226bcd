"""Target groups."""

from __future__ import annotations

from typing import Any

from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.elbv2.state import elbv2_state
from provisioner_sandbox.services.elbv2.tags import tag


@handles("elbv2", "CreateTargetGroup")
def create(call: Call) -> dict:
    """moto allows ten tags."""
    result = call.moto({name: value for name, value in call.params.items() if name != "Tags"})
    arn = result["TargetGroups"][0]["TargetGroupArn"]
    tag(call.backend, arn, {one["Key"]: one.get("Value", "") for one in call.params.get("Tags") or []})
    return result


@handles("elbv2", "DeleteTargetGroup")
def delete_one(call: Call) -> dict:
    """One that does not exist is deleted too; one in use is refused.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DeleteTargetGroup.html
    """
    if call.params["TargetGroupArn"] in call.backend.target_groups:
        delete(call.backend, call.params["TargetGroupArn"])
    return {}


def delete(elb: Any, arn: str) -> None:
    elb.delete_target_group(arn)
    elb.tagging_service.tags.pop(arn, None)
    for record in (elbv2_state(elb).registered, elbv2_state(elb).draining):
        record.pop(arn, None)
