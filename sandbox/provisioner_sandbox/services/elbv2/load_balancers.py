"""Load balancers, and the network interfaces through which they are in subnets."""

from __future__ import annotations

import re
from typing import Any

from moto.ec2.utils import random_public_ip

from provisioner_sandbox.backend import ACCOUNT, backend
from provisioner_sandbox.clock import CLOCK
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.ec2 import requesters
from provisioner_sandbox.services.ec2.gateways import attached_to
from provisioner_sandbox.services.ec2.interfaces import create_managed
from provisioner_sandbox.services.ec2.state import ec2_state
from provisioner_sandbox.services.elbv2.listeners import forget_listener
from provisioner_sandbox.services.elbv2.state import RELEASE, elbv2_state, is_active
from provisioner_sandbox.services.elbv2.tags import tag
from provisioner_sandbox.wire.message import Answer

# How ARNs name the types.
SHORT = {"application": "app", "network": "net", "gateway": "gwy"}
NAME = re.compile(r"^[A-Za-z0-9-]{1,32}$")
PROTECTION = "deletion_protection.enabled"


@handles("elbv2", "CreateLoadBalancer")
def create_one(call: Call) -> dict:
    params = call.params
    mappings = params.get("SubnetMappings") or []
    subnet_ids = [*(params.get("Subnets") or []), *(mapping["SubnetId"] for mapping in mappings)]
    allocations = {one["SubnetId"]: one["AllocationId"] for one in mappings if one.get("AllocationId")}
    kind = params.get("Type", "application")
    scheme = params.get("Scheme", "internet-facing")
    groups = params.get("SecurityGroups") or []
    same = next((one for one in call.backend.load_balancers.values() if one.name == params["Name"]), None)
    if same is None:
        tags = {one["Key"]: one.get("Value", "") for one in params.get("Tags") or []}
        address_type = params.get("IpAddressType", "ipv4")
        made = create(call.region, params["Name"], kind, scheme, subnet_ids, groups, tags, address_type, allocations)
    else:
        made = unchanged(same, kind, scheme, subnet_ids, groups)
    return {"LoadBalancers": described(call, [made.arn])}


def unchanged(balancer: Any, kind: str, scheme: str, subnet_ids: list[str], groups: list[str]) -> Any:
    """Returns the load balancer of this name: the call is idempotent."""
    there = (balancer.type, balancer.scheme, {subnet.id for subnet in balancer.subnets})
    if there != (kind, scheme, set(subnet_ids)) or (groups and set(groups) != set(balancer.security_groups)):
        message = f"A load balancer with the same name '{balancer.name}' exists, but with different settings"
        raise AwsError("DuplicateLoadBalancerName", message)
    return balancer


def create(
    region: str,
    name: str,
    kind: str,
    scheme: str,
    subnet_ids: list[str],
    group_ids: list[str],
    tags: dict[str, str],
    address_type: str = "ipv4",
    allocations: dict[str, str] | None = None,
) -> Any:
    """Creates a load balancer. The caller has checked that the name is not in use."""
    elb, ec2 = backend("elbv2", region), backend("ec2", region)
    if not NAME.match(name) or name.startswith(("-", "internal-")) or name.endswith("-"):
        wrong = "can only contain characters that are alphanumeric characters and hyphens(-)"
        raise AwsError("ValidationError", f"The load balancer name '{name}' {wrong}")
    subnets = check_subnets(ec2, kind, subnet_ids)
    vpc_id = subnets[0].vpc_id
    if scheme == "internet-facing" and kind != "gateway" and attached_to(ec2, vpc_id) is None:
        # https://github.com/openshift/installer/issues/1110
        raise AwsError("InvalidSubnet", f"VPC {vpc_id} has no internet gateway")
    if kind == "application" and not group_ids:
        group_ids = [ec2.get_default_security_group(vpc_id).id]
    check_groups(ec2, vpc_id, group_ids)
    check_allocations(ec2, allocations or {})
    made = elb.create_load_balancer(name, list(group_ids), subnet_ids, [], scheme, kind, address_type, None)
    elb.load_balancers.pop(made.arn)
    elb.tagging_service.tags.pop(made.arn, None)
    identity = made.arn.rpartition("/")[2]
    made.arn = f"arn:aws:elasticloadbalancing:{region}:{ACCOUNT}:loadbalancer/{SHORT[kind]}/{name}/{identity}"
    made.dns_name = dns_name(region, made, identity)
    elb.load_balancers[made.arn] = made
    tag(elb, made.arn, tags)
    elbv2_state(elb).created[made.arn] = CLOCK.now()
    place(region, made, allocations or {})
    return made


def dns_name(region: str, balancer: Any, identity: str) -> str:
    if balancer.type == "network":
        return f"{balancer.name}-{identity}.elb.{region}.amazonaws.com"
    inside = "internal-" if balancer.scheme == "internal" else ""
    return f"{inside}{balancer.name}-{int(identity, 16) % 10**9}.{region}.elb.amazonaws.com"


def check_subnets(ec2: Any, kind: str, subnet_ids: list[str]) -> list[Any]:
    known = {subnet.id: subnet for zone in ec2.subnets.values() for subnet in zone.values()}
    if not subnet_ids:
        raise AwsError("ValidationError", "You must specify subnets")
    for subnet_id in subnet_ids:
        if subnet_id not in known:
            raise AwsError("SubnetNotFound", f"The subnet ID '{subnet_id}' does not exist")
    subnets = [known[subnet_id] for subnet_id in subnet_ids]
    if len({subnet.vpc_id for subnet in subnets}) > 1:
        raise AwsError("InvalidConfigurationRequest", "All subnets must belong to the same VPC")
    if len({subnet.availability_zone for subnet in subnets}) < len(subnets):
        # https://github.com/coldbrewcloud/coldbrew-cli/issues/44
        message = "A load balancer cannot be attached to multiple subnets in the same Availability Zone"
        raise AwsError("InvalidConfigurationRequest", message)
    # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html
    if kind == "application" and len(subnets) < 2:
        message = "At least two subnets in two different Availability Zones must be specified"
        raise AwsError("ValidationError", message)
    return subnets


def check_groups(ec2: Any, vpc_id: str, group_ids: list[str]) -> None:
    for group_id in group_ids:
        group = ec2.get_security_group_from_id(group_id)
        if group is None or group.vpc_id != vpc_id:
            raise AwsError("InvalidSecurityGroup", f"One or more security groups are invalid: {group_id}")


def check_allocations(ec2: Any, allocations: dict[str, str]) -> None:
    for allocation_id in allocations.values():
        address = next((one for one in ec2.addresses if one.allocation_id == allocation_id), None)
        if address is None:
            raise AwsError("AllocationIdNotFound", f"The allocation ID '{allocation_id}' does not exist")
        if address.association_id:
            raise AwsError("ResourceInUse", f"The allocation ID '{allocation_id}' is already associated")


def place(region: str, balancer: Any, allocations: dict[str, str]) -> None:
    """Creates an interface in each subnet that has none yet."""
    elb, ec2 = backend("elbv2", region), backend("ec2", region)
    interfaces = elbv2_state(elb).interfaces.setdefault(balancer.arn, {})
    description = f"ELB {balancer.arn.partition(':loadbalancer/')[2]}"
    public = balancer.scheme == "internet-facing" and balancer.type != "gateway"
    for subnet in balancer.subnets:
        if subnet.id in interfaces:
            continue
        requester = requesters.BALANCERS[balancer.type]
        interface = create_managed(ec2, subnet.id, balancer.security_groups, requester, description)
        if not balancer.security_groups:
            # moto would take the VPC's default group.
            interface._group_set = []
        given = allocations.get(subnet.id)
        if public and not given:
            interface.public_ip = random_public_ip()
        if given:
            ec2.associate_address(eni=interface, allocation_id=given)
        interfaces[subnet.id] = interface.id


def release(region: str, interface_ids: list[str]) -> None:
    """Starts the deletion of interfaces, which takes AWS a while."""
    state = ec2_state(backend("ec2", region))
    for interface_id in interface_ids:
        state.release(interface_id, RELEASE)


@handles("elbv2", "DeleteLoadBalancer")
def delete_one(call: Call) -> dict:
    balancer = call.backend.load_balancers.get(call.params["LoadBalancerArn"])
    # "If the load balancer does not exist or has already been deleted, the call succeeds."
    if balancer is not None:
        delete(call.region, balancer)
    return {}


def delete(region: str, balancer: Any) -> None:
    elb = backend("elbv2", region)
    if balancer.attrs.get(PROTECTION) == "true":
        message = f"Load balancer '{balancer.arn}' cannot be deleted because deletion protection is enabled"
        raise AwsError("OperationNotPermitted", message)
    for listener in list(balancer.listeners.values()):
        forget_listener(elb, listener)
    elb.load_balancers.pop(balancer.arn)
    elb.tagging_service.tags.pop(balancer.arn, None)
    state = elbv2_state(elb)
    state.created.pop(balancer.arn, None)
    release(region, list(state.interfaces.pop(balancer.arn, {}).values()))


@handles("elbv2", "SetSubnets")
def set_subnets(call: Call) -> dict:
    balancer = find(call, call.params["LoadBalancerArn"])
    mappings = call.params.get("SubnetMappings") or []
    wanted = [*(call.params.get("Subnets") or []), *(mapping["SubnetId"] for mapping in mappings)]
    allocations = {one["SubnetId"]: one["AllocationId"] for one in mappings if one.get("AllocationId")}
    move(call.region, balancer, wanted, allocations)
    return {"AvailabilityZones": described(call, [balancer.arn])[0]["AvailabilityZones"]}


def move(region: str, balancer: Any, subnet_ids: list[str], allocations: dict[str, str]) -> None:
    """Moves a load balancer into other subnets, with its interfaces."""
    balancer.subnets = check_subnets(backend("ec2", region), balancer.type, subnet_ids)
    interfaces = elbv2_state(backend("elbv2", region)).interfaces.setdefault(balancer.arn, {})
    release(region, [interfaces.pop(subnet_id) for subnet_id in list(interfaces) if subnet_id not in subnet_ids])
    place(region, balancer, allocations)


@handles("elbv2", "SetSecurityGroups")
def set_groups(call: Call) -> Any:
    balancer = find(call, call.params["LoadBalancerArn"])
    check_groups(backend("ec2", call.region), balancer.vpc_id, call.params["SecurityGroups"])
    change_groups(call.region, balancer, call.params["SecurityGroups"])
    return {"SecurityGroupIds": call.params["SecurityGroups"]}


def change_groups(region: str, balancer: Any, group_ids: list[str]) -> None:
    ec2 = backend("ec2", region)
    balancer.security_groups = list(group_ids)
    for interface_id in elbv2_state(backend("elbv2", region)).interfaces.get(balancer.arn, {}).values():
        ec2.enis[interface_id]._group_set = [ec2.get_security_group_from_id(group_id) for group_id in group_ids]


@handles("elbv2", "DescribeLoadBalancers")
def describe(call: Call) -> dict | Answer:
    there = call.backend.load_balancers
    for arn in call.params.get("LoadBalancerArns") or []:
        if arn not in there:
            raise AwsError("LoadBalancerNotFound", "One or more load balancers not found")
    names = {balancer.name for balancer in there.values()}
    for name in call.params.get("Names") or []:
        if name not in names:
            raise AwsError("LoadBalancerNotFound", f"Load balancers '[{name}]' not found")
    result = call.moto()
    return {**result, "LoadBalancers": decorated(call, result["LoadBalancers"])}


def described(call: Call, arns: list[str]) -> list[dict[str, Any]]:
    return decorated(call, call.moto({"LoadBalancerArns": arns}, "DescribeLoadBalancers")["LoadBalancers"])


def decorated(call: Call, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for item in items:
        balancer = call.backend.load_balancers[item["LoadBalancerArn"]]
        item["State"] = {"Code": "active" if is_active(call.backend, balancer) else "provisioning"}
    return items


def find(call: Call, arn: str) -> Any:
    balancer = call.backend.load_balancers.get(arn)
    if balancer is None:
        raise AwsError("LoadBalancerNotFound", f"Load balancer '{arn}' not found")
    return balancer
