"""The instances that Auto Mode launches for pods, and what it leaves of a cluster.

Their tags: https://docs.aws.amazon.com/eks/latest/userguide/auto-cluster-iam-role.html. The lock over AWS's state is the
caller's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from provisioner_sandbox import leftovers
from provisioner_sandbox.backend import backend
from provisioner_sandbox.services.ec2 import requesters
from provisioner_sandbox.services.ec2.endpoints import is_on
from provisioner_sandbox.services.ec2.state import drop_interface, ec2_state
from provisioner_sandbox.services.eks import reach
from provisioner_sandbox.services.eks.state import GONE, Cluster, Thing, eks_state, reaches, role_of, settle
from provisioner_sandbox.services.eks.versions import image_id, releases_of

CLUSTER_TAG, POOL_TAG = "eks:eks-cluster-name", "eks:kubernetes-node-pool-name"
CLASS_TAG = "eks:kubernetes-node-class-name"
NODE_POLICY = "AmazonEKSAutoNodePolicy"
# What the default NodeClass gives a node, GiB: https://docs.aws.amazon.com/eks/latest/userguide/create-node-class.html
DISK = 80


@dataclass(frozen=True)
class Settings:
    """What a cluster in Auto Mode has of its own."""

    pools: tuple[str, ...]
    role: str


@dataclass(frozen=True)
class NodeSpec:
    """A node that a pod waits for."""

    kind: str
    zone: str
    arch: str
    pool: str
    node_class: str
    role: str
    is_spot: bool
    labels: dict[str, str] = field(default_factory=dict)
    taints: tuple[tuple[str, str, str], ...] = ()


def settings(region: str, name: str) -> Settings | None:
    """None while Auto Mode is off."""
    settle(region)
    cluster = eks_state(region).clusters.get(name)
    compute = (cluster.doc.get("computeConfig") or {}) if cluster else {}
    if cluster is None or not compute.get("enabled") or cluster.status == "DELETING":
        return None
    return Settings(tuple(compute.get("nodePools") or []), compute.get("nodeRoleArn", ""))


def may_join(region: str, name: str, role: str) -> bool:
    """Whether nodes of this role are let in: by an access entry of type EC2, with the policy for it.

    https://docs.aws.amazon.com/eks/latest/userguide/create-node-class.html
    """
    entry = eks_state(region).clusters[name].entries.get(role)
    policies = entry.policies if entry and entry.doc["type"] == "EC2" else {}
    return any(policy.endswith(f"/{NODE_POLICY}") for policy in policies)


def subnets(region: str, name: str) -> list[Any]:
    """moto's subnets of the cluster in which a node would start and join."""
    ec2, cluster = backend("ec2", region), eks_state(region).clusters[name]
    network = cluster.doc["resourcesVpcConfig"]
    known = {subnet.id: subnet for zone in ec2.subnets.values() for subnet in zone.values()}
    there = [known[subnet_id] for subnet_id in network["subnetIds"] if subnet_id in known]
    return [subnet for subnet in there if subnet.available_ip_address_count > 0 and reaches_aws(ec2, network, subnet)]


def reaches_aws(ec2: Any, network: dict[str, Any], subnet: Any) -> bool:
    if not reach.has_dns(ec2.vpcs[subnet.vpc_id]):
        return False
    way = reach.way_out(ec2, subnet)
    if way == reach.INTERNET:
        return is_on(subnet.map_public_ip_on_launch)
    group = network["clusterSecurityGroupId"]
    return bool(way) or (network["endpointPrivateAccess"] and not reach.missing_endpoints(ec2, subnet, [group]))


def instances(region: str, name: str) -> list[Any]:
    ec2 = backend("ec2", region)
    return [
        instance
        for reservation in ec2.reservations.values()
        for instance in reservation.instances
        if ec2.tags.get(instance.id, {}).get(CLUSTER_TAG) == name and instance._state.name in ("pending", "running")
    ]


def launch(region: str, name: str, node: NodeSpec) -> str | None:
    """Starts an instance, and returns its id; None if no subnet of the zone has room any more."""
    ec2, cluster = backend("ec2", region), eks_state(region).clusters[name]
    subnet = next((one for one in subnets(region, name) if one.availability_zone == node.zone), None)
    if subnet is None:
        return None
    minor, architecture = cluster.doc["version"], "arm64" if node.arch == "arm64" else "x86_64"
    tags = {
        "Name": node.pool,
        CLUSTER_TAG: name,
        POOL_TAG: node.pool,
        CLASS_TAG: node.node_class,
        "aws:eks:cluster-name": name,
        f"kubernetes.io/cluster/{name}": "owned",
    }
    reservation = ec2.run_instances(
        image_id(region, minor, architecture, releases_of(minor)[-1]), 1, None, [],
        subnet_id=subnet.id,
        instance_type=node.kind,
        is_instance_type_default=False,
        security_group_ids=[cluster.doc["resourcesVpcConfig"]["clusterSecurityGroupId"]],
        private_ip=None,
        key_name=None,
        metadata_options={"HttpTokens": "required"},
        region_name=region,
        lifecycle="spot" if node.is_spot else None,
        block_device_mappings=[
            {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": DISK, "DeleteOnTermination": True, "Encrypted": True}}
        ],
        tags={"instance": tags, "volume": {CLUSTER_TAG: name}},
    )  # fmt: skip
    (instance,) = reservation.instances
    instance.sandbox_node = node
    for interface in instance.nics.values():
        interface.requester_id = requesters.of_role(role_of(region, node.role), instance.id)
        ec2.tags[interface.id].update({CLUSTER_TAG: name})
    instance_id: str = instance.id
    return instance_id


def end(region: str, instance_ids: set[str], name: str) -> None:
    """Terminates those of the cluster's own instances."""
    ec2 = backend("ec2", region)
    for instance in instances(region, name):
        if instance.id not in instance_ids:
            continue
        interfaces = list(instance.nics.values())
        ec2.terminate_instances([instance.id])
        ec2_state(ec2).end(instance.id)
        for interface in interfaces:
            drop_interface(ec2, interface.id)


@reaches("cluster", "AutoModeUpdate", elsewhere=True)
def switch(region: str, cluster: Cluster, _: Thing) -> None:
    """Off, Auto Mode ends every node: https://docs.aws.amazon.com/eks/latest/userguide/auto-disable.html"""
    if not cluster.doc["computeConfig"]["enabled"]:
        clear(region, cluster)


@reaches("cluster", GONE, elsewhere=True)
def remove(region: str, cluster: Cluster, _: Thing) -> None:
    if (cluster.doc.get("computeConfig") or {}).get("enabled"):
        clear(region, cluster)


def clear(region: str, cluster: Cluster) -> None:
    """Ends the nodes, and leaves a security group of Auto Mode's load balancers if the configuration says so."""
    name = cluster.doc["name"]
    end(region, {instance.id for instance in instances(region, name)}, name)
    if leftovers.auto_group():
        ec2 = backend("ec2", region)
        ec2.create_security_group(
            f"eks-traffic-{name}",
            "[eks] Shared backend security group for LoadBalancer",
            vpc_id=cluster.doc["resourcesVpcConfig"]["vpcId"],
            tags={CLUSTER_TAG: name},
        )
