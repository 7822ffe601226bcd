"""Images out of the sandbox's ECR, or an OCI layout: found by what a pod names, and unpacked once a digest."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import platform
import re
import shutil
import stat
import tarfile
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provisioner_sandbox.kube.kubelet.runner import Refused
from provisioner_sandbox.kube.processes import layouts

REFERENCE = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/(?P<name>[^@:]+)"
    r"(:(?P<tag>[\w][\w.-]{0,127}))?(@(?P<digest>sha256:[0-9a-f]{64}))?"
)
TAGGED = re.compile(r":[\w][\w.-]*$")
WHOLE = re.compile(r"[a-z0-9]+([._-]+[a-z0-9]+|[:/][\w.-]+)*(@sha256:[0-9a-f]{64})?", re.IGNORECASE)
MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
# What a base-less image is marked with, by who builds it.
BASE_LABEL = "provisioner.base"
WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
OUT_OF_REACH = f"the sandbox can reach only its own ECR, and the OCI layout that {layouts.VARIABLE} names"
MOST_LINKS = 40
MOST_INDEXES = 4


@dataclass(frozen=True)
class Image:
    """Unpacked: its files, what its configuration says, and the reference by which `imageID` names it."""

    root: Path
    config: dict[str, Any]
    id: str

    @property
    def has_base(self) -> bool:
        """Whether it brings along what runs it, or only what is to be run."""
        if (self.config.get("Labels") or {}).get(BASE_LABEL) == "none":
            return False
        return any((self.root / folder).exists() for folder in ("lib", "usr/lib", "lib64", "usr/bin", "bin"))


def machine() -> str:
    return MACHINES.get(platform.machine(), platform.machine())


class Images:
    """`guard` is held while ECR's state is read."""

    def __init__(self, folder: Path, guard: Any):
        self.folder = folder
        self.guard = guard
        self.lock = threading.Lock()

    def get(self, reference: str) -> Image:
        """Raises `Refused` in the kubelet's words."""
        manifest, digest, blobs = self.source(reference)
        if not manifest.get("config"):
            raise self.absent(reference, "its manifest has no configuration")
        missing = [one for one in names_of(manifest) if one not in blobs]
        if missing:
            raise self.absent(reference, f"layers not found: {', '.join(missing)}")
        config = json.loads(blobs[manifest["config"]["digest"]])
        repository = TAGGED.sub("", reference.partition("@")[0])
        with self.lock:
            root = self.unpacked(digest, manifest, config, blobs)
        return Image(root, config.get("config") or {}, f"{repository}@{digest}")

    def source(self, reference: str) -> tuple[dict[str, Any], str, Mapping[str, bytes]]:
        """The image's manifest for this machine, its digest, and the blobs by theirs: of ECR, or else of the layout."""
        found = REFERENCE.fullmatch(reference)
        refused = self.absent(reference, OUT_OF_REACH)
        if found:
            try:
                return self.manifest(reference, found)
            except Refused as error:
                refused = error
        elif not WHOLE.fullmatch(reference):
            text = f'Failed to apply default image tag "{reference}": couldn\'t parse image name "{reference}": invalid reference format'
            raise Refused("InvalidImageName", text)
        there = layouts.find(reference)
        if there is None:
            raise refused
        return *self.of_platform(reference, *there), there[1]

    @staticmethod
    def absent(reference: str, why: str) -> Refused:
        text = f'failed to pull and unpack image "{reference}": failed to resolve reference "{reference}": {reference}: {why}'
        return Refused("ErrImagePull", text)

    def of_platform(self, reference: str, digest: str, blobs: layouts.Blobs) -> tuple[dict[str, Any], str]:
        """The manifest for this machine, by way of indexes, which may be of indexes."""
        manifest = blobs.document(digest)
        for _ in range(MOST_INDEXES):
            if "manifests" not in manifest:
                break
            ours = [one["digest"] for one in manifest["manifests"] if fits(one.get("platform") or {})]
            if not ours:
                raise self.no_platform(reference, digest)
            digest, manifest = ours[0], blobs.document(ours[0])
        return manifest, digest

    @staticmethod
    def no_platform(reference: str, digest: str) -> Refused:
        text = f'failed to pull and unpack image "{reference}": no match for platform in manifest {digest}: not found'
        return Refused("ErrImagePull", f"{text} (this machine is linux/{machine()})")

    def manifest(self, reference: str, found: re.Match[str]) -> tuple[dict[str, Any], str, dict[str, bytes]]:
        """The image's manifest for this machine, its digest, and the blobs that it names."""
        from provisioner_sandbox.backend import backend
        from provisioner_sandbox.services.ecr.images import by_digest, by_tag
        from provisioner_sandbox.services.ecr.manifests import INDEXES, read
        from provisioner_sandbox.services.ecr.state import contents

        with self.guard:
            repository = backend("ecr", found["region"]).repositories.get(found["name"])
            if repository is None or repository.registry_id != found["account"]:
                raise self.absent(reference, "not found: the repository does not exist")
            if found["digest"]:
                image = by_digest(repository, found["digest"])
            else:
                image = by_tag(repository, found["tag"] or "latest")
            if image is None:
                raise self.absent(reference, "not found")
            manifest = read(image.image_manifest, image.image_manifest_media_type)
            digest = manifest.digest
            if manifest.media_type in INDEXES:
                ours = [one for one in manifest.document["manifests"] if fits(one.get("platform") or {})]
                image = next((one for entry in ours if (one := by_digest(repository, entry["digest"]))), None)
                if image is None:
                    raise self.no_platform(reference, digest)
                manifest = read(image.image_manifest, image.image_manifest_media_type)
            held = contents(repository).layers
            return manifest.document, manifest.digest, {one: held[one] for one in manifest.layers if one in held}

    def unpacked(self, digest: str, manifest: dict[str, Any], config: dict[str, Any], blobs: Mapping[str, bytes]) -> Path:
        target = self.folder / digest.replace(":", "-")
        if target.exists():
            return target
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix="partial-", dir=self.folder))
        try:
            partial.chmod(0o755)
            wanted = (config.get("rootfs") or {}).get("diff_ids") or []
            for n, layer in enumerate(manifest["layers"]):
                if layer["digest"] not in blobs:
                    continue
                text = plain(blobs[layer["digest"]], layer.get("mediaType", ""))
                found = "sha256:" + hashlib.sha256(text).hexdigest()
                if n < len(wanted) and wanted[n] != found:
                    why = f"wrong diff id calculated on extraction {found}, wanted {wanted[n]}"
                    raise Refused("ErrImagePull", f"failed to extract layer {layer['digest']}: {why}")
                lay(text, partial)
            # What a container is given beside its image needs a place in it; a read-only root takes none later.
            for name in ("proc", "dev", "tmp", "etc"):
                if not (partial / name).is_symlink():
                    (partial / name).mkdir(exist_ok=True)
            partial.rename(target)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        return target


def names_of(manifest: dict[str, Any]) -> list[str]:
    """Digests of what must be there of an image."""
    from provisioner_sandbox.services.ecr.manifests import is_elsewhere

    return [one["digest"] for one in [manifest["config"], *manifest.get("layers", [])] if not is_elsewhere(one)]


def fits(wanted: dict[str, Any]) -> bool:
    return wanted.get("os", "linux") == "linux" and wanted.get("architecture") in (None, machine())


def plain(blob: bytes, kind: str) -> bytes:
    if "zstd" in kind or blob[:4] == b"\x28\xb5\x2f\xfd":
        raise Refused(
            "ErrImagePull", f"failed to extract layer: the sandbox does not read layers of type {kind or 'zstd'}"
        )
    return gzip.decompress(blob) if blob[:2] == b"\x1f\x8b" else blob


def lay(text: bytes, root: Path) -> None:
    """One layer over what is there. https://github.com/opencontainers/image-spec/blob/main/layer.md"""
    placed: set[str] = set()
    folders: list[tuple[str, int]] = []
    with tarfile.open(fileobj=io.BytesIO(text)) as archive:
        for member in archive:
            name = os.path.normpath(member.name).lstrip("/")
            if name in (".", "") or name == ".." or name.startswith("../"):
                continue
            parent, last = os.path.split(name)
            folder = inside(root, parent)
            os.makedirs(folder, exist_ok=True)
            path = os.path.join(folder, last)
            if last == OPAQUE:
                clear(folder, placed)
                continue
            if last.startswith(WHITEOUT):
                drop(os.path.join(folder, last.removeprefix(WHITEOUT)))
                continue
            put(archive, member, path, root)
            placed.add(path)
            if member.isdir():
                folders.append((path, member.mode))
    # A folder that may not be written to is filled first.
    for path, mode in reversed(folders):
        os.chmod(path, mode & 0o1777)


def put(archive: tarfile.TarFile, member: tarfile.TarInfo, path: str, root: Path) -> None:
    if member.isdir():
        if os.path.islink(path) or (os.path.exists(path) and not os.path.isdir(path)):
            os.unlink(path)
        os.makedirs(path, exist_ok=True)
        os.chmod(path, 0o755)
        own(path, member)
        return
    drop(path)
    if member.issym():
        os.symlink(member.linkname, path)
        own(path, member)
    elif member.islnk():
        source = os.path.normpath(member.linkname).lstrip("/")
        if source == ".." or source.startswith("../"):
            return
        head, tail = os.path.split(source)
        os.link(os.path.join(inside(root, head), tail), path, follow_symlinks=False)
    elif member.isreg():
        taken = archive.extractfile(member)
        with open(path, "wb") as file:
            shutil.copyfileobj(taken or io.BytesIO(), file)
        own(path, member)
        # Without set-user-id bits: running a program of an image grants no privileges.
        os.chmod(path, stat.S_IMODE(member.mode) & 0o777)


def own(path: str, member: tarfile.TarInfo) -> None:
    if os.geteuid() == 0:
        os.lchown(path, member.uid, member.gid)


def inside(root: Path, path: str) -> str:
    """Where a path of the image is, with its links followed as if `root` were `/`: never outside of it."""
    parts = [part for part in path.split("/") if part]
    at: list[str] = []
    links = 0
    while parts:
        part = parts.pop(0)
        if part in (".", ""):
            continue
        if part == "..":
            at = at[:-1]
            continue
        here = os.path.join(root, *at, part)
        if os.path.islink(here):
            links += 1
            if links > MOST_LINKS:
                raise Refused("ErrImagePull", f"failed to extract layer: too many links at {path}")
            target = os.readlink(here)
            at = [] if target.startswith("/") else at
            parts = [one for one in target.split("/") if one] + parts
            continue
        at.append(part)
    return os.path.join(root, *at)


def drop(path: str) -> None:
    if os.path.islink(path) or os.path.isfile(path):
        os.unlink(path)
    elif os.path.isdir(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def clear(folder: str, placed: set[str]) -> None:
    """Without what lower layers put there."""
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if not any(one == path or one.startswith(path + "/") for one in placed):
            drop(path)
