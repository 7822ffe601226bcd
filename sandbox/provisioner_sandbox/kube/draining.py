"""What EKS does with the nodes of a node group that is being deleted: it cordons them and evicts their pods, all at once.
What is left after five minutes ends with its instance.

Source: https://docs.aws.amazon.com/eks/latest/userguide/delete-managed-node-group.html
"""

from __future__ import annotations

from typing import Any

from provisioner_sandbox.kube import resources
from provisioner_sandbox.kube.kubelet.client import MERGE, Api, ApiError
from provisioner_sandbox.kube.store import Object

MIRROR = "kubernetes.io/config.mirror"
# Gone, replaced, or forbidden by a budget: asked again at the next look.
PASSING = (404, 409, 429, 500)


def stays(pod: Object) -> bool:
    """Whether a drain leaves the pod to the end of its node."""
    owners = pod["metadata"].get("ownerReferences") or []
    return (
        any(one["kind"] == "DaemonSet" and one.get("controller") for one in owners)
        or MIRROR in (pod["metadata"].get("annotations") or {})
        or bool(pod["metadata"].get("deletionTimestamp"))
        or pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    )


def drain(api: Api, names: set[str]) -> None:
    """Cordons these nodes and evicts the pods on them that a budget lets go now."""
    if not names:
        return
    for name in sorted(names):
        node = api.get(resources.NODES.path("", name))
        if node is not None and not node["spec"].get("unschedulable"):
            send(api, "PATCH", resources.NODES.path("", name), {"spec": {"unschedulable": True}}, MERGE)
    for pod in api.call("GET", resources.PODS.path())["items"]:
        if pod["spec"].get("nodeName") in names and not stays(pod):
            metadata = {key: pod["metadata"][key] for key in ("name", "namespace")}
            eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
            send(api, "POST", f"{resources.PODS.path(metadata['namespace'], metadata['name'])}/eviction", eviction)


def send(api: Api, *call: Any) -> None:
    try:
        api.call(*call)
    except ApiError as refused:
        if refused.code not in PASSING:
            raise
