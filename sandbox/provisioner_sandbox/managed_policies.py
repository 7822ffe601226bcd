"""AWS's managed policies, created once: moto parses all of them again for each backend, for 0.2 s.

All backends share them. Nothing in them changes but the number of attachments, which is counted when it is asked for.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy, IAMBackend


@cache
def policies(account_id: str, region: str) -> dict[str, AWSManagedPolicy]:
    """The policies by their ARNs."""
    data: dict[str, Any] = json.loads(aws_managed_policies_data)
    made = (AWSManagedPolicy.from_data(name, account_id, region, item) for name, item in data.items())
    return {policy.arn: policy for policy in made}


def attachment_count(policy: AWSManagedPolicy) -> int:
    """The number of roles, groups and users that have the policy."""
    iam, arn = policy.backend, policy.arn
    owners = (*iam.roles.values(), *iam.groups.values(), *iam.users.values())
    return sum(arn in owner.managed_policies for owner in owners)


def install() -> None:
    IAMBackend._init_aws_policies = lambda iam: list(policies(iam.account_id, iam.region_name).values())
    IAMBackend._init_managed_policies = lambda iam: dict(policies(iam.account_id, iam.region_name))
    AWSManagedPolicy.attachment_count = property(attachment_count, lambda policy, count: None)
    AWSManagedPolicy.__deepcopy__ = lambda policy, memo: policy
