"""KMS, IAM, CloudWatch Logs, the tagging API, STS."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import REGION, Sandbox, until
from network import Network, tagged
from policies import for_logs

ACCOUNT = "123456789012"
OWNER = f"arn:aws:ec2:{REGION}:{ACCOUNT}"


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


ROOT = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "kms:*", "Resource": "*"}
SERVICE = {"Effect": "Allow", "Principal": {"Service": "logs.amazonaws.com"}, "Action": "kms:Encrypt*", "Resource": "*"}


def trust(service: str = "eks.amazonaws.com") -> str:
    return policy({"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"})


class TestKms:
    def key(self, kms: Any, **more: Any) -> str:
        return kms.create_key(**more)["KeyMetadata"]["KeyId"]

    def test_tags_and_aliases(self, sandbox: Sandbox, refused: Any) -> None:
        kms = sandbox.client("kms")
        key = self.key(kms, Tags=[{"TagKey": "a", "TagValue": "b"}])
        assert kms.list_resource_tags(KeyId=key)["Tags"] == [{"TagKey": "a", "TagValue": "b"}]
        kms.create_alias(AliasName="alias/one", TargetKeyId=key)
        refused("AlreadyExistsException", kms.create_alias, AliasName="alias/one", TargetKeyId=key)
        assert kms.describe_key(KeyId="alias/one")["KeyMetadata"]["KeyId"] == key
        other = self.key(kms)
        kms.update_alias(AliasName="alias/one", TargetKeyId=other)
        assert [alias["AliasName"] for alias in kms.list_aliases(KeyId=other)["Aliases"]] == ["alias/one"]
        kms.delete_alias(AliasName="alias/one")
        refused("NotFoundException", kms.describe_key, KeyId="alias/one")
        refused("NotFoundException", kms.describe_key, KeyId="00000000-0000-0000-0000-000000000000")

    def test_rotation(self, sandbox: Sandbox, refused: Any) -> None:
        kms = sandbox.client("kms")
        key = self.key(kms)
        assert kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"] is False
        kms.enable_key_rotation(KeyId=key)
        assert kms.get_key_rotation_status(KeyId=key)["RotationPeriodInDays"] == 365
        kms.enable_key_rotation(KeyId=key, RotationPeriodInDays=180)
        assert kms.get_key_rotation_status(KeyId=key)["RotationPeriodInDays"] == 180
        refused("ValidationException", kms.enable_key_rotation, KeyId=key, RotationPeriodInDays=30)

    def test_pending_deletion(self, sandbox: Sandbox, refused: Any) -> None:
        kms = sandbox.client("kms")
        key = self.key(kms)
        for days in (6, 31):
            refused("ValidationException", kms.schedule_key_deletion, KeyId=key, PendingWindowInDays=days)
        scheduled = kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
        assert (scheduled["KeyState"], scheduled["PendingWindowInDays"]) == ("PendingDeletion", 7)
        for call, params in (
            (kms.schedule_key_deletion, {}),
            (kms.enable_key_rotation, {}),
            (kms.encrypt, {"Plaintext": b"x"}),
            (kms.generate_data_key, {"KeySpec": "AES_256"}),
            (kms.put_key_policy, {"PolicyName": "default", "Policy": policy(ROOT)}),
            (kms.tag_resource, {"Tags": [{"TagKey": "a", "TagValue": "b"}]}),
        ):
            refused("KMSInvalidStateException", call, 400, KeyId=key, **params)
        assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion"
        kms.cancel_key_deletion(KeyId=key)
        assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Disabled"
        kms.enable_key(KeyId=key)
        kms.encrypt(KeyId=key, Plaintext=b"x")

    def test_policies(self, sandbox: Sandbox, refused: Any) -> None:
        kms = sandbox.client("kms")
        key = self.key(kms, Policy=policy(ROOT, SERVICE))
        assert json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])["Statement"][1] == SERVICE
        for bad in (
            "{",
            policy({"Effect": "Allow", "Action": "kms:*", "Resource": "*"}),
            policy({**ROOT, "Principal": {"AWS": "unknown"}}),
            policy({**ROOT, "Effect": "Maybe"}),
            policy(SERVICE),
        ):
            refused("MalformedPolicyDocumentException", kms.create_key, 400, Policy=bad)
            refused("MalformedPolicyDocumentException", kms.put_key_policy, KeyId=key, PolicyName="default", Policy=bad)
        kms.create_key(Policy=policy(SERVICE), BypassPolicyLockoutSafetyCheck=True)

    def test_pages(self, sandbox: Sandbox) -> None:
        kms = sandbox.client("kms")
        keys = {self.key(kms) for _ in range(5)}
        first = kms.list_keys(Limit=3)
        second = kms.list_keys(Limit=3, Marker=first["NextMarker"])
        assert (first["Truncated"], second["Truncated"]) == (True, False)
        assert {key["KeyId"] for page in (first, second) for key in page["Keys"]} == keys


class TestIam:
    def test_role(self, sandbox: Sandbox, refused: Any) -> None:
        iam = sandbox.client("iam")
        tags = [{"Key": "a", "Value": "b"}]
        iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust(), Tags=tags)
        refused("EntityAlreadyExists", iam.create_role, 409, RoleName="r", AssumeRolePolicyDocument=trust())
        assert iam.get_role(RoleName="r")["Role"]["Tags"] == tags
        assert iam.list_role_tags(RoleName="r")["Tags"] == tags
        arn = "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"
        iam.attach_role_policy(RoleName="r", PolicyArn=arn)
        refused("DeleteConflict", iam.delete_role, 409, RoleName="r")
        iam.detach_role_policy(RoleName="r", PolicyArn=arn)
        iam.put_role_policy(
            RoleName="r", PolicyName="p", PolicyDocument=policy({"Effect": "Allow", "Action": "s3:*", "Resource": "*"})
        )
        refused("DeleteConflict", iam.delete_role, 409, RoleName="r")
        iam.delete_role_policy(RoleName="r", PolicyName="p")
        iam.delete_role(RoleName="r")
        refused("NoSuchEntity", iam.get_role, 404, RoleName="r")

    @pytest.mark.parametrize(
        "document",
        [
            "{",
            "{}",
            policy({"Effect": "Allow", "Action": "sts:AssumeRole"}),
            policy({"Effect": "Allow", "Principal": {"AWS": "unknown"}, "Action": "sts:AssumeRole"}),
            policy({"Effect": "Allow", "Principal": {"Unknown": "x"}, "Action": "sts:AssumeRole"}),
            policy({"Effect": "Allow", "Principal": {"Service": "x"}, "Action": "sts:AssumeRole", "Extra": 1}),
        ],
    )
    def test_malformed_trust(self, sandbox: Sandbox, refused: Any, document: str) -> None:
        iam = sandbox.client("iam")
        refused("MalformedPolicyDocument", iam.create_role, 400, RoleName="r", AssumeRolePolicyDocument=document)
        iam.create_role(RoleName="good", AssumeRolePolicyDocument=trust("some-new-service.amazonaws.com"))
        refused("MalformedPolicyDocument", iam.update_assume_role_policy, RoleName="good", PolicyDocument=document)

    def test_federated_trust(self, sandbox: Sandbox) -> None:
        provider = f"arn:aws:iam::{ACCOUNT}:oidc-provider/oidc.eks.{REGION}.amazonaws.com/id/ABC"
        document = policy(
            {
                "Effect": "Allow",
                "Principal": {"Federated": provider},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {"StringEquals": {f"oidc.eks.{REGION}.amazonaws.com/id/ABC:aud": "sts.amazonaws.com"}},
            }
        )
        sandbox.client("iam").create_role(RoleName="irsa", AssumeRolePolicyDocument=document)

    def test_quotas(self, sandbox: Sandbox, refused: Any) -> None:
        iam = sandbox.client("iam")
        iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust())
        statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
        arns = [
            iam.create_policy(PolicyName=f"p{n}", PolicyDocument=policy(statement))["Policy"]["Arn"] for n in range(11)
        ]
        for arn in arns[:10]:
            iam.attach_role_policy(RoleName="r", PolicyArn=arn)
        refused("LimitExceeded", iam.attach_role_policy, 409, RoleName="r", PolicyArn=arns[10])
        refused("DeleteConflict", iam.delete_policy, 409, PolicyArn=arns[0])
        iam.delete_policy(PolicyArn=arns[10])
        long = policy({**statement, "Resource": ["arn:aws:s3:::" + "b" * 60 + str(n) for n in range(200)]})
        refused("LimitExceeded", iam.put_role_policy, 409, RoleName="r", PolicyName="p", PolicyDocument=long)

    def test_missing_provider(self, sandbox: Sandbox, refused: Any) -> None:
        iam = sandbox.client("iam")
        arn = f"arn:aws:iam::{ACCOUNT}:oidc-provider/none.example.com"
        refused("NoSuchEntity", iam.delete_open_id_connect_provider, 404, OpenIDConnectProviderArn=arn)


class TestLogs:
    def test_group(self, sandbox: Sandbox, refused: Any) -> None:
        logs = sandbox.client("logs")
        made = sandbox.client("kms").create_key(Policy=policy(ROOT, for_logs(REGION)))
        key = made["KeyMetadata"]["Arn"]
        logs.create_log_group(logGroupName="/aws/eks/a/cluster", kmsKeyId=key, tags={"a": "b"})
        refused("ResourceAlreadyExistsException", logs.create_log_group, logGroupName="/aws/eks/a/cluster")
        logs.put_retention_policy(logGroupName="/aws/eks/a/cluster", retentionInDays=30)
        (group,) = logs.describe_log_groups(logGroupNamePrefix="/aws/eks/a")["logGroups"]
        assert (group["kmsKeyId"], group["retentionInDays"]) == (key, 30)
        arn = group["logGroupArn"]
        assert arn + ":*" == group["arn"]
        assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"a": "b"}
        refused("InvalidParameterException", logs.list_tags_for_resource, resourceArn=group["arn"])
        logs.tag_resource(resourceArn=arn, tags={"c": "d"})
        logs.untag_resource(resourceArn=arn, tagKeys=["a"])
        assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"c": "d"}
        logs.disassociate_kms_key(logGroupName="/aws/eks/a/cluster")
        assert "kmsKeyId" not in logs.describe_log_groups()["logGroups"][0]
        logs.associate_kms_key(logGroupName="/aws/eks/a/cluster", kmsKeyId=key)
        assert logs.describe_log_groups()["logGroups"][0]["kmsKeyId"] == key
        logs.delete_log_group(logGroupName="/aws/eks/a/cluster")
        refused("ResourceNotFoundException", logs.list_tags_for_resource, resourceArn=arn)

    def test_pages_by_prefix(self, sandbox: Sandbox) -> None:
        logs = sandbox.client("logs")
        for name in ("/a/1", "/a/2", "/a/3", "/b/1"):
            logs.create_log_group(logGroupName=name)
        first = logs.describe_log_groups(logGroupNamePrefix="/a", limit=2)
        second = logs.describe_log_groups(logGroupNamePrefix="/a", limit=2, nextToken=first["nextToken"])
        assert [group["logGroupName"] for page in (first, second) for group in page["logGroups"]] == [
            "/a/1",
            "/a/2",
            "/a/3",
        ]
        assert "nextToken" not in second


class TestTagging:
    FILTER = [{"Key": "provisioner:stack", "Values": ["demo"]}]

    def everything(self, sandbox: Sandbox) -> dict[str, list[str]]:
        """One tagged resource of each kind; by service, the ARNs that must be listed."""
        ec2 = sandbox.client("ec2")
        network = Network(ec2, zones="a")
        network.dns_on()
        gateway, address, table, group = (
            network.internet_gateway(),
            network.address(),
            network.route_table(),
            network.group(),
        )
        nat = network.nat_gateway(address)
        permission = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
        rule = ec2.authorize_security_group_ingress(
            GroupId=group, IpPermissions=[permission], TagSpecifications=tagged("security-group-rule")
        )["SecurityGroupRules"][0]["SecurityGroupRuleId"]
        endpoint = network.interface_endpoint([group], SubnetIds=network.subnets)
        flow_log = ec2.create_flow_logs(
            ResourceIds=[network.vpc],
            ResourceType="VPC",
            TrafficType="ALL",
            LogGroupName="/flow",
            DeliverLogsPermissionArn=f"arn:aws:iam::{ACCOUNT}:role/flow",
            TagSpecifications=tagged("vpc-flow-log"),
        )["FlowLogIds"][0]
        tag = {"Key": "provisioner:stack", "Value": "demo"}
        key = sandbox.client("kms").create_key(Tags=[{"TagKey": tag["Key"], "TagValue": tag["Value"]}])
        sandbox.client("logs").create_log_group(logGroupName="/flow", tags={tag["Key"]: tag["Value"]})
        s3 = sandbox.client("s3")
        s3.create_bucket(
            Bucket="tagged-bucket", CreateBucketConfiguration={"LocationConstraint": REGION, "Tags": [tag]}
        )
        sandbox.client("dynamodb").create_table(
            TableName="tagged",
            KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            Tags=[tag],
        )
        sandbox.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=trust(), Tags=[tag])
        return {
            "ec2": [
                f"{OWNER}:vpc/{network.vpc}",
                f"{OWNER}:subnet/{network.subnets[0]}",
                f"{OWNER}:internet-gateway/{gateway}",
                f"{OWNER}:elastic-ip/{address}",
                f"{OWNER}:natgateway/{nat}",
                f"{OWNER}:route-table/{table}",
                f"{OWNER}:security-group/{group}",
                f"{OWNER}:security-group-rule/{rule}",
                f"{OWNER}:vpc-endpoint/{endpoint}",
                f"{OWNER}:vpc-flow-log/{flow_log}",
            ],
            "kms": [key["KeyMetadata"]["Arn"]],
            "logs": [f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/flow"],
            "s3": ["arn:aws:s3:::tagged-bucket"],
            "dynamodb": [f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/tagged"],
        }

    def arns(self, answer: dict[str, Any]) -> list[str]:
        return [item["ResourceARN"] for item in answer["ResourceTagMappingList"]]

    def test_all_kinds(self, sandbox: Sandbox) -> None:
        expected = self.everything(sandbox)
        tagging = sandbox.client("resourcegroupstaggingapi")
        found = tagging.get_resources(TagFilters=self.FILTER)
        assert sorted(self.arns(found)) == sorted(arn for arns in expected.values() for arn in arns)
        tag = {"Key": "provisioner:stack", "Value": "demo"}
        assert all(tag in item["Tags"] for item in found["ResourceTagMappingList"])
        for kind, count in (
            ("ec2", 10),
            ("ec2:vpc", 1),
            ("ec2:natgateway", 1),
            ("kms:key", 1),
            ("s3", 1),
            ("logs:log-group", 1),
            ("dynamodb:table", 1),
        ):
            assert len(self.arns(tagging.get_resources(TagFilters=self.FILTER, ResourceTypeFilters=[kind]))) == count
        assert self.arns(tagging.get_resources(TagFilters=[{"Key": "provisioner:stack", "Values": ["x"]}])) == []
        assert len(self.arns(tagging.get_resources(TagFilters=[{"Key": "provisioner:stack"}]))) == 14
        assert tagging.get_tag_values(Key="provisioner:stack")["TagValues"] == ["demo"]
        elsewhere = sandbox.client("resourcegroupstaggingapi", "us-west-2")
        assert self.arns(elsewhere.get_resources(TagFilters=self.FILTER)) == []

    def test_pages(self, sandbox: Sandbox) -> None:
        self.everything(sandbox)
        tagging = sandbox.client("resourcegroupstaggingapi")
        seen: list[str] = []
        token = ""
        while True:
            page = tagging.get_resources(TagFilters=self.FILTER, ResourcesPerPage=4, PaginationToken=token)
            seen += self.arns(page)
            token = page["PaginationToken"]
            if not token:
                break
        assert len(seen) == len(set(seen)) == 14

    def test_what_is_gone_is_not_listed(self, sandbox: Sandbox) -> None:
        ec2 = sandbox.client("ec2")
        network = Network(ec2, zones="a")
        group, table, gateway = network.group(), network.route_table(), network.internet_gateway()
        ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=network.vpc)
        ec2.delete_internet_gateway(InternetGatewayId=gateway)
        ec2.delete_security_group(GroupId=group)
        ec2.delete_route_table(RouteTableId=table)
        ec2.delete_subnet(SubnetId=network.subnets[0])
        ec2.delete_vpc(VpcId=network.vpc)
        tagging = sandbox.client("resourcegroupstaggingapi")
        assert until(lambda: self.arns(tagging.get_resources()) == [])


def test_identity_is_the_same_for_any_credentials(sandbox: Sandbox) -> None:
    for region in (REGION, "ap-southeast-2", "us-east-1"):
        identity = sandbox.client("sts", region).get_caller_identity()
        assert identity["Account"] == ACCOUNT
        assert identity["Arn"].startswith(f"arn:aws:iam::{ACCOUNT}:") or identity["Arn"].startswith("arn:aws:sts::")
