"""AWS's managed policies, read once: moto parses all of them again at every reset, for 0.2 s."""

from __future__ import annotations

import copy
import json
from functools import cache
from typing import Any

from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy, IAMBackend


@cache
def originals(account_id: str, region: str) -> tuple[AWSManagedPolicy, ...]:
    data: dict[str, Any] = json.loads(aws_managed_policies_data)
    return tuple(AWSManagedPolicy.from_data(name, account_id, region, item) for name, item in data.items())


def fresh(backend: IAMBackend) -> list[AWSManagedPolicy]:
    """Only the number of attachments ever changes in them, so that shallow copies do."""
    return [copy.copy(policy) for policy in originals(backend.account_id, backend.region_name)]


def install() -> None:
    IAMBackend._init_aws_policies = fresh
    AWSManagedPolicy.__deepcopy__ = lambda policy, memo: copy.copy(policy)
