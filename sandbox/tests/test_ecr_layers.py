"""ECR: layers, in parts and back."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import Any

import pytest
from conftest import Sandbox
from ecr import MIB, Registry, digest_of


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
        assert url.partition("?")[0] == f"{sandbox.endpoint}/_ecr/eu-central-1/app/{digest_of(content)}"
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
