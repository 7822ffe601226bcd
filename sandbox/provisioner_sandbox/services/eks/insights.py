"""Cluster insights: what EKS found when it looked last, at most a day ago.

Names and texts: https://docs.aws.amazon.com/eks/latest/userguide/cluster-insights.html and
https://docs.aws.amazon.com/eks/latest/userguide/rollback-cluster.html; shapes: Insight in botocore's model.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from provisioner_sandbox import insight_findings
from provisioner_sandbox.clock import CLOCK
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.insight_findings import MISCONFIGURATION, ROLLBACK, UPGRADE
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.eks import addon_catalogue as catalogue
from provisioner_sandbox.services.eks import rollback, versions
from provisioner_sandbox.services.eks.state import Cluster, Thing, cluster_of, not_found, now, page, reaches

# AWS seconds: how old findings may be, and how long a look takes that is asked for; AWS documents no duration of it.
DAY = 24 * 3600
REFRESH = 60
# A kubelet may be three minors behind its API server: https://kubernetes.io/releases/version-skew-policy/
SKEW = 3
SUMMARY = (
    "id", "name", "category", "kubernetesVersion", "lastRefreshTime", "lastTransitionTime", "description",
    "insightStatus",
)  # fmt: skip
# https://github.com/hashicorp/terraform-provider-aws/issues/42031
BLOCKED = (
    "Upgrade readiness issues detected. Call the EKS ListInsights API to view upgrade blocking issues detected by EKS. "
    "Pass the force flag to override upgrade readiness errors and proceed with upgrade."
)
BLOCKED_BACK = BLOCKED.replace("Upgrade", "Rollback").replace("upgrade", "rollback")


def insight(
    cluster: Cluster, category: str, version: str, name: str, description: str, status: str, reason: str, **more: Any
) -> dict[str, Any]:
    place = f"{cluster.arn}/{category}/{version}/{name}"
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, place)),
        "name": name,
        "category": category,
        "kubernetesVersion": version,
        "description": description,
        "insightStatus": {"status": status, "reason": reason},
        "recommendation": "",
        "additionalInfo": {},
        "resources": [],
        "categorySpecificSummary": {"deprecationDetails": [], "addonCompatibilityDetails": []},
        **more,
    }


def kubelets(cluster: Cluster, category: str, version: str) -> dict[str, Any]:
    """Nodes may not be newer than the control plane, nor more than three minors older."""
    wrong = [
        group
        for group in cluster.nodegroups.values()
        if not 0 <= versions.minor(version) - versions.minor(group.doc["version"]) <= SKEW
    ]
    return insight(
        cluster, category, version, "Kubelet version skew",
        "Checks for kubelet versions of worker nodes in the cluster to see if the change would cause non compliance with "
        "supported Kubernetes kubelet version skew policy.",
        "ERROR" if wrong else "PASSING",
        f"{len(wrong)} node groups would not comply." if wrong else "Node kubelet versions comply.",
        recommendation="Change the version of your worker nodes before the version of your cluster control plane.",
        resources=[{"arn": group.arn, "insightStatus": {"status": "ERROR", "reason": group.doc["version"]}} for group in wrong],
    )  # fmt: skip


def proxies(cluster: Cluster, category: str, version: str) -> dict[str, Any]:
    addon = cluster.addons.get("kube-proxy")
    minor = int(addon.doc["addonVersion"].split(".")[1]) if addon else versions.minor(version)
    wrong = not 0 <= versions.minor(version) - minor <= SKEW
    return insight(
        cluster, category, version, "kube-proxy version skew",
        "Checks version of kube-proxy in cluster to see if the change would cause non compliance with supported Kubernetes "
        "kube-proxy version skew policy.",
        "ERROR" if wrong else "PASSING",
        "kube-proxy would not comply." if wrong else "kube-proxy versions comply.",
        resources=[{"arn": addon.arn, "insightStatus": {"status": "ERROR", "reason": ""}}] if addon and wrong else [],
    )  # fmt: skip


def addons(cluster: Cluster, category: str, version: str) -> dict[str, Any]:
    """kube-proxy is a matter of its skew."""
    wrong = []
    for name, addon in cluster.addons.items():
        release = catalogue.release(name, addon.doc["addonVersion"])
        if name != "kube-proxy" and (release is None or version not in release.minors):
            wrong.append((name, addon))
    details = []
    for name, _ in wrong:
        product = catalogue.product(name)
        fitting = [one.version for one in product.releases if version in one.minors] if product else []
        details.append({"name": name, "compatibleVersions": fitting})
    return insight(
        cluster, category, version, "EKS add-on version compatibility",
        f"Checks version of installed EKS add-ons to ensure they are compatible with Kubernetes {version}.",
        "ERROR" if wrong else "PASSING",
        f"{len(wrong)} add-ons are not compatible." if wrong else "All installed EKS add-on versions are compatible.",
        recommendation="Change the versions of the add-ons first." if wrong else "",
        resources=[{"arn": addon.arn, "insightStatus": {"status": "ERROR", "reason": ""}} for _, addon in wrong],
        categorySpecificSummary={"deprecationDetails": [], "addonCompatibilityDetails": details},
    )  # fmt: skip


def health(cluster: Cluster, category: str, version: str) -> dict[str, Any]:
    return insight(
        cluster, category, version, "Cluster health issues",
        "Checks for any cluster health issues that prevent a change of the Kubernetes version.",
        "PASSING", "No cluster health issues detected.",
    )  # fmt: skip


def found(cluster: Cluster) -> list[dict[str, Any]]:
    """What a look at the cluster finds now: nothing for a version that it cannot change to."""
    up = f"1.{versions.minor(cluster.doc['version']) + 1}"
    goals = {UPGRADE: up if up in versions.MINORS else None, ROLLBACK: rollback.target(cluster)}
    seen = []
    for category, version in goals.items():
        if version is not None:
            seen += [check_of(cluster, category, version) for check_of in (kubelets, addons, proxies, health)]
            seen += [configured(cluster, category, version, entry) for entry in insight_findings.findings(category)]
    version = cluster.doc["version"]
    return seen + [
        configured(cluster, MISCONFIGURATION, version, entry) for entry in insight_findings.findings(MISCONFIGURATION)
    ]


def configured(cluster: Cluster, category: str, version: str, entry: dict[str, Any]) -> dict[str, Any]:
    summary = {
        "deprecationDetails": entry.get("deprecationDetails", []),
        "addonCompatibilityDetails": entry.get("addonCompatibilityDetails", []),
    }
    return insight(
        cluster, category, version, entry["name"], entry.get("description", ""), entry["status"],
        entry.get("reason", ""),
        recommendation=entry.get("recommendation", ""),
        categorySpecificSummary=summary,
    )  # fmt: skip


def look(cluster: Cluster) -> None:
    """Looks at the cluster, and keeps since when each status is what it is."""
    at = now()
    before = {one["id"]: one for one in cluster.insights}
    cluster.insights = found(cluster)
    cluster.insights_at = CLOCK.now()
    for one in cluster.insights:
        old = before.get(one["id"])
        same = old is not None and old["insightStatus"]["status"] == one["insightStatus"]["status"]
        since: datetime = old["lastTransitionTime"] if old and same else at
        one |= {"lastRefreshTime": at, "lastTransitionTime": since}


def current(cluster: Cluster) -> list[dict[str, Any]]:
    """The findings of the last look: EKS looks daily, and when it is asked to."""
    refresh = cluster.refresh
    if refresh is not None and refresh["due"] <= CLOCK.now() and not refresh["endedAt"]:
        refresh["endedAt"] = now()
        look(cluster)
    elif cluster.insights_at is None or CLOCK.elapsed(cluster.insights_at) > DAY:
        look(cluster)
    return cluster.insights


@reaches("cluster", rollback.UP)
@reaches("cluster", rollback.BACK)
def look_after_move(region: str, cluster: Cluster, _: Thing) -> None:
    look(cluster)


def check(cluster: Cluster, category: str) -> None:
    """Refuses what an insight with the status ERROR blocks. Before a rollback EKS looks again, before an upgrade it does
    not."""
    if category == ROLLBACK:
        look(cluster)
    errors = [
        one for one in current(cluster) if one["category"] == category and one["insightStatus"]["status"] == "ERROR"
    ]
    if errors:
        raise AwsError("InvalidStateException", BLOCKED_BACK if category == ROLLBACK else BLOCKED, 400)


@handles("eks", "ListInsights")
def list_insights(call: Call) -> dict:
    wanted = call.params.get("filter") or {}
    shown = [
        {member: one[member] for member in SUMMARY}
        for one in current(cluster_of(call))
        if one["category"] in (wanted.get("categories") or [one["category"]])
        and one["kubernetesVersion"] in (wanted.get("kubernetesVersions") or [one["kubernetesVersion"]])
        and one["insightStatus"]["status"] in (wanted.get("statuses") or [one["insightStatus"]["status"]])
    ]
    items, token = page(call, shown)
    return {"insights": items, "nextToken": token}


@handles("eks", "DescribeInsight")
def describe(call: Call) -> dict:
    wanted = call.params["id"]
    one = next((one for one in current(cluster_of(call)) if one["id"] == wanted), None)
    if one is None:
        raise not_found(f"No insight found with id: {wanted}")
    return {"insight": one}


@handles("eks", "StartInsightsRefresh")
def start_refresh(call: Call) -> dict:
    cluster = cluster_of(call)
    if cluster.status != "ACTIVE":
        raise AwsError("InvalidRequestException", f"Cluster {cluster.doc['name']} is not in ACTIVE status", 400)
    if state_of(cluster) != "IN_PROGRESS":
        cluster.refresh = {"due": CLOCK.now() + REFRESH, "startedAt": now(), "endedAt": None}
    return {"message": "Insights refresh is in progress", "status": "IN_PROGRESS"}


def state_of(cluster: Cluster) -> str | None:
    current(cluster)
    if cluster.refresh is None:
        return None
    return "COMPLETED" if cluster.refresh["endedAt"] else "IN_PROGRESS"


@handles("eks", "DescribeInsightsRefresh")
def describe_refresh(call: Call) -> dict:
    cluster = cluster_of(call)
    status = state_of(cluster)
    if status is None or cluster.refresh is None:
        raise not_found(f"No insights refresh found for cluster: {cluster.doc['name']}.")
    times = {member: cluster.refresh[member] for member in ("startedAt", "endedAt") if cluster.refresh[member]}
    words = "completed" if status == "COMPLETED" else "in progress"
    return {"message": f"Insights refresh is {words}", "status": status, **times}
