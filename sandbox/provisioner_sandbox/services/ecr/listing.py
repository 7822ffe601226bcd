"""DescribeImages and ListImages, in pages and by tag status."""

from __future__ import annotations

from typing import Any

from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.ecr import manifests
from provisioner_sandbox.services.ecr.images import by_digest, identity
from provisioner_sandbox.services.ecr.state import invalid, paginate, repository_of

ACTIVE = "ACTIVE"


def selected(repository: Any, params: dict[str, Any]) -> list[Any]:
    wanted = params.get("filter") or {}
    if wanted.get("imageStatus", ACTIVE) not in (ACTIVE, "ANY"):
        return []
    match wanted.get("tagStatus", "ANY"):
        case "TAGGED":
            return [image for image in repository.images if image.image_tags]
        case "UNTAGGED":
            return [image for image in repository.images if not image.image_tags]
    return list(repository.images)


@handles("ecr", "DescribeImages")
def describe_images(call: Call) -> dict:
    repository, params = repository_of(call), call.params
    ids = params.get("imageIds")
    if not ids:
        page, token = paginate(selected(repository, params), lambda image: image.image_digest, params)
        return {"imageDetails": [detail(repository, image) for image in page], "nextToken": token}
    for name in ("maxResults", "nextToken"):
        if params.get(name) is not None:
            raise invalid(name, f"{name} cannot be used together with imageIds")
    found = [repository._get_image(one.get("imageTag"), one.get("imageDigest")) for one in ids]
    unique = {image.image_digest: image for image in found}
    return {"imageDetails": [detail(repository, image) for image in unique.values()]}


def detail(repository: Any, image: Any) -> dict[str, Any]:
    manifest = manifests.read(image.image_manifest, image.image_manifest_media_type)
    described = {
        "registryId": repository.registry_id,
        "repositoryName": repository.name,
        "imageDigest": image.image_digest,
        "imageSizeInBytes": size(repository, manifest),
        "imagePushedAt": image.image_pushed_at,
        "imageManifestMediaType": image.image_manifest_media_type,
        "imageStatus": ACTIVE,
    }
    optional = {
        "imageTags": list(image.image_tags),
        "artifactMediaType": manifest.artifact_type,
        "subjectManifestDigest": manifest.subject,
    }
    return described | {name: value for name, value in optional.items() if value}


def size(repository: Any, manifest: manifests.Manifest) -> int:
    """Of a manifest list, that of its largest image.

    https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageDetail.html
    """
    children = [by_digest(repository, digest) for digest in manifest.images]
    sizes = [size(repository, manifests.read(one.image_manifest, one.image_manifest_media_type)) for one in children]
    return max(sizes, default=manifest.size)


@handles("ecr", "ListImages")
def list_images(call: Call) -> dict:
    repository = repository_of(call)
    ids = [identity(image, tag) for image in selected(repository, call.params) for tag in image.image_tags or [None]]
    page, token = paginate(ids, lambda one: f"{one['imageDigest']} {one.get('imageTag', '')}", call.params)
    return {"imageIds": page, "nextToken": token}
