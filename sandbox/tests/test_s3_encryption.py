"""Objects of S3 under keys of KMS.

Codes: https://github.com/localstack/localstack/issues/8422
"""

from __future__ import annotations

from typing import Any

import pytest
from conftest import REGION, Sandbox
from policies import ROOT_STATEMENT, allow, deny, document, policy

BUCKET = "sealed-things"


class Sealed:
    """A bucket whose objects are under a key, with one object in it."""

    def __init__(self, sandbox: Sandbox):
        self.sandbox, self.s3, self.kms = sandbox, sandbox.client("s3"), sandbox.client("kms")
        self.key = self.kms.create_key()["KeyMetadata"]["Arn"]
        self.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        self.default(has_bucket_key=False)
        self.put()

    def default(self, has_bucket_key: bool) -> None:
        default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": self.key}
        rule = {"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": has_bucket_key}
        self.s3.put_bucket_encryption(Bucket=BUCKET, ServerSideEncryptionConfiguration={"Rules": [rule]})

    def put(self, **more: Any) -> dict[str, Any]:
        return self.s3.put_object(Bucket=BUCKET, Key="k", Body=b"x", **more)

    def get(self) -> bytes:
        return self.s3.get_object(Bucket=BUCKET, Key="k")["Body"].read()


@pytest.fixture
def sealed(sandbox: Sandbox) -> Sealed:
    return Sealed(sandbox)


class TestStates:
    @pytest.mark.parametrize(
        ("change", "code", "words"),
        [
            ("disable_key", "KMS.DisabledException", "is disabled."),
            ("schedule_key_deletion", "KMS.KMSInvalidStateException", "is pending deletion."),
        ],
    )
    def test_a_key_that_cannot_be_used(self, sealed: Sealed, refused: Any, change: str, code: str, words: str) -> None:
        s3, where = sealed.s3, {"Bucket": BUCKET, "Key": "k"}
        getattr(sealed.kms, change)(KeyId=sealed.key)
        error = refused(code, s3.get_object, 400, **where)
        assert f"{sealed.key} {words}" in str(error)
        refused(code, s3.put_object, 400, **where, Body=b"y")
        refused(code, s3.create_multipart_upload, 400, **where)
        copy = {"Bucket": BUCKET, "Key": "copy", "CopySource": f"{BUCKET}/k", "ServerSideEncryption": "AES256"}
        refused(code, s3.copy_object, 400, **copy)
        # A HEAD reads nothing that is encrypted, but for the checksum; its error has no body, and so no code.
        assert s3.head_object(**where)["SSEKMSKeyId"] == sealed.key
        refused("400", s3.head_object, 400, **where, ChecksumMode="ENABLED")
        assert [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"]] == ["k"]
        # What is under another key has nothing to do with it.
        s3.put_object(Bucket=BUCKET, Key="open", Body=b"y", ServerSideEncryption="AES256")
        assert s3.get_object(Bucket=BUCKET, Key="open")["Body"].read() == b"y"
        s3.delete_object(**where)

    def test_a_key_that_is_enabled_again(self, sealed: Sealed, refused: Any) -> None:
        sealed.kms.disable_key(KeyId=sealed.key)
        refused("KMS.DisabledException", sealed.put, 400)
        sealed.kms.enable_key(KeyId=sealed.key)
        sealed.put()
        assert sealed.get() == b"x"

    def test_a_key_that_is_not_there(self, sealed: Sealed, refused: Any) -> None:
        elsewhere = sealed.key.replace(REGION, "us-east-1")
        for given in (sealed.key[:-1] + "x", "alias/none", elsewhere):
            refused("KMS.NotFoundException", sealed.put, 400, ServerSideEncryption="aws:kms", SSEKMSKeyId=given)

    def test_an_alias_is_kept_as_the_key_that_it_led_to(self, sealed: Sealed, refused: Any) -> None:
        sealed.kms.create_alias(AliasName="alias/s", TargetKeyId=sealed.key)
        assert sealed.put(ServerSideEncryption="aws:kms", SSEKMSKeyId="alias/s")["SSEKMSKeyId"] == sealed.key
        other = sealed.kms.create_key()["KeyMetadata"]["Arn"]
        sealed.kms.update_alias(AliasName="alias/s", TargetKeyId=other)
        sealed.kms.disable_key(KeyId=other)
        assert sealed.get() == b"x"
        sealed.kms.disable_key(KeyId=sealed.key)
        refused("KMS.DisabledException", sealed.s3.get_object, 400, Bucket=BUCKET, Key="k")


class TestBucketKeys:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-key.html"""

    def test_they_outlive_the_key_for_as_long_as_configured(self, sealed: Sealed, refused: Any) -> None:
        sealed.sandbox.configure(timeScale=0.1, keyCache=300)
        sealed.default(has_bucket_key=True)
        sealed.put()
        sealed.kms.disable_key(KeyId=sealed.key)
        sealed.put()
        assert sealed.get() == b"x"
        sealed.sandbox.configure(timeScale=0.1, keyCache=0)
        refused("KMS.DisabledException", sealed.s3.get_object, 400, Bucket=BUCKET, Key="k")
        refused("KMS.DisabledException", sealed.put, 400)
        # Without a limit, S3 has a copy for ever.
        sealed.sandbox.configure(timeScale=0.1)
        assert sealed.get() == b"x"

    def test_nothing_is_kept_of_a_key_that_was_never_used(self, sealed: Sealed, refused: Any) -> None:
        sealed.key = sealed.kms.create_key()["KeyMetadata"]["Arn"]
        sealed.default(has_bucket_key=True)
        sealed.kms.disable_key(KeyId=sealed.key)
        refused("KMS.DisabledException", sealed.put, 400)


class TestPermissions:
    def test_the_callers_policy_needs_the_key_too(self, sealed: Sealed, refused: Any) -> None:
        only_s3 = allow("s3:*")
        sealed.sandbox.configure(callerPolicy=policy(only_s3))
        error = refused("AccessDenied", sealed.s3.get_object, 403, Bucket=BUCKET, Key="k")
        assert f"kms:Decrypt on resource: {sealed.key} because no identity-based policy allows" in str(error)
        error = refused("AccessDenied", sealed.put, 403)
        assert "kms:GenerateDataKey" in str(error)
        via = {"StringEquals": {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}}
        sealed.sandbox.configure(callerPolicy=policy(only_s3, allow("kms:Decrypt", resource=sealed.key, Condition=via)))
        assert sealed.get() == b"x"
        refused("AccessDenied", sealed.put, 403)
        elsewhere = {"StringEquals": {"kms:ViaService": f"dynamodb.{REGION}.amazonaws.com"}}
        sealed.sandbox.configure(callerPolicy=policy(only_s3, allow("kms:Decrypt", Condition=elsewhere)))
        refused("AccessDenied", sealed.s3.get_object, 403, Bucket=BUCKET, Key="k")
        own = {"StringEquals": {"aws:ResourceTag/stack": "s"}}
        sealed.sandbox.configure(callerPolicy=policy(only_s3, allow("kms:*", Condition=own)))
        refused("AccessDenied", sealed.s3.get_object, 403, Bucket=BUCKET, Key="k")
        sealed.sandbox.configure()
        sealed.kms.tag_resource(KeyId=sealed.key, Tags=[{"TagKey": "stack", "TagValue": "s"}])
        sealed.sandbox.configure(callerPolicy=policy(only_s3, allow("kms:*", Condition=own)))
        assert sealed.get() == b"x"

    def test_so_does_the_keys(self, sealed: Sealed, refused: Any) -> None:
        via = {"StringEquals": {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}}
        no_s3 = deny("kms:Decrypt", Principal="*", Condition=via)
        sealed.kms.put_key_policy(KeyId=sealed.key, PolicyName="default", Policy=document(ROOT_STATEMENT, no_s3))
        refused("AccessDenied", sealed.s3.get_object, 403, Bucket=BUCKET, Key="k")
        sealed.put()
