"""What a manifest says: its media type, and the layers and images that it needs.

https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-manifest-formats.html
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from provisioner_sandbox.services.ecr.state import invalid

IMAGES = ("application/vnd.docker.distribution.manifest.v2+json", "application/vnd.oci.image.manifest.v1+json")
INDEXES = ("application/vnd.docker.distribution.manifest.list.v2+json", "application/vnd.oci.image.index.v1+json")
# Layers that no registry needs to hold: https://github.com/opencontainers/image-spec/blob/main/layer.md
NOT_PUSHED = ("nondistributable", "foreign")


@dataclass(frozen=True)
class Manifest:
    digest: str
    media_type: str
    document: dict[str, Any]

    @property
    def layers(self) -> list[str]:
        """The digests of what must have been uploaded, the configuration among them."""
        if self.media_type not in IMAGES:
            return []
        blobs = [self.document.get("config"), *(self.document.get("layers") or [])]
        return [blob["digest"] for blob in blobs if blob and not is_elsewhere(blob)]

    @property
    def images(self) -> list[str]:
        return references(self.document) if self.media_type in INDEXES else []

    @property
    def size(self) -> int:
        return sum(layer.get("size", 0) for layer in self.document.get("layers") or [])

    @property
    def artifact_type(self) -> str | None:
        return self.document.get("artifactType") or (self.document.get("config") or {}).get("mediaType")

    @property
    def subject(self) -> str | None:
        return (self.document.get("subject") or {}).get("digest")


def is_elsewhere(blob: dict[str, Any]) -> bool:
    return any(word in blob.get("mediaType", "") for word in NOT_PUSHED)


def references(document: dict[str, Any]) -> list[str]:
    return [image["digest"] for image in document.get("manifests") or []]


def read(text: str, given_type: str | None = None) -> Manifest:
    try:
        document = json.loads(text)
    except ValueError:
        raise invalid("ImageManifest", "Invalid JSON syntax") from None
    if not isinstance(document, dict):
        raise invalid("ImageManifest", "Invalid JSON syntax")
    own_type = document.get("mediaType")
    if given_type and own_type and given_type != own_type:
        raise invalid("ImageManifestMediaType", "Media type does not match the one in the manifest")
    media_type = own_type or given_type
    if not media_type:
        raise invalid("ImageManifest", "image manifest mediatype not provided in manifest or parameter")
    if media_type not in IMAGES + INDEXES:
        raise invalid("ImageManifest", f"Unsupported image manifest media type {media_type}")
    check(document, media_type)
    return Manifest("sha256:" + hashlib.sha256(text.encode()).hexdigest(), media_type, document)


def check(document: dict[str, Any], media_type: str) -> None:
    if media_type in INDEXES:
        right = descriptors(document.get("manifests"))
    else:
        right = descriptors([document.get("config")]) and descriptors(document.get("layers"))
    if document.get("schemaVersion") != 2 or not right:
        raise invalid("ImageManifest", "Invalid image manifest")


def descriptors(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, dict) and isinstance(one.get("digest"), str) and isinstance(one.get("size", 0), int)
        for one in value
    )
