"""S3: integrity, bucket policies with their conditions, and the defaults of a new bucket."""

from __future__ import annotations

from typing import Any

from provisioner_sandbox.backend import ACCOUNT
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.policy import Malformed, statements
from provisioner_sandbox.registry import Call, handles, prepares
from provisioner_sandbox.services.s3 import encryption, lifecycle  # noqa: F401
from provisioner_sandbox.services.s3.access import check_policy
from provisioner_sandbox.services.s3.integrity import check_integrity, plain
from provisioner_sandbox.wire.message import Answer

ENCRYPTION_HEADER = "x-amz-server-side-encryption"
# Every bucket has encrypted new objects since January 2023:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/default-encryption-faq.html
DEFAULT_ALGORITHM = "AES256"


@prepares("s3")
def prepare(call: Call) -> None:
    call.request = plain(call.request)
    check_integrity(call.request)
    owner = call.params.get("ExpectedBucketOwner")
    if owner and owner != ACCOUNT:
        raise AwsError("AccessDenied", "Access Denied", 403)
    check_policy(call)


def bucket_of(call: Call) -> Any:
    return call.backend.buckets.get(call.params["Bucket"])


@handles("s3", "CreateBucket")
def create_bucket(call: Call) -> Answer:
    answer = call.forward()
    tags = call.params.get("CreateBucketConfiguration", {}).get("Tags")
    if answer.ok and tags:
        call.backend.put_bucket_tagging(call.params["Bucket"], {tag["Key"]: tag["Value"] for tag in tags})
    return answer


@handles("s3", "DeleteBucket")
def delete_bucket(call: Call) -> Answer:
    bucket = bucket_of(call)
    answer = call.forward()
    if answer.ok and bucket is not None:
        call.backend.tagger.delete_all_tags_for_resource(bucket.arn)
    return answer


@handles("s3", "PutBucketPolicy")
def put_policy(call: Call) -> Answer:
    try:
        found = statements(call.request.body.decode("utf-8", "replace"))
        check_resources(found, call.params["Bucket"])
    except Malformed as error:
        raise AwsError("MalformedPolicy", str(error)) from None
    return call.forward()


def check_resources(found: list[dict[str, Any]], bucket: str) -> None:
    for statement in found:
        resources = statement.get("Resource", statement.get("NotResource"))
        for resource in resources if isinstance(resources, list) else [resources]:
            name = str(resource).partition(":::")[2].partition("/")[0]
            if resource != "*" and name != bucket and not set("*?") & set(name):
                raise Malformed("Policy has invalid resource")


@handles("s3", "GetBucketEncryption")
def get_encryption(call: Call) -> dict | Answer:
    bucket = bucket_of(call)
    if bucket is None or bucket.encryption:
        return call.forward()
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": DEFAULT_ALGORITHM}, "BucketKeyEnabled": False}
    return {"ServerSideEncryptionConfiguration": {"Rules": [rule]}}


@handles("s3", "PutObject", "GetObject", "HeadObject", "CopyObject", "CreateMultipartUpload")
def object_call(call: Call) -> Answer:
    encryption.check(call, bucket_of(call))
    answer = call.forward()
    encrypted = any(name.lower() == ENCRYPTION_HEADER for name in answer.headers)
    if answer.ok and not encrypted:
        answer.headers[ENCRYPTION_HEADER] = DEFAULT_ALGORITHM
    if answer.ok:
        encryption.name_key(call, answer)
    return answer


def tagged(backend: Any) -> list[tuple[str, dict[str, str]]]:
    found = ((bucket.arn, backend.tagger.get_tag_dict_for_resource(bucket.arn)) for bucket in backend.buckets.values())
    return [(arn, tags) for arn, tags in found if tags]


# The outermost element of an answer as S3's API reference shows it, where it is not named after the operation.
# boto3 does not look at it; the SDKs that are generated from the Smithy model do.
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketVersioning.html and its neighbours
ROOTS = {
    "DeleteObjects": "DeleteResult",
    "GetBucketAcl": "AccessControlPolicy",
    "GetBucketLogging": "BucketLoggingStatus",
    "GetBucketTagging": "Tagging",
    "GetBucketVersioning": "VersioningConfiguration",
    "ListBuckets": "ListAllMyBucketsResult",
    "ListObjects": "ListBucketResult",
    "ListObjectsV2": "ListBucketResult",
    "ListObjectVersions": "ListVersionsResult",
}


@handles("s3", *ROOTS)
def rename_root(call: Call) -> Answer:
    answer = call.forward()
    wrong, right = f"{call.operation.name}Response".encode(), ROOTS[call.operation.name].encode()
    if answer.ok:
        answer.body = answer.body.replace(b"<" + wrong, b"<" + right, 1).replace(b"</" + wrong, b"</" + right, 1)
    return answer
