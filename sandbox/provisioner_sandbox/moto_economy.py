"""What moto does again for each service or request is done once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any

OFFERINGS = "/instance_type_offerings/"


def install() -> None:
    """Has to run before moto's services are imported, which take functions by name."""
    share_loader()
    remember_methods()
    remember_names()
    pick_faster()
    postpone_offerings()


def share_loader() -> None:
    """One loader reads each of botocore's files once. Without it each session and each model has one of its own, and
    the model of EC2 is read five times, for 0.2 s each. It is moto's, whose models have more errors than botocore's;
    sessions are only asked for regions here."""
    import botocore.session
    import moto.core.loaders
    import moto.core.utils

    loader = cache(moto.core.loaders.create_loader)
    moto.core.utils.create_loader = loader
    botocore.session.create_loader = lambda search_path_string=None: loader()


def remember_methods() -> None:
    """moto lists the methods of a service's class at each request, which takes 1 ms."""
    import moto.core.responses

    moto.core.responses.method_names_from_class = cache(moto.core.responses.method_names_from_class)


def remember_names() -> None:
    """The names of elements are those of AWS's API; xmltodict checks each character of each of them in each answer."""
    import xmltodict

    xmltodict._validate_name = lru_cache(maxsize=None)(xmltodict._validate_name)


def pick_faster() -> None:
    """Few members of an answer have a transformation; moto compares the path of each member with those of all."""
    from moto.core.serialize import MISSING, AttributePicker, AttributePickerContext, get_value

    def pick(picker: AttributePicker, context: AttributePickerContext) -> Any:
        value = None
        for key in picker.get_possible_keys(context):
            if (found := get_value(context.obj, key, MISSING)) is not MISSING:
                value = found
                break
        path = f"{context.key_path}.{context.key}"
        if picker.response_transformers and path.endswith(tuple(picker.response_transformers)):
            transforms = picker.response_transformers.items()
            value = next(transform for end, transform in transforms if path.endswith(end))(value)
        return value

    AttributePicker.__call__ = pick


def postpone_offerings() -> None:
    """The instance types that each region offers are 92 files, and few regions are asked for."""
    import moto.utilities.utils

    load = moto.utilities.utils.load_resource

    def load_resource(package: str, resource: str) -> Any:
        return Offerings(load, package, resource) if OFFERINGS in resource else load(package, resource)

    moto.utilities.utils.load_resource = load_resource


class Offerings(list):
    """A file of offerings, read when it is iterated over for the second time: the first is moto's loop at its import,
    which adds the type of location."""

    def __init__(self, *source: Any):
        super().__init__()
        self.source = source
        self.imported = False

    def __iter__(self) -> Iterator[Any]:
        if not self.imported:
            self.imported = True
            return iter(())
        if not self:
            load, package, resource = self.source
            kind = resource.partition(OFFERINGS)[2].partition("/")[0]
            self.extend({**offering, "LocationType": kind} for offering in load(package, resource))
        return super().__iter__()
