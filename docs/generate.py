"""Writes the pages of this book that the program determines: its commands and the fields of the stack file.

    python3 docs/generate.py PROGRAM [--write]

Without `--write` it compares them with the pages that exist, and exits with 1 if one differs.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

PAGES = Path(__file__).parent / "reference"
NOTE = "<!-- Written by docs/generate.py from the program: change the program's texts instead. -->"


def say(program, *arguments):
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
    ended = subprocess.run([program, *arguments], capture_output=True, text=True, check=True, env=environment)
    return ended.stdout


def without(text, heading):
    """The help without one of its sections."""
    return re.sub(rf"(?ms)^{heading}:\n.*?(?=^\S|\Z)", "", text).rstrip() + "\n"


def section(text, heading):
    found = re.search(rf"(?ms)^{heading}:\n(.*?)(?=^\S|\Z)", text)
    return found[1].rstrip() if found else ""


def subcommands(text):
    names = re.findall(r"(?m)^ {2}([a-z][a-z-]*) ", section(text, "Commands") + "\n")
    return [name for name in names if name != "help"]


def help_of(program, path):
    text = say(program, *path, "--help")
    yield path, text
    for name in subcommands(text):
        yield from help_of(program, [*path, name])


def commands(program):
    top, *rest = help_of(program, [])
    page = ["# Commands", "", NOTE, "", "What `provisioner COMMAND --help` prints. `provisioner man` prints the same as a manual page.", ""]
    page += ["```text", without(without(top[1], "Global options"), "Exit codes").rstrip(), "```", ""]
    page += ["## Global options", "", "Every command accepts these.", ""]
    page += ["```text", section(top[1], "Global options"), "```", ""]
    for path, text in rest:
        shown = without(without(text, "Global options"), "Exit codes").rstrip()
        page += [f"## provisioner {' '.join(path)}", "", "```text", shown, "```", ""]
    return "\n".join(page)


class Fields:
    def __init__(self, schema):
        self.defs = schema["$defs"]
        self.sections = []
        self.places = {}
        self.add("", schema)

    def resolve(self, schema):
        """What a schema refers to, without the null of an optional field."""
        options = [one for one in schema.get("anyOf", []) if one.get("type") != "null"]
        if len(options) == 1:
            return self.resolve(options[0])
        if "$ref" in schema:
            return self.resolve(self.defs[schema["$ref"].rsplit("/", 1)[1]])
        return schema

    def add(self, path, schema):
        rows, nested = [], []
        for name, field in schema["properties"].items():
            at = f"{path}.{name}" if path else name
            text, below = self.kind(at, field)
            nested += below
            needed = " **Required.**" if name in schema.get("required", []) else ""
            rows.append((name, text, field.get("description", "") + needed))
        self.sections.append((path, schema.get("description", ""), rows))
        for at, below in nested:
            self.add(at, below)

    def kind(self, at, schema):
        """How a value is written, and the sections that describe it."""
        found = self.resolve(schema)
        if "properties" in found:
            first = self.places.setdefault(id(found), at)
            return f"[map](#{anchor(first)})", [(at, found)] if first == at else []
        kind = found.get("type")
        kind = next(iter([one for one in kind if one != "null"]), "") if isinstance(kind, list) else kind
        if kind == "array":
            text, below = self.kind(f"{at}[]", found["items"])
            return f"list of {text}", below
        options = found.get("oneOf") or found.get("anyOf")
        if options:
            constants = [f"`{one['const']}`" for one in options if "const" in one]
            others = [self.kind(at, one) for one in options if "const" not in one]
            texts = list(dict.fromkeys(constants + [text for text, _ in others]))
            return " or ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts), [
                one for _, below in others for one in below
            ]
        if "enum" in found:
            return ", ".join(f"`{one}`" for one in found["enum"]), []
        if kind == "object":
            values = found.get("additionalProperties")
            if isinstance(values, dict) and values:
                text, below = self.kind(at, values)
                return f"map of {text}", below
            return "map", []
        words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true`, `false`"}
        return words.get(kind, "any value"), []


def anchor(heading):
    """The anchor of a heading, as GitHub and mdBook form it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def fields(program):
    sections = Fields(json.loads(say(program, "schema"))).sections
    page = ["# Fields of the stack file", "", NOTE, ""]
    page += ["What `provisioner schema` says. [The examples](../EXAMPLES.md) are complete files.", ""]
    for path, description, rows in sections:
        if path:
            page += [f"## `{path}`", ""]
        page += [description, "", "| field | value | meaning |", "|---|---|---|"]
        page += [f"| `{name}` | {cell(text)} | {cell(about)} |" for name, text, about in rows]
        page += [""]
    return "\n".join(page)


def cell(text):
    return " ".join(text.split()).replace("|", "\\|")


def main():
    program, *options = sys.argv[1:]
    wrong = []
    for name, make in [("commands.md", commands), ("fields.md", fields)]:
        page = PAGES / name
        text = make(program).rstrip() + "\n"
        if options == ["--write"]:
            page.write_text(text)
        elif page.read_text() != text:
            wrong.append(str(page))
    if wrong:
        sys.exit(f"out of date: {', '.join(wrong)}; `python3 docs/generate.py PROGRAM --write` writes them")


if __name__ == "__main__":
    main()
