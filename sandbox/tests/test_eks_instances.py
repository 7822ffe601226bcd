"""The instances of node groups: how they are made and tagged, and when AWS forgets them."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from conftest import Sandbox
from eks import TAGS
from eks_groups import Groups, sizes, tags_of
from policies import ROOT_STATEMENT, document, for_disks

PAIRS = [{"Key": key, "Value": value} for key, value in TAGS.items()]
KINDS = ("instance", "volume", "network-interface")
TAGGED = [{"ResourceType": kind, "Tags": PAIRS} for kind in KINDS]


@pytest.fixture
def groups(sandbox: Sandbox) -> Groups:
    return Groups.again(sandbox)


class TestInstances:
    def test_tagged_and_spread(self, groups: Groups) -> None:
        there = groups.there(**sizes(1, 6, 6))
        (name,) = [group["name"] for group in there["resources"]["autoScalingGroups"]]
        found = groups.instances()
        assert sorted(instance["SubnetId"] for instance in found) == sorted(groups.subnets * 2)
        group = groups.cluster()["resourcesVpcConfig"]["clusterSecurityGroupId"]
        for instance in found:
            assert [one["GroupId"] for one in instance["SecurityGroups"]] == [group]
            assert tags_of(instance) == {
                "aws:autoscaling:groupName": name,
                "aws:eks:cluster-name": "demo",
                "eks:cluster-name": "demo",
                "eks:nodegroup-name": "g",
                "kubernetes.io/cluster/demo": "owned",
                "k8s.io/cluster-autoscaler/enabled": "true",
                "k8s.io/cluster-autoscaler/demo": "owned",
            }
        ssm = groups.sandbox.client("ssm")
        parameter = "/aws/service/bottlerocket/aws-k8s-1.34/x86_64/latest/image_id"
        image = ssm.get_parameter(Name=parameter)["Parameter"]["Value"]
        assert {instance["ImageId"] for instance in found} == {image}

    def test_they_hold_the_network(self, groups: Groups, refused: Any) -> None:
        groups.there(subnets=groups.subnets[2:])
        refused("DependencyViolation", groups.ec2.delete_subnet, SubnetId=groups.subnets[2])
        groups.delete()
        groups.ec2.delete_subnet(SubnetId=groups.subnets[2])
        assert len(groups.instances("terminated")) == 2

    def test_the_cni_leaves_interfaces_if_configured(self, groups: Groups, refused: Any) -> None:
        groups.there(subnets=groups.subnets[2:])
        gone = {instance["InstanceId"] for instance in groups.instances()}

        def left() -> list[dict[str, Any]]:
            wanted = [{"Name": "tag-key", "Values": ["node.k8s.amazonaws.com/instance_id"]}]
            return groups.ec2.describe_network_interfaces(Filters=wanted)["NetworkInterfaces"]

        assert left() == []
        groups.settings["cniLeftovers"] = 2
        groups.delete()
        assert len(left()) == 2 * len(gone)
        own = groups.cluster()["resourcesVpcConfig"]["clusterSecurityGroupId"]
        for interface in left():
            tags = {tag["Key"]: tag["Value"] for tag in interface["TagSet"]}
            assert tags["node.k8s.amazonaws.com/instance_id"] in gone
            assert tags["cluster.k8s.amazonaws.com/name"] == "demo"
            assert interface["Description"] == f"aws-K8S-{tags['node.k8s.amazonaws.com/instance_id']}"
            assert (interface["Status"], interface["RequesterManaged"]) == ("available", False)
            assert [group["GroupId"] for group in interface["Groups"]] == [own]
        refused("DependencyViolation", groups.ec2.delete_subnet, SubnetId=groups.subnets[2])
        for interface in left():
            groups.ec2.delete_network_interface(NetworkInterfaceId=interface["NetworkInterfaceId"])
        groups.ec2.delete_subnet(SubnetId=groups.subnets[2])

    def test_after_a_launch_template(self, groups: Groups) -> None:
        key = groups.key(document(ROOT_STATEMENT, for_disks()))
        disk = {"Encrypted": True, "KmsKeyId": key, "DeleteOnTermination": True, "VolumeType": "gp3"}
        template = groups.template(
            BlockDeviceMappings=[
                {"DeviceName": "/dev/xvda", "Ebs": disk},
                {"DeviceName": "/dev/xvdb", "Ebs": {**disk, "VolumeSize": 50}},
            ],
            MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
            UserData=base64.b64encode(b"[settings]").decode(),
            TagSpecifications=TAGGED,
        )
        there = groups.there(launchTemplate=template, **sizes(1, 1, 1))
        assert there["launchTemplate"] == {**template, "name": "tpl"}
        assert "diskSize" not in there
        (instance,) = groups.instances()
        tags = tags_of(instance)
        assert TAGS.items() <= tags.items()
        assert (tags["aws:ec2launchtemplate:id"], tags["aws:ec2launchtemplate:version"]) == (template["id"], "1")
        volumes = groups.ec2.describe_volumes(Filters=[{"Name": "encrypted", "Values": ["true"]}])["Volumes"]
        assert sorted(volume["Size"] for volume in volumes) == [4, 50]
        assert all(volume["KmsKeyId"] == key and tags_of(volume) == TAGS for volume in volumes)
        for kind in KINDS:
            assert len(groups.resources(f"ec2:{kind}")) == (2 if kind == "volume" else 1)

    @pytest.mark.parametrize(("asked", "number"), [("$Latest", "2"), ("$Default", "1"), (None, "1"), ("2", "2")])
    def test_versions_of_a_launch_template(self, groups: Groups, asked: str | None, number: str) -> None:
        groups.template()
        groups.ec2.create_launch_template_version(LaunchTemplateName="tpl", LaunchTemplateData={"KeyName": "k"})
        wanted = {"name": "tpl", "version": asked} if asked else {"name": "tpl"}
        assert groups.group(launchTemplate=wanted)["launchTemplate"]["version"] == number

    def test_the_instance_type_of_a_launch_template(self, groups: Groups) -> None:
        assert groups.group(launchTemplate=groups.template(InstanceType="m5.large"))["instanceTypes"] == ["m5.large"]

    def test_they_end_with_the_group(self, groups: Groups) -> None:
        groups.there(launchTemplate=groups.template(TagSpecifications=TAGGED))
        ids = {instance["InstanceId"] for instance in groups.instances()}
        groups.delete()
        assert groups.instances() == []
        assert {instance["InstanceId"] for instance in groups.instances("terminated")} == ids
        assert groups.resources("ec2:volume") == groups.resources("ec2:network-interface") == []
        assert len(groups.resources("ec2:instance")) == 2
        # About an hour after their end AWS forgets them.
        groups.wait(lambda: groups.instances("terminated") == [])
        assert groups.resources("ec2:instance") == []

    def test_the_tagging_api_forgets_them_automatically(self, groups: Groups) -> None:
        groups.there(launchTemplate=groups.template(TagSpecifications=TAGGED))
        groups.delete()
        assert len(groups.resources("ec2:instance")) == 2
        groups.wait(lambda: groups.resources("ec2:instance") == [])

    def test_no_call_to_eks_is_needed(self, groups: Groups) -> None:
        groups.group()
        assert len(groups.wait(groups.instances)) == 2
        groups.call("delete_nodegroup", nodegroupName="g")
        groups.wait(lambda: groups.instances("terminated"))
