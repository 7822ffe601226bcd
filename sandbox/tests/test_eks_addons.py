"""Add-ons: the catalogue, configurations, conflicts, identities, and when one is degraded."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import Sandbox
from eks import TAGS, Eks

CNI, DNS, EBS = "vpc-cni", "coredns", "aws-ebs-csi-driver"
HOMELESS = "InsufficientNumberOfReplicas"


class Addons(Eks):
    def __init__(self, sandbox: Sandbox, **more: Any):
        super().__init__(sandbox)
        self.active(accessConfig={"authenticationMode": "API"}, **{"bootstrapSelfManagedAddons": False, **more})

    def addon(self, name: str = CNI, **more: Any) -> dict[str, Any]:
        return self.call("create_addon", addonName=name, **more)["addon"]

    def there(self, name: str = CNI, **more: Any) -> dict[str, Any]:
        self.addon(name, **more)
        return self.settled(name)

    def settled(self, name: str = CNI) -> dict[str, Any]:
        busy = ("CREATING", "UPDATING")
        return self.wait(lambda: (found := self.described(name))["status"] not in busy and found)

    def described(self, name: str = CNI) -> dict[str, Any]:
        return self.call("describe_addon", addonName=name)["addon"]

    def update(self, name: str = CNI, **change: Any) -> dict[str, Any]:
        return self.call("update_addon", addonName=name, **change)["update"]

    def delete(self, name: str = CNI, **more: Any) -> None:
        self.call("delete_addon", addonName=name, **more)
        self.gone(lambda: self.described(name))

    def names(self) -> list[str]:
        return self.call("list_addons")["addons"]

    def nodes(self, size: int = 1) -> None:
        role = self.role("nodes", "ec2.amazonaws.com")
        scaling = {"minSize": size, "maxSize": 1, "desiredSize": size}
        wanted = {"nodegroupName": "g", "subnets": self.subnets, "nodeRole": role, "scalingConfig": scaling}
        self.call("create_nodegroup", **wanted)
        self.has("ACTIVE", lambda: self.call("describe_nodegroup", nodegroupName="g")["nodegroup"])

    def fargate(self, namespace: str) -> None:
        role = self.role("pods", "eks-fargate-pods.amazonaws.com")
        wanted = {"podExecutionRoleArn": role, "selectors": [{"namespace": namespace}]}
        self.call("create_fargate_profile", fargateProfileName="f", **wanted)
        self.has("ACTIVE", lambda: self.call("describe_fargate_profile", fargateProfileName="f")["fargateProfile"])

    def pod_role(self, name: str = "pod") -> str:
        return self.role(name, "pods.eks.amazonaws.com", "sts:AssumeRole", "sts:TagSession")

    def associations(self) -> list[dict[str, Any]]:
        return self.call("list_pod_identity_associations")["associations"]


@pytest.fixture
def eks(sandbox: Sandbox) -> Addons:
    return Addons.again(sandbox)


def issues(addon: dict[str, Any]) -> list[str]:
    return [issue["code"] for issue in addon["health"]["issues"]]


def params(update: dict[str, Any]) -> dict[str, str]:
    return {param["type"]: param["value"] for param in update["params"]}


class TestCatalogue:
    def versions(self, sandbox: Sandbox, **asked: Any) -> dict[str, dict[str, Any]]:
        found = sandbox.client("eks").describe_addon_versions(**asked)["addons"]
        return {addon["addonName"]: addon for addon in found}

    def test_what_a_stack_needs(self, sandbox: Sandbox) -> None:
        found = self.versions(sandbox)
        assert {CNI, "kube-proxy", DNS, "eks-pod-identity-agent", "metrics-server", EBS} <= set(found)
        assert (found[DNS]["type"], found[DNS]["publisher"], found[DNS]["owner"]) == ("networking", "eks", "aws")
        assert found[DNS]["defaultNamespace"] == "kube-system"
        assert found["metrics-server"]["owner"] == "community"

    @pytest.mark.parametrize("minor", ["1.32", "1.33", "1.34", "1.35"])
    def test_one_default_for_each_minor(self, sandbox: Sandbox, minor: str) -> None:
        for name, addon in self.versions(sandbox, kubernetesVersion=minor).items():
            versions = addon["addonVersions"]
            assert all([one["clusterVersion"] for one in v["compatibilities"]] == [minor] for v in versions), name
            assert sum(one["defaultVersion"] for v in versions for one in v["compatibilities"]) == 1, name

    def test_filters(self, sandbox: Sandbox) -> None:
        assert list(self.versions(sandbox, addonName=CNI)) == [CNI]
        assert set(self.versions(sandbox, types=["storage"])) == {EBS, "aws-efs-csi-driver", "snapshot-controller"}
        assert set(self.versions(sandbox, owners=["community"])) == {"metrics-server"}
        assert self.versions(sandbox, publishers=["another"]) == {}
        assert self.versions(sandbox, addonName="none") == {}
        assert self.versions(sandbox, kubernetesVersion="1.10") == {}

    def test_pages(self, sandbox: Sandbox) -> None:
        pages = list(sandbox.client("eks").get_paginator("describe_addon_versions").paginate(maxResults=4))
        assert [len(page["addons"]) for page in pages] == [4, 4, 2]

    def test_configuration(self, sandbox: Sandbox, refused: Any) -> None:
        client = sandbox.client("eks")
        for name, addon in self.versions(sandbox).items():
            version = addon["addonVersions"][0]["addonVersion"]
            found = client.describe_addon_configuration(addonName=name, addonVersion=version)
            assert (found["addonName"], found["addonVersion"]) == (name, version)
            schema = json.loads(found["configurationSchema"])
            definition = schema["definitions"][schema["$ref"].rpartition("/")[2]]
            assert definition["additionalProperties"] is False
            accounts = [one["serviceAccount"] for one in found["podIdentityConfiguration"]]
            assert bool(accounts) is addon["addonVersions"][0]["requiresIamPermissions"]
        for missing in ({"addonName": "none"}, {"addonVersion": "v0"}):
            wanted = {"addonName": CNI, "addonVersion": "v1.20.5-eksbuild.1", **missing}
            refused("ResourceNotFoundException", client.describe_addon_configuration, 404, **wanted)


class TestLife:
    def test_takes_its_time(self, eks: Addons, refused: Any) -> None:
        made = eks.addon(tags=TAGS)
        assert (made["status"], made["addonVersion"]) == ("CREATING", "v1.20.5-eksbuild.1")
        assert made["addonArn"].startswith("arn:aws:eks:eu-central-1:123456789012:addon/demo/vpc-cni/")
        error = refused("ResourceInUseException", eks.update, 409)
        assert "Addon vpc-cni cannot be updated as it is currently in CREATING state" in str(error)
        assert eks.settled()["status"] == "ACTIVE"
        assert (eks.names(), eks.resources("eks:addon")) == ([CNI], [made["addonArn"]])
        error = refused("ResourceInUseException", eks.addon, 409)
        assert error.response["Error"]["Message"] == "Addon already exists."
        eks.call("delete_addon", addonName=CNI)
        assert eks.described()["status"] == "DELETING"
        refused("InvalidRequestException", eks.client.delete_addon, clusterName="demo", addonName=CNI)
        eks.gone(eks.described)
        assert (eks.names(), eks.resources("eks:addon")) == ([], [])

    def test_update(self, eks: Addons, refused: Any) -> None:
        role = eks.role("irsa", "ec2.amazonaws.com")
        eks.there()
        change = {"addonVersion": "v1.21.1-eksbuild.3", "serviceAccountRoleArn": role, "resolveConflicts": "OVERWRITE"}
        update = eks.update(**change)
        assert update["type"] == "AddonUpdate"
        assert params(update) == {
            "AddonVersion": "v1.21.1-eksbuild.3",
            "ServiceAccountRoleArn": role,
            "ResolveConflicts": "OVERWRITE",
        }
        assert (eks.described()["status"], eks.described()["addonVersion"]) == ("UPDATING", "v1.20.5-eksbuild.1")
        refused("ResourceInUseException", eks.update, 409)
        there = eks.settled()
        assert (there["addonVersion"], there["serviceAccountRoleArn"]) == ("v1.21.1-eksbuild.3", role)
        assert there["modifiedAt"] > there["createdAt"]
        # What a request does not name stays, the role too.
        eks.update(configurationValues='{"env": {"WARM_ENI_TARGET": "1"}}')
        there = eks.settled()
        assert (there["addonVersion"], there["serviceAccountRoleArn"]) == ("v1.21.1-eksbuild.3", role)

    def test_deleted_while_it_is_updated(self, eks: Addons) -> None:
        eks.there()
        eks.update(addonVersion="v1.21.1-eksbuild.3")
        eks.delete()
        assert eks.names() == []

    def test_one_token_one_addon(self, eks: Addons) -> None:
        first = eks.addon(clientRequestToken="once")
        assert eks.addon(clientRequestToken="once")["addonArn"] == first["addonArn"]

    @pytest.mark.parametrize(
        ("wrong", "words"),
        [
            ({"name": "none"}, "Addon specified is not supported"),
            ({"addonVersion": "v0.0.0"}, "Addon version specified is not supported"),
            ({"name": DNS, "addonVersion": "v1.11.4-eksbuild.24"}, "Addon version specified is not supported"),
            ({"serviceAccountRoleArn": "arn:aws:iam::123456789012:role/none"}, "does not exist"),
            ({"resolveConflicts": "PRESERVE"}, "preserve is not supported for operation CreateAddon"),
            ({"resolveConflicts": "SOMETIMES"}, "resolveConflicts"),
        ],
    )
    def test_refused(self, eks: Addons, refused: Any, wrong: dict[str, Any], words: str) -> None:
        error = refused("InvalidParameterException", eks.addon, 400, **wrong)
        assert words in error.response["Error"]["Message"]
        assert eks.names() == []

    def test_not_there(self, eks: Addons, refused: Any) -> None:
        names = {"clusterName": "demo", "addonName": CNI}
        for call in (eks.client.describe_addon, eks.client.update_addon, eks.client.delete_addon):
            error = refused("ResourceNotFoundException", call, 404, **names)
            assert error.response["Error"]["Message"] == "No addon: vpc-cni found in cluster: demo"

    def test_a_cluster_on_its_way(self, sandbox: Sandbox, refused: Any) -> None:
        eks = Eks.again(sandbox)
        eks.create()
        refused("InvalidRequestException", eks.client.create_addon, 400, clusterName="demo", addonName=CNI)


class TestConfiguration:
    @pytest.mark.parametrize(
        "text",
        [
            '{"env": {"ENABLE_PREFIX_DELEGATION": "true"}, "enableNetworkPolicy": "true"}',
            "env:\n  WARM_ENI_TARGET: '1'\ntolerations:\n- operator: Exists\n",
            '{"resources": {"limits": {"cpu": "100m"}}}',
            "{}",
        ],
    )
    def test_taken(self, eks: Addons, text: str) -> None:
        assert eks.there(configurationValues=text)["configurationValues"] == text

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ('{"replicas": 2}', "$.replicas: is not defined in the schema"),
            ('{"env": {"MADE_UP": "1"}}', "$.env.MADE_UP: is not defined in the schema"),
            ('{"env": {"WARM_ENI_TARGET": 1}}', "$.env.WARM_ENI_TARGET: integer found, string expected"),
            ('{"enableNetworkPolicy": true}', "$.enableNetworkPolicy: boolean found, string expected"),
            ('{"enableNetworkPolicy": "yes"}', "does not have a value in the enumeration"),
            ('{"nodeSelector": {"a": 1}}', "$.nodeSelector.a: integer found, string expected"),
            ("[]", "$: array found, object expected"),
            ("text", "$: string found, object expected"),
            ("{", "not valid JSON or YAML"),
        ],
    )
    def test_refused(self, eks: Addons, refused: Any, text: str, words: str) -> None:
        error = refused("InvalidParameterException", eks.addon, 400, configurationValues=text)
        assert words in error.response["Error"]["Message"]
        eks.there()
        refused("InvalidParameterException", eks.update, 400, configurationValues=text)

    def test_of_coredns(self, eks: Addons, refused: Any) -> None:
        for text, words in (
            ('{"autoScaling": {"minReplicas": 2}}', "$.autoScaling.enabled: is missing but it is required"),
            ('{"autoScaling": {"enabled": true, "minReplicas": 0}}', "must have a minimum value of 1"),
            ('{"replicaCount": true}', "boolean found, integer expected"),
        ):
            error = refused("InvalidParameterException", eks.addon, name=DNS, configurationValues=text)
            assert words in error.response["Error"]["Message"]
        eks.addon(DNS, configurationValues='{"replicaCount": 3, "computeType": "Fargate"}')


class TestConflicts:
    """With the add-ons that a cluster has by default, unless it is created without them."""

    changed = {"addonVersion": "v1.21.1-eksbuild.3"}

    @pytest.mark.parametrize("change", [changed, {"configurationValues": '{"env": {"WARM_ENI_TARGET": "1"}}'}])
    @pytest.mark.parametrize("mode", [{}, {"resolveConflicts": "NONE"}])
    def test_not_resolved(self, sandbox: Sandbox, change: dict[str, str], mode: dict[str, str]) -> None:
        eks = Addons.again(sandbox, bootstrapSelfManagedAddons=True)
        assert eks.addon(**change, **mode)["status"] == "CREATING"
        failed = eks.settled()
        assert (failed["status"], issues(failed)) == ("CREATE_FAILED", ["ConfigurationConflict"])
        message = failed["health"]["issues"][0]["message"]
        assert "Will not continue due to resolve conflicts mode." in message
        assert "DaemonSet.apps aws-node" in message
        eks.update(**change, resolveConflicts="OVERWRITE")
        assert (eks.settled()["status"], issues(eks.described())) == ("ACTIVE", [])

    @pytest.mark.parametrize("wanted", [{}, {**changed, "resolveConflicts": "OVERWRITE"}])
    def test_none_or_resolved(self, sandbox: Sandbox, wanted: dict[str, str]) -> None:
        eks = Addons.again(sandbox, bootstrapSelfManagedAddons=True)
        assert eks.there(**wanted)["status"] == "ACTIVE"
        eks.delete()
        assert eks.there(**self.changed)["status"] == "ACTIVE"

    def test_what_is_preserved_stays(self, eks: Addons) -> None:
        assert eks.there(**self.changed)["status"] == "ACTIVE"
        eks.delete(preserve=True)
        assert eks.there(**self.changed)["status"] == "CREATE_FAILED"
        eks.delete()
        assert eks.names() == []


class TestIdentity:
    wanted = "ebs-csi-controller-sa"

    def test_made_changed_and_removed(self, eks: Addons) -> None:
        eks.nodes()
        one, two = eks.pod_role("one"), eks.pod_role("two")
        made = eks.there(EBS, podIdentityAssociations=[{"serviceAccount": self.wanted, "roleArn": one}])
        (association,) = eks.associations()
        assert made["podIdentityAssociations"] == [association["associationArn"]]
        assert (association["namespace"], association["serviceAccount"]) == ("kube-system", self.wanted)
        assert association["ownerArn"] == made["addonArn"]
        update = eks.update(EBS, podIdentityAssociations=[{"serviceAccount": self.wanted, "roleArn": two}])
        said = json.loads(params(update)["PodIdentityAssociations"])
        assert said == [{"serviceAccount": self.wanted, "roleArn": two}]
        assert eks.settled(EBS)["podIdentityAssociations"] == made["podIdentityAssociations"]
        id_ = {"associationId": association["associationId"]}
        assert eks.call("describe_pod_identity_association", **id_)["association"]["roleArn"] == two
        eks.update(EBS, addonVersion="v1.55.0-eksbuild.1")
        assert eks.settled(EBS)["podIdentityAssociations"] == made["podIdentityAssociations"]
        eks.update(EBS, podIdentityAssociations=[])
        assert (eks.settled(EBS)["podIdentityAssociations"], eks.associations()) == ([], [])

    def test_goes_with_the_addon(self, eks: Addons) -> None:
        eks.there(CNI, podIdentityAssociations=[{"serviceAccount": "aws-node", "roleArn": eks.pod_role()}])
        role = eks.pod_role("own")
        eks.call("create_pod_identity_association", namespace="kube-system", serviceAccount="own", roleArn=role)
        eks.delete()
        assert [association["serviceAccount"] for association in eks.associations()] == ["own"]

    def test_takes_the_place_of_the_role(self, eks: Addons) -> None:
        eks.there(serviceAccountRoleArn=eks.role("irsa", "ec2.amazonaws.com"))
        eks.update(podIdentityAssociations=[{"serviceAccount": "aws-node", "roleArn": eks.pod_role()}])
        assert "serviceAccountRoleArn" not in eks.settled()

    def test_refused(self, eks: Addons, refused: Any) -> None:
        role, stranger = eks.pod_role(), eks.role("stranger", "ec2.amazonaws.com")

        def call(name: str, account: str, role_arn: str) -> Any:
            return eks.addon(name, podIdentityAssociations=[{"serviceAccount": account, "roleArn": role_arn}])

        error = refused("InvalidParameterException", call, name="kube-proxy", account="kube-proxy", role_arn=role)
        assert "Pod Identity feature is not supported" in str(error)
        error = refused("InvalidParameterException", call, name=CNI, account="other", role_arn=role)
        assert "Service account other in pod identity configuration is not supported for addon vpc-cni" in str(error)
        refused("InvalidParameterException", call, name=CNI, account="aws-node", role_arn=stranger)
        eks.call("create_pod_identity_association", namespace="kube-system", serviceAccount="aws-node", roleArn=role)
        error = refused("ResourceInUseException", call, 409, name=CNI, account="aws-node", role_arn=role)
        assert "Association already exists" in str(error)
        assert eks.names() == []


class TestHealth:
    def test_without_nodes(self, eks: Addons) -> None:
        for name in (CNI, "kube-proxy", "eks-pod-identity-agent"):
            assert eks.there(name)["status"] == "ACTIVE"
        for name in (DNS, "metrics-server"):
            there = eks.there(name)
            assert (there["status"], issues(there)) == ("DEGRADED", [HOMELESS])
        eks.nodes()
        assert (eks.described(DNS)["status"], issues(eks.described(DNS))) == ("ACTIVE", [])

    def test_no_node_in_the_group(self, eks: Addons) -> None:
        eks.nodes(0)
        assert eks.there(DNS)["status"] == "DEGRADED"

    def test_fargate(self, eks: Addons) -> None:
        eks.fargate("kube-system")
        assert eks.there("metrics-server")["status"] == "ACTIVE"
        assert eks.there(DNS)["status"] == "DEGRADED"
        eks.update(DNS, configurationValues='{"computeType": "Fargate"}')
        assert eks.settled(DNS)["status"] == "ACTIVE"

    def test_fargate_for_others(self, eks: Addons) -> None:
        eks.fargate("apps")
        assert eks.there(DNS, configurationValues='{"computeType": "Fargate"}')["status"] == "DEGRADED"

    def test_on_command(self, eks: Addons) -> None:
        eks.there()
        issue = {"code": "AccessDenied", "message": "no permission", "resourceIds": ["r"]}
        eks.troubled({"on": "addon/vpc-cni", "status": "DEGRADED", **issue})
        assert (eks.described()["status"], eks.described()["health"]["issues"]) == ("DEGRADED", [issue])
        eks.update(addonVersion="v1.21.1-eksbuild.3")
        eks.troubled()
        assert (eks.settled()["status"], issues(eks.described())) == ("ACTIVE", [])
