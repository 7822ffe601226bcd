"""Launch templates have tags of their own beside those of their instances."""

from __future__ import annotations

from typing import Any


def tags(**values: str) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in values.items()]


def test_tags_of_a_template_are_not_those_of_its_instances(ec2: Any) -> None:
    made = ec2.create_launch_template(
        LaunchTemplateName="tpl",
        LaunchTemplateData={"KeyName": "k", "TagSpecifications": [{"ResourceType": "instance", "Tags": tags(of="instance")}]},
        TagSpecifications=[{"ResourceType": "launch-template", "Tags": tags(of="template")}],
    )["LaunchTemplate"]
    ec2.create_tags(Resources=[made["LaunchTemplateId"]], Tags=tags(of="changed"))
    found = ec2.describe_launch_templates(LaunchTemplateNames=["tpl"])["LaunchTemplates"][0]
    assert found["Tags"] == tags(of="changed")
    versions = ec2.describe_launch_template_versions(LaunchTemplateName="tpl", Versions=["1"])["LaunchTemplateVersions"]
    specifications = versions[0]["LaunchTemplateData"]["TagSpecifications"]
    assert specifications == [{"ResourceType": "instance", "Tags": tags(of="instance")}]
