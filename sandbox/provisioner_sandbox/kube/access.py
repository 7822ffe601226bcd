"""Who calls, and what they may: EKS's access entries and policies, and Kubernetes' roles.

https://docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from provisioner_sandbox import whereabouts
from provisioner_sandbox.backend import ACCOUNT
from provisioner_sandbox.caller import principal_of
from provisioner_sandbox.key_pairs import key_pairs
from provisioner_sandbox.kube import resources, status, tokens
from provisioner_sandbox.kube.certificates import Signer
from provisioner_sandbox.kube.store import Store
from provisioner_sandbox.services.eks.state import eks_state

POLICY = "arn:aws:eks::aws:cluster-access-policy/"
MASTERS = "system:masters"
EVERYWHERE = "0.0.0.0/0"
STRANGER = (
    "; for other users than the one who started the sandbox only the keys count that "
    '`eval "$(provisioner sandbox env)"` sets for that user'
)
READS = ["get", "list", "watch"]
WRITES = ["create", "delete", "deletecollection", "patch", "update"]
ALL = ["*"]
VIEWED = [
    ("", ["configmaps", "events", "namespaces", "pods", "pods/log", "pods/status", "resourcequotas", "serviceaccounts",
          "services", "services/status"]),
    ("apps", ["deployments", "deployments/scale", "deployments/status", "replicasets", "replicasets/scale",
              "replicasets/status"]),
    ("autoscaling", ["horizontalpodautoscalers", "horizontalpodautoscalers/status"]),
    ("batch", ["cronjobs", "cronjobs/status", "jobs", "jobs/status"]),
    ("discovery.k8s.io", ["endpointslices"]),
    ("networking.k8s.io", ["ingresses", "ingresses/status", "networkpolicies"]),
    ("policy", ["poddisruptionbudgets", "poddisruptionbudgets/status"]),
]  # fmt: skip
EDITED = [
    ("", ["configmaps", "events", "pods", "secrets", "serviceaccounts", "services"]),
    ("apps", ["deployments", "deployments/scale", "replicasets", "replicasets/scale"]),
    ("autoscaling", ["horizontalpodautoscalers"]),
    ("batch", ["cronjobs", "jobs"]),
    ("coordination.k8s.io", ["leases"]),
    ("networking.k8s.io", ["ingresses", "networkpolicies"]),
    ("policy", ["poddisruptionbudgets"]),
]
RBAC = resources.RBAC


def rules(pairs: list[tuple[str, list[str]]], verbs: list[str]) -> list[dict[str, Any]]:
    return [{"apiGroups": [group], "resources": names, "verbs": verbs} for group, names in pairs]


EVERYTHING = [{"apiGroups": ALL, "resources": ALL, "verbs": ALL}, {"nonResourceURLs": ALL, "verbs": ALL}]
VIEW = rules(VIEWED, READS)
EDIT = [*VIEW, *rules(EDITED, READS + WRITES), *rules([("", ["pods/eviction"])], ["create"])]
ADMIN = [*EDIT, *rules([(RBAC, ["roles", "rolebindings"])], READS + WRITES)]
CLUSTER_ROLES = {"cluster-admin": EVERYTHING, "admin": ADMIN, "edit": EDIT, "view": VIEW}
POLICIES = {
    "AmazonEKSClusterAdminPolicy": EVERYTHING,
    "AmazonEKSAdminPolicy": ADMIN,
    "AmazonEKSEditPolicy": EDIT,
    "AmazonEKSViewPolicy": VIEW,
    "AmazonEKSAdminViewPolicy": [{"apiGroups": ALL, "resources": ALL, "verbs": READS}],
    "AmazonEKSSecretReaderPolicy": rules([("", ["secrets"])], READS),
}


@dataclass
class User:
    name: str
    groups: list[str] = field(default_factory=list)
    uid: str = ""
    # Access policies: the rules, and the namespaces that they are for; none is the cluster.
    policies: list[tuple[list[dict[str, Any]], list[str] | None]] = field(default_factory=list)


ROOT = User("system:admin", [MASTERS])


@dataclass(frozen=True)
class Attributes:
    """The attributes of a request that has to be authorized."""

    verb: str
    group: str
    plural: str
    subresource: str = ""
    namespace: str = ""
    name: str = ""

    @property
    def resource(self) -> str:
        return f"{self.plural}/{self.subresource}" if self.subresource else self.plural


class OutOfReach(Exception):
    """The API server is not open to where the caller is."""


@dataclass
class Gate:
    """Of one cluster. `guard` is held while AWS's state is read."""

    region: str
    cluster: str
    guard: Any
    store: Store
    signer: Callable[[], Signer]
    endpoint: Callable[[], str]

    def version(self) -> str:
        """The cluster's, as EKS says it."""
        with self.guard:
            cluster = eks_state(self.region).clusters.get(self.cluster)
            return cluster.doc["version"] if cluster else "1.35"

    def is_reached(self) -> bool:
        """By people, who call from outside: what has a service account's token is in the VPC."""
        cluster = eks_state(self.region).clusters.get(self.cluster)
        network = cluster.doc["resourcesVpcConfig"] if cluster else {}
        blocks = network.get("publicAccessCidrs") or [EVERYWHERE]
        public = network.get("endpointPublicAccess", True) or not whereabouts.CALLER
        return public and whereabouts.inside(blocks)

    def user(self, header: str, is_own: bool) -> User:
        """Returns the user that an Authorization header identifies. Raises `Refused`.

        The sandbox's AWS services accept any key and check no signature of the user who runs it. Here the signature is
        what ties a token to its cluster, so that a key whose secret is unknown is rejected. `is_own`: that user calls.
        """
        kind, _, token = header.partition(" ")
        if kind.lower() != "bearer" or not token:
            raise status.unauthorized("no bearer token")
        token = token.strip()
        if not token.startswith(tokens.PREFIX):
            return self.account(token)
        with self.guard:
            if not self.is_reached():
                raise OutOfReach
            known = key_pairs(self.region, well_known=is_own)
            try:
                arn = tokens.verify(
                    token, cluster=self.cluster, region=self.region, credentials=known, now=time.time(),
                    sts=self.endpoint(),
                )  # fmt: skip
            except tokens.Refused as refused:
                raise status.unauthorized(f"{refused}{'' if is_own else STRANGER}") from None
            return self.of_entry(arn)

    def of_entry(self, arn: str) -> User:
        cluster = eks_state(self.region).clusters.get(self.cluster)
        # An access entry names a role; who assumed it is known by the session's ARN.
        who, session = principal_of(arn)
        if cluster is None:
            raise status.unauthorized("the cluster was deleted")
        groups = ["system:authenticated"]
        if (
            cluster.doc["accessConfig"]["authenticationMode"] == "CONFIG_MAP"
            and cluster.creator_is_admin
            and who == cluster.creator
        ):
            return User("kubernetes-admin", [MASTERS, *groups])
        entry = cluster.entries.get(who)
        if entry is None or entry.doc["type"] not in ("STANDARD", "EC2"):
            raise status.unauthorized(f"{who} has no access entry")
        # As in STS's session names, what Kubernetes does not take in a name becomes a dash.
        name = entry.doc["username"].replace("{{SessionName}}", session.replace("@", "-"))
        user = User(name, [*entry.doc["kubernetesGroups"], *groups], f"aws-iam-authenticator:{ACCOUNT}:{who}")
        for policy_arn, document in entry.policies.items():
            scope = document["accessScope"]
            granted = POLICIES.get(policy_arn.removeprefix(POLICY), [])
            user.policies.append((granted, None if scope["type"] == "cluster" else scope["namespaces"]))
        return user

    def account(self, token: str) -> User:
        claims = self.signer().claims(token)
        if claims is None:
            raise status.unauthorized("the token is not one of this cluster, or has expired")
        _, _, namespace, name = claims["sub"].split(":")
        account = self.store.get(resources.SERVICE_ACCOUNTS, namespace, name)
        if account is None:
            raise status.unauthorized("the service account was deleted")
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
        return User(claims["sub"], groups, account["metadata"]["uid"])

    def allows(self, user: User, wanted: Attributes) -> bool:
        if MASTERS in user.groups:
            return True
        for granted, namespaces in user.policies:
            within = namespaces is None or any(
                fnmatchcase(wanted.namespace, one) for one in namespaces if wanted.namespace
            )
            if within and grants(granted, wanted):
                return True
        return self.by_roles(user, wanted)

    def by_roles(self, user: User, wanted: Attributes) -> bool:
        bindings = [(binding, "") for binding in self.store.list(resources.CLUSTER_ROLE_BINDINGS)]
        if wanted.namespace:
            bindings += [(one, wanted.namespace) for one in self.store.list(resources.ROLE_BINDINGS, wanted.namespace)]
        for binding, namespace in bindings:
            if any(is_subject(one, user, namespace) for one in binding.get("subjects", [])):
                reference = binding["roleRef"]
                role = self.store.get(
                    resources.ROLES if reference["kind"] == "Role" else resources.CLUSTER_ROLES,
                    namespace if reference["kind"] == "Role" else "",
                    reference["name"],
                )
                if role is not None and grants(role.get("rules") or [], wanted):
                    return True
        return False

    def demand(self, user: User, wanted: Attributes) -> None:
        """Raises `Refused` in Kubernetes' words."""
        if self.allows(user, wanted):
            return
        where = f'in the namespace "{wanted.namespace}"' if wanted.namespace else "at the cluster scope"
        why = f'User "{user.name}" cannot {wanted.verb} resource "{wanted.resource}" in API group "{wanted.group}" {where}'
        raise status.forbidden(wanted.plural, wanted.group, wanted.name, why)


def grants(granted: list[dict[str, Any]], wanted: Attributes) -> bool:
    for rule in granted:
        kinds = rule.get("resources") or []
        matches = (
            wanted.resource in kinds or "*" in kinds or (wanted.subresource and f"*/{wanted.subresource}" in kinds)
        )
        if not matches or not {"*", wanted.verb} & set(rule.get("verbs") or []):
            continue
        if not {"*", wanted.group} & set(rule.get("apiGroups") or []):
            continue
        names = rule.get("resourceNames")
        if not names or (wanted.name and wanted.name in names):
            return True
    return False


def is_subject(subject: dict[str, Any], user: User, namespace: str) -> bool:
    if subject["kind"] == "User":
        return subject["name"] == user.name
    if subject["kind"] == "Group":
        return subject["name"] in user.groups
    return user.name == f"system:serviceaccount:{subject.get('namespace') or namespace}:{subject['name']}"
