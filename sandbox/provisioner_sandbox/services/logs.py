"""CloudWatch Logs: keys of log groups, and tags by the ARN without the trailing `:*`."""

from __future__ import annotations

from typing import Any

from provisioner_sandbox import keys
from provisioner_sandbox.backend import ACCOUNT
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.keys import KeyProblem
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.wire.message import Answer


def group_of(call: Call) -> Any:
    name = call.params.get("logGroupName")
    if name is None and "resourceIdentifier" in call.params:
        name = call.params["resourceIdentifier"].partition(":log-group:")[2].removesuffix(":*")
    group = call.backend.groups.get(name)
    if group is None:
        raise AwsError("ResourceNotFoundException", "The specified log group does not exist.")
    return group


@handles("logs", "CreateLogGroup")
def create(call: Call) -> dict | Answer:
    name, key = call.params["logGroupName"], call.params.get("kmsKeyId")
    if key and name not in call.backend.groups:
        check_key(call, key, f"arn:aws:logs:{call.region}:{ACCOUNT}:log-group:{name}")
    return call.forward()


@handles("logs", "AssociateKmsKey")
def associate_key(call: Call) -> dict:
    group = group_of(call)
    check_key(call, call.params["kmsKeyId"], group.arn)
    group.kms_key_id = call.params["kmsKeyId"]
    return {}


def check_key(call: Call, given: str, group_arn: str) -> None:
    """The service itself uses the key, so that the key's policy must let it do so for this group.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
    """
    key = keys.usable(call.region, given)
    # Only a key's own ARN is taken. Source: botocore's model of AssociateKmsKey, which also has the code, and for the
    # words https://github.com/hashicorp/terraform/issues/24194
    if ":key/" not in given or isinstance(key, KeyProblem):
        raise AwsError("InvalidParameterException", "The specified KMS Key Id could not be found.")
    context = {
        "kms:encryptioncontext:aws:logs:arn": [group_arn],
        "aws:sourcearn": [group_arn],
        "aws:sourceaccount": [ACCOUNT],
    }
    service = f"logs.{call.region}.amazonaws.com"
    if keys.service_problem(key, service, ("kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey"), context):
        # https://github.com/hashicorp/terraform-provider-aws/issues/29282
        message = f"The specified KMS key does not exist or is not allowed to be used with Arn '{group_arn}'"
        raise AwsError("AccessDeniedException", message)


@handles("logs", "DisassociateKmsKey")
def disassociate_key(call: Call) -> dict:
    group_of(call).kms_key_id = None
    return {}


@handles("logs", "DeleteLogGroup")
def delete(call: Call) -> Answer:
    # moto keeps the tags, and the next group of this name would have them.
    call.backend.tagger.delete_all_tags_for_resource(group_of(call).arn)
    return call.forward()


@handles("logs", "ListTagsForResource", "TagResource", "UntagResource")
def tags_by_arn(call: Call) -> Answer | dict:
    arn = call.params["resourceArn"]
    if ":log-group:" not in arn:
        return call.forward()
    if arn.partition(":log-group:")[2] not in call.backend.groups:
        raise AwsError("ResourceNotFoundException", "The specified resource does not exist.")
    return call.forward()


@handles("logs", "DescribeLogGroups")
def describe(call: Call) -> dict:
    result = call.moto()
    for group in result.get("logGroups", []):
        group.setdefault("logGroupArn", group["arn"].removesuffix(":*"))
        group.setdefault("logGroupClass", "STANDARD")
    return result


def tagged(backend: Any) -> list[tuple[str, dict[str, str]]]:
    found = ((group.arn, backend.list_tags_for_resource(group.arn)) for group in backend.groups.values())
    return [(arn, tags) for arn, tags in found if tags]
