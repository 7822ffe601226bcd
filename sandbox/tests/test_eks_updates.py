"""Updates of clusters."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import Sandbox
from eks import Eks
from network import Network

ALL_LOGS = ["api", "audit", "authenticator", "controllerManager", "scheduler"]


class Updates(Eks):
    def __init__(self, sandbox: Sandbox, version: str = "1.33"):
        super().__init__(sandbox)
        self.active(version=version)

    def config(self, **change: Any) -> dict[str, Any]:
        return self.client.update_cluster_config(name=self.name, **change)["update"]

    def version(self, version: str) -> dict[str, Any]:
        return self.client.update_cluster_version(name=self.name, version=version)["update"]

    def described(self, update: dict[str, Any], **of: Any) -> dict[str, Any]:
        return self.client.describe_update(name=self.name, updateId=update["id"], **of)["update"]

    def done(self, update: dict[str, Any]) -> dict[str, Any]:
        """The cluster once the update has ended well."""
        self.has("Successful", lambda: self.described(update))
        assert (found := self.cluster())["status"] == "ACTIVE"
        return found

    def ids(self, **of: Any) -> list[str]:
        return self.client.list_updates(name=self.name, **of)["updateIds"]


@pytest.fixture
def eks(sandbox: Sandbox) -> Updates:
    return Updates.again(sandbox)


def params(update: dict[str, Any]) -> dict[str, str]:
    return {param["type"]: param["value"] for param in update["params"]}


def logs(on: list[str], enabled: bool = True) -> dict[str, Any]:
    return {"clusterLogging": [{"types": on, "enabled": enabled}]}


class TestVersion:
    def test_one_minor(self, eks: Updates) -> None:
        update = eks.version("1.34")
        assert (update["type"], update["status"], update["errors"]) == ("VersionUpdate", "InProgress", [])
        assert params(update) == {"Version": "1.34", "PlatformVersion": "eks.19"}
        assert (eks.cluster()["status"], eks.cluster()["version"]) == ("UPDATING", "1.33")
        there = eks.done(update)
        assert (there["version"], there["platformVersion"]) == ("1.34", "eks.19")
        assert eks.done(eks.version("1.35"))["version"] == "1.35"

    @pytest.mark.parametrize(
        ("version", "words"),
        [
            ("1.35", "Unsupported Kubernetes minor version update from 1.33 to 1.35"),
            ("1.33", "Unsupported Kubernetes minor version update from 1.33 to 1.33"),
            ("1.99", "unsupported Kubernetes version 1.99"),
            ("new", "unsupported Kubernetes version new"),
        ],
    )
    def test_no_other(self, eks: Updates, refused: Any, version: str, words: str) -> None:
        error = refused("InvalidParameterException", eks.version, 400, version=version)
        assert error.response["Error"]["Message"] == words
        assert (eks.cluster()["status"], eks.ids()) == ("ACTIVE", [])

    def test_nodes_may_be_three_minors_behind(self, sandbox: Sandbox) -> None:
        eks = Updates.again(sandbox, version="1.32")
        role = eks.role("nodes", "ec2.amazonaws.com")
        eks.call("create_nodegroup", nodegroupName="old", subnets=eks.subnets, nodeRole=role)
        for version in ("1.33", "1.34", "1.35"):
            eks.done(eks.version(version))
        group = eks.call("describe_nodegroup", nodegroupName="old")["nodegroup"]
        assert group["version"] == "1.32"

    def test_one_token_one_update(self, eks: Updates) -> None:
        wanted = {"name": "demo", "version": "1.34", "clientRequestToken": "once"}
        first = eks.client.update_cluster_version(**wanted)["update"]
        assert eks.client.update_cluster_version(**wanted)["update"]["id"] == first["id"]
        eks.done(first)
        assert eks.client.update_cluster_version(**wanted)["update"]["id"] == first["id"]
        assert eks.ids() == [first["id"]]


class TestOneAtATime:
    def test_another_is_refused(self, eks: Updates, refused: Any) -> None:
        first = eks.config(logging=logs(["api"]))
        for kind, call, change in (
            ("LoggingUpdate", eks.config, {"logging": logs(["audit"])}),
            ("EndpointAccessUpdate", eks.config, {"resourcesVpcConfig": {"endpointPrivateAccess": True}}),
            ("VpcConfigUpdate", eks.config, {"resourcesVpcConfig": {"subnetIds": eks.subnets[:2]}}),
            ("AccessConfigUpdate", eks.config, {"accessConfig": {"authenticationMode": "API"}}),
            ("DeletionProtectionUpdate", eks.config, {"deletionProtection": True}),
            ("ZonalShiftConfigUpdate", eks.config, {"zonalShiftConfig": {"enabled": True}}),
            ("ControlPlaneScalingConfigUpdate", eks.config, {"controlPlaneScalingConfig": {"tier": "tier-xl"}}),
            ("ControlPlaneEgressUpdate", eks.config, {"resourcesVpcConfig": {"controlPlaneEgressMode": "AWS_MANAGED"}}),
            ("VersionUpdate", eks.version, {"version": "1.34"}),
        ):
            error = refused("ResourceInUseException", call, 409, **change)
            words = f"Cannot {kind} because cluster demo currently has update {first['id']} in progress"
            assert error.response["Error"]["Message"] == words
        error = refused("ResourceInUseException", eks.client.delete_cluster, 409, name="demo")
        words = "Cannot delete because cluster demo currently has an update in progress"
        assert error.response["Error"]["Message"] == words
        eks.done(first)
        eks.done(eks.config(deletionProtection=True))

    @pytest.mark.parametrize(
        "change",
        [
            {"logging": logs(["api"]), "accessConfig": {"authenticationMode": "API"}},
            {"logging": logs(["api"]), "deletionProtection": True},
            {"resourcesVpcConfig": {"subnetIds": ["subnet-1", "subnet-2"], "endpointPrivateAccess": True}},
            {"resourcesVpcConfig": {"controlPlaneEgressMode": "AWS_MANAGED", "endpointPrivateAccess": True}},
            {"resourcesVpcConfig": {"controlPlaneEgressMode": "CUSTOMER_ROUTED", "securityGroupIds": []}},
            {"controlPlaneScalingConfig": {"tier": "tier-xl"}, "zonalShiftConfig": {"enabled": True}},
        ],
    )
    def test_one_kind_a_call(self, eks: Updates, refused: Any, change: dict[str, Any]) -> None:
        error = refused("InvalidParameterException", eks.config, 400, **change)
        assert error.response["Error"]["Message"] == "Only one type of update can be allowed."

    def test_none_at_all(self, eks: Updates, refused: Any) -> None:
        error = refused("InvalidParameterException", eks.config)
        assert error.response["Error"]["Message"] == "The type for cluster update was not provided."
        for kind in ("computeConfig", "storageConfig"):
            refused("InvalidParameterException", eks.config, **{kind: {}})

    def test_not_while_it_is_made(self, sandbox: Sandbox, refused: Any) -> None:
        eks = Eks.again(sandbox)
        eks.create(version="1.33")
        refused("ResourceInUseException", eks.client.update_cluster_config, 409, name="demo", logging=logs(["api"]))
        refused("ResourceInUseException", eks.client.update_cluster_version, 409, name="demo", version="1.34")

    def test_what_is_made_beside_it(self, eks: Updates) -> None:
        update = eks.version("1.34")
        assert eks.call("create_addon", addonName="kube-proxy")["addon"]["status"] == "CREATING"
        assert eks.done(update)["version"] == "1.34"


class TestLogging:
    def on(self, cluster: dict[str, Any]) -> list[str]:
        return [name for setup in cluster["logging"]["clusterLogging"] if setup["enabled"] for name in setup["types"]]

    def test_on_and_off(self, eks: Updates, refused: Any) -> None:
        update = eks.config(logging=logs(["audit", "api"]))
        assert update["type"] == "LoggingUpdate"
        on, off = json.loads(params(update)["ClusterLogging"])["clusterLogging"]
        assert (on["types"], off["types"]) == (["api", "audit"], ["authenticator", "controllerManager", "scheduler"])
        assert self.on(eks.cluster()) == []
        assert self.on(eks.done(update)) == ["api", "audit"]
        both = {"clusterLogging": [{"types": ["api"], "enabled": False}, {"types": ["scheduler"], "enabled": True}]}
        assert self.on(eks.done(eks.config(logging=both))) == ["audit", "scheduler"]
        error = refused("InvalidParameterException", eks.config, logging=logs(["audit"]))
        assert error.response["Error"]["Message"] == "No changes needed for the logging config provided"
        assert self.on(eks.done(eks.config(logging=logs(ALL_LOGS, False)))) == []

    def groups(self, eks: Updates) -> list[str]:
        found = eks.sandbox.client("logs").describe_log_groups(logGroupNamePrefix="/aws/eks/")["logGroups"]
        return [group["logGroupName"] for group in found]

    def test_the_log_group(self, eks: Updates) -> None:
        assert self.groups(eks) == []
        eks.done(eks.config(logging=logs(["api"])))
        (name,) = self.groups(eks)
        assert name == "/aws/eks/demo/cluster"
        eks.sandbox.client("logs").delete_log_group(logGroupName=name)
        eks.client.delete_cluster(name="demo")
        assert self.groups(eks) == []
        # Deleted too early, it is made again, and left behind.
        eks.wait(lambda: self.groups(eks) == [name])
        eks.gone(eks.cluster)
        eks.sandbox.client("logs").delete_log_group(logGroupName=name)
        assert self.groups(eks) == []

    def test_a_log_group_of_ones_own(self, eks: Updates) -> None:
        client = eks.sandbox.client("logs")
        client.create_log_group(logGroupName="/aws/eks/demo/cluster", tags={"a": "b"})
        eks.done(eks.config(logging=logs(["api"])))
        assert client.list_tags_log_group(logGroupName="/aws/eks/demo/cluster")["tags"] == {"a": "b"}

    def test_unknown_type(self, eks: Updates, refused: Any) -> None:
        refused("InvalidParameterException", eks.config, logging=logs(["kubelet"]))


class TestAccess:
    def test_endpoints(self, eks: Updates, refused: Any) -> None:
        wanted = {
            "endpointPrivateAccess": True,
            "endpointPublicAccess": True,
            "publicAccessCidrs": ["203.0.113.0/24", "198.51.100.7/32"],
        }
        update = eks.config(resourcesVpcConfig=wanted)
        assert update["type"] == "EndpointAccessUpdate"
        assert params(update) == {
            "EndpointPrivateAccess": "true",
            "EndpointPublicAccess": "true",
            "PublicAccessCidrs": '["203.0.113.0/24", "198.51.100.7/32"]',
        }
        assert eks.cluster()["resourcesVpcConfig"]["endpointPrivateAccess"] is False
        network = eks.done(update)["resourcesVpcConfig"]
        assert wanted.items() <= network.items()
        assert (network["subnetIds"], network["vpcId"]) == (eks.subnets[:2], eks.network.vpc)
        error = refused("InvalidParameterException", eks.config, resourcesVpcConfig={"endpointPublicAccess": True})
        assert error.response["Error"]["Message"] == (
            "Cluster is already at the desired configuration with endpointPrivateAccess: true , endpointPublicAccess: "
            "true, and Public Endpoint Restrictions: [203.0.113.0/24, 198.51.100.7/32]"
        )
        closed = eks.done(eks.config(resourcesVpcConfig={"endpointPublicAccess": False}))["resourcesVpcConfig"]
        assert closed["endpointPublicAccess"] is False
        refused("InvalidParameterException", eks.config, resourcesVpcConfig={"endpointPrivateAccess": False})

    def test_blocks_are_checked(self, eks: Updates, refused: Any) -> None:
        for cidr in ("10.0.0.0/8", "127.0.0.1/32", "nonsense", "1.2.3.4/8"):
            refused("InvalidParameterException", eks.config, resourcesVpcConfig={"publicAccessCidrs": [cidr]})

    def test_authentication_goes_one_way(self, eks: Updates, refused: Any) -> None:
        list_entries = eks.client.list_access_entries
        refused("InvalidRequestException", list_entries, 400, clusterName="demo")
        for mode in ("API_AND_CONFIG_MAP", "API"):
            update = eks.config(accessConfig={"authenticationMode": mode})
            assert (update["type"], params(update)) == ("AccessConfigUpdate", {"AuthenticationMode": mode})
            assert eks.done(update)["accessConfig"]["authenticationMode"] == mode
        list_entries(clusterName="demo")
        for mode in ("API", "API_AND_CONFIG_MAP", "CONFIG_MAP"):
            refused("InvalidParameterException", eks.config, accessConfig={"authenticationMode": mode})


class TestNetwork:
    def interfaces(self, eks: Updates) -> list[dict[str, Any]]:
        filters = [{"Name": "description", "Values": ["Amazon EKS demo"]}]
        return eks.ec2.describe_network_interfaces(Filters=filters)["NetworkInterfaces"]

    def test_subnets_of_the_same_zones(self, eks: Updates) -> None:
        more = [
            eks.ec2.create_subnet(VpcId=eks.network.vpc, CidrBlock=f"10.0.{20 + n}.0/24", AvailabilityZone=zone)
            for n, zone in enumerate(("eu-central-1a", "eu-central-1b"))
        ]
        new = [one["Subnet"]["SubnetId"] for one in more]
        group = eks.network.group()
        update = eks.config(resourcesVpcConfig={"subnetIds": new, "securityGroupIds": [group]})
        assert update["type"] == "VpcConfigUpdate"
        assert params(update) == {"Subnets": json.dumps(new), "SecurityGroups": json.dumps([group])}
        network = eks.done(update)["resourcesVpcConfig"]
        assert (network["subnetIds"], network["securityGroupIds"]) == (new, [group])
        assert [interface["SubnetId"] for interface in self.interfaces(eks)] == new
        eks.ec2.delete_subnet(SubnetId=eks.subnets[0])
        eks.done(eks.config(resourcesVpcConfig={"securityGroupIds": []}))
        assert eks.cluster()["resourcesVpcConfig"]["securityGroupIds"] == []
        eks.ec2.delete_security_group(GroupId=group)

    def test_no_others(self, eks: Updates, refused: Any) -> None:
        elsewhere = Network(eks.ec2, "10.1.0.0/16").subnets[:2]
        for subnets in (eks.subnets[1:], eks.subnets, eks.subnets[:1], elsewhere, ["subnet-0123456789abcdef0"]):
            refused("InvalidParameterException", eks.config, resourcesVpcConfig={"subnetIds": subnets})
        error = refused("InvalidParameterException", eks.config, resourcesVpcConfig={"subnetIds": eks.subnets})
        assert error.response["Error"]["Message"] == (
            "Provided subnets belong to the AZs 'eu-central-1a,eu-central-1b,eu-central-1c'. But they should belong to "
            "the exact set of AZs 'eu-central-1a,eu-central-1b' in which subnets were provided during cluster creation."
        )


class TestTheRest:
    @pytest.mark.parametrize(
        ("kind", "value", "member", "update_type"),
        [
            ("upgradePolicy", {"supportType": "STANDARD"}, "upgradePolicy", "UpgradePolicyUpdate"),
            ("deletionProtection", True, "deletionProtection", "DeletionProtectionUpdate"),
            ("zonalShiftConfig", {"enabled": True}, "zonalShiftConfig", "ZonalShiftConfigUpdate"),
        ],
    )
    def test_small_ones(self, eks: Updates, refused: Any, kind: str, value: Any, member: str, update_type: str) -> None:
        update = eks.config(**{kind: value})
        assert update["type"] == update_type
        assert eks.done(update)[member] == value
        if kind != "zonalShiftConfig":
            error = refused("InvalidParameterException", eks.config, **{kind: value})
            assert "already at the desired configuration" in str(error)

    def test_encryption_once(self, eks: Updates, refused: Any) -> None:
        key = eks.sandbox.client("kms").create_key()["KeyMetadata"]["Arn"]
        wanted = [{"resources": ["secrets"], "provider": {"keyArn": key}}]
        associate = eks.client.associate_encryption_config
        update = associate(clusterName="demo", encryptionConfig=wanted)["update"]
        assert update["type"] == "AssociateEncryptionConfig"
        assert eks.done(update)["encryptionConfig"] == wanted
        refused("InvalidParameterException", associate, clusterName="demo", encryptionConfig=wanted)


class TestLooking:
    def test_describe(self, eks: Updates, refused: Any) -> None:
        update = eks.version("1.34")
        assert eks.described(update) == update
        eks.done(update)
        assert eks.described(update) == {**update, "status": "Successful"}
        for missing in ({"updateId": "none"}, {"updateId": update["id"], "name": "none"}):
            refused("ResourceNotFoundException", eks.client.describe_update, 404, **{"name": "demo", **missing})

    def test_list(self, eks: Updates) -> None:
        made = []
        for names in (["api"], ["audit"], ["scheduler"]):
            made.append(eks.config(logging=logs(names))["id"])
            eks.has("ACTIVE", eks.cluster)
        assert sorted(eks.ids()) == sorted(made)
        pages = list(eks.client.get_paginator("list_updates").paginate(name="demo", PaginationConfig={"PageSize": 2}))
        assert [len(page["updateIds"]) for page in pages] == [2, 1]

    def test_of_what_belongs_to_it(self, eks: Updates, refused: Any) -> None:
        eks.call("create_addon", addonName="vpc-cni")
        eks.has("ACTIVE", lambda: eks.call("describe_addon", addonName="vpc-cni")["addon"])
        update = eks.call("update_addon", addonName="vpc-cni", addonVersion="v1.20.4-eksbuild.2")["update"]
        assert eks.described(update, addonName="vpc-cni")["type"] == "AddonUpdate"
        assert (eks.ids(addonName="vpc-cni"), eks.ids()) == ([update["id"]], [])
        refused("ResourceNotFoundException", eks.described, 404, update=update)
        for of in ({"addonName": "coredns"}, {"nodegroupName": "none"}):
            refused("ResourceNotFoundException", eks.ids, 404, **of)
