"""SSM: the public parameters of Bottlerocket, and parameters of one's own."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Sandbox
from eks import TAGS

ROOT = "/aws/service/bottlerocket"
NEWEST = "1.54.0-2f6b08ec"
MINORS = ("1.32", "1.33", "1.34", "1.35")


def name(release: str = "latest", what: str = "image_id", minor: str = "1.35", arch: str = "x86_64") -> str:
    return f"{ROOT}/aws-k8s-{minor}/{arch}/{release}/{what}"


@pytest.fixture
def ssm(sandbox: Sandbox) -> Any:
    return sandbox.client("ssm")


def value(ssm: Any, wanted: str) -> str:
    return ssm.get_parameter(Name=wanted)["Parameter"]["Value"]


class TestBottlerocket:
    def test_an_image(self, ssm: Any) -> None:
        found = ssm.get_parameter(Name=name())["Parameter"]
        assert (found["Name"], found["Type"], found["DataType"]) == (name(), "String", "text")
        assert found["ARN"] == f"arn:aws:ssm:eu-central-1::parameter{name()}"
        assert found["Value"].startswith("ami-")
        assert len(found["Value"]) == 21

    def test_newest_and_others(self, ssm: Any) -> None:
        assert value(ssm, name(what="image_version")) == NEWEST
        assert value(ssm, name("1.53.0", "image_version")) == "1.53.0-5a1c93d7"
        assert value(ssm, name("1.53.0-5a1c93d7", "image_version")) == "1.53.0-5a1c93d7"
        assert value(ssm, name()) == value(ssm, name("1.54.0")) == value(ssm, name(NEWEST))
        assert value(ssm, name()) != value(ssm, name("1.53.0"))

    def test_one_for_each_minor_architecture_and_region(self, sandbox: Sandbox) -> None:
        seen = {
            value(sandbox.client("ssm", region), name(minor=minor, arch=arch))
            for region in ("eu-central-1", "us-east-1")
            for minor in MINORS
            for arch in ("x86_64", "arm64")
        }
        assert len(seen) == 16

    @pytest.mark.parametrize(
        "missing",
        [
            name(minor="1.20"),
            name("1.0.0"),
            name("1.52.0"),  # older than the minor
            name(arch="mips"),
            name(what="image_name"),
            f"{ROOT}/aws-k8s-1.35/x86_64/latest",
        ],
    )
    def test_not_there(self, ssm: Any, refused: Any, missing: str) -> None:
        refused("ParameterNotFound", ssm.get_parameter, 400, Name=missing)
        answer = ssm.get_parameters(Names=[missing, name()])
        assert (answer["InvalidParameters"], len(answer["Parameters"])) == ([missing], 1)
        assert ssm.get_parameters(Names=[missing])["InvalidParameters"] == [missing]

    def test_with_ones_own(self, ssm: Any, refused: Any) -> None:
        ssm.put_parameter(Name="/shop/a", Value="1", Type="String")
        answer = ssm.get_parameters(Names=["/shop/a", name(), "/shop/b", name(what="image_version")])
        values = {one["Name"]: one["Value"] for one in answer["Parameters"]}
        assert (values["/shop/a"], values[name(what="image_version")]) == ("1", NEWEST)
        assert answer["InvalidParameters"] == ["/shop/b"]
        refused("ValidationException", ssm.get_parameters, 400, Names=[f"/shop/{n}" for n in range(11)])

    def test_by_path(self, ssm: Any) -> None:
        latest = f"{ROOT}/aws-k8s-1.35/arm64/latest"
        found = ssm.get_parameters_by_path(Path=latest)["Parameters"]
        assert [one["Name"] for one in found] == [f"{latest}/image_id", f"{latest}/image_version"]
        assert ssm.get_parameters_by_path(Path=f"{ROOT}/aws-k8s-1.35")["Parameters"] == []
        pages = ssm.get_paginator("get_parameters_by_path").paginate(Path=f"{ROOT}/aws-k8s-1.35", Recursive=True)
        names = [one["Name"] for page in pages for one in page["Parameters"]]
        assert len(names) == len(set(names)) == 20

    def test_every_node_release_of_eks_has_an_image(self, sandbox: Sandbox, ssm: Any) -> None:
        found = sandbox.client("eks").describe_cluster_versions()["clusterVersions"]
        for version in found:
            assert value(ssm, name(minor=version["clusterVersion"], what="image_version")) == NEWEST

    def test_no_caller_writes_there(self, ssm: Any, refused: Any) -> None:
        error = refused("AccessDeniedException", ssm.put_parameter, 400, Name=name(), Value="ami-1", Type="String")
        assert f"No access to reserved parameter name: {name()}" in str(error)
        assert value(ssm, name()).startswith("ami-")


class TestOwn:
    def test_life(self, ssm: Any, refused: Any) -> None:
        ssm.put_parameter(Name="/shop/a", Value="1", Type="String", Description="d")
        refused("ParameterAlreadyExists", ssm.put_parameter, 400, Name="/shop/a", Value="2", Type="String")
        assert ssm.put_parameter(Name="/shop/a", Value="2", Type="String", Overwrite=True)["Version"] == 2
        assert value(ssm, "/shop/a") == "2"
        ssm.delete_parameter(Name="/shop/a")
        refused("ParameterNotFound", ssm.get_parameter, 400, Name="/shop/a")
        refused("ParameterNotFound", ssm.delete_parameter, 400, Name="/shop/a")

    def test_tags(self, sandbox: Sandbox, ssm: Any, refused: Any) -> None:
        pairs = [{"Key": key, "Value": value} for key, value in TAGS.items()]
        wanted = {"Name": "/shop/a", "Value": "1", "Type": "String", "Tags": pairs}
        ssm.put_parameter(**wanted)
        error = refused("ValidationException", ssm.put_parameter, 400, **wanted, Overwrite=True)
        assert "tags and overwrite can't be used together" in str(error)
        of = {"ResourceType": "Parameter", "ResourceId": "/shop/a"}
        assert ssm.list_tags_for_resource(**of)["TagList"] == pairs
        api = sandbox.client("resourcegroupstaggingapi")

        def found() -> list[str]:
            answer = api.get_resources(ResourceTypeFilters=["ssm"])
            return [one["ResourceARN"] for one in answer["ResourceTagMappingList"]]

        assert found() == ["arn:aws:ssm:eu-central-1:123456789012:parameter/shop/a"]
        ssm.put_parameter(Name="/shop/a", Value="2", Type="String", Overwrite=True)
        assert len(found()) == 1
        ssm.remove_tags_from_resource(**of, TagKeys=list(TAGS))
        assert found() == []
        ssm.add_tags_to_resource(**of, Tags=pairs)
        ssm.delete_parameter(Name="/shop/a")
        assert found() == []

    def test_keys(self, sandbox: Sandbox, ssm: Any, refused: Any) -> None:
        kms = sandbox.client("kms")
        key = kms.create_key()["KeyMetadata"]
        kms.create_alias(AliasName="alias/shop", TargetKeyId=key["KeyId"])
        secret = {"Value": "1", "Type": "SecureString"}
        for n, given in enumerate((key["Arn"], key["KeyId"], "alias/shop", "alias/aws/ssm")):
            ssm.put_parameter(Name=f"/shop/{n}", KeyId=given, **secret)
        ssm.put_parameter(Name="/shop/default", **secret)
        missing = "00000000-0000-0000-0000-000000000000"
        for given in (missing, key["Arn"].replace(key["KeyId"], missing), "alias/none"):
            refused("InvalidKeyId", ssm.put_parameter, 400, Name="/shop/no", KeyId=given, **secret)
        kms.disable_key(KeyId=key["KeyId"])
        refused("InvalidKeyId", ssm.put_parameter, 400, Name="/shop/no", KeyId=key["Arn"], **secret)


def test_a_configuration_says_which_release_is_the_newest(sandbox):
    name = "/aws/service/bottlerocket/aws-k8s-1.35/x86_64/latest/image_version"
    newest = lambda: sandbox.client("ssm").get_parameter(Name=name)["Parameter"]["Value"]  # noqa: E731
    after = newest()
    sandbox.configure(bottlerocket="1.53.0-5a1c93d7")
    assert newest() == "1.53.0-5a1c93d7" != after
