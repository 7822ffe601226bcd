"""The API server's objects, as the sandbox follows and creates them."""

from __future__ import annotations

from typing import Any

from provisioner_sandbox.kube.kubelet.client import ApiError
from provisioner_sandbox.kube.kubelet.remote import Api, Follower

Object = dict[str, Any]


class Known:
    """All objects of a path, as they change."""

    def __init__(self, api: Api, path: str):
        self.things: dict[str, Object] = {}
        self.follower = Follower(api, path, self.changed, lambda uid: self.things.pop(uid, None) and None)

    def changed(self, thing: Object) -> None:
        self.things[thing["metadata"]["uid"]] = thing

    def list(self) -> list[Object]:
        return list(self.things.values())


def create(api: Api, path: str, thing: Object) -> None:
    """Creates an object, unless it exists."""
    try:
        api.call("POST", path, thing)
    except ApiError as error:
        if error.code != 409:
            raise
