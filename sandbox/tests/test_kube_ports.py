"""Ports of pods: each pod has all of them, as in Kubernetes, where containers of a pod share a network and pods do not.

Source: https://kubernetes.io/docs/concepts/cluster-administration/networking/ and
https://kubernetes.io/docs/concepts/workloads/pods/#pod-networking
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Sandbox, await_endpoint, until
from kubernetes import RESTRICTED, SLOW, Kube, address, deployment, install, pod_spec, push, service

from provisioner_sandbox import connection_owner
from provisioner_sandbox.kube.networks.pods import NETWORKS

NETWORKED = NETWORKS.trouble() is None
networked = pytest.mark.skipif(not NETWORKED, reason="pods have no network of their own here")
with socket.socket() as free:
    # One that is free on all addresses: other sandboxes of this machine have pods too.
    free.bind(("0.0.0.0", 0))
    PORT: int = free.getsockname()[1]
# A server as most are: at all addresses of the port.
WEB = b"""
import json, os, urllib.error, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        ask = self.headers.get("X-Ask")
        body = json.dumps({"pod": os.environ["HOSTNAME"], "said": ask and answer(ask)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

def answer(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as found:
            return [found.status, found.read().decode()]
    except urllib.error.HTTPError as error:
        return [error.code, error.read().decode()]
    except OSError as error:
        return [0, str(error)]

if os.environ.get("BROKEN"):
    import time
    time.sleep(1)
    raise SystemExit("the application is broken")
ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"""
WITHOUT_MOUNTS = """
import ctypes, os, sys
# Without CAP_SYS_ADMIN, root may not have namespaces: capabilities(7).
assert ctypes.CDLL(None).prctl(24, 21, 0, 0, 0) == 0
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.fixture(scope="module")
def cluster(running: Sandbox) -> Kube:
    assert running.ext("POST", "reset")[0] == 200
    return Kube(running, nodes=2)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kube]:
    """A cluster whose pods have no network of their own."""
    directory = tmp_path_factory.mktemp("shared")
    command = ["-c", WITHOUT_MOUNTS, "-m", "provisioner_sandbox", "--state-dir", str(directory), "--time-scale", "200"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (directory / "stderr").open("wb") as said:
        process = subprocess.Popen([sys.executable, *command], env=environment, stderr=said)
    try:
        yield Kube(Sandbox(await_endpoint(directory, process)["endpoint"]), nodes=2)
        assert "pods share this machine's network" in (directory / "stderr").read_text()
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def kube(request: pytest.FixtureRequest) -> Iterator[Kube]:
    """The cluster that the test names, with an empty namespace."""
    found: Kube = request.getfixturevalue(getattr(request, "param", "cluster"))
    found.namespace(**RESTRICTED)
    yield found
    found.clear()


def web(kube: Kube, replicas: int = 1, **variables: str) -> dict[str, Any]:
    """A Deployment of the server."""
    image = push(kube.sandbox, {"app": None, "app/web.py": WEB})
    env = [{"name": name, "value": value} for name, value in {"PORT": str(PORT), **variables}.items()]
    return deployment("", replicas, pod_spec(image, env=env, ports=[{"name": "http", "containerPort": PORT}]))


def fetch(where: str, url: str = "") -> Any:
    """What a pod answers, which has asked there if there is a URL."""
    with urllib.request.urlopen(urllib.request.Request(f"http://{where}/", headers={"X-Ask": url})) as answer:
        return json.load(answer)


def answers(where: str) -> bool:
    try:
        return "pod" in fetch(where)
    except OSError:
        return False


def bound(held: socket.socket) -> bool:
    """Whether it has the port now, which pods of an earlier test may still have."""
    try:
        held.bind(("0.0.0.0", PORT))
    except OSError:
        return False
    return True


def ready(kube: Kube) -> dict[str, bool]:
    """Of the pods that are not being deleted, by name."""
    return {
        pod["metadata"]["name"]: pod["status"].get("containerStatuses", [{}])[0].get("ready", False)
        for pod in kube.pods()
        if not pod["metadata"].get("deletionTimestamp")
    }


def ask(kube: Kube, url: str) -> Any:
    """What a pod is answered there."""
    return fetch(f"{kube.pods()[0]['status']['podIP']}:{PORT}", url)["said"]


@networked
class TestOwn:
    def test_replicas_at_all_addresses_answer_each_for_itself(self, kube: Kube) -> None:
        install(kube)
        kube.api.apply(f"{kube.ns}/services/web", service(type="LoadBalancer", loadBalancerClass="service.k8s.aws/nlb"))
        kube.roll_out(web(kube, 3))
        for pod in kube.pods():
            assert fetch(f"{pod['status']['podIP']}:{PORT}")["pod"] == pod["metadata"]["name"]
        where = address(kube)
        until(lambda: answers(where), SLOW)
        assert len(ready(kube)) == 3
        until(lambda: {fetch(where)["pod"] for _ in range(6)} == set(ready(kube)), SLOW)
        # Pods reach the load balancer too, and one another at the same port.
        assert '"pod"' in ask(kube, f"http://{where}/")[1]
        first, second = kube.pods()[:2]
        assert second["metadata"]["name"] in ask(kube, f"http://{second['status']['podIP']}:{PORT}/")[1]
        assert first["metadata"]["name"] in ask(kube, f"http://{first['status']['podIP']}:{PORT}/")[1]

    def test_they_reach_the_sandbox_as_their_own_user(self, kube: Kube) -> None:
        kube.roll_out(web(kube))
        # Not root's, who may do everything: pods need credentials, as in AWS.
        assert ask(kube, f"{kube.sandbox.endpoint}/_ext/status")[0] == 403
        server = kube.cluster()["endpoint"]
        assert "CERTIFICATE_VERIFY_FAILED" in ask(kube, f"{server}/version")[1]

    def test_a_port_of_this_machine_that_is_taken_is_said(self, kube: Kube) -> None:
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            until(lambda: bound(other))
            other.listen()
            kube.api.apply(kube.deployment, web(kube))
            text = f":{PORT} cannot be opened on this machine: Address already in use"
            until(lambda: any(one.endswith(text) for one in kube.events("Unhealthy")), SLOW)
            assert not any(ready(kube).values())
        until(lambda: any(ready(kube).values()), SLOW)

    def test_who_called_is_forgotten_where_no_answer_is(self) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            there = closed.getsockname()
            network = NETWORKS.make("127.127.255.253", {there[1]})
            assert network is not None
            with network.namespace.socket() as pod:
                pod.settimeout(10)
                pod.connect(there)
                # The relay takes the connection, and resets it when this machine refuses it.
                with pytest.raises(ConnectionResetError):
                    pod.recv(1)
            until(lambda: not connection_owner.RELAYED)
        NETWORKS.leave(network)

    def test_they_ask_name_servers(self) -> None:
        network = NETWORKS.make("127.127.255.253", set())
        assert network is not None
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("127.127.255.252", 53))

            def answer() -> None:
                question, caller = server.recvfrom(100)
                server.sendto(question + b" answer", caller)

            threading.Thread(target=answer, daemon=True).start()
            with network.namespace.socket(socket.SOCK_DGRAM) as pod:
                pod.settimeout(10)
                # Connected, it takes an answer from this address alone.
                pod.connect(("127.127.255.252", 53))
                pod.send(b"question")
                assert pod.recv(100) == b"question answer"
        NETWORKS.leave(network)

    def test_nothing_is_left_when_the_sandbox_is_killed(self, tmp_path: Path) -> None:
        before = set(Path("/sys/class/net").iterdir())
        command = [sys.executable, "-m", "provisioner_sandbox", "--state-dir", str(tmp_path), "--time-scale", "200"]
        process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)})
        try:
            kube = Kube(Sandbox(await_endpoint(tmp_path, process)["endpoint"]), nodes=2)
            kube.namespace()
            kube.roll_out(web(kube))
            where = f"{kube.pods()[0]['status']['podIP']}:{PORT}"
            assert answers(where)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        until(lambda: not answers(where), SLOW)
        assert set(Path("/sys/class/net").iterdir()) == before


@pytest.mark.parametrize("kube", [pytest.param("cluster", marks=networked), "shared"], indirect=True)
@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
def test_a_broken_release_is_not_taken_for_the_old_one(kube: Kube) -> None:
    kube.roll_out(web(kube))
    (old,) = ready(kube)
    kube.api.apply(kube.deployment, web(kube, BROKEN="1"))
    crashed = until(lambda: kube.waiting("CrashLoopBackOff"), SLOW)
    assert crashed["lastState"]["terminated"]["exitCode"] == 1
    limit = time.monotonic() + 3
    while time.monotonic() < limit:
        assert [name for name, holds in ready(kube).items() if holds] == [old]
        time.sleep(0.05)


@pytest.mark.parametrize("kube", ["shared"], indirect=True)
@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
def test_a_port_that_another_pod_has_taken_is_said(kube: Kube) -> None:
    kube.roll_out(web(kube))
    (old,) = ready(kube)
    kube.api.apply(kube.deployment, web(kube, 2))
    said = until(lambda: kube.events("PortTaken"), SLOW)[0]
    assert said.startswith(f"port {PORT} of this pod is taken by the pod test/{old}, which listens at all addresses")
    until(lambda: kube.waiting("CrashLoopBackOff"), SLOW)
    second = next(name for name in ready(kube) if name != old)
    log = kube.api("GET", f"{kube.ns}/pods/{second}/log?previous=true")[1]
    assert log.startswith(f"sandbox: {said}\n") and "Address already in use" in log
    assert [name for name, holds in ready(kube).items() if holds] == [old]
