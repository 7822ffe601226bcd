"""Cluster insights: what is found, when, and what it blocks.

https://docs.aws.amazon.com/eks/latest/userguide/cluster-insights.html; Insight, InsightSummary and InsightsFilter in
botocore's model. The message of a blocked upgrade: https://github.com/hashicorp/terraform-provider-aws/issues/42031
"""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Sandbox
from test_eks_updates import Updates

DEPRECATED = {
    "name": "Deprecated APIs removed in Kubernetes v1.34",
    "status": "ERROR",
    "reason": "Deprecated API usage detected within last 30 days and your cluster is on Kubernetes v1.33.",
    "description": "Checks for usage of deprecated APIs.",
    "recommendation": "Update manifests and API clients.",
    "deprecationDetails": [{"usage": "/apis/x/v1beta1/things", "replacedWith": "/apis/x/v1/things", "clientStats": []}],
}
CHECKS = {
    "Cluster health issues",
    "EKS add-on version compatibility",
    "Kubelet version skew",
    "kube-proxy version skew",
}


@pytest.fixture
def eks(sandbox: Sandbox) -> Updates:
    return Updates.again(sandbox)


def listed(eks: Updates, **wanted: Any) -> list[dict[str, Any]]:
    return eks.call("list_insights", **({"filter": wanted} if wanted else {}))["insights"]


def configure(eks: Updates, *findings: dict[str, Any]) -> None:
    eks.settings = {"insights": list(findings)}
    eks.slow()


def refresh(eks: Updates) -> dict[str, Any]:
    assert eks.call("start_insights_refresh")["status"] == "IN_PROGRESS"
    return eks.has("COMPLETED", lambda: eks.call("describe_insights_refresh"))


def test_what_is_looked_at(eks: Updates, refused: Any) -> None:
    found = listed(eks)
    assert {one["name"] for one in found} == CHECKS
    assert {(one["category"], one["kubernetesVersion"]) for one in found} == {("UPGRADE_READINESS", "1.34")}
    assert {one["insightStatus"]["status"] for one in found} == {"PASSING"}
    assert "recommendation" not in found[0]
    whole = eks.call("describe_insight", id=found[0]["id"])["insight"]
    assert (whole["name"], whole["resources"]) == (found[0]["name"], [])
    assert whole["categorySpecificSummary"] == {"deprecationDetails": [], "addonCompatibilityDetails": []}
    refused("ResourceNotFoundException", eks.client.describe_insight, 404, clusterName="demo", id="none")
    pages = list(eks.client.get_paginator("list_insights").paginate(clusterName="demo", maxResults=3))
    assert [len(page["insights"]) for page in pages] == [3, 1]


def test_filters(eks: Updates) -> None:
    configure(eks, DEPRECATED, {"name": "m", "status": "WARNING", "category": "MISCONFIGURATION"})
    assert [one["name"] for one in listed(eks, statuses=["ERROR"])] == [DEPRECATED["name"]]
    assert [one["name"] for one in listed(eks, categories=["MISCONFIGURATION"])] == ["m"]
    assert listed(eks, kubernetesVersions=["1.35"]) == []
    assert len(listed(eks, kubernetesVersions=["1.34"], statuses=["PASSING", "ERROR"])) == 5


def test_an_error_blocks_an_upgrade(eks: Updates, refused: Any) -> None:
    configure(eks, DEPRECATED)
    error = refused("InvalidStateException", eks.version, 400, version="1.34")
    assert error.response["Error"]["Message"] == (
        "Upgrade readiness issues detected. Call the EKS ListInsights API to view upgrade blocking issues detected by "
        "EKS. Pass the force flag to override upgrade readiness errors and proceed with upgrade."
    )
    (found,) = listed(eks, statuses=["ERROR"])
    whole = eks.call("describe_insight", id=found["id"])["insight"]
    assert whole["recommendation"] == DEPRECATED["recommendation"]
    assert whole["categorySpecificSummary"]["deprecationDetails"][0]["replacedWith"] == "/apis/x/v1/things"
    assert (eks.cluster()["status"], eks.ids()) == ("ACTIVE", [])
    update = eks.client.update_cluster_version(name="demo", version="1.34", force=True)["update"]
    assert eks.done(update)["version"] == "1.34"


@pytest.mark.parametrize("status", ["WARNING", "UNKNOWN", "PASSING"])
def test_nothing_else_does(eks: Updates, status: str) -> None:
    configure(eks, {**DEPRECATED, "status": status})
    assert eks.done(eks.version("1.34"))["version"] == "1.34"


def test_what_is_fixed_is_seen_at_the_next_look(eks: Updates, refused: Any) -> None:
    refused("ResourceNotFoundException", eks.client.describe_insights_refresh, 404, clusterName="demo")
    assert listed(eks, statuses=["ERROR"]) == []
    configure(eks, DEPRECATED)
    # The last look is not a day ago.
    assert listed(eks, statuses=["ERROR"]) == []
    eks.call("start_insights_refresh")
    assert eks.call("describe_insights_refresh")["status"] == "IN_PROGRESS"
    assert "endedAt" not in eks.call("describe_insights_refresh")
    assert eks.call("start_insights_refresh")["status"] == "IN_PROGRESS"
    ended = eks.has("COMPLETED", lambda: eks.call("describe_insights_refresh"))
    assert ended["endedAt"] >= ended["startedAt"]
    (found,) = listed(eks, statuses=["ERROR"])
    refused("InvalidStateException", eks.version, 400, version="1.34")
    configure(eks)
    refused("InvalidStateException", eks.version, 400, version="1.34")
    refresh(eks)
    assert found["id"] not in {one["id"] for one in listed(eks)}
    eks.done(eks.version("1.34"))


def test_a_day_later_eks_looks_again(eks: Updates) -> None:
    assert listed(eks, statuses=["ERROR"]) == []
    configure(eks, DEPRECATED)
    eks.wait(lambda: listed(eks, statuses=["ERROR"]))


def test_an_addon_that_does_not_fit(eks: Updates, refused: Any) -> None:
    eks.call("create_addon", addonName="coredns", addonVersion="v1.11.4-eksbuild.24", resolveConflicts="OVERWRITE")
    (found,) = listed(eks, statuses=["ERROR"])
    whole = eks.call("describe_insight", id=found["id"])["insight"]
    (detail,) = whole["categorySpecificSummary"]["addonCompatibilityDetails"]
    assert (detail["name"], "v1.12.1-eksbuild.2" in detail["compatibleVersions"]) == ("coredns", True)
    refused("InvalidStateException", eks.version, 400, version="1.34")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"name": "x"}, "insights[0].status is missing"),
        ({"name": "x", "status": "BAD"}, "insights[0].status must be one of PASSING"),
        ({"name": "x", "status": "ERROR", "category": "COST"}, "insights[0].category must be one of UPGRADE_READINESS"),
        ({"name": "x", "status": "ERROR", "colour": "red"}, "unknown key 'colour'"),
    ],
)
def test_the_configuration_is_checked(sandbox: Sandbox, wrong: dict[str, Any], words: str) -> None:
    status, answer = sandbox.ext("POST", "config", {"insights": [wrong]})
    assert (status, words in answer["message"]) == (400, True)
