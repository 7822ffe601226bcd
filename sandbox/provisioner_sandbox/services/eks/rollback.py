"""Whether a control plane can go back to the version that it was upgraded from.

https://docs.aws.amazon.com/eks/latest/userguide/rollback-cluster.html. AWS documents the conditions and no messages.
"""

from __future__ import annotations

from provisioner_sandbox.clock import CLOCK
from provisioner_sandbox.services.eks import versions
from provisioner_sandbox.services.eks.state import Cluster, Update, refused

UP, BACK = "VersionUpdate", "VersionRollback"
WINDOW = 7 * 24 * 3600


def last_move(cluster: Cluster) -> Update | None:
    """The newest change of the version that ended well."""
    done = [
        update
        for update in cluster.updates.values()
        if update.target is cluster
        and update.doc["type"] in (UP, BACK)
        and update.doc["status"] == "Successful"
    ]
    return max(done, key=lambda update: update.due, default=None)


def previous(cluster: Cluster) -> str:
    return f"1.{versions.minor(cluster.doc['version']) - 1}"


def target(cluster: Cluster) -> str | None:
    """The version that the cluster can go back to now."""
    move = last_move(cluster)
    if move is None or move.doc["type"] == BACK or CLOCK.elapsed(move.due) > WINDOW:
        return None
    return previous(cluster)


def check(cluster: Cluster) -> None:
    """What `force` does not override."""
    name, version, move = cluster.doc["name"], cluster.doc["version"], last_move(cluster)
    start = f"Cluster {name} cannot be rolled back from version {version}"
    if move is None:
        raise refused(f"{start}: it was created at this version.")
    if move.doc["type"] == BACK:
        raise refused(f"{start}: it was already rolled back to this version.")
    if CLOCK.elapsed(move.due) > WINDOW:
        raise refused(f"{start}: more than 7 days have passed since the upgrade.")
    back = previous(cluster)
    if back in versions.EXTENDED and cluster.doc["upgradePolicy"]["supportType"] != "EXTENDED":
        raise refused(f"{start}: version {back} is in extended support, and the cluster's upgrade policy is STANDARD.")
