"""Is what arrived what was sent?

https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import zlib
from collections.abc import Callable
from dataclasses import replace

from botocore.compat import HTTPHeaders

from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.wire.message import Request

CHECKSUM = "x-amz-checksum-"
# The algorithm's own name and the kind of a multipart checksum; neither is a checksum.
NOT_A_SUM = {"algorithm", "mode", "type"}
CRC32C, CRC64NVME = 0x82F63B78, 0x9A6C9329AC4BC9B5


def crc(polynomial: int, bits: int) -> Callable[[bytes], bytes]:
    """A reflected CRC, for the two that the standard library does not have."""
    table: list[int] = []
    ones = (1 << bits) - 1

    def digest(body: bytes) -> bytes:
        if not table:
            for byte in range(256):
                value = byte
                for _ in range(8):
                    value = value >> 1 ^ (polynomial if value & 1 else 0)
                table.append(value)
        value = ones
        for byte in body:
            value = table[(value ^ byte) & 0xFF] ^ value >> 8
        return (value ^ ones).to_bytes(bits // 8, "big")

    return digest


# An algorithm that is not here is not checked.
ALGORITHMS: dict[str, Callable[[bytes], bytes]] = {
    "crc32": lambda body: zlib.crc32(body).to_bytes(4, "big"),
    "crc32c": crc(CRC32C, 32),
    "crc64nvme": crc(CRC64NVME, 64),
    "sha1": lambda body: hashlib.sha1(body).digest(),
    "sha256": lambda body: hashlib.sha256(body).digest(),
    "sha512": lambda body: hashlib.sha512(body).digest(),
}


def check_integrity(request: Request) -> None:
    if request.method not in ("PUT", "POST"):
        return
    claimed = request.headers.get("Content-MD5")
    if claimed is not None:
        check_md5(claimed, request.body)
    signed = request.headers.get("x-amz-content-sha256", "")
    if re.fullmatch(r"[0-9a-f]{64}", signed) and signed != hashlib.sha256(request.body).hexdigest():
        message = "The provided 'x-amz-content-sha256' header does not match what was computed."
        raise AwsError("XAmzContentSHA256Mismatch", message)
    if "uploadId" in request.query_items and request.method == "POST":
        return  # CompleteMultipartUpload: the checksum is of the parts together, not of this body
    for name, value in request.headers.items():
        algorithm = name.lower().removeprefix(CHECKSUM)
        if name.lower().startswith(CHECKSUM) and algorithm not in NOT_A_SUM:
            check_sum(algorithm, value, request.body)


def check_md5(claimed: str, body: bytes) -> None:
    try:
        digest = base64.b64decode(claimed, validate=True)
    except binascii.Error:
        digest = b""
    if len(digest) != hashlib.md5().digest_size:
        raise AwsError("InvalidDigest", "The Content-MD5 you specified was invalid.")
    if digest != hashlib.md5(body).digest():
        raise AwsError("BadDigest", "The Content-MD5 you specified did not match what we received.")


def check_sum(algorithm: str, claimed: str, body: bytes) -> None:
    compute = ALGORITHMS.get(algorithm)
    if compute and base64.b64encode(compute(body)).decode() != claimed.strip():
        message = f"The {algorithm.upper()} you specified did not match the calculated checksum."
        raise AwsError("BadDigest", message)


def plain(request: Request) -> Request:
    """A body sent in signed or trailed chunks, put together; its trailers become headers.

    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
    """
    encodings = [part.strip() for part in request.headers.get("Content-Encoding", "").split(",") if part.strip()]
    streaming = request.headers.get("x-amz-content-sha256", "").startswith("STREAMING-")
    if not streaming and "aws-chunked" not in encodings:
        return request
    body, trailers = unchunk(request.body)
    dropped = (
        "content-encoding",
        "content-length",
        "x-amz-decoded-content-length",
        "x-amz-trailer",
        "x-amz-content-sha256",
    )
    headers = HTTPHeaders()
    for name, value in request.headers.items():
        if name.lower() not in dropped:
            headers[name] = value
    kept = [part for part in encodings if part != "aws-chunked"]
    if kept:
        headers["Content-Encoding"] = ",".join(kept)
    headers["Content-Length"] = str(len(body))
    headers["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD"
    for name, value in trailers.items():
        headers[name] = value
    return replace(request, headers=headers, body=body)


def unchunk(raw: bytes) -> tuple[bytes, dict[str, str]]:
    body, position = bytearray(), 0
    try:
        while True:
            end = raw.index(b"\r\n", position)
            size = int(raw[position:end].partition(b";")[0], 16)
            position = end + 2
            if size == 0:
                break
            body += raw[position : position + size]
            position += size + 2
    except ValueError:
        raise AwsError("IncompleteBody", "The request body terminated unexpectedly") from None
    lines = raw[position:].decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if ":" in line)
    return bytes(body), {name.strip(): value.strip() for name, _, value in pairs if "signature" not in name}
