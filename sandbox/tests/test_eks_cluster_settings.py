"""Settings of a control plane: its way out, its tier, zonal shift, and the condition keys for them.

Types and parameters of the updates: UpdateType and UpdateParamType in botocore's model of EKS. What is answered by
default: an output of `describe-cluster` of September 2026.
"""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Sandbox
from eks import Eks
from policies import allow, deny, policy
from test_eks_updates import Updates, params

EGRESS = {"controlPlaneEgressMode": "CUSTOMER_ROUTED"}


@pytest.fixture
def eks(sandbox: Sandbox) -> Updates:
    return Updates.again(sandbox)


def test_what_aws_answers_by_default(eks: Updates) -> None:
    there = eks.cluster()
    assert there["resourcesVpcConfig"]["controlPlaneEgressMode"] == "AWS_MANAGED"
    assert there["controlPlaneScalingConfig"] == {"tier": "standard"}
    assert "zonalShiftConfig" not in there


def test_a_new_cluster_with_all(sandbox: Sandbox) -> None:
    eks = Eks.again(sandbox)
    tier, shift = {"tier": "tier-8xl"}, {"enabled": True}
    made = eks.create(network=EGRESS, controlPlaneScalingConfig=tier, zonalShiftConfig=shift)
    for cluster in (made, eks.cluster()):
        assert cluster["resourcesVpcConfig"]["controlPlaneEgressMode"] == "CUSTOMER_ROUTED"
        assert (cluster["controlPlaneScalingConfig"], cluster["zonalShiftConfig"]) == (tier, shift)


@pytest.mark.parametrize(
    "wrong",
    [
        {"network": {"controlPlaneEgressMode": "CUSTOMER_ISOLATED"}},
        {"network": {"controlPlaneEgressMode": "NONE"}},
        {"controlPlaneScalingConfig": {"tier": "tier-16xl"}},
    ],
)
def test_refused_at_creation(sandbox: Sandbox, refused: Any, wrong: dict[str, Any]) -> None:
    eks = Eks.again(sandbox)
    refused("InvalidParameterException", eks.create, 400, **wrong)
    assert eks.client.list_clusters()["clusters"] == []


def test_the_way_out_goes_one_way(eks: Updates, refused: Any) -> None:
    """https://docs.aws.amazon.com/eks/latest/userguide/control-plane-egress.html"""
    update = eks.config(resourcesVpcConfig=EGRESS)
    assert (update["type"], params(update)) == (
        "ControlPlaneEgressUpdate",
        {"ControlPlaneEgressMode": "CUSTOMER_ROUTED"},
    )
    assert eks.cluster()["resourcesVpcConfig"]["controlPlaneEgressMode"] == "AWS_MANAGED"
    network = eks.done(update)["resourcesVpcConfig"]
    assert (network["controlPlaneEgressMode"], network["subnetIds"]) == ("CUSTOMER_ROUTED", eks.subnets[:2])
    for mode in ("AWS_MANAGED", "CUSTOMER_ROUTED", "CUSTOMER_ISOLATED"):
        refused(
            "InvalidParameterException", eks.config, 400, resourcesVpcConfig={"controlPlaneEgressMode": mode}
        )
    # Other changes of the network leave it.
    changed = eks.done(eks.config(resourcesVpcConfig={"endpointPrivateAccess": True}))["resourcesVpcConfig"]
    assert changed["controlPlaneEgressMode"] == "CUSTOMER_ROUTED"
    changed = eks.done(eks.config(resourcesVpcConfig={"securityGroupIds": []}))["resourcesVpcConfig"]
    assert changed["controlPlaneEgressMode"] == "CUSTOMER_ROUTED"


def test_tiers(eks: Updates, refused: Any) -> None:
    """https://docs.aws.amazon.com/eks/latest/userguide/eks-provisioned-control-plane-getting-started.html"""
    update = eks.config(controlPlaneScalingConfig={"tier": "tier-xl"})
    assert update["type"] == "ControlPlaneScalingConfigUpdate"
    assert params(update) == {"UpdatedTier": "tier-xl", "PreviousTier": "standard"}
    assert eks.cluster()["controlPlaneScalingConfig"] == {"tier": "standard"}
    assert eks.done(update)["controlPlaneScalingConfig"] == {"tier": "tier-xl"}
    error = refused("InvalidParameterException", eks.config, 400, controlPlaneScalingConfig={"tier": "tier-xl"})
    assert "already at the desired configuration" in str(error)
    refused("InvalidParameterException", eks.config, 400, controlPlaneScalingConfig={"tier": "tier-16xl"})
    refused("InvalidParameterException", eks.config, 400, controlPlaneScalingConfig={})
    back = eks.done(eks.config(controlPlaneScalingConfig={"tier": "standard"}))
    assert back["controlPlaneScalingConfig"] == {"tier": "standard"}


def test_tiers_of_a_version(eks: Updates) -> None:
    """https://docs.aws.amazon.com/eks/latest/userguide/eks-provisioned-control-plane.html"""
    found = {
        one["clusterVersion"]: [
            (tier["tierName"], tier["apiRequestConcurrency"]) for tier in one["controlPlaneScalingTiers"]
        ]
        for one in eks.client.describe_cluster_versions()["clusterVersions"]
    }
    assert found["1.33"] == [("tier-xl", 1700), ("tier-2xl", 3400), ("tier-4xl", 6800), ("tier-8xl", 13600)]
    assert found["1.34"] == [("tier-xl", 2000), ("tier-2xl", 4000), ("tier-4xl", 8000), ("tier-8xl", 16000)]


def test_zonal_shift_on_and_off(eks: Updates) -> None:
    for enabled in (True, False):
        update = eks.config(zonalShiftConfig={"enabled": enabled})
        assert update["type"] == "ZonalShiftConfigUpdate"
        assert eks.done(update)["zonalShiftConfig"] == {"enabled": enabled}


def test_a_failed_update_changes_nothing(eks: Updates) -> None:
    eks.troubled({"on": "cluster", "status": "UPDATE_FAILED", "code": "Unknown", "message": "the database is too large"})
    update = eks.config(controlPlaneScalingConfig={"tier": "tier-4xl"})
    ended = eks.has("Failed", lambda: eks.described(update))
    assert ended["errors"][0]["errorMessage"] == "the database is too large"
    assert eks.cluster()["controlPlaneScalingConfig"] == {"tier": "standard"}


def test_the_condition_key_of_the_way_out(sandbox: Sandbox, refused: Any) -> None:
    """https://docs.aws.amazon.com/eks/latest/userguide/control-plane-egress.html#control-plane-egress-iam-condition"""
    eks = Eks.again(sandbox)
    unless = {"StringNotEquals": {"eks:controlPlaneEgressMode": "CUSTOMER_ROUTED"}}
    eks.settings = {"callerPolicy": policy(allow("*"), deny("eks:CreateCluster", Condition=unless))}
    eks.slow()
    refused("AccessDeniedException", eks.create, 403)
    refused("AccessDeniedException", eks.create, 403, network={"controlPlaneEgressMode": "AWS_MANAGED"})
    assert eks.create(network=EGRESS)["status"] == "CREATING"
