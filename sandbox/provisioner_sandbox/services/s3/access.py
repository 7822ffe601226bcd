"""Bucket policies: moto applies them without their conditions, so this takes the decision over.

The caller is in the bucket's own account and has permissions of his own, so that only a Deny matters.
"""

from __future__ import annotations

from itertools import product

from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket

from provisioner_sandbox import iam_actions, iam_context
from provisioner_sandbox.backend import ACCOUNT
from provisioner_sandbox.caller import caller
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.policy import Question, denied
from provisioner_sandbox.registry import Call

FakeBucket.get_permission = lambda bucket, action, resource: PermissionResult.NEUTRAL


def check_policy(call: Call) -> None:
    bucket = call.backend.buckets.get(call.params.get("Bucket"))
    if bucket is None or not bucket.policy:
        return
    document = bucket.policy.decode()
    own = caller()
    context = {**iam_context.circumstances(call.request, call.region, own.arn), **iam_context.of_s3(call.request)}
    actions = iam_actions.s3(call.name, call.params)
    for resource, action in product(resources(call, bucket.arn), actions):
        if denied(document, Question(ACCOUNT, own.arn, f"s3:{action}", resource, context, role=own.principal)):
            message = (
                f'User: {own.arn} is not authorized to perform: s3:{action} on resource: "{resource}" '
                "with an explicit deny in a resource-based policy"
            )
            raise AwsError("AccessDenied", message, 403)


def resources(call: Call, bucket_arn: str) -> list[str]:
    if call.name == "DeleteObjects":
        return [f"{bucket_arn}/{item['Key']}" for item in call.params["Delete"]["Objects"]]
    return [f"{bucket_arn}/{call.params['Key']}" if "Key" in call.params else bucket_arn]
