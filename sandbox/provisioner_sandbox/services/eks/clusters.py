"""Clusters."""

from __future__ import annotations

import ipaddress
import re
import uuid
from typing import Any

from provisioner_sandbox import quotas
from provisioner_sandbox.backend import backend
from provisioner_sandbox.caller import caller
from provisioner_sandbox.clock import CLOCK
from provisioner_sandbox.kube import planes
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.ec2 import groups
from provisioner_sandbox.services.ec2.interfaces import create_managed
from provisioner_sandbox.services.ec2.requesters import CONTROL_PLANE
from provisioner_sandbox.services.ec2.state import drop_interface
from provisioner_sandbox.services.eks import (
    access_entries,
    addons,
    auto_mode,
    cluster_settings,
    control_plane_logs,
    encryption,
    health,
    versions,
)
from provisioner_sandbox.services.eks.state import (
    GONE,
    Cluster,
    Thing,
    arn,
    cluster_of,
    eks_state,
    in_use,
    invalid,
    now,
    page,
    reaches,
    refused,
    role_of,
    trusts,
)

# AWS seconds: "usually 10 minutes", nine on average today.
CREATE = 540
# Real seconds between two looks at an API server that starts.
PATIENCE_SECONDS = 0.2
DELETE = 360
NAME = re.compile(r"^[0-9A-Za-z][A-Za-z0-9\-_]{0,99}$")
LOGS = ["api", "audit", "authenticator", "controllerManager", "scheduler"]
MOST_CLUSTERS = 100
FREE_ADDRESSES = 6
MOST_CIDRS = 40
LOOPBACK = ipaddress.ip_network("127.0.0.0/8")
PRIVATE = [ipaddress.ip_network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]


@handles("eks", "CreateCluster")
def create(call: Call) -> dict:
    params, region = call.params, call.region
    name = params["name"]
    if not NAME.match(name):
        raise invalid("The cluster name must match the pattern ^[0-9A-Za-z][A-Za-z0-9\\-_]*$")
    state = eks_state(region)
    if name in state.clusters:
        raise in_use(f"Cluster already exists with name: {name}")
    message = "Cluster limit exceeded for account."
    quotas.check(quotas.CLUSTERS, len(state.clusters), "ResourceLimitExceededException", message, MOST_CLUSTERS)
    version = params.get("version", versions.DEFAULT)
    if version not in versions.MINORS:
        raise invalid(f"unsupported Kubernetes version {version}")
    check_role(region, params["roleArn"])
    auto = auto_mode.of_new(region, params)
    network = network_of(region, params["resourcesVpcConfig"])
    check_free(region, network["subnetIds"], network["subnetIds"])
    check_access(network)
    for entry in params.get("encryptionConfig") or []:
        encryption.check_key(call, entry.get("provider", {}).get("keyArn", ""))
    mode = (params.get("accessConfig") or {}).get("authenticationMode", "CONFIG_MAP")
    service = service_cidr(region, params.get("kubernetesNetworkConfig") or {}, network["vpcId"])
    cluster = Cluster(
        "cluster",
        {
            "name": name,
            "arn": arn(region, f"cluster/{name}"),
            "createdAt": now(),
            "version": version,
            "roleArn": params["roleArn"],
            "resourcesVpcConfig": network,
            "kubernetesNetworkConfig": {
                "serviceIpv4Cidr": service,
                "ipFamily": "ipv4",
                "elasticLoadBalancing": {"enabled": bool((auto.get("computeConfig") or {}).get("enabled"))},
            },
            "logging": logging(params.get("logging") or {}, []),
            "status": "CREATING",
            "certificateAuthority": {},
            "platformVersion": versions.MINORS[version]["platform"],
            "tags": params.get("tags", {}),
            "accessConfig": {"authenticationMode": mode},
            "upgradePolicy": {"supportType": "EXTENDED", **(params.get("upgradePolicy") or {})},
            "deletionProtection": params.get("deletionProtection", False),
            "health": {"issues": []},
            **cluster_settings.of_new(params),
            **auto,
        },
    )
    if params.get("encryptionConfig"):
        cluster.doc["encryptionConfig"] = params["encryptionConfig"]
    cluster.zones = zones_of(region, network["subnetIds"])
    if params.get("bootstrapSelfManagedAddons", True):
        cluster.self_managed = set(addons.SELF_MANAGED)
    furnish(region, cluster)
    cluster.turn("CREATING", CREATE, "ACTIVE")
    state.clusters[name] = cluster
    cluster.creator = caller().principal
    cluster.creator_is_admin = (params.get("accessConfig") or {}).get("bootstrapClusterCreatorAdminPermissions", True)
    access_entries.creator(region, cluster, cluster)
    return {"cluster": shown(cluster)}


def shown(cluster: Cluster) -> dict[str, Any]:
    document = health.shown(cluster, "cluster")
    if not cluster.is_furnished:
        # EKS makes the group while it makes the cluster, and says which it is when it has.
        document["resourcesVpcConfig"].pop("clusterSecurityGroupId")
    if any(update.is_cancellable() for update in cluster.updates.values()):
        document["status"] = "ACTIVE"
    issues = encryption.key_issues(document)
    return {**document, "health": {"issues": [*document["health"]["issues"], *issues]}} if issues else document


def network_of(region: str, asked: dict[str, Any]) -> dict[str, Any]:
    ec2 = backend("ec2", region)
    known = {subnet.id: subnet for zone in ec2.subnets.values() for subnet in zone.values()}
    for subnet_id in asked.get("subnetIds") or []:
        if subnet_id not in known:
            raise invalid(f"The subnet ID '{subnet_id}' does not exist")
    subnets = [known[subnet_id] for subnet_id in asked.get("subnetIds") or []]
    if len({subnet.availability_zone for subnet in subnets}) < 2:
        raise invalid("Subnets specified must be in at least two different AZs")
    if len({subnet.vpc_id for subnet in subnets}) > 1:
        raise invalid("Subnets specified must belong to the same VPC")
    vpc_id = subnets[0].vpc_id
    for group_id in asked.get("securityGroupIds") or []:
        group = ec2.get_security_group_from_id(group_id)
        if group is None or group.vpc_id != vpc_id:
            raise invalid(f"The security group ID '{group_id}' does not exist in VPC {vpc_id}")
    return {
        "subnetIds": list(asked["subnetIds"]),
        "securityGroupIds": asked.get("securityGroupIds") or [],
        "vpcId": vpc_id,
        "endpointPublicAccess": asked.get("endpointPublicAccess", True),
        "endpointPrivateAccess": asked.get("endpointPrivateAccess", False),
        "publicAccessCidrs": asked.get("publicAccessCidrs") or ["0.0.0.0/0"],
        "controlPlaneEgressMode": cluster_settings.check_egress(asked.get("controlPlaneEgressMode")),
    }


def check_free(region: str, subnet_ids: list[str], new_ids: list[str]) -> None:
    """ "The subnets must each have at least six IP addresses for use by Amazon EKS."

    https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
    EKS refuses them by their zones.
    """
    ec2 = backend("ec2", region)
    subnets = [ec2.get_subnet(subnet_id) for subnet_id in subnet_ids]
    roomy = {
        subnet.availability_zone
        for subnet in subnets
        if subnet.id not in new_ids or subnet.available_ip_address_count >= FREE_ADDRESSES
    }
    full = sorted({subnet.availability_zone for subnet in subnets} - roomy)
    if full:
        raise invalid(
            f"Atleast one subnet in each AZ should have {FREE_ADDRESSES} free IPs. Invalid AZs: "
            f"{{ [{', '.join(full)}] }}, provided subnets: {{ {', '.join(subnet_ids)} }}"
        )


def zones_of(region: str, subnet_ids: list[str]) -> list[str]:
    ec2 = backend("ec2", region)
    return sorted({ec2.get_subnet(subnet_id).availability_zone for subnet_id in subnet_ids})


def check_access(network: dict[str, Any]) -> None:
    if not network["endpointPublicAccess"] and not network["endpointPrivateAccess"]:
        raise invalid("Private and public endpoint access cannot be false")
    cidrs = network["publicAccessCidrs"]
    if len(cidrs) > MOST_CIDRS:
        raise invalid(f"The maximum number of CIDR blocks is {MOST_CIDRS}")
    for cidr in cidrs:
        try:
            block = ipaddress.ip_network(cidr)
        except ValueError:
            raise invalid(f"The following CIDRs are invalid in publicAccessCidrs: [{cidr}]") from None
        if any(block.version == 4 and block.subnet_of(own) for own in (*PRIVATE, LOOPBACK)):
            raise invalid(f"The following CIDRs are not allowed in publicAccessCidrs: [{cidr}]")


def check_role(region: str, role_arn: str) -> None:
    role = role_of(region, role_arn)
    if role is None:
        raise invalid(f"The role with name {role_arn.rpartition('/')[2]} cannot be found. It does not exist")
    if not trusts(role, "eks.amazonaws.com", "sts:AssumeRole"):
        raise invalid(
            f"Role with arn: {role_arn}, could not be assumed because it does not exist or "
            "the trusted entity is not correct"
        )
    if not any(policy.rpartition("/")[2] == "AmazonEKSClusterPolicy" for policy in role.managed_policies):
        raise invalid(
            "The provided role doesn't have the Amazon EKS Managed Policies associated with it. "
            "Please ensure the following policy is attached: AmazonEKSClusterPolicy"
        )


def service_cidr(region: str, asked: dict[str, Any], vpc_id: str) -> str:
    vpc = ipaddress.ip_network(backend("ec2", region).vpcs[vpc_id].cidr_block)
    text = asked.get("serviceIpv4Cidr")
    if not text:
        return "172.20.0.0/16" if vpc.overlaps(PRIVATE[0]) else "10.100.0.0/16"
    try:
        block = ipaddress.IPv4Network(text)
    except ValueError:
        raise invalid(f"The specified service CIDR {text} is not a CIDR block") from None
    if not any(block.subnet_of(private) for private in PRIVATE) or not 12 <= block.prefixlen <= 24:
        raise invalid(f"The specified service CIDR {text} is not within the private ranges between /24 and /12")
    if block.overlaps(vpc):
        raise invalid(f"The specified service CIDR {text} overlaps with the VPC's CIDR {vpc}")
    return text


def logging(asked: dict[str, Any], before: list[dict[str, Any]]) -> dict[str, Any]:
    on = {name for setup in before if setup["enabled"] for name in setup["types"]}
    for setup in asked.get("clusterLogging") or []:
        names = set(setup.get("types") or [])
        on = on | names if setup.get("enabled") else on - names
    lists = [([name for name in LOGS if name in on], True), ([name for name in LOGS if name not in on], False)]
    return {"clusterLogging": [{"types": names, "enabled": enabled} for names, enabled in lists if names]}


def furnish(region: str, cluster: Cluster) -> None:
    """The security group and the interfaces that EKS makes in the account."""
    ec2, name = backend("ec2", region), cluster.doc["name"]
    network = cluster.doc["resourcesVpcConfig"]
    digits = str(uuid.uuid4().int)[:9]
    group = ec2.create_security_group(
        f"eks-cluster-sg-{name}-{digits}",
        "EKS created security group applied to ENI that is attached to EKS Control Plane master nodes, "
        "as well as any managed workloads.",
        vpc_id=network["vpcId"],
        tags={
            "Name": f"eks-cluster-sg-{name}-{digits}",
            f"kubernetes.io/cluster/{name}": "owned",
            "aws:eks:cluster-name": name,
        },
    )
    ec2.authorize_security_group_ingress(
        group_name_or_id=group.id, ip_protocol="-1", from_port=None, to_port=None, ip_ranges=[],
        source_groups=[{"GroupId": group.id}], vpc_id=network["vpcId"],
    )  # fmt: skip
    network["clusterSecurityGroupId"] = group.id
    place(region, cluster)
    identity = uuid.uuid4().hex.upper()
    issuer = f"https://oidc.eks.{region}.amazonaws.com/id/{identity}"
    planes.make(region, name, cluster.doc["kubernetesNetworkConfig"]["serviceIpv4Cidr"], issuer)
    cluster.endpoint = {"identity": {"oidc": {"issuer": issuer}}}


def place(region: str, cluster: Cluster) -> None:
    """An interface in each of the control plane's subnets."""
    ec2, network = backend("ec2", region), cluster.doc["resourcesVpcConfig"]
    groups = [network["clusterSecurityGroupId"], *network["securityGroupIds"]]
    for subnet_id in network["subnetIds"]:
        interface = create_managed(ec2, subnet_id, groups, CONTROL_PLANE, f"Amazon EKS {cluster.doc['name']}")
        cluster.interfaces.append(interface.id)


def clear(region: str, cluster: Cluster) -> None:
    for interface_id in cluster.interfaces:
        drop_interface(backend("ec2", region), interface_id)
    cluster.interfaces = []


@reaches("cluster", "VpcConfigUpdate", elsewhere=True)
def move(region: str, cluster: Cluster, _: Thing) -> None:
    """Puts the control plane's interfaces into the subnets and groups that it has now."""
    clear(region, cluster)
    place(region, cluster)


@reaches("cluster", "ACTIVE")
def activate(region: str, cluster: Cluster, _: Thing) -> None:
    plane = planes.find(region, cluster.doc["name"])
    if plane is not None and plane.trouble:
        cluster.doc["status"] = "FAILED"
        cluster.doc["health"] = {"issues": [{"code": "InternalFailure", "message": plane.trouble, "resourceIds": []}]}
        return
    if plane is not None and not plane.ready:
        # It is there when it answers, however fast AWS is here.
        cluster.turn("CREATING", PATIENCE_SECONDS * CLOCK.scale, "ACTIVE")
        return
    if plane is not None:
        cluster.endpoint["endpoint"] = plane.endpoint
        cluster.endpoint["certificateAuthority"] = {"data": plane.authority_data}
    cluster.doc.update(cluster.endpoint)
    cluster.is_furnished = True


def attach(region: str, cluster: Cluster) -> None:
    """Gives a cluster whose Kubernetes was deleted a new one."""
    name, issuer = cluster.doc["name"], cluster.endpoint["identity"]["oidc"]["issuer"]
    plane = planes.find(region, name)
    if plane is not None and plane.issuer == issuer:
        return
    planes.make(region, name, cluster.doc["kubernetesNetworkConfig"]["serviceIpv4Cidr"], issuer)
    if cluster.is_furnished:
        activate(region, cluster, cluster)
        serve(region, cluster, cluster)


@reaches("cluster", "ACTIVE", elsewhere=True)
def serve(region: str, cluster: Cluster, _: Thing) -> None:
    plane = planes.find(region, cluster.doc["name"])
    if plane is not None:
        plane.open()


@handles("eks", "DescribeCluster")
def describe(call: Call) -> dict:
    return {"cluster": shown(cluster_of(call, "name"))}


@handles("eks", "ListClusters")
def list_clusters(call: Call) -> dict:
    names, token = page(call, sorted(eks_state(call.region).clusters))
    return {"clusters": names, "nextToken": token}


@handles("eks", "DeleteCluster")
def delete(call: Call) -> dict:
    cluster = cluster_of(call, "name")
    if cluster.status == "DELETING":
        raise in_use(f"Cluster {cluster.doc['name']} is already being deleted")
    if cluster.status == "UPDATING":
        raise in_use(f"Cannot delete because cluster {cluster.doc['name']} currently has an update in progress")
    if cluster.doc["deletionProtection"]:
        raise refused(
            f"Cluster {cluster.doc['name']} has deletion protection enabled. "
            "Disable deletion protection before deleting the cluster."
        )
    if cluster.nodegroups:
        raise in_use("Cluster has nodegroups attached")
    if cluster.profiles:
        raise in_use("Cluster has Fargate profiles attached")
    cluster.turn("DELETING", DELETE, GONE)
    return {"cluster": shown(cluster)}


@reaches("cluster", GONE, elsewhere=True)
def remove(region: str, cluster: Cluster, _: Thing) -> None:
    control_plane_logs.end(region, cluster)
    clear(region, cluster)
    planes.close(region, cluster.doc["name"])
    ec2 = backend("ec2", region)
    group_id = cluster.doc["resourcesVpcConfig"]["clusterSecurityGroupId"]
    # A group that is still used or referred to stays behind, as in AWS.
    held = groups.in_use(ec2, group_id) or groups.named_elsewhere(ec2, group_id)
    if not held and ec2.get_security_group_from_id(group_id):
        ec2.delete_security_group(group_id=group_id)
        ec2.tags.pop(group_id, None)
