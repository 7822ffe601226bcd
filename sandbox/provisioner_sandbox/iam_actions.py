"""Which IAM actions a call takes: `prefix:Operation`, but for those that AWS names or divides otherwise.

https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

from typing import Any

from provisioner_sandbox.wire.models import service_model

# Where the prefix is not the name in the signature.
PREFIXES = {"resourcegroupstaggingapi": "tag", "cloudwatch": "cloudwatch"}

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
S3 = {
    "CompleteMultipartUpload": "PutObject",
    "CopyObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "DeleteBucketAnalyticsConfiguration": "PutAnalyticsConfiguration",
    "DeleteBucketCors": "PutBucketCORS",
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketIntelligentTieringConfiguration": "PutIntelligentTieringConfiguration",
    "DeleteBucketInventoryConfiguration": "PutInventoryConfiguration",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "DeleteBucketMetricsConfiguration": "PutMetricsConfiguration",
    "DeleteBucketOwnershipControls": "PutBucketOwnershipControls",
    "DeleteBucketReplication": "PutReplicationConfiguration",
    "DeleteBucketTagging": "PutBucketTagging",
    "DeleteObjects": "DeleteObject",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
    "GetBucketAccelerateConfiguration": "GetAccelerateConfiguration",
    "GetBucketAnalyticsConfiguration": "GetAnalyticsConfiguration",
    "GetBucketCors": "GetBucketCORS",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetBucketIntelligentTieringConfiguration": "GetIntelligentTieringConfiguration",
    "GetBucketInventoryConfiguration": "GetInventoryConfiguration",
    "GetBucketLifecycle": "GetLifecycleConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "GetBucketMetricsConfiguration": "GetMetricsConfiguration",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "GetBucketReplication": "GetReplicationConfiguration",
    "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "ListBucketAnalyticsConfigurations": "GetAnalyticsConfiguration",
    "ListBucketIntelligentTieringConfigurations": "GetIntelligentTieringConfiguration",
    "ListBucketInventoryConfigurations": "GetInventoryConfiguration",
    "ListBucketMetricsConfigurations": "GetMetricsConfiguration",
    "ListBuckets": "ListAllMyBuckets",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListObjectVersions": "ListBucketVersions",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListParts": "ListMultipartUploadParts",
    "PutBucketAccelerateConfiguration": "PutAccelerateConfiguration",
    "PutBucketAnalyticsConfiguration": "PutAnalyticsConfiguration",
    "PutBucketCors": "PutBucketCORS",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "PutBucketIntelligentTieringConfiguration": "PutIntelligentTieringConfiguration",
    "PutBucketInventoryConfiguration": "PutInventoryConfiguration",
    "PutBucketLifecycle": "PutLifecycleConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "PutBucketMetricsConfiguration": "PutMetricsConfiguration",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "PutBucketReplication": "PutReplicationConfiguration",
    "PutObjectLockConfiguration": "PutBucketObjectLockConfiguration",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "SelectObjectContent": "GetObject",
    "UploadPart": "PutObject",
    "UploadPartCopy": "PutObject",
}  # fmt: skip
# With a version's id these have a name of their own.
S3_VERSIONED = {"GetObject", "DeleteObject", "GetObjectAcl", "GetObjectTagging", "PutObjectTagging"}

# A transaction takes what its parts would take alone.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html
TRANSACTED = {
    "ConditionCheck": "ConditionCheckItem",
    "Delete": "DeleteItem",
    "Get": "GetItem",
    "Put": "PutItem",
    "Update": "UpdateItem",
}

# What tags on a new thing take beside its creation. Sources: the parameters' descriptions in the services' API
# references, and for each service "tagging resources during creation", as in
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html.
# Of CloudWatch Logs the older TagLogGroup would do as well; a policy of today has the other.
TAGS_ON_CREATE = {
    ("dynamodb", "CreateTable"): "TagResource",
    ("ecr", "CreateRepository"): "TagResource",
    ("elbv2", "CreateLoadBalancer"): "AddTags",
    ("elbv2", "CreateListener"): "AddTags",
    ("elbv2", "CreateRule"): "AddTags",
    ("elbv2", "CreateTargetGroup"): "AddTags",
    ("iam", "CreateInstanceProfile"): "TagInstanceProfile",
    ("iam", "CreateOpenIDConnectProvider"): "TagOpenIDConnectProvider",
    ("iam", "CreatePolicy"): "TagPolicy",
    ("iam", "CreateRole"): "TagRole",
    ("iam", "CreateUser"): "TagUser",
    ("kms", "CreateKey"): "TagResource",
    ("kms", "ReplicateKey"): "TagResource",
    ("logs", "CreateLogGroup"): "TagResource",
    ("ssm", "PutParameter"): "AddTagsToResource",
}


def prefix(service: str) -> str:
    model = service_model(service)
    return PREFIXES.get(service) or (model.signing_name if model else service)


def own(service: str, operation: str, params: dict[str, Any]) -> list[str]:
    """The actions that the call itself takes, without their prefix."""
    if service == "s3":
        return s3(operation, params)
    if service == "kms" and operation == "ReEncrypt":
        return ["ReEncryptFrom", "ReEncryptTo"]
    if service == "dynamodb" and operation in ("TransactGetItems", "TransactWriteItems"):
        kinds = {kind: None for item in params.get("TransactItems") or [] for kind in item}
        return [TRANSACTED[kind] for kind in kinds if kind in TRANSACTED] or [operation]
    return [operation]


def s3(operation: str, params: dict[str, Any]) -> list[str]:
    name = S3.get(operation, operation)
    # A batch of deletions has a version for each object.
    objects = (params.get("Delete") or {}).get("Objects") or [params]
    names = {f"{name}Version" if "VersionId" in one and name in S3_VERSIONED else name: None for one in objects}
    return list(names)


def tagging(service: str, operation: str, params: dict[str, Any]) -> str | None:
    """The action that the tags of something new take."""
    if service == "ec2":
        tags = any(given.get("Tags") for given in params.get("TagSpecifications") or [])
        return "CreateTags" if tags else None
    if service == "s3":
        if operation == "CreateBucket" and (params.get("CreateBucketConfiguration") or {}).get("Tags"):
            return "TagResource"
        return "PutObjectTagging" if operation == "PutObject" and params.get("Tagging") else None
    if not (params.get("Tags") or params.get("tags")):
        return None
    if service == "eks" and operation.startswith("Create"):
        return "TagResource"
    return TAGS_ON_CREATE.get((service, operation))
