"""ECR: lifecycle policies."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ecr import Registry

EXPIRE = {"type": "expire"}


def rule(priority: int = 1, action: Any = None, **selection: Any) -> dict[str, Any]:
    basis = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 3}
    return {
        "rulePriority": priority,
        "description": "d",
        "selection": {name: value for name, value in {**basis, **selection}.items() if value is not None},
        "action": action or EXPIRE,
    }


AGED = {"countType": "sinceImagePushed", "countUnit": "days"}
TAGGED = {"tagStatus": "tagged", "tagPrefixList": ["v"]}
UNTAGGED = {"tagStatus": "untagged"}
ARCHIVE = {"type": "transition", "targetStorageClass": "archive"}
ARCHIVED = {"countType": "sinceImageTransitioned", "countUnit": "days", "storageClass": "archive"}


class TestLifecyclePolicy:
    @pytest.mark.parametrize(
        "rules",
        [
            [rule()],
            [rule(1, **TAGGED), rule(5, **UNTAGGED, **AGED), rule(9)],
            [rule(1, tagStatus="tagged", tagPatternList=["*a*b*c*", "v1"]), rule(2, **TAGGED)],
            [rule(1, ARCHIVE, countType="sinceImagePulled", countUnit="days"), rule(2, **ARCHIVED)],
            [rule(1, **ARCHIVED), rule(2, **UNTAGGED)],
        ],
    )
    def test_taken(self, app: Registry, rules: list[Any]) -> None:
        text = json.dumps({"rules": rules})
        assert app.put_lifecycle_policy(lifecyclePolicyText=text)["lifecyclePolicyText"] == text
        assert app.get_lifecycle_policy()["lifecyclePolicyText"] == text

    @pytest.mark.parametrize(
        ("rules", "words"),
        [
            ([rule(1, **TAGGED), rule(1)], "unique"),
            ([rule(1), rule(2, **TAGGED)], "Rule for tagStatus=ANY must have the lowest priority per storage class"),
            ([rule(1), rule(2)], "Rule for tagStatus=ANY must have the lowest priority per storage class"),
            ([rule(1, **UNTAGGED), rule(2, **UNTAGGED)], "Only one rule can select Untagged images per storage class"),
            (
                [rule(tagStatus="tagged")],
                "Must specify tagPrefixList or tagPatternList when tagStatus=TAGGED.",
            ),
            ([rule(tagStatus="tagged", tagPrefixList=[])], "Must specify tagPrefixList or tagPatternList"),
            ([rule(**TAGGED, tagPatternList=["v*"])], "both"),
            ([rule(tagPrefixList=["v"])], "tagStatus=ANY"),
            ([rule(tagStatus="tagged", tagPatternList=["*a*b*c*d*"])], "wildcards"),
            ([rule(tagStatus="tagged", tagPrefixList=[1])], "instance type"),
            ([rule(countType="sinceImagePushed")], "instance failed to match exactly one schema"),
            ([rule(countUnit="days")], "instance failed to match exactly one schema"),
            ([rule(**{**AGED, "countUnit": "weeks"})], "instance failed to match exactly one schema"),
            ([rule(countType="never")], "instance failed to match exactly one schema"),
            ([rule(**{**ARCHIVED, "storageClass": None})], "instance failed to match exactly one schema"),
            ([rule(action={"type": "expire", "targetStorageClass": None})], "match exactly one schema"),
            ([rule(action={"type": "transition"})], "match exactly one schema"),
            ([rule(1, ARCHIVE, **ARCHIVED)], "match exactly one schema"),
            ([rule(countNumber=0)], "numeric instance is lower than the required minimum (minimum: 1, found: 0)"),
            ([rule(countNumber="3")], "instance type (string)"),
            ([rule(0)], "numeric instance is lower than the required minimum"),
            ([rule(tagStatus="new")], "not found in enum"),
            ([rule(action={"type": "delete"})], "not found in enum"),
            ([rule(kind="x")], 'properties which are not allowed by the schema: (["kind"])'),
            ([{"rulePriority": 1, "selection": {}}], 'object has missing required properties (["action"])'),
            (["rule"], "instance type (string)"),
            ([], "array is too short"),
        ],
    )
    def test_refused(self, app: Registry, refused: Any, rules: list[Any], words: str) -> None:
        text = json.dumps({"rules": rules}).ljust(100)
        error = refused("InvalidParameterException", app.put_lifecycle_policy, 400, lifecyclePolicyText=text)
        message = error.response["Error"]["Message"]
        start = "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation"
        assert message.startswith(start)
        assert words in message
        refused("LifecyclePolicyNotFoundException", app.get_lifecycle_policy)

    def test_no_policy_at_all(self, app: Registry, refused: Any) -> None:
        for text in ("x" * 100, "[]".ljust(100), "{}".ljust(100)):
            refused("InvalidParameterException", app.put_lifecycle_policy, lifecyclePolicyText=text)
