"""What the caller may do: `callerPolicy` of the configuration."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import REGION, Sandbox
from eks import Eks, trust
from network import Network, tagged
from policies import CALLER, allow, deny, policy


def arn(service: str, rest: str, account: str = "123456789012") -> str:
    return f"arn:aws:{service}:{REGION}:{account}:{rest}"


BUCKET = '"arn:aws:s3:::bucket"'
IN_BUCKET = {"Bucket": "bucket"}
VERSION = {"Bucket": "bucket", "Key": "k", "VersionId": "1"}
CODES = {
    "ec2": ("UnauthorizedOperation", 403),
    "eks": ("AccessDeniedException", 403),
    **dict.fromkeys(("autoscaling", "elbv2", "iam", "s3"), ("AccessDenied", 403)),
}
JSON_CODE = ("AccessDeniedException", 400)


@pytest.mark.parametrize(
    ("service", "operation", "params", "action", "resource"),
    [
        ("ec2", "describe_vpcs", {}, "ec2:DescribeVpcs", None),
        ("ec2", "create_vpc", {"CidrBlock": "10.0.0.0/16"}, "ec2:CreateVpc", None),
        ("iam", "get_role", {"RoleName": "r"}, "iam:GetRole", "arn:aws:iam::123456789012:role/r"),
        ("autoscaling", "describe_auto_scaling_groups", {}, "autoscaling:DescribeAutoScalingGroups", "*"),
        ("elbv2", "describe_load_balancers", {}, "elasticloadbalancing:DescribeLoadBalancers", "*"),
        ("eks", "describe_cluster", {"name": "demo"}, "eks:DescribeCluster", arn("eks", "cluster/demo")),
        (
            "eks",
            "start_insights_refresh",
            {"clusterName": "demo"},
            "eks:StartInsightsRefresh",
            arn("eks", "cluster/demo"),
        ),
        (
            "eks",
            "cancel_update",
            {"name": "demo", "updateId": "u"},
            "eks:CancelUpdate",
            arn("eks", "cluster/demo"),
        ),
        ("ecr", "get_authorization_token", {}, "ecr:GetAuthorizationToken", "*"),
        ("ecr", "list_images", {"repositoryName": "a/b"}, "ecr:ListImages", arn("ecr", "repository/a/b")),
        ("dynamodb", "describe_table", {"TableName": "t"}, "dynamodb:DescribeTable", arn("dynamodb", "table/t")),
        ("kms", "create_key", {}, "kms:CreateKey", "*"),
        ("kms", "describe_key", {"KeyId": "k"}, "kms:DescribeKey", arn("kms", "key/k")),
        ("logs", "create_log_group", {"logGroupName": "/g"}, "logs:CreateLogGroup", "*"),
        ("ssm", "get_parameter", {"Name": "/a/b"}, "ssm:GetParameter", arn("ssm", "parameter/a/b")),
        (
            "ssm",
            "get_parameter",
            {"Name": "/aws/service/a"},
            "ssm:GetParameter",
            arn("ssm", "parameter/aws/service/a", ""),
        ),
        ("service-quotas", "list_service_quotas", {"ServiceCode": "vpc"}, "servicequotas:ListServiceQuotas", "*"),
        ("resourcegroupstaggingapi", "get_resources", {}, "tag:GetResources", "*"),
        ("s3", "list_objects_v2", IN_BUCKET, "s3:ListBucket", BUCKET),
        ("s3", "get_bucket_encryption", IN_BUCKET, "s3:GetEncryptionConfiguration", BUCKET),
        ("s3", "get_public_access_block", IN_BUCKET, "s3:GetBucketPublicAccessBlock", BUCKET),
        ("s3", "get_bucket_ownership_controls", IN_BUCKET, "s3:GetBucketOwnershipControls", BUCKET),
        ("s3", "list_buckets", {}, "s3:ListAllMyBuckets", '"*"'),
        ("s3", "get_object", VERSION, "s3:GetObjectVersion", '"arn:aws:s3:::bucket/k"'),
    ],
)
def test_denials(
    sandbox: Sandbox, refused: Any, service: str, operation: str, params: dict, action: str, resource: str | None
) -> None:
    call = getattr(sandbox.client(service), operation)
    code, status = CODES.get(service, JSON_CODE)
    sandbox.configure(callerPolicy=[])
    message = refused(code, call, status, **params).response["Error"]["Message"]
    on = f" on resource: {resource}" if resource else ""
    start = "You are not authorized to perform this operation. " if service == "ec2" else ""
    start += f"User: {CALLER} is not authorized to perform: {action}{on} "
    assert message == f"{start}because no identity-based policy allows the {action} action"
    assert sandbox.log()[-1]["status"] == status
    sandbox.configure(callerPolicy=policy(deny("*")))
    message = refused(code, call, status, **params).response["Error"]["Message"]
    assert message == f"{start}with an explicit deny in an identity-based policy"


class TestCallerPolicy:
    def test_what_it_allows_is_done(self, sandbox: Sandbox, ec2: Any, refused: Any) -> None:
        sandbox.configure(callerPolicy=policy(allow("ec2:Describe*", "ec2:CreateVpc")))
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        refused("UnauthorizedOperation", ec2.delete_vpc, 403, VpcId=vpc)
        assert vpc in [one["VpcId"] for one in ec2.describe_vpcs()["Vpcs"]]
        sandbox.configure()
        ec2.delete_vpc(VpcId=vpc)

    def test_identity_and_nothing_else_is_always_told(self, sandbox: Sandbox, refused: Any) -> None:
        sandbox.configure(callerPolicy=policy(deny("*")))
        sts = sandbox.client("sts")
        assert sts.get_caller_identity()["Arn"] == CALLER
        role = "arn:aws:iam::123456789012:role/r"
        refused("AccessDenied", sts.assume_role, 403, RoleArn=role, RoleSessionName="session")

    def test_it_comes_before_parameters_dry_runs_and_effects(self, sandbox: Sandbox, ec2: Any, refused: Any) -> None:
        sandbox.configure(callerPolicy=policy(allow("ec2:DescribeVpcs")))
        refused("UnauthorizedOperation", ec2.create_vpc, 403, CidrBlock="10.0.0.0/16", DryRun=True)
        refused("UnauthorizedOperation", ec2.create_subnet, 403, CidrBlock="10.0.0.0/24")
        refused("DryRunOperation", ec2.describe_vpcs, 412, DryRun=True)

    def test_tags_on_something_new_take_a_permission_of_their_own(
        self, sandbox: Sandbox, ec2: Any, refused: Any
    ) -> None:
        iam = sandbox.client("iam")
        sandbox.configure(callerPolicy=policy(allow("ec2:CreateVpc", "iam:CreateRole")))
        wanted = {"CidrBlock": "10.0.0.0/16", "TagSpecifications": tagged("vpc")}
        error = refused("UnauthorizedOperation", ec2.create_vpc, 403, **wanted)
        assert "ec2:CreateTags" in error.response["Error"]["Message"]
        role = {"RoleName": "r", "AssumeRolePolicyDocument": trust("eks.amazonaws.com")}
        error = refused("AccessDenied", iam.create_role, 403, Tags=[{"Key": "a", "Value": "b"}], **role)
        assert "iam:TagRole on resource: arn:aws:iam::123456789012:role/r" in error.response["Error"]["Message"]
        iam.create_role(**role)
        only = {"StringEquals": {"ec2:CreateAction": "CreateVpc"}}
        sandbox.configure(callerPolicy=policy(allow("ec2:CreateVpc"), allow("ec2:CreateTags", Condition=only)))
        vpc = ec2.create_vpc(**wanted)["Vpc"]["VpcId"]
        refused("UnauthorizedOperation", ec2.create_tags, 403, Resources=[vpc], Tags=[{"Key": "a", "Value": "b"}])

    def test_tags_of_request_and_resource(self, sandbox: Sandbox, ec2: Any, refused: Any) -> None:
        mine = Network(ec2, "10.1.0.0/16", "").vpc
        other = ec2.create_vpc(CidrBlock="10.2.0.0/16")["Vpc"]["VpcId"]
        sandbox.configure(
            callerPolicy=policy(
                allow("ec2:DeleteVpc", Condition={"StringEquals": {"aws:ResourceTag/provisioner:stack": "demo"}}),
                allow("ec2:CreateVpc", Condition={"StringEquals": {"aws:RequestTag/provisioner:stack": "demo"}}),
                allow("ec2:CreateTags", Condition={"ForAnyValue:StringEquals": {"aws:TagKeys": "provisioner:stack"}}),
            )
        )
        refused("UnauthorizedOperation", ec2.delete_vpc, 403, VpcId=other)
        ec2.delete_vpc(VpcId=mine)
        refused("UnauthorizedOperation", ec2.create_vpc, 403, CidrBlock="10.3.0.0/16")
        ec2.create_vpc(CidrBlock="10.3.0.0/16", TagSpecifications=tagged("vpc"))

    def test_known_resources_have_to_fit(self, sandbox: Sandbox, refused: Any) -> None:
        s3, iam, ecr = sandbox.client("s3"), sandbox.client("iam"), sandbox.client("ecr")
        for bucket in ("mine-bucket", "other-bucket"):
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        for path in ("/mine/", "/other/"):
            name = path.strip("/")
            iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=trust("eks.amazonaws.com"))
        sandbox.configure(
            callerPolicy=policy(
                allow("s3:*", resource=["arn:aws:s3:::mine-*"]),
                allow("iam:*", resource="arn:aws:iam::*:role/mine/*"),
                allow("ecr:*", resource=f"arn:aws:ecr:{REGION}:*:repository/mine/*"),
            )
        )
        s3.put_object(Bucket="mine-bucket", Key="k", Body=b"")
        refused("AccessDenied", s3.put_object, 403, Bucket="other-bucket", Key="k", Body=b"")
        wanted = {"Objects": [{"Key": "k"}]}
        s3.delete_objects(Bucket="mine-bucket", Delete=wanted)
        refused("AccessDenied", s3.delete_objects, 403, Bucket="other-bucket", Delete=wanted)
        iam.get_role(RoleName="mine")
        refused("AccessDenied", iam.get_role, 403, RoleName="other")
        ecr.create_repository(repositoryName="mine/a")
        refused("AccessDeniedException", ecr.create_repository, 400, repositoryName="other/a")
        refused("AccessDeniedException", ecr.get_authorization_token, 400)

    def test_versions_are_deleted_by_an_action_of_their_own(self, sandbox: Sandbox, refused: Any) -> None:
        s3 = sandbox.client("s3")
        s3.create_bucket(Bucket="versions", CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
        version = s3.put_object(Bucket="versions", Key="k", Body=b"")["VersionId"]
        sandbox.configure(callerPolicy=policy(allow("s3:DeleteObjectVersion")))
        refused("AccessDenied", s3.delete_objects, 403, Bucket="versions", Delete={"Objects": [{"Key": "k"}]})
        refused("AccessDenied", s3.delete_object, 403, Bucket="versions", Key="k")
        s3.delete_objects(Bucket="versions", Delete={"Objects": [{"Key": "k", "VersionId": version}]})

    def test_unknown_resources_fit(self, sandbox: Sandbox, ec2: Any, refused: Any) -> None:
        sandbox.configure(
            callerPolicy=policy(
                allow("ec2:*", resource=f"arn:aws:ec2:{REGION}:123456789012:vpc/*"),
                deny("ec2:*", resource=f"arn:aws:ec2:{REGION}:123456789012:vpc/vpc-1"),
            )
        )
        ec2.create_vpc(CidrBlock="10.0.0.0/16")
        refused("UnauthorizedOperation", ec2.describe_vpcs, 403)  # knows no resources, and needs "*"

    def test_eks_knows_its_parts(self, sandbox: Sandbox, refused: Any) -> None:
        eks = Eks.again(sandbox)
        eks.active()
        role = eks.role("nodes", "ec2.amazonaws.com")
        wanted = {"clusterName": eks.name, "subnets": eks.subnets, "nodeRole": role}
        start = f"arn:aws:eks:{REGION}:123456789012"
        sandbox.configure(
            callerPolicy=policy(
                allow("eks:CreateNodegroup", resource=f"{start}:cluster/{eks.name}"),
                allow("eks:DescribeNodegroup", resource=f"{start}:nodegroup/{eks.name}/one/*"),
                allow("eks:TagResource", resource=f"{start}:nodegroup/*"),
            )
        )
        for name in ("one", "two"):
            eks.client.create_nodegroup(nodegroupName=name, tags={"a": "b"}, **wanted)
        describe = eks.client.describe_nodegroup
        describe(clusterName=eks.name, nodegroupName="one")
        refused("AccessDeniedException", describe, 403, clusterName=eks.name, nodegroupName="two")

    def test_a_transaction_takes_what_its_parts_take(self, sandbox: Sandbox, refused: Any) -> None:
        sandbox.configure(callerPolicy=policy(allow("dynamodb:PutItem")))
        transact = sandbox.client("dynamodb").transact_write_items
        key = {"k": {"S": "1"}}
        put, delete = {"Put": {"TableName": "t", "Item": key}}, {"Delete": {"TableName": "t", "Key": key}}
        error = refused("AccessDeniedException", transact, 400, TransactItems=[put, delete])
        assert "dynamodb:DeleteItem" in error.response["Error"]["Message"]
        refused("ResourceNotFoundException", transact, 400, TransactItems=[put])

    def test_faults_come_first_and_reset_forgets(self, sandbox: Sandbox, ec2: Any, refused: Any) -> None:
        sandbox.configure(callerPolicy=[], faults=[{"on": "ec2:*", "kind": "throttle", "times": 1}])
        refused("RequestLimitExceeded", ec2.describe_vpcs, 503)
        refused("UnauthorizedOperation", ec2.describe_vpcs, 403)
        sandbox.ext("POST", "reset")
        ec2.describe_vpcs()

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ("*", "callerPolicy"),
            ({}, "Statement"),
            ([policy(allow("*")), policy({"Effect": "Allow"})], "Action"),
            (policy({**allow("*"), "Principal": "*"}), "principal"),
            (policy(allow("*", Condition={"Equals": {"a": "b"}})), "Condition"),
        ],
    )
    def test_bad_configuration(self, sandbox: Sandbox, given: Any, words: str) -> None:
        status, answer = sandbox.ext("POST", "config", {"callerPolicy": given})
        assert status == 400
        assert words in answer["message"]
