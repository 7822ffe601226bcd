"""Parameters of their own: types, versions, tiers and keys.

https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
"""

from __future__ import annotations

from typing import Any

import pytest
from conftest import REGION, Sandbox
from policies import ROOT_STATEMENT, allow, deny, document, policy

NAME = "/shop/a"
# One level: with and without its slash it is one parameter.
TOP = "/top"


@pytest.fixture
def ssm(sandbox: Sandbox) -> Any:
    return sandbox.client("ssm")


class TestOverwriting:
    def test_counts_versions_and_keeps_them(self, ssm: Any, refused: Any) -> None:
        put = {"Name": NAME, "Overwrite": True}
        assert ssm.put_parameter(**put, Value="1", Type="String", Description="d")["Version"] == 1
        assert ssm.put_parameter(**put, Value="2", Type="String")["Version"] == 2
        assert ssm.put_parameter(**put, Value="3")["Version"] == 3
        history = ssm.get_parameter_history(Name=NAME)["Parameters"]
        assert [(entry["Version"], entry["Value"], entry["Type"]) for entry in history] == [
            (1, "1", "String"),
            (2, "2", "String"),
            (3, "3", "String"),
        ]
        assert [entry["Description"] for entry in history] == ["d", "d", "d"]
        assert ssm.get_parameter(Name=f"{NAME}:2")["Parameter"]["Value"] == "2"
        assert ssm.get_parameter(Name=NAME)["Parameter"]["Version"] == 3
        refused("ParameterAlreadyExists", ssm.put_parameter, 400, Name=NAME, Value="4", Type="String")
        # A new parameter of that name begins from one again.
        ssm.delete_parameter(Name=NAME)
        refused("ParameterNotFound", ssm.get_parameter_history, 400, Name=NAME)
        assert ssm.put_parameter(**put, Value="1", Type="String")["Version"] == 1

    def test_more_versions_than_are_kept(self, ssm: Any, refused: Any) -> None:
        for n in range(1, 103):
            made = ssm.put_parameter(Name=NAME, Value=str(n), Type="String", Overwrite=True)
            assert made["Version"] == n
            if n == 1:
                ssm.label_parameter_version(Name=NAME, ParameterVersion=1, Labels=["first"])
            if n == 100:
                again = {"Name": NAME, "Value": "x", "Overwrite": True}
                refused("ParameterMaxVersionLimitExceeded", ssm.put_parameter, 400, **again)
                ssm.label_parameter_version(Name=NAME, ParameterVersion=100, Labels=["first"])
        pages = ssm.get_paginator("get_parameter_history").paginate(Name=NAME)
        versions = [entry["Version"] for page in pages for entry in page["Parameters"]]
        assert versions == list(range(3, 103))

    @pytest.mark.parametrize(("old", "new"), [("String", "SecureString"), ("SecureString", "String")])
    def test_a_text_becomes_secret_and_back(self, ssm: Any, old: str, new: str) -> None:
        ssm.put_parameter(Name=NAME, Value="1", Type=old)
        assert ssm.put_parameter(Name=NAME, Value="2", Type=new, Overwrite=True)["Version"] == 2
        found = ssm.get_parameter(Name=NAME, WithDecryption=True)["Parameter"]
        assert (found["Type"], found["Value"]) == (new, "2")
        history = ssm.get_parameter_history(Name=NAME, WithDecryption=True)["Parameters"]
        assert [entry["Type"] for entry in history] == [old, new]

    @pytest.mark.parametrize(("old", "new"), [("String", "StringList"), ("StringList", "SecureString")])
    def test_the_type_of_a_list_stays(self, ssm: Any, refused: Any, old: str, new: str) -> None:
        ssm.put_parameter(Name=NAME, Value="1", Type=old)
        change = {"Name": NAME, "Value": "1", "Type": new, "Overwrite": True}
        refused("HierarchyTypeMismatchException", ssm.put_parameter, 400, **change)
        assert ssm.get_parameter(Name=NAME)["Parameter"]["Version"] == 1

    def test_a_new_one_needs_a_type(self, ssm: Any, refused: Any) -> None:
        for more in ({}, {"Overwrite": True}):
            error = refused("ValidationException", ssm.put_parameter, 400, Name=NAME, Value="1", **more)
            assert "A parameter type is required when you create a parameter." in str(error)
        assert ssm.describe_parameters()["Parameters"] == []

    def test_tags_are_refused(self, ssm: Any, refused: Any) -> None:
        tags = [{"Key": "a", "Value": "b"}]
        put = {"Name": NAME, "Value": "1", "Type": "String", "Tags": tags}
        error = refused("ValidationException", ssm.put_parameter, 400, **put, Overwrite=True)
        assert "tags and overwrite can't be used together" in str(error)
        refused("ParameterNotFound", ssm.get_parameter, 400, Name=NAME)
        ssm.put_parameter(**put)
        ssm.put_parameter(Name=NAME, Value="2", Overwrite=True)
        assert ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=NAME)["TagList"] == tags


class TestOneLevel:
    def test_with_and_without_its_slash(self, sandbox: Sandbox, ssm: Any, refused: Any) -> None:
        tagging = sandbox.client("resourcegroupstaggingapi")

        def tagged() -> list[str]:
            found = tagging.get_resources(ResourceTypeFilters=["ssm"])["ResourceTagMappingList"]
            return [entry["ResourceARN"] for entry in found]

        ssm.put_parameter(Name=TOP, Value="1", Type="String", Tags=[{"Key": "a", "Value": "b"}])
        assert tagged() == [f"arn:aws:ssm:{REGION}:123456789012:parameter/top"]
        assert ssm.put_parameter(Name=TOP, Value="2", Overwrite=True)["Version"] == 2
        assert ssm.put_parameter(Name="top", Value="3", Overwrite=True)["Version"] == 3
        change = {"Value": "4", "Type": "StringList", "Overwrite": True}
        for name in (TOP, "top"):
            refused("HierarchyTypeMismatchException", ssm.put_parameter, 400, Name=name, **change)
            assert ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"] == "3"
        sandbox.configure(callerPolicy=policy(allow("ssm:*", Condition={"StringEquals": {"aws:ResourceTag/a": "b"}})))
        assert ssm.get_parameter(Name=TOP)["Parameter"]["Version"] == 3
        sandbox.configure()
        ssm.delete_parameter(Name=TOP)
        assert tagged() == []
        ssm.put_parameter(Name=TOP, Value="1", Type="SecureString")
        assert ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=TOP)["TagList"] == []
        assert ssm.get_parameter(Name=TOP, WithDecryption=True)["Parameter"]["Value"] == "1"


class TestTiers:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html"""

    def test_by_the_size(self, ssm: Any, refused: Any) -> None:
        small, large = "x" * 4096, "x" * 4097
        refused("ValidationException", ssm.put_parameter, 400, Name=NAME, Value=large, Type="String")
        put = {"Name": NAME, "Type": "String", "Overwrite": True}
        assert ssm.put_parameter(**put, Value=small, Tier="Intelligent-Tiering")["Tier"] == "Standard"
        assert ssm.put_parameter(**put, Value=large, Tier="Intelligent-Tiering")["Tier"] == "Advanced"
        assert ssm.put_parameter(**put, Value=small, Tier="Intelligent-Tiering")["Tier"] == "Advanced"
        error = refused("ValidationException", ssm.put_parameter, 400, **put, Value=small, Tier="Standard")
        assert "can't downgrade" in str(error)
        assert ssm.put_parameter(**put, Value=small)["Tier"] == "Advanced"
        refused("ValidationException", ssm.put_parameter, 400, **put, Value="x" * 8193, Tier="Advanced")


class TestKeys:
    """Codes: https://github.com/stelligent/mu/issues/345, https://github.com/binxio/aws-ssm-copy/issues/10"""

    SECRET = {"Name": "/shop/secret", "Value": "1", "Type": "SecureString"}
    READ = {"WithDecryption": True}

    @pytest.mark.parametrize(
        ("change", "words"), [("disable_key", "is disabled."), ("schedule_key_deletion", "is pending deletion.")]
    )
    def test_a_key_that_cannot_be_used(self, sandbox: Sandbox, ssm: Any, refused: Any, change: str, words: str) -> None:
        kms = sandbox.client("kms")
        key = kms.create_key()["KeyMetadata"]["Arn"]
        ssm.put_parameter(**self.SECRET, KeyId=key)
        name = self.SECRET["Name"]
        getattr(kms, change)(KeyId=key)
        # KMS needs a moment to know it everywhere, which lasts as long as configured.
        assert ssm.get_parameter(Name=name, **self.READ)["Parameter"]["Value"] == "1"
        sandbox.configure(keyCache=0)
        for call, params in (
            (ssm.get_parameter, {"Name": name}),
            (ssm.get_parameters, {"Names": [name]}),
            (ssm.get_parameters_by_path, {"Path": "/shop"}),
            (ssm.get_parameter_history, {"Name": name}),
        ):
            assert f"{key} {words} (Service: AWSKMS" in str(refused("InvalidKeyId", call, 400, **params, **self.READ))
            # What is encrypted can be seen.
            call(**params)
        refused("InvalidKeyId", ssm.put_parameter, 400, **self.SECRET, KeyId=key, Overwrite=True)
        refused("InvalidKeyId", ssm.put_parameter, 400, Name=name, Value="2", Overwrite=True)
        ssm.put_parameter(Name="/shop/open", Value="1", Type="String")
        assert ssm.get_parameter(Name="/shop/open", **self.READ)["Parameter"]["Value"] == "1"
        ssm.delete_parameter(Name=name)

    def test_the_callers_permissions(self, sandbox: Sandbox, ssm: Any, refused: Any) -> None:
        kms = sandbox.client("kms")
        key = kms.create_key()["KeyMetadata"]["Arn"]
        ssm.put_parameter(**self.SECRET, KeyId=key)
        read = {"Name": self.SECRET["Name"], **self.READ}
        rights = allow("ssm:*")
        sandbox.configure(keyCache=0, callerPolicy=policy(rights))
        error = refused("AccessDeniedException", ssm.get_parameter, 400, **read)
        assert "kms:Decrypt" in str(error)
        error = refused("AccessDeniedException", ssm.put_parameter, 400, **self.SECRET, KeyId=key, Overwrite=True)
        assert "kms:Encrypt" in str(error)
        via = {"StringEquals": {"kms:ViaService": f"ssm.{REGION}.amazonaws.com"}}
        sandbox.configure(keyCache=0, callerPolicy=policy(rights, allow("kms:Decrypt", resource=key, Condition=via)))
        assert ssm.get_parameter(**read)["Parameter"]["Value"] == "1"
        refused("AccessDeniedException", ssm.put_parameter, 400, **self.SECRET, KeyId=key, Overwrite=True)
        sandbox.configure(keyCache=0)
        never = deny("kms:Decrypt", Principal="*", Condition=via)
        kms.put_key_policy(KeyId=key, PolicyName="default", Policy=document(ROOT_STATEMENT, never))
        refused("AccessDeniedException", ssm.get_parameter, 400, **read)
