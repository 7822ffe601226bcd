"""The files that a container sees: the image as its root, or the unpacked files in place of one."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from provisioner_sandbox.kube.kubelet.runner import Refused
from provisioner_sandbox.kube.processes.images import Image, inside
from provisioner_sandbox.kube.processes.place import IRSA, IRSA_FOLDER, Place

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


def mounts_of(container: dict[str, Any], place: Place) -> list[list[str]]:
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
    if IRSA in place.volumes:
        found.append([str(place.volumes[IRSA][0]), IRSA_FOLDER, "ro"])
    return sorted(found, key=lambda one: one[1])


def rooted(pod: dict[str, Any], container: dict[str, Any], image: Image, place: Place) -> dict[str, Any]:
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
    own = mounts_of(container, place)
    for source, target, _ in [*mounts, *own]:
        if image.has_base and target not in ("/proc",) and not target.startswith("/dev/"):
            make_place(root, target, Path(source) if source else None)
    return {"root": str(root), "made": made, "mounts": [*mounts, *own], "seal": sealed}


def rebased(container: dict[str, Any], image: Image, place: Place, plan: dict[str, Any]) -> dict[str, Any]:
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
    base = os.path.realpath(sys.base_prefix)
    folders = [one for one in HOST_FOLDERS if one != "/opt" or base.startswith("/opt/") or not (image.root / "opt").is_dir()]
    for folder in folders:
        if os.path.islink(folder):
            found.append([os.readlink(folder), folder, "link"])
        elif os.path.isdir(folder):
            found.append([folder, folder, "ro"])
    # Where applications are often put, and this machine has nothing that they need.
    if (image.root / "usr/src").is_dir() and os.path.isdir("/usr/src"):
        found.append([str(image.root / "usr/src"), "/usr/src", "ro"])
    found += [[one, one, "ro"] for one in HOST_FILES if os.path.exists(one)]
    if not any(base == folder or base.startswith(f"{folder}/") for folder in folders):
        found.append([base, base, "ro"])
    for one in sorted(image.root.iterdir()):
        if one.name in ("proc", "dev", "tmp", "etc") or one.is_symlink():
            continue
        if f"/{one.name}" in folders:
            continue
        found.append([str(one), f"/{one.name}", "ro"])
    return found
