"""Tags of everything in EKS, by ARN."""

from __future__ import annotations

from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.eks.state import EksState, Thing, eks_state, invalid

MOST = 50
RESERVED = "aws:"


def check_new(call: Call) -> None:
    """Tags of any create call."""
    if call.name.startswith("Create") and any(key.startswith(RESERVED) for key in call.params.get("tags") or {}):
        raise invalid(f"Tag keys may not start with reserved prefixes: [{RESERVED}]")


def thing_of(call: Call) -> Thing:
    arn = call.params["resourceArn"]
    thing = next((thing for thing in eks_state(call.region).things() if thing.arn == arn), None)
    if thing is None:
        raise AwsError("NotFoundException", f"Requested resource not found: {arn}", 404)
    return thing


@handles("eks", "TagResource")
def tag(call: Call) -> dict:
    thing = thing_of(call)
    tags = {**thing.doc.get("tags", {}), **call.params["tags"]}
    if len(tags) > MOST:
        raise AwsError("BadRequestException", f"A resource has at most {MOST} tags", 400)
    if any(key.startswith(RESERVED) for key in call.params["tags"]):
        raise AwsError("BadRequestException", f"Tag keys may not start with reserved prefixes: [{RESERVED}]", 400)
    thing.doc["tags"] = tags
    return {}


@handles("eks", "UntagResource")
def untag(call: Call) -> dict:
    thing = thing_of(call)
    gone = set(call.params["tagKeys"])
    thing.doc["tags"] = {key: value for key, value in thing.doc.get("tags", {}).items() if key not in gone}
    return {}


@handles("eks", "ListTagsForResource")
def list_tags(call: Call) -> dict:
    return {"tags": thing_of(call).doc.get("tags", {})}


def tagged(backend: object) -> list[tuple[str, dict[str, str]]]:
    state: EksState | None = backend.__dict__.get("sandbox_state")
    things = state.things() if state else []
    return [(thing.arn, thing.doc["tags"]) for thing in things if thing.doc.get("tags")]
