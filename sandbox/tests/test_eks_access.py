"""Who may do what in a cluster: access entries, their policies, and pod identity associations."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Sandbox
from eks import TAGS, Eks, trust

ACCOUNT = "123456789012"
CALLER = f"arn:aws:iam::{ACCOUNT}:user/sandbox"
POLICY = "arn:aws:eks::aws:cluster-access-policy/"
ADMIN, VIEW = f"{POLICY}AmazonEKSClusterAdminPolicy", f"{POLICY}AmazonEKSViewPolicy"
CLUSTER: dict[str, Any] = {"type": "cluster"}


class Access(Eks):
    def __init__(self, sandbox: Sandbox, **config: Any):
        super().__init__(sandbox)
        config = config or {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": False}
        self.active(accessConfig=config)
        self.admins = self.role("admins", "ec2.amazonaws.com")

    def entry(self, principal: str | None = None, **more: Any) -> dict[str, Any]:
        made = self.call("create_access_entry", principalArn=principal or self.admins, **more)
        return made["accessEntry"]

    def described(self, principal: str | None = None) -> dict[str, Any]:
        return self.call("describe_access_entry", principalArn=principal or self.admins)["accessEntry"]

    def entries(self, **more: Any) -> list[str]:
        return self.call("list_access_entries", **more)["accessEntries"]

    def associate(self, policy: str = ADMIN, scope: dict[str, Any] = CLUSTER, **more: Any) -> dict[str, Any]:
        wanted = {"principalArn": self.admins, "policyArn": policy, "accessScope": scope, **more}
        return self.call("associate_access_policy", **wanted)["associatedAccessPolicy"]

    def policies(self, principal: str | None = None) -> dict[str, dict[str, Any]]:
        found = self.call("list_associated_access_policies", principalArn=principal or self.admins)
        return {one["policyArn"]: one["accessScope"] for one in found["associatedAccessPolicies"]}


@pytest.fixture
def eks(sandbox: Sandbox) -> Access:
    return Access.again(sandbox)


class TestEntries:
    def test_of_a_role(self, eks: Access, refused: Any) -> None:
        made = eks.entry(tags=TAGS, kubernetesGroups=["deployers"])
        assert made["accessEntryArn"].startswith(
            f"arn:aws:eks:eu-central-1:{ACCOUNT}:access-entry/demo/role/{ACCOUNT}/admins/"
        )
        assert made["username"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/admins/{{{{SessionName}}}}"
        assert (made["type"], made["kubernetesGroups"], made["tags"]) == ("STANDARD", ["deployers"], TAGS)
        assert eks.described() == made
        assert (eks.entries(), eks.resources("eks:access-entry")) == ([eks.admins], [made["accessEntryArn"]])
        error = refused("ResourceInUseException", eks.entry, 409)
        words = "The specified access entry resource is already in use on this cluster."
        assert error.response["Error"]["Message"] == words
        eks.call("delete_access_entry", principalArn=eks.admins)
        assert (eks.entries(), eks.resources("eks:access-entry")) == ([], [])
        error = refused("ResourceNotFoundException", eks.described, 404)
        assert "The specified principalArn could not be found." in str(error)
        delete = eks.client.delete_access_entry
        refused("ResourceNotFoundException", delete, 404, clusterName="demo", principalArn=eks.admins)

    def test_of_a_role_with_a_path(self, eks: Access) -> None:
        made = eks.iam.create_role(RoleName="deep", Path="/a/b/", AssumeRolePolicyDocument=trust("ec2.amazonaws.com"))
        entry = eks.entry(made["Role"]["Arn"])
        assert f":access-entry/demo/role/{ACCOUNT}/deep/" in entry["accessEntryArn"]
        assert entry["username"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/deep/{{{{SessionName}}}}"

    def test_of_others(self, eks: Access) -> None:
        user = eks.iam.create_user(UserName="ann")["User"]["Arn"]
        assert eks.entry(user)["username"] == user
        elsewhere = "arn:aws:iam::210987654321:role/theirs"
        assert eks.entry(elsewhere)["principalArn"] == elsewhere
        assert eks.entry(CALLER, username="me")["username"] == "me"

    def test_of_nodes(self, eks: Access, refused: Any) -> None:
        made = eks.entry(type="EC2_LINUX")
        assert (made["username"], made["kubernetesGroups"]) == ("system:node:{{EC2PrivateDNSName}}", ["system:nodes"])
        refused("InvalidRequestException", eks.associate, 400)
        update = eks.client.update_access_entry
        refused("InvalidRequestException", update, clusterName="demo", principalArn=eks.admins, kubernetesGroups=["a"])

    @pytest.mark.parametrize(
        ("wrong", "words"),
        [
            ({"principal": "unknown"}, "invalid principal"),
            ({"principal": f"arn:aws:iam::{ACCOUNT}:role/none"}, "invalid principal"),
            ({"principal": f"arn:aws:sts::{ACCOUNT}:assumed-role/admins/ann"}, "invalid principal"),
            ({"kubernetesGroups": ["system:masters"]}, "system:masters is invalid, it cannot start with system:"),
            ({"username": "eks:me"}, "eks:me is invalid, it cannot start with eks:"),
            ({"type": "EC2_LINUX", "kubernetesGroups": ["a"]}, "cannot be specified for type EC2_LINUX"),
            ({"type": "ROBOT"}, "ROBOT"),
        ],
    )
    def test_refused(self, eks: Access, refused: Any, wrong: dict[str, Any], words: str) -> None:
        error = refused("InvalidParameterException", eks.entry, 400, **wrong)
        assert words in error.response["Error"]["Message"]
        assert eks.entries() == []

    def test_update(self, eks: Access, refused: Any) -> None:
        made = eks.entry(kubernetesGroups=["a"])

        def update(**change: Any) -> dict[str, Any]:
            return eks.call("update_access_entry", principalArn=eks.admins, **change)["accessEntry"]

        changed = update(kubernetesGroups=["b", "c"])
        assert (changed["kubernetesGroups"], changed["username"]) == (["b", "c"], made["username"])
        assert changed["modifiedAt"] >= made["modifiedAt"]
        assert update(username="boss", kubernetesGroups=[])["kubernetesGroups"] == []
        assert eks.described()["username"] == "boss"
        refused("InvalidParameterException", update, kubernetesGroups=["system:masters"])

    def test_one_token_one_entry(self, eks: Access, refused: Any) -> None:
        first = eks.entry(clientRequestToken="once")
        assert eks.entry(clientRequestToken="once")["accessEntryArn"] == first["accessEntryArn"]
        refused("ResourceInUseException", eks.entry, clientRequestToken="twice")

    def test_pages(self, eks: Access) -> None:
        roles = [eks.role(f"r{n}", "ec2.amazonaws.com") for n in range(5)]
        for role in roles:
            eks.entry(role)
        pages = list(eks.client.get_paginator("list_access_entries").paginate(clusterName="demo", maxResults=2))
        assert [page["accessEntries"] for page in pages] == [roles[:2], roles[2:4], roles[4:]]


class TestCreator:
    @pytest.mark.parametrize("mode", ["API", "API_AND_CONFIG_MAP"])
    def test_is_an_admin(self, sandbox: Sandbox, mode: str) -> None:
        eks = Access.again(sandbox, authenticationMode=mode)
        assert eks.entries() == [CALLER]
        assert eks.policies(CALLER) == {ADMIN: {"type": "cluster", "namespaces": []}}

    def test_not_if_told_so(self, eks: Access) -> None:
        assert eks.entries() == []

    def test_has_no_entry_before_there_are_entries(self, sandbox: Sandbox, refused: Any) -> None:
        eks = Access.again(sandbox, authenticationMode="CONFIG_MAP")
        for call in (eks.entry, eks.described, eks.entries, eks.associate):
            error = refused("InvalidRequestException", call, 400)
            assert "authentication mode must be set to one of [API, API_AND_CONFIG_MAP]" in str(error)
        eks.client.update_cluster_config(name="demo", accessConfig={"authenticationMode": "API_AND_CONFIG_MAP"})
        eks.has("ACTIVE", eks.cluster)
        assert eks.entries() == [CALLER]


class TestPolicies:
    def test_what_there_is(self, eks: Access) -> None:
        found = {one["name"]: one["arn"] for one in eks.client.list_access_policies()["accessPolicies"]}
        assert found["AmazonEKSClusterAdminPolicy"] == ADMIN
        assert {"AmazonEKSAdminPolicy", "AmazonEKSEditPolicy", "AmazonEKSViewPolicy"} <= set(found)

    def test_associated_and_not(self, eks: Access, refused: Any) -> None:
        eks.entry()
        first = eks.associate()
        assert first["accessScope"] == {"type": "cluster", "namespaces": []}
        eks.associate(VIEW, {"type": "namespace", "namespaces": ["apps", "team-*"]})
        assert eks.policies() == {
            ADMIN: {"type": "cluster", "namespaces": []},
            VIEW: {"type": "namespace", "namespaces": ["apps", "team-*"]},
        }
        again = eks.associate(ADMIN, {"type": "namespace", "namespaces": ["apps"]})
        assert (again["associatedAt"], again["accessScope"]["type"]) == (first["associatedAt"], "namespace")
        assert eks.entries(associatedPolicyArn=VIEW) == [eks.admins]
        assert eks.entries(associatedPolicyArn=f"{POLICY}x") == []
        gone = {"principalArn": eks.admins, "policyArn": ADMIN}
        eks.call("disassociate_access_policy", **gone)
        assert list(eks.policies()) == [VIEW]
        refused("ResourceNotFoundException", eks.client.disassociate_access_policy, 404, clusterName="demo", **gone)

    def test_gone_with_the_entry(self, eks: Access) -> None:
        eks.entry()
        eks.associate()
        eks.call("delete_access_entry", principalArn=eks.admins)
        eks.entry()
        assert eks.policies() == {}

    @pytest.mark.parametrize(
        ("policy", "scope"),
        [
            (f"{POLICY}MadeUp", CLUSTER),
            ("arn:aws:iam::aws:policy/AdministratorAccess", CLUSTER),
            (ADMIN, {"type": "namespace"}),
            (ADMIN, {"type": "namespace", "namespaces": []}),
            (ADMIN, {"type": "cluster", "namespaces": ["apps"]}),
            (ADMIN, {"type": "world"}),
        ],
    )
    def test_refused(self, eks: Access, refused: Any, policy: str, scope: dict[str, Any]) -> None:
        eks.entry()
        refused("InvalidParameterException", eks.associate, 400, policy=policy, scope=scope)
        assert eks.policies() == {}

    def test_needs_an_entry(self, eks: Access, refused: Any) -> None:
        refused("ResourceNotFoundException", eks.associate, 404)


class Pods(Access):
    def pod_role(self, name: str) -> str:
        return self.role(name, "pods.eks.amazonaws.com", "sts:AssumeRole", "sts:TagSession")

    def association(self, role: str, account: str = "app", namespace: str = "apps", **more: Any) -> dict[str, Any]:
        wanted = {"namespace": namespace, "serviceAccount": account, "roleArn": role, **more}
        return self.call("create_pod_identity_association", **wanted)["association"]

    def listed(self, **asked: Any) -> list[tuple[str, str]]:
        found = self.call("list_pod_identity_associations", **asked)["associations"]
        return [(one["namespace"], one["serviceAccount"]) for one in found]


@pytest.fixture
def pods(sandbox: Sandbox) -> Pods:
    return Pods.again(sandbox)


class TestPodIdentity:
    def test_life(self, pods: Pods, refused: Any) -> None:
        one, two = pods.pod_role("one"), pods.pod_role("two")
        made = pods.association(one, tags=TAGS)
        id_ = made["associationId"]
        assert (len(id_), id_[:2]) == (19, "a-")
        arn = f"arn:aws:eks:eu-central-1:{ACCOUNT}:podidentityassociation/demo/{id_}"
        assert (made["associationArn"], made["roleArn"], made["disableSessionTags"]) == (arn, one, False)
        assert pods.call("describe_pod_identity_association", associationId=id_)["association"] == made
        assert pods.resources("eks:podidentityassociation") == [arn]
        error = refused("ResourceInUseException", pods.association, 409, role=two)
        assert error.response["Error"]["Message"] == f"Association already exists: {id_}"
        change = {"associationId": id_, "roleArn": two, "disableSessionTags": True}
        changed = pods.call("update_pod_identity_association", **change)["association"]
        assert (changed["roleArn"], changed["disableSessionTags"]) == (two, True)
        assert pods.call("delete_pod_identity_association", associationId=id_)["association"]["associationArn"] == arn
        assert (pods.listed(), pods.resources("eks:podidentityassociation")) == ([], [])
        for call in (pods.client.describe_pod_identity_association, pods.client.delete_pod_identity_association):
            refused("ResourceNotFoundException", call, 404, clusterName="demo", associationId=id_)
            error = refused("InvalidParameterException", call, clusterName="demo", associationId="a-1")
            assert "should be 19 characters long" in str(error)

    def test_listed(self, pods: Pods) -> None:
        role = pods.pod_role("pod")
        for namespace, account in (("a", "x"), ("a", "y"), ("b", "x")):
            pods.association(role, account, namespace)
        assert pods.listed() == [("a", "x"), ("a", "y"), ("b", "x")]
        assert pods.listed(namespace="a") == [("a", "x"), ("a", "y")]
        assert pods.listed(namespace="a", serviceAccount="x") == [("a", "x")]
        pages = pods.client.get_paginator("list_pod_identity_associations").paginate(clusterName="demo", maxResults=2)
        assert [len(page["associations"]) for page in pages] == [2, 1]

    def test_roles_are_checked(self, pods: Pods, refused: Any) -> None:
        half = pods.role("half", "pods.eks.amazonaws.com", "sts:AssumeRole")
        whole = pods.pod_role("whole")
        for role in (half, pods.admins, f"arn:aws:iam::{ACCOUNT}:role/none"):
            error = refused("InvalidParameterException", pods.association, 400, role=role)
            assert "role" in str(error).lower()
        id_ = pods.association(whole)["associationId"]
        update = pods.client.update_pod_identity_association
        refused("InvalidParameterException", update, clusterName="demo", associationId=id_, roleArn=half)

    def test_one_token_one_association(self, pods: Pods) -> None:
        role = pods.pod_role("pod")
        first = pods.association(role, clientRequestToken="once")
        assert pods.association(role, clientRequestToken="once")["associationId"] == first["associationId"]

    def test_one_for_an_account_of_each_namespace(self, pods: Pods) -> None:
        role = pods.pod_role("pod")
        pods.association(role, "app", "one")
        pods.association(role, "app", "two")
        assert len(pods.listed()) == 2
