"""EKS clusters: what is refused, how they come and go, what they make in the account."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from conftest import Sandbox
from cryptography import x509
from eks import TAGS, Eks, trust
from network import Network

ACCOUNT = "123456789012"
KEY = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/"


@pytest.fixture
def eks(sandbox: Sandbox) -> Eks:
    return Eks.again(sandbox)


class TestRefusals:
    @pytest.mark.parametrize(
        ("wrong", "words"),
        [
            ({"name": "-demo"}, "name"),
            ({"name": "de mo"}, "name"),
            ({"name": "d" * 101}, "name"),
            ({"version": "1.99"}, "unsupported Kubernetes version 1.99"),
            ({"version": "1.15"}, "unsupported Kubernetes version 1.15"),
            ({"network": {"endpointPublicAccess": False}}, "Private and public endpoint access cannot be false"),
            ({"network": {"publicAccessCidrs": ["10.0.0.0/8"]}}, "not allowed in publicAccessCidrs: [10.0.0.0/8]"),
            ({"network": {"publicAccessCidrs": ["1.2.3.4/8"]}}, "invalid in publicAccessCidrs: [1.2.3.4/8]"),
            ({"network": {"publicAccessCidrs": [f"1.2.3.{n}/32" for n in range(41)]}}, "40"),
            ({"network": {"securityGroupIds": ["sg-0123456789abcdef0"]}}, "sg-0123456789abcdef0"),
            ({"network": {"subnetIds": []}}, "at least two different AZs"),
            ({"roleArn": f"arn:aws:iam::{ACCOUNT}:role/none"}, "role with name none cannot be found"),
            ({"kubernetesNetworkConfig": {"serviceIpv4Cidr": "10.0.0.0/16"}}, "overlaps"),
            ({"kubernetesNetworkConfig": {"serviceIpv4Cidr": "8.0.0.0/16"}}, "8.0.0.0/16"),
            ({"kubernetesNetworkConfig": {"serviceIpv4Cidr": "10.9.0.0/25"}}, "10.9.0.0/25"),
            ({"kubernetesNetworkConfig": {"serviceIpv4Cidr": "nonsense"}}, "nonsense"),
            ({"accessConfig": {"authenticationMode": "NONE"}}, "authenticationMode"),
            ({"logging": {"clusterLogging": [{"types": ["kubelet"], "enabled": True}]}}, "kubelet"),
            (
                {"encryptionConfig": [{"resources": ["secrets"], "provider": {"keyArn": f"{KEY}none"}}]},
                f"KMS key {KEY}none is invalid",
            ),
        ],
    )
    def test_invalid(self, eks: Eks, refused: Any, wrong: dict[str, Any], words: str) -> None:
        error = refused("InvalidParameterException", eks.create, 400, **wrong)
        assert words in error.response["Error"]["Message"]
        assert eks.client.list_clusters()["clusters"] == []

    def test_two_zones(self, eks: Eks, refused: Any) -> None:
        made = eks.ec2.create_subnet(
            VpcId=eks.network.vpc, CidrBlock="10.0.9.0/24", AvailabilityZone="eu-central-1a"
        )
        pair = [eks.subnets[0], made["Subnet"]["SubnetId"]]
        for subnets in (eks.subnets[:1], pair):
            error = refused("InvalidParameterException", eks.create, network={"subnetIds": subnets})
            assert "Subnets specified must be in at least two different AZs" in str(error)

    def test_one_network(self, eks: Eks, refused: Any) -> None:
        other = Network(eks.ec2, "10.1.0.0/16")
        mixed = [eks.subnets[0], other.subnets[1]]
        refused("InvalidParameterException", eks.create, network={"subnetIds": mixed})
        refused("InvalidParameterException", eks.create, network={"securityGroupIds": [other.group()]})
        missing = [*eks.subnets[:2], "subnet-0123456789abcdef0"]
        error = refused("InvalidParameterException", eks.create, network={"subnetIds": missing})
        assert "The subnet ID 'subnet-0123456789abcdef0' does not exist" in str(error)

    def test_what_the_role_must_be(self, eks: Eks, refused: Any) -> None:
        stranger = eks.role("stranger", "ec2.amazonaws.com", policies=["AmazonEKSClusterPolicy"])
        error = refused("InvalidParameterException", eks.create, roleArn=stranger)
        assert f"Role with arn: {stranger}, could not be assumed" in str(error)
        bare = eks.role("bare", "eks.amazonaws.com")
        error = refused("InvalidParameterException", eks.create, roleArn=bare)
        assert "The provided role doesn't have the Amazon EKS Managed Policies associated with it" in str(error)

    def test_what_is_missing(self, eks: Eks, refused: Any) -> None:
        for member in ("name", "roleArn", "resourcesVpcConfig"):
            wanted = eks.wanted()
            wanted.pop(member)
            refused("InvalidParameterException", eks.client.create_cluster, 400, **wanted)

    def test_not_there(self, eks: Eks, refused: Any) -> None:
        client = eks.client
        for call in (client.describe_cluster, client.delete_cluster, client.list_updates):
            error = refused("ResourceNotFoundException", call, 404, name="none")
            assert error.response["Error"]["Message"] == "No cluster found for name: none."
        for call in (client.list_nodegroups, client.list_addons, client.list_access_entries):
            refused("ResourceNotFoundException", call, 404, clusterName="none")

    def test_the_name_is_taken(self, eks: Eks, refused: Any) -> None:
        eks.create()
        error = refused("ResourceInUseException", eks.create, 409)
        assert error.response["Error"]["Message"] == "Cluster already exists with name: demo"

    def test_a_disabled_key(self, eks: Eks, refused: Any) -> None:
        kms = eks.sandbox.client("kms")
        key = kms.create_key()["KeyMetadata"]
        encryption = [{"resources": ["secrets"], "provider": {"keyArn": key["Arn"]}}]
        kms.disable_key(KeyId=key["KeyId"])
        refused("InvalidParameterException", eks.create, encryptionConfig=encryption)
        kms.enable_key(KeyId=key["KeyId"])
        assert eks.create(encryptionConfig=encryption)["encryptionConfig"] == encryption


class TestLife:
    def test_takes_its_time(self, eks: Eks) -> None:
        made = eks.create(tags=TAGS)
        assert (made["status"], made["arn"]) == ("CREATING", f"arn:aws:eks:eu-central-1:{ACCOUNT}:cluster/demo")
        assert made["version"] == "1.35"
        assert made["resourcesVpcConfig"]["vpcId"] == eks.network.vpc
        for member in ("endpoint", "identity"):
            assert member not in eks.cluster()
        assert (eks.cluster()["status"], eks.cluster()["certificateAuthority"]) == ("CREATING", {})
        there = eks.has("ACTIVE", eks.cluster)
        assert there["endpoint"].startswith("https://")
        assert there["endpoint"].startswith("https://127.0.0.1:")
        assert eks.client.list_clusters()["clusters"] == ["demo"]
        assert eks.client.delete_cluster(name="demo")["cluster"]["status"] == "DELETING"
        assert eks.cluster()["status"] == "DELETING"
        eks.gone(eks.cluster)
        assert eks.client.list_clusters()["clusters"] == []

    def test_at_the_pace_of_the_time_scale(self, eks: Eks) -> None:
        eks.create()
        eks.sandbox.configure(timeScale=500)
        assert eks.cluster()["status"] == "CREATING"  # 540 seconds of AWS are 1.08 of these
        eks.has("ACTIVE", eks.cluster)

    def test_what_is_not_said(self, eks: Eks) -> None:
        made = eks.create()
        network = made["resourcesVpcConfig"]
        assert (network["endpointPublicAccess"], network["endpointPrivateAccess"]) == (True, False)
        assert (network["publicAccessCidrs"], network["securityGroupIds"]) == (["0.0.0.0/0"], [])
        assert made["kubernetesNetworkConfig"]["serviceIpv4Cidr"] == "172.20.0.0/16"
        assert made["accessConfig"] == {"authenticationMode": "CONFIG_MAP"}
        assert made["upgradePolicy"] == {"supportType": "EXTENDED"}
        assert made["deletionProtection"] is False
        (off,) = made["logging"]["clusterLogging"]
        assert (off["enabled"], len(off["types"])) == (False, 5)

    def test_what_is_said(self, eks: Eks) -> None:
        group = eks.network.group()
        network = {
            "securityGroupIds": [group],
            "endpointPrivateAccess": True,
            "publicAccessCidrs": ["203.0.113.0/24"],
        }
        made = eks.active(
            network=network,
            version="1.34",
            logging={"clusterLogging": [{"types": ["audit", "api"], "enabled": True}]},
            accessConfig={"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": False},
            kubernetesNetworkConfig={"serviceIpv4Cidr": "192.168.0.0/16"},
            upgradePolicy={"supportType": "STANDARD"},
        )
        assert network.items() <= made["resourcesVpcConfig"].items()
        assert (made["version"], made["platformVersion"]) == ("1.34", "eks.19")
        on, off = made["logging"]["clusterLogging"]
        assert (on["types"], on["enabled"]) == (["api", "audit"], True)
        assert (off["types"], off["enabled"]) == (["authenticator", "controllerManager", "scheduler"], False)
        assert made["kubernetesNetworkConfig"]["serviceIpv4Cidr"] == "192.168.0.0/16"
        assert made["accessConfig"] == {"authenticationMode": "API"}
        assert made["upgradePolicy"] == {"supportType": "STANDARD"}

    def test_a_service_block_beside_the_network(self, eks: Eks) -> None:
        other = Network(eks.ec2, "172.16.0.0/16")
        made = eks.create(network={"subnetIds": other.subnets[:2]})
        assert made["kubernetesNetworkConfig"]["serviceIpv4Cidr"] == "10.100.0.0/16"

    def test_one_token_one_cluster(self, eks: Eks, refused: Any) -> None:
        first = eks.create(clientRequestToken="once")
        assert eks.create(clientRequestToken="once")["createdAt"] == first["createdAt"]
        refused("InvalidParameterException", eks.create, clientRequestToken="once", version="1.34")
        refused("ResourceInUseException", eks.create, clientRequestToken="twice")

    def test_pages(self, eks: Eks) -> None:
        names = [f"c{n}" for n in range(5)]
        for name in reversed(names):
            eks.create(name=name)
        pages = list(eks.client.get_paginator("list_clusters").paginate(PaginationConfig={"PageSize": 2}))
        assert [page["clusters"] for page in pages] == [names[:2], names[2:4], names[4:]]

    def test_in_its_region(self, eks: Eks, refused: Any) -> None:
        eks.create()
        elsewhere = eks.sandbox.client("eks", "us-east-1")
        assert elsewhere.list_clusters()["clusters"] == []
        refused("ResourceNotFoundException", elsewhere.describe_cluster, name="demo")

    def test_what_is_wrong_with_it(self, eks: Eks) -> None:
        eks.active()
        issue = {"code": "KmsKeyDisabled", "message": "the key is disabled", "resourceIds": [KEY]}
        eks.troubled({"on": "cluster", "status": "FAILED", **issue})
        assert (eks.cluster()["status"], eks.cluster()["health"]["issues"]) == ("FAILED", [issue])
        eks.troubled()
        assert (eks.cluster()["status"], eks.cluster()["health"]["issues"]) == ("ACTIVE", [])


class TestIdentity:
    def test_issuer_and_authority(self, eks: Eks) -> None:
        seen = set()
        for name in ("one", "two"):
            eks.name = name
            made = eks.active()
            pem = base64.b64decode(made["certificateAuthority"]["data"])
            certificate = x509.load_pem_x509_certificate(pem)
            assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
            issuer = made["identity"]["oidc"]["issuer"]
            start, _, end = issuer.rpartition("/")
            assert start == "https://oidc.eks.eu-central-1.amazonaws.com/id"
            assert len(end) == 32
            seen |= {issuer, made["endpoint"], certificate.serial_number}
        assert len(seen) == 6

    def test_stays_the_same(self, eks: Eks) -> None:
        assert eks.active() == eks.cluster()

    def test_an_identity_provider_for_it(self, eks: Eks) -> None:
        issuer = eks.active()["identity"]["oidc"]["issuer"]
        made = eks.iam.create_open_id_connect_provider(Url=issuer, ClientIDList=["sts.amazonaws.com"])
        host = issuer.removeprefix("https://")
        assert made["OpenIDConnectProviderArn"] == f"arn:aws:iam::{ACCOUNT}:oidc-provider/{host}"


class TestNetwork:
    def cluster_group(self, eks: Eks) -> dict[str, Any]:
        group = eks.cluster()["resourcesVpcConfig"]["clusterSecurityGroupId"]
        return eks.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]

    def interfaces(self, eks: Eks) -> list[dict[str, Any]]:
        filters = [{"Name": "description", "Values": ["Amazon EKS demo"]}]
        return eks.ec2.describe_network_interfaces(Filters=filters)["NetworkInterfaces"]

    def test_its_security_group(self, eks: Eks) -> None:
        made = eks.create()
        assert "clusterSecurityGroupId" not in made["resourcesVpcConfig"]
        eks.has("ACTIVE", eks.cluster)
        group = self.cluster_group(eks)
        assert group["GroupName"].startswith("eks-cluster-sg-demo-")
        assert group["VpcId"] == eks.network.vpc
        assert {tag["Key"]: tag["Value"] for tag in group["Tags"]} == {
            "Name": group["GroupName"],
            "kubernetes.io/cluster/demo": "owned",
            "aws:eks:cluster-name": "demo",
        }
        (rule,) = group["IpPermissions"]
        assert rule["IpProtocol"] == "-1"
        assert [pair["GroupId"] for pair in rule["UserIdGroupPairs"]] == [group["GroupId"]]

    def test_its_interfaces_hold_the_network(self, eks: Eks, refused: Any) -> None:
        own = eks.network.group()
        eks.active(network={"securityGroupIds": [own]})
        interfaces = self.interfaces(eks)
        assert [interface["SubnetId"] for interface in interfaces] == eks.subnets[:2]
        groups = {self.cluster_group(eks)["GroupId"], own}
        assert all({group["GroupId"] for group in interface["Groups"]} == groups for interface in interfaces)
        assert all(interface["RequesterManaged"] for interface in interfaces)
        refused("DependencyViolation", eks.ec2.delete_subnet, SubnetId=eks.subnets[0])
        for group in groups:
            refused("DependencyViolation", eks.ec2.delete_security_group, GroupId=group)
        eks.client.delete_cluster(name="demo")
        assert len(self.interfaces(eks)) == 2
        eks.gone(eks.cluster)
        assert self.interfaces(eks) == []
        eks.ec2.delete_subnet(SubnetId=eks.subnets[0])
        eks.ec2.delete_security_group(GroupId=own)

    def test_its_group_goes_with_it(self, eks: Eks, refused: Any) -> None:
        eks.active()
        group = self.cluster_group(eks)["GroupId"]
        eks.client.delete_cluster(name="demo")
        eks.gone(eks.cluster)
        refused("InvalidGroup.NotFound", eks.ec2.describe_security_groups, GroupIds=[group])

    @pytest.mark.parametrize("by", ["interface", "rule"])
    def test_its_group_stays_while_it_is_used(self, eks: Eks, by: str) -> None:
        eks.active()
        group = self.cluster_group(eks)["GroupId"]
        if by == "interface":
            eks.ec2.create_network_interface(SubnetId=eks.subnets[0], Groups=[group])
        else:
            eks.ec2.authorize_security_group_ingress(
                GroupId=eks.network.group(),
                IpPermissions=[{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}],
            )
        eks.client.delete_cluster(name="demo")
        eks.gone(eks.cluster)
        assert eks.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]


class TestDeleting:
    def test_protection(self, eks: Eks, refused: Any) -> None:
        assert eks.active(deletionProtection=True)["deletionProtection"] is True
        error = refused("InvalidRequestException", eks.client.delete_cluster, 400, name="demo")
        assert "deletion protection" in str(error)
        eks.client.update_cluster_config(name="demo", deletionProtection=False)
        error = refused("ResourceInUseException", eks.client.delete_cluster, 409, name="demo")
        assert "in progress" in str(error)
        assert eks.has("ACTIVE", eks.cluster)["deletionProtection"] is False
        eks.client.delete_cluster(name="demo")

    def test_not_with_node_groups(self, eks: Eks, refused: Any) -> None:
        eks.active()
        role = eks.role("nodes", "ec2.amazonaws.com")
        eks.call("create_nodegroup", nodegroupName="g", subnets=eks.subnets, nodeRole=role)

        def describe() -> dict[str, Any]:
            return eks.call("describe_nodegroup", nodegroupName="g")["nodegroup"]

        eks.has("ACTIVE", describe)
        error = refused("ResourceInUseException", eks.client.delete_cluster, 409, name="demo")
        assert error.response["Error"]["Message"] == "Cluster has nodegroups attached"
        eks.call("delete_nodegroup", nodegroupName="g")
        refused("ResourceInUseException", eks.client.delete_cluster, name="demo")
        eks.gone(describe)
        eks.client.delete_cluster(name="demo")

    def test_twice(self, eks: Eks, refused: Any) -> None:
        eks.active()
        eks.client.delete_cluster(name="demo")
        refused("ResourceInUseException", eks.client.delete_cluster, 409, name="demo")
        refused("ResourceInUseException", eks.create)

    def test_add_ons_entries_and_associations_go_with_it(self, eks: Eks, refused: Any) -> None:
        eks.active(accessConfig={"authenticationMode": "API"}, tags=TAGS)
        eks.call("create_addon", addonName="vpc-cni", tags=TAGS)
        role = eks.role("pod", "pods.eks.amazonaws.com", "sts:AssumeRole", "sts:TagSession")
        eks.call("create_access_entry", principalArn=role, tags=TAGS)
        eks.call("create_pod_identity_association", namespace="a", serviceAccount="b", roleArn=role, tags=TAGS)
        assert len(eks.resources("eks")) == 4
        eks.client.delete_cluster(name="demo")
        eks.gone(eks.cluster)
        assert eks.resources("eks") == []
        refused("ResourceNotFoundException", eks.client.describe_addon, clusterName="demo", addonName="vpc-cni")

    def test_made_again(self, eks: Eks) -> None:
        first = eks.active()
        eks.client.delete_cluster(name="demo")
        eks.gone(eks.cluster)
        assert eks.active()["identity"] != first["identity"]


class TestTags:
    def test_added_and_removed(self, eks: Eks) -> None:
        arn = eks.create(tags={"a": "1", "b": "2"})["arn"]
        eks.client.tag_resource(resourceArn=arn, tags={"b": "3", **TAGS})
        eks.client.untag_resource(resourceArn=arn, tagKeys=["a", "never"])
        assert eks.cluster()["tags"] == {"b": "3", **TAGS}
        assert eks.client.list_tags_for_resource(resourceArn=arn)["tags"] == {"b": "3", **TAGS}
        assert eks.resources("eks:cluster") == [arn]

    def test_bounds(self, eks: Eks, refused: Any) -> None:
        arn = eks.create()["arn"]
        tag = eks.client.tag_resource
        eks.client.tag_resource(resourceArn=arn, tags={str(n): "x" for n in range(50)})
        refused("BadRequestException", tag, 400, resourceArn=arn, tags={"more": "x"})
        refused("BadRequestException", tag, resourceArn=arn, tags={"aws:x": "y"})
        refused("NotFoundException", tag, 404, resourceArn=arn.replace("demo", "none"), tags={"a": "b"})
        assert len(eks.cluster()["tags"]) == 50

    @pytest.mark.parametrize("tags", [{"aws:x": "y"}, {"a" * 129: "b"}, {"a": "b" * 257}])
    def test_bad_ones_of_a_new_cluster(self, eks: Eks, refused: Any, tags: dict[str, str]) -> None:
        refused("InvalidParameterException", eks.create, 400, tags=tags)


class TestVersions:
    def test_what_there_is(self, eks: Eks) -> None:
        found = eks.client.describe_cluster_versions()["clusterVersions"]
        assert [one["clusterVersion"] for one in found] == ["1.35", "1.34", "1.33", "1.32"]
        assert [one["clusterVersion"] for one in found if one["defaultVersion"]] == ["1.35"]
        assert all(one["endOfStandardSupportDate"] < one["endOfExtendedSupportDate"] for one in found)

    @pytest.mark.parametrize(
        ("asked", "found"),
        [
            ({"defaultOnly": True}, ["1.35"]),
            ({"clusterVersions": ["1.33", "1.34"]}, ["1.34", "1.33"]),
            ({"versionStatus": "STANDARD_SUPPORT"}, ["1.35", "1.34"]),
            ({"versionStatus": "EXTENDED_SUPPORT"}, ["1.33", "1.32"]),
        ],
    )
    def test_some_of_them(self, eks: Eks, asked: dict[str, Any], found: list[str]) -> None:
        versions = eks.client.describe_cluster_versions(**asked)["clusterVersions"]
        assert [one["clusterVersion"] for one in versions] == found


def test_a_trust_that_comes_late(sandbox: Sandbox, refused: Any) -> None:
    """As a caller sees it that creates role and cluster at once, and repeats."""
    eks = Eks.again(sandbox)
    eks.iam.update_assume_role_policy(RoleName="cluster", PolicyDocument=trust("ec2.amazonaws.com"))
    wanted = eks.wanted(clientRequestToken="once")
    refused("InvalidParameterException", eks.client.create_cluster, **wanted)
    eks.iam.update_assume_role_policy(RoleName="cluster", PolicyDocument=trust("eks.amazonaws.com"))
    assert eks.client.create_cluster(**wanted)["cluster"]["status"] == "CREATING"
