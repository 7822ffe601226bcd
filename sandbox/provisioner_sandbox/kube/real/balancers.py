"""Load balancers for the objects of a real API server."""

from __future__ import annotations

import contextlib
from typing import Any

from provisioner_sandbox.kube import resources
from provisioner_sandbox.kube.balancer import Source
from provisioner_sandbox.kube.balancing import seen
from provisioner_sandbox.kube.balancing.of_ingresses import CLASS_PARAMETERS
from provisioner_sandbox.kube.controllers.base import set_condition
from provisioner_sandbox.kube.kubelet.client import MERGE, STRATEGIC, ApiError
from provisioner_sandbox.kube.kubelet.events import Recorder
from provisioner_sandbox.kube.kubelet.remote import Api
from provisioner_sandbox.kube.nodes import vpc_of
from provisioner_sandbox.kube.real.nodes import RealNodes
from provisioner_sandbox.kube.real.objects import Known
from provisioner_sandbox.kube.real.runner import RealRunner

Object = dict[str, Any]


def source(
    api: Api, plane: Any, guard: Any, known: dict[resources.Resource, Known], nodes: RealNodes, runner: RealRunner
) -> Source:
    """What the load balancer controller sees of the cluster and writes to it."""
    recorder = Recorder(api, "aws-load-balancer-controller")

    def path(thing: Object) -> str:
        kind = (
            resources.INGRESSES
            if "rules" in thing["spec"] or "defaultBackend" in thing["spec"]
            else resources.SERVICES
        )
        return kind.path(thing["metadata"]["namespace"], thing["metadata"]["name"])

    def publish(thing: Object, addresses: list[Object]) -> None:
        # A real API server takes an address for a name as little as DNS does.
        made = [
            {"ip": one["hostname"], **{key: value for key, value in one.items() if key != "hostname"}}
            for one in addresses
        ]
        if thing.get("status", {}).get("loadBalancer", {}).get("ingress") != made:
            with contextlib.suppress(ApiError):
                api.call(
                    "PATCH", f"{path(thing)}/status", {"status": {"loadBalancer": {"ingress": made}}}, MERGE
                )

    def pass_gates(pod: Object, gates: list[str]) -> None:
        conditions: list[Object] = []
        for gate in gates:
            conditions = set_condition(conditions, gate, "True", "Healthy", "")
        where = resources.PODS.path(pod["metadata"]["namespace"], pod["metadata"]["name"])
        with contextlib.suppress(ApiError):
            api.call("PATCH", f"{where}/status", {"status": {"conditions": conditions}}, STRATEGIC)

    def tell(thing: Object, kind: str, reason: str, message: str) -> None:
        if kind == "Warning":
            recorder.tell(thing, kind, reason, message)

    def patch(thing: Object, change: Object, subresource: str) -> None:
        try:
            api.call("PATCH", path(thing) + (f"/{subresource}" if subresource else ""), change, MERGE)
        except OSError as error:
            raise ApiError(503, "ServiceUnavailable", str(error)) from None

    def parameters(name: str) -> Object | None:
        group, version, plural = CLASS_PARAMETERS
        return api.get(f"/apis/{group}/{version}/{plural}/{name}")

    return Source(
        seen.Cluster(
            plane.region, plane.cluster, guard, lambda: vpc_of(plane.region, plane.cluster)
        ),
        known[resources.SERVICES].list, known[resources.INGRESSES].list, known[resources.INGRESS_CLASSES].list,
        known[resources.PODS].list, known[resources.DEPLOYMENTS].list,
        lambda: {name: machine.provider for name, machine in nodes.machines.items()}, parameters, patch, publish,
        runner.listens, tell, pass_gates,
    )  # fmt: skip
