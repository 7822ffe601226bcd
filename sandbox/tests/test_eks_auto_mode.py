"""EKS Auto Mode: what it needs, how it is switched, what AWS answers.

https://docs.aws.amazon.com/eks/latest/userguide/automode.html; ComputeConfigRequest, StorageConfigRequest and
ElasticLoadBalancing in botocore's model. The sources of the messages are in services/eks/auto_mode.py.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import Sandbox
from eks_auto import CLUSTER_POLICIES, Auto, switches
from eks_groups import params

ALL_OR_NONE = "are all either fully enabled or fully disabled."
OFF = switches(False)


@pytest.fixture
def eks(sandbox: Sandbox) -> Auto:
    return Auto.again(sandbox)


def in_auto_mode(cluster: dict[str, Any]) -> tuple[Any, Any, Any]:
    return (
        cluster.get("computeConfig"),
        cluster.get("storageConfig"),
        cluster["kubernetesNetworkConfig"]["elasticLoadBalancing"],
    )


class TestNewClusters:
    def test_with_the_built_in_pools(self, eks: Auto) -> None:
        eks.active(**eks.auto_wanted())
        there = eks.cluster()
        compute = {"enabled": True, "nodePools": ["general-purpose", "system"], "nodeRoleArn": eks.node_role}
        assert in_auto_mode(there) == (compute, {"blockStorage": {"enabled": True}}, {"enabled": True})
        entry = eks.call("describe_access_entry", principalArn=eks.node_role)["accessEntry"]
        assert entry["type"] == "EC2"
        (found,) = eks.call("list_associated_access_policies", principalArn=eks.node_role)["associatedAccessPolicies"]
        assert found["policyArn"].endswith("/AmazonEKSAutoNodePolicy")

    def test_without_pools(self, eks: Auto) -> None:
        made = eks.create(**eks.auto_wanted([]))
        assert made["computeConfig"] == {"enabled": True, "nodePools": []}
        assert eks.has("ACTIVE", eks.cluster)["computeConfig"] == {"enabled": True, "nodePools": []}
        assert eks.node_role not in eks.call("list_access_entries")["accessEntries"]

    @pytest.mark.parametrize(
        ("pools", "status"), [(["general-purpose"], "ACTIVE"), (["system"], "DEGRADED"), ([], "DEGRADED")]
    )
    def test_pods_of_add_ons_have_a_place_where_nodes_are_started_for_them(
        self, eks: Auto, pools: list[str], status: str
    ) -> None:
        eks.active(**eks.auto_wanted(pools))
        eks.call("create_addon", addonName="metrics-server")
        eks.has(status, lambda: eks.call("describe_addon", addonName="metrics-server")["addon"])

    def test_off_in_two_shapes(self, eks: Auto) -> None:
        """https://github.com/terraform-aws-modules/terraform-aws-eks/issues/3675"""
        made = eks.create()
        assert in_auto_mode(made) == (None, None, {"enabled": False})
        eks.has("ACTIVE", eks.cluster)
        eks.client.delete_cluster(name=eks.name)
        eks.gone(eks.cluster)
        made = eks.create(**OFF)
        assert in_auto_mode(made) == ({"enabled": False}, {"blockStorage": {"enabled": False}}, {"enabled": False})

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"computeConfig": {"enabled": False}}, ALL_OR_NONE),
            ({"storageConfig": {"blockStorage": {"enabled": False}}}, ALL_OR_NONE),
            ({"kubernetesNetworkConfig": {"serviceIpv4Cidr": "10.96.0.0/16"}}, ALL_OR_NONE),
            ({"bootstrapSelfManagedAddons": True}, "bootstrapSelfManagedAddons must be set to false."),
            ({"accessConfig": {"authenticationMode": "CONFIG_MAP"}}, "mode of API_AND_CONFIG_MAP or API"),
            ({"accessConfig": {}}, "mode of API_AND_CONFIG_MAP or API"),
            ({"computeConfig": {"enabled": True, "nodePools": ["system"]}}, "nodePool list cannot be populated."),
            ({"computeConfig": {"enabled": True, "nodePools": ["System"]}}, "any of general-purpose, system"),
        ],
    )
    def test_refused(self, eks: Auto, refused: Any, change: dict[str, Any], words: str) -> None:
        error = refused("InvalidParameterException", eks.create, 400, **{**eks.auto_wanted(), **change})
        assert words in error.response["Error"]["Message"]
        assert eks.client.list_clusters()["clusters"] == []

    def test_off_takes_no_pools(self, eks: Auto, refused: Any) -> None:
        for more in (switches(False, ["system"]), switches(False, None, eks.node_role)):
            error = refused("InvalidParameterException", eks.create, 400, **more)
            assert "must not include values for the nodeRoleArn or nodePools fields." in str(error)

    def test_a_node_role_goes_with_pools(self, eks: Auto, refused: Any) -> None:
        for pools in (None, []):
            wanted = {**eks.auto_wanted(), **switches(True, pools, eks.node_role)}
            error = refused("InvalidParameterException", eks.create, 400, **wanted)
            assert "nodePool value(s) must be provided." in str(error)
        for role in (eks.cluster_role, "arn:aws:iam::123456789012:role/none"):
            wanted = {**eks.auto_wanted(), **switches(True, ["system"], role)}
            refused("InvalidParameterException", eks.create, 400, **wanted)

    def test_the_cluster_role(self, eks: Auto, refused: Any) -> None:
        """https://docs.aws.amazon.com/eks/latest/userguide/auto-cluster-iam-role.html"""
        half = eks.role("half", "eks.amazonaws.com", policies=CLUSTER_POLICIES)
        error = refused("InvalidParameterException", eks.create, 400, **eks.auto_wanted(roleArn=half))
        assert "sts:TagSession" in str(error)
        actions = ("sts:AssumeRole", "sts:TagSession")
        poor = eks.role("poor", "eks.amazonaws.com", *actions, policies=CLUSTER_POLICIES[:3])
        error = refused("InvalidParameterException", eks.create, 400, **eks.auto_wanted(roleArn=poor))
        assert "attached: AmazonEKSLoadBalancingPolicy, AmazonEKSNetworkingPolicy" in str(error)


class TestUpdates:
    def there(self, eks: Auto, **more: Any) -> None:
        """A cluster that was made without Auto Mode, with a role that allows it."""
        eks.active(**{"roleArn": eks.auto_role, "accessConfig": {"authenticationMode": "API"}, **more})

    def test_on_and_off(self, eks: Auto, refused: Any) -> None:
        self.there(eks)
        on = switches(True, ["general-purpose"], eks.node_role)
        update = eks.config(**on)
        assert (update["type"], update["status"]) == ("AutoModeUpdate", "InProgress")
        said = {kind: json.loads(value) for kind, value in params(update).items()}
        assert said == {
            "ComputeConfig": on["computeConfig"],
            "StorageConfig": on["storageConfig"],
            "KubernetesNetworkConfig": on["kubernetesNetworkConfig"],
        }
        refused("ResourceInUseException", eks.config, 409, **OFF)
        there = eks.done(update)
        assert in_auto_mode(there) == (on["computeConfig"], on["storageConfig"], {"enabled": True})
        assert there["kubernetesNetworkConfig"]["serviceIpv4Cidr"] == "172.20.0.0/16"
        assert eks.node_role in eks.call("list_access_entries")["accessEntries"]
        refused("InvalidParameterException", eks.config, 400, **on)
        gone = eks.done(eks.config(**switches(False, [], None)))
        off = ({"enabled": False, "nodePools": []}, {"blockStorage": {"enabled": False}}, {"enabled": False})
        assert in_auto_mode(gone) == off

    def test_pools_change_and_the_role_does_not(self, eks: Auto, refused: Any) -> None:
        """https://docs.aws.amazon.com/eks/latest/userguide/set-builtin-node-pools.html"""
        eks.active(**eks.auto_wanted(["system"]))
        both = eks.done(eks.config(**switches(True, ["general-purpose", "system"], eks.node_role)))
        assert both["computeConfig"]["nodePools"] == ["general-purpose", "system"]
        other = eks.role("other", "ec2.amazonaws.com")
        error = refused("InvalidParameterException", eks.config, 400, **switches(True, ["system"], other))
        assert "nodeRoleArn cannot be changed" in str(error)
        refused("InvalidParameterException", eks.config, 400, **switches(True, ["system"]))
        none = eks.done(eks.config(**switches(True, [])))
        assert none["computeConfig"] == {"enabled": True, "nodePools": [], "nodeRoleArn": eks.node_role}

    @pytest.mark.parametrize(
        ("change", "code", "words"),
        [
            (OFF, "InvalidRequestException", "Auto Mode is not enabled on this cluster."),
            ({"computeConfig": {"nodePools": []}}, "InvalidParameterException", "update was not provided."),
            ({"computeConfig": {"enabled": False}}, "InvalidParameterException", "update was not provided."),
            (
                {"kubernetesNetworkConfig": {"elasticLoadBalancing": {"enabled": False}}},
                "InvalidParameterException",
                "update was not provided.",
            ),
            ({"computeConfig": {"enabled": True}}, "InvalidParameterException", ALL_OR_NONE),
            ({**OFF, "computeConfig": {"enabled": True}}, "InvalidParameterException", ALL_OR_NONE),
            ({**OFF, "deletionProtection": True}, "InvalidParameterException", "Only one type of update"),
        ],
    )
    def test_refused(self, eks: Auto, refused: Any, change: dict[str, Any], code: str, words: str) -> None:
        self.there(eks)
        error = refused(code, eks.config, 400, **change)
        assert words in error.response["Error"]["Message"]
        assert eks.cluster()["status"] == "ACTIVE"

    def test_what_the_cluster_lacks(self, eks: Auto, refused: Any) -> None:
        on = switches(True)
        self.there(eks, accessConfig={"authenticationMode": "CONFIG_MAP"})
        error = refused("InvalidParameterException", eks.config, 400, **on)
        assert "API_AND_CONFIG_MAP or API" in str(error)
        eks.done(eks.config(accessConfig={"authenticationMode": "API_AND_CONFIG_MAP"}))
        policy = "arn:aws:iam::aws:policy/AmazonEKSComputePolicy"
        eks.iam.detach_role_policy(RoleName="auto", PolicyArn=policy)
        error = refused("InvalidParameterException", eks.config, 400, **on)
        assert "attached: AmazonEKSComputePolicy" in str(error)
        eks.iam.attach_role_policy(RoleName="auto", PolicyArn=policy)
        assert eks.done(eks.config(**on))["computeConfig"] == {"enabled": True, "nodePools": []}
