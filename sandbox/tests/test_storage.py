"""S3 and DynamoDB."""

from __future__ import annotations

import base64
import hashlib
import json
import time
import zlib
from typing import Any

import pytest
from conftest import REGION, Sandbox, until

BUCKET = "state-of-things"
ARN = f"arn:aws:s3:::{BUCKET}"


@pytest.fixture
def s3(sandbox: Sandbox) -> Any:
    client = sandbox.client("s3")
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    return client


def deny(condition: dict[str, Any], action: str = "s3:PutObject", resource: str = f"{ARN}/*") -> str:
    statement = {"Effect": "Deny", "Principal": "*", "Action": action, "Resource": resource, "Condition": condition}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


class TestBucket:
    def test_creation(self, s3: Any, refused: Any) -> None:
        again = {"Bucket": BUCKET, "CreateBucketConfiguration": {"LocationConstraint": REGION}}
        refused("BucketAlreadyOwnedByYou", s3.create_bucket, 409, **again)
        refused("IllegalLocationConstraintException", s3.create_bucket, 400, Bucket="no-location")
        refused("404", s3.head_bucket, 404, Bucket="missing-bucket")
        refused("NoSuchBucket", s3.list_objects_v2, 404, Bucket="missing-bucket")
        assert s3.head_bucket(Bucket=BUCKET)["BucketRegion"] == REGION

    @pytest.mark.parametrize("region", [REGION, "us-east-1"])
    def test_tags_on_create(self, sandbox: Sandbox, region: str) -> None:
        s3 = sandbox.client("s3", region)
        tags = [{"Key": "provisioner:backend", "Value": "1"}]
        configuration: dict[str, Any] = {"Tags": tags}
        if region != "us-east-1":
            configuration["LocationConstraint"] = region
        s3.create_bucket(Bucket="with-tags", CreateBucketConfiguration=configuration)
        assert s3.get_bucket_tagging(Bucket="with-tags")["TagSet"] == tags

    def test_settings(self, s3: Any, refused: Any) -> None:
        default = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"][0]
        assert default["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
        rule = {
            "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "alias/x"},
            "BucketKeyEnabled": True,
        }
        s3.put_bucket_encryption(Bucket=BUCKET, ServerSideEncryptionConfiguration={"Rules": [rule]})
        assert s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"] == [rule]
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
        refused("NoSuchPublicAccessBlockConfiguration", s3.get_public_access_block, 404, Bucket=BUCKET)
        names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
        block = dict.fromkeys(names, True)
        s3.put_public_access_block(Bucket=BUCKET, PublicAccessBlockConfiguration=block)
        assert s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"] == block
        controls = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
        s3.put_bucket_ownership_controls(Bucket=BUCKET, OwnershipControls=controls)
        assert s3.get_bucket_ownership_controls(Bucket=BUCKET)["OwnershipControls"] == controls
        lifecycle = {
            "Rules": [
                {
                    "ID": "old",
                    "Status": "Enabled",
                    "Filter": {"Prefix": ""},
                    "NoncurrentVersionExpiration": {"NoncurrentDays": 90},
                }
            ]
        }
        s3.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration=lifecycle)
        assert s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"][0]["ID"] == "old"
        refused("NoSuchTagSet", s3.get_bucket_tagging, 404, Bucket=BUCKET)
        s3.put_bucket_tagging(Bucket=BUCKET, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
        assert s3.get_bucket_tagging(Bucket=BUCKET)["TagSet"] == [{"Key": "a", "Value": "b"}]

    def test_bad_values(self, s3: Any, refused: Any) -> None:
        refused(
            "MalformedXML", s3.put_bucket_versioning, 400, Bucket=BUCKET, VersioningConfiguration={"Status": "Maybe"}
        )
        wrong = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "rot13"}}]}
        refused("MalformedXML", s3.put_bucket_encryption, Bucket=BUCKET, ServerSideEncryptionConfiguration=wrong)

    def test_a_foreign_owner(self, s3: Any, refused: Any) -> None:
        s3.put_object(Bucket=BUCKET, Key="k", Body=b"x", ExpectedBucketOwner="123456789012")
        other = {"Bucket": BUCKET, "Key": "k", "ExpectedBucketOwner": "210987654321"}
        refused("AccessDenied", s3.put_object, 403, **other, Body=b"y")
        refused("AccessDenied", s3.get_object, 403, **other)
        assert s3.get_object(Bucket=BUCKET, Key="k")["Body"].read() == b"x"


class TestObjects:
    def test_conditional_writes(self, s3: Any, refused: Any) -> None:
        put = {"Bucket": BUCKET, "Key": "state.json"}
        refused("NoSuchKey", s3.put_object, 404, **put, Body=b"0", IfMatch='"abc"')
        first = s3.put_object(**put, Body=b"1", IfNoneMatch="*")["ETag"]
        refused("PreconditionFailed", s3.put_object, 412, **put, Body=b"2", IfNoneMatch="*")
        second = s3.put_object(**put, Body=b"3", IfMatch=first)["ETag"]
        refused("PreconditionFailed", s3.put_object, 412, **put, Body=b"4", IfMatch=first)
        refused("PreconditionFailed", s3.delete_object, 412, **put, IfMatch=first)
        got = s3.get_object(**put)
        assert (got["Body"].read(), got["ETag"], got["ServerSideEncryption"]) == (b"3", second, "AES256")
        s3.delete_object(**put, IfMatch=second)
        refused("NoSuchKey", s3.get_object, 404, **put)

    @pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
    def test_a_wrong_checksum(self, s3: Any, refused: Any, algorithm: str) -> None:
        length = {"CRC32": 4, "CRC32C": 4, "CRC64NVME": 8, "SHA1": 20, "SHA256": 32}[algorithm]
        wrong = {f"Checksum{algorithm}": base64.b64encode(b"\1" * length).decode()}
        refused("BadDigest", s3.put_object, 400, Bucket=BUCKET, Key="k", Body=b"content", **wrong)
        refused("NoSuchKey", s3.get_object, Bucket=BUCKET, Key="k")

    def test_right_checksums(self, s3: Any) -> None:
        # Check values of the CRC catalogue: https://reveng.sourceforge.io/crc-catalogue/all.htm
        body = b"123456789"
        right = {
            "ChecksumCRC32": zlib.crc32(body).to_bytes(4, "big"),
            "ChecksumCRC32C": 0xE3069283.to_bytes(4, "big"),
            "ChecksumCRC64NVME": 0xAE8B14860A799888.to_bytes(8, "big"),
            "ChecksumSHA256": hashlib.sha256(body).digest(),
        }
        for name, digest in right.items():
            s3.put_object(Bucket=BUCKET, Key=name, Body=body, **{name: base64.b64encode(digest).decode()})
        md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
        s3.put_object(Bucket=BUCKET, Key="md5", Body=body, ContentMD5=md5)
        assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 5

    def test_a_wrong_md5(self, s3: Any, refused: Any) -> None:
        put = {"Bucket": BUCKET, "Key": "k", "Body": b"content"}
        refused("BadDigest", s3.put_object, 400, **put, ContentMD5=base64.b64encode(bytes(16)).decode())
        refused("InvalidDigest", s3.put_object, 400, **put, ContentMD5="short")

    def test_binary_and_large(self, s3: Any) -> None:
        body = bytes(range(256)) * 2000
        s3.put_object(Bucket=BUCKET, Key="a/b +%c/ü", Body=body)
        assert s3.get_object(Bucket=BUCKET, Key="a/b +%c/ü")["Body"].read() == body
        assert s3.head_object(Bucket=BUCKET, Key="a/b +%c/ü")["ContentLength"] == len(body)
        assert [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"]] == ["a/b +%c/ü"]

    def test_versions(self, s3: Any, refused: Any) -> None:
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        ids = [s3.put_object(Bucket=BUCKET, Key="k", Body=str(n).encode())["VersionId"] for n in range(3)]
        s3.delete_object(Bucket=BUCKET, Key="k")
        refused("NoSuchKey", s3.get_object, 404, Bucket=BUCKET, Key="k")
        listed = s3.list_object_versions(Bucket=BUCKET, Prefix="k")
        assert {version["VersionId"] for version in listed["Versions"]} == set(ids)
        assert len(listed["DeleteMarkers"]) == 1
        assert s3.get_object(Bucket=BUCKET, Key="k", VersionId=ids[1])["Body"].read() == b"1"
        refused("BucketNotEmpty", s3.delete_bucket, 409, Bucket=BUCKET)
        every = listed["Versions"] + listed["DeleteMarkers"]
        objects = [{"Key": "k", "VersionId": version["VersionId"]} for version in every]
        s3.delete_objects(Bucket=BUCKET, Delete={"Objects": objects})
        s3.delete_bucket(Bucket=BUCKET)


class TestPolicy:
    def put(self, s3: Any, **more: Any) -> Any:
        return s3.put_object(Bucket=BUCKET, Key="k", Body=b"x", **more)

    def test_tls_is_taken_for_granted(self, s3: Any) -> None:
        everything = {"Bool": {"aws:SecureTransport": "false"}}
        s3.put_bucket_policy(Bucket=BUCKET, Policy=deny(everything, "s3:*"))
        self.put(s3)
        s3.put_bucket_policy(Bucket=BUCKET, Policy=deny({"NumericLessThan": {"s3:TlsVersion": "1.2"}}, "s3:*"))
        self.put(s3)
        s3.put_bucket_policy(Bucket=BUCKET, Policy=deny({"Bool": {"aws:SecureTransport": True}}, "s3:*"))
        with pytest.raises(Exception, match="AccessDenied"):
            self.put(s3)

    def test_a_put_without_condition_is_denied(self, s3: Any, refused: Any) -> None:
        condition = {"Null": {"s3:if-match": "true", "s3:if-none-match": "true"}}
        s3.put_bucket_policy(Bucket=BUCKET, Policy=deny(condition))
        refused("AccessDenied", s3.put_object, 403, Bucket=BUCKET, Key="k", Body=b"x")
        etag = self.put(s3, IfNoneMatch="*")["ETag"]
        self.put(s3, IfMatch=etag)

    def test_encryption_keys(self, sandbox: Sandbox, s3: Any, refused: Any) -> None:
        key, other = (sandbox.client("kms").create_key()["KeyMetadata"]["Arn"] for _ in range(2))
        put = {"Bucket": BUCKET, "Key": "k", "Body": b"x"}
        s3.put_bucket_policy(
            Bucket=BUCKET, Policy=deny({"StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}})
        )
        refused("AccessDenied", s3.put_object, 403, **put)
        refused("AccessDenied", s3.put_object, 403, **put, ServerSideEncryption="AES256")
        s3.put_object(**put, ServerSideEncryption="aws:kms")
        only_if_given = {
            "StringNotEqualsIfExists": {"s3:x-amz-server-side-encryption-aws-kms-key-id": key},
            "Null": {"s3:x-amz-server-side-encryption-aws-kms-key-id": "false"},
        }
        s3.put_bucket_policy(Bucket=BUCKET, Policy=deny(only_if_given))
        s3.put_object(**put)
        refused("AccessDenied", s3.put_object, 403, **put, ServerSideEncryption="aws:kms", SSEKMSKeyId=other)
        s3.put_object(**put, ServerSideEncryption="aws:kms", SSEKMSKeyId=key)

    @pytest.mark.parametrize(
        ("condition", "denied"),
        [
            ({"StringNotEquals": {"aws:PrincipalAccount": "123456789012"}}, False),
            ({"StringEquals": {"aws:PrincipalAccount": ["210987654321", "123456789012"]}}, True),
            ({"StringEquals": {"aws:SourceAccount": "123456789012"}}, False),
            ({"StringNotEquals": {"aws:SourceAccount": "123456789012"}}, True),
            ({"StringEqualsIfExists": {"aws:SourceAccount": "210987654321"}}, True),
            ({"StringEquals": {"made:Up": "x"}}, False),
            ({"StringNotEquals": {"made:Up": "x"}}, True),
            ({"Null": {"made:Up": "true"}}, True),
            ({"Null": {"made:Up": "false"}}, False),
            ({"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::123456789012:user/*"}}, False),
            ({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, True),
            ({"NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, False),
            ({"Bool": {"aws:PrincipalIsAWSService": "false"}}, True),
            ({"Bool": {"aws:SecureTransport": "true"}, "StringEquals": {"made:Up": "x"}}, False),
        ],
    )
    def test_conditions(self, s3: Any, condition: dict, denied: bool) -> None:
        s3.put_bucket_policy(Bucket=BUCKET, Policy=deny(condition))
        if denied:
            with pytest.raises(Exception, match="AccessDenied"):
                self.put(s3)
        else:
            self.put(s3)

    def test_actions_and_resources(self, s3: Any, refused: Any) -> None:
        self.put(s3)
        s3.put_bucket_policy(Bucket=BUCKET, Policy=deny({}, "s3:Get*", f"{ARN}/k"))
        refused("AccessDenied", s3.get_object, 403, Bucket=BUCKET, Key="k")
        refused("403", s3.head_object, 403, Bucket=BUCKET, Key="k")
        self.put(s3)
        refused("NoSuchKey", s3.get_object, 404, Bucket=BUCKET, Key="other")
        s3.put_bucket_policy(Bucket=BUCKET, Policy=deny({}, "s3:ListBucket", ARN))
        refused("AccessDenied", s3.list_objects_v2, 403, Bucket=BUCKET)
        s3.delete_bucket_policy(Bucket=BUCKET)
        s3.list_objects_v2(Bucket=BUCKET)
        refused("NoSuchBucketPolicy", s3.get_bucket_policy, 404, Bucket=BUCKET)

    @pytest.mark.parametrize(
        "policy",
        [
            "{",
            "{}",
            '{"Version":"2012-10-17","Statement":[]}',
            deny({"StringSortOfEquals": {"a": "b"}}),
            deny({}, resource="arn:aws:s3:::another-bucket/*"),
        ],
    )
    def test_malformed(self, s3: Any, refused: Any, policy: str) -> None:
        refused("MalformedPolicy", s3.put_bucket_policy, 400, Bucket=BUCKET, Policy=policy)


class TestTables:
    def table(self, **more: Any) -> dict[str, Any]:
        return {
            "TableName": "lock",
            "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
            **more,
        }

    def status(self, dynamodb: Any) -> str:
        return dynamodb.describe_table(TableName="lock")["Table"]["TableStatus"]

    def test_life(self, sandbox: Sandbox, refused: Any) -> None:
        sandbox.configure(timeScale=1)
        dynamodb, kms = sandbox.client("dynamodb"), sandbox.client("kms")
        key = kms.create_key()["KeyMetadata"]
        kms.create_alias(AliasName="alias/x", TargetKeyId=key["KeyId"])
        created = dynamodb.create_table(
            **self.table(
                DeletionProtectionEnabled=True,
                SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": "alias/x"},
                Tags=[{"Key": "a", "Value": "b"}],
            )
        )["TableDescription"]
        assert created["TableStatus"] == self.status(dynamodb) == "CREATING"
        assert created["SSEDescription"]["KMSMasterKeyArn"] == key["Arn"]
        item = {"TableName": "lock", "Item": {"k": {"S": "1"}}}
        refused("ResourceNotFoundException", dynamodb.put_item, **item)
        refused("ResourceInUseException", dynamodb.create_table, **self.table())
        pitr = {"TableName": "lock", "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True}}
        sandbox.configure(timeScale=1000)
        until(lambda: self.status(dynamodb) == "ACTIVE")
        sandbox.configure(timeScale=1)
        dynamodb.put_item(**item)
        dynamodb.update_continuous_backups(**pitr)
        backups = dynamodb.describe_continuous_backups(TableName="lock")["ContinuousBackupsDescription"]
        assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
        assert dynamodb.list_tags_of_resource(ResourceArn=created["TableArn"])["Tags"] == [{"Key": "a", "Value": "b"}]
        refused("ValidationException", dynamodb.delete_table, TableName="lock")
        dynamodb.update_table(TableName="lock", DeletionProtectionEnabled=False)
        assert dynamodb.delete_table(TableName="lock")["TableDescription"]["TableStatus"] == "DELETING"
        assert self.status(dynamodb) == "DELETING"
        refused("ResourceInUseException", dynamodb.delete_table, TableName="lock")
        refused("ResourceNotFoundException", dynamodb.get_item, TableName="lock", Key={"k": {"S": "1"}})
        sandbox.configure(timeScale=1000)
        time.sleep(0.05)
        refused("ResourceNotFoundException", dynamodb.describe_table, TableName="lock")
        dynamodb.create_table(**self.table())

    def test_conditions(self, sandbox: Sandbox, refused: Any) -> None:
        dynamodb = sandbox.client("dynamodb")
        dynamodb.create_table(**self.table())
        until(lambda: self.status(dynamodb) == "ACTIVE")
        put = {
            "TableName": "lock",
            "Item": {"k": {"S": "1"}, "owner": {"S": "me"}},
            "ConditionExpression": "attribute_not_exists(k)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        dynamodb.put_item(**put)
        error = refused("ConditionalCheckFailedException", dynamodb.put_item, 400, **put)
        assert error.response["Item"]["owner"] == {"S": "me"}
