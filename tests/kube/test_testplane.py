"""The testbed as a whole: one cluster for all tests, a namespace for each."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

from plane import binary

from provisioner_sandbox.kube import tokens
from provisioner_sandbox.kube.kubelet.remote import Api, ApiError

PROGRAM = Path(__file__).resolve().parent / "testplane.py"
REGION = "eu-central-1"
KEY = "AKIDEXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
ROLE = "arn:aws:iam::111122223333:role/admin"
READER_KEY = "AKIDREADER"
READER = "arn:aws:iam::111122223333:user/reader"
STRANGER_KEY = "AKIDSTRANGER"
IDENTITIES = {
    "credentials": {
        KEY: {"secret": SECRET, "arn": "arn:aws:sts::111122223333:assumed-role/admin/me"},
        READER_KEY: {"secret": SECRET, "arn": READER},
        STRANGER_KEY: {"secret": SECRET, "arn": "arn:aws:iam::111122223333:user/stranger"},
    },
    "access": {
        ROLE: {"groups": ["system:masters"]},
        READER: {"username": "reader", "groups": ["readers"]},
    },
}
APPLY = "application/apply-patch+yaml"
APPS = "/apis/apps/v1/namespaces"
CORE = "/api/v1/namespaces"


class Running:
    """The cluster that the tests share."""

    process: subprocess.Popen[bytes]
    folder: tempfile.TemporaryDirectory[str]
    found: dict[str, Any]
    api: Api


def setUpModule() -> None:
    try:
        binary.ensure(lambda text: print(text, file=sys.stderr))
    except binary.GoMissing as error:
        if os.environ.get("CI") == "true":
            raise
        raise unittest.SkipTest(str(error)) from error
    Running.folder = tempfile.TemporaryDirectory()
    Running.process, Running.found = run(Path(Running.folder.name))
    Running.api = client(Running.found)


def tearDownModule() -> None:
    Running.api.close()
    Running.process.stdin.close()
    Running.process.wait(20)
    Running.process.stdout.close()
    Running.folder.cleanup()


def command(name: str, folder: Path, *more: str) -> list[str]:
    return [sys.executable, "-B", str(PROGRAM), name, "--dir", str(folder), *more]


def run(folder: Path, *more: str) -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
    (folder / "identities.json").write_text(json.dumps(IDENTITIES))
    process = subprocess.Popen(
        command("run", folder, "--cluster", "demo", "--region", REGION, *more),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    line = process.stdout.readline()
    assert line, f"the cluster did not start: {process.wait()}"
    return process, json.loads(line)


def client(found: dict[str, Any], identity: str = "admin") -> Api:
    port = int(found["endpoint"].rpartition(":")[2])
    return Api(port, Path(found["dir"]) / "pki", identity, "test/1")


def until(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    limit = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < limit, f"it did not come true: {value!r}"
        time.sleep(0.05)


def kubectl(*args: str, code: int = 0, text: str | None = None, config: str | None = None) -> str:
    asked = subprocess.run(
        [Running.found["kubectl"], "--kubeconfig", config or Running.found["adminKubeconfig"], *args],
        input=text,
        capture_output=True,
        text=True,
        timeout=40,
    )
    assert asked.returncode == code, (args, asked.returncode, asked.stdout, asked.stderr)
    return asked.stdout + asked.stderr


def remains(folder: Path) -> list[str]:
    """Processes that work in the folder."""
    found = []
    listed = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    for line in listed.splitlines()[1:]:
        pid, _, args = line.strip().partition(" ")
        where = ""
        with contextlib.suppress(OSError):
            where = os.readlink(f"/proc/{pid}/cwd")
        if str(folder) in (where, args) or f"{folder} " in f"{args} ":
            found.append(line)
    return found


def anyone() -> ssl.SSLContext:
    """Who shows no certificate of his own."""
    return ssl.create_default_context(cadata=base64.b64decode(Running.found["caData"]).decode())


def ask(token: str) -> int:
    """The status that the API server answers the bearer of a token with."""
    server = Running.found["endpoint"].removeprefix("https://")
    connection = http.client.HTTPSConnection(server, context=anyone(), timeout=60)
    connection.request("GET", "/api/v1/namespaces", headers={"Authorization": f"Bearer {token}"})
    status = connection.getresponse().status
    connection.close()
    return status


class Cluster(unittest.TestCase):
    def setUp(self) -> None:
        name = re.sub(r"[^a-z0-9-]", "-", self.id().rpartition(".")[2].lower())
        self.namespace = name[:50].strip("-")
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        self.api = Running.api
        self.api.call("POST", CORE, body)
        until(lambda: self.api.get(f"{CORE}/{self.namespace}/serviceaccounts/default"))

    def tearDown(self) -> None:
        self.api.call("DELETE", f"{CORE}/{self.namespace}")

    # --- what is made -----------------------------------------------------------------------------------------------

    def make(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self.api.call("POST", path, body)

    def pod(self, name: str = "web", behaviour: Any = None, image: str = "nginx", **spec: Any) -> None:
        container: dict[str, Any] = {"name": "web", "image": image, **spec.pop("container", {})}
        metadata: dict[str, Any] = {"name": name, "labels": {"app": name}}
        if behaviour is not None:
            metadata["annotations"] = {"testplane/behaviour": json.dumps({"web": behaviour})}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container], **spec}}
        self.make(f"{CORE}/{self.namespace}/pods", body)

    def deployment(self, replicas: int = 1, image: str = "nginx", **container: Any) -> dict[str, Any]:
        labels = {"app": "web"}
        template = {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "web", "image": image, **container}]},
        }
        spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
        return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}

    # --- what is seen -----------------------------------------------------------------------------------------------

    def look(self, name: str = "web") -> dict[str, Any] | None:
        return self.api.get(f"{CORE}/{self.namespace}/pods/{name}")

    def container(self, name: str = "web") -> dict[str, Any]:
        statuses = (self.look(name) or {}).get("status", {}).get("containerStatuses") or [{}]
        return statuses[0]

    def waiting(self, name: str = "web") -> dict[str, Any]:
        return self.container(name).get("state", {}).get("waiting", {})

    def condition(self, kind: str, name: str = "web") -> dict[str, Any]:
        conditions = (self.look(name) or {}).get("status", {}).get("conditions", [])
        return next((condition for condition in conditions if condition["type"] == kind), {})

    def is_ready(self, name: str = "web") -> bool:
        return self.condition("Ready", name).get("status") == "True"

    def events(self, reason: str) -> list[str]:
        items = self.api.call("GET", f"{CORE}/{self.namespace}/events")["items"]
        return [item["message"] for item in items if item["reason"] == reason]

    def waits_with(self, reason: str, name: str = "web") -> str:
        return until(lambda: self.waiting(name).get("reason") == reason and self.waiting(name)).get("message", "")


class Rollouts(Cluster):
    def test_good_one(self) -> None:
        probe = {"httpGet": {"path": "/health", "port": 8000}, "periodSeconds": 1}
        manifest = self.deployment(3, startupProbe=probe, readinessProbe=probe, livenessProbe=probe)
        kubectl("apply", "--server-side", "-n", self.namespace, "-f", "-", text=json.dumps(manifest))
        said = kubectl("rollout", "status", "-n", self.namespace, "deployment/web", "--timeout=20s")
        self.assertIn("successfully rolled out", said)
        status = self.api.get(f"{APPS}/{self.namespace}/deployments/web")["status"]
        self.assertEqual((status["readyReplicas"], status["availableReplicas"]), (3, 3))
        pods = self.api.call("GET", f"{CORE}/{self.namespace}/pods")["items"]
        # The real scheduler spreads them.
        self.assertEqual(len({pod["spec"]["nodeName"] for pod in pods}), 2)
        self.assertEqual(len({pod["status"]["podIP"] for pod in pods}), 3)
        self.assertIn("started nginx", kubectl("logs", "-n", self.namespace, "deployment/web"))

    def test_another_image_takes_its_place(self) -> None:
        path = f"{APPS}/{self.namespace}/deployments"
        self.make(path, self.deployment(2))
        until(lambda: self.api.get(f"{path}/web").get("status", {}).get("readyReplicas") == 2)
        image = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "nginx:2"}]
        self.api.call("PATCH", f"{path}/web", image, "application/json-patch+json")
        kubectl("rollout", "status", "-n", self.namespace, "deployment/web", "--timeout=20s")

        def images() -> set[str]:
            return {
                pod["spec"]["containers"][0]["image"]
                for pod in self.api.call("GET", f"{CORE}/{self.namespace}/pods")["items"]
            }

        until(lambda: images() == {"nginx:2"})

    def test_only_ready_pods_are_endpoints(self) -> None:
        service = {"selector": {"app": "web"}, "ports": [{"port": 80, "protocol": "TCP"}]}
        body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": service}
        self.make(f"{CORE}/{self.namespace}/services", body)
        ready = {"readinessProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 1}}
        for name, behaviour in {"good": {}, "bad": {"ready": False}}.items():
            self.pod(name, behaviour, container=ready)
            path = f"{CORE}/{self.namespace}/pods/{name}"
            self.api.call("PATCH", path, {"metadata": {"labels": {"app": "web"}}}, "application/merge-patch+json")

        def endpoints() -> list[tuple[str, bool]]:
            slices = self.api.call("GET", f"/apis/discovery.k8s.io/v1/namespaces/{self.namespace}/endpointslices")
            found = [endpoint for item in slices["items"] for endpoint in item["endpoints"] or []]
            return sorted((endpoint["targetRef"]["name"], endpoint["conditions"]["ready"]) for endpoint in found)

        until(lambda: endpoints() == [("bad", False), ("good", True)])

    def test_a_job_completes(self) -> None:
        template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "web", "image": "nginx"}]}}
        body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "work"}, "spec": {"template": template}}
        self.make(f"/apis/batch/v1/namespaces/{self.namespace}/jobs", body)
        path = f"/apis/batch/v1/namespaces/{self.namespace}/jobs/work"
        until(lambda: self.api.get(path).get("status", {}).get("succeeded") == 1)


class Failures(Cluster):
    def test_image_that_is_not_there(self) -> None:
        self.pod(image="testplane.test/missing:1.0")
        self.assertEqual(self.waits_with("ErrImagePull"), "testplane.test/missing:1.0: not found")
        self.assertIn('Back-off pulling image "testplane.test/missing:1.0"', self.waits_with("ImagePullBackOff"))
        self.assertTrue(any("Failed to pull image" in message for message in self.events("Failed")))
        said = kubectl("logs", "-n", self.namespace, "web", code=1)
        self.assertIn("waiting to start: ", said)
        self.assertEqual(self.look()["status"]["phase"], "Pending")

    def test_crash_loop(self) -> None:
        self.pod(behaviour={"exit": {"code": 3}, "log": ["starting", "fatal: no database"]})
        self.assertRegex(self.waits_with("CrashLoopBackOff"), r"^back-off 10s restarting failed container=web pod=web_")
        seen = self.container()
        self.assertEqual(seen["lastState"]["terminated"]["exitCode"], 3)
        self.assertEqual(seen["lastState"]["terminated"]["reason"], "Error")
        self.assertGreaterEqual(seen["restartCount"], 1)
        self.assertEqual(self.condition("Ready")["reason"], "ContainersNotReady")
        logs = kubectl("logs", "-n", self.namespace, "web", "--previous", "--tail=1")
        self.assertEqual(logs, "fatal: no database\n")
        self.assertTrue(until(lambda: self.events("BackOff")))

    def test_crash_that_passes(self) -> None:
        self.pod(behaviour={"exit": {"code": 1, "times": 2}})
        until(lambda: self.container().get("restartCount") == 2 and self.is_ready())
        self.assertEqual(self.container()["lastState"]["terminated"]["exitCode"], 1)

    def test_out_of_memory(self) -> None:
        self.pod(image="testplane.test/oom")
        self.waits_with("CrashLoopBackOff")
        ended = self.container()["lastState"]["terminated"]
        self.assertEqual((ended["exitCode"], ended["reason"]), (137, "OOMKilled"))

    def test_what_cannot_be_started(self) -> None:
        self.pod(behaviour={"start": 'exec: "serve": executable file not found in $PATH'})
        self.waits_with("CrashLoopBackOff")
        ended = self.container()["lastState"]["terminated"]
        self.assertEqual((ended["exitCode"], ended["reason"]), (128, "StartError"))
        self.assertIn("not found in $PATH", ended["message"])

    def test_missing_config_map_and_key(self) -> None:
        variable = {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "a"}}}
        self.pod(container={"env": [variable]})
        self.assertEqual(self.waits_with("CreateContainerConfigError"), 'configmap "settings" not found')
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"b": "1"}}
        self.make(f"{CORE}/{self.namespace}/configmaps", body)
        wanted = f"couldn't find key a in ConfigMap {self.namespace}/settings"
        until(lambda: self.waiting().get("message") == wanted)
        path = f"{CORE}/{self.namespace}/configmaps/settings"
        self.api.call("PATCH", path, {"data": {"a": "1"}}, "application/merge-patch+json")
        until(self.is_ready)

    def test_missing_secret(self) -> None:
        self.pod(container={"envFrom": [{"secretRef": {"name": "keys"}}]})
        self.assertEqual(self.waits_with("CreateContainerConfigError"), 'secret "keys" not found')

    def test_missing_volume(self) -> None:
        self.pod(volumes=[{"name": "v", "secret": {"secretName": "keys"}}])
        wanted = 'MountVolume.SetUp failed for volume "v" : secret "keys" not found'
        until(lambda: wanted in self.events("FailedMount"))
        self.assertEqual(self.waiting()["reason"], "ContainerCreating")

    def test_unschedulable(self) -> None:
        self.pod(container={"resources": {"requests": {"cpu": "100"}}})
        scheduled = until(lambda: self.condition("PodScheduled"))
        self.assertEqual((scheduled["status"], scheduled["reason"]), ("False", "Unschedulable"))
        self.assertTrue(
            any("Insufficient cpu" in message for message in until(lambda: self.events("FailedScheduling")))
        )
        self.assertEqual(self.look()["status"]["phase"], "Pending")

    def test_readiness(self) -> None:
        self.pod(
            container={"readinessProbe": {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 1}},
            image="testplane.test/unready",
        )
        message = until(lambda: self.events("Unhealthy"))[0]
        self.assertEqual(message, "Readiness probe failed: HTTP probe failed with statuscode: 503")
        self.assertFalse(self.is_ready())
        self.assertEqual(self.container()["restartCount"], 0)
        # A container that runs is told to behave otherwise, and back.
        file = Path(Running.found["behaviour"])
        try:
            file.write_text(json.dumps([{"namespace": self.namespace, "behaviour": {"ready": True}}]))
            until(self.is_ready)
            file.write_text(json.dumps([{"namespace": self.namespace, "behaviour": {"ready": False}}]))
            until(lambda: not self.is_ready())
        finally:
            file.unlink()

    def test_slow_start(self) -> None:
        probe = {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 1, "failureThreshold": 60}
        self.pod(behaviour={"ready": {"after": 1.5}}, container={"startupProbe": probe})
        until(lambda: "running" in self.container().get("state", {}))
        self.assertFalse(self.container()["started"])
        began = time.monotonic()
        until(self.is_ready)
        self.assertGreater(time.monotonic() - began, 0.5)

    def test_liveness(self) -> None:
        probe = {"exec": {"command": ["check"]}, "periodSeconds": 1, "failureThreshold": 2}
        self.pod(behaviour={"alive": {"until": 0.5}}, container={"livenessProbe": probe})
        until(lambda: self.container().get("restartCount", 0) >= 1)
        self.assertIn("Container web failed liveness probe, will be restarted", self.events("Killing"))
        self.assertEqual(self.container()["lastState"]["terminated"]["exitCode"], 143)

    def test_init_container_that_fails(self) -> None:
        first = {"name": "first", "image": "testplane.test/crash:4"}
        self.pod(initContainers=[first])

        def state() -> dict[str, Any]:
            return ((self.look() or {}).get("status", {}).get("initContainerStatuses") or [{}])[0].get("state", {})

        until(lambda: state().get("waiting", {}).get("reason") == "CrashLoopBackOff")
        self.assertEqual(self.waiting()["reason"], "PodInitializing")
        self.assertEqual(self.condition("Initialized")["status"], "False")

    def test_a_mistake_in_a_behaviour_is_seen(self) -> None:
        self.pod(behaviour={"redy": False})
        self.assertIn("'redy' is none of", self.waits_with("CreateContainerError"))

    def test_restricted_pod_security(self) -> None:
        label = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
        self.api.call("PATCH", f"{CORE}/{self.namespace}", label, "application/merge-patch+json")
        path = f"{APPS}/{self.namespace}/deployments"
        self.make(path, self.deployment(securityContext={"privileged": True}))

        def failure() -> str:
            conditions = self.api.get(f"{path}/web").get("status", {}).get("conditions", [])
            return next((c["message"] for c in conditions if c["type"] == "ReplicaFailure"), "")

        self.assertIn('violates PodSecurity "restricted', until(failure))

    def test_restricted_pod_security_lets_a_hardened_pod_in(self) -> None:
        label = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
        self.api.call("PATCH", f"{CORE}/{self.namespace}", label, "application/merge-patch+json")
        context = {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        self.pod(container={"securityContext": context})
        until(self.is_ready)

    def test_quota(self) -> None:
        body = {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "few"},
            "spec": {"hard": {"pods": "1"}},
        }
        self.make(f"{CORE}/{self.namespace}/resourcequotas", body)
        until(lambda: self.api.get(f"{CORE}/{self.namespace}/resourcequotas/few").get("status", {}).get("hard"))
        self.make(f"{APPS}/{self.namespace}/deployments", self.deployment(3))
        until(lambda: any("exceeded quota" in message for message in self.events("FailedCreate")))


class Deleting(Cluster):
    def delete(self, **options: Any) -> None:
        self.api.call(
            "DELETE", f"{CORE}/{self.namespace}/pods/web", {"apiVersion": "v1", "kind": "DeleteOptions", **options}
        )

    def seconds(self) -> float:
        until(self.is_ready)
        began = time.monotonic()
        self.delete()
        self.assertIn("deletionTimestamp", (self.look() or {"metadata": {"deletionTimestamp": ""}})["metadata"])
        until(lambda: self.look() is None)
        return time.monotonic() - began

    def test_at_once_where_nothing_holds_it(self) -> None:
        self.pod()
        self.assertLess(self.seconds(), 2.0)
        self.assertIn("Stopping container web", self.events("Killing"))

    def test_waits_for_what_takes_its_time(self) -> None:
        self.pod(behaviour={"stop": 1.5})
        self.assertGreater(self.seconds(), 1.4)

    def test_no_longer_than_its_grace(self) -> None:
        # Ten seconds, ten times as fast.
        self.pod(behaviour={"stop": 60}, terminationGracePeriodSeconds=10)
        self.assertLess(self.seconds(), 4.0)

    def test_sleeps_before_it_stops(self) -> None:
        hook = {"lifecycle": {"preStop": {"sleep": {"seconds": 15}}}}
        self.pod(container=hook)
        self.assertGreater(self.seconds(), 1.4)

    def test_by_force(self) -> None:
        self.pod(behaviour={"stop": 60})
        until(self.is_ready)
        self.delete(gracePeriodSeconds=0)
        self.assertIsNone(self.look())
        # The name is free for another, which is not taken for the old one.
        self.pod()
        until(self.is_ready)

    def test_a_budget_refuses_an_eviction_with_429(self) -> None:
        self.make(f"{APPS}/{self.namespace}/deployments", self.deployment(1))
        pods = f"{CORE}/{self.namespace}/pods"
        name = until(lambda: self.api.call("GET", pods)["items"])[0]["metadata"]["name"]
        until(lambda: self.is_ready(name))
        spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}
        budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b"}, "spec": spec}
        path = f"/apis/policy/v1/namespaces/{self.namespace}/poddisruptionbudgets"
        self.make(path, budget)
        until(lambda: self.api.get(f"{path}/b").get("status", {}).get("currentHealthy") == 1)
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
        with self.assertRaises(ApiError) as caught:
            self.make(f"{pods}/{name}/eviction", eviction)
        self.assertEqual(caught.exception.code, 429)


class Logging(Cluster):
    def test_following_until_the_end(self) -> None:
        self.pod(behaviour={"exit": {"code": 0, "after": 1.0}, "log": ["one", "two"]}, restartPolicy="Never")
        until(lambda: "running" in self.container().get("state", {}))
        self.assertEqual(kubectl("logs", "-f", "-n", self.namespace, "web"), "one\ntwo\n")
        until(lambda: self.look()["status"]["phase"] == "Succeeded")

    def test_who_may_ask_the_kubelet(self) -> None:
        node = self.api.call("GET", "/api/v1/nodes")["items"][0]
        port = node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=anyone(), timeout=60)
        self.addCleanup(connection.close)
        with self.assertRaises(OSError):
            connection.request("GET", "/healthz")
            connection.getresponse().read()


class Applying(Cluster):
    def test_webhook_that_is_down(self) -> None:
        base = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "guard"},
            "spec": {"ports": [{"port": 443}]},
        }
        self.make(f"{CORE}/{self.namespace}/services", service)
        hook = {
            "name": "guard.testplane.test",
            "clientConfig": {"service": {"name": "guard", "namespace": self.namespace}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.namespace}},
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }
        body = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "guard"},
            "webhooks": [hook],
        }
        self.make(base, body)
        self.addCleanup(self.api.call, "DELETE", f"{base}/guard")

        def refused() -> str:
            try:
                self.pod(f"web-{time.monotonic_ns()}")
            except ApiError as error:
                return error.message
            return ""

        self.assertIn('no endpoints available for service "guard"', until(refused))

    def test_conflict_names_field_and_owner(self) -> None:
        path = f"{APPS}/{self.namespace}/deployments/web"
        self.api.call("PATCH", f"{path}?fieldManager=provisioner", self.deployment(1), APPLY)
        with self.assertRaises(ApiError) as caught:
            self.api.call("PATCH", f"{path}?fieldManager=other", self.deployment(2), APPLY)
        self.assertEqual((caught.exception.code, caught.exception.reason), (409, "Conflict"))
        self.assertIn('conflict with "provisioner"', caught.exception.message)
        self.assertIn(".spec.replicas", caught.exception.message)
        self.api.call("PATCH", f"{path}?fieldManager=other&force=true", self.deployment(2), APPLY)
        self.assertEqual(self.api.get(path)["spec"]["replicas"], 2)

    def test_strict_about_unknown_fields(self) -> None:
        manifest = self.deployment()
        manifest["spec"]["replica"] = 1
        path = f"{APPS}/{self.namespace}/deployments/web?fieldManager=provisioner&fieldValidation=Strict"
        with self.assertRaises(ApiError) as caught:
            self.api.call("PATCH", path, manifest, APPLY)
        self.assertIn("spec.replica: field not declared in schema", caught.exception.message)


class Tokens(unittest.TestCase):
    def token(self, **more: Any) -> str:
        given = {"cluster": "demo", "region": REGION, "key": KEY, "secret": SECRET, "now": time.time(), **more}
        return tokens.presign(**given)

    def test_who_is_let_in(self) -> None:
        self.assertEqual(ask(self.token()), 200)
        self.assertEqual(ask(self.token(cluster="other")), 401)
        self.assertEqual(ask(self.token(region="eu-west-1")), 401)
        self.assertEqual(ask(self.token(now=time.time() - 16 * 60)), 401)
        self.assertEqual(ask(self.token(secret="other")), 401)
        self.assertEqual(ask(self.token(key="AKIDNOBODY")), 401)
        self.assertEqual(ask(self.token(key=STRANGER_KEY)), 401)
        # Known, and with no rights: that is another answer.
        self.assertEqual(ask(self.token(key=READER_KEY)), 403)
        log = (Path(Running.found["dir"]) / "logs" / "webhook.log").read_text()
        self.assertIn("refused: the signature is not right: the token is for another cluster than demo", log)
        self.assertNotIn("k8s-aws-v1", log)

    def test_kubectl_by_an_exec_plugin(self) -> None:
        maker = (
            "import json, sys, time; sys.path.insert(0, sys.argv[1]); import plane; from provisioner_sandbox.kube import tokens\n"
            f"keys = {{'region': '{REGION}', 'key': '{KEY}', 'secret': '{SECRET}'}}\n"
            "status = {'token': tokens.presign(cluster=sys.argv[2], now=time.time(), **keys)}\n"
            "kind = {'apiVersion': 'client.authentication.k8s.io/v1', 'kind': 'ExecCredential'}\n"
            "print(json.dumps({**kind, 'status': status}))"
        )
        found = Running.found
        for cluster, code, wanted in (("demo", 0, "assumed-role/admin/me"), ("other", 1, "Unauthorized|credentials")):
            plugin = {
                "apiVersion": "client.authentication.k8s.io/v1",
                "command": sys.executable,
                "args": ["-B", "-c", maker, str(PROGRAM.parent), cluster],
                "interactiveMode": "Never",
            }
            config = {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [
                    {
                        "name": "c",
                        "cluster": {"server": found["endpoint"], "certificate-authority-data": found["caData"]},
                    }
                ],
                "users": [{"name": "u", "user": {"exec": plugin}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "x",
            }
            with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
                json.dump(config, file)
                file.flush()
                said = kubectl("auth", "whoami", config=file.name, code=code)
            self.assertRegex(said, wanted)


class Trouble(Cluster):
    def test_too_many_requests(self) -> None:
        """A 429 of the server's own: a priority level with one seat, and a request that does not leave it.

        Without seats the server still serves one request at a time. The seat is taken before the body is read, so
        a client that keeps the body back keeps the seat. It reaches all but `system:masters`, whom Kubernetes exempts.
        """
        base = "/apis/flowcontrol.apiserver.k8s.io/v1"
        level = {
            "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
            "kind": "PriorityLevelConfiguration",
            "metadata": {"name": "closed"},
            "spec": {
                "type": "Limited",
                "limited": {
                    "nominalConcurrencyShares": 0,
                    "lendablePercent": 0,
                    "borrowingLimitPercent": 0,
                    "limitResponse": {"type": "Reject"},
                },
            },
        }
        rule = {
            "subjects": [{"kind": "User", "user": {"name": "reader"}}],
            "resourceRules": [
                {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"], "namespaces": ["*"], "clusterScope": True}
            ],
        }
        schema = {
            "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
            "kind": "FlowSchema",
            "metadata": {"name": "closed"},
            "spec": {"priorityLevelConfiguration": {"name": "closed"}, "matchingPrecedence": 2, "rules": [rule]},
        }
        self.make(f"{base}/prioritylevelconfigurations", level)
        self.make(f"{base}/flowschemas", schema)
        token = tokens.presign(cluster="demo", region=REGION, key=READER_KEY, secret=SECRET, now=time.time())
        server = Running.found["endpoint"].removeprefix("https://")
        sitting = http.client.HTTPSConnection(server, context=anyone(), timeout=60)

        def refused() -> bool:
            sitting.close()
            sitting.putrequest("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews")
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Content-Length": "1000"}
            for name, value in headers.items():
                sitting.putheader(name, value)
            sitting.endheaders()
            return ask(token) == 429

        try:
            until(refused)
        finally:
            sitting.close()
            self.api.call("DELETE", f"{base}/flowschemas/closed")
            self.api.call("DELETE", f"{base}/prioritylevelconfigurations/closed")
        until(lambda: ask(token) == 403)

    def test_restart_breaks_watches_and_forgets_versions(self) -> None:
        self.pod("before")
        until(lambda: self.is_ready("before"))
        path = f"{CORE}/{self.namespace}/pods"
        old = self.api.call("GET", path)["metadata"]["resourceVersion"]
        events = self.api.watch(path, old)
        self.pod("during")
        self.assertEqual(next(events)["object"]["metadata"]["name"], "during")
        until(lambda: self.is_ready("during"))
        subprocess.run(
            command("restart-api-server", Path(Running.found["dir"])), check=True, stdout=subprocess.DEVNULL, timeout=60
        )
        began = time.monotonic()
        with contextlib.suppress(OSError):
            list(events)
        # Long before the watch would have ended unasked.
        self.assertLess(time.monotonic() - began, 10.0)
        with self.assertRaises(ApiError) as caught:
            list(self.api.watch(path, old))
        self.assertEqual(caught.exception.code, 410)
        # Nodes, scheduler and controllers continue, and what ran still runs.
        self.pod("after")
        until(lambda: self.is_ready("after"))
        self.assertEqual(self.container("before")["restartCount"], 0)


class Life(unittest.TestCase):
    """Clusters of their own."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def alone(self) -> None:
        until(lambda: not remains(self.folder), 10.0)

    def test_start_status_stop(self) -> None:
        (self.folder / "identities.json").write_text("{}")
        options = ("--cluster", "demo", "--region", REGION, "--nodes", "0")
        started = subprocess.run(command("start", self.folder, *options), capture_output=True, check=True, timeout=120)
        found = json.loads(started.stdout)
        status = subprocess.run(command("status", self.folder), capture_output=True, check=True).stdout
        self.assertEqual(json.loads(status), {"running": True, **found})
        api = client(found)
        self.assertEqual(api.raw("GET", "/readyz")[0], 200)
        api.close()
        self.assertEqual(self.folder.stat().st_mode & 0o777, 0o700)
        self.assertEqual(Path(found["adminKubeconfig"]).stat().st_mode & 0o777, 0o600)
        self.assertGreaterEqual(len(remains(self.folder)), 5)
        again = subprocess.run(command("start", self.folder, *options), capture_output=True, text=True)
        self.assertEqual(again.returncode, 1)
        self.assertIn("runs in", again.stderr)
        subprocess.run(command("stop", self.folder), check=True, timeout=30)
        self.alone()
        status = subprocess.run(command("status", self.folder), capture_output=True, check=True).stdout
        self.assertEqual(json.loads(status), {"running": False})
        left = {path.name for path in self.folder.iterdir()}
        self.assertEqual(left, {"identities.json", "lock", "logs", "start.log"})
        # Once more: there is nothing to stop.
        subprocess.run(command("stop", self.folder), check=True, stderr=subprocess.DEVNULL)

    def test_nothing_outlives_its_starter(self) -> None:
        process, found = run(self.folder, "--nodes", "0")
        self.assertEqual(found["pid"], process.pid)
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.alone()
        process.stdin.close()
        process.stdout.close()
        # The folder is free, and what was left in it is in no one's way.
        process, _ = run(self.folder, "--nodes", "0")
        process.stdin.close()
        self.assertEqual(process.wait(20), 0)
        process.stdout.close()
        self.alone()

    def test_a_part_that_ends_unasked_ends_all_and_is_named(self) -> None:
        process = subprocess.Popen(
            command("run", self.folder, "--cluster", "demo", "--region", REGION, "--nodes", "0"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        process.stdout.readline()
        listed = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
        children = [line.split() for line in listed.splitlines() if f" {process.pid} " in line]
        etcd = next(int(child[0]) for child in children if "etcd" in child)
        os.kill(etcd, signal.SIGKILL)
        self.assertEqual(process.wait(20), 1)
        with process.stdin, process.stdout, process.stderr:
            self.assertIn("etcd ended unasked with -9", process.stderr.read().decode())
        self.alone()


if __name__ == "__main__":
    unittest.main()
