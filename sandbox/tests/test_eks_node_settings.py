"""How a node group replaces its nodes: `updateConfig` and `nodeRepairConfig`.

Members and limits: NodegroupUpdateConfig and NodeRepairConfig in botocore's model of EKS. What AWS answers by default is
from outputs of `describe-nodegroup` of 2026.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import Sandbox
from eks_groups import Groups, params

OVERRIDE = {
    "nodeMonitoringCondition": "AcceleratedInstanceNotReady",
    "nodeUnhealthyReason": "NvidiaXID64Error",
    "minRepairWaitTimeMins": 5,
    "repairAction": "Reboot",
}
PARALLEL = "Either provide max parallel nodes to repair count or percentage in the request."


@pytest.fixture
def groups(sandbox: Sandbox) -> Groups:
    return Groups.again(sandbox)


def test_what_aws_answers_by_default(groups: Groups) -> None:
    made = groups.group()
    assert made["updateConfig"] == {"maxUnavailable": 1, "updateStrategy": "DEFAULT"}
    # "Node auto repair is disabled by default."
    assert made["nodeRepairConfig"] == {"enabled": False}
    assert groups.described()["nodeRepairConfig"] == {"enabled": False}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"updateConfig": {}}, "UpdateConfig cannot be empty if set in the request."),
        ({"updateConfig": {"updateStrategy": "MAXIMAL"}}, "updateStrategy"),
        ({"nodeRepairConfig": {"enabled": True, "maxParallelNodesRepairedPercentage": 101}}, "Percentage"),
        ({"nodeRepairConfig": {"enabled": True, "maxUnhealthyNodeThresholdCount": 0}}, "Count"),
        (
            {"nodeRepairConfig": {"maxParallelNodesRepairedCount": 1, "maxParallelNodesRepairedPercentage": 5}},
            PARALLEL,
        ),
        (
            {"nodeRepairConfig": {"maxUnhealthyNodeThresholdCount": 1, "maxUnhealthyNodeThresholdPercentage": 5}},
            PARALLEL,
        ),
        ({"nodeRepairConfig": {"nodeRepairConfigOverrides": [{**OVERRIDE, "repairAction": "Bless"}]}}, "repairAction"),
        (
            {"nodeRepairConfig": {"nodeRepairConfigOverrides": [{"repairAction": "Reboot"}]}},
            "nodeMonitoringCondition, nodeUnhealthyReason, minRepairWaitTimeMins missing",
        ),
    ],
)
def test_invalid(groups: Groups, refused: Any, wrong: dict[str, Any], words: str) -> None:
    error = refused("InvalidParameterException", groups.group, 400, **wrong)
    assert words in error.response["Error"]["Message"]
    groups.there()
    error = refused("InvalidParameterException", groups.config, 400, **wrong)
    assert words in error.response["Error"]["Message"]
    assert groups.described()["status"] == "ACTIVE"


def test_update_config(groups: Groups, refused: Any) -> None:
    groups.there()
    update = groups.config(updateConfig={"maxUnavailablePercentage": 50})
    assert (update["type"], params(update)) == ("ConfigUpdate", {"MaxUnavailablePercentage": "50"})
    assert groups.done()["updateConfig"] == {"maxUnavailablePercentage": 50, "updateStrategy": "DEFAULT"}
    update = groups.config(updateConfig={"updateStrategy": "MINIMAL"})
    assert params(update) == {"UpdateStrategy": "MINIMAL"}
    assert groups.described()["updateConfig"]["updateStrategy"] == "DEFAULT"
    assert groups.done()["updateConfig"] == {"maxUnavailablePercentage": 50, "updateStrategy": "MINIMAL"}
    groups.config(updateConfig={"maxUnavailable": 2})
    assert groups.done()["updateConfig"] == {"maxUnavailable": 2, "updateStrategy": "MINIMAL"}
    refused("InvalidParameterException", groups.config, updateConfig={"maxUnavailable": 3})


def test_a_strategy_alone_at_creation(groups: Groups) -> None:
    made = groups.there(updateConfig={"updateStrategy": "MINIMAL"})
    assert made["updateConfig"] == {"maxUnavailable": 1, "updateStrategy": "MINIMAL"}


def test_node_repair(groups: Groups) -> None:
    wanted = {"enabled": True, "maxParallelNodesRepairedCount": 1, "maxUnhealthyNodeThresholdPercentage": 30}
    assert groups.there(nodeRepairConfig=wanted)["nodeRepairConfig"] == wanted
    more = {**wanted, "nodeRepairConfigOverrides": [OVERRIDE]}
    update = groups.config(nodeRepairConfig=more)
    said = params(update)
    assert (said["NodeRepairEnabled"], json.loads(said["NodeRepairConfig"])) == ("true", more)
    assert groups.done()["nodeRepairConfig"] == more
    groups.config(nodeRepairConfig={"enabled": False})
    assert groups.done()["nodeRepairConfig"] == {"enabled": False}
