"""Lifecycle rules of buckets. moto keeps only some members of a rule, not `NewerNoncurrentVersions`.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLifecycleConfiguration.html
"""

from __future__ import annotations

from typing import Any

from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.wire.message import Answer

MOST_RULES = 1000
# "You can specify up to 100 noncurrent versions to retain."
MOST_VERSIONS = 100
ACTIONS = {
    "Expiration",
    "Transitions",
    "NoncurrentVersionTransitions",
    "NoncurrentVersionExpiration",
    "AbortIncompleteMultipartUpload",
}


def bucket_of(call: Call) -> Any:
    bucket = call.backend.buckets.get(call.params["Bucket"])
    if bucket is None:
        raise AwsError("NoSuchBucket", "The specified bucket does not exist", 404)
    return bucket


def malformed() -> AwsError:
    return AwsError(
        "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema", 400
    )


def check(rules: list[dict[str, Any]]) -> None:
    if not 0 < len(rules) <= MOST_RULES:
        raise malformed()
    ids = [rule["ID"] for rule in rules if "ID" in rule]
    if len(set(ids)) < len(ids):
        raise AwsError("InvalidArgument", "Rule ID must be unique. Found same ID for more than one rule", 400)
    for rule in rules:
        if not ACTIONS & set(rule):
            raise AwsError("InvalidRequest", "At least one action needs to be specified in a rule", 400)
        if ("Filter" in rule) == ("Prefix" in rule):
            raise malformed()
        expiration = rule.get("NoncurrentVersionExpiration", {})
        versions = expiration.get("NewerNoncurrentVersions")
        if versions is not None and not 0 < versions <= MOST_VERSIONS:
            raise AwsError("InvalidRequest", "NewerNoncurrentVersions must be between 1 and 100", 400)
        if expiration and expiration.get("NoncurrentDays", 0) < 1:
            message = "'NoncurrentDays' for NoncurrentVersionExpiration action must be a positive integer"
            raise AwsError("InvalidArgument", message, 400)


@handles("s3", "PutBucketLifecycleConfiguration")
def put(call: Call) -> Answer:
    rules = call.params.get("LifecycleConfiguration", {}).get("Rules", [])
    check(rules)
    bucket_of(call).provisioner_lifecycle = rules
    return Answer(200, {}, b"")


@handles("s3", "GetBucketLifecycleConfiguration")
def get(call: Call) -> dict:
    rules = getattr(bucket_of(call), "provisioner_lifecycle", None)
    if rules is None:
        raise AwsError("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist", 404)
    return {"Rules": rules}


@handles("s3", "DeleteBucketLifecycle")
def delete(call: Call) -> Answer:
    bucket_of(call).provisioner_lifecycle = None
    return Answer(204, {}, b"")
