"""Layers: uploaded in parts, checked by their digest, downloaded from the sandbox itself.

https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_UploadLayerPart.html
"""

from __future__ import annotations

import hashlib
import re
import uuid
from typing import Any

from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.ecr.download import url
from provisioner_sandbox.services.ecr.state import Upload, contents, repository_of, where

# What AWS proposes, and the least it takes of any part but the last.
PART_SIZE = 10 * 1024 * 1024
LEAST_PART = 5 * 1024 * 1024
# https://docs.aws.amazon.com/AmazonECR/latest/userguide/service-quotas.html
MOST_PARTS = 4200
# Of `LayerDigest` in botocore's model, whose batched form has no pattern.
DIGEST = re.compile(r"[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+")


@handles("ecr", "InitiateLayerUpload")
def initiate(call: Call) -> dict:
    upload_id = str(uuid.uuid4())
    contents(repository_of(call)).uploads[upload_id] = Upload()
    return {"uploadId": upload_id, "partSize": PART_SIZE}


def upload_of(call: Call, repository: Any) -> Upload:
    upload = contents(repository).uploads.get(call.params["uploadId"])
    if upload is None:
        message = "The upload could not be found, or the specified upload ID is not valid for this repository."
        raise AwsError("UploadNotFoundException", message)
    return upload


@handles("ecr", "UploadLayerPart")
def upload_part(call: Call) -> dict:
    repository = repository_of(call)
    upload = upload_of(call, repository)
    params, blob = call.params, call.params["layerPartBlob"]
    first, last, received = params["partFirstByte"], params["partLastByte"], upload.received
    identity = {
        "registryId": repository.registry_id,
        "repositoryName": repository.name,
        "uploadId": params["uploadId"],
    }
    problem = None
    if first != received:
        problem = f"First byte of the layer part is {first} instead of {received}"
    elif last - first + 1 != len(blob):
        problem = f"Size of the layer part is {len(blob)} instead of {last - first + 1}"
    if problem:
        valid = max(received - 1, 0)
        raise AwsError("InvalidLayerPartException", problem, **identity, lastValidByteReceived=valid)
    if len(upload.parts) >= MOST_PARTS:
        raise AwsError("LimitExceededException", f"A layer upload cannot have more than {MOST_PARTS} parts")
    upload.parts.append(blob)
    return {**identity, "lastByteReceived": upload.received - 1}


@handles("ecr", "CompleteLayerUpload")
def complete(call: Call) -> dict:
    repository = repository_of(call)
    upload = upload_of(call, repository)
    held = contents(repository)
    if not upload.parts:
        message = "The specified layer upload does not contain any layer parts."
        raise AwsError("EmptyUploadException", message)
    if any(len(part) < LEAST_PART for part in upload.parts[:-1]):
        message = "All layer parts except the last part should be at least 5MB"
        raise AwsError("LayerPartTooSmallException", message)
    blob = b"".join(upload.parts)
    digest = "sha256:" + hashlib.sha256(blob).hexdigest()
    if digest not in call.params["layerDigests"]:
        message = f"None of the provided layer digests match the calculated layer digest: {digest}"
        raise AwsError("InvalidLayerException", message)
    del held.uploads[call.params["uploadId"]]
    if digest in held.layers:
        message = f"The layer with digest '{digest}' already exists in the {where(repository)}"
        raise AwsError("LayerAlreadyExistsException", message)
    held.layers[digest] = blob
    return {
        "registryId": repository.registry_id,
        "repositoryName": repository.name,
        "uploadId": call.params["uploadId"],
        "layerDigest": digest,
    }


@handles("ecr", "BatchCheckLayerAvailability")
def availability(call: Call) -> dict:
    held = contents(repository_of(call)).layers
    layers: list[dict[str, Any]] = []
    failures: list[dict[str, Any]] = []
    for digest in call.params["layerDigests"]:
        if not digest:
            reason = "Invalid request parameters: layer digest cannot be null or empty"
            failures.append({"layerDigest": digest, "failureCode": "MissingLayerDigest", "failureReason": reason})
        elif not DIGEST.fullmatch(digest):
            reason = f"Invalid request parameters: layer digest should satisfy the regex '{DIGEST.pattern}'"
            failures.append({"layerDigest": digest, "failureCode": "InvalidLayerDigest", "failureReason": reason})
        elif digest in held:
            layers.append({"layerDigest": digest, "layerAvailability": "AVAILABLE", "layerSize": len(held[digest])})
        else:
            layers.append({"layerDigest": digest, "layerAvailability": "UNAVAILABLE"})
    return {"layers": layers, "failures": failures}


@handles("ecr", "GetDownloadUrlForLayer")
def download_url(call: Call) -> dict:
    repository, digest = repository_of(call), call.params["layerDigest"]
    if digest not in contents(repository).layers:
        message = f"The layer with digest '{digest}' does not exist within the {where(repository)}"
        raise AwsError("LayersNotFoundException", message)
    return {"downloadUrl": url(call, repository.name, digest), "layerDigest": digest}
