"""Images: pushed by their manifest, found by tag or digest, removed.

https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutImage.html
"""

from __future__ import annotations

import re
from typing import Any

from moto.ecr.models import Image

from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.ecr import manifests
from provisioner_sandbox.services.ecr.state import contents, invalid, repository_of, where

DIGEST = re.compile(r"[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+")
# https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")


@handles("ecr", "PutImage")
def put(call: Call) -> dict:
    repository, params = repository_of(call), call.params
    tag = params.get("imageTag")
    if tag is not None and not TAG.fullmatch(tag):
        raise invalid("imageTag", f"must satisfy regular expression '{TAG.pattern}'")
    manifest = manifests.read(params["imageManifest"], params.get("imageManifestMediaType"))
    check_digest(repository, manifest.digest, params.get("imageDigest"))
    check_parts(repository, manifest)
    image = by_digest(repository, manifest.digest)
    if image is not None and (tag is None or tag in image.image_tags):
        message = (
            f"Image with digest '{manifest.digest}' and tag '{tag or 'null'}' already exists in the repository with "
            f"name '{repository.name}' in registry with id '{repository.registry_id}'"
        )
        raise AwsError("ImageAlreadyExistsException", message)
    holder = by_tag(repository, tag) if tag else None
    if holder is not None:
        if is_immutable(repository, tag):
            message = (
                f"The image tag '{tag}' already exists in the '{repository.name}' repository and cannot be "
                "overwritten because the repository is immutable."
            )
            raise AwsError("ImageTagAlreadyExistsException", message)
        untag(holder, tag)
    if image is None:
        image = Image(
            call.backend.account_id,
            tag,
            params["imageManifest"],
            repository.name,
            manifest.media_type,
            manifest.digest,
            repository.registry_id,
        )
        repository.images.append(image)
    elif tag:
        image.update_tag(tag)
    return {"image": describe(repository, image, tag)}


def check_digest(repository: Any, digest: str, wanted: str | None) -> None:
    if wanted and wanted != digest:
        message = (
            f"The image with digest '{wanted}' in repository '{repository.name}' and registry ID "
            f"'{repository.registry_id}' does not match the image digest that Amazon ECR has calculated."
        )
        raise AwsError("ImageDigestDoesNotMatchException", message)


def check_parts(repository: Any, manifest: manifests.Manifest) -> None:
    held = contents(repository).layers
    absent_layers = [digest for digest in dict.fromkeys(manifest.layers) if digest not in held]
    absent_images = [digest for digest in dict.fromkeys(manifest.images) if by_digest(repository, digest) is None]
    for kind, absent in (("Layers", absent_layers), ("Images", absent_images)):
        if absent:
            message = (
                f"{kind} with digests '[{', '.join(absent)}]' required for pushing image into {where(repository)} "
                "do not exist"
            )
            code = "LayersNotFoundException" if kind == "Layers" else "ReferencedImagesNotFoundException"
            raise AwsError(code, message)


def is_immutable(repository: Any, tag: str) -> bool:
    mode = str(getattr(repository.image_tag_mutability, "value", repository.image_tag_mutability))
    excluded = any(
        re.fullmatch(re.escape(one["filter"]).replace(r"\*", ".*"), tag)
        for one in repository.image_tag_mutability_exclusion_filters or []
    )
    return excluded if mode == "MUTABLE_WITH_EXCLUSION" else mode.startswith("IMMUTABLE") and not excluded


def by_digest(repository: Any, digest: str) -> Any:
    return next((image for image in repository.images if image.image_digest == digest), None)


def by_tag(repository: Any, tag: str) -> Any:
    return next((image for image in repository.images if tag in image.image_tags), None)


def untag(image: Any, tag: str) -> None:
    image.remove_tag(tag)
    if not image.image_tags:
        image.image_tag = None


def identity(image: Any, tag: str | None = None) -> dict[str, str]:
    return {"imageDigest": image.image_digest, **({"imageTag": tag} if tag else {})}


def describe(repository: Any, image: Any, tag: str | None) -> dict[str, Any]:
    return {
        "registryId": repository.registry_id,
        "repositoryName": repository.name,
        "imageId": identity(image, tag),
        "imageManifest": image.image_manifest,
        "imageManifestMediaType": image.image_manifest_media_type,
    }


def failure(image_id: dict[str, str], code: str, reason: str) -> dict[str, Any]:
    return {"imageId": image_id, "failureCode": code, "failureReason": reason}


def find(repository: Any, image_id: dict[str, str]) -> tuple[Any, dict[str, Any] | None]:
    """The image, or the failure that says why there is none."""
    digest, tag = image_id.get("imageDigest"), image_id.get("imageTag")
    if not digest and not tag:
        reason = "Invalid request parameters: both tag and digest cannot be null"
        return None, failure(image_id, "MissingDigestAndTag", reason)
    if digest and not DIGEST.fullmatch(digest):
        reason = f"Invalid request parameters: image digest should satisfy the regex '{DIGEST.pattern}'"
        return None, failure(image_id, "InvalidImageDigest", reason)
    image = by_digest(repository, digest) if digest else by_tag(repository, tag)
    if image is None or (tag and tag not in image.image_tags):
        return None, failure(image_id, "ImageNotFound", "Requested image not found")
    return image, None


@handles("ecr", "BatchGetImage")
def batch_get(call: Call) -> dict:
    repository, accepted = repository_of(call), call.params.get("acceptedMediaTypes")
    found, failures = [], []
    for image_id in call.params["imageIds"]:
        image, problem = find(repository, image_id)
        if image is not None and accepted and image.image_manifest_media_type not in accepted:
            problem = failure(image_id, "ImageNotFound", "Requested image not found")
        if problem:
            failures.append(problem)
        else:
            found.append(describe(repository, image, image_id.get("imageTag")))
    return {"images": found, "failures": failures}


@handles("ecr", "BatchDeleteImage")
def batch_delete(call: Call) -> dict:
    """A digest takes the image with all its tags; a tag alone only itself, and with the last the image."""
    repository = repository_of(call)
    indexes = referenced_by(repository)
    deleted, failures = [], []
    for image_id in call.params["imageIds"]:
        image, problem = find(repository, image_id)
        if problem:
            failures.append(problem)
            continue
        tags = list(image.image_tags) if image_id.get("imageDigest") else [image_id["imageTag"]]
        last = len(tags) == len(image.image_tags)
        if last and image.image_digest in indexes:
            reason = f"Requested image referenced by manifest list: [{', '.join(indexes[image.image_digest])}]"
            failures.append(failure(image_id, "ImageReferencedByManifestList", reason))
            continue
        deleted += [identity(image, tag) for tag in tags or [None]]
        for tag in tags:
            untag(image, tag)
        if last:
            repository.images.remove(image)
    return {"imageIds": deleted, "failures": failures}


def referenced_by(repository: Any) -> dict[str, list[str]]:
    """Image digest to the digests of the indexes that name it."""
    found: dict[str, list[str]] = {}
    for image in repository.images:
        for digest in manifests.read(image.image_manifest, image.image_manifest_media_type).images:
            found.setdefault(digest, []).append(image.image_digest)
    return found
