"""Whether a cluster takes an update now: one at a time, and only when it is active."""

from __future__ import annotations

from provisioner_sandbox.services.eks.state import Cluster, in_use


def ready_for(kind: str, cluster: Cluster) -> None:
    """AWS's words: https://github.com/aws-controllers-k8s/community/issues/1192"""
    name = cluster.doc["name"]
    for update in cluster.updates.values():
        if update.target is cluster and update.doc["status"] == "InProgress":
            raise in_use(f"Cannot {kind} because cluster {name} currently has update {update.doc['id']} in progress")
    if cluster.status != "ACTIVE":
        raise in_use(f"Cannot {kind} because cluster {name} is in {cluster.status} status")
