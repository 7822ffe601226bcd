"""ECR: moto has the repositories, this package what is in them."""

from __future__ import annotations

from typing import Any


def tagged(ecr: Any) -> list[tuple[str, dict[str, str]]]:
    """(ARN, tags) of the repositories."""
    found = []
    for repository in ecr.repositories.values():
        tags = ecr.tagger.get_tag_dict_for_resource(repository.arn)
        if tags:
            found.append((repository.arn, tags))
    return found
