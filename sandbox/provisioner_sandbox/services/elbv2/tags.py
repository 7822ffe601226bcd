"""Tags of load balancers, target groups, listeners and rules."""

from __future__ import annotations

from typing import Any

from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.registry import Call, handles

# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-tags.html
MOST_TAGS = 50

Tags = dict[str, str]


def tag(elb: Any, arn: str, tags: Tags) -> None:
    if tags:
        elb.tagging_service.tag_resource(arn, [{"Key": key, "Value": value} for key, value in tags.items()])


def tags_of(elb: Any, arn: str) -> Tags:
    return dict(elb.tagging_service.get_tag_dict_for_resource(arn))


@handles("elbv2", "AddTags")
def add(call: Call) -> dict:
    """moto allows ten tags."""
    asked = {one["Key"]: one.get("Value", "") for one in call.params["Tags"]}
    for key in asked:
        if key.lower().startswith("aws:"):
            raise AwsError("ValidationError", f"Tag keys cannot start with 'aws:': {key}")
    for arn in call.params["ResourceArns"]:
        call.backend._get_resource_by_arn(arn)
        if len({**tags_of(call.backend, arn), **asked}) > MOST_TAGS:
            raise AwsError("TooManyTags", f"The maximum number of tags is {MOST_TAGS}")
    for arn in call.params["ResourceArns"]:
        tag(call.backend, arn, asked)
    return {}


@handles("elbv2", "DescribeTags")
def describe(call: Call) -> dict:
    for arn in call.params["ResourceArns"]:
        call.backend._get_resource_by_arn(arn)
    return {
        "TagDescriptions": [
            {
                "ResourceArn": arn,
                "Tags": [{"Key": key, "Value": value} for key, value in tags_of(call.backend, arn).items()],
            }
            for arn in call.params["ResourceArns"]
        ]
    }


def existing(elb: Any) -> list[str]:
    listeners = [one for balancer in elb.load_balancers.values() for one in balancer.listeners.values()]
    rules = [arn for listener in listeners for arn in listener._non_default_rules]
    return [*elb.load_balancers, *elb.target_groups, *(one.arn for one in listeners), *rules]


def tagged(elb: Any) -> list[tuple[str, Tags]]:
    """(ARN, tags) of everything here that exists and has tags."""
    return [(arn, tags) for arn in sorted(existing(elb)) if (tags := tags_of(elb, arn))]
