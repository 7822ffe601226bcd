"""Access entries as identities of the testbed's webhook, and access policies as roles and bindings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from provisioner_sandbox.key_pairs import key_pairs
from provisioner_sandbox.kube import access
from provisioner_sandbox.kube.kubelet.client import ApiError
from provisioner_sandbox.kube.kubelet.remote import Api
from provisioner_sandbox.kube.real.objects import create
from provisioner_sandbox.services.eks.state import eks_state

Object = dict[str, Any]
# Groups of Kubernetes that stand for access policies, with the cluster as their scope or a namespace.
GROUP = "sandbox:access"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
OWN_ROLES = {
    "AmazonEKSClusterAdminPolicy": "cluster-admin",
    "AmazonEKSAdminPolicy": "admin",
    "AmazonEKSEditPolicy": "edit",
    "AmazonEKSViewPolicy": "view",
}


class Identities:
    def __init__(self, api: Api, folder: Path, region: str, cluster: str):
        self.api, self.folder, self.region, self.cluster = api, folder, region, cluster
        self.text = ""
        # Groups whose policies are bound in the whole cluster.
        self.bound: set[str] = set()

    def read(self) -> tuple[str, set[tuple[str, str]]]:
        """The identities of the testbed's webhook, and the policies with their namespaces that groups stand for."""
        cluster = eks_state(self.region).clusters.get(self.cluster)
        entries: Object = {}
        used: set[tuple[str, str]] = set()
        for principal, entry in cluster.entries.items() if cluster else ():
            if entry.doc["type"] not in ("STANDARD", "EC2"):
                continue
            groups = list(entry.doc["kubernetesGroups"])
            for arn, policy in entry.policies.items():
                name = arn.removeprefix(access.POLICY)
                scope = policy["accessScope"]
                for namespace in scope["namespaces"] if scope["type"] == "namespace" else [""]:
                    used.add((name, namespace))
                    groups.append(f"{GROUP}:{name}:{namespace}")
            username = entry.doc["username"]
            # Sessions are told apart by their ARNs, which the webhook takes where no name is given.
            entries[principal] = {"groups": groups, **({} if "{{" in username else {"username": username})}
        if cluster and cluster.doc["accessConfig"]["authenticationMode"] == "CONFIG_MAP" and cluster.creator_is_admin:
            entries[cluster.creator] = {"groups": [access.MASTERS]}
        known = key_pairs(self.region)
        return json.dumps({"credentials": known, "access": entries}, sort_keys=True), used

    def write(self, text: str) -> None:
        """By rename: it is read at each review."""
        if text == self.text:
            return
        partial = self.folder / "identities.partial"
        partial.write_text(text)
        partial.replace(self.folder / "identities.json")
        self.text = text

    def bind_policy(self, name: str, namespace: str) -> None:
        group = f"{GROUP}:{name}:{namespace}"
        if group in self.bound or name not in access.POLICIES:
            return
        role = OWN_ROLES.get(name) or f"sandbox-{name.lower()}"
        if name not in OWN_ROLES:
            rules = {"metadata": {"name": role}, "rules": access.POLICIES[name]}
            create(
                self.api,
                f"{RBAC}/clusterroles",
                {**rules, "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole"},
            )
        kind = "RoleBinding" if namespace else "ClusterRoleBinding"
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": kind,
            "metadata": {"name": f"sandbox-access-{name.lower()}"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}],
        }
        where = f"namespaces/{namespace}/rolebindings" if namespace else "clusterrolebindings"
        try:
            create(self.api, f"{RBAC}/{where}", binding)
        except ApiError as error:
            # The namespace may come later.
            if error.code != 404:
                raise
            return
        if not namespace:
            self.bound.add(group)
