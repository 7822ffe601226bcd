"""A cluster's log group: EKS creates it if it does not exist, also with the last events of a cluster that is gone.

https://docs.aws.amazon.com/eks/latest/userguide/control-plane-logs.html
"""

from __future__ import annotations

from provisioner_sandbox import late_logs
from provisioner_sandbox.backend import backend
from provisioner_sandbox.clock import CLOCK
from provisioner_sandbox.services.eks.state import Cluster, Thing, eks_state, reaches

# When events still arrive, AWS seconds after the end of the cluster. The service itself creates the group, without
# tags, whatever the cluster's role may do.
# Sources: https://github.com/terraform-aws-modules/terraform-aws-eks/issues/920 and its issues 2277, 2486 and 2763
LATE = (30, 60, 90, 120)


def group_name(cluster: Cluster) -> str:
    return f"/aws/eks/{cluster.doc['name']}/cluster"


def is_on(cluster: Cluster) -> bool:
    return any(setup["enabled"] for setup in cluster.doc["logging"]["clusterLogging"])


@reaches("cluster", "ACTIVE", elsewhere=True)
@reaches("cluster", "LoggingUpdate", elsewhere=True)
def log(region: str, cluster: Cluster, _: Thing) -> None:
    if is_on(cluster):
        backend("logs", region).ensure_log_group(group_name(cluster))


def end(region: str, cluster: Cluster) -> None:
    """The events of the deletion itself; if so configured, the last ones arrive later."""
    log(region, cluster, cluster)
    if is_on(cluster) and late_logs.arrive():
        eks_state(region).late_events[group_name(cluster)] = [CLOCK.now() + seconds for seconds in LATE]


def arrive(region: str) -> None:
    """Creates the groups of the events that arrived since the last call."""
    late = eks_state(region).late_events
    for name, times in list(late.items()):
        if any(at <= CLOCK.now() for at in times):
            backend("logs", region).ensure_log_group(name)
        late[name] = [at for at in times if at > CLOCK.now()]
        if not late[name]:
            del late[name]
