"""Kubernetes minors, their life, and the Bottlerocket releases for them."""

from __future__ import annotations

import hashlib
from datetime import datetime, timezone
from typing import Any

from provisioner_sandbox import releases
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.eks.state import page


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


# https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html; newest first.
MINORS: dict[str, dict[str, Any]] = {
    "1.35": {"patch": "1.35.4", "platform": "eks.6", "from": "2026-01-27", "standard": "2027-03-27", "extended": "2028-03-27"},
    "1.34": {"patch": "1.34.7", "platform": "eks.19", "from": "2025-10-02", "standard": "2026-12-02", "extended": "2027-12-02"},
    "1.33": {"patch": "1.33.10", "platform": "eks.33", "from": "2025-05-29", "standard": "2026-07-29", "extended": "2027-07-29"},
    "1.32": {"patch": "1.32.13", "platform": "eks.40", "from": "2025-01-23", "standard": "2026-03-23", "extended": "2027-03-23"},
}
DEFAULT = "1.35"
# The sandbox's today, for what is in standard support.
EXTENDED = {"1.32", "1.33"}

# The tiers of a provisioned control plane: requests at once before 1.34 and since then, pods that are scheduled in a second.
# https://docs.aws.amazon.com/eks/latest/userguide/eks-provisioned-control-plane.html
TIERS = {
    "tier-xl": (1700, 2000, 167),
    "tier-2xl": (3400, 4000, 283),
    "tier-4xl": (6800, 8000, 400),
    "tier-8xl": (13600, 16000, 400),
}
TIER_DATABASE_GB = 16
FASTER_SINCE = 34

# Newest last; each is in SSM's public parameters as well.
BOTTLEROCKET_RELEASES: dict[str, list[str]] = {
    "1.32": ["1.52.0-8e73a1b2", "1.53.0-5a1c93d7", "1.54.0-2f6b08ec"],
    "1.33": ["1.52.0-8e73a1b2", "1.53.0-5a1c93d7", "1.54.0-2f6b08ec"],
    "1.34": ["1.52.0-8e73a1b2", "1.53.0-5a1c93d7", "1.54.0-2f6b08ec"],
    "1.35": ["1.53.0-5a1c93d7", "1.54.0-2f6b08ec"],
}


def releases_of(minor: str) -> list[str]:
    """What is out for a minor, newest last; nothing for a minor that there is none for."""
    return releases.out(BOTTLEROCKET_RELEASES.get(minor, []))


def image_id(region: str, minor: str, architecture: str, release: str) -> str:
    """The AMI of a Bottlerocket release, an ID of its own for each region, minor and architecture."""
    digest = hashlib.sha256(f"{region}/{minor}/{architecture}/{release}".encode()).hexdigest()
    return f"ami-{digest[:17]}"


def minor(version: str) -> int:
    return int(version.split(".")[1])


def tiers(version: str) -> list[dict[str, Any]]:
    """The tiers that a minor offers beside the standard one."""
    return [
        {
            "tierName": name,
            "apiRequestConcurrency": faster if minor(version) >= FASTER_SINCE else slower,
            "podSchedulingRatePerSecond": rate,
            "clusterDatabaseSizeGb": TIER_DATABASE_GB,
        }
        for name, (slower, faster, rate) in TIERS.items()
    ]


@handles("eks", "DescribeClusterVersions")
def describe(call: Call) -> dict:
    params = call.params
    wanted = params.get("clusterVersions")
    status = params.get("versionStatus") or params.get("status")
    found = []
    for version, facts in MINORS.items():
        support = "EXTENDED_SUPPORT" if version in EXTENDED else "STANDARD_SUPPORT"
        if wanted and version not in wanted:
            continue
        if status and status.upper().replace("-", "_") != support:
            continue
        if params.get("defaultOnly") and version != DEFAULT:
            continue
        found.append(
            {
                "clusterVersion": version,
                "clusterType": "eks",
                "defaultPlatformVersion": facts["platform"],
                "defaultVersion": version == DEFAULT,
                "releaseDate": day(facts["from"]),
                "endOfStandardSupportDate": day(facts["standard"]),
                "endOfExtendedSupportDate": day(facts["extended"]),
                "status": support.lower().replace("_", "-"),
                "versionStatus": support,
                "kubernetesPatchVersion": facts["patch"],
                "controlPlaneScalingTiers": tiers(version),
            }
        )
    items, token = page(call, found)
    return {"clusterVersions": items, "nextToken": token}
