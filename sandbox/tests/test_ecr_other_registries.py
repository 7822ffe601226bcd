"""Repositories of other accounts.

Sources: https://docs.aws.amazon.com/AmazonECR/latest/userguide/repository-policies.html (who may read them) and
https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchGetImage.html (`registryId`, RepositoryNotFoundException)
"""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest
from conftest import Sandbox
from ecr import Registry, digest_of

OTHER, OWN = "210987654321", "123456789012"
READ = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]


class Foreign(Registry):
    """Of another account."""

    def __init__(self, ecr: Any):
        super().__init__(ecr, "base/python", registryId=OTHER)

    def __getattr__(self, operation: str) -> Any:
        call = getattr(self.ecr, operation)
        return lambda **params: call(repositoryName=self.name, registryId=OTHER, **params)

    def allow(self, effect: str = "Allow", principal: Any = None, **more: Any) -> None:
        who = {"AWS": f"arn:aws:iam::{OWN}:root"} if principal is None else principal
        statement = {"Effect": effect, "Principal": who, "Action": READ, **more}
        self.set_repository_policy(policyText=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))


@pytest.fixture
def foreign(sandbox: Sandbox) -> Foreign:
    return Foreign(sandbox.client("ecr"))


def test_it_is_of_its_account(foreign: Foreign, refused: Any) -> None:
    assert foreign.repository["repositoryUri"] == f"{OTHER}.dkr.ecr.eu-central-1.amazonaws.com/base/python"
    ecr = foreign.ecr
    assert ecr.describe_repositories()["repositories"] == []
    assert len(ecr.describe_repositories(registryId=OTHER)["repositories"]) == 1
    refused("RepositoryNotFoundException", ecr.describe_repositories, repositoryNames=["base/python"])
    ids = [{"imageTag": "1"}]
    refused("RepositoryNotFoundException", ecr.batch_get_image, repositoryName="base/python", imageIds=ids)
    said = refused(
        "RepositoryNotFoundException", ecr.batch_get_image, repositoryName="none", registryId=OTHER, imageIds=ids
    )
    assert f"'none' does not exist in the registry with id '{OTHER}'" in str(said)


def test_its_policy_decides_who_reads_it(foreign: Foreign, refused: Any) -> None:
    foreign.image(b"content", "1")
    said = refused("AccessDeniedException", foreign.batch_get_image, imageIds=[{"imageTag": "1"}])
    assert said.response["Error"]["Message"] == (
        f"User: arn:aws:iam::{OWN}:user/sandbox is not authorized to perform: ecr:BatchGetImage on resource: "
        f"arn:aws:ecr:eu-central-1:{OTHER}:repository/base/python because no resource-based policy allows the "
        "ecr:BatchGetImage action"
    )
    foreign.allow(principal={"AWS": "arn:aws:iam::333333333333:root"})
    refused("AccessDeniedException", foreign.batch_get_image, imageIds=[{"imageTag": "1"}])
    for principal in (None, "*", {"AWS": OWN}, {"AWS": f"arn:aws:iam::{OWN}:user/sandbox"}):
        foreign.allow(principal=principal)
        assert len(foreign.batch_get_image(imageIds=[{"imageTag": "1"}])["images"]) == 1
    refused("AccessDeniedException", foreign.describe_images)
    url = foreign.get_download_url_for_layer(layerDigest=digest_of(b"content"))["downloadUrl"]
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"content"
    foreign.allow("Deny")
    said = refused("AccessDeniedException", foreign.batch_get_image, imageIds=[{"imageTag": "1"}])
    assert "with an explicit deny in a resource-based policy" in str(said)
