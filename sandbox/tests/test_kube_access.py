"""Who is let in to a cluster, and what they may do there."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest
from conftest import Sandbox, until
from eks import trust, trusted_by_account
from kubernetes import ACCOUNT, Client, Kube, deployment, token

POLICY = "arn:aws:eks::aws:cluster-access-policy/"


@pytest.fixture
def kube(sandbox: Sandbox) -> Kube:
    made = Kube(sandbox)
    made.namespace()
    return made


def user(kube: Kube, name: str = "dev") -> dict[str, str]:
    """An IAM user with keys, as whom a token can be made."""
    kube.iam.create_user(UserName=name)
    key = kube.iam.create_access_key(UserName=name)["AccessKey"]
    return {"key": key["AccessKeyId"], "secret": key["SecretAccessKey"]}


def grant(kube: Kube, policy: str, *namespaces: str, name: str = "dev") -> None:
    principal = f"arn:aws:iam::{ACCOUNT}:user/{name}"
    kube.call("create_access_entry", principalArn=principal)
    scope = {"type": "namespace", "namespaces": list(namespaces)} if namespaces else {"type": "cluster"}
    kube.call("associate_access_policy", principalArn=principal, policyArn=POLICY + policy, accessScope=scope)


def why(answer: tuple[int, Any]) -> str:
    assert answer[0] == 401, answer
    assert (answer[1]["reason"], answer[1]["message"]) == ("Unauthorized", "Unauthorized")
    return answer[1]["details"]["causes"][0]["message"]


class TestAddress:
    def test_the_caller_is_at_one(self, kube: Kube) -> None:
        """Another kind of token is a pod's, which is inside, whatever the endpoint is open to."""
        pod = Client(kube.cluster(), "nonsense")
        kube.sandbox.configure(timeScale=200, callerAddress="203.0.113.7")
        for access, open_ in (
            ({"publicAccessCidrs": ["198.51.100.0/24"]}, False),
            ({"publicAccessCidrs": ["198.51.100.0/24", "203.0.113.7/32"]}, True),
            ({"endpointPublicAccess": False, "endpointPrivateAccess": True}, False),
        ):
            kube.client.update_cluster_config(name=kube.name, resourcesVpcConfig=access)
            until(lambda: kube.cluster()["status"] == "ACTIVE")
            outside = Client(kube.cluster(), token())
            if open_:
                assert outside("GET", "/version")[0] == 200
            else:
                with pytest.raises(OSError):
                    outside("GET", "/version")
            assert pod("GET", "/version")[0] == 401


class TestTokens:
    def test_of_the_sandbox_itself(self, kube: Kube) -> None:
        assert kube.api.get("/version")["minor"] == kube.cluster()["version"].partition(".")[2]

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({"cluster": "other"}, "the token is for another cluster than demo"),
            ({"secret": "guessed"}, "the signature is not right"),
            ({"key": "AKIAUNKNOWN"}, "the access key is not known"),
            ({"now": time.time() - 1000}, "the token has expired"),
        ],
    )
    def test_refused(self, kube: Kube, given: dict[str, Any], said: str) -> None:
        assert said in why(Client(kube.cluster(), token(**given))("GET", "/api/v1/namespaces"))

    def test_other_bearers(self, kube: Kube) -> None:
        forged = "k8s-aws-v1." + base64.urlsafe_b64encode(
            b"https://example.com/?Action=GetCallerIdentity"
        ).decode().rstrip("=")
        for bearer in ("", "nonsense", forged):
            assert Client(kube.cluster(), bearer)("GET", "/api/v1/namespaces")[0] == 401

    def test_without_an_entry(self, kube: Kube) -> None:
        keys = user(kube)
        assert "has no access entry" in why(Client(kube.cluster(), token(**keys))("GET", "/api/v1/namespaces"))

    def test_of_a_role_that_was_assumed(self, kube: Kube) -> None:
        role = kube.sandbox.client("iam").create_role(
            RoleName="deployer", AssumeRolePolicyDocument=trusted_by_account()
        )["Role"]["Arn"]
        taken = kube.sandbox.client("sts").assume_role(RoleArn=role, RoleSessionName="me")["Credentials"]
        keys = {"key": taken["AccessKeyId"], "secret": taken["SecretAccessKey"], "session": taken["SessionToken"]}
        kube.call("create_access_entry", principalArn=role)
        kube.call(
            "associate_access_policy",
            principalArn=role,
            policyArn=f"{POLICY}AmazonEKSClusterAdminPolicy",
            accessScope={"type": "cluster"},
        )
        client = Client(kube.cluster(), token(**keys))
        code, review = client("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {})
        assert (code, review["status"]["userInfo"]["username"]) == (
            201,
            f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/me",
        )

    def test_the_creator_without_entries(self, sandbox: Sandbox) -> None:
        assert Kube(sandbox, mode="CONFIG_MAP").api("GET", "/api/v1/nodes")[0] == 200


class TestRights:
    def test_an_entry_alone_allows_nothing(self, kube: Kube) -> None:
        keys = user(kube)
        kube.call("create_access_entry", principalArn=f"arn:aws:iam::{ACCOUNT}:user/dev")
        code, refused = Client(kube.cluster(), token(**keys))("GET", f"{kube.ns}/pods")
        assert (code, refused["message"]) == (
            403,
            f'pods is forbidden: User "arn:aws:iam::{ACCOUNT}:user/dev" cannot list resource "pods" in API group "" in the '
            'namespace "test"',
        )

    def test_views_and_edits(self, kube: Kube) -> None:
        keys = user(kube)
        grant(kube, "AmazonEKSViewPolicy")
        client = Client(kube.cluster(), token(**keys))
        assert client("GET", f"{kube.ns}/pods")[0] == 200
        assert client("GET", f"{kube.ns}/secrets")[0] == 403
        code, refused = client.apply(kube.deployment, deployment("x:1"))
        assert (code, refused["message"].partition(": ")[0]) == (403, 'deployments.apps "web" is forbidden')

    def test_in_namespaces(self, kube: Kube) -> None:
        keys = user(kube)
        grant(kube, "AmazonEKSEditPolicy", "te*")
        client = Client(kube.cluster(), token(**keys))
        assert client.apply(kube.deployment, deployment("x:1"))[0] == 201
        assert client("GET", "/api/v1/namespaces/default/pods")[0] == 403
        assert client("GET", "/api/v1/pods")[0] == 403
        assert client("GET", "/api/v1/nodes")[0] == 403

    def test_groups_by_roles(self, kube: Kube) -> None:
        keys = user(kube)
        kube.call("create_access_entry", principalArn=f"arn:aws:iam::{ACCOUNT}:user/dev", kubernetesGroups=["readers"])
        client = Client(kube.cluster(), token(**keys))
        assert client("GET", f"{kube.ns}/configmaps")[0] == 403
        rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]
        rbac = "rbac.authorization.k8s.io"
        kube.api("POST", kube.group(f"{rbac}/v1", "roles"), {"metadata": {"name": "r"}, "rules": rules})
        reference = {"apiGroup": rbac, "kind": "Role", "name": "r"}
        subjects = [{"kind": "Group", "name": "readers"}]
        kube.api(
            "POST",
            kube.group(f"{rbac}/v1", "rolebindings"),
            {"metadata": {"name": "r"}, "roleRef": reference, "subjects": subjects},
        )
        assert client("GET", f"{kube.ns}/configmaps")[0] == 200
        assert client("GET", f"{kube.ns}/pods")[0] == 403


class TestLife:
    def test_two_clusters_are_two(self, sandbox: Sandbox) -> None:
        kube = Kube(sandbox)
        kube.namespace()
        first, kube.name = kube.cluster(), "second"
        kube.active(accessConfig={"authenticationMode": "API"})
        second = Client(kube.cluster(), token("second"))
        assert second("GET", kube.ns)[0] == 404
        assert second("GET", "/api/v1/namespaces")[0] == 200
        assert first["endpoint"] != kube.cluster()["endpoint"]

    def test_it_ends_with_the_cluster(self, kube: Kube) -> None:
        kube.client.delete_cluster(name="demo")
        kube.gone(kube.cluster)
        with pytest.raises(OSError):
            kube.api("GET", "/version")

    def test_and_with_a_reset(self, kube: Kube) -> None:
        assert kube.sandbox.ext("POST", "reset")[0] == 200
        with pytest.raises(OSError):
            kube.api("GET", "/version")


def test_a_pods_role_is_trusted_by_its_token_alone(kube: Kube, refused: Any) -> None:
    role = kube.iam.create_role(RoleName="app", AssumeRolePolicyDocument=trust("ec2.amazonaws.com"))["Role"]["Arn"]
    sts = kube.sandbox.client("sts")
    refused(
        "InvalidIdentityToken",
        sts.assume_role_with_web_identity,
        RoleArn=role,
        RoleSessionName="pod",
        WebIdentityToken="a.b.c",
    )
