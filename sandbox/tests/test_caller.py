"""`caller` of the configuration: an assumed role calls, as people who sign in through IAM Identity Center do.

https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
https://docs.aws.amazon.com/singlesignon/latest/userguide/referencingpermissionsets.html
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import REGION, Sandbox
from eks import Eks
from kubernetes import Client, token
from policies import CALLER, allow, deny, policy

ROLE = "AWSReservedSSO_Admin_0123456789abcdef"
SESSION = f"arn:aws:sts::123456789012:assumed-role/{ROLE}/jane"
WITH_PATH = f"arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/{REGION}/{ROLE}"
BARE = f"arn:aws:iam::123456789012:role/{ROLE}"
ADMIN = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"


@pytest.fixture
def jane(sandbox: Sandbox) -> Sandbox:
    sandbox.configure(caller=SESSION)
    return sandbox


@pytest.mark.parametrize(
    "wrong",
    [
        7, "jane", CALLER, WITH_PATH, SESSION.replace("123456789012", "210987654321"),
        SESSION.rpartition("/")[0], f"{SESSION}/more",
    ],
)  # fmt: skip
def test_only_a_session_of_the_account(sandbox: Sandbox, wrong: Any) -> None:
    status, answer = sandbox.ext("POST", "config", {"caller": wrong})
    assert (status, "caller must be" in answer["message"]) == (400, True)


class TestIdentity:
    def test_of_a_session(self, jane: Sandbox) -> None:
        told = jane.client("sts").get_caller_identity()
        role = jane.client("iam").get_role(RoleName=ROLE)["Role"]
        assert (told["Arn"], told["UserId"], told["Account"]) == (SESSION, f"{role['RoleId']}:jane", "123456789012")
        assert (role["Arn"], role["Path"]) == (WITH_PATH, f"/aws-reserved/sso.amazonaws.com/{REGION}/")
        jane.configure()
        assert jane.client("sts").get_caller_identity()["Arn"] == CALLER

    def test_any_role_can_have_sessions(self, sandbox: Sandbox) -> None:
        iam = sandbox.client("iam")
        made = iam.create_role(RoleName="ops", Path="/teams/", AssumeRolePolicyDocument=json.dumps(policy(TRUST)))
        arn = "arn:aws:sts::123456789012:assumed-role/ops/jane"
        sandbox.configure(caller=arn)
        told = sandbox.client("sts").get_caller_identity()
        assert (told["Arn"], told["UserId"]) == (arn, f"{made['Role']['RoleId']}:jane")

    def test_its_role_comes_and_goes_with_it(self, jane: Sandbox) -> None:
        assert jane.client("iam").get_role(RoleName=ROLE)["Role"]["Arn"] == WITH_PATH
        jane.ext("POST", "reset")
        with pytest.raises(Exception, match="NoSuchEntity"):
            jane.client("iam").get_role(RoleName=ROLE)

    def test_its_role_is_changed_by_aws_only(self, jane: Sandbox, refused: Any) -> None:
        iam = jane.client("iam")
        admin = "arn:aws:iam::aws:policy/AdministratorAccess"
        error = refused("UnmodifiableEntity", iam.attach_role_policy, 400, RoleName=ROLE, PolicyArn=admin)
        assert f"Cannot perform the operation on the protected role '{ROLE}'" in str(error)
        refused("UnmodifiableEntity", iam.delete_role, 400, RoleName=ROLE)


TRUST = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "sts:AssumeRole"}


class TestPermissions:
    def test_a_denial_names_the_session(self, jane: Sandbox, refused: Any) -> None:
        jane.configure(caller=SESSION, callerPolicy=policy(allow("ec2:DescribeVpcs")))
        jane.client("ec2").describe_vpcs()
        error = refused("UnauthorizedOperation", jane.client("ec2").describe_subnets, 403)
        assert f"User: {SESSION} is not authorized to perform: ec2:DescribeSubnets" in str(error)

    @pytest.mark.parametrize(
        ("condition", "count"),
        [
            ({"ArnEquals": {"aws:PrincipalArn": WITH_PATH}}, 1),
            ({"ArnEquals": {"aws:PrincipalArn": SESSION}}, 0),
            ({"StringEquals": {"aws:PrincipalType": "AssumedRole"}}, 1),
            ({"Null": {"aws:username": "true"}}, 1),
        ],
    )
    def test_conditions_are_about_its_role(
        self, jane: Sandbox, refused: Any, condition: dict[str, Any], count: int
    ) -> None:
        jane.configure(caller=SESSION, callerPolicy=policy(allow("ec2:DescribeVpcs", Condition=condition)))
        if count:
            assert jane.client("ec2").describe_vpcs()["Vpcs"]
        else:
            refused("UnauthorizedOperation", jane.client("ec2").describe_vpcs, 403)

    @pytest.mark.parametrize(("principal", "hit"), [(WITH_PATH, True), (SESSION, True), (CALLER, False)])
    def test_a_bucket_policy_names_the_role_or_the_session(
        self, jane: Sandbox, refused: Any, principal: str, hit: bool
    ) -> None:
        s3 = jane.client("s3")
        s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
        statement = deny("s3:GetBucketTagging", resource="arn:aws:s3:::bucket", Principal={"AWS": principal})
        s3.put_bucket_policy(Bucket="bucket", Policy=json.dumps(policy(statement)))
        code = "AccessDenied" if hit else "NoSuchTagSet"
        refused(code, s3.get_bucket_tagging, Bucket="bucket")

    def test_a_key_policy_for_its_role_does_not_lock_it_out(self, jane: Sandbox, refused: Any) -> None:
        kms = jane.client("kms")
        for principal, fits in ((WITH_PATH, True), (CALLER, False)):
            document = json.dumps(policy(allow("kms:*", Principal={"AWS": principal})))
            if fits:
                kms.create_key(Policy=document)
            else:
                refused("MalformedPolicyDocumentException", kms.create_key, Policy=document)

    @pytest.mark.parametrize(("principal", "hit"), [(WITH_PATH, True), (SESSION, True), (CALLER, False)])
    def test_a_key_policy_or_a_grant_for_its_role_lets_it_use_the_key(
        self, sandbox: Sandbox, refused: Any, principal: str, hit: bool
    ) -> None:
        kms = sandbox.client("kms")
        sandbox.configure(caller=SESSION)
        own = allow("kms:*", Principal={"AWS": CALLER})
        used = allow("kms:Encrypt", Principal={"AWS": principal})
        sandbox.configure()
        key = kms.create_key(Policy=json.dumps(policy(own, used)))["KeyMetadata"]["KeyId"]
        kms.create_grant(KeyId=key, GranteePrincipal=principal, Operations=["GenerateDataKey"])
        sandbox.configure(caller=SESSION)
        wanted: list[tuple[Any, dict[str, Any]]] = [
            (kms.encrypt, {"Plaintext": b"text"}), (kms.generate_data_key, {"KeySpec": "AES_256"}),
        ]  # fmt: skip
        for call, given in wanted:
            if hit:
                call(KeyId=key, **given)
            else:
                refused("AccessDeniedException", call, KeyId=key, **given)

    def test_simulated_by_its_role(self, jane: Sandbox, refused: Any) -> None:
        jane.configure(caller=SESSION, callerPolicy=policy(allow("iam:*"), allow("ec2:CreateVpc")))
        iam, names = jane.client("iam"), ["ec2:CreateVpc", "ec2:DeleteVpc"]
        found = iam.simulate_principal_policy(PolicySourceArn=WITH_PATH, ActionNames=names)["EvaluationResults"]
        assert [one["EvalDecision"] for one in found] == ["allowed", "implicitDeny"]
        refused("InvalidInput", iam.simulate_principal_policy, PolicySourceArn=SESSION, ActionNames=names)


class TestClusters:
    def test_its_role_is_the_creator(self, sandbox: Sandbox) -> None:
        eks = Eks(sandbox, caller=SESSION)
        eks.active(accessConfig={"authenticationMode": "API"})
        assert eks.call("list_access_entries")["accessEntries"] == [WITH_PATH]
        entry = eks.call("describe_access_entry", principalArn=WITH_PATH)["accessEntry"]
        assert entry["username"] == f"arn:aws:sts::123456789012:assumed-role/{ROLE}/{{{{SessionName}}}}"
        assert Client(eks.cluster(), token())("GET", "/api/v1/namespaces")[0] == 200
        sandbox.configure()
        refused = Client(eks.cluster(), token())("GET", "/api/v1/namespaces")
        assert (refused[0], refused[1]["details"]["causes"][0]["message"]) == (401, f"{CALLER} has no access entry")

    def test_its_role_is_the_creator_of_one_without_entries(self, sandbox: Sandbox) -> None:
        eks = Eks(sandbox, caller=SESSION)
        eks.active(accessConfig={"authenticationMode": "CONFIG_MAP"})
        assert Client(eks.cluster(), token())("GET", "/api/v1/namespaces")[0] == 200
        sandbox.configure()
        assert Client(eks.cluster(), token())("GET", "/api/v1/namespaces")[0] == 401

    def test_an_entry_has_the_path(self, sandbox: Sandbox, refused: Any) -> None:
        """https://docs.aws.amazon.com/eks/latest/userguide/creating-access-entries.html"""
        eks = Eks(sandbox, caller=SESSION)
        bootstrap = {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": False}
        eks.active(accessConfig=bootstrap)
        for principal in (BARE, SESSION):
            entry = {"clusterName": "demo", "principalArn": principal}
            refused("InvalidParameterException", eks.client.create_access_entry, **entry)
        eks.call("create_access_entry", principalArn=WITH_PATH)
        scope = {"type": "cluster"}
        eks.call("associate_access_policy", principalArn=WITH_PATH, policyArn=ADMIN, accessScope=scope)
        assert Client(eks.cluster(), token())("GET", "/api/v1/namespaces")[0] == 200
