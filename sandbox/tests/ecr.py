"""ECR as its tests need it: a repository, and what a client does to it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
OCI = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
MIB = 1024 * 1024


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Registry:
    """One repository, and what a client does to it."""

    def __init__(self, ecr: Any, name: str = "app", **more: Any):
        self.ecr, self.name = ecr, name
        self.repository = ecr.create_repository(repositoryName=name, **more)["repository"]

    def __getattr__(self, operation: str) -> Any:
        call = getattr(self.ecr, operation)
        return lambda **params: call(repositoryName=self.name, **params)

    def part(self, upload: str, first: int, content: bytes) -> Any:
        last = first + len(content) - 1
        return self.upload_layer_part(uploadId=upload, partFirstByte=first, partLastByte=last, layerPartBlob=content)

    def layer(self, content: bytes) -> str:
        upload = self.initiate_layer_upload()["uploadId"]
        self.part(upload, 0, content)
        return self.complete_layer_upload(uploadId=upload, layerDigests=[digest_of(content)])["layerDigest"]

    def manifest(self, content: bytes, media_type: str = DOCKER) -> str:
        config = b'{"of":"' + content + b'"}'
        document = {
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": {"mediaType": "config", "size": len(config), "digest": digest_of(config)},
            "layers": [{"mediaType": "layer", "size": len(content), "digest": digest_of(content)}],
        }
        return json.dumps(document)

    def image(self, content: bytes, tag: str | None = None, media_type: str = DOCKER) -> str:
        self.layer(content)
        self.layer(b'{"of":"' + content + b'"}')
        tags = {"imageTag": tag} if tag else {}
        return self.put_image(imageManifest=self.manifest(content, media_type), **tags)["image"]["imageId"][
            "imageDigest"
        ]

    def index(self, *digests: str, tag: str | None = None) -> str:
        document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [{"digest": one} for one in digests]}
        tags = {"imageTag": tag} if tag else {}
        return self.put_image(imageManifest=json.dumps(document), **tags)["image"]["imageId"]["imageDigest"]

    def ids(self, **params: Any) -> list[tuple[str, str | None]]:
        return sorted((one["imageDigest"], one.get("imageTag")) for one in self.list_images(**params)["imageIds"])
