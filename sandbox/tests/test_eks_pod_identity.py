"""Pod identity associations with a target role or a session policy.

https://docs.aws.amazon.com/eks/latest/userguide/pod-id-assign-target-role.html and the descriptions of
CreatePodIdentityAssociation and UpdatePodIdentityAssociation in botocore's model of EKS.
"""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Sandbox
from policies import allow, document
from test_eks_access import Pods

TARGET = "arn:aws:iam::210987654321:role/theirs"
EXTERNAL = "eu-central-1/123456789012/demo/apps/app"
POLICY = document(allow("s3:GetObject"))


@pytest.fixture
def pods(sandbox: Sandbox) -> Pods:
    return Pods.again(sandbox)


def changed(pods: Pods, id_: str, **change: Any) -> dict[str, Any]:
    return pods.call("update_pod_identity_association", associationId=id_, **change)["association"]


def test_a_role_of_another_account(pods: Pods) -> None:
    made = pods.association(pods.pod_role("pod"), targetRoleArn=TARGET)
    assert (made["targetRoleArn"], made["externalId"]) == (TARGET, EXTERNAL)
    id_ = made["associationId"]
    assert pods.call("describe_pod_identity_association", associationId=id_)["association"] == made
    # The list does not tell: PodIdentityAssociationSummary.
    (listed,) = pods.call("list_pod_identity_associations")["associations"]
    assert "targetRoleArn" not in listed


def test_a_target_is_set_changed_and_taken_away(pods: Pods) -> None:
    made = pods.association(pods.pod_role("pod"))
    assert not {"targetRoleArn", "externalId", "policy"} & made.keys()
    id_ = made["associationId"]
    assert changed(pods, id_, targetRoleArn=TARGET)["externalId"] == EXTERNAL
    other = f"{TARGET}2"
    assert changed(pods, id_, targetRoleArn=other)["targetRoleArn"] == other
    kept = changed(pods, id_, disableSessionTags=True)
    assert (kept["targetRoleArn"], kept["externalId"], kept["disableSessionTags"]) == (other, EXTERNAL, True)
    assert not {"targetRoleArn", "externalId"} & changed(pods, id_, targetRoleArn="").keys()


def test_a_policy_needs_sessions_without_tags(pods: Pods, refused: Any) -> None:
    role = pods.pod_role("pod")
    words = "When policy is specified, disableSessionTags must be set to true"
    for more in ({}, {"disableSessionTags": False}):
        error = refused("InvalidParameterException", pods.association, 400, role=role, policy=POLICY, **more)
        assert error.response["Error"]["Message"] == words
    assert pods.listed() == []
    made = pods.association(role, policy=POLICY, disableSessionTags=True)
    assert (made["policy"], made["disableSessionTags"]) == (POLICY, True)
    update = pods.client.update_pod_identity_association
    of = {"clusterName": "demo", "associationId": made["associationId"]}
    error = refused("InvalidParameterException", update, 400, disableSessionTags=False, **of)
    assert error.response["Error"]["Message"] == words
    without = changed(pods, made["associationId"], policy="", disableSessionTags=False)
    assert ("policy" in without, without["disableSessionTags"]) == (False, False)


def test_what_is_not_a_role_or_a_name(pods: Pods, refused: Any) -> None:
    role = pods.pod_role("pod")
    for target in ("theirs", "arn:aws:iam::210987654321:user/theirs"):
        refused("InvalidParameterException", pods.association, 400, role=role, targetRoleArn=target)
    for wrong in ({"namespace": "Apps"}, {"namespace": "a.b"}, {"account": "App"}, {"account": "-a"}):
        error = refused("InvalidParameterException", pods.association, 400, role=role, **wrong)
        assert "contains invalid characters" in str(error)
    assert pods.association(role, account="a.b")["serviceAccount"] == "a.b"


def test_the_first_role_is_of_the_account(pods: Pods, refused: Any) -> None:
    error = refused("AccessDeniedException", pods.association, 403, role=TARGET)
    assert error.response["Error"]["Message"] == "Cross-account pass role is not allowed."
