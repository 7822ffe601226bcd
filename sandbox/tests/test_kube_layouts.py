"""Images that pods get from an OCI layout, as from a registry that is in reach.

Source: https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from kubernetes import digest, tar

from provisioner_sandbox.kube.kubelet.runner import Refused
from provisioner_sandbox.kube.processes.images import Images, machine
from provisioner_sandbox.kube.processes.layouts import REF_NAME, VARIABLE

INDEX = "application/vnd.oci.image.index.v1+json"
NAME = "quay.io/team/web:1"


class Layout:
    def __init__(self, folder: Path):
        self.folder = folder
        (folder / "blobs/sha256").mkdir(parents=True)

    def put(self, blob: bytes) -> dict[str, Any]:
        (self.folder / "blobs/sha256" / digest(blob).partition(":")[2]).write_bytes(blob)
        return {"digest": digest(blob), "size": len(blob)}

    def image(self, text: bytes, architecture: str) -> dict[str, Any]:
        layer = tar({"app": None, "app/text": text})
        rootfs = {"diff_ids": [digest(layer)]}
        config = {"architecture": architecture, "os": "linux", "config": {"Cmd": ["web"]}, "rootfs": rootfs}
        about = self.put(json.dumps(config).encode())
        made = self.put(json.dumps({"schemaVersion": 2, "config": about, "layers": [self.put(layer)]}).encode())
        return {**made, "platform": {"os": "linux", "architecture": architecture}}

    def index(self, *entries: dict[str, Any]) -> bytes:
        return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": list(entries)}).encode()

    def name(self, entry: dict[str, Any]) -> None:
        (self.folder / "index.json").write_bytes(self.index({**entry, "annotations": {REF_NAME: NAME}}))


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "layout"))
    return Layout(tmp_path / "layout")


@pytest.fixture
def images(tmp_path: Path) -> Images:
    return Images(tmp_path / "images", nullcontext())


def test_the_image_for_this_machine(layout: Layout, images: Images) -> None:
    ours = layout.image(b"ours", machine())
    layout.name(layout.put(layout.index(layout.image(b"other", "s390x"), ours)))
    found = images.get(NAME)
    assert (found.root / "app/text").read_bytes() == b"ours"
    assert (found.id, found.config) == (f"quay.io/team/web@{ours['digest']}", {"Cmd": ["web"]})


def test_what_is_not_there_or_is_damaged(layout: Layout, images: Images) -> None:
    ours = layout.image(b"ours", machine())
    layout.name(layout.put(layout.index(layout.image(b"other", "s390x"))))
    for name, why in ((NAME, "no match for platform"), ("quay.io/team/web:2", "the sandbox can reach only its own ECR")):
        with pytest.raises(Refused, match=why) as refused:
            images.get(name)
        assert refused.value.reason == "ErrImagePull"
    layout.name(ours)
    layer = json.loads((layout.folder / "blobs/sha256" / ours["digest"][7:]).read_bytes())["layers"][0]["digest"]
    file = layout.folder / "blobs/sha256" / layer[7:]
    file.write_bytes(b"damaged")
    with pytest.raises(Refused, match="does not have this digest"):
        images.get(NAME)
    file.unlink()
    with pytest.raises(Refused, match="layers not found"):
        images.get(NAME)
    (layout.folder / "index.json").unlink()
    with pytest.raises(Refused, match=VARIABLE):
        images.get(NAME)


def test_without_a_layout_there_is_none(layout: Layout, images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    layout.name(layout.image(b"ours", machine()))
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(Refused, match=VARIABLE):
        images.get(NAME)
