"""Checks rendered Kubernetes objects against the strict schemas of one Kubernetes version.

    python validate.py 1.35 [FILE...]

A FILE holds YAML documents, or JSON: an object, a list of objects, or a `List`. Without any, standard input is read.
Custom resources are checked with the CustomResourceDefinitions among the input; one that has none there is an error.
Unknown fields are errors. Exit code 0: all are sound; 1: some are not, each named on standard error with its file;
2: the input cannot be read, or the version is not known.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml
from kubernetes_validate import utils

CONDITION = "provisioner/when"
# A schema's own words for a value can be long.
WIDTH = 300

Document = dict[str, Any]

# The library reads its megabytes of definitions again for each object.
utils.schema_contents = functools.cache(utils.schema_contents)


class Unreadable(Exception):
    """The input is no list of objects."""


def documents(name: str, text: str) -> Iterator[Document]:
    """The objects of one file. JSON is YAML."""
    try:
        for found in yaml.safe_load_all(text):
            yield from objects(name, found)
    except yaml.YAMLError as error:
        raise Unreadable(f"{name}: {' '.join(str(error).split())}") from error


def objects(name: str, found: Any) -> Iterator[Document]:
    if found is None:
        return
    if isinstance(found, list):
        for item in found:
            yield from objects(name, item)
    elif isinstance(found, dict) and found.get("kind") == "List":
        yield from objects(name, found.get("items") or [])
    elif isinstance(found, dict):
        yield found
    else:
        raise Unreadable(f"{name}: {type(found).__name__} where an object should be")


def title(found: Document) -> str:
    metadata = found.get("metadata") or {}
    parts = [metadata.get("namespace"), metadata.get("name") or "without a name"]
    return f"{found.get('kind') or 'object'} {'/'.join(part for part in parts if part)}"


def identity(found: Document) -> tuple[str, ...]:
    """What the API server tells objects apart by: the version of the API is not in it."""
    metadata = found["metadata"]
    group = found["apiVersion"].rpartition("/")[0]
    return (group, found["kind"], metadata.get("namespace") or "", metadata["name"])


def custom(found: list[Document]) -> dict[tuple[str, str], Any]:
    """The schemas of the custom resources that are defined here, by `apiVersion` and kind."""
    schemas = {}
    for definition in found:
        if definition.get("kind") != "CustomResourceDefinition":
            continue
        try:
            spec = definition["spec"]
            for version in spec["versions"]:
                key = (f"{spec['group']}/{version['name']}", spec["names"]["kind"])
                schemas[key] = resource(version["schema"]["openAPIV3Schema"])
        except (KeyError, TypeError, AttributeError):
            continue  # What is wrong with it is said when its own turn comes.
    return schemas


def resource(schema: Any) -> Any:
    """The strict schema of a custom resource. What all objects have is allowed without being named."""
    common = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
    return strict(schema | {"properties": common | schema.get("properties", {})})


def strict(schema: Any) -> Any:
    """The schema, with fields that it does not name refused."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: strict(value) for key, value in schema.items() if key != "properties"}
    if "properties" in schema:
        closed["properties"] = {key: strict(value) for key, value in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            closed.setdefault("additionalProperties", False)
    return closed


def problem(found: Document, version: str, schemas: dict[tuple[str, str], Any]) -> str | None:
    """What is wrong with an object."""
    for field in ("apiVersion", "kind"):
        if not isinstance(found.get(field), str):
            return f"{field} is missing"
    metadata = found.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        return "metadata.name is missing"
    if CONDITION in (metadata.get("annotations") or {}):
        return f"it is not rendered: annotation {CONDITION} is there"
    schema = schemas.get((found["apiVersion"], found["kind"]))
    try:
        if schema is not None:
            jsonschema.Draft202012Validator(schema).validate(found)
        else:
            kubernetes_validate.validate(found, version, strict=True)
    except utils.SchemaNotFoundError:
        return f"Kubernetes {version} has no {found['apiVersion']}, and no CustomResourceDefinition here makes it"
    except jsonschema.ValidationError as error:
        message = " ".join(error.message.split())
        message = message if len(message) <= WIDTH else f"{message[:WIDTH]}..."
        return f"{error.json_path.removeprefix('$.')}: {message}"
    return None


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    version, *names = arguments
    known = {utils.major_minor(known) for known in utils.all_versions()}
    if version not in known:
        # The library would take the newest schemas that are older.
        print(f"error: no schemas of Kubernetes {version}; there are {', '.join(sorted(known))}", file=sys.stderr)
        return 2
    try:
        texts = {name: Path(name).read_text() for name in names} or {"standard input": sys.stdin.read()}
        found = [(name, item) for name, text in texts.items() for item in documents(name, text)]
    except (OSError, UnicodeDecodeError, Unreadable) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if not found:
        print("error: there is no object to check", file=sys.stderr)
        return 2

    schemas = custom([item for _, item in found])
    seen: dict[tuple[str, ...], str] = {}
    wrong = 0
    for name, item in found:
        message = problem(item, version, schemas)
        if message is None and identity(item) in seen:
            message = f"it is there twice, first in {seen[identity(item)]}"
        if message is None:
            seen[identity(item)] = name
        if message is not None:
            wrong += 1
            print(f"{name}: {title(item)}: {message}", file=sys.stderr)
    print(f"{len(found)} objects against Kubernetes {version}: {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
