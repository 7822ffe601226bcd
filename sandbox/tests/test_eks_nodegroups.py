"""Managed node groups: what is refused, how they come, change and go."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from conftest import Sandbox
from eks import FAST, SLOW, TAGS, Eks
from eks_groups import Groups, params, sizes, tags_of
from network import Network


@pytest.fixture
def groups(sandbox: Sandbox) -> Groups:
    return Groups.again(sandbox)


class TestRefusals:
    @pytest.mark.parametrize(
        ("wrong", "words"),
        [
            (sizes(3, 2, 2), "Minimum capacity 3 can't be greater than maximum size 2"),
            (sizes(2, 3, 1), "Minimum capacity 2 can't be greater than desired size 1"),
            (sizes(1, 2, 3), "desired capacity 3 can't be greater than max size 2"),
            (sizes(0, 0, 0), "maxSize"),
            (sizes(-1, 2, 1), "minSize"),
            ({"name": "-g"}, "odegroup"),
            ({"name": "g" * 64}, "odegroup"),
            ({"subnets": ["subnet-0123456789abcdef0"]}, "The subnet ID 'subnet-0123456789abcdef0' does not exist"),
            ({"nodeRole": "arn:aws:iam::123456789012:role/none"}, "role with name none cannot be found"),
            ({"instanceTypes": ["m9.huge"]}, "The following supplied instance types do not exist: [m9.huge]"),
            ({"instanceTypes": ["m6g.large"]}, "[m6g.large] is not a valid instance type"),
            ({"amiType": "BOTTLEROCKET_ARM_64", "instanceTypes": ["m5.large"]}, "[m5.large] is not a valid"),
            ({"amiType": "WINDOWS_95"}, "amiType"),
            ({"version": "1.35"}, "not compatible with cluster version 1.34"),
            ({"version": "1.99"}, "unsupported Kubernetes version 1.99"),
            (
                {"releaseVersion": "1.0.0-00000000"},
                "version 1.0.0-00000000 is invalid. Allowed release version is 1.54.0-2f6b08ec",
            ),
            ({"taints": [{"key": "a", "effect": "SOMETIMES"}]}, "effect"),
            ({"taints": [{"key": f"k{n}", "effect": "NO_SCHEDULE"} for n in range(51)]}, "50"),
            ({"updateConfig": {"maxUnavailable": 3}}, "max-unavailable must be within the range 1 and max size"),
            (
                {"updateConfig": {"maxUnavailable": 1, "maxUnavailablePercentage": 50}},
                "Either provide max-unavailable or max-unavailable-percentage in the request.",
            ),
            ({"updateConfig": {"maxUnavailablePercentage": 101}}, "maxUnavailablePercentage"),
            ({"capacityType": "FREE"}, "capacityType"),
        ],
    )
    def test_invalid(self, groups: Groups, refused: Any, wrong: dict[str, Any], words: str) -> None:
        error = refused("InvalidParameterException", groups.group, 400, **wrong)
        assert words in error.response["Error"]["Message"]
        assert (groups.names(), groups.instances()) == ([], [])

    def test_a_role_that_instances_cannot_take(self, groups: Groups, refused: Any) -> None:
        error = refused("InvalidParameterException", groups.group, nodeRole=groups.cluster_role)
        assert "[ec2.amazonaws.com] were not found in the trust relationships of nodeRole" in str(error)

    def test_another_network(self, groups: Groups, refused: Any) -> None:
        other = Network(groups.ec2, "10.1.0.0/16").subnets
        refused("InvalidParameterException", groups.group, subnets=other)

    def test_launch_templates(self, groups: Groups, refused: Any) -> None:
        template = groups.template(InstanceType="m5.large")
        refused("InvalidParameterException", groups.group, launchTemplate=template, diskSize=30)
        refused("InvalidParameterException", groups.group, launchTemplate=template, instanceTypes=["m5.large"])
        refused("InvalidParameterException", groups.group, launchTemplate={"version": "1"})
        refused("InvalidParameterException", groups.group, launchTemplate={**template, "name": "tpl"})
        missing = {**template, "id": "lt-0123456789abcdef0"}
        error = refused("InvalidRequestException", groups.group, launchTemplate=missing)
        assert "Launch template not found" in str(error)
        refused("InvalidRequestException", groups.group, launchTemplate={**template, "version": "2"})

    def test_a_cluster_on_its_way(self, sandbox: Sandbox, refused: Any) -> None:
        eks = Eks.again(sandbox)
        eks.create()
        role = eks.role("nodes", "ec2.amazonaws.com")
        wanted = {"clusterName": "demo", "nodegroupName": "g", "subnets": eks.subnets, "nodeRole": role}
        refused("InvalidRequestException", eks.client.create_nodegroup, 400, **wanted)

    def test_the_name_is_taken(self, groups: Groups, refused: Any) -> None:
        groups.group()
        error = refused("ResourceInUseException", groups.group, 409)
        assert "already exists" in str(error)

    def test_not_there(self, groups: Groups, refused: Any) -> None:
        error = refused("ResourceNotFoundException", groups.described, 404)
        assert error.response["Error"]["Message"] == "No node group found for name: g."
        refused("ResourceNotFoundException", groups.config, 404, labels={"addOrUpdateLabels": {"a": "b"}})
        refused("ResourceNotFoundException", groups.version, 404)
        refused("ResourceNotFoundException", groups.client.delete_nodegroup, clusterName="demo", nodegroupName="g")


class TestLife:
    def test_takes_its_time(self, groups: Groups, refused: Any) -> None:
        made = groups.group(tags=TAGS, **sizes(1, 5, 3))
        assert (made["status"], groups.instances()) == ("CREATING", [])
        there = groups.done()
        assert there["health"] == {"issues": []}
        assert len(groups.instances()) == 3
        assert groups.resources("eks:nodegroup") == [made["nodegroupArn"]]
        groups.call("delete_nodegroup", nodegroupName="g")
        assert groups.described()["status"] == "DELETING"
        refused("ResourceInUseException", groups.client.delete_nodegroup, clusterName="demo", nodegroupName="g")
        groups.gone(groups.described)
        assert (groups.names(), groups.resources("eks:nodegroup")) == ([], [])

    def test_what_is_not_said(self, groups: Groups) -> None:
        made = groups.group(amiType=None)
        assert made["scalingConfig"] == {"minSize": 1, "maxSize": 2, "desiredSize": 2}
        assert (made["amiType"], made["instanceTypes"]) == ("AL2023_x86_64_STANDARD", ["t3.medium"])
        assert (made["capacityType"], made["diskSize"]) == ("ON_DEMAND", 20)
        assert (made["version"], made["updateConfig"]) == ("1.34", {"maxUnavailable": 1, "updateStrategy": "DEFAULT"})
        assert (made["labels"], made["taints"], made["tags"]) == ({}, [], {})

    def test_what_is_said(self, groups: Groups) -> None:
        wanted = {
            "amiType": "BOTTLEROCKET_ARM_64",
            "instanceTypes": ["m6g.large", "m7g.large"],
            "capacityType": "SPOT",
            "version": "1.33",
            "releaseVersion": "1.53.0-5a1c93d7",
            "labels": {"pool": "apps"},
            "taints": [{"key": "dedicated", "value": "apps", "effect": "NO_SCHEDULE"}],
            "updateConfig": {"maxUnavailablePercentage": 33, "updateStrategy": "MINIMAL"},
            "nodeRepairConfig": {"enabled": True},
            **sizes(0, 3, 1),
        }
        assert wanted.items() <= groups.there(**wanted).items()
        (instance,) = groups.instances()
        assert (instance["InstanceType"], instance["InstanceLifecycle"]) == ("m6g.large", "spot")

    def test_newest_release(self, groups: Groups) -> None:
        assert groups.group()["releaseVersion"] == "1.54.0-2f6b08ec"

    def test_one_token_one_group(self, groups: Groups, refused: Any) -> None:
        template = groups.template(InstanceType="m5.large")
        wanted = {"clientRequestToken": "once", "launchTemplate": template}
        assert groups.group(**wanted)["nodegroupArn"] == groups.group(**wanted)["nodegroupArn"]
        refused("InvalidParameterException", groups.group, **wanted, labels={"a": "b"})
        assert groups.names() == ["g"]

    def test_pages(self, groups: Groups) -> None:
        for n in range(5):
            groups.group(f"g{n}")
        pages = list(groups.client.get_paginator("list_nodegroups").paginate(clusterName="demo", maxResults=2))
        assert [page["nodegroups"] for page in pages] == [["g0", "g1"], ["g2", "g3"], ["g4"]]

    def test_its_role_has_an_entry(self, groups: Groups) -> None:
        groups.there("one")
        groups.there("two")
        entry = groups.call("describe_access_entry", principalArn=groups.node_role)["accessEntry"]
        assert (entry["type"], entry["username"]) == ("EC2_LINUX", "system:node:{{EC2PrivateDNSName}}")
        groups.delete("one")
        assert groups.node_role in groups.call("list_access_entries")["accessEntries"]
        groups.delete("two")
        assert groups.node_role not in groups.call("list_access_entries")["accessEntries"]


class TestConfig:
    def test_scaling(self, groups: Groups, refused: Any) -> None:
        groups.there()
        update = groups.config(**sizes(1, 5, 4))
        assert (update["type"], params(update)) == (
            "ConfigUpdate",
            {"MinSize": "1", "MaxSize": "5", "DesiredSize": "4"},
        )
        assert groups.described()["status"] == "UPDATING"
        refused("ResourceInUseException", groups.config, 409, **sizes(1, 5, 3))
        refused("ResourceInUseException", groups.version, 409)
        refused("ResourceInUseException", groups.client.delete_nodegroup, clusterName="demo", nodegroupName="g")
        before = {instance["InstanceId"] for instance in groups.instances()}
        assert groups.done()["scalingConfig"] == sizes(1, 5, 4)["scalingConfig"]
        after = {instance["InstanceId"] for instance in groups.instances()}
        assert (len(after), before <= after) == (4, True)
        groups.config(scalingConfig={"minSize": 0, "desiredSize": 0})
        groups.done()
        assert (groups.instances(), len(groups.instances("terminated"))) == ([], 4)
        refused("InvalidParameterException", groups.config, scalingConfig={"minSize": 6})

    def test_labels(self, groups: Groups, refused: Any) -> None:
        groups.there(labels={"a": "1", "b": "2"})
        update = groups.config(labels={"addOrUpdateLabels": {"b": "3", "c": "4"}, "removeLabels": ["a"]})
        said = {name: json.loads(value) for name, value in params(update).items()}
        assert said == {"LabelsToAdd": {"b": "3", "c": "4"}, "LabelsToRemove": ["a"]}
        assert groups.described()["labels"] == {"a": "1", "b": "2"}
        assert groups.done()["labels"] == {"b": "3", "c": "4"}
        both = {"addOrUpdateLabels": {"b": "5"}, "removeLabels": ["b"]}
        refused("InvalidParameterException", groups.config, labels=both)

    def test_taints(self, groups: Groups) -> None:
        one = {"key": "a", "value": "1", "effect": "NO_SCHEDULE"}
        two = {"key": "a", "value": "1", "effect": "NO_EXECUTE"}
        groups.there(taints=[one, two])
        new = {**one, "value": "2"}
        groups.config(taints={"addOrUpdateTaints": [new], "removeTaints": [two]})
        assert groups.done()["taints"] == [new]

    def test_nothing(self, groups: Groups, refused: Any) -> None:
        groups.there()
        refused("InvalidParameterException", groups.config, 400)


class TestVersion:
    def test_release_and_version(self, groups: Groups, refused: Any) -> None:
        groups.there(version="1.33", releaseVersion="1.52.0-8e73a1b2")
        before = {instance["InstanceId"] for instance in groups.instances()}
        update = groups.version()
        assert update["type"] == "VersionUpdate"
        assert params(update) == {"Version": "1.33", "ReleaseVersion": "1.54.0-2f6b08ec"}
        assert {instance["InstanceId"] for instance in groups.instances()} == before
        there = groups.done()
        assert (there["version"], there["releaseVersion"]) == ("1.33", "1.54.0-2f6b08ec")
        after = {instance["InstanceId"] for instance in groups.instances()}
        assert (len(after), before & after) == (2, set())
        groups.version(version="1.34", releaseVersion="1.53.0-5a1c93d7")
        there = groups.done()
        assert (there["version"], there["releaseVersion"]) == ("1.34", "1.53.0-5a1c93d7")
        for wrong in ({"version": "1.33"}, {"version": "1.35"}, {"releaseVersion": "1.0.0-00000000"}):
            refused("InvalidParameterException", groups.version, 400, **wrong)

    def test_no_older_release(self, groups: Groups, refused: Any) -> None:
        groups.there(version="1.34", releaseVersion="1.54.0-2f6b08ec")
        error = refused("InvalidParameterException", groups.version, 400, releaseVersion="1.53.0-5a1c93d7")
        assert "You cannot roll back a node group to an earlier Kubernetes version or AMI version" in str(error)
        assert groups.described()["status"] == "ACTIVE"
        # The same release again is an update like any other.
        groups.version(releaseVersion="1.54.0-2f6b08ec")
        assert groups.done()["releaseVersion"] == "1.54.0-2f6b08ec"

    def test_launch_template(self, groups: Groups, refused: Any) -> None:
        template = groups.template()
        groups.there(launchTemplate=template, releaseVersion="1.53.0-5a1c93d7")
        specification = [{"ResourceType": "instance", "Tags": [{"Key": "new", "Value": "yes"}]}]
        groups.ec2.create_launch_template_version(
            LaunchTemplateName="tpl", LaunchTemplateData={"TagSpecifications": specification}
        )
        update = groups.version(launchTemplate={**template, "version": "2"})
        assert (params(update)["LaunchTemplateName"], params(update)["LaunchTemplateVersion"]) == ("tpl", "2")
        there = groups.done()
        assert (there["launchTemplate"]["version"], there["releaseVersion"]) == ("2", "1.53.0-5a1c93d7")
        assert [tags_of(instance)["new"] for instance in groups.instances()] == ["yes", "yes"]
        other = groups.ec2.create_launch_template(LaunchTemplateName="other", LaunchTemplateData={"KeyName": "k"})
        wrong = {"id": other["LaunchTemplate"]["LaunchTemplateId"], "version": "1"}
        refused("InvalidParameterException", groups.version, launchTemplate=wrong)

    def test_no_launch_template_later(self, groups: Groups, refused: Any) -> None:
        groups.there()
        refused("InvalidParameterException", groups.version, launchTemplate=groups.template())


class TestHealth:
    def test_an_issue(self, groups: Groups) -> None:
        groups.group()
        issue = {"code": "NodeCreationFailure", "message": "did not join", "resourceIds": ["i-1"]}
        groups.troubled({"on": "nodegroup/g", **issue})
        assert (groups.described()["status"], groups.described()["health"]["issues"]) == ("CREATING", [issue])
        groups.troubled({"on": "nodegroup/g", "status": "DEGRADED", **issue})
        assert groups.described()["status"] == "DEGRADED"
        groups.troubled({"on": "nodegroup/other", **issue})
        assert groups.described()["health"]["issues"] == []

    def test_failed_while_it_was_made(self, groups: Groups) -> None:
        issue = {"code": "AsgInstanceLaunchFailures", "message": "no capacity", "resourceIds": ["asg"]}
        groups.group()
        groups.troubled({"on": "nodegroup/g", "status": "CREATE_FAILED", **issue})
        groups.sandbox.configure(timeScale=FAST, health=groups.health)
        time.sleep(0.05)
        assert groups.described()["health"]["issues"] == [issue]
        groups.troubled()
        assert (groups.described()["status"], groups.described()["health"]["issues"]) == ("CREATE_FAILED", [issue])
        assert groups.instances() == []
        groups.delete()
        assert groups.names() == []


class TestSeenLate:
    def test_a_new_group(self, groups: Groups, refused: Any) -> None:
        stale = [{"on": "eks:DescribeNodegroup", "kind": "stale", "seconds": 60}]
        groups.sandbox.configure(timeScale=SLOW, faults=stale)
        groups.group()
        refused("ResourceNotFoundException", groups.described, 404)
        assert groups.names() == ["g"]
        groups.slow()
        assert groups.described()["status"] == "CREATING"

    def test_its_tags(self, groups: Groups) -> None:
        arn = groups.group(tags=TAGS)["nodegroupArn"]
        stale = [{"on": "resourcegroupstaggingapi:*", "kind": "stale", "seconds": 60}]
        groups.sandbox.configure(timeScale=SLOW, faults=stale)
        groups.client.untag_resource(resourceArn=arn, tagKeys=list(TAGS))
        assert groups.resources("eks:nodegroup") == [arn]
        groups.slow()
        assert groups.resources("eks:nodegroup") == []

    def test_what_becomes_of_it_becomes_of_the_world_and_not_of_a_copy(self, groups: Groups) -> None:
        groups.group()
        stale = [{"on": "ec2:DescribeInstances", "kind": "stale", "seconds": 60}]
        groups.sandbox.configure(timeScale=FAST, faults=stale)
        groups.network.group("another")  # a write, before which EC2 is copied
        time.sleep(0.05)
        assert groups.instances() == []
        scaling = groups.sandbox.client("autoscaling")
        assert len(scaling.describe_auto_scaling_instances()["AutoScalingInstances"]) == 2
        assert groups.instances() == []
        groups.slow()
        assert len(groups.instances()) == 2
