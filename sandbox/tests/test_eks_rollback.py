"""Rollback of a control plane to the version that it was upgraded from.

https://docs.aws.amazon.com/eks/latest/userguide/rollback-cluster.html and rollback-automode.html; RollbackConfig and
CancelUpdate in botocore's model. AWS documents the conditions, but no messages.
"""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Sandbox, until
from eks import FAST
from eks_auto import Auto
from test_eks_updates import Updates, params

BLOCKED = "Rollback readiness issues detected."


class Back(Updates):
    """A cluster that was upgraded from 1.33 to 1.34."""

    def __init__(self, sandbox: Sandbox):
        super().__init__(sandbox)
        self.done(self.version("1.34"))

    def back(self, version: str = "1.33", **more: Any) -> dict[str, Any]:
        return self.client.update_cluster_version(name=self.name, version=version, **more)["update"]

    def readiness(self) -> dict[str, str]:
        found = self.call("list_insights", filter={"categories": ["ROLLBACK_READINESS"]})["insights"]
        return {one["name"]: one["insightStatus"]["status"] for one in found}


@pytest.fixture
def eks(sandbox: Sandbox) -> Back:
    """A new one each time: time passes for a saved one, and the days of a rollback with it."""
    return Back(sandbox)


def test_to_the_version_before(eks: Back, refused: Any) -> None:
    update = eks.back()
    assert (update["type"], update["status"]) == ("VersionRollback", "InProgress")
    # "Platform version (reverts to the latest platform version for the previous Kubernetes version)"
    assert params(update) == {"Version": "1.33", "PlatformVersion": "eks.33"}
    assert (eks.cluster()["status"], eks.cluster()["version"]) == ("UPDATING", "1.34")
    refused("ResourceInUseException", eks.back, 409)
    there = eks.done(update)
    assert (there["version"], there["platformVersion"]) == ("1.33", "eks.33")
    error = refused("InvalidRequestException", eks.back, 400, version="1.32")
    assert "already rolled back" in str(error)
    # Up again, and back again.
    eks.done(eks.version("1.34"))
    assert eks.done(eks.back())["version"] == "1.33"


def test_only_one_minor(eks: Back, refused: Any) -> None:
    """ "If you upgraded from 1.31 to 1.32 and then to 1.33, you can only rollback to 1.32, not to 1.31." """
    eks.done(eks.version("1.35"))
    error = refused("InvalidParameterException", eks.back, 400, version="1.33")
    assert error.response["Error"]["Message"] == "Unsupported Kubernetes minor version update from 1.35 to 1.33"
    assert eks.done(eks.back("1.34"))["version"] == "1.34"


def test_not_of_a_cluster_made_at_its_version(sandbox: Sandbox, refused: Any) -> None:
    eks = Updates.again(sandbox, version="1.34")
    for force in (False, True):
        call = eks.client.update_cluster_version
        error = refused("InvalidRequestException", call, 400, name="demo", version="1.33", force=force)
        assert "created at this version" in str(error)
    assert (eks.cluster()["status"], eks.ids()) == ("ACTIVE", [])


def test_not_after_seven_days(eks: Back, refused: Any) -> None:
    def late() -> bool:
        return not eks.readiness()

    # Eight days, which the insights, too, know the end of.
    eks.sandbox.configure(timeScale=FAST * 4)
    until(late)
    eks.slow()
    for force in (False, True):
        error = refused("InvalidRequestException", eks.back, 400, force=force)
        assert "more than 7 days have passed" in str(error)


def test_to_a_version_in_extended_support(eks: Back, refused: Any) -> None:
    eks.done(eks.config(upgradePolicy={"supportType": "STANDARD"}))
    error = refused("InvalidRequestException", eks.back, 400, force=True)
    assert "the cluster's upgrade policy is STANDARD" in str(error)
    eks.done(eks.config(upgradePolicy={"supportType": "EXTENDED"}))
    assert eks.done(eks.back())["version"] == "1.33"


def test_nodes_go_back_first(eks: Back, refused: Any) -> None:
    role = eks.role("nodes", "ec2.amazonaws.com")
    wanted = {"subnets": eks.subnets, "nodeRole": role, "amiType": "BOTTLEROCKET_x86_64"}
    eks.call("create_nodegroup", nodegroupName="g", version="1.34", **wanted)

    def group() -> dict[str, Any]:
        return eks.call("describe_nodegroup", nodegroupName="g")["nodegroup"]

    eks.has("ACTIVE", group)
    error = refused("InvalidStateException", eks.back, 400)
    assert error.response["Error"]["Message"].startswith(BLOCKED)
    assert eks.readiness()["Kubelet version skew"] == "ERROR"
    update = eks.client.update_nodegroup_version
    of = {"clusterName": "demo", "nodegroupName": "g"}
    refused("InvalidParameterException", update, 400, version="1.32", **of)
    update(version="1.33", **of)
    assert eks.has("ACTIVE", group)["version"] == "1.33"
    # EKS looks again before a rollback.
    assert eks.done(eks.back())["version"] == "1.33"
    # Without a rollback ahead, nodes do not go back.
    refused("InvalidParameterException", update, 400, version="1.32", **of)


@pytest.mark.parametrize(
    ("name", "new", "old", "insight"),
    [
        ("kube-proxy", "v1.34.6-eksbuild.3", "v1.33.10-eksbuild.3", "kube-proxy version skew"),
        ("coredns", "v1.12.4-eksbuild.6", "v1.12.1-eksbuild.2", "EKS add-on version compatibility"),
    ],
)
def test_addons_go_back_first(eks: Back, refused: Any, name: str, new: str, old: str, insight: str) -> None:
    eks.call("create_addon", addonName=name, addonVersion=new, resolveConflicts="OVERWRITE")
    addon = eks.client.describe_addon

    def described() -> dict[str, Any]:
        return addon(clusterName="demo", addonName=name)["addon"]

    eks.wait(lambda: described()["status"] != "CREATING")
    refused("InvalidStateException", eks.back, 400)
    assert eks.readiness()[insight] == "ERROR"
    # `force` overrides insights, and nothing else.
    eks.call("update_addon", addonName=name, addonVersion=old, resolveConflicts="OVERWRITE")
    eks.wait(lambda: described()["addonVersion"] == old)
    assert eks.done(eks.back())["version"] == "1.33"


def test_force(eks: Back, refused: Any) -> None:
    finding = {"name": "Feature gates", "category": "ROLLBACK_READINESS", "status": "ERROR", "reason": "in use"}
    eks.settings = {"insights": [finding]}
    eks.slow()
    refused("InvalidStateException", eks.back, 400)
    assert eks.readiness()["Feature gates"] == "ERROR"
    assert eks.done(eks.back(force=True))["version"] == "1.33"


def test_timeouts(eks: Back, refused: Any) -> None:
    for minutes in (119, 10081):
        refused("InvalidParameterException", eks.back, 400, rollbackConfig={"timeoutMinutes": minutes})
    assert eks.back(rollbackConfig={"timeoutMinutes": 120})["type"] == "VersionRollback"


def test_no_update_of_a_standard_cluster_can_be_cancelled(eks: Back, refused: Any) -> None:
    update = eks.back()
    cancel = eks.client.cancel_update
    refused("InvalidStateException", cancel, 400, name="demo", updateId=update["id"])
    refused("ResourceNotFoundException", cancel, 404, name="demo", updateId="none")


class TestAutoMode:
    def upgraded(self, sandbox: Sandbox) -> Auto:
        eks = Auto.again(sandbox)
        eks.active(version="1.33", **eks.auto_wanted())
        eks.done(eks.client.update_cluster_version(name="demo", version="1.34")["update"])
        return eks

    def test_the_nodes_go_back_first(self, sandbox: Sandbox, refused: Any) -> None:
        eks = self.upgraded(sandbox)
        update = eks.client.update_cluster_version(name="demo", version="1.33")["update"]
        assert eks.cluster()["status"] == "ACTIVE"
        refused("ResourceInUseException", eks.config, 409, deletionProtection=True)
        eks.sandbox.configure(timeScale=2000)
        until(lambda: eks.cluster()["status"] == "UPDATING")
        eks.slow()
        refused("InvalidStateException", eks.client.cancel_update, 400, name="demo", updateId=update["id"])
        assert eks.done(update)["version"] == "1.33"

    def test_cancelled(self, sandbox: Sandbox) -> None:
        eks = self.upgraded(sandbox)
        update = eks.client.update_cluster_version(name="demo", version="1.33")["update"]
        cancelled = eks.client.cancel_update(name="demo", updateId=update["id"])["update"]
        assert (cancelled["status"], cancelled["cancellation"]["status"]) == ("Cancelled", "Successful")
        assert (eks.cluster()["status"], eks.cluster()["version"]) == ("ACTIVE", "1.34")
        again = eks.client.update_cluster_version(name="demo", version="1.33")["update"]
        assert eks.done(again)["version"] == "1.33"
