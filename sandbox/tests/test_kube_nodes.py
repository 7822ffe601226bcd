"""The nodes of a cluster, and what is left when one ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import REGION, Sandbox, await_endpoint, start, until
from kubernetes import SLOW, Kube, deployment, pod_spec, push


class TestFargate:
    def test_each_pod_has_a_node(self, sandbox: Sandbox) -> None:
        kube = Kube(sandbox)
        role = kube.role("fargate", "eks-fargate-pods.amazonaws.com")
        kube.call(
            "create_fargate_profile",
            fargateProfileName="f",
            podExecutionRoleArn=role,
            subnets=kube.subnets,
            selectors=[{"namespace": "test"}],
        )
        kube.has("ACTIVE", lambda: kube.call("describe_fargate_profile", fargateProfileName="f")["fargateProfile"])
        kube.sandbox.configure(timeScale=200)
        kube.namespace()
        kube.roll_out(deployment(push(sandbox), 2))
        nodes = kube.api.get("/api/v1/nodes")["items"]
        assert len(nodes) == 2
        assert {node["metadata"]["labels"]["eks.amazonaws.com/compute-type"] for node in nodes} == {"fargate"}
        assert {pod["spec"]["nodeName"] for pod in kube.pods()} == {node["metadata"]["name"] for node in nodes}
        kube.api("DELETE", kube.deployment)
        until(lambda: not kube.api.get("/api/v1/nodes")["items"], SLOW)


class TestNodes:
    def test_they_come_and_go_with_their_group(self, sandbox: Sandbox) -> None:
        kube = Kube(sandbox, nodes=2)
        nodes = until(lambda: (found := kube.api.get("/api/v1/nodes")["items"]) and len(found) == 2 and found)
        labels = nodes[0]["metadata"]["labels"]
        assert (labels["pool"], labels["kubernetes.io/arch"], labels["node.kubernetes.io/instance-type"]) == (
            "general",
            "amd64",
            "t3.medium",
        )
        assert labels["topology.kubernetes.io/zone"].startswith(REGION)
        assert nodes[0]["spec"]["providerID"].startswith("aws:///eu-central-1")
        kube.namespace()
        kube.roll_out(deployment(push(sandbox), 2))
        kube.call(
            "update_nodegroup_config", nodegroupName="g", scalingConfig={"minSize": 1, "desiredSize": 1, "maxSize": 9}
        )
        until(lambda: len(kube.api.get("/api/v1/nodes")["items"]) == 1, SLOW)
        left = kube.api.get("/api/v1/nodes")["items"][0]["metadata"]["name"]
        until(lambda: {pod["spec"].get("nodeName") for pod in kube.pods()} == {left} and kube.rolled_out(), SLOW)


def processes(folder: Path) -> list[int]:
    """Those of a sandbox's pods."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if b"PLACE=" + str(folder).encode() in environment:
                found.append(int(entry.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
class TestLeftovers:
    def run(self, sandbox: Sandbox, mark: Path) -> Kube:
        kube = Kube(sandbox, nodes=1)
        kube.namespace()
        kube.roll_out(deployment("", spec=pod_spec(push(sandbox), env=[{"name": "PLACE", "value": str(mark)}])))
        assert processes(mark)
        return kube

    def test_none_after_a_reset(self, sandbox: Sandbox, tmp_path: Path) -> None:
        self.run(sandbox, tmp_path)
        assert sandbox.ext("POST", "reset")[0] == 200
        until(lambda: not processes(tmp_path), SLOW)

    def test_none_after_the_cluster(self, sandbox: Sandbox, tmp_path: Path) -> None:
        kube = self.run(sandbox, tmp_path)
        kube.call("delete_nodegroup", nodegroupName="g")
        kube.gone(lambda: kube.call("describe_nodegroup", nodegroupName="g"))
        kube.client.delete_cluster(name="demo")
        kube.gone(kube.cluster)
        until(lambda: not processes(tmp_path), SLOW)

    def test_none_of_a_sandbox_that_was_killed(self, tmp_path: Path) -> None:
        process = start(tmp_path, "--time-scale", "200")
        try:
            self.run(Sandbox(await_endpoint(tmp_path, process)["endpoint"]), tmp_path)
            process.kill()
            until(lambda: not processes(tmp_path), SLOW)
        finally:
            process.kill()
            process.wait()
