"""Keys of KMS: of a cluster's secrets, and of the disks of nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from conftest import Sandbox, until
from eks import SLOW
from eks_groups import Groups, sizes
from policies import ACCOUNT, AUTO_SCALING, ROOT_STATEMENT, allow, deny, document, for_disks, policy

INCORRECT = (
    "Instance became unhealthy while waiting for instance to be in InService state. Termination Reason: "
    "Client.InvalidKMSKey.InvalidState: The KMS key provided is in an incorrect state"
)
NOT_LET = (
    "Instance became unhealthy while waiting for instance to be in InService state. Termination Reason: "
    "Client.InternalError: Client error on launch"
)


class Disks(Groups):
    """Node groups whose disks are under a key."""

    def __init__(self, sandbox: Sandbox):
        super().__init__(sandbox)
        self.kms = sandbox.client("kms")

    def sealed(self, *statements: dict[str, Any]) -> str:
        """A launch template and its key."""
        key = self.key(document(ROOT_STATEMENT, *statements))
        self.made = self.template(BlockDeviceMappings=mappings(key))
        return key

    def start(self, **more: Any) -> None:
        self.group(launchTemplate=self.made, **{**sizes(1, 3, 1), **more})

    def soon(self, condition: Callable[[], Any]) -> None:
        """Waits at a pace at which minutes can be told from quarters of an hour."""
        self.sandbox.configure(timeScale=500)
        until(condition)
        self.slow()

    def issues(self) -> list[tuple[str, str]]:
        return [(issue["code"], issue["message"]) for issue in self.described()["health"]["issues"]]

    def activities(self) -> list[tuple[str, str]]:
        name = self.described()["resources"]["autoScalingGroups"][0]["name"]
        found = self.sandbox.client("autoscaling").describe_scaling_activities(AutoScalingGroupName=name)["Activities"]
        return [(entry["StatusCode"], entry.get("StatusMessage", "")) for entry in found]


def mappings(key: str) -> list[dict[str, Any]]:
    return [{"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": True, "KmsKeyId": key}}]


@pytest.fixture
def disks(sandbox: Sandbox) -> Disks:
    return Disks.again(sandbox)


class TestNewGroups:
    @pytest.mark.parametrize(
        ("statements", "state", "message"),
        [
            ([for_disks()], "disable_key", INCORRECT),
            ([for_disks()], "schedule_key_deletion", INCORRECT),
            ([], None, NOT_LET),
            ([for_disks(), deny("kms:CreateGrant", Principal="*")], None, NOT_LET),
            ([allow("kms:*", Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:role/nodes"})], None, NOT_LET),
        ],
    )
    def test_whose_nodes_do_not_start(
        self, disks: Disks, statements: list[Any], state: str | None, message: str
    ) -> None:
        key = disks.sealed(*statements)
        if state:
            getattr(disks.kms, state)(KeyId=key)
        disks.start()
        # Auto Scaling knows at once; EKS says nothing for 21 minutes.
        disks.soon(disks.activities)
        there = disks.described()
        assert (there["status"], there["health"]["issues"]) == ("CREATING", [])
        assert disks.activities() == [("Failed", message)]
        disks.has("CREATE_FAILED", disks.described)
        assert disks.issues() == [("AsgInstanceLaunchFailures", message)]
        assert disks.instances() == []
        disks.delete()

    def test_whose_key_is_enabled_in_time(self, disks: Disks) -> None:
        key = disks.sealed(for_disks())
        disks.kms.disable_key(KeyId=key)
        disks.start()
        disks.soon(disks.activities)
        assert disks.described()["status"] == "CREATING"
        disks.kms.enable_key(KeyId=key)
        disks.done()
        assert disks.issues() == []
        assert len(disks.instances()) == 1

    def test_by_a_condition_or_a_grant(self, disks: Disks) -> None:
        who = {"kms:CallerAccount": ACCOUNT, "aws:PrincipalArn": AUTO_SCALING}
        is_aws = {"Bool": {"kms:GrantIsForAWSResource": "true"}}
        disks.sealed(
            allow("kms:Decrypt", "kms:Generate*", "kms:DescribeKey", Principal="*", Condition={"StringEquals": who}),
            allow("kms:CreateGrant", Principal="*", Condition={"StringEquals": who, **is_aws}),
        )
        disks.start()
        disks.done()
        key = disks.key()
        operations = ["CreateGrant", "Decrypt", "DescribeKey", "GenerateDataKeyWithoutPlaintext"]
        disks.kms.create_grant(KeyId=key, GranteePrincipal=AUTO_SCALING, Operations=operations)
        disks.ec2.create_launch_template_version(
            LaunchTemplateName="tpl", LaunchTemplateData={"BlockDeviceMappings": mappings(key)}
        )
        disks.made = {**disks.made, "version": "2"}
        disks.there("second", launchTemplate=disks.made, **sizes(1, 1, 1))


class TestRunningGroups:
    def test_grow_no_more(self, disks: Disks) -> None:
        key = disks.sealed(for_disks())
        disks.start()
        disks.done()
        disks.kms.disable_key(KeyId=key)
        update = disks.config(**sizes(1, 3, 2))
        degraded = disks.has("DEGRADED", disks.described)
        assert degraded["scalingConfig"]["desiredSize"] == 2
        described = disks.client.describe_update(name="demo", nodegroupName="g", updateId=update["id"])["update"]
        assert described["status"] == "Successful"
        assert disks.issues() == [("AsgInstanceLaunchFailures", INCORRECT)]
        assert disks.activities()[0] == ("Failed", INCORRECT)
        assert len(disks.instances()) == 1
        # Auto Scaling tries again, and has its node when the key can be used.
        disks.kms.enable_key(KeyId=key)
        disks.done()
        assert len(disks.instances()) == 2
        assert disks.issues() == []

    def test_keep_their_nodes_in_an_update(self, disks: Disks) -> None:
        key = disks.sealed(for_disks())
        disks.start()
        disks.done()
        before = [instance["InstanceId"] for instance in disks.instances()]
        other = disks.key()
        disks.ec2.create_launch_template_version(
            LaunchTemplateName="tpl", LaunchTemplateData={"BlockDeviceMappings": mappings(other)}
        )
        update = disks.version(launchTemplate={"id": disks.made["id"], "version": "2"})

        def ended() -> Any:
            found = disks.client.describe_update(name="demo", nodegroupName="g", updateId=update["id"])["update"]
            return found["status"] != "InProgress" and found

        failed = disks.wait(ended)
        (error,) = failed["errors"]
        assert failed["status"] == "Failed"
        assert (error["errorCode"], error["errorMessage"]) == ("NodeCreationFailure", NOT_LET)
        there = disks.described()
        assert (there["status"], there["launchTemplate"]["version"]) == ("ACTIVE", "1")
        assert [instance["InstanceId"] for instance in disks.instances()] == before
        disks.kms.put_key_policy(KeyId=other, PolicyName="default", Policy=document(ROOT_STATEMENT, for_disks()))
        update = disks.version(launchTemplate={"id": disks.made["id"], "version": "2"})
        assert disks.wait(ended)["status"] == "Successful"
        assert key != other and [instance["InstanceId"] for instance in disks.instances()] != before


class TestSecrets:
    """https://docs.aws.amazon.com/eks/latest/userguide/troubleshooting.html#cluster-health-status"""

    def test_a_cluster_says_what_is_wrong_with_its_key(self, disks: Disks) -> None:
        key = disks.key()
        disks.name = "sealed"
        disks.active(encryptionConfig=[{"resources": ["secrets"], "provider": {"keyArn": key}}])
        for change, code in (("disable_key", "KmsKeyDisabled"), ("schedule_key_deletion", "KmsKeyMarkedForDeletion")):
            getattr(disks.kms, change)(KeyId=key)
            there = disks.cluster()
            assert there["status"] == "ACTIVE"
            assert [(issue["code"], issue["resourceIds"]) for issue in there["health"]["issues"]] == [(code, [key])]
        disks.kms.cancel_key_deletion(KeyId=key)
        disks.kms.enable_key(KeyId=key)
        assert disks.cluster()["health"]["issues"] == []

    def test_a_key_that_cannot_be_used(self, disks: Disks, refused: Any) -> None:
        key = disks.key()
        disks.name = "sealed"
        missing, elsewhere = key[:-1] + "x", key.replace("eu-central-1", "us-east-1")
        for given in (missing, elsewhere):
            wanted = [{"resources": ["secrets"], "provider": {"keyArn": given}}]
            refused("InvalidParameterException", disks.create, 400, encryptionConfig=wanted)
        disks.kms.schedule_key_deletion(KeyId=key)
        wanted = [{"resources": ["secrets"], "provider": {"keyArn": key}}]
        refused("InvalidParameterException", disks.create, 400, encryptionConfig=wanted)

    def test_a_caller_who_may_not_give_eks_the_key(self, disks: Disks, refused: Any) -> None:
        key = disks.key()
        disks.name = "sealed"
        wanted = [{"resources": ["secrets"], "provider": {"keyArn": key}}]
        rights = allow("eks:*", "ec2:*", "iam:*", "kms:DescribeKey")
        disks.sandbox.configure(timeScale=SLOW, callerPolicy=policy(rights))
        error = refused("AccessDeniedException", disks.create, 403, encryptionConfig=wanted)
        assert "kms:CreateGrant" in str(error)
        grants = allow("kms:CreateGrant", Condition={"Bool": {"kms:GrantIsForAWSResource": "true"}})
        disks.sandbox.configure(timeScale=SLOW, callerPolicy=policy(rights, grants))
        assert disks.create(encryptionConfig=wanted)["encryptionConfig"] == wanted
