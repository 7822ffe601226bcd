"""ECR: moto has the repositories, tags and policies; layers, images and their digests are here."""

from __future__ import annotations

from typing import Any

from provisioner_sandbox.services.ecr import (  # noqa: F401  each registers its operations
    images,
    layers,
    lifecycle,
    listing,
    other_registries,
    repositories,
)


def tagged(ecr: Any) -> list[tuple[str, dict[str, str]]]:
    """(ARN, tags) of the repositories."""
    found = []
    for repository in ecr.repositories.values():
        tags = ecr.tagger.get_tag_dict_for_resource(repository.arn)
        if tags:
            found.append((repository.arn, tags))
    return found
