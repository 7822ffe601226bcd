"""Parses annotations as the controller does.

Source: pkg/annotations/parser.go of the controller.
"""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]


class BuildError(ValueError):
    """The model of a load balancer cannot be built from the objects."""


class Annotations:
    """The annotations of several objects. Earlier objects take precedence."""

    def __init__(self, prefixes: tuple[str, ...], *documents: Object):
        self.prefixes = prefixes
        self.found = [one["metadata"].get("annotations") or {} for one in documents]

    def text(self, name: str, default: str = "") -> str:
        for annotations in self.found:
            for prefix in self.prefixes:
                if f"{prefix}/{name}" in annotations:
                    return str(annotations[f"{prefix}/{name}"])
        return default

    def number(self, name: str, default: int) -> int:
        text = self.text(name)
        try:
            return int(text) if text else default
        except ValueError:
            raise BuildError(f"failed to parse int32 annotation, {self.prefixes[0]}/{name}: {text}") from None

    def words(self, name: str) -> tuple[str, ...]:
        return tuple(word for part in self.text(name).split(",") if (word := part.strip()))

    def pairs(self, name: str) -> dict[str, str]:
        found = {}
        for part in self.words(name):
            key, sign, value = part.partition("=")
            if not sign or not key:
                raise BuildError(f"failed to parse stringMap annotation, {self.prefixes[0]}/{name}: {self.text(name)}")
            found[key.strip()] = value.strip()
        return found
