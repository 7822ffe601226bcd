"""How a simulated container behaves: well, unless it is said otherwise.

Said by, the first that fits:

1. the pod's annotation `testplane/behaviour`: `{CONTAINER: BEHAVIOUR}`
2. the file `behaviour.json` of the plane's folder, which counts at once when it is written (by rename): a list of
   `{"namespace", "pod", "container", "image": GLOB..., "behaviour": BEHAVIOUR}`; a glob that is not there fits all
3. the image's name: `testplane.test/missing`, `/crash[:CODE]`, `/oom`, `/unready`, `/slow[:SECONDS]`

BEHAVIOUR, in which all is left out that is as usual, and seconds are real ones:

    pull    what the registry says instead of giving the image; or {"reason", "message"}
    start   what the container runtime says instead of starting it; or {"reason", "message"}
    log     lines that it writes when it starts
    exit    {"code", "after": SECONDS, "reason", "times": STARTS}: it ends unasked, each time or these first times
    ready   false, or {"after": SECONDS}: startup and readiness probes fail, for ever or for so long
    alive   false, or {"until": SECONDS}: liveness probes fail, at once or after so long
    stop    seconds that it takes to end after it was asked to
"""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

ANNOTATION = "testplane/behaviour"
REGISTRY = "testplane.test/"
GLOBS = {"namespace", "pod", "container", "image"}
NUMBER = (int, float)
REFUSAL = {"reason": str, "message": str}
SHAPE: dict[str, Any] = {
    "pull": REFUSAL,
    "start": REFUSAL,
    "log": list,
    "exit": {"code": int, "after": NUMBER, "reason": str, "times": int},
    "ready": {"after": NUMBER},
    "alive": {"until": NUMBER},
    "stop": NUMBER,
}
SHORT = {"pull": str, "start": str, "ready": bool, "alive": bool}

Behaviour = dict[str, Any]


class Invalid(Exception):
    """A behaviour that cannot be read: a mistake of the test."""


def check(behaviour: Any, where: str) -> Behaviour:
    if not isinstance(behaviour, dict):
        raise Invalid(f"{where}: a behaviour is an object")
    for key, value in behaviour.items():
        if key not in SHAPE:
            raise Invalid(f"{where}: {key!r} is none of {', '.join(SHAPE)}")
        if key in SHORT and isinstance(value, SHORT[key]):
            continue
        shape = SHAPE[key]
        if not isinstance(shape, dict):
            if not isinstance(value, shape):
                raise Invalid(f"{where}: {key} is {value!r}")
            continue
        if not isinstance(value, dict):
            raise Invalid(f"{where}: {key} is {value!r}")
        for part, detail in value.items():
            if part not in shape or not isinstance(detail, shape[part]):
                raise Invalid(f"{where}: {key}.{part} is {detail!r}; there are {', '.join(shape)}")
    return behaviour


def by_annotation(pod: dict[str, Any], container: str) -> Behaviour | None:
    text = pod["metadata"].get("annotations", {}).get(ANNOTATION)
    if text is None:
        return None
    try:
        document = json.loads(text)
    except ValueError as error:
        raise Invalid(f"annotation {ANNOTATION}: {error}") from error
    if not isinstance(document, dict):
        raise Invalid(f"annotation {ANNOTATION}: not an object of containers")
    if container not in document:
        return None
    return check(document[container], f"annotation {ANNOTATION}, {container}")


def by_image(image: str) -> Behaviour | None:
    if not image.startswith(REGISTRY):
        return None
    name, _, argument = image.removeprefix(REGISTRY).partition(":")
    if name == "missing":
        return {"pull": f"{image}: not found"}
    if name == "crash":
        return {"exit": {"code": int(argument) if argument.isdecimal() else 1}, "log": ["fatal: told to crash"]}
    if name == "oom":
        return {"exit": {"code": 137, "reason": "OOMKilled"}}
    if name == "unready":
        return {"ready": False}
    if name == "slow":
        return {"ready": {"after": float(argument) if argument.isdecimal() else 5.0}}
    return None


class Book:
    """The behaviours that hold at present."""

    def __init__(self, path: Path):
        self.path = path
        self.read: tuple[tuple[int, int], list[dict[str, Any]]] | None = None

    def of(self, pod: dict[str, Any], container: dict[str, Any]) -> Behaviour:
        """Raises `Invalid`."""
        annotated = by_annotation(pod, container["name"])
        if annotated is not None:
            return annotated
        facts = {
            "namespace": pod["metadata"]["namespace"],
            "pod": pod["metadata"]["name"],
            "container": container["name"],
            "image": container["image"],
        }
        for rule in self.rules():
            if all(fnmatchcase(facts[key], rule[key]) for key in GLOBS & rule.keys()):
                behaviour: Behaviour = rule["behaviour"]
                return behaviour
        return by_image(container["image"]) or {}

    def rules(self) -> list[dict[str, Any]]:
        try:
            facts = self.path.stat()
        except FileNotFoundError:
            return []
        version = (facts.st_mtime_ns, facts.st_ino)
        if self.read is None or self.read[0] != version:
            self.read = (version, self.parse())
        return self.read[1]

    def parse(self) -> list[dict[str, Any]]:
        try:
            rules = json.loads(self.path.read_text())
        except ValueError as error:
            raise Invalid(f"{self.path}: {error}") from error
        if not isinstance(rules, list):
            raise Invalid(f"{self.path}: not a list")
        for number, rule in enumerate(rules):
            if not isinstance(rule, dict) or not rule.keys() <= GLOBS | {"behaviour"} or "behaviour" not in rule:
                raise Invalid(f"{self.path}: rule {number} has other keys than {', '.join(sorted(GLOBS))}, behaviour")
            check(rule["behaviour"], f"{self.path}, rule {number}")
        return rules
