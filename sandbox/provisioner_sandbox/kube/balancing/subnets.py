"""The subnets of a load balancer.

Source: pkg/networking/subnet_resolver.go of the controller.
"""

from __future__ import annotations

from typing import Any

from provisioner_sandbox.kube.balancing.annotations import BuildError
from provisioner_sandbox.services.eks.reach import is_public

ROLES = {"internal": "kubernetes.io/role/internal-elb", "internet-facing": "kubernetes.io/role/elb"}
LEAST_ADDRESSES = 8


def choose(ec2: Any, vpc: str, cluster: str, kind: str, scheme: str, named: tuple[str, ...]) -> list[str]:
    """Returns the ids of the named subnets; without names, of one in each zone, by role tag or by reachability."""
    known = [subnet for zone in ec2.subnets.values() for subnet in zone.values() if subnet.vpc_id == vpc]
    if named:
        found = [by_name(ec2, known, one) for one in named]
    else:
        tagged = [one for one in known if tags(ec2, one).get(ROLES[scheme]) in ("", "1")]
        public = scheme == "internet-facing"
        found = per_zone(ec2, cluster, tagged or [one for one in known if is_public(ec2, one) == public])
    least = 2 if kind == "application" else 1
    if len(found) < least:
        raise BuildError(f"subnets count less than minimal required count: {len(found)} < {least}")
    return [subnet.id for subnet in found]


def tags(ec2: Any, subnet: Any) -> dict[str, str]:
    return dict(ec2.tags.get(subnet.id, {}))


def by_name(ec2: Any, known: list[Any], name: str) -> Any:
    for subnet in known:
        if name in (subnet.id, tags(ec2, subnet).get("Name")):
            return subnet
    what = f"subnet ID not found: {name}" if name.startswith("subnet-") else f"subnet with Name tag not found: {name}"
    raise BuildError(what)


def per_zone(ec2: Any, cluster: str, subnets: list[Any]) -> list[Any]:
    """Prefers subnets with the cluster's tag; skips those with only other clusters' tags, and nearly full ones."""
    own = f"kubernetes.io/cluster/{cluster}"
    others = [
        one
        for one in subnets
        if any(key.startswith("kubernetes.io/cluster/") for key in tags(ec2, one)) and own not in tags(ec2, one)
    ]
    full = [one for one in subnets if one not in others and one.available_ip_address_count < LEAST_ADDRESSES]
    chosen: dict[str, Any] = {}
    for subnet in sorted(subnets, key=lambda one: (own not in tags(ec2, one), one.id)):
        if subnet not in others and subnet not in full:
            chosen.setdefault(subnet.availability_zone, subnet)
    if not chosen:
        raise BuildError(
            f"unable to resolve at least one subnet. Evaluated {len(subnets)} subnets: {len(others)} are tagged for "
            f"other clusters, and {len(full)} have insufficient available IP addresses"
        )
    return sorted(chosen.values(), key=lambda one: str(one.id))
