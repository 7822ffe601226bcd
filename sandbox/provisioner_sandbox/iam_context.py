"""A request's condition keys. What is not here, a request does not have.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from provisioner_sandbox.backend import ACCOUNT
from provisioner_sandbox.caller import principal_of
from provisioner_sandbox.wire.message import Request

Context = dict[str, list[str]]

S3_QUERY = {
    "prefix": "s3:prefix",
    "delimiter": "s3:delimiter",
    "max-keys": "s3:max-keys",
    "versionId": "s3:versionid",
}
IAM_PARAMETERS = {
    "AWSServiceName": "iam:awsservicename",
    "PermissionsBoundary": "iam:permissionsboundary",
    "PolicyArn": "iam:policyarn",
}


def circumstances(request: Request, region: str, principal: str) -> Context:
    # Of a session these keys are about its role, which has no user name.
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalarn
    own, session = principal_of(principal)
    return {
        # Plain HTTP on loopback stands for an https endpoint: a policy that asks for TLS, as every
        # good one does, would otherwise deny everything.
        "aws:securetransport": ["true"],
        "aws:currenttime": [datetime.now(timezone.utc).isoformat()],
        "aws:principalaccount": [ACCOUNT],
        "aws:principalarn": [own],
        "aws:principalisawsservice": ["false"],
        "aws:principaltype": ["AssumedRole" if session else "User"],
        "aws:requestedregion": [region],
        "aws:resourceaccount": [ACCOUNT],
        "aws:sourceip": ["127.0.0.1"],
        "aws:useragent": [request.headers.get("User-Agent", "")],
        **({} if session else {"aws:username": [principal.rpartition("/")[2]]}),
        "aws:viaawsservice": ["false"],
    }


def of_s3(request: Request) -> Context:
    context = {
        "s3:tlsversion": ["1.3"],
        "s3:authtype": ["REST-QUERY-STRING" if "X-Amz-Signature" in request.query_items else "REST-HEADER"],
        "s3:resourceaccount": [ACCOUNT],
        "s3:signatureversion": ["AWS4-HMAC-SHA256"],
    }
    for name, value in request.headers.items():
        lower = name.lower()
        if lower.startswith("x-amz-") or lower in ("if-match", "if-none-match"):
            context[f"s3:{lower}"] = [value]
    for name, key in S3_QUERY.items():
        if name in request.query_items:
            context[key] = request.query_items[name]
    return context


def of_iam(params: dict[str, Any]) -> Context:
    return {key: [params[member]] for member, key in IAM_PARAMETERS.items() if member in params}


# https://docs.aws.amazon.com/eks/latest/userguide/control-plane-egress.html#control-plane-egress-iam-condition
# https://docs.aws.amazon.com/eks/latest/userguide/auto-controls.html
EKS_PARAMETERS = {
    "eks:controlplaneegressmode": ("resourcesVpcConfig", "controlPlaneEgressMode"),
    "eks:computeconfigenabled": ("computeConfig", "enabled"),
    "eks:elasticloadbalancingenabled": ("kubernetesNetworkConfig", "elasticLoadBalancing", "enabled"),
    "eks:blockstorageenabled": ("storageConfig", "blockStorage", "enabled"),
}


def of_eks(params: dict[str, Any]) -> Context:
    """What a call would make of a cluster: a key that the call does not name, it does not have."""
    context: Context = {}
    for key, path in EKS_PARAMETERS.items():
        value: Any = params
        for member in path:
            value = value.get(member) if isinstance(value, dict) else None
        if value is not None:
            context[key] = [str(value).lower() if isinstance(value, bool) else str(value)]
    return context


def of_request_tags(params: dict[str, Any]) -> Context:
    """aws:RequestTag and aws:TagKeys: the tags that a call sets, and the keys of those that it removes."""
    given = request_tags(params)
    context = {f"aws:requesttag/{key.lower()}": [value] for key, value in given.items()}
    keys = [*given, *(params.get("TagKeys") or params.get("tagKeys") or [])]
    return {**context, "aws:tagkeys": keys} if keys else context


def request_tags(params: dict[str, Any]) -> dict[str, str]:
    """Each service has its own shape for them."""
    found: dict[str, str] = {}
    for source in tag_lists(params):
        if isinstance(source, dict):
            found.update(source)
        for tag in source if isinstance(source, list) else []:
            names = {name.lower().removeprefix("tag"): value for name, value in tag.items()}
            found[str(names.get("key", ""))] = str(names.get("value", ""))
    return found


def tag_lists(params: dict[str, Any]) -> list[Any]:
    found = [params.get("Tags"), params.get("tags")]
    found += [given.get("Tags") for given in params.get("TagSpecifications") or []]
    for holder in (params.get("CreateBucketConfiguration"), params.get("Tagging")):
        if isinstance(holder, dict):  # PutObject's Tagging is a text
            found += [holder.get("Tags"), holder.get("TagSet")]
    return found


def of_resource_tags(prefix: str, tags: dict[str, str]) -> Context:
    """Most services have the older key of their own beside the common one."""
    starts = ("aws", prefix.lower())
    return {f"{start}:resourcetag/{key.lower()}": [value] for key, value in tags.items() for start in starts}
