"""What a container runs, as which user."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

from provisioner_sandbox.kube.kubelet.runner import Refused
from provisioner_sandbox.kube.kubelet.spec import expand
from provisioner_sandbox.kube.processes.images import Image

# The interpreter itself, not the sandbox's environment: its packages are not the application's.
PYTHON = os.path.realpath(sys.executable)
PYTHONS = re.compile(r"(/usr/(local/)?bin/)?python3?(\.\d+)?")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


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


def user(pod: dict[str, Any], container: dict[str, Any], image: Image) -> tuple[int, int, list[int]]:
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
