"""Evictions, the budgets that forbid them, and the drain of a node group that is deleted."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Sandbox, until
from kubernetes import LABELS, MERGE, SLOW, Kube, deployment, push

# AWS's five minutes are as many seconds.
DRAINED = 60


@pytest.fixture
def kube(sandbox: Sandbox) -> Kube:
    made = Kube(sandbox, nodes=2)
    made.namespace()
    return made


def budget(kube: Kube, name: str = "web", **spec: Any) -> None:
    """One of the web's pods, when its controller has seen it."""
    made = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": LABELS}, **spec},
    }
    path = kube.group("policy/v1", "poddisruptionbudgets")
    assert kube.api("POST", path, made)[0] == 201
    until(lambda: kube.api.get(f"{path}/{name}")["status"].get("observedGeneration") == 1)


def evict(kube: Kube, pod: dict[str, Any], **more: Any) -> tuple[int, Any]:
    name = pod["metadata"]["name"]
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": "test"}, **more}
    return kube.api("POST", f"{kube.ns}/pods/{name}/eviction", eviction)


def nodes_of(kube: Kube, group: str) -> dict[str, dict[str, Any]]:
    found = kube.api.get(f"/api/v1/nodes?labelSelector=eks.amazonaws.com/nodegroup={group}")["items"]
    return {node["metadata"]["name"]: node for node in found}


def places(kube: Kube) -> set[str]:
    return {pod["spec"].get("nodeName", "") for pod in kube.pods()}


class TestEviction:
    def test_as_many_as_the_budget_allows(self, kube: Kube) -> None:
        kube.roll_out(deployment(push(kube.sandbox), 2))
        budget(kube, maxUnavailable=1)
        until(lambda: evict(kube, kube.pods()[0], deleteOptions={"dryRun": ["All"]})[0] == 201)
        first, second = kube.pods()
        code, answer = evict(kube, first)
        assert (code, answer["kind"], answer["status"]) == (201, "Status", "Success")
        code, answer = evict(kube, second)
        assert (code, answer["reason"]) == (429, "TooManyRequests")
        assert answer["message"] == "Cannot evict pod as it would violate the pod's disruption budget."
        why = "The disruption budget web needs 1 healthy pods and has 2 currently"
        cause = {"reason": "DisruptionBudget", "message": why}
        assert answer["details"]["causes"] in ([cause], [{**cause, "message": why.replace("has 2", "has 1")}])
        until(lambda: evict(kube, second)[0] == 201, SLOW)
        until(kube.rolled_out, SLOW)

    def test_none(self, kube: Kube) -> None:
        kube.roll_out(deployment(push(kube.sandbox), 2))
        budget(kube, maxUnavailable=0)
        assert {evict(kube, pod)[0] for pod in kube.pods()} == {429}
        budget(kube, "other", maxUnavailable=1)
        code, answer = evict(kube, kube.pods()[0])
        assert code == 500 and "more than one PodDisruptionBudget" in answer["message"]
        assert kube.api("GET", f"{kube.ns}/pods/{kube.pods()[0]['metadata']['name']}/eviction")[0] == 405
        assert evict(kube, {"metadata": {"name": "none"}})[0] == 404

    def test_only_of_the_pod_that_is_meant(self, kube: Kube) -> None:
        kube.roll_out(deployment(push(kube.sandbox)))
        pod = kube.pods()[0]
        code, _ = evict(kube, pod, deleteOptions={"preconditions": {"uid": "another"}})
        assert code == 409 and kube.pods()[0]["metadata"]["uid"] == pod["metadata"]["uid"]

    def test_clients_find_it(self, kube: Kube) -> None:
        listed = kube.api.get("/api/v1")["resources"]
        found = next(one for one in listed if one["name"] == "pods/eviction")
        assert (found["kind"], found["group"], found["verbs"]) == ("Eviction", "policy", ["create"])


class TestCordon:
    def test_no_pod_comes_to_a_cordoned_node(self, kube: Kube) -> None:
        cordoned, other = sorted(nodes_of(kube, "g"))
        path = f"/api/v1/nodes/{cordoned}"
        assert kube.api("PATCH", path, {"spec": {"unschedulable": True}}, MERGE)[0] == 200
        kube.roll_out(deployment(push(kube.sandbox), 3))
        assert places(kube) == {other}
        assert kube.api("PATCH", path, {"spec": {"unschedulable": None}}, MERGE)[0] == 200
        assert "unschedulable" not in kube.api.get(path)["spec"]


class TestNodeGroup:
    def leave(self, kube: Kube) -> None:
        """Another group is there, and the first is deleted."""
        role = kube.iam.get_role(RoleName="nodes")["Role"]["Arn"]
        scaling = {"minSize": 0, "maxSize": 9, "desiredSize": 2}
        kube.call(
            "create_nodegroup", nodegroupName="h", subnets=kube.subnets, nodeRole=role, instanceTypes=["t3.medium"],
            scalingConfig=scaling,
        )  # fmt: skip
        until(lambda: len(nodes_of(kube, "h")) == 2, SLOW)
        kube.sandbox.configure(timeScale=DRAINED)
        kube.call("delete_nodegroup", nodegroupName="g")

    def test_its_pods_are_evicted_while_it_is_deleted(self, kube: Kube) -> None:
        kube.roll_out(deployment(push(kube.sandbox), 2))
        old = set(nodes_of(kube, "g"))
        self.leave(kube)
        until(lambda: all(node["spec"].get("unschedulable") for node in nodes_of(kube, "g").values()))
        # Five minutes are now one: none of the nodes ends by force.
        kube.sandbox.configure(timeScale=5)
        until(lambda: not places(kube) & old and kube.rolled_out(), SLOW)
        assert set(nodes_of(kube, "g")) == old
        kube.sandbox.configure(timeScale=1000)
        until(lambda: not nodes_of(kube, "g"), SLOW)

    def test_what_a_budget_keeps_ends_by_force(self, kube: Kube) -> None:
        kube.roll_out(deployment(push(kube.sandbox), 2))
        budget(kube, maxUnavailable=0)
        old = set(nodes_of(kube, "g"))
        self.leave(kube)
        until(lambda: all(node["spec"].get("unschedulable") for node in nodes_of(kube, "g").values()))
        assert places(kube) <= old
        assert not any(pod["metadata"].get("deletionTimestamp") for pod in kube.pods())
        until(lambda: places(kube) and not places(kube) & (old | {""}), SLOW)
