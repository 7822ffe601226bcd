"""KMS keys: their names, their states, and whom their policies let use them."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import REGION, Sandbox
from policies import ACCOUNT, CALLER, ROOT_STATEMENT, allow, deny, document


class Key:
    """A key with an alias, under all the names that it may be given by."""

    def __init__(self, sandbox: Sandbox, *statements: dict[str, Any]):
        self.kms = sandbox.client("kms")
        policy = {"Policy": document(*statements)} if statements else {}
        made = self.kms.create_key(**policy)["KeyMetadata"]
        self.id, self.arn = made["KeyId"], made["Arn"]
        self.kms.create_alias(AliasName="alias/named", TargetKeyId=self.id)
        self.alias, self.alias_arn = "alias/named", f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/named"

    def state(self) -> str:
        return self.kms.describe_key(KeyId=self.id)["KeyMetadata"]["KeyState"]


class TestNames:
    """As botocore's model says of each `KeyId`: some operations take aliases, all take the ID and the ARN."""

    def test_changes_take_an_id_or_an_arn(self, sandbox: Sandbox, refused: Any) -> None:
        key = Key(sandbox)
        for name in (key.id, key.arn):
            key.kms.disable_key(KeyId=name)
            assert key.state() == "Disabled"
            key.kms.enable_key(KeyId=name)
            assert key.state() == "Enabled"
            assert key.kms.schedule_key_deletion(KeyId=name)["KeyId"] == key.arn
            assert key.kms.cancel_key_deletion(KeyId=name)["KeyId"] == key.arn
            assert key.state() == "Disabled"
            key.kms.enable_key(KeyId=name)
            key.kms.enable_key_rotation(KeyId=name, RotationPeriodInDays=180)
            assert key.kms.get_key_rotation_status(KeyId=name)["RotationPeriodInDays"] == 180
            key.kms.disable_key_rotation(KeyId=name)
            assert key.kms.get_key_rotation_status(KeyId=name)["KeyRotationEnabled"] is False
            key.kms.update_key_description(KeyId=name, Description=name)
            assert key.kms.describe_key(KeyId=name)["KeyMetadata"]["Description"] == name
            key.kms.tag_resource(KeyId=name, Tags=[{"TagKey": "a", "TagValue": name}])
            assert key.kms.list_resource_tags(KeyId=name)["Tags"] == [{"TagKey": "a", "TagValue": name}]
            key.kms.put_key_policy(KeyId=name, PolicyName="default", Policy=document(ROOT_STATEMENT))
            assert key.kms.get_key_policy(KeyId=name, PolicyName="default")["Policy"] == document(ROOT_STATEMENT)
            assert [alias["AliasName"] for alias in key.kms.list_aliases(KeyId=name)["Aliases"]] == [key.alias]
            assert key.kms.list_grants(KeyId=name)["Grants"] == []
        for name in (key.alias, key.alias_arn):
            for call in (
                key.kms.disable_key, key.kms.enable_key, key.kms.schedule_key_deletion, key.kms.cancel_key_deletion,
                key.kms.enable_key_rotation, key.kms.get_key_rotation_status, key.kms.list_resource_tags,
                key.kms.list_grants, key.kms.list_aliases,
            ):  # fmt: skip
                assert name in str(refused("NotFoundException", call, 400, KeyId=name))
        assert key.state() == "Enabled"

    def test_uses_take_aliases_too(self, sandbox: Sandbox) -> None:
        key = Key(sandbox)
        for name in (key.id, key.arn, key.alias, key.alias_arn):
            sealed = key.kms.encrypt(KeyId=name, Plaintext=b"x")
            assert sealed["KeyId"] == key.arn
            assert key.kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"], KeyId=name)["Plaintext"] == b"x"
            assert key.kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"])["KeyId"] == key.arn
            assert key.kms.generate_data_key(KeyId=name, KeySpec="AES_256")["KeyId"] == key.arn
            assert key.kms.describe_key(KeyId=name)["KeyMetadata"]["Arn"] == key.arn

    def test_what_is_not_there(self, sandbox: Sandbox, refused: Any) -> None:
        key = Key(sandbox)
        missing = "00000000-0000-0000-0000-000000000000"
        for name in (missing, key.arn.replace(key.id, missing), "alias/none", key.arn.replace(REGION, "us-east-1")):
            refused("NotFoundException", key.kms.describe_key, 400, KeyId=name)
        refused("NotFoundException", key.kms.disable_key, 400, KeyId=missing)
        refused("InvalidArnException", key.kms.disable_key, 400, KeyId="arn:aws:s3:::bucket")


class TestStates:
    """https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html"""

    def test_disabled(self, sandbox: Sandbox, refused: Any) -> None:
        key = Key(sandbox)
        sealed = key.kms.encrypt(KeyId=key.id, Plaintext=b"x")["CiphertextBlob"]
        key.kms.disable_key(KeyId=key.id)
        for call, params in (
            (key.kms.encrypt, {"KeyId": key.id, "Plaintext": b"x"}),
            (key.kms.decrypt, {"CiphertextBlob": sealed}),
            (key.kms.decrypt, {"CiphertextBlob": sealed, "KeyId": key.alias}),
            (key.kms.re_encrypt, {"CiphertextBlob": sealed, "DestinationKeyId": key.id}),
            (key.kms.generate_data_key, {"KeyId": key.alias, "KeySpec": "AES_256"}),
            (key.kms.enable_key_rotation, {"KeyId": key.id}),
            (key.kms.disable_key_rotation, {"KeyId": key.id}),
            (key.kms.create_grant, {"KeyId": key.id, "GranteePrincipal": CALLER, "Operations": ["Decrypt"]}),
        ):
            assert f"{key.arn} is disabled." in str(refused("DisabledException", call, 400, **params))
        # What does not use it, it can do.
        key.kms.put_key_policy(KeyId=key.id, PolicyName="default", Policy=document(ROOT_STATEMENT))
        key.kms.tag_resource(KeyId=key.id, Tags=[{"TagKey": "a", "TagValue": "b"}])
        key.kms.create_alias(AliasName="alias/second", TargetKeyId=key.arn)
        refused("KMSInvalidStateException", key.kms.cancel_key_deletion, 400, KeyId=key.id)
        assert key.state() == "Disabled"

    def test_pending_deletion(self, sandbox: Sandbox, refused: Any) -> None:
        key = Key(sandbox)
        sealed = key.kms.encrypt(KeyId=key.id, Plaintext=b"x")["CiphertextBlob"]
        key.kms.schedule_key_deletion(KeyId=key.arn)
        for call, params in (
            (key.kms.enable_key, {"KeyId": key.arn}),
            (key.kms.disable_key, {"KeyId": key.arn}),
            (key.kms.schedule_key_deletion, {"KeyId": key.arn}),
            (key.kms.update_key_description, {"KeyId": key.arn, "Description": "x"}),
            (key.kms.create_alias, {"AliasName": "alias/second", "TargetKeyId": key.arn}),
            (key.kms.decrypt, {"CiphertextBlob": sealed}),
        ):
            assert f"{key.arn} is pending deletion." in str(refused("KMSInvalidStateException", call, 400, **params))


class TestPolicies:
    """https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html"""

    def test_a_key_that_names_another_is_not_the_callers(self, sandbox: Sandbox, refused: Any) -> None:
        kms = sandbox.client("kms")
        other = allow("kms:*", Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:role/other"})
        made = kms.create_key(Policy=document(other), BypassPolicyLockoutSafetyCheck=True)
        key = made["KeyMetadata"]["KeyId"]
        error = refused("AccessDeniedException", kms.describe_key, 400, KeyId=key)
        assert "no resource-based policy allows the kms:DescribeKey action" in str(error)

    def test_a_deny_binds_by_its_conditions(self, sandbox: Sandbox, refused: Any) -> None:
        never = deny("kms:Encrypt", Principal="*")
        elsewhere = {**never, "Condition": {"StringNotEquals": {"kms:CallerAccount": ACCOUNT}}}
        key = Key(sandbox, ROOT_STATEMENT, elsewhere)
        key.kms.encrypt(KeyId=key.id, Plaintext=b"x")
        key.kms.put_key_policy(KeyId=key.id, PolicyName="default", Policy=document(ROOT_STATEMENT, never))
        refused("AccessDeniedException", key.kms.encrypt, 400, KeyId=key.id, Plaintext=b"x")
        assert key.state() == "Enabled"

    @pytest.mark.parametrize("operation", ["Encrypt", "Decrypt"])
    def test_a_grant_is_as_good_as_a_policy(self, sandbox: Sandbox, refused: Any, operation: str) -> None:
        manage = {**ROOT_STATEMENT, "Action": ["kms:CreateGrant", "kms:CreateAlias", "kms:Put*", "kms:Describe*"]}
        key = Key(sandbox, manage)
        refused("AccessDeniedException", key.kms.encrypt, 400, KeyId=key.id, Plaintext=b"x")
        key.kms.create_grant(KeyId=key.arn, GranteePrincipal=CALLER, Operations=[operation])
        if operation == "Encrypt":
            key.kms.encrypt(KeyId=key.id, Plaintext=b"x")
        else:
            refused("AccessDeniedException", key.kms.encrypt, 400, KeyId=key.id, Plaintext=b"x")
