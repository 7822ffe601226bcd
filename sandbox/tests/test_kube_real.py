"""Clusters with a real API server: the same journey as on the stand-in."""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Sandbox, await_endpoint, start, until
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from eks import Eks
from kubernetes import MERGE, RESTRICTED, SLOW, Client, Kube, deployment, fetch, install, pod_spec, push, service, token
from test_kube_nodes import processes

from provisioner_sandbox.kube.certificates import certificate

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
            yield Kube(reached(await_endpoint(folder, process)), nodes=2)
    finally:
        process.kill()
        process.wait()


def reached(record: dict[str, Any]) -> Sandbox:
    """With its own keys: a real API server cannot tell who of this machine's users calls, and takes no others."""
    return Sandbox(record["endpoint"], (record["accessKeyId"], record["secretAccessKey"]))


def patiently(self: Eks, condition: object) -> object:
    self.sandbox.configure(timeScale=50_000, health=self.health)
    try:
        return until(condition, 60)  # type: ignore[arg-type]
    finally:
        self.slow()


needed = pytest.mark.skipif(
    not built() and os.environ.get("CI") != "true",
    reason="the Kubernetes control plane is not built: `tests/kube/testplane.py build`",
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
            # Entries come in the order of their times, which have whole seconds, then of their managers.
            document = {"spec": document["spec"], "entries": sorted(entries, key=lambda one: one["manager"])}
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


def keys(name: str) -> dict[str, str]:
    """Of a server whose certificate is self-signed, as a Secret has them."""
    key = ec.generate_private_key(ec.SECP256R1())
    made = certificate(name, name, key, key, (x509.SubjectAlternativeName([x509.DNSName(name)]), False))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    texts = {"tls.crt": made.public_bytes(serialization.Encoding.PEM), "tls.key": private}
    return {name: base64.b64encode(text).decode() for name, text in texts.items()}


def webhook(authority: str) -> dict[str, Any]:
    asked = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
    return {
        "metadata": {"name": "guard"},
        "webhooks": [
            {
                "name": "guard.sandbox.test",
                "clientConfig": {"service": {"name": "web", "namespace": "test"}, "caBundle": authority},
                "rules": [asked],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "test"}},
                "sideEffects": "None",
                "admissionReviewVersions": ["v1beta1"],
            }
        ],
    }


@needed
def test_it_reaches_pods(real: Kube) -> None:
    until(lambda: len(real.api.get("/api/v1/nodes")["items"]) == 2, SLOW)
    real.namespace()
    made = keys("web.test.svc")
    real.api("POST", f"{real.ns}/secrets", {"metadata": {"name": "keys"}, "data": made})
    spec = pod_spec(
        "public.ecr.aws/eks/aws-load-balancer-controller:v9.9.9",
        ports=[{"name": "webhook-server", "containerPort": 9443}, {"name": "http", "containerPort": 8000}],
        volumeMounts=[{"name": "keys", "mountPath": "/keys"}],
    )
    spec["volumes"] = [{"name": "keys", "secret": {"secretName": "keys"}}]
    real.roll_out(deployment("", spec=spec))
    name = real.pods()[0]["metadata"]["name"]
    assert real.api("GET", f"{real.ns}/pods/{name}:8000/proxy/") == (200, "ok\n")
    assert real.api("GET", f"{real.ns}/pods/{name}:1/proxy/")[0] == 503
    hooks = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    ports = [{"port": 443, "targetPort": "webhook-server"}]
    real.api("POST", f"{real.ns}/services", service(ports=ports))
    until(lambda: real.api("GET", f"{real.ns}/endpoints/web")[1].get("subsets"), SLOW)

    def ask(name: str) -> tuple[int, Any]:
        return real.api("POST", f"{real.ns}/configmaps", {"metadata": {"name": name}})

    try:
        assert real.api("POST", hooks, webhook(made["tls.crt"]))[0] == 201
        real.api("PATCH", real.deployment, {"spec": {"replicas": 0}}, MERGE)
        until(lambda: not real.pods(), SLOW)
        refused = until(lambda: (answer := ask(f"no-{os.urandom(4).hex()}"))[0] >= 400 and answer, SLOW)
        assert 'failed calling webhook "guard.sandbox.test"' in refused[1]["message"]
        real.api("PATCH", real.deployment, {"spec": {"replicas": 1}}, MERGE)
        until(lambda: ask("yes")[0] == 201, SLOW)
    finally:
        real.api("DELETE", f"{hooks}/guard")
        real.api("DELETE", real.ns)
    until(lambda: real.api("GET", real.ns)[0] == 404, 60)


def unpacked(folder: Path) -> subprocess.Popen[bytes]:
    """As `provisioner` starts it: sandbox and testbed beside each other, and hardly an environment."""
    source, state = folder / "source", folder / "state"
    skipped = shutil.ignore_patterns("__pycache__", ".*")
    shutil.copytree(ROOT / "provisioner_sandbox", source / "provisioner_sandbox", ignore=skipped)
    shutil.copytree(TESTBED, source / "testbed", ignore=skipped)
    state.mkdir()
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(state), "PYTHONPATH": str(source), "XDG_CACHE_HOME": cache,
    }  # fmt: skip
    command = [sys.executable, "-m", "provisioner_sandbox", "--state-dir", str(state), "--time-scale", "200"]
    return subprocess.Popen(
        [*command, "--kubernetes", str(source / "testbed" / "testplane.py")],
        cwd=folder, env=environment, stderr=(state / "stderr").open("wb"),
    )  # fmt: skip


def working_in(folder: Path) -> list[str]:
    """Programs whose working folder is in this one."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and (entry / "cwd").resolve().is_relative_to(folder):
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


@needed
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_nothing_outlives_the_sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Eks, "wait", patiently)
    signals = (signal.SIGTERM, signal.SIGKILL)
    folders = [tmp_path / number.name for number in signals]
    for folder in folders:
        folder.mkdir()
    # Beside each other: a control plane waits more than it computes until it is ready.
    with ThreadPoolExecutor() as pool:
        list(pool.map(nothing_outlives, folders, signals))


def nothing_outlives(folder: Path, number: signal.Signals) -> None:
    """A sandbox that gets this signal, with a cluster and a pod."""
    process = unpacked(folder)
    try:
        kube = Kube(reached(await_endpoint(folder / "state", process)), nodes=1)
        until(lambda: kube.api.get("/api/v1/nodes")["items"], SLOW)
        kube.namespace()
        env = [{"name": "PLACE", "value": str(folder)}]
        kube.roll_out(deployment("", spec=pod_spec(push(kube.sandbox), env=env)))
        assert processes(folder)
        assert any("kube-apiserver" in one for one in working_in(folder))
    finally:
        process.send_signal(number)
        process.wait()
    until(lambda: not processes(folder) and not working_in(folder), SLOW)


@needed
def test_the_journey(real: Kube) -> None:
    assert real.api.get("/version")["gitVersion"] == f"v{real.sandbox.ext('GET', 'status')[1]['kubernetes']}"
    key, secret = real.sandbox.keys
    other = token("other", key=key, secret=secret)
    for bearer in (other, token(), token(key=key, secret="sandbox")):
        assert Client(real.cluster(), bearer)("GET", "/api/v1/namespaces")[0] == 401
    until(lambda: len(real.api.get("/api/v1/nodes")["items"]) == 2, SLOW)
    real.namespace(**RESTRICTED)
    install(real)
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
    elb = real.sandbox.client("elbv2")
    assert len(elb.describe_load_balancers()["LoadBalancers"]) == 1
    assert "service.k8s.aws/resources" in real.api.get(f"{real.ns}/services/web")["metadata"]["finalizers"]
    real.api("DELETE", f"{real.ns}/services/web")
    until(lambda: real.api("GET", f"{real.ns}/services/web")[0] == 404, SLOW)
    assert elb.describe_load_balancers()["LoadBalancers"] == []
    assert real.sandbox.ext("POST", "reset")[0] == 200
    with pytest.raises(OSError):
        real.api("GET", "/version")
        until(lambda: real.api("GET", "/version") and False, SLOW)
