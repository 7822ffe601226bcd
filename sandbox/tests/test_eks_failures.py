"""Updates, deletions and creations that fail."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from conftest import Sandbox
from eks import FAST
from eks_groups import Groups

EVICTION = {
    "code": "PodEvictionFailure",
    "message": "Reached max retries while trying to evict pods from nodes in node group g",
    "resourceIds": ["ip-10-0-0-7.eu-central-1.compute.internal"],
}
ERROR = {
    "errorCode": EVICTION["code"],
    "errorMessage": EVICTION["message"],
    "resourceIds": EVICTION["resourceIds"],
}


class Failures(Groups):
    def ended(self, update: dict[str, Any], **of: Any) -> dict[str, Any]:
        def look() -> dict[str, Any]:
            return self.client.describe_update(name=self.name, updateId=update["id"], **of)["update"]

        return self.wait(lambda: (found := look())["status"] != "InProgress" and found)

    def listed(self, **of: Any) -> list[str]:
        return self.client.list_updates(name=self.name, **of)["updateIds"]

    def faulty(self, **fault: Any) -> None:
        """Calls from now on are hit by it, until the clock is touched."""
        self.sandbox.configure(timeScale=0.1, faults=[{"kind": "update_fails", **fault}])

    def addon(self, name: str = "vpc-cni") -> dict[str, Any]:
        return self.call("describe_addon", addonName=name)["addon"]


@pytest.fixture
def failures(sandbox: Sandbox) -> Failures:
    return Failures.again(sandbox)


class TestUpdates:
    def test_of_a_node_group(self, failures: Failures) -> None:
        failures.there(releaseVersion="1.53.0-5a1c93d7")
        before = {instance["InstanceId"] for instance in failures.instances()}
        failures.troubled({"on": "nodegroup/g", "status": "UPDATE_FAILED", **EVICTION})
        update = failures.version(releaseVersion="1.54.0-2f6b08ec")
        assert (update["status"], update["errors"]) == ("InProgress", [])
        assert failures.described()["status"] == "UPDATING"
        ended = failures.ended(update, nodegroupName="g")
        assert (ended["status"], ended["type"], ended["errors"]) == ("Failed", "VersionUpdate", [ERROR])
        there = failures.described()
        assert (there["status"], there["health"]["issues"]) == ("ACTIVE", [])
        assert there["releaseVersion"] == "1.53.0-5a1c93d7"
        assert {instance["InstanceId"] for instance in failures.instances()} == before
        assert failures.listed(nodegroupName="g") == [update["id"]]
        assert failures.listed() == []
        # Its end does not change with the configuration, and the next one is judged alone.
        failures.troubled()
        assert failures.ended(update, nodegroupName="g")["status"] == "Failed"
        second = failures.ended(failures.version(releaseVersion="1.54.0-2f6b08ec"), nodegroupName="g")
        assert (second["status"], second["errors"]) == ("Successful", [])
        assert failures.described()["releaseVersion"] == "1.54.0-2f6b08ec"

    def test_forced(self, failures: Failures) -> None:
        failures.there(releaseVersion="1.53.0-5a1c93d7")
        failures.troubled({"on": "nodegroup/g", "status": "UPDATE_FAILED", **EVICTION})
        update = failures.version(releaseVersion="1.54.0-2f6b08ec", force=True)
        assert failures.ended(update, nodegroupName="g")["status"] == "Successful"
        failures.troubled({"on": "nodegroup/g", "status": "UPDATE_FAILED", "code": "NodeCreationFailure"})
        update = failures.version(force=True)
        (error,) = failures.ended(update, nodegroupName="g")["errors"]
        assert error["errorCode"] == "NodeCreationFailure"

    def test_of_its_configuration(self, failures: Failures) -> None:
        failures.there()
        failures.troubled({"on": "nodegroup/g", "status": "UPDATE_FAILED", "code": "AccessDenied", "message": "no"})
        update = failures.config(labels={"addOrUpdateLabels": {"a": "b"}})
        assert failures.ended(update, nodegroupName="g")["errors"] == [
            {"errorCode": "AccessDenied", "errorMessage": "no", "resourceIds": []}
        ]
        assert failures.described()["labels"] == {}

    def test_of_a_cluster(self, failures: Failures) -> None:
        failures.troubled({"on": "cluster", "status": "UPDATE_FAILED", "code": "IpNotAvailable", "message": "none left"})
        old = failures.cluster()
        update = failures.client.update_cluster_version(name="demo", version="1.35")["update"]
        (error,) = failures.ended(update)["errors"]
        assert (error["errorCode"], error["errorMessage"]) == ("IpNotAvailable", "none left")
        assert failures.cluster() == old
        wanted = {"subnetIds": failures.subnets[:2], "securityGroupIds": [failures.network.group()]}
        update = failures.client.update_cluster_config(name="demo", resourcesVpcConfig=wanted)["update"]
        assert failures.ended(update)["status"] == "Failed"
        assert failures.cluster() == old
        update = failures.client.update_cluster_config(name="demo", upgradePolicy={"supportType": "STANDARD"})["update"]
        assert failures.ended(update)["status"] == "Failed"
        assert failures.cluster() == old

    def test_of_an_addon(self, failures: Failures) -> None:
        failures.call("create_addon", addonName="vpc-cni", resolveConflicts="OVERWRITE")
        failures.has("ACTIVE", failures.addon)
        conflict = {"code": "ConfigurationConflict", "message": "Conflicts found", "resourceIds": []}
        failures.troubled({"on": "addon/vpc-cni", "status": "UPDATE_FAILED", **conflict})
        assert failures.addon()["status"] == "ACTIVE"
        newer, older = "v1.21.1-eksbuild.3", "v1.20.4-eksbuild.2"
        update = failures.call("update_addon", addonName="vpc-cni", addonVersion=newer)["update"]
        assert failures.ended(update, addonName="vpc-cni")["status"] == "Failed"
        there = failures.addon()
        assert (there["status"], there["health"]["issues"]) == ("UPDATE_FAILED", [conflict])
        assert there["addonVersion"] != newer
        failures.troubled()
        assert failures.addon()["status"] == "UPDATE_FAILED"
        update = failures.call("update_addon", addonName="vpc-cni", addonVersion=newer)["update"]
        assert failures.ended(update, addonName="vpc-cni")["status"] == "Successful"
        # An older version is an update like any other.
        update = failures.call("update_addon", addonName="vpc-cni", addonVersion=older)["update"]
        assert failures.ended(update, addonName="vpc-cni")["status"] == "Successful"
        there = failures.addon()
        assert (there["status"], there["addonVersion"], there["health"]["issues"]) == ("ACTIVE", older, [])

    def test_by_a_fault(self, failures: Failures) -> None:
        """What it hits is settled by the call, not by what is configured when the update ends."""
        failures.there(releaseVersion="1.53.0-5a1c93d7")
        failures.faulty(on="eks:UpdateNodegroupVersion", times=1, code="ClusterUnreachable", message="no answer")
        first = failures.version(releaseVersion="1.54.0-2f6b08ec")
        assert failures.sandbox.log()[-1]["fault"] == "update_fails"
        ended = failures.ended(first, nodegroupName="g")
        assert ended["errors"] == [
            {"errorCode": "ClusterUnreachable", "errorMessage": "no answer", "resourceIds": []}
        ]
        second = failures.version(releaseVersion="1.54.0-2f6b08ec")
        assert failures.ended(second, nodegroupName="g")["status"] == "Successful"

    def test_by_a_fault_on_what_starts_no_update(self, failures: Failures) -> None:
        failures.faulty(on="eks:CreateNodegroup")
        failures.group()
        assert failures.has("ACTIVE", failures.described)["status"] == "ACTIVE"


class TestDeletions:
    BLOCKED = {"code": "Ec2SecurityGroupDeletionFailure", "message": "DependencyViolation", "resourceIds": ["sg-1"]}

    def test_of_a_node_group(self, failures: Failures, refused: Any) -> None:
        failures.there()
        failures.troubled({"on": "nodegroup/g", "status": "DELETE_FAILED", **self.BLOCKED})
        failures.call("delete_nodegroup", nodegroupName="g")
        assert failures.described()["status"] == "DELETING"
        there = failures.has("DELETE_FAILED", failures.described)
        assert there["health"]["issues"] == [self.BLOCKED]
        # The same again, as long as the cause is there.
        failures.call("delete_nodegroup", nodegroupName="g")
        assert failures.described()["status"] == "DELETING"
        failures.has("DELETE_FAILED", failures.described)
        failures.troubled()
        assert failures.described()["status"] == "DELETE_FAILED"
        refused("ResourceInUseException", failures.client.delete_cluster, 409, name="demo")
        failures.delete()
        assert failures.names() == []

    def test_of_an_addon(self, failures: Failures) -> None:
        failures.call("create_addon", addonName="vpc-cni", resolveConflicts="OVERWRITE")
        failures.has("ACTIVE", failures.addon)
        failures.troubled({"on": "addon/vpc-cni", "status": "DELETE_FAILED", "code": "AccessDenied", "message": "no"})
        failures.call("delete_addon", addonName="vpc-cni")
        failures.has("DELETE_FAILED", failures.addon)
        failures.troubled()
        assert failures.addon()["health"]["issues"][0]["code"] == "AccessDenied"
        failures.call("delete_addon", addonName="vpc-cni")
        failures.gone(failures.addon)

    def test_of_a_fargate_profile(self, failures: Failures) -> None:
        role = failures.role("pods", "eks-fargate-pods.amazonaws.com")
        wanted = {"podExecutionRoleArn": role, "subnets": failures.subnets[:2], "selectors": [{"namespace": "demo"}]}
        failures.call("create_fargate_profile", fargateProfileName="f", **wanted)

        def described() -> dict[str, Any]:
            return failures.call("describe_fargate_profile", fargateProfileName="f")["fargateProfile"]

        failures.has("ACTIVE", described)
        failures.troubled({"on": "fargateprofile/f", "status": "DELETE_FAILED", "code": "InternalFailure"})
        failures.call("delete_fargate_profile", fargateProfileName="f")
        failures.has("DELETE_FAILED", described)
        failures.troubled()
        failures.call("delete_fargate_profile", fargateProfileName="f")
        failures.gone(described)

    def test_of_a_cluster(self, failures: Failures) -> None:
        """Of a cluster both a creation and a deletion end in FAILED: botocore's ClusterStatus has no other."""
        failures.troubled({"on": "cluster", "status": "FAILED", **self.BLOCKED})
        failures.client.delete_cluster(name="demo")
        assert failures.cluster()["status"] == "DELETING"
        there = failures.has("FAILED", failures.cluster)
        assert there["health"]["issues"] == [self.BLOCKED]
        failures.troubled()
        assert failures.cluster()["status"] == "FAILED"
        failures.client.delete_cluster(name="demo")
        failures.gone(failures.cluster)


class TestCreations:
    """They stay failed when their cause is gone, and go with a delete call."""

    CAUSE = {"code": "AccessDenied", "message": "not allowed", "resourceIds": []}

    def test_of_a_cluster(self, failures: Failures) -> None:
        failures.name = "second"
        failures.troubled({"on": "cluster", "status": "FAILED", **self.CAUSE})
        failures.create()
        self.stays(failures, failures.cluster, "FAILED")
        failures.client.delete_cluster(name="second")
        failures.gone(failures.cluster)

    def test_of_a_node_group(self, failures: Failures) -> None:
        failures.troubled({"on": "nodegroup/g", "status": "CREATE_FAILED", **self.CAUSE})
        failures.group()
        self.stays(failures, failures.described)
        failures.delete()

    def test_of_an_addon(self, failures: Failures) -> None:
        failures.troubled({"on": "addon/vpc-cni", "status": "CREATE_FAILED", **self.CAUSE})
        failures.call("create_addon", addonName="vpc-cni", resolveConflicts="OVERWRITE")
        self.stays(failures, failures.addon)
        # An update makes up for it.
        update = failures.call("update_addon", addonName="vpc-cni", resolveConflicts="OVERWRITE")["update"]
        assert failures.ended(update, addonName="vpc-cni")["status"] == "Successful"
        assert (failures.addon()["status"], failures.addon()["health"]["issues"]) == ("ACTIVE", [])

    def test_of_a_fargate_profile(self, failures: Failures) -> None:
        role = failures.role("pods", "eks-fargate-pods.amazonaws.com")
        wanted = {"podExecutionRoleArn": role, "subnets": failures.subnets[:2], "selectors": [{"namespace": "demo"}]}
        failures.troubled({"on": "fargateprofile/f", "status": "CREATE_FAILED", **self.CAUSE})
        failures.call("create_fargate_profile", fargateProfileName="f", **wanted)

        def described() -> dict[str, Any]:
            return failures.call("describe_fargate_profile", fargateProfileName="f")["fargateProfile"]

        self.stays(failures, described)
        failures.call("delete_fargate_profile", fargateProfileName="f")
        failures.gone(described)

    def stays(self, failures: Failures, describe: Callable[[], dict[str, Any]], status: str = "CREATE_FAILED") -> None:
        """The time of the creation passes while there is a cause."""
        failures.sandbox.configure(timeScale=FAST, health=failures.health)
        time.sleep(0.1)
        describe()
        failures.troubled()
        there = describe()
        assert (there["status"], there["health"]["issues"]) == (status, [self.CAUSE])
