"""S3's answers that moto gives otherwise."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from conftest import Sandbox


def test_answers_have_the_root_that_the_api_reference_shows(sandbox: Sandbox) -> None:
    seen = []
    s3 = sandbox.client("s3")
    def keep(http_response, **_):
        seen.append(http_response.content)

    s3.meta.events.register("after-call.s3.*", keep)
    s3.create_bucket(Bucket="roots", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    for call, root in [
        (lambda: s3.get_bucket_versioning(Bucket="roots"), b"<VersioningConfiguration"),
        (lambda: s3.list_objects_v2(Bucket="roots"), b"<ListBucketResult"),
        (lambda: s3.list_object_versions(Bucket="roots"), b"<ListVersionsResult"),
        (lambda: s3.list_buckets(), b"<ListAllMyBucketsResult"),
    ]:
        call()
        assert root in seen[-1]
    # Clients are shared between tests, and reading an answer here would leave nothing of it for them.
    s3.meta.events.unregister("after-call.s3.*", keep)


DAYS = {"NoncurrentDays": 90}


def version_rule(**members: Any) -> dict[str, Any]:
    kept = {**DAYS, "NewerNoncurrentVersions": 100}
    return {
        "ID": "old",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "NoncurrentVersionExpiration": kept,
        **members,
    }


def test_lifecycle_rules_are_answered_as_they_were_put(sandbox: Sandbox) -> None:
    s3 = sandbox.client("s3")
    s3.create_bucket(Bucket="rules", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    with pytest.raises(ClientError, match="NoSuchLifecycleConfiguration"):
        s3.get_bucket_lifecycle_configuration(Bucket="rules")
    rules = [version_rule(), version_rule(ID="b", Filter={"Prefix": "x/"}, Status="Disabled")]
    s3.put_bucket_lifecycle_configuration(Bucket="rules", LifecycleConfiguration={"Rules": rules})
    assert s3.get_bucket_lifecycle_configuration(Bucket="rules")["Rules"] == rules
    s3.delete_bucket_lifecycle(Bucket="rules")
    with pytest.raises(ClientError, match="NoSuchLifecycleConfiguration"):
        s3.get_bucket_lifecycle_configuration(Bucket="rules")


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ([version_rule(NoncurrentVersionExpiration={**DAYS, "NewerNoncurrentVersions": 101})], "InvalidRequest"),
        ([version_rule(NoncurrentVersionExpiration={"NoncurrentDays": 0})], "InvalidArgument"),
        ([version_rule(), version_rule()], "InvalidArgument"),
        ([{"ID": "idle", "Status": "Enabled", "Filter": {"Prefix": ""}}], "InvalidRequest"),
        ([], "MalformedXML"),
    ],
)
def test_lifecycle_rules_that_s3_refuses(sandbox: Sandbox, rules: list[dict[str, Any]], code: str) -> None:
    s3 = sandbox.client("s3")
    s3.create_bucket(Bucket="rules", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    with pytest.raises(ClientError, match=code):
        s3.put_bucket_lifecycle_configuration(Bucket="rules", LifecycleConfiguration={"Rules": rules})
