"""Fargate profiles."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Sandbox
from eks import TAGS, Eks
from network import Network

SELECTORS = [{"namespace": "apps", "labels": {"tier": "web"}}]


class Fargate(Eks):
    def __init__(self, sandbox: Sandbox):
        super().__init__(sandbox)
        self.active(accessConfig={"authenticationMode": "API"})
        self.pod_role = self.role("pods", "eks-fargate-pods.amazonaws.com")

    def profile_wanted(self, name: str = "apps", **more: Any) -> dict[str, Any]:
        basis = {"podExecutionRoleArn": self.pod_role, "subnets": self.subnets[:2], "selectors": SELECTORS}
        return {"fargateProfileName": name, **basis, **more}

    def profile(self, name: str = "apps", **more: Any) -> dict[str, Any]:
        return self.call("create_fargate_profile", **self.profile_wanted(name, **more))["fargateProfile"]

    def there(self, name: str = "apps", **more: Any) -> dict[str, Any]:
        self.profile(name, **more)
        return self.has("ACTIVE", lambda: self.described(name))

    def described(self, name: str = "apps") -> dict[str, Any]:
        return self.call("describe_fargate_profile", fargateProfileName=name)["fargateProfile"]

    def names(self) -> list[str]:
        return self.call("list_fargate_profiles")["fargateProfileNames"]


@pytest.fixture
def fargate(sandbox: Sandbox) -> Fargate:
    return Fargate.again(sandbox)


class TestMaking:
    def test_life(self, fargate: Fargate, refused: Any) -> None:
        made = fargate.profile(tags=TAGS)
        assert made["status"] == "CREATING"
        arn = "arn:aws:eks:eu-central-1:123456789012:fargateprofile/demo/apps/"
        assert made["fargateProfileArn"].startswith(arn)
        assert fargate.has("ACTIVE", fargate.described) == {**made, "status": "ACTIVE"}
        assert (made["selectors"], made["subnets"], made["tags"]) == (SELECTORS, fargate.subnets[:2], TAGS)
        assert fargate.names() == ["apps"]
        assert fargate.resources("eks:fargateprofile") == [made["fargateProfileArn"]]
        answer = fargate.call("delete_fargate_profile", fargateProfileName="apps")
        assert answer["fargateProfile"]["status"] == "DELETING"
        assert fargate.described()["status"] == "DELETING"
        fargate.gone(fargate.described)
        assert (fargate.names(), fargate.resources("eks:fargateprofile")) == ([], [])
        error = refused("ResourceNotFoundException", fargate.described, 404)
        assert "No Fargate Profile found with name: apps." in str(error)

    def test_of_the_cluster_if_no_subnets_are_named(self, fargate: Fargate) -> None:
        wanted = fargate.profile_wanted()
        wanted.pop("subnets")
        made = fargate.call("create_fargate_profile", **wanted)["fargateProfile"]
        assert made["subnets"] == fargate.subnets[:2]

    def test_a_repeated_call_makes_one(self, fargate: Fargate, refused: Any) -> None:
        first = fargate.profile(clientRequestToken="once")
        assert fargate.profile(clientRequestToken="once")["fargateProfileArn"] == first["fargateProfileArn"]
        other = fargate.profile_wanted(clientRequestToken="once", selectors=[{"namespace": "other"}])
        refused("InvalidParameterException", fargate.client.create_fargate_profile, clusterName="demo", **other)
        assert fargate.names() == ["apps"]

    def test_one_at_a_time(self, fargate: Fargate, refused: Any) -> None:
        fargate.profile("one")
        error = refused("ResourceInUseException", fargate.profile, 409, name="two")
        words = "because cluster demo currently has Fargate profile one in status CREATING"
        assert f"Cannot create Fargate Profile two {words}" in str(error)
        fargate.has("ACTIVE", lambda: fargate.described("one"))
        fargate.profile("two")
        delete = fargate.client.delete_fargate_profile
        refused("ResourceInUseException", delete, clusterName="demo", fargateProfileName="one")
        fargate.has("ACTIVE", lambda: fargate.described("two"))
        delete(clusterName="demo", fargateProfileName="one")
        error = refused("ResourceInUseException", delete, clusterName="demo", fargateProfileName="two")
        assert "Fargate profile one in status DELETING" in str(error)
        refused("ResourceInUseException", fargate.profile, name="three")
        fargate.gone(lambda: fargate.described("one"))
        delete(clusterName="demo", fargateProfileName="two")

    def test_the_name_is_taken(self, fargate: Fargate, refused: Any) -> None:
        fargate.there()
        error = refused("ResourceInUseException", fargate.profile, 409)
        assert "already exists" in str(error)

    def test_its_role_has_an_entry(self, fargate: Fargate) -> None:
        fargate.there("one")
        entry = fargate.call("describe_access_entry", principalArn=fargate.pod_role)["accessEntry"]
        assert (entry["type"], entry["kubernetesGroups"]) == ("FARGATE_LINUX", ["system:nodes"])
        fargate.there("two")
        for name, entries in (("one", [fargate.pod_role]), ("two", [])):
            fargate.call("delete_fargate_profile", fargateProfileName=name)
            fargate.gone(lambda name=name: fargate.described(name))
            left = fargate.call("list_access_entries")["accessEntries"]
            assert [arn for arn in left if arn == fargate.pod_role] == entries

    def test_not_there(self, fargate: Fargate, refused: Any) -> None:
        client, names = fargate.client, {"clusterName": "demo", "fargateProfileName": "none"}
        for call in (client.describe_fargate_profile, client.delete_fargate_profile):
            refused("ResourceNotFoundException", call, 404, **names)
        error = refused("ResourceNotFoundException", client.list_fargate_profiles, 404, clusterName="none")
        assert "No cluster found for name: none." in str(error)

    def test_a_cluster_that_has_one_stays(self, fargate: Fargate, refused: Any) -> None:
        fargate.there()
        refused("ResourceInUseException", fargate.client.delete_cluster, 409, name="demo")

    def test_what_is_wrong_with_it(self, fargate: Fargate) -> None:
        fargate.there()
        issue = {"code": "PodExecutionRoleAlreadyInUse", "message": "in use", "resourceIds": ["r"]}
        fargate.troubled({"on": "fargateprofile/apps", **issue})
        assert fargate.described()["health"]["issues"] == [issue]
        fargate.troubled({"on": "fargateprofile/apps", "status": "CREATE_FAILED"})
        assert fargate.described()["status"] == "CREATE_FAILED"
        fargate.troubled()
        assert (fargate.described()["status"], fargate.described()["health"]["issues"]) == ("ACTIVE", [])


class TestRefusals:
    @pytest.mark.parametrize(
        ("wrong", "words"),
        [
            ({"name": "eks-apps"}, "eks-"),
            ({"name": "-apps"}, "fargateProfileName"),
            ({"name": "a" * 101}, "fargateProfileName"),
            ({"selectors": []}, "selector"),
            ({"selectors": [{"namespace": f"n{n}"} for n in range(6)]}, "selector"),
            ({"selectors": [{"labels": {"a": "b"}}]}, "namespace"),
            ({"selectors": [{"namespace": ""}]}, "namespace"),
            ({"selectors": [{"namespace": "Not_A_Name"}]}, "namespace"),
            ({"selectors": [{"namespace": "a" * 64}]}, "namespace"),
            ({"selectors": [{"namespace": "a", "labels": {str(n): "x" for n in range(6)}}]}, "labels"),
            ({"podExecutionRoleArn": "arn:aws:iam::123456789012:role/none"}, "PodExecutionRole"),
            ({"subnets": ["subnet-0123456789abcdef0"]}, "subnet-0123456789abcdef0"),
        ],
    )
    def test_invalid(self, fargate: Fargate, refused: Any, wrong: dict[str, Any], words: str) -> None:
        error = refused("InvalidParameterException", fargate.profile, 400, **wrong)
        assert words in error.response["Error"]["Message"]
        assert fargate.names() == []

    @pytest.mark.parametrize("namespace", ["apps-*", "prod?", "*"])
    def test_a_namespace_may_have_wildcards(self, fargate: Fargate, namespace: str) -> None:
        fargate.profile(selectors=[{"namespace": namespace}])

    def test_a_role_that_trusts_another_service(self, fargate: Fargate, refused: Any) -> None:
        role = fargate.role("other", "ec2.amazonaws.com")
        error = refused("InvalidParameterException", fargate.profile, podExecutionRoleArn=role)
        assert "Misconfigured PodExecutionRole Trust Policy" in str(error)

    def test_private_subnets_only(self, fargate: Fargate, refused: Any) -> None:
        network, ec2 = fargate.network, fargate.ec2
        private, public = network.route_table(), network.route_table()
        network.gateway_endpoint([private])
        gateway = network.internet_gateway()
        ec2.create_route(RouteTableId=public, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
        ec2.associate_route_table(RouteTableId=private, SubnetId=network.subnets[0])
        ec2.associate_route_table(RouteTableId=public, SubnetId=network.subnets[1])
        error = refused("InvalidParameterException", fargate.profile)
        message = f"Subnet {network.subnets[1]} provided in Fargate Profile is not a private subnet"
        assert message in str(error)
        fargate.there(subnets=network.subnets[:1])

    def test_the_main_route_table_counts(self, fargate: Fargate, refused: Any) -> None:
        network, ec2 = fargate.network, fargate.ec2
        gateway, main = network.internet_gateway(), network.main_table()
        ec2.replace_route(RouteTableId=main, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
        refused("InvalidParameterException", fargate.profile)

    def test_another_network(self, fargate: Fargate, refused: Any) -> None:
        subnet = Network(fargate.ec2, "10.1.0.0/16").subnets[0]
        refused("InvalidParameterException", fargate.profile, subnets=[subnet])

    def test_a_cluster_on_its_way(self, sandbox: Sandbox, refused: Any) -> None:
        eks = Eks.again(sandbox)
        eks.create()
        role = eks.role("pods", "eks-fargate-pods.amazonaws.com")
        wanted = {"fargateProfileName": "a", "podExecutionRoleArn": role, "selectors": SELECTORS}
        error = refused("InvalidRequestException", eks.client.create_fargate_profile, clusterName="demo", **wanted)
        assert "not in ACTIVE" in str(error)
