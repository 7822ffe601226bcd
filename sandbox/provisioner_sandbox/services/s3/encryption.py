"""Objects under SSE-KMS: what S3 asks of KMS for its caller, and what it answers where KMS refuses.

The errors are KMS's own, with `KMS.` before their codes; a denial is S3's own AccessDenied.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html,
https://github.com/localstack/localstack/issues/8422,
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_ExportSnapshot.html names both codes for a key in the wrong
state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from provisioner_sandbox import key_use, keys
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.keys import KeyProblem
from provisioner_sandbox.registry import Call
from provisioner_sandbox.wire.message import Answer

KMS_ALGORITHMS = ("aws:kms", "aws:kms:dsse")
KEY_HEADER = "x-amz-server-side-encryption-aws-kms-key-id"


@dataclass
class Encryption:
    """What an object is encrypted with, or is going to be."""

    key: str
    # S3 asks KMS for a key of the bucket now and then, and not for each object.
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-key.html
    has_bucket_key: bool


def check(call: Call, bucket: Any) -> None:
    """Refuses a call on an object for which KMS refuses the key."""
    if bucket is None:
        return
    if call.name in ("GetObject", "HeadObject", "CopyObject"):
        read = stored(call)
        # HeadObject reads no content but for its checksum.
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
        if read and (call.name != "HeadObject" or call.params.get("ChecksumMode")):
            ask(call, bucket, read, "kms:Decrypt")
    if call.name in ("PutObject", "CopyObject", "CreateMultipartUpload"):
        written = wanted(call, bucket)
        if written:
            ask(call, bucket, written, "kms:GenerateDataKey")


def ask(call: Call, bucket: Any, encryption: Encryption, action: str) -> None:
    if encryption.has_bucket_key:
        problem = key_use.cached_problem(call, bucket, encryption.key, action)
    else:
        problem = key_use.problem(call, encryption.key, action)
    if problem:
        raise refusal(problem)


def refusal(problem: KeyProblem) -> AwsError:
    if problem.code == "AccessDeniedException":
        return AwsError("AccessDenied", problem.message, 403)
    return AwsError(f"KMS.{problem.code}", problem.message)


def wanted(call: Call, bucket: Any) -> Encryption | None:
    """By the request, or else by the bucket's default. No key is named: AWS's own, which cannot be disabled."""
    rule = (bucket.encryption or {}).get("Rule", {})
    default = rule.get("ApplyServerSideEncryptionByDefault", {})
    algorithm = call.params.get("ServerSideEncryption") or default.get("SSEAlgorithm")
    key = call.params.get("SSEKMSKeyId") or default.get("KMSMasterKeyID")
    has_bucket_key = call.params.get("BucketKeyEnabled", str(rule.get("BucketKeyEnabled")).lower() == "true")
    return Encryption(key, has_bucket_key) if algorithm in KMS_ALGORITHMS and key else None


def stored(call: Call) -> Encryption | None:
    """Of the object that is read, which for a copy is its source."""
    bucket, name, version = call.params["Bucket"], call.params["Key"], call.params.get("VersionId")
    if call.name == "CopyObject":
        bucket, name, version = source(call.params["CopySource"])
    if bucket not in call.backend.buckets:
        return None
    found = call.backend.get_object(bucket, name, version_id=version)
    if getattr(found, "encryption", None) not in KMS_ALGORITHMS or not found.kms_key_id:
        return None
    return Encryption(found.kms_key_id, str(found.bucket_key_enabled).lower() == "true")


def source(given: str) -> tuple[str, str, str | None]:
    path, _, version = given.lstrip("/").partition("?versionId=")
    bucket, _, name = path.partition("/")
    return bucket, name, version or None


def name_key(call: Call, answer: Answer) -> None:
    """S3 keeps the ARN of the key, which the alias that it was given by may leave later, and moto what was given."""
    if call.name not in ("PutObject", "CopyObject"):
        return
    made = call.backend.get_object(call.params["Bucket"], call.params["Key"])
    given = getattr(made, "kms_key_id", None)
    key = keys.find(call.region, given) if given and made.encryption in KMS_ALGORITHMS else None
    if key is not None and not isinstance(key, KeyProblem):
        made.kms_key_id = answer.headers[KEY_HEADER] = key.arn
