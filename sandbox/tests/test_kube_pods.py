"""Pods that run: what was pushed, as processes, from a Deployment to its end."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from conftest import REGION, Sandbox, until
from kubernetes import (
    ACCOUNT, RESTRICTED, SLOW, WEB, Kube, address, deployment, fetch, install, pod_spec, push, reached, service,
)  # fmt: skip

ISOLATED = sys.platform == "linux" and os.geteuid() == 0
HERE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
ELSEWHERE = "arm64" if HERE == "amd64" else "amd64"


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


class TestRunning:
    def test_from_a_deployment_to_an_answer(self, kube: Kube, image: str) -> None:
        kube.api("POST", f"{kube.ns}/configmaps", {"metadata": {"name": "c"}, "data": {"WORD": "from a map"}})
        env = [
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "SELF", "value": "$(IP)!"},
        ]
        spec = pod_spec(image, envFrom=[{"configMapRef": {"name": "c"}}], env=env)
        done = kube.roll_out(deployment(image, 2, spec))
        assert {one["type"]: one["reason"] for one in done["status"]["conditions"]} == {
            "Progressing": "NewReplicaSetAvailable", "Available": "MinimumReplicasAvailable",
        }  # fmt: skip
        pods = kube.pods()
        assert len({pod["spec"]["nodeName"] for pod in pods}) == 2
        for pod in pods:
            own = pod["status"]["podIP"]
            said = fetch(f"{own}:8000")
            assert said["host"] == own
            environment = said["environment"]
            assert (environment["WORD"], environment["SELF"]) == ("from a map", f"{own}!")
            assert environment["AWS_ENDPOINT_URL"] == kube.sandbox.endpoint
            assert pod["status"]["containerStatuses"][0]["imageID"] == image
        name = pods[0]["metadata"]["name"]
        assert kube.api("GET", f"{kube.ns}/pods/{name}/log") == (200, "listening from a map\n")
        assert kube.events("ScalingReplicaSet")[0].endswith("from 0 to 2")

    @pytest.mark.skipif(not ISOLATED, reason="needs Linux and root")
    def test_as_its_user_on_a_root_that_is_read_only(self, kube: Kube, image: str) -> None:
        kube.roll_out(deployment(image))
        own = kube.pods()[0]["status"]["podIP"]
        said = fetch(f"{own}:8000")
        assert (said["uid"], said["groups"]) == (65532, [2000])
        assert fetch(f"{own}:8000", "/write") == {"/outside": False, "/tmp/inside": True}

    def test_layers_lie_over_one_another(self, kube: Kube) -> None:
        below = {
            "app": None,
            "app/web.py": b"raise SystemExit('below')",
            "app/old.py": b"",
            "away": None,
            "../evil.py": b"",
            "lib64": b"-> /app",
        }
        above: dict[str, bytes | None] = {"app/web.py": WEB, "app/.wh.old.py": b"", "lib64/through.py": b""}
        spec = pod_spec(push(kube.sandbox, below, above))
        probe = "import os; assert sorted(os.listdir('/app')) == ['through.py', 'web.py'], os.listdir('/app')"
        if not ISOLATED:
            probe = "import through"
        spec["containers"][0]["readinessProbe"] = {"exec": {"command": ["python3", "-c", probe]}}
        kube.roll_out(deployment("", spec=spec))

    def test_an_index_is_searched_for_this_machine(self, kube: Kube) -> None:
        kube.roll_out(deployment(push(kube.sandbox, architectures=(ELSEWHERE, HERE))))
        kube.api.apply(kube.deployment, deployment(push(kube.sandbox, architectures=(ELSEWHERE,))))
        found = until(lambda: kube.waiting("ImagePullBackOff"), SLOW)
        assert "no match for platform in manifest" in found["state"]["waiting"]["message"]

    def test_volumes(self, kube: Kube, image: str) -> None:
        kube.api("POST", f"{kube.ns}/secrets", {"metadata": {"name": "s"}, "stringData": {"key": "value"}})
        command = (
            ["/usr/bin/python3", "-c", "print(open('/etc/own/key').read())"]
            if ISOLATED
            else ["/usr/bin/python3", "-c", "print('value')"]
        )
        spec = pod_spec(image, command=command, readinessProbe=None)
        spec["volumes"].append({"name": "own", "secret": {"secretName": "s"}})
        spec["containers"][0]["volumeMounts"].append({"name": "own", "mountPath": "/etc/own"})
        spec["restartPolicy"] = "Never"
        assert kube.api("POST", f"{kube.ns}/pods", {"metadata": {"name": "once"}, "spec": spec})[0] == 201
        until(lambda: kube.pods()[0]["status"].get("phase") == "Succeeded", SLOW)
        assert kube.api("GET", f"{kube.ns}/pods/once/log") == (200, "value\n")

    def test_a_role_for_a_service_account(self, kube: Kube, image: str) -> None:
        issuer = kube.cluster()["identity"]["oidc"]["issuer"]
        host = issuer.removeprefix("https://")
        provider = kube.iam.create_open_id_connect_provider(Url=issuer, ClientIDList=["sts.amazonaws.com"])[
            "OpenIDConnectProviderArn"
        ]

        def trust(account: str) -> str:
            condition = {
                "StringEquals": {
                    f"{host}:sub": f"system:serviceaccount:test:{account}",
                    f"{host}:aud": "sts.amazonaws.com",
                }
            }
            statement = {
                "Effect": "Allow",
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Principal": {"Federated": provider},
                "Condition": condition,
            }
            return json.dumps({"Version": "2012-10-17", "Statement": [statement]})

        role = kube.iam.create_role(RoleName="app", AssumeRolePolicyDocument=trust("web"))["Role"]["Arn"]
        annotations = {"eks.amazonaws.com/role-arn": role}
        kube.api("POST", f"{kube.ns}/serviceaccounts", {"metadata": {"name": "web", "annotations": annotations}})
        kube.roll_out(deployment(image, spec={**pod_spec(image), "serviceAccountName": "web"}))
        environment = fetch(f"{kube.pods()[0]['status']['podIP']}:8000")["environment"]
        assert environment["AWS_ROLE_ARN"] == role
        text = self.token_of(kube)
        sts = kube.sandbox.client("sts")
        taken = sts.assume_role_with_web_identity(RoleArn=role, RoleSessionName="web", WebIdentityToken=text)
        assert taken["SubjectFromWebIdentityToken"] == "system:serviceaccount:test:web"
        keys = taken["Credentials"]
        pod = boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], REGION)
        who = pod.client("sts", endpoint_url=kube.sandbox.endpoint).get_caller_identity()["Arn"]
        assert who == f"arn:aws:sts::{ACCOUNT}:assumed-role/app/web"
        ssm = pod.client("ssm", endpoint_url=kube.sandbox.endpoint)
        kube.sandbox.client("ssm").put_parameter(Name="/p", Value="v", Type="String")
        with pytest.raises(ClientError, match="AccessDenied"):
            ssm.get_parameter(Name="/p")
        allow = {
            "Effect": "Allow",
            "Action": "ssm:GetParameter",
            "Resource": f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/p",
        }
        document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        kube.iam.put_role_policy(RoleName="app", PolicyName="p", PolicyDocument=document)
        assert ssm.get_parameter(Name="/p")["Parameter"]["Value"] == "v"
        kube.iam.update_assume_role_policy(RoleName="app", PolicyDocument=trust("other"))
        with pytest.raises(ClientError, match="Not authorized to perform sts:AssumeRoleWithWebIdentity"):
            sts.assume_role_with_web_identity(RoleArn=role, RoleSessionName="web", WebIdentityToken=text)

    @staticmethod
    def token_of(kube: Kube) -> str:
        """What a pod of the account finds in its file."""
        image = push(
            kube.sandbox,
            {"app": None, "app/web.py": b"import os; print(open(os.environ['AWS_WEB_IDENTITY_TOKEN_FILE']).read())"},
        )
        spec = {**pod_spec(image, readinessProbe=None), "serviceAccountName": "web", "restartPolicy": "Never"}
        kube.api("POST", f"{kube.ns}/pods", {"metadata": {"name": "teller"}, "spec": spec})
        until(lambda: kube.api.get(f"{kube.ns}/pods/teller")["status"].get("phase") == "Succeeded", SLOW)
        return kube.api("GET", f"{kube.ns}/pods/teller/log")[1].strip()

    def test_an_image_of_another_account(self, kube: Kube, image: str) -> None:
        """Copied there, as `docker push` does, from what the account itself has."""
        ecr = kube.sandbox.client("ecr")
        there = {"repositoryName": "base/web", "registryId": "210987654321"}
        ecr.create_repository(**there)
        held = ecr.batch_get_image(repositoryName="web", imageIds=[{"imageDigest": image.partition("@")[2]}])["images"][0]
        text = held["imageManifest"]
        for part in [json.loads(text)["config"], *json.loads(text)["layers"]]:
            url = ecr.get_download_url_for_layer(repositoryName="web", layerDigest=part["digest"])["downloadUrl"]
            with urllib.request.urlopen(url) as answer:
                blob = answer.read()
            upload = ecr.initiate_layer_upload(**there)["uploadId"]
            ecr.upload_layer_part(**there, uploadId=upload, partFirstByte=0, partLastByte=len(blob) - 1, layerPartBlob=blob)
            ecr.complete_layer_upload(**there, uploadId=upload, layerDigests=[part["digest"]])
        ecr.put_image(**there, imageManifest=text)
        other = image.replace(ACCOUNT, there["registryId"]).replace("/web@", "/base/web@")
        kube.roll_out(deployment(other))
        assert kube.pods()[0]["status"]["containerStatuses"][0]["imageID"] == other
        # `push` takes the first repository for its own.
        ecr.delete_repository(**there, force=True)

    def test_a_controller_that_is_played(self, kube: Kube) -> None:
        controller = "public.ecr.aws/eks/aws-load-balancer-controller:v9.9.9"
        kube.roll_out(deployment("", spec=pod_spec(controller)))
        name = kube.pods()[0]["metadata"]["name"]
        said = kube.api("GET", f"{kube.ns}/pods/{name}/log")[1]
        assert f"instead of {controller} this process answers probes" in said


class TestFailing:
    """Each as a kubelet, a scheduler or a ReplicaSet says it."""

    @pytest.mark.parametrize(
        ("change", "reason", "said"),
        [
            ({"image": "IMAGE0"}, "ImagePullBackOff", "not found"),
            ({"image": "nginx:1"}, "ImagePullBackOff", "can reach only its own ECR"),
            ({"image": "OTHER ACCOUNT"}, "ImagePullBackOff", "the repository does not exist"),
            ({"args": ["-c", "raise SystemExit(3)"]}, "CrashLoopBackOff", "restarting failed container=app"),
            ({"command": ["/nope"]}, "CrashLoopBackOff", "restarting failed container=app"),
            ({"envFrom": [{"configMapRef": {"name": "none"}}]}, "CreateContainerConfigError", 'configmap "none" not found'),
            (
                {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "none", "key": "k"}}}]},
                "CreateContainerConfigError", 'secret "none" not found',
            ),
        ],
    )  # fmt: skip
    def test_to_start(self, kube: Kube, image: str, change: dict[str, Any], reason: str, said: str) -> None:
        if change.get("image") == "IMAGE0":
            change = {"image": image[:-1] + ("0" if image[-1] != "0" else "1")}
        if change.get("image") == "OTHER ACCOUNT":
            change = {"image": image.replace(ACCOUNT, "210987654321")}
        kube.api.apply(kube.deployment, deployment("", spec=pod_spec(**{"image": image, **change})))
        found = until(lambda: kube.waiting(reason), SLOW)
        assert said in found["state"]["waiting"]["message"]
        if reason == "CrashLoopBackOff":
            assert found["lastState"]["terminated"]["exitCode"] == (3 if "args" in change else 128)

    def test_at_its_start_where_no_probe_tells(self, kube: Kube, image: str) -> None:
        spec = pod_spec(image, args=["-c", "raise SystemExit(3)"], readinessProbe=None)
        kube.api.apply(kube.deployment, deployment("", spec=spec, minReadySeconds=5))
        until(lambda: kube.waiting("CrashLoopBackOff") or kube.rolled_out(), SLOW)
        assert not kube.rolled_out()

    @pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
    def test_for_want_of_memory(self, kube: Kube, image: str) -> None:
        large = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'x = bytearray(2**28); input()'])"
        limits = {"limits": {"memory": "64Mi"}}
        spec = pod_spec(image, args=["-c", large], resources=limits, readinessProbe=None)
        kube.api.apply(kube.deployment, deployment("", spec=spec))
        found = until(lambda: kube.waiting("CrashLoopBackOff"), SLOW)["lastState"]["terminated"]
        assert (found["exitCode"], found["reason"]) == (137, "OOMKilled")

    def test_for_want_of_a_service_account(self, kube: Kube, image: str) -> None:
        kube.api.apply(kube.deployment, deployment("", spec={**pod_spec(image), "serviceAccountName": "none"}))
        said = until(lambda: kube.events("FailedCreate"), SLOW)[0]
        assert 'error looking up service account test/none: serviceaccount "none" not found' in said

    def test_to_be_scheduled(self, kube: Kube, image: str) -> None:
        for change, said in (
            ({"resources": {"requests": {"cpu": "64"}}}, "0/2 nodes are available: 2 Insufficient cpu."),
            ({}, "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector."),
        ):
            spec = pod_spec(image, **change)
            spec["nodeSelector"] = {"pool": "general" if change else "other"}
            kube.api.apply(kube.deployment, deployment("", spec=spec))

            def reason(said: str = said) -> bool:
                conditions = [one for pod in kube.pods() for one in pod["status"].get("conditions", [])]
                return any(
                    one.get("reason") == "Unschedulable" and one["message"].startswith(said) for one in conditions
                )

            until(reason, SLOW)

    def test_its_probes(self, kube: Kube, image: str) -> None:
        wrong = {"httpGet": {"path": "/", "port": 1}, "periodSeconds": 1}
        kube.api.apply(
            kube.deployment, deployment("", spec=pod_spec(image, readinessProbe=wrong), progressDeadlineSeconds=2)
        )
        late = until(
            lambda: (one := kube.condition("Progressing")).get("reason") == "ProgressDeadlineExceeded" and one, SLOW
        )
        assert (late["status"], late["message"].endswith("has timed out progressing.")) == ("False", True)
        assert any("connect: connection refused" in one for one in kube.events("Unhealthy"))

    def test_a_probe_of_its_life(self, kube: Kube, image: str) -> None:
        probe = {
            "exec": {"command": ["python3", "-c", "print('sick'); raise SystemExit(1)"]},
            "periodSeconds": 1,
            "failureThreshold": 1,
        }
        kube.api.apply(kube.deployment, deployment("", spec=pod_spec(image, livenessProbe=probe)))
        until(
            lambda: any(
                one["restartCount"] for pod in kube.pods() for one in pod["status"].get("containerStatuses", [])
            ),
            SLOW,
        )
        assert "Liveness probe failed: sick" in kube.events("Unhealthy")

    def test_the_old_ones_continue(self, kube: Kube, image: str) -> None:
        kube.roll_out(deployment(image, 2))
        kube.api.apply(kube.deployment, deployment("", 2, pod_spec("nginx:1")))
        until(lambda: kube.waiting("ImagePullBackOff"), SLOW)
        assert kube.condition("Available")["status"] == "True"
        ready = [pod for pod in kube.pods() if pod["status"].get("containerStatuses", [{}])[0].get("ready")]
        assert len(ready) == 2
        # Back to what was: the same ReplicaSet, under a new revision.
        done = kube.roll_out(deployment(image, 2))
        assert done["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"
        until(lambda: len(kube.pods()) == 2, SLOW)


class TestBalancer:
    @pytest.mark.parametrize("kind", ["Service", "Ingress"])
    def test_it_spreads_over_what_is_ready(self, kube: Kube, image: str, kind: str) -> None:
        install(kube)
        if kind == "Service":
            kube.api.apply(
                f"{kube.ns}/services/web", service(type="LoadBalancer", loadBalancerClass="service.k8s.aws/nlb")
            )
            path = f"{kube.ns}/services/web"
        else:
            kube.api.apply(f"{kube.ns}/services/web", service())
            path = kube.group("networking.k8s.io/v1", "ingresses", "web")
            backend = {"service": {"name": "web", "port": {"name": "http"}}}
            rules = [{"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]
            wanted = {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "Ingress",
                "metadata": {"name": "web"},
                "spec": {"ingressClassName": "alb", "rules": rules},
            }
            assert kube.api.apply(path, wanted)[0] == 201
        kube.roll_out(deployment(image, 2))
        found = address(kube, path)
        answering = until(lambda: reached(found), SLOW)
        assert answering in {pod["status"]["podIP"] for pod in kube.pods()}
        seen = {fetch(found)["host"] for _ in range(12)}
        assert seen == {pod["status"]["podIP"] for pod in kube.pods()}
        kube.api("DELETE", path)
        until(lambda: reached(found) is None, SLOW)

    def test_no_request_is_lost_in_a_rollout(self, kube: Kube, image: str) -> None:
        install(kube)
        kube.api.apply(f"{kube.ns}/services/web", service(type="LoadBalancer", loadBalancerClass="service.k8s.aws/nlb"))

        def wanted(word: str) -> dict[str, Any]:
            spec = pod_spec(
                image, env=[{"name": "WORD", "value": word}], lifecycle={"preStop": {"sleep": {"seconds": 15}}}
            )
            more = {"minReadySeconds": 5, "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}}
            return deployment("", 2, {**spec, "terminationGracePeriodSeconds": 60}, **more)

        kube.roll_out(wanted("one"))
        where = address(kube)
        until(lambda: reached(where), SLOW)
        words: list[str] = []
        stop = threading.Event()

        def ask() -> None:
            while not stop.is_set():
                try:
                    words.append(fetch(where)["environment"]["WORD"])
                except Exception as error:
                    words.append(repr(error))

        askers = [threading.Thread(target=ask) for _ in range(2)]
        for one in askers:
            one.start()
        try:
            kube.roll_out(wanted("two"))
            until(lambda: len(kube.pods()) == 2, SLOW)
        finally:
            stop.set()
            for one in askers:
                one.join()
        assert set(words) == {"one", "two"}
        assert words[-1] == "two"
