"""What runs an image without a base: the sandbox's Python, with the packages and programs of the image."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from provisioner_sandbox.kube.kubelet.runner import Refused
from provisioner_sandbox.kube.processes.command import PATH, PYTHON
from provisioner_sandbox.kube.processes.images import Image
from provisioner_sandbox.kube.processes.place import Place

MODULES = re.compile(r"\.cpython-(\d)(\d+)-")
INTERPRETER = re.compile(r"python3?(\.\d+)?")
SHELLS = ("sh", "bash", "env", "exec")
# Where a container with a root of its own sees the image and the programs.
IMAGE_AT, PROGRAMS_AT = "/.image", "/.programs"
MOST_SCRIPT_BYTES = 1 << 20


def interpreter(image: Image) -> str:
    """The Python for which the image's modules are made."""
    wanted = {match[1] + "." + match[2] for path in image.root.rglob("*.so") if (match := MODULES.search(path.name))}
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if not wanted or own in wanted:
        return PYTHON
    for version in sorted(wanted):
        other = shutil.which(f"python{version}", path=PATH)
        if other:
            return other
    text = (
        f"the image has an empty base, and its modules are for Python {', '.join(sorted(wanted))}; the "
        f"sandbox runs on {own}, and finds no other version"
    )
    raise Refused("RunContainerError", text)


def run_by_own_python(plan: dict[str, Any], image: Image, place: Place) -> dict[str, Any]:
    """The plan with the interpreter, the programs and the packages of the image. Raises `Refused`."""
    python = interpreter(image)
    env = dict(plan["env"])
    folders = [folder for folder in env.get("PATH", PATH).split(":") if folder.startswith("/")]
    argv = list(plan["argv"])
    if argv[0].startswith("/"):
        folders.insert(0, os.path.dirname(argv[0]))
    programs = place.folder / "programs"
    write_programs(programs, image, folders, python)
    rooted = plan["root"] is not None
    image_at, programs_at = (IMAGE_AT, PROGRAMS_AT) if rooted else (str(image.root), str(programs))
    sites = [f"{image_at}/{site.relative_to(image.root)}" for site in packages(image, folders)]
    linked = [path for site in packages(image, folders) for path in links(site)]
    found = [env.get("PYTHONPATH", ""), *sites, *(f"{image_at}{path}" for path in linked)]
    if any(found):
        env["PYTHONPATH"] = ":".join(path for path in found if path)
    env["PATH"] = f"{programs_at}:{env.get('PATH', PATH)}"
    name = os.path.basename(argv[0])
    if INTERPRETER.fullmatch(name):
        argv[0] = python
    elif (programs / name).exists():
        argv[0] = f"{programs_at}/{name}"
    elif name not in SHELLS and not inside(image, plan["cwd"], argv[0]):
        text = f'exec: "{argv[0]}": the image has an empty base, and the sandbox can only run Python for it'
        raise Refused("RunContainerError", text)
    changed = {**plan, "env": env, "argv": argv}
    if rooted:
        changed["mounts"] = [*plan["mounts"], [str(image.root), IMAGE_AT, "ro"], [str(programs), PROGRAMS_AT, "ro"]]
    return changed


def inside(image: Image, cwd: str, program: str) -> bool:
    """Whether a program is a file of the image."""
    return "/" in program and (image.root / os.path.join(cwd, program).lstrip("/")).is_file()


def write_programs(programs: Path, image: Image, folders: list[str], python: str) -> None:
    """The programs of the image: what Python runs is run by the sandbox's."""
    programs.mkdir(exist_ok=True, mode=0o755)
    for folder in folders:
        at = image.root / folder.lstrip("/")
        if not at.is_dir():
            continue
        for path in sorted(at.iterdir()):
            target = programs / path.name
            if path.is_symlink() or not path.is_file() or target.exists() or path.stat().st_size > MOST_SCRIPT_BYTES:
                continue
            text = path.read_bytes()
            line, _, rest = text.partition(b"\n")
            if line.startswith(b"#!") and b"python" in line:
                text = b"#!" + python.encode() + b"\n" + rest
            target.write_bytes(text)
            target.chmod(0o755)
    for name in ("python", "python3"):
        target = programs / name
        if not target.exists():
            target.symlink_to(python)


def packages(image: Image, folders: list[str]) -> list[Path]:
    """The folders of packages beside the folders of programs, in the same order."""
    found: list[Path] = []
    for folder in [*folders, "/usr/local/bin"]:
        beside = image.root / os.path.dirname(folder).lstrip("/") / "lib"
        for site in sorted(beside.glob("python3*/site-packages")):
            if site not in found:
                found.append(site)
    return found


def links(site: Path) -> list[str]:
    """The folders of projects that are installed as links. Python reads them only in folders of its own."""
    lines = [line.strip() for path in sorted(site.glob("_*.pth")) for line in path.read_text().splitlines()]
    return [line for line in lines if line.startswith("/")]
