"""Prints `docs/API_COVERAGE.md`: for each parameter of the create calls, the stack field that sets it, or what provisioner sends,
or why it is omitted.

`decisions.json` holds what is said of each parameter, and three sources hold it to be complete and true: botocore's models have the
parameters (of the request, and of each structure in it), the schema of the stack file on stdin has the fields, and the `create` of
the kind in `src/resources` calls the SDK's setter of exactly those that are sent. What does not agree is named, and ends in exit
code 1.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from botocore import xform_name
from botocore.loaders import Loader
from botocore.model import ServiceModel

ROOT = Path(__file__).resolve().parents[2]

# The call, and the kind whose file sends it.
CALLS = {
    "eks:CreateCluster": "eks_cluster",
    "eks:CreateNodegroup": "node_group",
    "eks:CreateFargateProfile": "fargate_profile",
    "eks:CreateAddon": "addon",
    "eks:CreatePodIdentityAssociation": "pod_identity_association",
    "ec2:CreateVpc": "vpc",
    "ec2:CreateSubnet": "subnet",
    "ec2:CreateNatGateway": "nat_gateway",
    "ec2:CreateVpcEndpoint": "vpc_endpoint",
    "ecr:CreateRepository": "ecr_repository",
    "kms:CreateKey": "kms_key",
}

HEAD = """# What the create calls send

Every parameter of the calls that create a cluster, its compute, its network, its repositories and its key. A stack field sets it,
provisioner sends a value of its own, or it is omitted, and AWS's default applies. Settings of a cluster or node group that are set
elsewhere are described in [Settings that the file does not name](reference/unmanaged-settings.md).

This page is written from AWS's models of the calls and `tests/api_coverage/decisions.json`, with
`PROVISIONER_TABLE=update cargo test --test it api_coverage::`. The test fails if a parameter has no decision, a field does not
exist, or the code sends other parameters than this page says.
"""


def parameters(call: str) -> dict[str, list[str]]:
    """The parameters of a request, each with the members of its structure."""
    service, operation = call.split(":")
    # Not the models that a user keeps in ~/.aws.
    loader = Loader(extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    shape = ServiceModel(loader.load_service_model(service, "service-2"), service).operation_model(operation).input_shape
    return {name: list(of.members) if of.type_name == "structure" else [] for name, of in shape.members.items()}


def sent(call: str) -> set[str]:
    """The setters that the kind's `create` calls, in the SDK's spelling."""
    text = (ROOT / "src/resources" / f"{CALLS[call]}.rs").read_text()
    body = text[text.index("    async fn create(") :]
    body = re.sub(r"^\s*//.*$", "", body[: body.index("\n    }\n")], flags=re.MULTILINE)
    operation = xform_name(call.split(":")[1])
    start = re.search(rf"\.{operation}\(\)", body)
    if start is None:
        raise SystemExit(f"src/resources/{CALLS[call]}.rs: `create` does not call `{operation}`")
    # Setters of structures are in the chain of the call's own, deeper in parentheses.
    setters, depth = set(), 0
    for token in re.finditer(r"\.(?:set_)?(\w+)\(|[(]|[)]|;", body[start.end() :]):
        if depth == 0 and token[1]:
            setters.add(token[1])
        if depth == 0 and token[0] == ";":
            break
        depth += token[0].endswith("(") - (token[0] == ")")
    return setters


def has_field(schema: dict[str, Any], path: str) -> bool:
    """Whether the schema of the stack file has a field, such as `nodeGroups[].name`."""

    def forms(node: dict[str, Any]) -> list[dict[str, Any]]:
        if "$ref" in node:
            return forms(schema["$defs"][node["$ref"].rsplit("/", 1)[-1]])
        options = [one for word in ("anyOf", "oneOf", "allOf") for one in node.get(word, [])]
        return [node, *(form for one in options for form in forms(one))]

    nodes = [schema]
    for part in path.split("."):
        name = part.removesuffix("[]")
        nodes = [one["properties"][name] for node in nodes for one in forms(node) if name in one.get("properties", {})]
        if name != part:
            nodes = [one["items"] for node in nodes for one in forms(node) if "items" in one]
    return bool(nodes)


def fields(decision: dict[str, Any]) -> list[str]:
    named = decision.get("field", [])
    return [named] if isinstance(named, str) else named


def row(name: str, members: list[str], decision: dict[str, Any]) -> str:
    inside = f" ({', '.join(f'`{member}`' for member in members)})" if members else ""
    who = ", ".join(f"`{field}`" for field in fields(decision))
    who = who or ("provisioner" if "program" in decision else "omitted")
    what = next((decision[word] for word in ("to", "program", "left") if word in decision), "")
    return f"| `{name}`{inside} | {who} | {what} |".replace("|  |", "| |")


def table(call: str, decisions: dict[str, Any], schema: dict[str, Any], wrong: list[str]) -> list[str]:
    """The rows of a call. What is missing or untrue is added to `wrong`."""
    rows, left, setters = [], dict(decisions), sent(call)
    for name, members in parameters(call).items():
        # One decision omits a structure with all that is in it; otherwise each member has its own.
        whole = not members or name in left
        of = {name: members} if whole else {f"{name}.{member}": [] for member in members}
        found = {path: left.pop(path) for path in of if path in left}
        wrong += [f"{call}: {path} has no decision" for path in of if path not in found]
        for path, decision in found.items():
            if sum(word in decision for word in ("field", "program", "left")) != 1:
                wrong.append(f"{call}: {path} needs one of `field`, `program` and `left`")
            if members and whole and "left" not in decision:
                wrong.append(f"{call}: {path} is sent, so each of its members needs a decision")
            unknown = [field for field in fields(decision) if not has_field(schema, field)]
            wrong += [f"{call}: {path} names the field `{field}`, which the stack file does not have" for field in unknown]
            rows.append(row(path, of[path], decision))
        claimed = any("left" not in decision for decision in found.values())
        if found and claimed != (xform_name(name) in setters):
            said = "sent, and `create` does not set it" if claimed else "omitted, and `create` sets it"
            wrong.append(f"{call}: {name} is said to be {said} (src/resources/{CALLS[call]}.rs)")
    wrong += [f"{call}: {path} has a decision, and the call has no such parameter" for path in left]
    return rows


def main() -> None:
    schema = json.load(sys.stdin)
    decisions = json.loads((Path(__file__).parent / "decisions.json").read_text())
    wrong = [f"{call} has decisions, and table.py does not list it" for call in decisions if call not in CALLS]
    page = [HEAD]
    for call in CALLS:
        service, operation = call.split(":")
        page += [f"## {service.upper()} {operation}\n", "| parameter | set by | to, or why it is omitted |", "|---|---|---|"]
        page += [*table(call, decisions.get(call, {}), schema, wrong), ""]
    if wrong:
        raise SystemExit("\n".join(wrong))
    print("\n".join(page).rstrip())


if __name__ == "__main__":
    main()
