"""The runner of real processes. As root on Linux each has its image as its root, elsewhere the unpacked files."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from provisioner_sandbox.kube.kubelet.client import Api
from provisioner_sandbox.kube.kubelet.log import Log
from provisioner_sandbox.kube.kubelet.runner import Process, Refused, Runner
from provisioner_sandbox.kube.kubelet.spec import Spec
from provisioner_sandbox.kube.networks import owners
from provisioner_sandbox.kube.networks.pods import NETWORKS
from provisioner_sandbox.kube.processes.addresses import Addresses, NoAddress
from provisioner_sandbox.kube.processes.command import PATH, PYTHON, command, user
from provisioner_sandbox.kube.processes.container import Container
from provisioner_sandbox.kube.processes.images import Images
from provisioner_sandbox.kube.processes.isolation import isolates
from provisioner_sandbox.kube.processes.own_python import run_by_own_python
from provisioner_sandbox.kube.processes.place import IRSA, IRSA_FOLDER, Place
from provisioner_sandbox.kube.processes.probing import Probing
from provisioner_sandbox.kube.processes.roots import rebased, rooted
from provisioner_sandbox.kube.processes.volumes import Volumes

# Controllers whose images are empty, or in no registry in reach, and what is said for them.
PLAYED_BY = Path(__file__).with_name("played.py")
PLAYED = {
    "aws-load-balancer-controller": "the sandbox creates the load balancers of Services and Ingresses",
    "cluster-autoscaler": "the sandbox does not scale node groups",
}
# The port, by its name, at which the API server asks a controller before it stores something.
WEBHOOKS = "webhook-server"
IRSA_AUDIENCE = "sts.amazonaws.com"
IRSA_SECONDS = 86400
ROLE = "eks.amazonaws.com/role-arn"


class ProcessRunner(Runner):
    """`endpoint` is where the sandbox answers, `token` makes one of a pod's service account."""

    runtime = "sandbox"

    def __init__(
        self, folder: Path, images: Images, addresses: Addresses, api: Api, spec: Spec, region: str,
        endpoint: Callable[[], str], token: Callable[[dict[str, Any], str, int], str],
    ):  # fmt: skip
        self.folder = folder
        self.images = images
        self.addresses = addresses
        self.api = api
        self.region = region
        self.endpoint = endpoint
        self.token = token
        self.volumes = Volumes(api, spec, token)
        self.lock = threading.Lock()
        self.places: dict[str, Place] = {}

    # --- pods -------------------------------------------------------------------------------------------------------

    def address(self, pod: dict[str, Any]) -> str:
        uid = pod["metadata"]["uid"]
        with self.lock:
            if uid not in self.places:
                try:
                    address = self.addresses.take()
                except NoAddress:
                    # Told when the pod is prepared.
                    address = ""
                metadata = pod["metadata"]
                name = f"{metadata['namespace']}/{metadata['name']}"
                self.places[uid] = Place(self.folder / uid, address, name=name)
            return self.places[uid].address

    def prepare(self, pod: dict[str, Any]) -> None:
        place = self.places[pod["metadata"]["uid"]]
        if not place.address:
            try:
                place.address = self.addresses.take()
            except NoAddress as error:
                raise Refused("FailedCreatePodSandBox", str(error)) from None
        if place.network is None and not pod["spec"].get("hostNetwork"):
            try:
                place.network = NETWORKS.make(place.address, self.outside())
            except OSError as error:
                text = f"failed to set up the pod's network: {error.strerror or error}"
                raise Refused("FailedCreatePodSandBox", text) from None
        place.folder.mkdir(parents=True, exist_ok=True, mode=0o755)
        place.volumes = self.volumes.fill(pod, place.folder / "volumes", place.address, "127.0.0.1")
        place.identity = self.identity(pod, place)

    def outside(self) -> set[int]:
        """Ports of 127.0.0.1 that pods are told of: where the sandbox and the API server answer."""
        port = urlsplit(self.endpoint()).port
        return {self.api.port} | ({port} if port else set())

    def identity(self, pod: dict[str, Any], place: Place) -> dict[str, str]:
        """What EKS's webhook gives the pods of a service account with a role."""
        namespace, name = pod["metadata"]["namespace"], pod["spec"].get("serviceAccountName", "default")
        found = {"AWS_REGION": self.region, "AWS_DEFAULT_REGION": self.region, "AWS_ENDPOINT_URL": self.endpoint()}
        account = self.api.get(f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}")
        role = ((account or {}).get("metadata") or {}).get("annotations", {}).get(ROLE)
        if not role:
            return found
        path = place.folder / "irsa"
        path.mkdir(exist_ok=True, mode=0o755)
        (path / "token").write_text(self.token(pod, IRSA_AUDIENCE, IRSA_SECONDS))
        place.volumes[IRSA] = (path, False)
        where = f"{IRSA_FOLDER}/token" if isolates() else str(path / "token")
        return {
            **found, "AWS_ROLE_ARN": role, "AWS_WEB_IDENTITY_TOKEN_FILE": where, "AWS_STS_REGIONAL_ENDPOINTS": "regional",
        }  # fmt: skip

    def release(self, pod: dict[str, Any]) -> None:
        with self.lock:
            place = self.places.pop(pod["metadata"]["uid"], None)
        if place is not None:
            if place.network:
                NETWORKS.leave(place.network)
            if place.address:
                self.addresses.give_back(place.address)
            shutil.rmtree(place.folder, ignore_errors=True)

    # --- containers -------------------------------------------------------------------------------------------------

    def pull(self, pod: dict[str, Any], container: dict[str, Any]) -> str:
        try:
            return self.images.get(container["image"]).id
        except Refused:
            if self.played(container):
                return str(container["image"])
            raise

    def played(self, container: dict[str, Any]) -> str | None:
        """What is said of a container that is only played, where its image cannot be had."""
        name = container["image"].partition("@")[0].rpartition("/")[2].partition(":")[0]
        return PLAYED.get(name)

    def play(self, pod: dict[str, Any], container: dict[str, Any], log: Log, changed: Callable[[], None]) -> Process:
        place = self.places[pod["metadata"]["uid"]]
        address, keys = place.address, self.keys(container, place)
        ports = [
            f"{port['containerPort']}{f'={keys}' if keys and port.get('name') == WEBHOOKS else ''}"
            for port in container.get("ports", [])
        ]
        does = f"instead of {container['image']} this process answers probes, and admits every webhook request"
        text = f"{self.played(container)}; {does}"
        plan = {
            "argv": [PYTHON, "-I", "-S", str(PLAYED_BY), address, text, *ports], "env": {"PATH": PATH}, "cwd": "/", "uid": None,
            "gid": None, "groups": [], "root": None, "network": place.network_descriptor,
        }  # fmt: skip
        return self.run(plan, place, container, log, changed)

    def keys(self, container: dict[str, Any], place: Place) -> Path | None:
        """A mounted volume with a certificate."""
        folders = [place.volumes[mount["name"]][0] for mount in container.get("volumeMounts", [])]
        return next((folder for folder in folders if (folder / "tls.crt").exists()), None)

    def start(
        self, pod: dict[str, Any], container: dict[str, Any], environment: dict[str, str], log: Log, changed: Callable[[], None],
    ) -> Process:  # fmt: skip
        try:
            image = self.images.get(container["image"])
        except Refused:
            if self.played(container):
                return self.play(pod, container, log, changed)
            raise
        if self.played(container) and not image.has_base and not (image.config.get("Entrypoint") or image.config.get("Cmd")):
            return self.play(pod, container, log, changed)
        place = self.places[pod["metadata"]["uid"]]
        settings = image.config
        own = dict(pair.partition("=")[::2] for pair in settings.get("Env") or [])
        env = {"PATH": PATH, "HOSTNAME": pod["metadata"]["name"], "HOME": "/", **own, "HOST": place.address}
        env |= place.identity
        env |= environment
        argv = command(container, settings, env)
        uid, gid, groups = user(pod, container, image)
        cwd = container.get("workingDir") or settings.get("WorkingDir") or "/"
        plan: dict[str, Any] = {
            "argv": argv,
            "env": env,
            "cwd": cwd,
            "uid": None,
            "gid": None,
            "groups": groups,
            "root": None,
            "network": place.network_descriptor,
        }
        if isolates():
            plan |= {"uid": uid, "gid": gid}
            plan |= rooted(pod, container, image, place)
        else:
            plan |= rebased(container, image, place, plan)
        if not image.has_base:
            plan = run_by_own_python(plan, image, place)
        return self.run(plan, place, container, log, changed)

    @staticmethod
    def run(
        plan: dict[str, Any], place: Place, container: dict[str, Any], log: Log, changed: Callable[[], None]
    ) -> Container:  # fmt: skip
        made = Container(plan, Probing(place, container), container, log, changed)
        place.containers = [one for one in place.containers if one() is not None] + [made.running]
        return made

    def warn(self, pod: dict[str, Any], container: dict[str, Any]) -> str | None:
        place = self.places[pod["metadata"]["uid"]]
        if place.network is not None:
            return None
        for port in container.get("ports", []):
            number = port["containerPort"]
            found = owners.stranger(place.address, number, place.processes())
            if found:
                return (
                    f"port {number} of this pod is taken by {self.holder(found)}, which listens at all addresses: pods share "
                    f"this machine's network ({NETWORKS.trouble()}), so listen at the address in HOST"
                )
        return None

    def holder(self, sockets: set[int]) -> str:
        """The pod whose process has one of them open."""
        with self.lock:
            places = list(self.places.values())
        for place in places:
            try:
                if any(owners.has_open(one, sockets) for one in owners.family(place.processes())):
                    return f"the pod {place.name}"
            except PermissionError:
                continue
        return "another program of this machine"
