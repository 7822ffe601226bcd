"""Security groups and their rules."""

from __future__ import annotations

import copy
from typing import Any

from moto.ec2.models.security_groups import SecurityGroupRule

from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.ec2.describe import Item, listing
from provisioner_sandbox.services.ec2.vpc import dependency
from provisioner_sandbox.wire.message import Answer


def deepcopy_rule(rule: SecurityGroupRule, memo: dict[int, Any] | None = None) -> SecurityGroupRule:
    """moto's own keeps the rule's backend, even where that is what is being copied.

    A copy of the past would then read the rules' tags of today.
    """
    memo = memo if memo is not None else {}
    new = memo[id(rule)] = SecurityGroupRule.__new__(SecurityGroupRule)
    for key, value in rule.__dict__.items():
        if key == "ec2_backend":
            new.ec2_backend = memo.get(id(value), value)
        else:
            setattr(new, key, copy.deepcopy(value, memo))
    return new


SecurityGroupRule.__deepcopy__ = deepcopy_rule


@handles("ec2", "DeleteSecurityGroup")
def delete(call: Call) -> Answer:
    backend, group_id = call.backend, call.params.get("GroupId")
    group = backend.get_security_group_from_id(group_id) if group_id else None
    if group:
        if group.name == "default":
            message = f'the specified group: "{group_id}" name: "default" cannot be deleted by a user'
            raise AwsError("CannotDelete", message)
        refuse_used(backend, group_id)
    answer = call.forward()
    if group:
        forget_tags(backend, group)
    return answer


def refuse_used(backend: Any, group_id: str) -> None:
    if in_use(backend, group_id) or named_elsewhere(backend, group_id):
        raise dependency(f"resource {group_id} has a dependent object")


def forget_tags(backend: Any, group: Any) -> None:
    for gone in [group, *group.ingress_rules, *group.egress_rules]:
        backend.tags.pop(gone.id, None)


def remove(backend: Any, group: Any) -> None:
    """Deletes a group, or raises `DependencyViolation`."""
    refuse_used(backend, group.id)
    backend.delete_security_group(group_id=group.id)
    forget_tags(backend, group)


def in_use(backend: Any, group_id: str) -> bool:
    return any(group_id == group.id for eni in backend.enis.values() for group in eni.group_set) or any(
        group_id in endpoint.security_group_ids for endpoint in backend.vpc_end_points.values()
    )


def named_elsewhere(backend: Any, group_id: str) -> bool:
    """A rule of its own that names the group itself goes with it; one of another group holds it."""
    return any(
        rule.source_group.get("GroupId") == group_id
        for groups in backend.groups.values()
        for group in groups.values()
        if group.id != group_id
        for rule in [*group.ingress_rules, *group.egress_rules]
    )


@handles("ec2", "RevokeSecurityGroupIngress", "RevokeSecurityGroupEgress")
def revoke(call: Call) -> Answer:
    backend = call.backend
    wanted = call.params.get("SecurityGroupRuleIds") or []
    known = rule_ids(backend)
    for rule_id in wanted:
        if rule_id not in known:
            message = f"The specified security group rule ID '{rule_id}' does not exist."
            raise AwsError("InvalidSecurityGroupRuleId.NotFound", message)
    answer = call.forward()
    for rule_id in known - rule_ids(backend):
        backend.tags.pop(rule_id, None)
    return answer


def rule_ids(backend: Any) -> set[str]:
    return {
        rule.id
        for groups in backend.groups.values()
        for group in groups.values()
        for rule in [*group.ingress_rules, *group.egress_rules]
    }


PERMISSION_FILTERS = {
    "cidr": "IpRanges[].CidrIp",
    "from-port": "FromPort",
    "group-id": "UserIdGroupPairs[].GroupId",
    "group-name": "UserIdGroupPairs[].GroupName",
    "ipv6-cidr": "Ipv6Ranges[].CidrIpv6",
    "prefix-list-id": "PrefixListIds[].PrefixListId",
    "protocol": "IpProtocol",
    "to-port": "ToPort",
    "user-id": "UserIdGroupPairs[].UserId",
}

listing(
    result="SecurityGroups",
    id_member="GroupId",
    not_found=("InvalidGroup.NotFound", "The security group '{}' does not exist"),
    extra_params=("GroupNames",),
    filters={
        "description": "Description",
        "group-id": "GroupId",
        "group-name": "GroupName",
        "owner-id": "OwnerId",
        "vpc-id": "VpcId",
        **{f"ip-permission.{name}": f"IpPermissions[].{path}" for name, path in PERMISSION_FILTERS.items()},
        **{
            f"egress.ip-permission.{name}": f"IpPermissionsEgress[].{path}" for name, path in PERMISSION_FILTERS.items()
        },
    },
)


def with_arn(call: Call, rules: list[Item]) -> list[Item]:
    for rule in rules:
        owner = rule.setdefault("GroupOwnerId", call.backend.account_id)
        rule["SecurityGroupRuleArn"] = (
            f"arn:{call.backend.partition}:ec2:{call.region}:{owner}:security-group-rule/{rule['SecurityGroupRuleId']}"
        )
    return rules


listing(
    result="SecurityGroupRules",
    id_member="SecurityGroupRuleId",
    not_found=(
        "InvalidSecurityGroupRuleId.NotFound",
        "The specified security group rule ID '{}' does not exist.",
    ),
    decorate=with_arn,
    filters={"group-id": "GroupId", "security-group-rule-id": "SecurityGroupRuleId"},
)
