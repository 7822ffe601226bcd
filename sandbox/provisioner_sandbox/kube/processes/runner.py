"""The runner of real processes. As root on Linux each has its image as its root, elsewhere the unpacked files."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from provisioner_sandbox.kube.kubelet.client import Api
from provisioner_sandbox.kube.kubelet.log import Log
from provisioner_sandbox.kube.kubelet.runner import Exit, Process, Refused, Runner
from provisioner_sandbox.kube.kubelet.spec import Spec, expand, quantity
from provisioner_sandbox.kube.processes import memory
from provisioner_sandbox.kube.processes.addresses import Addresses, NoAddress
from provisioner_sandbox.kube.processes.images import Image, Images
from provisioner_sandbox.kube.processes.probing import LEAST_TIMEOUT, Probing
from provisioner_sandbox.kube.processes.volumes import Volumes

SHIM = Path(__file__).with_name("shim.py")
# Controllers whose images are empty, or in no registry in reach, and what is said for them.
PLAYED_BY = Path(__file__).with_name("played.py")
PLAYED = {
    "aws-load-balancer-controller": "the sandbox creates the load balancers of Services and Ingresses",
    "cluster-autoscaler": "the sandbox does not scale node groups",
}
# The port, by its name, at which the API server asks a controller before it stores something.
WEBHOOKS = "webhook-server"
# The interpreter itself, not the sandbox's environment: its packages are not the application's.
PYTHON = os.path.realpath(sys.executable)
PYTHONS = re.compile(r"(/usr/(local/)?bin/)?python3?(\.\d+)?")
MODULES = re.compile(r"\.cpython-(\d)(\d+)-")
# Of this machine, for images that have no base of their own.
HOST_FOLDERS = ("/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin", "/opt")
HOST_FILES = (
    "/etc/ssl",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
)
DEVICES = ("null", "zero", "full", "random", "urandom")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
START_SECONDS = 20.0
IRSA_FOLDER = "/var/run/secrets/eks.amazonaws.com/serviceaccount"
IRSA_AUDIENCE = "sts.amazonaws.com"
IRSA_SECONDS = 86400
ROLE = "eks.amazonaws.com/role-arn"


@dataclass
class Place:
    """Of a pod: its folder, its address, and its volumes by name, with whether they may be written to."""

    folder: Path
    address: str
    volumes: dict[str, tuple[Path, bool]] = field(default_factory=dict)
    identity: dict[str, str] = field(default_factory=dict)


def isolates() -> bool:
    return sys.platform == "linux" and os.geteuid() == 0


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
                self.places[uid] = Place(self.folder / uid, address)
            return self.places[uid].address

    def prepare(self, pod: dict[str, Any]) -> None:
        place = self.places[pod["metadata"]["uid"]]
        if not place.address:
            try:
                place.address = self.addresses.take()
            except NoAddress as error:
                raise Refused("FailedCreatePodSandBox", str(error)) from None
        place.folder.mkdir(parents=True, exist_ok=True, mode=0o755)
        place.volumes = self.volumes.fill(pod, place.folder / "volumes", place.address, "127.0.0.1")
        place.identity = self.identity(pod, place)

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
        place.volumes["\0irsa"] = (path, False)
        where = f"{IRSA_FOLDER}/token" if isolates() else str(path / "token")
        return {
            **found, "AWS_ROLE_ARN": role, "AWS_WEB_IDENTITY_TOKEN_FILE": where, "AWS_STS_REGIONAL_ENDPOINTS": "regional",
        }  # fmt: skip

    def release(self, pod: dict[str, Any]) -> None:
        with self.lock:
            place = self.places.pop(pod["metadata"]["uid"], None)
        if place is not None:
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
        address = self.places[pod["metadata"]["uid"]].address
        keys = self.keys(container, self.places[pod["metadata"]["uid"]])
        ports = [
            f"{port['containerPort']}{f'={keys}' if keys and port.get('name') == WEBHOOKS else ''}"
            for port in container.get("ports", [])
        ]
        place = f"instead of {container['image']} this process answers probes, and admits every webhook request"
        text = f"{self.played(container)}; {place}"
        plan = {
            "argv": [PYTHON, "-I", "-S", str(PLAYED_BY), address, text, *ports], "env": {"PATH": PATH}, "cwd": "/", "uid": None,
            "gid": None, "groups": [], "root": None,
        }  # fmt: skip
        return Container(plan, Probing(address, container), container, log, changed)

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
        uid, gid, groups = who(pod, container, image)
        cwd = container.get("workingDir") or settings.get("WorkingDir") or "/"
        plan: dict[str, Any] = {
            "argv": argv,
            "env": env,
            "cwd": cwd,
            "uid": None,
            "gid": None,
            "groups": groups,
            "root": None,
        }
        if isolates():
            plan |= {"uid": uid, "gid": gid}
            plan |= self.rooted(pod, container, image, place)
        else:
            plan |= self.rebased(container, image, place, plan)
        if not image.has_base:
            plan["argv"] = by_own_python(plan["argv"], image)
        return Container(plan, Probing(place.address, container), container, log, changed)

    def mounts(self, container: dict[str, Any], place: Place) -> list[list[str]]:
        found = []
        for mount in container.get("volumeMounts", []):
            path, writable = place.volumes[mount["name"]]
            if mount.get("subPath"):
                path = path / mount["subPath"]
                if not path.resolve().is_relative_to(place.folder.resolve()):
                    raise Refused("CreateContainerConfigError", f"subPath {mount['subPath']} leads out of its volume")
                if not path.exists() and writable:
                    path.mkdir(parents=True)
                    path.chmod(0o777)
            if not path.exists():
                raise Refused(
                    "CreateContainerConfigError", f"failed to prepare subPath for volumeMount {mount['name']}"
                )
            found.append(
                [
                    str(path),
                    os.path.normpath(mount["mountPath"]),
                    "rw" if writable and not mount.get("readOnly") else "ro",
                ]
            )
        if "\0irsa" in place.volumes:
            found.append([str(place.volumes["\0irsa"][0]), IRSA_FOLDER, "ro"])
        return sorted(found, key=lambda one: one[1])

    def rooted(self, pod: dict[str, Any], container: dict[str, Any], image: Image, place: Place) -> dict[str, Any]:
        """With the image as its root."""
        sealed = bool((container.get("securityContext") or {}).get("readOnlyRootFilesystem"))
        number = len(list(place.folder.glob(f"root-{container['name']}-*")))
        root = place.folder / f"root-{container['name']}-{number}"
        mounts: list[list[str]] = []
        if image.has_base:
            # Places for what is mounted cannot be made in a root that is sealed, nor in files that others share.
            shutil.copytree(image.root, root, symlinks=True, copy_function=link_or_copy if sealed else shutil.copy2)
            made = False
        else:
            root.mkdir()
            made = True
            mounts += host_parts(image)
        mounts.append(["proc", "/proc", "proc"])
        mounts.append(["", "/dev", "tmpfs"])
        mounts += [[f"/dev/{name}", f"/dev/{name}", "rw"] for name in DEVICES]
        files = place.folder / "etc"
        files.mkdir(exist_ok=True, mode=0o755)
        name = pod["metadata"]["name"]
        (files / "hosts").write_text(f"127.0.0.1\tlocalhost\n{place.address}\t{name}\n")
        (files / "hostname").write_text(f"{name}\n")
        mounts += [[str(files / one), f"/etc/{one}", "ro"] for one in ("hosts", "hostname")]
        if os.path.exists("/etc/resolv.conf"):
            mounts.append(["/etc/resolv.conf", "/etc/resolv.conf", "ro"])
        own = self.mounts(container, place)
        for source, target, _ in [*mounts, *own]:
            if image.has_base and target not in ("/proc",) and not target.startswith("/dev/"):
                make_place(root, target, Path(source) if source else None)
        return {"root": str(root), "made": made, "mounts": [*mounts, *own], "seal": sealed}

    def rebased(self, container: dict[str, Any], image: Image, place: Place, plan: dict[str, Any]) -> dict[str, Any]:
        """Without a root of its own: paths of the image are those of the unpacked files."""

        def moved(text: str) -> str:
            for folder in sorted((one.name for one in image.root.iterdir()), reverse=True):
                text = re.sub(rf"(?<![\w/.])/{re.escape(folder)}(?=/|:|$)", f"{image.root}/{folder}", text)
            return text

        env = dict(plan["env"])
        for name in ("PYTHONPATH", "LD_LIBRARY_PATH"):
            if name in env:
                env[name] = moved(env[name])
        env["HOME"] = str(place.folder)
        inside = image.root / plan["cwd"].lstrip("/")
        cwd = str(inside if inside.is_dir() else place.folder)
        argv = [moved(word) for word in plan["argv"]]
        return {"env": env, "cwd": cwd, "argv": argv}


def link_or_copy(source: str, target: str) -> str:
    """A second name costs nothing; the root is sealed, so that no process writes through it."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)
    return target


def make_place(root: Path, target: str, source: Path | None) -> None:
    from provisioner_sandbox.kube.processes.images import inside

    path = Path(inside(root, target))
    if path.exists():
        return
    if source is None or source.is_dir():
        path.mkdir(parents=True, exist_ok=True)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def host_parts(image: Image) -> list[list[str]]:
    """What stands for a base: this machine's programs and libraries, the interpreter, and the image's own files."""
    found: list[list[str]] = []
    for folder in HOST_FOLDERS:
        if os.path.islink(folder):
            found.append([os.readlink(folder), folder, "link"])
        elif os.path.isdir(folder):
            found.append([folder, folder, "ro"])
    found += [[one, one, "ro"] for one in HOST_FILES if os.path.exists(one)]
    base = os.path.realpath(sys.base_prefix)
    if not any(base == folder or base.startswith(f"{folder}/") for folder in HOST_FOLDERS):
        found.append([base, base, "ro"])
    for one in sorted(image.root.iterdir()):
        if one.name in ("proc", "dev", "tmp", "etc") or one.is_symlink():
            continue
        if f"/{one.name}" in HOST_FOLDERS:
            continue
        found.append([str(one), f"/{one.name}", "ro"])
    return found


def by_own_python(argv: list[str], image: Image) -> list[str]:
    """An image without a base is run by the sandbox's Python, if it was made for it."""
    if not PYTHONS.fullmatch(argv[0]):
        text = f'exec: "{argv[0]}": the image has an empty base, and the sandbox can only run Python for it'
        raise Refused("RunContainerError", text)
    wanted = {match[1] + "." + match[2] for path in image.root.rglob("*.so") if (match := MODULES.search(path.name))}
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if wanted and own not in wanted:
        for version in sorted(wanted):
            other = shutil.which(f"python{version}", path=PATH)
            if other:
                return [other, *argv[1:]]
        text = (
            f"the image has an empty base, and its modules are for Python {', '.join(sorted(wanted))}; the "
            f"sandbox runs on {own}, and finds no other version"
        )
        raise Refused("RunContainerError", text)
    return [PYTHON, *argv[1:]]


def command(container: dict[str, Any], settings: dict[str, Any], env: dict[str, str]) -> list[str]:
    """A command takes the place of entry point and arguments both, arguments that of arguments alone."""
    given, args = container.get("command"), container.get("args")
    if given:
        words = [*given, *(args or [])]
    else:
        words = [*(settings.get("Entrypoint") or []), *(args if args is not None else settings.get("Cmd") or [])]
    if not words:
        raise Refused("CreateContainerError", "no command specified")
    return [expand(word, env) for word in words]


def who(pod: dict[str, Any], container: dict[str, Any], image: Image) -> tuple[int, int, list[int]]:
    """User, group, further groups. Raises `Refused` for root where the pod may not be."""
    general, own = pod["spec"].get("securityContext") or {}, container.get("securityContext") or {}
    named, _, group = (image.config.get("User") or "0").partition(":")
    uid = own.get("runAsUser", general.get("runAsUser"))
    careful = own.get("runAsNonRoot", general.get("runAsNonRoot"))
    name = container["name"]
    where = f'(pod: "{pod["metadata"]["name"]}_{pod["metadata"]["namespace"]}({pod["metadata"]["uid"]})", container: {name})'
    if uid is None:
        if careful and not named.isdecimal():
            text = f"container has runAsNonRoot and image has non-numeric user ({named}), cannot verify user is non-root {where}"
            raise Refused("CreateContainerConfigError", text)
        uid = int(named) if named.isdecimal() else listed(image.root / "etc/passwd", named)
    if careful and uid == 0:
        text = f"container has runAsNonRoot and image will run as root {where}"
        raise Refused("CreateContainerConfigError", text)
    gid = own.get("runAsGroup", general.get("runAsGroup"))
    if gid is None:
        gid = int(group) if group.isdecimal() else listed(image.root / "etc/group", group) if group else 0
    groups = [*general.get("supplementalGroups", [])]
    if general.get("fsGroup") is not None:
        groups.append(general["fsGroup"])
    return uid, gid, groups


def listed(file: Path, name: str) -> int:
    try:
        for line in file.read_text().splitlines():
            parts = line.split(":")
            if parts[0] == name:
                return int(parts[2])
    except OSError:
        pass
    text = f"unable to find user {name}: no matching entries in {file.name} file"
    raise Refused("CreateContainerError", text)


class Container(Process):
    """A shim and what it runs."""

    def __init__(
        self, plan: dict[str, Any], probing: Probing, spec: dict[str, Any], log: Log, changed: Callable[[], None]
    ):
        self.plan = plan
        self.probing = probing
        self.log = log
        self.ended: Exit | None = None
        self.over = threading.Event()
        self.too_large = False
        self.process, self.child = launch(plan)
        limit = spec.get("resources", {}).get("limits", {}).get("memory")
        if limit is not None and sys.platform == "linux":
            bound = int(quantity(str(limit)))
            threading.Thread(target=self.confine, args=(bound,), name=f"limit {spec['name']}", daemon=True).start()
        threading.Thread(target=self.watch, args=(changed,), name=f"wait {spec['name']}", daemon=True).start()

    def watch(self, changed: Callable[[], None]) -> None:
        for line in self.process.stdout or ():
            self.log.write(line.decode("utf-8", "replace").rstrip("\n"))
        code = self.process.wait()
        self.over.set()
        if self.too_large:
            self.ended = Exit(128 + signal.SIGKILL, "OOMKilled")
        else:
            self.ended = Exit(code if code >= 0 else 128 - code)
        changed()

    def confine(self, limit: int) -> None:
        while not self.over.wait(memory.LOOK_SECONDS):
            if memory.exceeds(self.child, limit):
                self.too_large = True
                self.kill()
                return

    def exit(self) -> Exit | None:
        return self.ended

    def probe(self, kind: str, probe: dict[str, Any]) -> str | None:
        timeout = max(float(probe.get("timeoutSeconds", 1)), LEAST_TIMEOUT)
        if "httpGet" in probe:
            return self.probing.http(probe, timeout)
        if "tcpSocket" in probe:
            return self.probing.tcp(probe, timeout)
        if "exec" in probe:
            return self.execute(probe["exec"].get("command", []), timeout)
        return "the sandbox's kubelet does not support gRPC probes"

    def execute(self, argv: list[str], timeout: float) -> str | None:
        plan = {**self.plan, "argv": argv, "join": self.child if self.plan["root"] else None}
        if argv and PYTHONS.fullmatch(argv[0]) and self.plan["argv"][0] == PYTHON:
            plan["argv"] = [PYTHON, *argv[1:]]
        try:
            process, _ = launch(plan)
        except Refused as refused:
            return f"command error: {refused.message}"
        try:
            out = wait(process, timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return f'command "{" ".join(argv)}" timed out'
        if process.returncode == 0:
            return None
        return out.decode("utf-8", "replace").strip() or f"command exited with {process.returncode}"

    def terminate(self) -> None:
        if self.ended is None:
            self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        # The end of its lifeline: the shim takes all with it.
        if self.process.stdin and not self.process.stdin.closed:
            self.process.stdin.close()


def wait(process: subprocess.Popen[bytes], timeout: float) -> bytes:
    """What it writes until it ends; its lifeline stays open."""
    timer = threading.Timer(timeout, lambda: process.stdin.close() if process.stdin else None)
    timer.start()
    try:
        out = process.stdout.read() if process.stdout else b""
        process.wait()
    finally:
        fired = not timer.is_alive()
        timer.cancel()
    if fired:
        raise subprocess.TimeoutExpired("probe", timeout)
    if process.stdin:
        process.stdin.close()
    return out


def launch(plan: dict[str, Any]) -> tuple[subprocess.Popen[bytes], int]:
    """The shim, and the process that it started. Raises `Refused`."""
    reading, writing = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(SHIM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            pass_fds=(writing,), start_new_session=True, env={"PATH": PATH}, cwd="/",
        )  # fmt: skip
    finally:
        os.close(writing)
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps({**plan, "report": writing}).encode() + b"\n")
        process.stdin.flush()
    except OSError:
        pass
    with open(reading, "rb") as report:
        said = report.read().decode("utf-8", "replace").splitlines()
    trouble = [line.removeprefix("error ") for line in said if line.startswith("error ")]
    child = next((int(line.removeprefix("pid ")) for line in said if line.startswith("pid ")), 0)
    if trouble or not child:
        process.stdin.close()
        rest = (process.stdout.read() if process.stdout else b"").decode("utf-8", "replace").strip()
        process.wait()
        text = trouble[0] if trouble else f"the process could not be started: {rest.splitlines()[-1] if rest else ''}"
        prefix = "failed to create containerd task: failed to create shim task: OCI runtime create failed: "
        raise Refused("RunContainerError", f"{prefix}unable to start container process: {text}")
    return process, child
