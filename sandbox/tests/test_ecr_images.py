"""ECR: images by their true digests, put, read and deleted."""

from __future__ import annotations

import json
from typing import Any

from ecr import DOCKER, INDEX, OCI, Registry, digest_of


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
