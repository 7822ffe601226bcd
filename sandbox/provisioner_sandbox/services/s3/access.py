"""Bucket policies: moto applies them without their conditions, so this takes the decision over.

The caller is in the bucket's own account and may do everything, so that only a Deny matters.
"""

from __future__ import annotations

from datetime import datetime, timezone

from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket

from provisioner_sandbox.backend import ACCOUNT
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.policy import Question, denied
from provisioner_sandbox.registry import Call
from provisioner_sandbox.wire.message import Request

FakeBucket.get_permission = lambda bucket, action, resource: PermissionResult.NEUTRAL

PRINCIPAL = f"arn:aws:iam::{ACCOUNT}:user/moto"

# Operations whose permission has another name.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
ACTIONS = {
    "AbortMultipartUpload": "AbortMultipartUpload",
    "CompleteMultipartUpload": "PutObject",
    "CopyObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "DeleteBucketOwnershipControls": "PutBucketOwnershipControls",
    "DeleteBucketTagging": "PutBucketTagging",
    "DeleteObjects": "DeleteObject",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListObjectVersions": "ListBucketVersions",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListParts": "ListMultipartUploadParts",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "UploadPart": "PutObject",
    "UploadPartCopy": "PutObject",
}
VERSIONED = {"GetObject", "DeleteObject", "GetObjectAcl", "GetObjectTagging", "PutObjectTagging"}
QUERY_KEYS = {
    "prefix": "s3:prefix",
    "delimiter": "s3:delimiter",
    "max-keys": "s3:max-keys",
    "versionId": "s3:versionid",
}


def check_policy(call: Call) -> None:
    bucket = call.backend.buckets.get(call.params.get("Bucket"))
    if bucket is None or not bucket.policy:
        return
    document = bucket.policy.decode()
    action = ACTIONS.get(call.name, call.name)
    if "VersionId" in call.params and action in VERSIONED:
        action += "Version"
    context = circumstances(call.request, call.region)
    for resource in resources(call, bucket.arn):
        if denied(document, Question(ACCOUNT, PRINCIPAL, f"s3:{action}", resource, context)):
            message = (
                f'User: {PRINCIPAL} is not authorized to perform: s3:{action} on resource: "{resource}" '
                "with an explicit deny in a resource-based policy"
            )
            raise AwsError("AccessDenied", message, 403)


def resources(call: Call, bucket_arn: str) -> list[str]:
    if call.name == "DeleteObjects":
        return [f"{bucket_arn}/{item['Key']}" for item in call.params["Delete"]["Objects"]]
    return [f"{bucket_arn}/{call.params['Key']}" if "Key" in call.params else bucket_arn]


def circumstances(request: Request, region: str) -> dict[str, list[str]]:
    """The request's condition keys. What is not here, a request does not have."""
    context = {
        # Plain HTTP on loopback stands for an https endpoint: a policy that asks for TLS, as every
        # good one does, would otherwise deny everything.
        "aws:securetransport": ["true"],
        "s3:tlsversion": ["1.3"],
        "aws:currenttime": [datetime.now(timezone.utc).isoformat()],
        "aws:principalaccount": [ACCOUNT],
        "aws:principalarn": [PRINCIPAL],
        "aws:principalisawsservice": ["false"],
        "aws:principaltype": ["User"],
        "aws:requestedregion": [region],
        "aws:resourceaccount": [ACCOUNT],
        "aws:sourceip": ["127.0.0.1"],
        "aws:useragent": [request.headers.get("User-Agent", "")],
        "aws:username": ["moto"],
        "aws:viaawsservice": ["false"],
        "s3:authtype": ["REST-QUERY-STRING" if "X-Amz-Signature" in request.query_items else "REST-HEADER"],
        "s3:resourceaccount": [ACCOUNT],
        "s3:signatureversion": ["AWS4-HMAC-SHA256"],
    }
    for name, value in request.headers.items():
        lower = name.lower()
        if lower.startswith("x-amz-") or lower in ("if-match", "if-none-match"):
            context[f"s3:{lower}"] = [value]
    for name, key in QUERY_KEYS.items():
        if name in request.query_items:
            context[key] = request.query_items[name]
    return context
