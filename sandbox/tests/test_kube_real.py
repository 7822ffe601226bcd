"""Clusters with a real API server: the same journey as on the stand-in."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT, Sandbox, await_endpoint, start, until
from eks import Eks
from kubernetes import RESTRICTED, SLOW, Client, Kube, deployment, fetch, pod_spec, push, service, token

TESTBED = ROOT.parent / "tests" / "kube"


def built() -> bool:
    """Whether the control plane is there; to build it takes minutes."""
    if not TESTBED.is_dir():
        return False
    sys.path.insert(0, str(TESTBED))
    try:
        from plane.binary import place

        return place().exists()
    finally:
        sys.path.remove(str(TESTBED))


@pytest.fixture
def real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kube]:
    process = start(tmp_path, "--time-scale", "200", "--kubernetes", str(TESTBED / "testplane.py"))
    # It is there when it answers, which is no matter of the clock's pace.
    monkeypatch.setattr(Eks, "wait", patiently)
    try:
        yield Kube(Sandbox(await_endpoint(tmp_path, process)["endpoint"]), nodes=2)
    finally:
        process.kill()
        process.wait()


def patiently(self: Eks, condition: object) -> object:
    self.sandbox.configure(timeScale=50_000, health=self.health)
    try:
        return until(condition, 60)  # type: ignore[arg-type]
    finally:
        self.slow()


@pytest.mark.skipif(not built(), reason="the Kubernetes control plane is not built: `tests/kube/testplane.py build`")
def test_the_journey(real: Kube) -> None:
    assert "sandbox" not in real.api.get("/version")["gitVersion"]
    assert Client(real.cluster(), token("other"))("GET", "/api/v1/namespaces")[0] == 401
    until(lambda: len(real.api.get("/api/v1/nodes")["items"]) == 2, SLOW)
    real.namespace(**RESTRICTED)
    real.api.apply(
        f"{real.ns}/services/web",
        service(type="LoadBalancer", loadBalancerClass="service.k8s.aws/nlb", allocateLoadBalancerNodePorts=False),
    )
    image = push(real.sandbox)
    real.roll_out(deployment("", 2, pod_spec(image, env=[{"name": "WORD", "value": "one"}])))
    found = until(lambda: real.api.get(f"{real.ns}/services/web")["status"]["loadBalancer"].get("ingress"), SLOW)[0][
        "ip"
    ]

    def word() -> str | None:
        try:
            return fetch(found)["environment"]["WORD"]
        except OSError:
            return None

    until(lambda: word() == "one", SLOW)
    name = real.pods()[0]["metadata"]["name"]
    assert real.api("GET", f"{real.ns}/pods/{name}/log") == (200, "listening one\n")
    real.roll_out(deployment("", 2, pod_spec(image, env=[{"name": "WORD", "value": "two"}])))
    until(lambda: word() == "two", SLOW)
    real.api.apply(real.deployment, deployment("", 2, pod_spec("nginx:1")))
    until(lambda: real.waiting("ImagePullBackOff"), SLOW)
    assert real.sandbox.ext("POST", "reset")[0] == 200
    with pytest.raises(OSError):
        real.api("GET", "/version")
        until(lambda: real.api("GET", "/version") and False, SLOW)
