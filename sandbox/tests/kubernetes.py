"""A cluster's Kubernetes as its tests need it: a client, images to push, and the objects of a small application."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import http.client
import io
import json
import ssl
import tarfile
import threading
import time
import urllib.request
from typing import Any

from conftest import REGION, Sandbox, until
from eks import Eks

from provisioner_sandbox.kube.tokens import presign

ACCOUNT = "123456789012"
APPLY, MERGE, JSON_PATCH = "application/apply-patch+yaml", "application/merge-patch+json", "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
LABELS = {"app": "web"}
# What a process may take on a machine that has much to do.
SLOW = 60.0
# Answers with what it was told and who it is; ready until it is told to end.
WEB = b"""
import json, os, signal, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/write":
            said = {}
            for path in ("/outside", "/tmp/inside"):
                try:
                    open(path, "w").close()
                    said[path] = True
                except OSError:
                    said[path] = False
        else:
            said = {"uid": os.getuid(), "groups": os.getgroups(), "environment": dict(os.environ), "host": self.server.server_address[0]}
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

server = ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler)

def end(*_):
    print("ending", flush=True)
    threading.Thread(target=lambda: (time.sleep(0.5), server.shutdown())).start()

signal.signal(signal.SIGTERM, end)
print("listening", os.environ.get("WORD", ""), flush=True)
server.serve_forever()
"""


def token(
    cluster: str = "demo", key: str = "sandbox", secret: str = "sandbox", now: float | None = None, **more: Any
) -> str:
    return presign(
        cluster=cluster, region=REGION, key=key, secret=secret, now=time.time() if now is None else now, **more
    )


class Client:
    """One caller of an API server. Answers are (code, document)."""

    def __init__(self, cluster: dict[str, Any], bearer: str | None = None):
        self.host = cluster["endpoint"].removeprefix("https://")
        authority = base64.b64decode(cluster["certificateAuthority"]["data"]).decode()
        self.context = ssl.create_default_context(cadata=authority)
        self.bearer = token() if bearer is None else bearer
        self.warning: str | None = None
        self.connections = threading.local()

    def __call__(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> tuple[int, Any]:
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": kind, "User-Agent": "tests/1"}
        if self.bearer:
            headers["Authorization"] = f"Bearer {self.bearer}"
        answer = self.answer(method, path, data, headers)
        self.warning = answer.getheader("Warning")
        text = answer.read()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text.decode()

    def answer(self, *request: Any) -> http.client.HTTPResponse:
        """Over this thread's connection, or a new one if the server closed it."""
        kept: http.client.HTTPSConnection | None = getattr(self.connections, "own", None)
        if kept is not None:
            try:
                kept.request(*request)
                return kept.getresponse()
            except (OSError, http.client.HTTPException):
                kept.close()
        self.connections.own = http.client.HTTPSConnection(self.host, context=self.context, timeout=120)
        self.connections.own.request(*request)
        return self.connections.own.getresponse()

    def get(self, path: str) -> Any:
        code, document = self("GET", path)
        assert code == 200, document
        return document

    def apply(self, path: str, body: Any, manager: str = "tests", **query: str) -> tuple[int, Any]:
        pairs = {"fieldManager": manager, **query}
        return self("PATCH", f"{path}?{'&'.join(f'{key}={value}' for key, value in pairs.items())}", body, APPLY)

    def watch(self, path: str) -> Any:
        """The connection's answer, to read lines from."""
        connection = http.client.HTTPSConnection(self.host, context=self.context, timeout=120)
        connection.request("GET", path, headers={"Authorization": f"Bearer {self.bearer}"})
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        return answer


class Kube(Eks):
    """A cluster with its client; `ns` is a namespace for the test."""

    def __init__(self, sandbox: Sandbox, nodes: int = 0, mode: str = "API", kind: str = "t3.medium"):
        super().__init__(sandbox)
        self.active(accessConfig={"authenticationMode": mode})
        if nodes:
            role = self.role("nodes", "ec2.amazonaws.com")
            scaling = {"minSize": 0, "maxSize": 9, "desiredSize": nodes}
            self.call(
                "create_nodegroup", nodegroupName="g", subnets=self.subnets, nodeRole=role, instanceTypes=[kind],
                scalingConfig=scaling, labels={"pool": "general"},
            )  # fmt: skip
            self.has("ACTIVE", lambda: self.call("describe_nodegroup", nodegroupName="g")["nodegroup"])
        self.sandbox.configure(timeScale=200)
        self.api = Client(self.cluster(), token(key=sandbox.keys[0], secret=sandbox.keys[1]))
        self.ns = "/api/v1/namespaces/test"

    def namespace(self, **labels: str) -> None:
        code, made = self.api("POST", "/api/v1/namespaces", {"metadata": {"name": "test", "labels": labels}})
        assert code == 201, made
        until(lambda: self.api("GET", f"{self.ns}/serviceaccounts/default")[0] == 200)

    def clear(self) -> None:
        """Deletes the test's namespace and what ran in it, without grace."""
        self.api("DELETE", self.ns)
        self.api("DELETE", f"{self.ns}/pods?gracePeriodSeconds=0")
        until(lambda: self.api("GET", self.ns)[0] == 404)

    def group(self, version: str, plural: str, name: str = "") -> str:
        return f"/apis/{version}/namespaces/test/{plural}" + (f"/{name}" if name else "")

    @property
    def deployment(self) -> str:
        return self.group("apps/v1", "deployments", "web")

    def pods(self) -> list[dict[str, Any]]:
        return self.api.get(f"{self.ns}/pods")["items"]

    def events(self, reason: str) -> list[str]:
        return [one["message"] for one in self.api.get(f"{self.ns}/events")["items"] if one["reason"] == reason]

    def roll_out(self, wanted: dict[str, Any]) -> Any:
        """Applies the Deployment and waits for its end."""
        code, made = self.api.apply(self.deployment, wanted)
        assert code in (200, 201), made
        return until(lambda: self.rolled_out(made["metadata"]["generation"]), SLOW)

    def rolled_out(self, generation: int | None = None) -> Any:
        found = self.api.get(self.deployment)
        state, wanted = found["status"], found["spec"]["replicas"]
        done = state.get("observedGeneration", 0) >= (generation or found["metadata"]["generation"])
        counts = [state.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")]
        return found if done and counts == [wanted] * 3 else None

    def condition(self, kind: str) -> dict[str, Any]:
        found = self.api.get(self.deployment)["status"].get("conditions", [])
        return next((one for one in found if one["type"] == kind), {})

    def waiting(self, reason: str) -> dict[str, Any] | None:
        """The container status of a pod that waits for this reason."""
        for pod in self.pods():
            for one in pod["status"].get("containerStatuses", []):
                if one["state"].get("waiting", {}).get("reason") == reason:
                    return one
        return None


def tar(files: dict[str, bytes | None]) -> bytes:
    """A layer; what has no content is a folder, `-> TARGET` a link."""
    text = io.BytesIO()
    with tarfile.open(fileobj=text, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.mode = 0o755 if data is None else 0o644
            if data is None:
                entry.type = tarfile.DIRTYPE
            elif data.startswith(b"-> "):
                entry.type, entry.linkname = tarfile.SYMTYPE, data[3:].decode()
            else:
                entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data) if entry.size else None)
    return text.getvalue()


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


SETTINGS = {
    "Env": ["PYTHONPATH=/app", "PORT=8000"], "WorkingDir": "/app", "Entrypoint": ["/usr/bin/python3"], "Cmd": ["-m", "web"],
    "User": "65532:65532", "Labels": {"provisioner.base": "none"},
}  # fmt: skip


def push(
    sandbox: Sandbox,
    *layers: dict[str, bytes | None],
    settings: dict[str, Any] = SETTINGS,
    architectures: tuple[str, ...] = (),
) -> str:
    """The reference of an image that is in ECR now. With architectures, that of an index over them."""
    ecr = sandbox.client("ecr")
    if not ecr.describe_repositories()["repositories"]:
        ecr.create_repository(repositoryName="web")
    texts = [tar(layer) for layer in layers] or [tar({"app": None, "app/web.py": WEB})]
    packed = [gzip.compress(text, mtime=0) for text in texts]

    def upload(blob: bytes) -> dict[str, Any]:
        if (
            ecr.batch_check_layer_availability(repositoryName="web", layerDigests=[digest(blob)])["layers"][0][
                "layerAvailability"
            ]
            != "AVAILABLE"
        ):
            upload_id = ecr.initiate_layer_upload(repositoryName="web")["uploadId"]
            where = {"repositoryName": "web", "uploadId": upload_id}
            ecr.upload_layer_part(**where, partFirstByte=0, partLastByte=len(blob) - 1, layerPartBlob=blob)
            ecr.complete_layer_upload(**where, layerDigests=[digest(blob)])
        return {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest(blob), "size": len(blob)}

    def put(document: dict[str, Any]) -> str:
        text = json.dumps(document)
        with contextlib.suppress(ecr.exceptions.ImageAlreadyExistsException):
            ecr.put_image(repositoryName="web", imageManifest=text)
        return digest(text.encode())

    def image(architecture: str) -> str:
        rootfs = {"type": "layers", "diff_ids": [digest(text) for text in texts]}
        config = json.dumps(
            {"architecture": architecture, "os": "linux", "config": settings, "rootfs": rootfs}
        ).encode()
        kind = "application/vnd.oci.image.manifest.v1+json"
        about = {**upload(config), "mediaType": "application/vnd.oci.image.config.v1+json"}
        return put(
            {"schemaVersion": 2, "mediaType": kind, "config": about, "layers": [upload(blob) for blob in packed]}
        )

    if architectures:
        kind = "application/vnd.oci.image.index.v1+json"
        manifests = [
            {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": image(one), "size": 1,
             "platform": {"os": "linux", "architecture": one}}
            for one in architectures
        ]  # fmt: skip
        found = put({"schemaVersion": 2, "mediaType": kind, "manifests": manifests})
    else:
        found = image("amd64")
    return f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/web@{found}"


def pod_spec(image: str, **container: Any) -> dict[str, Any]:
    """One that the restricted level takes."""
    own = {
        "name": "app",
        "image": image,
        "ports": [{"name": "http", "containerPort": 8000}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 5},
        "securityContext": {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        **container,
    }  # fmt: skip
    return {
        "securityContext": {
            "runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 2000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [own],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }  # fmt: skip


def deployment(image: str, replicas: int = 1, spec: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": spec or pod_spec(image)},
            **more,
        },
    }


def service(**spec: Any) -> dict[str, Any]:
    ports = [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"selector": LABELS, "ports": ports, **spec},
    }


CONTROLLER = "/apis/apps/v1/namespaces/kube-system/deployments/aws-load-balancer-controller"


def controller(cluster: str = "demo", replicas: int = 1, **flags: str) -> dict[str, Any]:
    """The Deployment of the AWS Load Balancer Controller, as little of it as runs."""
    labels = {"app.kubernetes.io/name": "aws-load-balancer-controller"}
    args = {"cluster-name": cluster, "default-target-type": "ip", **{key.replace("_", "-"): flags[key] for key in flags}}
    container = {
        "name": "controller",
        "image": "public.ecr.aws/eks/aws-load-balancer-controller:v3.5.0",
        "args": [f"--{name}={value}" for name, value in args.items()],
        "ports": [{"name": "health", "containerPort": 61779}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "health"}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "aws-load-balancer-controller"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def install(kube: Kube, **flags: str) -> None:
    """Applies the controller and waits until a pod of it is ready."""
    code, made = kube.api.apply(CONTROLLER, controller(**flags), force="true")
    assert code in (200, 201), made
    until(lambda: kube.api.get(CONTROLLER)["status"].get("readyReplicas"), SLOW)


def fetch(address: str, path: str = "/", timeout: float = 5, host: str = "") -> Any:
    asked = urllib.request.Request(f"http://{address}{path}", headers={"Host": host} if host else {})
    with urllib.request.urlopen(asked, timeout=timeout) as answer:
        return json.load(answer)


def address(kube: Kube, path: str = "") -> str:
    """Of a balancer; with the port, where it may not have port 80."""
    path = path or f"{kube.ns}/services/web"
    found = until(lambda: kube.api.get(path)["status"]["loadBalancer"].get("ingress"), SLOW)[0]
    return ":".join([found["hostname"], *(str(one["port"]) for one in found.get("ports", []))])


def reached(where: str) -> str | None:
    try:
        return fetch(where, timeout=1)["host"]
    except OSError:
        return None
