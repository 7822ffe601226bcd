"""`/_ecr/<region>/<repository>/<digest>`: a layer's bytes, which AWS has in a bucket of its own."""

from __future__ import annotations

from urllib.parse import quote, unquote

from provisioner_sandbox.backend import backend
from provisioner_sandbox.own_keys import own_keys
from provisioner_sandbox.registry import Call
from provisioner_sandbox.services.ecr.state import contents
from provisioner_sandbox.wire.message import Answer, Request

PREFIX = "/_ecr/"


def url(call: Call, repository: str, digest: str) -> str:
    """At the address by which the caller itself came; as in AWS, it is all that a reader needs."""
    path = f"{PREFIX}{call.region}/{quote(repository)}/{quote(digest, safe=':')}"
    return f"http://{call.request.headers['Host']}{path}?{own_keys().seal(path)}"


def serve(request: Request) -> Answer:
    if request.method not in ("GET", "HEAD"):
        return refusal(405)
    region, _, rest = unquote(request.path.removeprefix(PREFIX)).partition("/")
    name, _, digest = rest.rpartition("/")
    try:
        layer = contents(backend("ecr", region).repositories[name]).layers[digest]
    except KeyError:
        return refusal(404)
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(len(layer))}
    return Answer(200, headers, layer)


def refusal(status: int) -> Answer:
    return Answer(status, {"Content-Type": "text/plain"}, b"")
