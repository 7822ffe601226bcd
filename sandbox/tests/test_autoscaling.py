"""Auto Scaling: the groups that EKS makes, beside groups of one's own."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Sandbox
from eks_groups import Groups, sizes

MISSING = "i-0123456789abcdef0"


class Scaling(Groups):
    def __init__(self, sandbox: Sandbox):
        super().__init__(sandbox)
        self.scaling = sandbox.client("autoscaling")

    def made(self, low: int = 1, high: int = 4, desired: int = 2, **more: Any) -> str:
        there = self.there(**sizes(low, high, desired), **more)
        (name,) = [group["name"] for group in there["resources"]["autoScalingGroups"]]
        return name

    def all(self, **asked: Any) -> list[dict[str, Any]]:
        return self.scaling.describe_auto_scaling_groups(**asked)["AutoScalingGroups"]

    def one(self, name: str) -> dict[str, Any]:
        (found,) = self.all(AutoScalingGroupNames=[name])
        return found

    def activities(self, name: str) -> list[dict[str, Any]]:
        return self.scaling.describe_scaling_activities(AutoScalingGroupName=name)["Activities"]

    def own(self, name: str = "own") -> None:
        """A group that EKS knows nothing of."""
        data = {"ImageId": "ami-12345678", "InstanceType": "t3.micro"}
        self.ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
        self.scaling.create_auto_scaling_group(
            AutoScalingGroupName=name,
            LaunchTemplate={"LaunchTemplateName": name},
            MinSize=0,
            MaxSize=1,
            VPCZoneIdentifier=self.subnets[0],
        )


@pytest.fixture
def scaling(sandbox: Sandbox) -> Scaling:
    return Scaling.again(sandbox)


class TestGroups:
    def test_of_a_node_group(self, scaling: Scaling) -> None:
        name = scaling.made()
        found = scaling.one(name)
        assert name.startswith("eks-g-")
        assert found["AutoScalingGroupARN"].endswith(f":autoScalingGroupName/{name}")
        assert (found["MinSize"], found["MaxSize"], found["DesiredCapacity"]) == (1, 4, 2)
        assert found["AvailabilityZones"] == ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
        assert found["VPCZoneIdentifier"].split(",") == scaling.subnets
        ids = {instance["InstanceId"] for instance in scaling.instances()}
        assert {instance["InstanceId"] for instance in found["Instances"]} == ids
        assert {instance["LifecycleState"] for instance in found["Instances"]} == {"InService"}
        tags = {tag["Key"]: tag["Value"] for tag in found["Tags"]}
        assert tags == {
            "eks:cluster-name": "demo",
            "eks:nodegroup-name": "g",
            "kubernetes.io/cluster/demo": "owned",
            "k8s.io/cluster-autoscaler/enabled": "true",
            "k8s.io/cluster-autoscaler/demo": "owned",
        }

    def test_there_before_its_instances(self, scaling: Scaling) -> None:
        made = scaling.group()
        (name,) = [group["name"] for group in made["resources"]["autoScalingGroups"]]
        assert scaling.one(name)["Instances"] == []
        assert scaling.activities(name) == []

    def test_goes_with_its_node_group(self, scaling: Scaling, refused: Any) -> None:
        name = scaling.made()
        scaling.call("delete_nodegroup", nodegroupName="g")
        assert scaling.one(name)
        scaling.wait(lambda: scaling.all() == [])
        error = refused("ValidationError", scaling.activities, 400, name=name)
        assert "not found" in str(error)

    def test_by_tag(self, scaling: Scaling) -> None:
        scaling.own()
        name = scaling.made()

        def found(**condition: Any) -> list[str]:
            return [group["AutoScalingGroupName"] for group in scaling.all(Filters=[condition])]

        assert found(Name="tag:eks:cluster-name", Values=["demo", "other"]) == [name]
        assert found(Name="tag-key", Values=["k8s.io/cluster-autoscaler/enabled"]) == [name]
        assert found(Name="tag-value", Values=["owned"]) == [name]
        assert found(Name="tag:eks:cluster-name", Values=["other"]) == []

    def test_beside_others(self, scaling: Scaling) -> None:
        scaling.own()
        name = scaling.made()
        assert {group["AutoScalingGroupName"] for group in scaling.all()} == {"own", name}
        assert [group["AutoScalingGroupName"] for group in scaling.all(AutoScalingGroupNames=["own"])] == ["own"]
        assert len(scaling.all(AutoScalingGroupNames=["own", name, "none"])) == 2
        assert scaling.all(AutoScalingGroupNames=["none"]) == []
        scaling.scaling.set_desired_capacity(AutoScalingGroupName="own", DesiredCapacity=1)
        assert scaling.one("own")["DesiredCapacity"] == 1
        assert len(scaling.one(name)["Instances"]) == 2
        assert len(scaling.scaling.describe_auto_scaling_instances()["AutoScalingInstances"]) == 3

    def test_pages(self, scaling: Scaling) -> None:
        for n in range(5):
            scaling.there(f"g{n}", **sizes(0, 1, 0))
        pages = list(scaling.scaling.get_paginator("describe_auto_scaling_groups").paginate(MaxRecords=2))
        assert [len(page["AutoScalingGroups"]) for page in pages] == [2, 2, 1]
        names = {group["AutoScalingGroupName"] for page in pages for group in page["AutoScalingGroups"]}
        assert len(names) == 5


class TestSize:
    def test_desired(self, scaling: Scaling, refused: Any) -> None:
        name = scaling.made()
        resize = scaling.scaling.set_desired_capacity
        resize(AutoScalingGroupName=name, DesiredCapacity=4)
        assert len(scaling.instances()) == 4
        assert scaling.described()["scalingConfig"] == {"minSize": 1, "maxSize": 4, "desiredSize": 4}
        resize(AutoScalingGroupName=name, DesiredCapacity=1)
        assert (len(scaling.instances()), len(scaling.instances("terminated"))) == (1, 3)
        error = refused("ValidationError", resize, 400, AutoScalingGroupName=name, DesiredCapacity=5)
        words = "New SetDesiredCapacity value 5 is above max value 4 for the AutoScalingGroup."
        assert error.response["Error"]["Message"] == words
        refused("ValidationError", resize, AutoScalingGroupName=name, DesiredCapacity=0)

    def test_bounds(self, scaling: Scaling, refused: Any) -> None:
        name = scaling.made()
        update = scaling.scaling.update_auto_scaling_group
        update(AutoScalingGroupName=name, MinSize=3)
        assert (scaling.one(name)["DesiredCapacity"], len(scaling.instances())) == (3, 3)
        update(AutoScalingGroupName=name, MinSize=0, MaxSize=1)
        assert (scaling.one(name)["DesiredCapacity"], len(scaling.instances())) == (1, 1)
        update(AutoScalingGroupName=name, DesiredCapacity=0)
        assert scaling.instances() == []
        refused("ValidationError", update, AutoScalingGroupName=name, DesiredCapacity=2)
        refused("ValidationError", update, AutoScalingGroupName=name, MinSize=2, MaxSize=1)

    def test_before_it_is_there(self, scaling: Scaling) -> None:
        made = scaling.group()
        (name,) = [group["name"] for group in made["resources"]["autoScalingGroups"]]
        scaling.scaling.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=1)
        assert scaling.instances() == []
        scaling.done()
        assert len(scaling.instances()) == 1


class TestInstances:
    def test_described(self, scaling: Scaling) -> None:
        name = scaling.made()
        ids = [instance["InstanceId"] for instance in scaling.instances()]
        describe = scaling.scaling.describe_auto_scaling_instances
        found = describe(InstanceIds=ids[:1] + [MISSING])["AutoScalingInstances"]
        assert [(one["InstanceId"], one["AutoScalingGroupName"]) for one in found] == [(ids[0], name)]
        assert len(describe()["AutoScalingInstances"]) == 2

    def test_terminated(self, scaling: Scaling, refused: Any) -> None:
        scaling.made()
        terminate = scaling.scaling.terminate_instance_in_auto_scaling_group
        first, second = [instance["InstanceId"] for instance in scaling.instances()]
        activity = terminate(InstanceId=first, ShouldDecrementDesiredCapacity=True)["Activity"]
        assert activity["Description"] == f"Terminating EC2 instance: {first}"
        assert [instance["InstanceId"] for instance in scaling.instances()] == [second]
        assert scaling.described()["scalingConfig"]["desiredSize"] == 1
        error = refused("ValidationError", terminate, InstanceId=second, ShouldDecrementDesiredCapacity=True)
        assert "Currently, desiredSize equals minSize (1)." in str(error)
        terminate(InstanceId=second, ShouldDecrementDesiredCapacity=False)
        (replacement,) = scaling.instances()
        assert replacement["InstanceId"] not in (first, second)


class TestSuspension:
    def test_a_suspended_group_launches_and_ends_nothing_until_it_is_resumed(self, scaling: Scaling) -> None:
        name = scaling.made()
        scaling.scaling.suspend_processes(AutoScalingGroupName=name, ScalingProcesses=["Launch"])
        (process,) = scaling.one(name)["SuspendedProcesses"]
        assert process["ProcessName"] == "Launch"
        assert process["SuspensionReason"].startswith("User suspended at ")
        scaling.scaling.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=3)
        assert len(scaling.instances()) == 2
        scaling.scaling.resume_processes(AutoScalingGroupName=name, ScalingProcesses=["Launch"])
        assert (scaling.one(name)["SuspendedProcesses"], len(scaling.instances())) == ([], 3)
        scaling.scaling.suspend_processes(AutoScalingGroupName=name)
        assert len(scaling.one(name)["SuspendedProcesses"]) == 9
        scaling.scaling.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=1)
        assert len(scaling.instances()) == 3

    def test_refused(self, scaling: Scaling, refused: Any) -> None:
        suspend = scaling.scaling.suspend_processes
        refused("ValidationError", suspend, AutoScalingGroupName=scaling.made(), ScalingProcesses=["Dance"])


class TestActivities:
    def test_of_what_it_launched(self, scaling: Scaling) -> None:
        found = scaling.activities(scaling.made())
        assert [activity["StatusCode"] for activity in found] == ["Successful"] * 2
        ids = {instance["InstanceId"] for instance in scaling.instances()}
        assert {activity["Description"].rpartition(" ")[2] for activity in found} == ids
        assert len({activity["ActivityId"] for activity in found}) == 2

    def test_a_failed_launch(self, scaling: Scaling) -> None:
        name = scaling.made()
        message = "We currently do not have sufficient t3.medium capacity in the Availability Zone you requested."
        scaling.troubled({"on": "nodegroup/g", "code": "AsgInstanceLaunchFailures", "message": message})
        newest, *others = scaling.activities(name)
        assert (newest["StatusCode"], newest["StatusMessage"], len(others)) == ("Failed", message, 2)
        page = scaling.scaling.describe_scaling_activities(AutoScalingGroupName=name, MaxRecords=1)
        assert ([one["StatusCode"] for one in page["Activities"]], "NextToken" in page) == (["Failed"], True)
        # Not joining the cluster is nothing that Auto Scaling knows of.
        scaling.troubled({"on": "nodegroup/g", "code": "NodeCreationFailure", "message": message})
        assert {activity["StatusCode"] for activity in scaling.activities(name)} == {"Successful"}

    def test_of_others(self, scaling: Scaling, refused: Any) -> None:
        scaling.own()
        scaling.scaling.describe_scaling_activities(AutoScalingGroupName="own")
        refused("ValidationError", scaling.activities, name="none")
