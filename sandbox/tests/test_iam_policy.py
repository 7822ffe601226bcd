"""The policy simulator."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import Sandbox
from eks import trust
from policies import CALLER, allow, deny, policy


def entry(key: str, *values: str) -> dict[str, Any]:
    return {"ContextKeyName": key, "ContextKeyValues": list(values), "ContextKeyType": "stringList"}


@pytest.fixture
def iam(sandbox: Sandbox) -> Any:
    return sandbox.client("iam")


class Simulator:
    def __init__(self, iam: Any):
        self.iam = iam

    def results(self, *statements: dict[str, Any], actions: list[str], **more: Any) -> list[dict[str, Any]]:
        document = json.dumps(policy(*statements))
        answer = self.iam.simulate_custom_policy(PolicyInputList=[document], ActionNames=actions, **more)
        return answer["EvaluationResults"]

    def decisions(self, *statements: dict[str, Any], actions: list[str], **more: Any) -> list[str]:
        return [result["EvalDecision"] for result in self.results(*statements, actions=actions, **more)]


@pytest.fixture
def simulator(iam: Any) -> Simulator:
    return Simulator(iam)


class TestCustom:
    def test_decisions(self, simulator: Simulator) -> None:
        statements = [allow("ec2:describe*", "EC2:Create?pc", "s3:*"), deny("s3:DeleteBucket")]
        actions = ["ec2:DescribeVpcs", "ec2:CreateVpc", "ec2:CreateVpcEndpoint", "s3:DeleteBucket", "S3:getobject"]
        results = simulator.results(*statements, actions=actions)
        assert [result["EvalActionName"] for result in results] == actions
        wanted = ["allowed", "allowed", "implicitDeny", "explicitDeny", "allowed"]
        assert [result["EvalDecision"] for result in results] == wanted
        assert {result["EvalResourceName"] for result in results} == {"*"}
        assert results[0]["MatchedStatements"][0]["SourcePolicyId"] == "PolicyInputList.1"
        assert results[2]["MatchedStatements"] == []

    def test_not_action(self, simulator: Simulator) -> None:
        statement = {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}
        assert simulator.decisions(statement, actions=["iam:GetRole", "ec2:CreateVpc"]) == ["implicitDeny", "allowed"]

    def test_resources(self, simulator: Simulator) -> None:
        statements = [
            allow("iam:GetRole", resource="arn:aws:iam::*:role/app-*"),
            deny("iam:GetRole", resource="arn:aws:iam::*:role/app-secret"),
        ]
        arns = [f"arn:aws:iam::123456789012:role/{name}" for name in ("app-one", "app-secret", "other", "APP-one")]
        [result] = simulator.results(*statements, actions=["iam:GetRole"], ResourceArns=arns)
        assert result["EvalDecision"] == "explicitDeny"
        specific = [(one["EvalResourceName"], one["EvalResourceDecision"]) for one in result["ResourceSpecificResults"]]
        assert specific == list(zip(arns, ["allowed", "explicitDeny", "implicitDeny", "implicitDeny"], strict=True))
        [alone] = simulator.results(*statements, actions=["iam:GetRole"], ResourceArns=arns[:1])
        assert (alone["EvalResourceName"], alone["EvalDecision"]) == (arns[0], "allowed")
        assert simulator.decisions(*statements, actions=["iam:GetRole"]) == ["implicitDeny"]

    @pytest.mark.parametrize(
        ("condition", "context", "decision"),
        [
            ({"StringEquals": {"aws:RequestTag/Team": "core"}}, [entry("aws:RequestTag/team", "core")], "allowed"),
            ({"StringEquals": {"aws:RequestTag/team": "core"}}, [entry("aws:RequestTag/team", "x")], "implicitDeny"),
            ({"StringLike": {"aws:ResourceTag/team": "c*"}}, [entry("aws:ResourceTag/team", "core")], "allowed"),
            ({"StringLike": {"aws:ResourceTag/team": "c*"}}, [], "implicitDeny"),
            (
                {"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}},
                [entry("aws:TagKeys", "a", "b")],
                "allowed",
            ),
            (
                {"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}},
                [entry("aws:TagKeys", "a", "c")],
                "implicitDeny",
            ),
            (
                {"StringEquals": {"iam:PassedToService": ["eks.amazonaws.com", "ec2.amazonaws.com"]}},
                [entry("iam:PassedToService", "ec2.amazonaws.com")],
                "allowed",
            ),
            (
                {"StringEquals": {"iam:PassedToService": "eks.amazonaws.com"}},
                [entry("iam:PassedToService", "ec2.amazonaws.com")],
                "implicitDeny",
            ),
        ],
    )
    def test_conditions(self, simulator: Simulator, condition: Any, context: list, decision: str) -> None:
        statement = allow("iam:PassRole", "ec2:*", Condition=condition)
        assert simulator.decisions(statement, actions=["iam:PassRole"], ContextEntries=context) == [decision]

    def test_missing_context(self, simulator: Simulator) -> None:
        condition = {
            "StringEquals": {"iam:PassedToService": "eks.amazonaws.com"},
            "Bool": {"aws:ViaAWSService": False},
        }
        other = allow("s3:*", Condition={"Null": {"s3:prefix": True}})
        statements = [allow("iam:PassRole", Condition=condition), other]
        given = [entry("aws:viaawsservice", "false")]
        [result] = simulator.results(*statements, actions=["iam:PassRole"], ContextEntries=given)
        assert result["MissingContextValues"] == ["iam:PassedToService"]

    def test_a_boundary_caps(self, simulator: Simulator) -> None:
        boundary = [json.dumps(policy(allow("ec2:*"), deny("ec2:DeleteVpc")))]
        results = simulator.results(
            allow("*"),
            actions=["ec2:CreateVpc", "iam:CreateRole", "ec2:DeleteVpc"],
            PermissionsBoundaryPolicyInputList=boundary,
        )
        assert [result["EvalDecision"] for result in results] == ["allowed", "implicitDeny", "explicitDeny"]
        within = [result["PermissionsBoundaryDecisionDetail"]["AllowedByPermissionsBoundary"] for result in results]
        assert within == [True, False, False]

    def test_a_resource_policy_grants_and_denies_too(self, simulator: Simulator, refused: Any) -> None:
        bucket = "arn:aws:s3:::b"
        theirs = policy(
            {**allow("s3:GetObject", resource=f"{bucket}/*"), "Principal": {"AWS": CALLER}},
            {**deny("s3:PutObject", resource=f"{bucket}/*"), "Principal": "*"},
        )
        given = {"ResourceArns": [f"{bucket}/k"], "ResourcePolicy": json.dumps(theirs)}
        actions = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
        found = simulator.decisions(allow("s3:PutObject"), actions=actions, CallerArn=CALLER, **given)
        assert found == ["allowed", "explicitDeny", "implicitDeny"]
        other = CALLER.replace("sandbox", "other")
        found = simulator.decisions(allow("s3:PutObject"), actions=actions, CallerArn=other, **given)
        assert found == ["implicitDeny", "explicitDeny", "implicitDeny"]
        document = json.dumps(policy(allow("*")))
        call = simulator.iam.simulate_custom_policy
        refused("InvalidInput", call, 400, PolicyInputList=[document], ActionNames=actions, **given)

    def test_pages(self, simulator: Simulator) -> None:
        actions = [f"ec2:Describe{n}" for n in range(7)]
        pages = simulator.iam.get_paginator("simulate_custom_policy").paginate(
            PolicyInputList=[json.dumps(policy(allow("*")))], ActionNames=actions, MaxItems=3
        )
        found = [[result["EvalActionName"] for result in page["EvaluationResults"]] for page in pages]
        assert found == [actions[:3], actions[3:6], actions[6:]]

    @pytest.mark.parametrize("document", ["{", "{}", json.dumps(policy({**allow("*"), "Principal": "*"}))])
    def test_malformed(self, iam: Any, refused: Any, document: str) -> None:
        call = iam.simulate_custom_policy
        refused("InvalidInput", call, 400, PolicyInputList=[document], ActionNames=["ec2:CreateVpc"])


class TestPrincipal:
    def decisions(self, iam: Any, arn: str, *actions: str, **more: Any) -> list[str]:
        answer = iam.simulate_principal_policy(PolicySourceArn=arn, ActionNames=list(actions), **more)
        return [result["EvalDecision"] for result in answer["EvaluationResults"]]

    def test_the_caller_is_an_administrator(self, sandbox: Sandbox, iam: Any) -> None:
        arn = sandbox.client("sts").get_caller_identity()["Arn"]
        assert self.decisions(iam, arn, "ec2:CreateVpc", "iam:PassRole") == ["allowed", "allowed"]

    def test_the_caller_has_the_configured_policies(self, sandbox: Sandbox, iam: Any) -> None:
        sandbox.configure(callerPolicy=[policy(allow("iam:Simulate*", "ec2:*")), policy(deny("ec2:DeleteVpc"))])
        found = self.decisions(iam, CALLER, "ec2:CreateVpc", "ec2:DeleteVpc", "eks:CreateCluster")
        assert found == ["allowed", "explicitDeny", "implicitDeny"]
        more = {"PolicyInputList": [json.dumps(policy(allow("eks:*")))]}
        assert self.decisions(iam, CALLER, "eks:CreateCluster", **more) == ["allowed"]

    def test_a_role_has_what_is_attached_to_it(self, iam: Any) -> None:
        boundary = iam.create_policy(PolicyName="bounds", PolicyDocument=json.dumps(policy(allow("ec2:*", "s3:*"))))
        arn = iam.create_role(
            RoleName="r",
            Path="/team/",
            AssumeRolePolicyDocument=trust("eks.amazonaws.com"),
            PermissionsBoundary=boundary["Policy"]["Arn"],
        )["Role"]["Arn"]
        iam.attach_role_policy(RoleName="r", PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
        inline = json.dumps(policy(allow("ec2:CreateVpc", "sqs:*")))
        iam.put_role_policy(RoleName="r", PolicyName="own", PolicyDocument=inline)
        found = self.decisions(iam, arn, "ec2:CreateVpc", "s3:GetObject", "s3:PutObject", "sqs:SendMessage")
        assert found == ["allowed", "allowed", "implicitDeny", "implicitDeny"]
        answer = iam.simulate_principal_policy(PolicySourceArn=arn, ActionNames=["ec2:CreateVpc", "s3:GetObject"])
        sources = [result["MatchedStatements"][0]["SourcePolicyId"] for result in answer["EvaluationResults"]]
        assert sources == ["role_r_own", "AmazonS3ReadOnlyAccess"]

    def test_a_user_has_those_of_his_groups(self, iam: Any) -> None:
        arn = iam.create_user(UserName="u")["User"]["Arn"]
        iam.create_group(GroupName="g")
        iam.add_user_to_group(UserName="u", GroupName="g")
        iam.put_group_policy(GroupName="g", PolicyName="p", PolicyDocument=json.dumps(policy(allow("ec2:CreateVpc"))))
        assert self.decisions(iam, arn, "ec2:CreateVpc", "ec2:DeleteVpc") == ["allowed", "implicitDeny"]

    def test_an_unknown_principal(self, iam: Any, refused: Any) -> None:
        call, actions = iam.simulate_principal_policy, ["ec2:CreateVpc"]
        unknown = "arn:aws:iam::123456789012:role/unknown"
        refused("NoSuchEntity", call, 404, PolicySourceArn=unknown, ActionNames=actions)
        session = "arn:aws:sts::123456789012:assumed-role/Admin/me"
        error = refused("InvalidInput", call, 400, PolicySourceArn=session, ActionNames=actions)
        assert "does not clearly define entity type and name" in error.response["Error"]["Message"]
