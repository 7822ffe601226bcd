"""Which resources a call is about, as ARNs, where its parameters say so; and their tags.

https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

import re
from typing import Any

from provisioner_sandbox import iam_actions
from provisioner_sandbox.backend import ACCOUNT, backend
from provisioner_sandbox.policy_conditions import as_list
from provisioner_sandbox.services import resourcegroupstaggingapi

Params = dict[str, Any]

# Actions that know no resources: a statement must say "*" to mean them.
WITHOUT_RESOURCES = {
    ("ecr", "GetAuthorizationToken"),
    ("kms", "CreateKey"),
    ("kms", "ListAliases"),
    ("kms", "ListKeys"),
    ("resourcegroupstaggingapi", "GetResources"),
    ("resourcegroupstaggingapi", "GetTagKeys"),
    ("resourcegroupstaggingapi", "GetTagValues"),
    ("s3", "ListBuckets"),
    ("ssm", "DescribeParameters"),
}
# Of these services all that describes, but EC2's Describe...Attribute.
DESCRIBE_WITHOUT = {"autoscaling", "ec2", "elb", "elbv2"}
# service: (parameter, the ARN's end after region and account), the first that is given.
PATTERNS = {
    "dynamodb": [("TableName", "table/{}"), ("RequestItems", "table/{}")],
    "ecr": [("repositoryName", "repository/{}"), ("repositoryNames", "repository/{}")],
    "kms": [("KeyId", "key/{}"), ("TargetKeyId", "key/{}")],
    "ssm": [("Name", "parameter/{}"), ("Names", "parameter/{}")],
}
EKS_PARTS = {
    "addonName": "addons",
    "associationId": "associations",
    "fargateProfileName": "profiles",
    "nodegroupName": "nodegroups",
    "principalArn": "entries",
}


def resources(service: str, operation: str, params: Params, region: str) -> list[str] | None:
    """ "*" is what knows no resources; None is what cannot be told from the parameters alone."""
    if (service, operation) in WITHOUT_RESOURCES:
        return ["*"]
    if service in DESCRIBE_WITHOUT and operation.startswith("Describe") and not operation.endswith("Attribute"):
        return ["*"]
    if service in SPECIAL:
        return SPECIAL[service](operation, params, region)
    for member, pattern in PATTERNS.get(service, []):
        if params.get(member):
            return [filled(service, pattern, str(value), region) for value in listed(params[member])]
    return own_arn(service, params)


def listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, dict) else as_list(value)


def filled(service: str, pattern: str, value: str, region: str) -> str:
    if value.startswith("arn:"):
        return value
    if service == "kms" and value.startswith("alias/"):
        keys = backend("kms", region).keys
        value = next((key.id for key in keys.values() if value in key.aliases), value)
    account = "" if service == "ssm" and value.startswith("/aws/service/") else ACCOUNT
    return f"arn:aws:{service}:{region}:{account}:{pattern.format(value.lstrip('/'))}"


def own_arn(service: str, params: Params) -> list[str] | None:
    """A parameter that is itself the ARN of something of the service."""
    start = f"arn:aws:{iam_actions.prefix(service)}:"
    return next(([value] for value in params.values() if isinstance(value, str) and value.startswith(start)), None)


def of_s3(operation: str, params: Params, region: str) -> list[str] | None:
    bucket = params.get("Bucket")
    if not bucket:
        return None
    arn = f"arn:aws:s3:::{bucket}"
    if operation == "DeleteObjects":
        items = (params.get("Delete") or {}).get("Objects") or []
        return [f"{arn}/{item.get('Key', '')}" for item in items] or [arn]
    return [f"{arn}/{params['Key']}" if "Key" in params else arn]


def of_sts(operation: str, params: Params, region: str) -> list[str] | None:
    return [params["RoleArn"]] if "RoleArn" in params else None


def of_iam(operation: str, params: Params, region: str) -> list[str] | None:
    """An instance profile before the role that is put into it, and a role before the policy that it gets."""
    iam, path = backend("iam", region), params.get("Path", "/")
    if "InstanceProfileName" in params:
        return [f"arn:aws:iam::{ACCOUNT}:instance-profile{path}{params['InstanceProfileName']}"]
    if "RoleName" in params:
        name = params["RoleName"]
        there = next((role.arn for role in iam.roles.values() if role.name == name), None)
        return [there or f"arn:aws:iam::{ACCOUNT}:role{path}{name}"]
    if "UserName" in params:
        there = iam.users.get(params["UserName"])
        return [there.arn if there else f"arn:aws:iam::{ACCOUNT}:user{path}{params['UserName']}"]
    if operation == "CreatePolicy" and "PolicyName" in params:
        return [f"arn:aws:iam::{ACCOUNT}:policy{path}{params['PolicyName']}"]
    if operation == "CreateOpenIDConnectProvider" and "Url" in params:
        return [f"arn:aws:iam::{ACCOUNT}:oidc-provider/{re.sub('^https://', '', params['Url'])}"]
    return own_arn("iam", params)


def of_eks(operation: str, params: Params, region: str) -> list[str] | None:
    """What is made or listed in a cluster is a matter of the cluster; the rest is of the part that is named."""
    name = params.get("clusterName") or params.get("name")
    if not name:
        return own_arn("eks", params)
    cluster_arn = f"arn:aws:eks:{region}:{ACCOUNT}:cluster/{name}"
    part = next((member for member in EKS_PARTS if member in params), None)
    if part is None or operation.startswith("Create") or operation in ("DescribeUpdate", "ListUpdates"):
        return [cluster_arn]
    state = getattr(backend("eks", region), "sandbox_state", None)
    cluster = state.clusters.get(name) if state else None
    thing = getattr(cluster, EKS_PARTS[part]).get(params[part]) if cluster else None
    return [thing.arn] if thing else None


def of_logs(operation: str, params: Params, region: str) -> list[str] | None:
    """A group's ARN ends in `:*` for some calls and not for others, so that none can be told.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/iam-access-control-overview-cwl.html
    """
    return None


SPECIAL = {"eks": of_eks, "iam": of_iam, "logs": of_logs, "s3": of_s3, "sts": of_sts}


def tags(service: str, resource: str | None, subject: str | None, region: str) -> dict[str, str]:
    """The tags that it has now; things of EC2 by their id, the request's subject."""
    if service == "ec2":
        return dict(backend("ec2", region).tags.get(subject or "", {}))
    if service == "iam":
        iam = backend("iam", region)
        things = [*iam.roles.values(), *iam.instance_profiles.values(), *iam.open_id_providers.values()]
        thing = next((one for one in things if one.arn == resource), iam.managed_policies.get(resource))
        return plain(thing.tags if thing else [])
    if resource is None or service not in resourcegroupstaggingapi.SOURCES:
        return {}
    listed_tags = resourcegroupstaggingapi.source(service)(backend(service, region))
    return next((dict(tags) for arn, tags in listed_tags if arn == resource), {})


def plain(found: Any) -> dict[str, str]:
    items = found.values() if isinstance(found, dict) else found
    return {item["Key"]: item["Value"] for item in items}
