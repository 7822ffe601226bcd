"""Clusters with a real API server: the same journey as on the stand-in."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import ROOT, Sandbox, await_endpoint, start, until
from eks import Eks
from kubernetes import MERGE, RESTRICTED, SLOW, Client, Kube, deployment, fetch, pod_spec, push, service, token

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


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kube]:
    folder = tmp_path_factory.mktemp("real")
    process = start(folder, "--time-scale", "200", "--kubernetes", str(TESTBED / "testplane.py"))
    try:
        with pytest.MonkeyPatch.context() as patched:
            # It is there when it answers, which is no matter of the clock's pace.
            patched.setattr(Eks, "wait", patiently)
            yield Kube(Sandbox(await_endpoint(folder, process)["endpoint"]), nodes=2)
    finally:
        process.kill()
        process.wait()


def patiently(self: Eks, condition: object) -> object:
    self.sandbox.configure(timeScale=50_000, health=self.health)
    try:
        return until(condition, 60)  # type: ignore[arg-type]
    finally:
        self.slow()


needed = pytest.mark.skipif(
    not built(), reason="the Kubernetes control plane is not built: `tests/kube/testplane.py build`"
)
# Differ from run to run.
OWN = {
    "uid", "resourceVersion", "creationTimestamp", "time", "deletionTimestamp", "clusterIP", "clusterIPs",
    "lastTransitionTime", "lastUpdateTime", "nodePort",
}  # fmt: skip
CONFIG = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "a", "labels": {"x": "1"}},
    "data": {"k": "v", "l": "w"},
}
OTHER = {**CONFIG, "metadata": {"name": "a", "labels": {"x": "2"}}, "data": {"k": "other", "l": "z"}}


def plain(value: Any, key: str = "") -> Any:
    if key in OWN:
        return None
    if isinstance(value, dict):
        return {name: plain(one, name) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UID", value) if isinstance(value, str) else value


def script(kube: Kube) -> list[Any]:
    """What both kinds of API server are asked, and what they say."""
    api, said = kube.api, []
    config, web = f"{kube.ns}/configmaps/a", kube.deployment

    def ask(answer: tuple[int, Any]) -> None:
        code, document = answer
        if isinstance(document, dict) and document.get("kind") == "Deployment":
            # What controllers add comes in its own time.
            entries = [one for one in document["metadata"]["managedFields"] if one["operation"] == "Apply"]
            document = {"spec": document["spec"], "entries": entries}
        said.append((code, plain(document), api.warning))

    ask(api.apply(config, CONFIG, "one"))
    ask(api.apply(config, OTHER, "two"))
    ask(api.apply(config, OTHER, "two", force="true", dryRun="All"))
    ask(api.apply(config, {**CONFIG, "data": {"l": "w"}}, "two"))
    ask(api.apply(config, {**CONFIG, "data": {}}, "one"))
    ask(api("PATCH", config, {"data": {"q": "1"}}, MERGE))
    ask(api.apply(config, {**CONFIG, "data": {"q": "2"}}, "two"))
    ask(api.apply(config, {**CONFIG, "bogus": 1}, "one"))
    ask(api("POST", f"{kube.ns}/configmaps?fieldValidation=Strict", {**CONFIG, "bogus": 1}))
    ask(api("PUT", config, {**CONFIG, "metadata": {"name": "a", "resourceVersion": "1"}}))
    ask(api("POST", f"{kube.ns}/configmaps", {**CONFIG, "metadata": {"name": "A_b"}}))
    ask(api("GET", f"{kube.ns}/configmaps/none"))
    ask(api("GET", "/apis/none/v1/things"))
    ask(api("GET", "/api/v1/bananas"))
    ask(api.apply("/api/v1/namespaces/none/configmaps/a", CONFIG))
    ask(api("DELETE", config))
    ask(api.apply(web, deployment("x:1", 0)))
    bare = pod_spec("x:1")
    del bare["containers"][0]["readinessProbe"]
    ask(api.apply(web, deployment("", 0, bare), dryRun="All"))
    two = {"containers": [{"name": "side", "image": "y", "env": [{"name": "A", "value": "1"}]}]}
    ask(api.apply(web, deployment("", 0, two), "other", dryRun="All"))
    ask(api.apply(web, deployment("x:1", 0, selector={"matchLabels": {"app": "other"}})))
    ask(api.apply(web, deployment("x:1", 0, strategy={"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}})))
    ask(
        api(
            "POST",
            f"{kube.ns}/pods",
            {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "x"}]}},
        )
    )
    ask(api.apply(f"{kube.ns}/services/web", service()))
    ask(api.apply(f"{kube.ns}/services/web", service(type="LoadBalancer", loadBalancerClass="a.b/c")))
    ask(api("DELETE", f"{kube.ns}/services/web"))
    ask(api("DELETE", web))
    return said


@needed
def test_the_stand_in_answers_as_it_does(real: Kube, running: Sandbox) -> None:
    assert running.ext("POST", "reset")[0] == 200
    stand_in = Kube(running)
    answers = []
    for kube in (real, stand_in):
        kube.namespace(**RESTRICTED)
        answers.append(script(kube))
        kube.api("DELETE", kube.ns)
    until(lambda: real.api("GET", real.ns)[0] == 404, 60)
    for theirs, ours in zip(*answers, strict=True):
        assert ours == theirs


@needed
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
