"""kubectl as people type it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Sandbox
from kubernetes import RESTRICTED, Kube, deployment, push, token


@pytest.fixture(scope="module")
def cluster(running: Sandbox) -> Kube:
    assert running.ext("POST", "reset")[0] == 200
    return Kube(running, nodes=2)


@pytest.fixture
def kube(cluster: Kube) -> Iterator[Kube]:
    cluster.namespace(**RESTRICTED)
    yield cluster
    cluster.clear()


@pytest.fixture(scope="module")
def image(cluster: Kube) -> str:
    return push(cluster.sandbox)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kubectl(kube: Kube, image: str, tmp_path: Path) -> None:
    there = kube.cluster()
    cluster = {"server": there["endpoint"], "certificate-authority-data": there["certificateAuthority"]["data"]}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": token()}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "test"}}],
        "current-context": "x",
    }
    (tmp_path / "config").write_text(json.dumps(config))

    def kubectl(*arguments: str, body: Any = None) -> str:
        done = subprocess.run(
            ["kubectl", "--kubeconfig", str(tmp_path / "config"), "--cache-dir", str(tmp_path / "cache"), *arguments],
            input=None if body is None else json.dumps(body), capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert (
        kubectl("apply", "--server-side", "-f", "-", body=deployment(image))
        == "deployment.apps/web serverside-applied\n"
    )
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    assert "1/1     1            1" in kubectl("get", "deployment", "web")
    assert kubectl("logs", "deployment/web") == "listening \n"
    kubectl("scale", "deployment/web", "--replicas=2")
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    assert len(kubectl("get", "pods", "-o", "name").splitlines()) >= 2
    kubectl("label", "deployment/web", "a=b")
    kubectl("rollout", "restart", "deployment/web")
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    assert "Successfully assigned" in kubectl("describe", "pods")
    assert "ip-10-0-" in kubectl("get", "nodes")
    kubectl("delete", "deployment", "web", "--wait")
