"""Tables of DynamoDB under keys of KMS.

Codes, texts and times: https://github.com/aws/aws-cdk/issues/18616, and measurements in the public repository
ack-api-quirks, DDB-TABLE-331 and 461.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
from conftest import Sandbox, until
from policies import ROOT_STATEMENT, allow, deny, document, policy

TABLE = "sealed"
MODEL = "com.amazonaws.services.kms.model"
ITEM = {"TableName": TABLE, "Key": {"k": {"S": "1"}}}
# At the first nothing ends while a test looks at it; at the second half an hour is over at once.
SLOW, FAST = 0.1, 50_000


class Sealed:
    """A table under a key, with one item in it."""

    def __init__(self, sandbox: Sandbox):
        self.sandbox, self.client, self.kms = sandbox, sandbox.client("dynamodb"), sandbox.client("kms")
        self.key = self.new_key()
        self.create(TABLE, self.key)
        until(lambda: self.described()["TableStatus"] == "ACTIVE")
        self.put()

    def new_key(self) -> str:
        return self.kms.create_key()["KeyMetadata"]["Arn"]

    def create(self, name: str, key: str) -> dict[str, Any]:
        return self.client.create_table(**self.wanted(name, key))

    @staticmethod
    def wanted(name: str, key: str) -> dict[str, Any]:
        return {
            "TableName": name,
            "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
            "SSESpecification": sse(key),
        }

    def described(self) -> dict[str, Any]:
        return self.client.describe_table(TableName=TABLE)["Table"]

    def put(self) -> None:
        self.client.put_item(TableName=TABLE, Item={"k": {"S": "1"}})

    def clock(self, scale: float, **more: Any) -> None:
        self.sandbox.configure(timeScale=scale, **more)


def sse(key: str) -> dict[str, Any]:
    return {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key}


@pytest.fixture
def sealed(sandbox: Sandbox) -> Sealed:
    return Sealed(sandbox)


class TestStates:
    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ("disable_key", f"KMS key disabled error: {MODEL}.DisabledException: {{}} is disabled."),
            (
                "schedule_key_deletion",
                f"KMS validation error: {MODEL}.KMSInvalidStateException: {{}} is pending deletion.",
            ),
        ],
    )
    def test_a_key_that_cannot_be_used(self, sealed: Sealed, refused: Any, change: str, words: str) -> None:
        sealed.clock(SLOW, keyCache=330)
        getattr(sealed.kms, change)(KeyId=sealed.key)
        # The copy of the key is used for some minutes.
        sealed.put()
        assert sealed.client.get_item(**ITEM)["Item"] == {"k": {"S": "1"}}
        sealed.clock(SLOW, keyCache=0)
        for call, params in (
            (sealed.client.get_item, ITEM),
            (sealed.client.put_item, {"TableName": TABLE, "Item": {"k": {"S": "2"}}}),
            (sealed.client.update_item, ITEM),
            (sealed.client.scan, {"TableName": TABLE}),
            (sealed.client.create_table, sealed.wanted("other", sealed.key)),
            (sealed.client.update_table, {"TableName": TABLE, "SSESpecification": sse(sealed.new_key())}),
        ):
            assert words.format(sealed.key) in str(refused("ValidationException", call, 400, **params))
        refused("ResourceNotFoundException", sealed.client.describe_table, TableName="other")
        # The table's status follows much later.
        assert sealed.described()["TableStatus"] == "ACTIVE"
        sealed.clock(FAST, keyCache=0)
        there = until(lambda: (found := sealed.described())["TableStatus"] != "ACTIVE" and found)
        assert there["TableStatus"] == "INACCESSIBLE_ENCRYPTION_CREDENTIALS"
        encryption = there["SSEDescription"]
        assert (encryption["Status"], encryption["KMSMasterKeyArn"]) == ("ENABLED", sealed.key)
        found = encryption["InaccessibleEncryptionDateTime"]
        assert abs(found.timestamp() - time.time()) < 60
        refused("ValidationException", sealed.client.get_item, 400, **ITEM)

    def test_a_key_that_is_enabled_again(self, sealed: Sealed) -> None:
        sealed.clock(FAST, keyCache=0)
        sealed.kms.disable_key(KeyId=sealed.key)
        until(lambda: sealed.described()["TableStatus"] == "INACCESSIBLE_ENCRYPTION_CREDENTIALS")
        sealed.kms.enable_key(KeyId=sealed.key)
        there = sealed.described()
        assert there["TableStatus"] == "ACTIVE"
        assert "InaccessibleEncryptionDateTime" not in there["SSEDescription"]
        assert sealed.client.get_item(**ITEM)["Item"] == {"k": {"S": "1"}}

    def test_without_a_limit_the_copy_is_used_for_ever(self, sealed: Sealed) -> None:
        sealed.kms.disable_key(KeyId=sealed.key)
        sealed.clock(FAST)
        time.sleep(0.2)
        assert sealed.client.get_item(**ITEM)["Item"] == {"k": {"S": "1"}}
        assert sealed.described()["TableStatus"] == "ACTIVE"

    def test_a_key_that_is_not_there(self, sealed: Sealed, refused: Any) -> None:
        for given in (sealed.key[:-1] + "x", "alias/none"):
            error = refused("ValidationException", sealed.client.create_table, 400, **sealed.wanted("other", given))
            assert "KMS validation error: com.amazonaws.services.kms.model.NotFoundException" in str(error)


class TestPermissions:
    def test_of_the_caller(self, sealed: Sealed, refused: Any) -> None:
        rights = allow("dynamodb:*")
        sealed.clock(SLOW, keyCache=0, callerPolicy=policy(rights))
        error = refused("AccessDeniedException", sealed.client.get_item, 400, **ITEM)
        assert "KMS key access denied error" in str(error) and "kms:Decrypt" in str(error)
        error = refused("AccessDeniedException", sealed.client.create_table, 400, **sealed.wanted("other", sealed.key))
        assert "kms:DescribeKey" in str(error)
        grants = allow("kms:CreateGrant", Condition={"Bool": {"kms:GrantIsForAWSResource": "true"}})
        sealed.clock(SLOW, callerPolicy=policy(rights, allow("kms:DescribeKey", "kms:Decrypt"), grants))
        sealed.client.get_item(**ITEM)
        sealed.create("other", sealed.key)

    def test_of_the_key(self, sealed: Sealed, refused: Any) -> None:
        sealed.clock(SLOW, keyCache=0)
        never = deny("kms:CreateGrant", "kms:Decrypt", Principal="*")
        sealed.kms.put_key_policy(KeyId=sealed.key, PolicyName="default", Policy=document(ROOT_STATEMENT, never))
        refused("AccessDeniedException", sealed.client.get_item, 400, **ITEM)
        error = refused("AccessDeniedException", sealed.client.create_table, 400, **sealed.wanted("other", sealed.key))
        assert "kms:CreateGrant" in str(error)
