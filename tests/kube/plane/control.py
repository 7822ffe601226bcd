"""The control plane's processes: etcd, the API server, the scheduler and the controller manager."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from provisioner_sandbox.kube.kubelet.remote import Api, ApiError

SERVICE_RANGE = "172.20.0.0/16"
SERVICE_ADDRESS = "172.20.0.1"
READY_SECONDS = 90.0
POLL_SECONDS = 0.05
LAST_LINES = 15


class StartFailed(Exception):
    """The cluster did not come up."""


class Component:
    """One process of the control plane. It ends with this process, however this one ends: it holds its lifeline."""

    def __init__(self, name: str, command: list[str], folder: Path, ended: Callable[[Component], None]):
        self.name = name
        self.command = command
        self.folder = folder
        self.log = folder / "logs" / f"{name}.log"
        self.ended = ended
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        # Nothing of the caller's: no AWS credentials, no proxies.
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env={**kept, "TESTPLANE_LIFELINE": "1"},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                # A Ctrl-C on the terminal is for the holder of the lifeline.
                start_new_session=True,
            )
        threading.Thread(target=self.wait, args=(self.process,), name=f"wait {self.name}", daemon=True).start()

    def wait(self, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        # One that was stopped, to be started again, is no longer this one's process.
        if self.process is process:
            self.ended(self)

    def stop(self) -> None:
        """At once: nothing that it holds is needed again."""
        process, self.process = self.process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        process.wait()
        if process.stdin:
            process.stdin.close()

    def said(self) -> str:
        """The last lines that it wrote, which tell why it ended."""
        with contextlib.suppress(OSError):
            lines = self.log.read_text(errors="replace").splitlines()
            return "\n".join(lines[-LAST_LINES:])
        return ""


class ControlPlane:
    """`folder` takes keys, data and logs (in `logs`); `ended` hears of a process that ended unasked; `egress` is a
    proxy for CONNECT between the API server and nodes and pods."""

    def __init__(self, binary: Path, folder: Path, ended: Callable[[Component], None], egress: str | None = None):
        """Makes the keys. Raises `StartFailed`."""
        self.binary = binary
        self.egress = egress
        self.folder = folder
        self.pki = folder / "pki"
        self.keys()
        # Bound, and never listened to: it keeps the port for the API server, which shares it, also while that is
        # started again.
        self.reserved = socket.socket()
        self.reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.reserved.bind(("127.0.0.1", 0))
        self.port: int = self.reserved.getsockname()[1]
        self.endpoint = f"https://127.0.0.1:{self.port}"
        self.admin = folder / "admin.kubeconfig"
        self.components = {
            name: Component(name, [str(binary), name, *flags], folder, ended)
            for name, flags in {
                "etcd": self.etcd(),
                "kube-apiserver": self.api_server(),
                "kube-scheduler": self.scheduler(),
                "kube-controller-manager": self.controllers(),
            }.items()
        }

    def etcd(self) -> list[str]:
        # Sockets in the folder, which is the caller's alone: etcd authenticates no caller.
        return [
            "--data-dir=etcd",
            "--listen-client-urls=unix://etcd:0",
            "--advertise-client-urls=unix://etcd:0",
            "--listen-peer-urls=unix://etcd-peer:0",
            "--initial-advertise-peer-urls=unix://etcd-peer:0",
            "--initial-cluster=testplane=unix://etcd-peer:0",
            "--name=testplane",
            # Alone, it need not wait for others to be elected.
            "--heartbeat-interval=10",
            "--election-timeout=100",
            # Nothing is kept when it ends.
            "--unsafe-no-fsync",
            "--log-outputs=stderr",
            "--log-level=warn",
        ]

    def api_server(self) -> list[str]:
        return [
            "--etcd-servers=unix://etcd:0",
            f"--secure-port={self.port}",
            "--permit-port-sharing",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            # A loopback address is refused as an endpoint of the service `kubernetes`.
            "--endpoint-reconciler-type=none",
            "--tls-cert-file=pki/apiserver.crt",
            "--tls-private-key-file=pki/apiserver.key",
            "--cert-dir=pki",
            "--client-ca-file=pki/ca.crt",
            "--authorization-mode=Node,RBAC",
            "--allow-privileged",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            "--service-account-signing-key-file=pki/service-account.key",
            "--service-account-key-file=pki/service-account.key",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            "--authentication-token-webhook-config-file=webhook.kubeconfig",
            "--authentication-token-webhook-version=v1",
            # A change of an access entry shows soon.
            "--authentication-token-webhook-cache-ttl=1s",
            "--kubelet-certificate-authority=pki/ca.crt",
            "--kubelet-client-certificate=pki/apiserver-client.crt",
            "--kubelet-client-key=pki/apiserver-client.key",
            "--kubelet-preferred-address-types=InternalIP",
            # Webhooks are called at their service's endpoints, as on EKS, and not at its address, which is nowhere.
            "--enable-aggregator-routing",
            "--profiling=false",
            *(["--egress-selector-config-file=egress.json"] if self.egress else []),
        ]

    def scheduler(self) -> list[str]:
        return ["--kubeconfig=scheduler.kubeconfig", "--leader-elect=false", "--secure-port=0", "--profiling=false"]

    def controllers(self) -> list[str]:
        return [
            "--kubeconfig=admin.kubeconfig",
            "--leader-elect=false",
            "--secure-port=0",
            "--profiling=false",
            "--use-service-account-credentials=false",
            "--service-account-private-key-file=pki/service-account.key",
            "--root-ca-file=pki/ca.crt",
            # Nodes get no addresses for pods, and no certificate that kubelets ask for is signed.
            "--controllers=*,-nodeipam,-csrsigning,-csrapproving,-csrcleaner",
        ]

    def start(self, webhook_port: int) -> Api:
        """Until it answers as a cluster should. Raises `StartFailed`; what was started is `stop`'s to end."""
        self.kubeconfigs(webhook_port)
        if self.egress:
            self.write_egress(self.egress)
        limit = time.monotonic() + READY_SECONDS
        self.components["etcd"].start()
        self.components["kube-apiserver"].start()
        api = Api(self.port, self.pki, "admin", "kubelet/testplane")
        self.until(limit, "the API server is not ready", lambda: api.raw("GET", "/readyz")[0] == 200)
        self.components["kube-scheduler"].start()
        self.components["kube-controller-manager"].start()
        # Pods are refused in a namespace without its service account.
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        self.until(limit, "the controller manager made no default service account", lambda: api.get(account))
        return api

    def restart_api_server(self, api: Api) -> None:
        """Breaks every connection and forgets what watches could go back to."""
        server = self.components["kube-apiserver"]
        server.stop()
        server.start()
        limit = time.monotonic() + READY_SECONDS
        self.until(limit, "the API server is not ready again", lambda: api.raw("GET", "/readyz")[0] == 200)

    def until(self, limit: float, otherwise: str, condition: Callable[[], Any]) -> None:
        last = ""
        while time.monotonic() < limit:
            for component in self.components.values():
                process = component.process
                if process is not None and process.poll() is not None:
                    raise StartFailed(
                        f"{component.name} ended unasked with {process.returncode}. Its log, {component.log}, ends:\n"
                        f"{component.said()}"
                    )
            try:
                if condition():
                    return
            except (OSError, ApiError) as error:
                last = f" ({error})"
            time.sleep(POLL_SECONDS)
        raise StartFailed(f"{otherwise} after {READY_SECONDS:.0f} s{last}; see {self.folder / 'logs'}")

    def stop(self) -> None:
        for name in ("kube-controller-manager", "kube-scheduler", "kube-apiserver", "etcd"):
            self.components[name].stop()
        self.reserved.close()

    def keys(self) -> None:
        command = [str(self.binary), "pki", "--dir", str(self.pki), "--service-address", SERVICE_ADDRESS]
        made = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if made.returncode != 0:
            raise StartFailed(f"the keys could not be made in {self.pki}: {made.stderr.strip()}")

    def kubeconfigs(self, webhook_port: int) -> None:
        self.kubeconfig(self.admin, self.endpoint, "admin")
        self.kubeconfig(self.folder / "scheduler.kubeconfig", self.endpoint, "scheduler")
        webhook = f"https://127.0.0.1:{webhook_port}/tokenreview"
        self.kubeconfig(self.folder / "webhook.kubeconfig", webhook, "apiserver-client")

    def kubeconfig(self, path: Path, server: str, identity: str) -> None:
        """Whole in itself, so that it can be copied; JSON is YAML."""
        cluster = {"server": server, "certificate-authority-data": self.encoded("ca.crt")}
        user = {
            "client-certificate-data": self.encoded(f"{identity}.crt"),
            "client-key-data": self.encoded(f"{identity}.key"),
        }
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "testplane", "cluster": cluster}],
            "users": [{"name": identity, "user": user}],
            "contexts": [{"name": "testplane", "context": {"cluster": "testplane", "user": identity}}],
            "current-context": "testplane",
        }
        path.touch(0o600)
        path.write_text(json.dumps(document, indent=1) + "\n")

    def write_egress(self, proxy: str) -> None:
        keys = {
            "caBundle": "pki/ca.crt",
            "clientCert": "pki/apiserver-client.crt",
            "clientKey": "pki/apiserver-client.key",
        }
        transport = {"tcp": {"url": f"https://{proxy}", "tlsConfig": keys}}
        document = {
            "apiVersion": "apiserver.k8s.io/v1beta1",
            "kind": "EgressSelectorConfiguration",
            "egressSelections": [
                {"name": "cluster", "connection": {"proxyProtocol": "HTTPConnect", "transport": transport}}
            ],
        }
        (self.folder / "egress.json").write_text(json.dumps(document, indent=1) + "\n")

    def encoded(self, name: str) -> str:
        return base64.b64encode((self.pki / name).read_bytes()).decode()
