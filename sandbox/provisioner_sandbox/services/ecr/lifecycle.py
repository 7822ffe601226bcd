"""Lifecycle policies, checked as a whole: moto checks each property of a rule, but not what they are together.

https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html
Messages as reported from AWS, where one was found; the others name the rule.
"""

from __future__ import annotations

import json
from typing import Any

from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.ecr.state import invalid, repository_of

COUNT_UNITS = {
    "imageCountMoreThan": None, "sinceImagePushed": "days", "sinceImagePulled": "days",
    "sinceImageTransitioned": "days",
}  # fmt: skip
LISTS = ("tagPatternList", "tagPrefixList")
RULE = {"rulePriority": int, "selection": dict, "action": dict}
SELECTION = {"tagStatus": str, "countType": str, "countNumber": int}
MOST_WILDCARDS = 4


@handles("ecr", "PutLifecyclePolicy")
def put(call: Call) -> dict:
    repository = repository_of(call)
    text = call.params["lifecyclePolicyText"]
    check(text)
    repository.lifecycle_policy = text
    return {
        "registryId": repository.registry_id,
        "repositoryName": repository.name,
        "lifecyclePolicyText": text,
    }


def check(text: str) -> None:
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise failure("Could not map policyString into LifecyclePolicy.")
    has(document, {"rules": list}, ())
    rules = document["rules"]
    if not rules:
        raise failure("array is too short: must have at least 1 elements but instance has 0 elements")
    for rule in rules:
        if not isinstance(rule, dict):
            raise wrong_type(rule, "object")
        has(rule, RULE, ("description",))
        check_selection(rule["selection"])
        check_action(rule["action"], rule["selection"])
    check_together(rules)


def check_selection(selection: dict[str, Any]) -> None:
    has(selection, SELECTION, (*LISTS, "countUnit", "storageClass"))
    one_of(selection["tagStatus"], ("any", "tagged", "untagged"))
    unit = selection.get("countUnit")
    count_type = selection["countType"]
    storage = selection.get("storageClass", "standard")
    one_of(storage, ("archive", "standard"))
    # The schema has one alternative for each count type.
    fits = (
        count_type in COUNT_UNITS
        and unit == COUNT_UNITS[count_type]
        and ("countUnit" in selection) == (unit is not None)
        and (storage == "archive") == (count_type == "sinceImageTransitioned")
    )
    if not fits:
        raise failure(f"instance failed to match exactly one schema (matched 0 out of {len(COUNT_UNITS)})\n")
    if selection["countNumber"] < 1:
        found = selection["countNumber"]
        raise failure(f"numeric instance is lower than the required minimum (minimum: 1, found: {found})")
    check_tags(selection)


def check_tags(selection: dict[str, Any]) -> None:
    given = [name for name in LISTS if name in selection]
    for name in given:
        tags = selection[name]
        if not isinstance(tags, list) or not all(isinstance(tag, str) and tag for tag in tags):
            raise wrong_type(tags, "array")
    if selection["tagStatus"] != "tagged":
        if given:
            status = selection["tagStatus"].upper()
            raise failure(f"tagPrefixList and tagPatternList cannot be specified when tagStatus={status}.")
        return
    if not any(selection[name] for name in given):
        raise failure("Must specify tagPrefixList or tagPatternList when tagStatus=TAGGED.")
    if len(given) > 1:
        raise failure("Cannot specify both tagPrefixList and tagPatternList.")
    for pattern in selection.get("tagPatternList", []):
        if pattern.count("*") > MOST_WILDCARDS:
            raise failure(f"Tag pattern '{pattern}' has more than {MOST_WILDCARDS} wildcards.")


def check_action(action: dict[str, Any], selection: dict[str, Any]) -> None:
    has(action, {"type": str}, ("targetStorageClass",))
    one_of(action["type"], ("expire", "transition"))
    expires = action == {"type": "expire"}
    archives = action == {"type": "transition", "targetStorageClass": "archive"}
    if not expires and (not archives or selection.get("storageClass") == "archive"):
        raise failure("instance failed to match exactly one schema (matched 0 out of 2)\n")


def check_together(rules: list[dict[str, Any]]) -> None:
    priorities = [rule["rulePriority"] for rule in rules]
    if any(priority < 1 for priority in priorities):
        found = min(priorities)
        raise failure(f"numeric instance is lower than the required minimum (minimum: 1, found: {found})")
    if len(set(priorities)) < len(priorities):
        raise failure("Rule priorities must be unique.")
    for storage in ("standard", "archive"):
        of_class = [rule for rule in rules if rule["selection"].get("storageClass", "standard") == storage]
        of_class.sort(key=lambda rule: rule["rulePriority"])
        statuses = [rule["selection"]["tagStatus"] for rule in of_class]
        if statuses.count("untagged") > 1:
            raise failure("Only one rule can select Untagged images per storage class")
        if "any" in statuses[:-1]:
            raise failure("Rule for tagStatus=ANY must have the lowest priority per storage class")


def has(document: dict[str, Any], required: dict[str, type], optional: tuple[str, ...]) -> None:
    missing = sorted(set(required) - set(document))
    if missing:
        raise failure(f"object has missing required properties ({json.dumps(missing)})")
    unknown = sorted(set(document) - set(required) - set(optional))
    if unknown:
        raise failure(f"object instance has properties which are not allowed by the schema: ({json.dumps(unknown)})")
    names = {int: "integer", str: "string", dict: "object", list: "array"}
    for name, kind in required.items():
        if not isinstance(document[name], kind) or isinstance(document[name], bool):
            raise wrong_type(document[name], names[kind])


def wrong_type(value: Any, wanted: str) -> AwsError:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", dict: "object", list: "array"}
    found = names.get(type(value), "null")
    return failure(f'instance type ({found}) does not match any allowed primitive type (allowed: ["{wanted}"])')


def one_of(value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise failure(f"instance value ({json.dumps(value)}) not found in enum (possible values: {json.dumps(allowed)})")


def failure(reason: str) -> AwsError:
    return invalid("LifecyclePolicyText", f"Lifecycle policy validation failure: {reason}")
