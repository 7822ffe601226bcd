"""The add-ons of AWS, their versions, and the minors that each is for.

Names and shape: https://docs.aws.amazon.com/eks/latest/userguide/workloads-add-ons-available-eks.html
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from provisioner_sandbox.services.eks.versions import MINORS

EVERYWHERE = tuple(MINORS)


@dataclass(frozen=True)
class Release:
    version: str
    minors: tuple[str, ...] = EVERYWHERE
    # The minors whose default it is.
    default: tuple[str, ...] = ()


@dataclass(frozen=True)
class Product:
    name: str
    kind: str
    releases: tuple[Release, ...]
    namespace: str = "kube-system"
    publisher: str = "eks"
    owner: str = "aws"
    # Runs on each node, so that a cluster without nodes has nothing to wait for.
    daemon: bool = False
    # Its service accounts that need a role, and the managed policies for that.
    accounts: dict[str, tuple[str, ...]] = field(default_factory=dict)


def kube_proxy() -> tuple[Release, ...]:
    """One line of versions for each minor; a proxy may be older than its cluster, not newer."""
    patches = {"1.35": ("1.35.4", "1.35.3", "1.35.2"), "1.34": ("1.34.7", "1.34.6", "1.34.5"),
               "1.33": ("1.33.11", "1.33.10", "1.33.9"), "1.32": ("1.32.13", "1.32.12", "1.32.11")}  # fmt: skip
    return tuple(
        Release(f"v{patch}-eksbuild.{2 + index}", (minor,), (minor,) if index == 1 else ())
        for minor, list_of in patches.items()
        for index, patch in enumerate(list_of)
    )


PRODUCTS = (
    Product("vpc-cni", "networking", (
        Release("v1.21.1-eksbuild.3"),
        Release("v1.20.5-eksbuild.1", default=("1.35", "1.34")),
        Release("v1.20.4-eksbuild.2", default=("1.33",)),
        Release("v1.19.6-eksbuild.7", ("1.33", "1.32"), ("1.32",)),
    ), daemon=True, accounts={"aws-node": ("AmazonEKS_CNI_Policy",)}),
    Product("kube-proxy", "networking", kube_proxy(), daemon=True),
    Product("coredns", "networking", (
        Release("v1.13.2-eksbuild.1", ("1.35",)),
        Release("v1.13.1-eksbuild.1", ("1.35", "1.34"), ("1.35",)),
        Release("v1.12.4-eksbuild.6", ("1.35", "1.34"), ("1.34",)),
        Release("v1.12.1-eksbuild.2", ("1.34", "1.33"), ("1.33",)),
        Release("v1.11.4-eksbuild.24", ("1.33", "1.32"), ("1.32",)),
    )),
    Product("eks-pod-identity-agent", "security", (
        Release("v1.3.10-eksbuild.2"),
        Release("v1.3.9-eksbuild.5", default=("1.35", "1.34", "1.33")),
        Release("v1.3.8-eksbuild.2", default=("1.32",)),
    ), daemon=True),
    Product("eks-node-monitoring-agent", "observability", (
        Release("v1.6.7-eksbuild.1"),
        Release("v1.6.5-eksbuild.1", default=EVERYWHERE),
    ), daemon=True),
    Product("metrics-server", "observability", (
        Release("v0.8.1-eksbuild.1"),
        Release("v0.8.0-eksbuild.6", default=EVERYWHERE),
        Release("v0.7.2-eksbuild.4", ("1.33", "1.32")),
    ), owner="community"),
    Product("aws-ebs-csi-driver", "storage", (
        Release("v1.55.0-eksbuild.1"),
        Release("v1.54.0-eksbuild.1", default=EVERYWHERE),
        Release("v1.53.0-eksbuild.1"),
    ), accounts={"ebs-csi-controller-sa": ("service-role/AmazonEBSCSIDriverPolicy",)}),
    Product("aws-efs-csi-driver", "storage", (
        Release("v2.2.0-eksbuild.1"),
        Release("v2.1.14-eksbuild.1", default=EVERYWHERE),
        Release("v2.1.13-eksbuild.1"),
    ), accounts={"efs-csi-controller-sa": ("service-role/AmazonEFSCSIDriverPolicy",)}),
    Product("snapshot-controller", "storage", (
        Release("v8.4.0-eksbuild.2"),
        Release("v8.3.0-eksbuild.1", default=EVERYWHERE),
        Release("v8.2.0-eksbuild.1"),
    )),
    Product("amazon-cloudwatch-observability", "observability", (
        Release("v4.8.0-eksbuild.1"),
        Release("v4.7.0-eksbuild.1", default=EVERYWHERE),
        Release("v4.6.0-eksbuild.1"),
    ), namespace="amazon-cloudwatch", accounts={
        "cloudwatch-agent": ("AWSXrayWriteOnlyAccess", "CloudWatchAgentServerPolicy"),
    }),
)  # fmt: skip


@cache
def product(name: str) -> Product | None:
    return next((product for product in PRODUCTS if product.name == name), None)


def release(name: str, version: str) -> Release | None:
    found = product(name)
    return next((release for release in found.releases if release.version == version), None) if found else None


def default_version(name: str, minor: str) -> str | None:
    found = product(name)
    return next((release.version for release in found.releases if minor in release.default), None) if found else None


def describe(found: Product, minor: str | None) -> dict[str, Any] | None:
    """The add-on as `DescribeAddonVersions` lists it, reduced to one minor if asked for."""
    versions = []
    for one in found.releases:
        minors = [each for each in one.minors if minor in (None, each)]
        if not minors:
            continue
        versions.append(
            {
                "addonVersion": one.version,
                "architecture": ["amd64", "arm64"],
                "computeTypes": ["ec2", "auto", "hybrid"] if found.daemon else ["ec2", "fargate", "auto", "hybrid"],
                "compatibilities": [
                    {"clusterVersion": each, "platformVersions": ["*"], "defaultVersion": each in one.default}
                    for each in minors
                ],
                "requiresConfiguration": False,
                "requiresIamPermissions": bool(found.accounts),
            }
        )
    if not versions:
        return None
    return {
        "addonName": found.name,
        "type": found.kind,
        "addonVersions": versions,
        "publisher": found.publisher,
        "owner": found.owner,
        "defaultNamespace": found.namespace,
    }
