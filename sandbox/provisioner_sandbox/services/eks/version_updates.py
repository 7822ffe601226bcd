"""Changes of a cluster's version: up by one minor, and back."""

from __future__ import annotations

from typing import Any

from provisioner_sandbox.clock import CLOCK
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.insight_findings import ROLLBACK, UPGRADE
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.eks import auto_mode, insights, rollback, versions
from provisioner_sandbox.services.eks.readiness import ready_for
from provisioner_sandbox.services.eks.state import Cluster, cluster_of, invalid, not_found, start_update

# AWS seconds.
VERSION = 480
# How long the nodes of Auto Mode go back before the control plane does: "anywhere from minutes to 7 days".
# https://docs.aws.amazon.com/eks/latest/userguide/rollback-automode.html
NODES = 300
# A kubelet may be three minors behind its API server: https://kubernetes.io/releases/version-skew-policy/
SKEW = 3
# https://docs.aws.amazon.com/eks/latest/APIReference/API_RollbackConfig.html
TIMEOUT_MINUTES = range(120, 10081)


@handles("eks", "UpdateClusterVersion")
def update_version(call: Call) -> dict:
    cluster, version = cluster_of(call, "name"), call.params["version"]
    is_back = version in versions.MINORS and versions.minor(version) == versions.minor(cluster.doc["version"]) - 1
    kind = rollback.BACK if is_back else rollback.UP
    ready_for(kind, cluster)
    check_timeout(call.params.get("rollbackConfig") or {})
    old = cluster.doc["version"]
    if version not in versions.MINORS:
        raise invalid(f"unsupported Kubernetes version {version}")
    if is_back:
        rollback.check(cluster)
    elif versions.minor(version) != versions.minor(old) + 1:
        raise invalid(f"Unsupported Kubernetes minor version update from {old} to {version}")
    else:
        check_nodes(cluster, version)
    if call.params.get("force") is not True:
        insights.check(cluster, ROLLBACK if is_back else UPGRADE)
    changes = {"version": version, "platformVersion": versions.MINORS[version]["platform"]}
    params = {"Version": version, "PlatformVersion": changes["platformVersion"]}
    nodes = NODES if is_back and auto_mode.is_on(cluster) else 0
    answer = start_update(call, cluster, cluster, kind, params, changes, nodes + VERSION)
    if nodes:
        cluster.updates[answer["id"]].cancellable_until = CLOCK.now() + nodes
    return {"update": answer}


def check_nodes(cluster: Cluster, version: str) -> None:
    for name, group in cluster.nodegroups.items():
        if versions.minor(version) - versions.minor(group.doc["version"]) > SKEW:
            raise invalid(
                f"Nodegroup {name} must be updated to match cluster version {cluster.doc['version']} "
                "before updating cluster version"
            )


def check_timeout(asked: dict[str, Any]) -> None:
    minutes = asked.get("timeoutMinutes")
    if minutes is not None and minutes not in TIMEOUT_MINUTES:
        raise invalid(f"timeoutMinutes must be between {TIMEOUT_MINUTES.start} and {TIMEOUT_MINUTES.stop - 1}: {minutes}")


@handles("eks", "CancelUpdate")
def cancel(call: Call) -> dict:
    """Of a rollback in Auto Mode, while its nodes go back: the model of CancelUpdate knows no other."""
    cluster, wanted = cluster_of(call, "name"), call.params["updateId"]
    update = cluster.updates.get(wanted)
    if update is None or update.target is not cluster:
        raise not_found(f"No update found for ID: {wanted}")
    if not update.is_cancellable():
        raise AwsError("InvalidStateException", f"Update {wanted} cannot be cancelled", 400)
    update.doc["status"] = "Cancelled"
    update.doc["cancellation"] = {"status": "Successful", "reason": "Cancelled by the caller"}
    cluster.doc["status"] = "ACTIVE"
    return {"update": update.doc}
