"""ECR: layers, images by their true digests, lifecycle policies, encryption, login."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import time
import urllib.error
import urllib.request
from typing import Any

import pytest
from conftest import Sandbox
from policies import allow, policy

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
OCI = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
MIB = 1024 * 1024
EXPIRE = {"type": "expire"}


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


@pytest.fixture
def ecr(sandbox: Sandbox) -> Any:
    return sandbox.client("ecr")


@pytest.fixture
def app(ecr: Any) -> Registry:
    return Registry(ecr)


class TestLayers:
    def test_in_parts_and_back(self, sandbox: Sandbox, app: Registry) -> None:
        content = bytes(range(256)) * (6 * MIB // 256)
        begun = app.initiate_layer_upload()
        assert begun["partSize"] == 10 * MIB
        upload = begun["uploadId"]
        assert app.part(upload, 0, content[: 5 * MIB])["lastByteReceived"] == 5 * MIB - 1
        assert app.part(upload, 5 * MIB, content[5 * MIB :])["lastByteReceived"] == 6 * MIB - 1
        done = app.complete_layer_upload(uploadId=upload, layerDigests=["sha256:" + "0" * 64, digest_of(content)])
        assert done["layerDigest"] == digest_of(content)
        url = app.get_download_url_for_layer(layerDigest=digest_of(content))["downloadUrl"]
        assert url == f"{sandbox.endpoint}/_ecr/eu-central-1/app/{digest_of(content)}"
        with urllib.request.urlopen(url) as answer:
            assert answer.read() == content
        head = urllib.request.Request(url, method="HEAD")
        with urllib.request.urlopen(head) as answer:
            assert answer.headers["Content-Length"] == str(6 * MIB)

    def test_parts_follow_each_other(self, app: Registry, refused: Any) -> None:
        upload = app.initiate_layer_upload()["uploadId"]
        app.part(upload, 0, b"12345")
        error = refused(
            "InvalidLayerPartException",
            app.upload_layer_part,
            400,
            uploadId=upload,
            partFirstByte=6,
            partLastByte=6,
            layerPartBlob=b"7",
        )
        answer = error.response
        assert answer["Error"]["Message"] == "First byte of the layer part is 6 instead of 5"
        assert (answer["lastValidByteReceived"], answer["uploadId"]) == (4, upload)
        assert (answer["registryId"], answer["repositoryName"]) == ("123456789012", "app")
        refused(
            "InvalidLayerPartException",
            app.upload_layer_part,
            uploadId=upload,
            partFirstByte=5,
            partLastByte=9,
            layerPartBlob=b"6",
        )
        app.part(upload, 5, b"6")
        error = refused(
            "LayerPartTooSmallException", app.complete_layer_upload, uploadId=upload, layerDigests=[digest_of(b"123456")]
        )
        assert error.response["Error"]["Message"] == "All layer parts except the last part should be at least 5MB"

    def test_refusals(self, app: Registry, ecr: Any, refused: Any) -> None:
        absent = "00000000-0000-0000-0000-000000000000"
        wanted = [digest_of(b"x")]
        refused("UploadNotFoundException", app.complete_layer_upload, uploadId=absent, layerDigests=wanted)
        upload = app.initiate_layer_upload()["uploadId"]
        refused("EmptyUploadException", app.complete_layer_upload, uploadId=upload, layerDigests=wanted)
        Registry(ecr, "other")
        refused(
            "UploadNotFoundException",
            ecr.complete_layer_upload,
            repositoryName="other",
            uploadId=upload,
            layerDigests=wanted,
        )
        app.part(upload, 0, b"y")
        refused("InvalidLayerException", app.complete_layer_upload, uploadId=upload, layerDigests=wanted)
        app.complete_layer_upload(uploadId=upload, layerDigests=[digest_of(b"y")])
        refused(
            "UploadNotFoundException", app.complete_layer_upload, uploadId=upload, layerDigests=[digest_of(b"y")]
        )
        refused("LayerAlreadyExistsException", app.layer, content=b"y")
        refused("LayersNotFoundException", app.get_download_url_for_layer, layerDigest=digest_of(b"z"))

    def test_availability(self, app: Registry) -> None:
        there, absent = app.layer(b"there"), digest_of(b"absent")
        answer = app.batch_check_layer_availability(layerDigests=[there, absent, "bad digest", ""])
        assert answer["layers"] == [
            {"layerDigest": there, "layerAvailability": "AVAILABLE", "layerSize": 5},
            {"layerDigest": absent, "layerAvailability": "UNAVAILABLE"},
        ]
        codes = [(one["layerDigest"], one["failureCode"]) for one in answer["failures"]]
        assert codes == [("bad digest", "InvalidLayerDigest"), ("", "MissingLayerDigest")]

    def test_downloads_of_nothing(self, sandbox: Sandbox, app: Registry) -> None:
        there = app.layer(b"there")
        for path in ("x", "nowhere-1/app/" + there, "eu-central-1/other/" + there, "eu-central-1/app/sha256:00"):
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(f"{sandbox.endpoint}/_ecr/{path}")
            assert caught.value.code == 404
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{sandbox.endpoint}/_ecr/eu-central-1/app/{there}", data=b"")
        assert caught.value.code == 405


class TestPutImage:
    def test_digest_is_of_the_manifest(self, app: Registry) -> None:
        assert app.image(b"one", "v1") == digest_of(app.manifest(b"one").encode())
        image = app.describe_images(imageIds=[{"imageTag": "v1"}])["imageDetails"][0]
        assert (image["imageTags"], image["imageSizeInBytes"], image["imageStatus"]) == (["v1"], 3, "ACTIVE")
        assert (image["imageManifestMediaType"], image["artifactMediaType"]) == (DOCKER, "config")

    def test_needs_its_layers(self, app: Registry, refused: Any) -> None:
        app.layer(b"one")
        error = refused("LayersNotFoundException", app.put_image, 400, imageManifest=app.manifest(b"one"))
        config = digest_of(b'{"of":"one"}')
        assert error.response["Error"]["Message"] == (
            f"Layers with digests '[{config}]' required for pushing image into repository with name 'app' in the "
            "registry with id '123456789012' do not exist"
        )

    def test_tags(self, app: Registry, refused: Any) -> None:
        one, two = app.image(b"one", "v1"), app.image(b"two", "v2")
        app.put_image(imageManifest=app.manifest(b"one"), imageTag="latest")
        error = refused(
            "ImageAlreadyExistsException", app.put_image, imageManifest=app.manifest(b"one"), imageTag="latest"
        )
        assert f"Image with digest '{one}' and tag 'latest' already exists" in str(error)
        refused("ImageAlreadyExistsException", app.put_image, imageManifest=app.manifest(b"one"))
        app.put_image(imageManifest=app.manifest(b"two"), imageTag="v1")
        assert app.ids() == sorted([(one, "latest"), (two, "v1"), (two, "v2")])
        app.put_image(imageManifest=app.manifest(b"two"), imageTag="latest")
        assert (one, None) in app.ids()

    def test_immutable_tags(self, ecr: Any, refused: Any) -> None:
        app = Registry(ecr, imageTagMutability="IMMUTABLE")
        app.image(b"one", "v1")
        error = refused("ImageTagAlreadyExistsException", app.image, content=b"two", tag="v1")
        assert "The image tag 'v1' already exists in the 'app' repository and cannot be overwritten" in str(error)
        refused("ImageAlreadyExistsException", app.put_image, imageManifest=app.manifest(b"one"), imageTag="v1")
        app.put_image(imageManifest=app.manifest(b"two"), imageTag="v2")
        app.put_image_tag_mutability(
            imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
            imageTagMutabilityExclusionFilters=[{"filterType": "WILDCARD", "filter": "v*"}],
        )
        app.put_image(imageManifest=app.manifest(b"two"), imageTag="v1")
        app.put_image(imageManifest=app.manifest(b"two"), imageTag="dev")
        refused("ImageTagAlreadyExistsException", app.put_image, imageManifest=app.manifest(b"one"), imageTag="dev")

    def test_bad_manifests(self, app: Registry, refused: Any) -> None:
        app.image(b"one")
        manifest = app.manifest(b"one")
        bare = json.dumps({name: value for name, value in json.loads(manifest).items() if name != "mediaType"})
        for text in ("no json", "[]", bare, '{"mediaType":"x"}', json.dumps({"mediaType": OCI, "schemaVersion": 2})):
            refused("InvalidParameterException", app.put_image, imageManifest=text)
        refused("InvalidParameterException", app.put_image, imageManifest=manifest, imageTag="a b")
        wrong = digest_of(b"other")
        error = refused("ImageDigestDoesNotMatchException", app.put_image, imageManifest=manifest, imageDigest=wrong)
        assert "does not match the image digest that Amazon ECR has calculated." in str(error)
        put = app.put_image(imageManifest=bare, imageManifestMediaType=OCI)["image"]
        assert put["imageId"] == {"imageDigest": digest_of(bare.encode())}
        assert put["imageManifestMediaType"] == OCI

    def test_index(self, app: Registry, refused: Any) -> None:
        small, large = app.image(b"small"), app.image(b"larger", media_type=OCI)
        index = app.index(small, large, tag="multi")
        detail = app.describe_images(imageIds=[{"imageDigest": index}])["imageDetails"][0]
        assert (detail["imageSizeInBytes"], detail["imageManifestMediaType"]) == (6, INDEX)
        absent = digest_of(b"absent")
        document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [{"digest": absent}, {"digest": small}]}
        error = refused("ReferencedImagesNotFoundException", app.put_image, imageManifest=json.dumps(document))
        assert f"Images with digests '[{absent}]' required for pushing image into" in str(error)


class TestReading:
    def test_batch_get(self, app: Registry) -> None:
        one = app.image(b"one", "v1")
        wrong = digest_of(b"other")
        answer = app.batch_get_image(
            imageIds=[
                {"imageTag": "v1"},
                {"imageDigest": one},
                {"imageTag": "v9"},
                {"imageDigest": wrong},
                {"imageDigest": "bad"},
                {},
            ]
        )
        assert [image["imageId"] for image in answer["images"]] == [
            {"imageDigest": one, "imageTag": "v1"},
            {"imageDigest": one},
        ]
        assert all(image["imageManifest"] == app.manifest(b"one") for image in answer["images"])
        assert [(one["imageId"], one["failureCode"]) for one in answer["failures"]] == [
            ({"imageTag": "v9"}, "ImageNotFound"),
            ({"imageDigest": wrong}, "ImageNotFound"),
            ({"imageDigest": "bad"}, "InvalidImageDigest"),
            ({}, "MissingDigestAndTag"),
        ]

    def test_accepted_media_types(self, app: Registry) -> None:
        app.image(b"one", "v1")
        ids = [{"imageTag": "v1"}]
        assert len(app.batch_get_image(imageIds=ids, acceptedMediaTypes=[OCI, DOCKER])["images"]) == 1
        answer = app.batch_get_image(imageIds=ids, acceptedMediaTypes=[OCI])
        assert (answer["images"], answer["failures"][0]["failureCode"]) == ([], "ImageNotFound")

    def test_pages_and_filters(self, app: Registry, ecr: Any, refused: Any) -> None:
        digests = [app.image(b"%d" % n, "v%d" % n if n % 2 else None) for n in range(5)]
        app.put_image(imageManifest=app.manifest(b"1"), imageTag="latest")
        pages = list(
            ecr.get_paginator("describe_images").paginate(repositoryName="app", PaginationConfig={"PageSize": 2})
        )
        assert [len(page["imageDetails"]) for page in pages] == [2, 2, 1]
        assert {image["imageDigest"] for page in pages for image in page["imageDetails"]} == set(digests)
        pages = list(ecr.get_paginator("list_images").paginate(repositoryName="app", PaginationConfig={"PageSize": 4}))
        assert [len(page["imageIds"]) for page in pages] == [4, 2]
        tagged = app.ids(filter={"tagStatus": "TAGGED"})
        assert {tag for _, tag in tagged} == {"v1", "v3", "latest"}
        assert len(app.ids(filter={"tagStatus": "UNTAGGED"})) == 3
        untagged = app.describe_images(filter={"tagStatus": "UNTAGGED"})["imageDetails"]
        assert len(untagged) == 3
        assert not any("imageTags" in image for image in untagged)
        assert app.describe_images(filter={"imageStatus": "ARCHIVED"})["imageDetails"] == []
        refused("InvalidParameterException", app.describe_images, nextToken="no token")
        refused("InvalidParameterException", app.describe_images, maxResults=1, imageIds=[{"imageTag": "v1"}])

    def test_not_there(self, app: Registry, ecr: Any, refused: Any) -> None:
        error = refused("ImageNotFoundException", app.describe_images, imageIds=[{"imageTag": "v9"}])
        assert "The image with imageId {imageDigest:'null', imageTag:'v9'} does not exist" in str(error)
        digest = digest_of(b"x")
        upload = {"uploadId": "00000000-0000-0000-0000-000000000000"}
        calls: dict[str, dict[str, Any]] = {
            "initiate_layer_upload": {},
            "upload_layer_part": {**upload, "partFirstByte": 0, "partLastByte": 0, "layerPartBlob": b"x"},
            "complete_layer_upload": {**upload, "layerDigests": [digest]},
            "batch_check_layer_availability": {"layerDigests": [digest]},
            "get_download_url_for_layer": {"layerDigest": digest},
            "put_image": {"imageManifest": "{}"},
            "batch_get_image": {"imageIds": [{"imageTag": "a"}]},
            "batch_delete_image": {"imageIds": [{"imageTag": "a"}]},
            "describe_images": {},
            "list_images": {},
            "put_lifecycle_policy": {"lifecyclePolicyText": "x" * 100},
        }
        for operation, params in calls.items():
            call = getattr(ecr, operation)
            error = refused("RepositoryNotFoundException", call, 400, repositoryName="none", **params)
            assert "The repository with name 'none' does not exist in the registry with id '123456789012'" in str(error)
        refused("RepositoryNotFoundException", app.list_images, registryId="210987654321")


class TestDeleting:
    def test_by_tag_and_by_digest(self, app: Registry) -> None:
        one, two = app.image(b"one", "v1"), app.image(b"two", "v2")
        app.put_image(imageManifest=app.manifest(b"one"), imageTag="latest")
        app.put_image(imageManifest=app.manifest(b"two"), imageTag="old")
        answer = app.batch_delete_image(imageIds=[{"imageTag": "latest"}, {"imageDigest": two}, {"imageTag": "v9"}])
        assert answer["imageIds"] == [
            {"imageDigest": one, "imageTag": "latest"},
            {"imageDigest": two, "imageTag": "v2"},
            {"imageDigest": two, "imageTag": "old"},
        ]
        assert [failure["failureCode"] for failure in answer["failures"]] == ["ImageNotFound"]
        assert app.ids() == [(one, "v1")]
        app.batch_delete_image(imageIds=[{"imageTag": "v1"}])
        assert app.ids() == []
        assert app.batch_check_layer_availability(layerDigests=[digest_of(b"one")])["layers"]

    def test_what_an_index_names(self, app: Registry) -> None:
        child = app.image(b"one", "child")
        index = app.index(child, tag="multi")
        answer = app.batch_delete_image(imageIds=[{"imageTag": "child"}, {"imageDigest": child}])
        assert answer["imageIds"] == []
        assert [failure["failureCode"] for failure in answer["failures"]] == ["ImageReferencedByManifestList"] * 2
        reason = f"Requested image referenced by manifest list: [{index}]"
        assert answer["failures"][0]["failureReason"] == reason
        app.batch_delete_image(imageIds=[{"imageTag": "multi"}])
        assert app.batch_delete_image(imageIds=[{"imageDigest": child}])["failures"] == []
        assert app.ids() == []

    def test_a_repository_with_images(self, app: Registry, ecr: Any, refused: Any) -> None:
        digest = app.image(b"one", "v1")
        refused("RepositoryNotEmptyException", app.delete_repository)
        app.delete_repository(force=True)
        again = Registry(ecr)
        assert again.ids() == []
        layers = again.batch_check_layer_availability(layerDigests=[digest_of(b"one"), digest])["layers"]
        assert {layer["layerAvailability"] for layer in layers} == {"UNAVAILABLE"}


def rule(priority: int = 1, action: Any = None, **selection: Any) -> dict[str, Any]:
    basis = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 3}
    return {
        "rulePriority": priority,
        "description": "d",
        "selection": {name: value for name, value in {**basis, **selection}.items() if value is not None},
        "action": action or EXPIRE,
    }


AGED = {"countType": "sinceImagePushed", "countUnit": "days"}
TAGGED = {"tagStatus": "tagged", "tagPrefixList": ["v"]}
UNTAGGED = {"tagStatus": "untagged"}
ARCHIVE = {"type": "transition", "targetStorageClass": "archive"}
ARCHIVED = {"countType": "sinceImageTransitioned", "countUnit": "days", "storageClass": "archive"}


class TestLifecyclePolicy:
    @pytest.mark.parametrize(
        "rules",
        [
            [rule()],
            [rule(1, **TAGGED), rule(5, **UNTAGGED, **AGED), rule(9)],
            [rule(1, tagStatus="tagged", tagPatternList=["*a*b*c*", "v1"]), rule(2, **TAGGED)],
            [rule(1, ARCHIVE, countType="sinceImagePulled", countUnit="days"), rule(2, **ARCHIVED)],
            [rule(1, **ARCHIVED), rule(2, **UNTAGGED)],
        ],
    )
    def test_taken(self, app: Registry, rules: list[Any]) -> None:
        text = json.dumps({"rules": rules})
        assert app.put_lifecycle_policy(lifecyclePolicyText=text)["lifecyclePolicyText"] == text
        assert app.get_lifecycle_policy()["lifecyclePolicyText"] == text

    @pytest.mark.parametrize(
        ("rules", "words"),
        [
            ([rule(1, **TAGGED), rule(1)], "unique"),
            ([rule(1), rule(2, **TAGGED)], "Rule for tagStatus=ANY must have the lowest priority per storage class"),
            ([rule(1), rule(2)], "Rule for tagStatus=ANY must have the lowest priority per storage class"),
            ([rule(1, **UNTAGGED), rule(2, **UNTAGGED)], "Only one rule can select Untagged images per storage class"),
            (
                [rule(tagStatus="tagged")],
                "Must specify tagPrefixList or tagPatternList when tagStatus=TAGGED.",
            ),
            ([rule(tagStatus="tagged", tagPrefixList=[])], "Must specify tagPrefixList or tagPatternList"),
            ([rule(**TAGGED, tagPatternList=["v*"])], "both"),
            ([rule(tagPrefixList=["v"])], "tagStatus=ANY"),
            ([rule(tagStatus="tagged", tagPatternList=["*a*b*c*d*"])], "wildcards"),
            ([rule(tagStatus="tagged", tagPrefixList=[1])], "instance type"),
            ([rule(countType="sinceImagePushed")], "instance failed to match exactly one schema"),
            ([rule(countUnit="days")], "instance failed to match exactly one schema"),
            ([rule(**{**AGED, "countUnit": "weeks"})], "instance failed to match exactly one schema"),
            ([rule(countType="never")], "instance failed to match exactly one schema"),
            ([rule(**{**ARCHIVED, "storageClass": None})], "instance failed to match exactly one schema"),
            ([rule(action={"type": "expire", "targetStorageClass": None})], "match exactly one schema"),
            ([rule(action={"type": "transition"})], "match exactly one schema"),
            ([rule(1, ARCHIVE, **ARCHIVED)], "match exactly one schema"),
            ([rule(countNumber=0)], "numeric instance is lower than the required minimum (minimum: 1, found: 0)"),
            ([rule(countNumber="3")], "instance type (string)"),
            ([rule(0)], "numeric instance is lower than the required minimum"),
            ([rule(tagStatus="new")], "not found in enum"),
            ([rule(action={"type": "delete"})], "not found in enum"),
            ([rule(kind="x")], 'properties which are not allowed by the schema: (["kind"])'),
            ([{"rulePriority": 1, "selection": {}}], 'object has missing required properties (["action"])'),
            (["rule"], "instance type (string)"),
            ([], "array is too short"),
        ],
    )
    def test_refused(self, app: Registry, refused: Any, rules: list[Any], words: str) -> None:
        text = json.dumps({"rules": rules}).ljust(100)
        error = refused("InvalidParameterException", app.put_lifecycle_policy, 400, lifecyclePolicyText=text)
        message = error.response["Error"]["Message"]
        start = "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation"
        assert message.startswith(start)
        assert words in message
        refused("LifecyclePolicyNotFoundException", app.get_lifecycle_policy)

    def test_no_policy_at_all(self, app: Registry, refused: Any) -> None:
        for text in ("x" * 100, "[]".ljust(100), "{}".ljust(100)):
            refused("InvalidParameterException", app.put_lifecycle_policy, lifecyclePolicyText=text)


class TestRepositories:
    def test_default_key(self, ecr: Any) -> None:
        first = Registry(ecr, "aa", encryptionConfiguration={"encryptionType": "KMS"}).repository
        second = Registry(ecr, "bb", encryptionConfiguration={"encryptionType": "KMS_DSSE"}).repository
        arn = first["encryptionConfiguration"]["kmsKey"]
        assert arn.startswith("arn:aws:kms:eu-central-1:123456789012:key/")
        assert second["encryptionConfiguration"] == {"encryptionType": "KMS_DSSE", "kmsKey": arn}
        plain = Registry(ecr, "cc").repository
        assert plain["encryptionConfiguration"] == {"encryptionType": "AES256"}

    def test_keys(self, sandbox: Sandbox, ecr: Any, refused: Any) -> None:
        kms = sandbox.client("kms")
        key = kms.create_key()["KeyMetadata"]
        kms.create_alias(AliasName="alias/ecr", TargetKeyId=key["KeyId"])
        for n, given in enumerate((key["Arn"], key["KeyId"], "alias/ecr")):
            made = Registry(ecr, f"a{n}", encryptionConfiguration={"encryptionType": "KMS", "kmsKey": given})
            assert made.repository["encryptionConfiguration"]["kmsKey"] == key["Arn"]
        elsewhere = key["Arn"].replace("eu-central-1", "eu-west-1")
        absent = key["Arn"].replace(key["KeyId"], "00000000-0000-0000-0000-000000000000")
        for given in (elsewhere, absent, "alias/none"):
            encryption = {"encryptionType": "KMS", "kmsKey": given}
            error = refused(
                "KmsException", ecr.create_repository, 400, repositoryName="no", encryptionConfiguration=encryption
            )
            assert error.response["kmsError"] == "NotFoundException"
        encryption = {"encryptionType": "KMS", "kmsKey": key["Arn"]}
        kms.disable_key(KeyId=key["KeyId"])
        error = refused("KmsException", ecr.create_repository, repositoryName="no", encryptionConfiguration=encryption)
        assert error.response["kmsError"] == "DisabledException"
        kms.schedule_key_deletion(KeyId=key["KeyId"])
        error = refused("KmsException", ecr.create_repository, repositoryName="no", encryptionConfiguration=encryption)
        assert error.response["kmsError"] == "KMSInvalidStateException"

    def test_a_repository_whose_key_is_disabled_takes_nothing(self, sandbox: Sandbox, ecr: Any, refused: Any) -> None:
        kms = sandbox.client("kms")
        key = kms.create_key()["KeyMetadata"]["Arn"]
        Registry(ecr, "sealed", encryptionConfiguration={"encryptionType": "KMS", "kmsKey": key})
        upload = ecr.initiate_layer_upload(repositoryName="sealed")["uploadId"]
        part = {"repositoryName": "sealed", "uploadId": upload, "layerPartBlob": b"x"}
        part |= {"partFirstByte": 0, "partLastByte": 0}
        kms.disable_key(KeyId=key)
        assert refused("KmsException", ecr.upload_layer_part, 400, **part).response["kmsError"] == "DisabledException"
        refused("KmsException", ecr.initiate_layer_upload, 400, repositoryName="sealed")
        refused("KmsException", ecr.put_image, 400, repositoryName="sealed", imageManifest="{}")
        assert ecr.describe_repositories(repositoryNames=["sealed"])["repositories"]
        kms.enable_key(KeyId=key)
        ecr.upload_layer_part(**part)

    def test_a_caller_who_may_not_use_the_key(self, sandbox: Sandbox, ecr: Any, refused: Any) -> None:
        key = sandbox.client("kms").create_key()["KeyMetadata"]["Arn"]
        encryption = {"encryptionType": "KMS", "kmsKey": key}
        sandbox.configure(callerPolicy=policy(allow("ecr:*", "kms:DescribeKey")))
        wanted = {"repositoryName": "no", "encryptionConfiguration": encryption}
        error = refused("KmsException", ecr.create_repository, 400, **wanted)
        assert error.response["kmsError"] == "AccessDeniedException" and "kms:CreateGrant" in str(error)
        sandbox.configure(callerPolicy=policy(allow("ecr:*", "kms:DescribeKey", "kms:CreateGrant")))
        ecr.create_repository(repositoryName="yes", encryptionConfiguration=encryption)
        encryption["encryptionType"] = "AES256"
        refused(
            "InvalidParameterException", ecr.create_repository, repositoryName="no", encryptionConfiguration=encryption
        )

    def test_scanning_that_is_not_asked_for(self, ecr: Any) -> None:
        ecr.create_repository(repositoryName="app", imageScanningConfiguration={"scanOnPush": True})
        ecr.put_image_scanning_configuration(repositoryName="app", imageScanningConfiguration={})
        found = ecr.describe_repositories(repositoryNames=["app"])["repositories"][0]
        assert found["imageScanningConfiguration"] == {"scanOnPush": False}

    def test_pages(self, ecr: Any, refused: Any) -> None:
        names = [f"team/{n}" for n in range(5)]
        for name in reversed(names):
            Registry(ecr, name)
        pages = list(ecr.get_paginator("describe_repositories").paginate(PaginationConfig={"PageSize": 2}))
        assert [[one["repositoryName"] for one in page["repositories"]] for page in pages] == [
            names[:2],
            names[2:4],
            names[4:],
        ]
        found = ecr.describe_repositories(repositoryNames=["team/3"])["repositories"]
        assert [one["repositoryName"] for one in found] == ["team/3"]
        refused("RepositoryNotFoundException", ecr.describe_repositories, repositoryNames=["none"])
        refused("InvalidParameterException", ecr.describe_repositories, repositoryNames=["team/3"], maxResults=1)

    def test_token(self, ecr: Any) -> None:
        tokens = []
        for _ in range(2):
            data = ecr.get_authorization_token()["authorizationData"][0]
            user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
            assert (user, len(password) > 1000) == ("AWS", True)
            ahead = data["expiresAt"] - datetime.datetime.now(datetime.timezone.utc)
            assert abs(ahead - datetime.timedelta(hours=12)) < datetime.timedelta(minutes=1)
            assert data["proxyEndpoint"] == "https://123456789012.dkr.ecr.eu-central-1.amazonaws.com"
            tokens.append(password)
        assert tokens[0] != tokens[1]

    def test_tags_are_found(self, sandbox: Sandbox, ecr: Any) -> None:
        made = Registry(ecr, tags=[{"Key": "provisioner:stack", "Value": "demo"}]).repository
        found = sandbox.client("resourcegroupstaggingapi").get_resources(ResourceTypeFilters=["ecr:repository"])
        assert found["ResourceTagMappingList"] == [
            {"ResourceARN": made["repositoryArn"], "Tags": [{"Key": "provisioner:stack", "Value": "demo"}]}
        ]

    def test_seen_late(self, sandbox: Sandbox, app: Registry) -> None:
        sandbox.configure(faults=[{"on": "ecr:DescribeImages", "kind": "stale", "seconds": 2}])
        app.image(b"one", "v1")
        assert app.describe_images()["imageDetails"] == []
        assert len(app.list_images()["imageIds"]) == 1
        time.sleep(2.1)
        assert len(app.describe_images()["imageDetails"]) == 1
