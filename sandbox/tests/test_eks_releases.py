"""AMIs of node groups: types, releases, and images of one's own.

https://docs.aws.amazon.com/eks/latest/APIReference/API_UpdateNodegroupVersion.html
"""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Sandbox
from eks_groups import Groups

LINUX = "AL2023_x86_64_STANDARD"
OLDER, NEWEST = "1.34.6-20251209", "1.34.7-20260115"


@pytest.fixture
def groups(sandbox: Sandbox) -> Groups:
    return Groups.again(sandbox)


class TestReleases:
    """The words: https://github.com/hashicorp/terraform-provider-aws/issues/14492"""

    def test_of_amazon_linux(self, groups: Groups, refused: Any) -> None:
        assert groups.there(amiType=LINUX, releaseVersion=OLDER)["releaseVersion"] == OLDER
        for wrong in ("1.33.10-20260115", "1.35.4-20260115", "1.34.7-20991231", "1.34.7", "1.54.0-2f6b08ec"):
            error = refused("InvalidParameterException", groups.version, 400, releaseVersion=wrong)
            assert f"release version {wrong} is invalid. Allowed release version is {NEWEST}" in str(error)
            refused("InvalidParameterException", groups.group, 400, name="h", amiType=LINUX, releaseVersion=wrong)
        groups.version(releaseVersion=NEWEST)
        assert groups.done()["releaseVersion"] == NEWEST
        for older in (OLDER, "1.34.7-20260114"):
            error = refused("InvalidParameterException", groups.version, 400, releaseVersion=older)
            assert "You cannot roll back a node group" in str(error)
        assert groups.described()["status"] == "ACTIVE"

    def test_of_another_minor(self, groups: Groups, refused: Any) -> None:
        groups.there(amiType=LINUX, version="1.33")
        error = refused("InvalidParameterException", groups.version, 400, releaseVersion=NEWEST)
        assert "Allowed release version is 1.33.10-20260115" in str(error)
        groups.version(version="1.34", releaseVersion=OLDER)
        assert (groups.done()["version"], groups.described()["releaseVersion"]) == ("1.34", OLDER)

    def test_of_bottlerocket(self, groups: Groups, refused: Any) -> None:
        groups.there(version="1.33")
        for wrong in ("1.33.10-20260115", "1.50.0-00000000", "1.54.0"):
            error = refused("InvalidParameterException", groups.version, 400, releaseVersion=wrong)
            assert "Allowed release version is 1.54.0-2f6b08ec" in str(error)
        error = refused("InvalidParameterException", groups.version, 400, releaseVersion="1.52.0-8e73a1b2")
        assert "You cannot roll back a node group" in str(error)


class TestImages:
    """https://docs.aws.amazon.com/eks/latest/userguide/launch-templates.html#mng-ami-id-conditions"""

    def test_in_a_launch_template(self, groups: Groups, refused: Any) -> None:
        template = groups.template(ImageId="ami-0123456789abcdef0", InstanceType="m6g.large")
        for wrong, words in (
            ({"amiType": LINUX}, "You cannot specify an AMI Type other than CUSTOM"),
            ({"amiType": "CUSTOM", "version": "1.34"}, "You cannot specify a kubernetes version to use when"),
            ({"amiType": None, "releaseVersion": NEWEST}, "You cannot specify a release version to use when"),
        ):
            error = refused("InvalidParameterException", groups.group, 400, launchTemplate=template, **wrong)
            assert words in str(error)
        there = groups.there(launchTemplate=template, amiType="CUSTOM")
        assert (there["amiType"], there["releaseVersion"]) == ("CUSTOM", "ami-0123456789abcdef0")
        assert {instance["ImageId"] for instance in groups.instances()} == {"ami-0123456789abcdef0"}
        for wrong in ({"version": "1.34"}, {"releaseVersion": NEWEST}):
            refused("InvalidParameterException", groups.version, 400, launchTemplate=template, **wrong)
        groups.ec2.create_launch_template_version(
            LaunchTemplateName="tpl",
            LaunchTemplateData={"ImageId": "ami-0fedcba9876543210", "InstanceType": "m6g.large"},
        )
        groups.version(launchTemplate={"id": template["id"], "version": "2"})
        assert groups.done()["releaseVersion"] == "ami-0fedcba9876543210"
        assert {instance["ImageId"] for instance in groups.instances()} == {"ami-0fedcba9876543210"}

    def test_the_type_needs_one(self, groups: Groups, refused: Any) -> None:
        refused("InvalidParameterException", groups.group, 400, amiType="CUSTOM")
        refused("InvalidParameterException", groups.group, 400, amiType="CUSTOM", launchTemplate=groups.template())
