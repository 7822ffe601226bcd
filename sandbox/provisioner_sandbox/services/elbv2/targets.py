"""Targets and their health, by address and port; moto keeps one port of an address.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
"""

from __future__ import annotations

from typing import Any

from provisioner_sandbox.backend import backend
from provisioner_sandbox.clock import CLOCK
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.elbv2.state import DRAINING, Target, elbv2_state

NOT_IN_USE = ("unused", "Target.NotInUse", "Target group is not configured to receive traffic from the load balancer")
INITIAL = ("initial", "Elb.RegistrationInProgress", "Target registration is in progress")
DRAINED = ("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")
STOPPED = ("unused", "Target.InvalidState", "Target is in the stopped state")
UNKNOWN = ("unused", "Target.NotRegistered", "Target is not registered to the target group")


def group_of(call: Call) -> Any:
    group = call.backend.target_groups.get(call.params["TargetGroupArn"])
    if group is None:
        raise AwsError("TargetGroupNotFound", "One or more target groups not found")
    return group


def asked(call: Call, group: Any) -> list[Target]:
    return [(one["Id"], int(one.get("Port") or group.port or 0)) for one in call.params.get("Targets") or []]


@handles("elbv2", "RegisterTargets")
def register_targets(call: Call) -> dict:
    group = group_of(call)
    if group.target_type == "instance":
        states = instance_states(call.region)
        for target, _ in asked(call, group):
            if states.get(target) != "running":
                message = f"The following targets are not in a running state and cannot be registered: '{target}'"
                raise AwsError("InvalidTarget", message)
    register(call.backend, group, asked(call, group))
    return {}


def register(elb: Any, group: Any, targets: list[Target]) -> None:
    state = elbv2_state(elb)
    for target in targets:
        state.registered.setdefault(group.arn, {}).setdefault(target, CLOCK.now())
        state.draining.get(group.arn, {}).pop(target, None)


@handles("elbv2", "DeregisterTargets")
def deregister_targets(call: Call) -> dict:
    group = group_of(call)
    there = elbv2_state(call.backend).registered.get(group.arn, {})
    named = [(one["Id"], one.get("Port")) for one in call.params["Targets"]]
    gone = [target for target in there if any(target[0] == name and port in (None, target[1]) for name, port in named)]
    deregister(call.backend, group, gone)
    return {}


def deregister(elb: Any, group: Any, targets: list[Target]) -> None:
    state = elbv2_state(elb)
    delay = float(group.attributes.get("deregistration_delay.timeout_seconds", DRAINING))
    for target in targets:
        if state.registered.get(group.arn, {}).pop(target, None) is not None:
            state.draining.setdefault(group.arn, {})[target] = CLOCK.now() + delay


@handles("elbv2", "DescribeTargetHealth")
def describe(call: Call) -> dict:
    group = group_of(call)
    found = health(call.region, group)
    wanted = asked(call, group)
    shown = {target: found.get(target, UNKNOWN) for target in wanted} if wanted else found
    return {
        "TargetHealthDescriptions": [
            {
                "Target": {"Id": name, "Port": port},
                "HealthCheckPort": str(port if group.health_check_port == "traffic-port" else group.health_check_port),
                "TargetHealth": {"State": state, **({"Reason": reason, "Description": why} if reason else {})},
            }
            for (name, port), (state, reason, why) in shown.items()
        ]
    }


def health(region: str, group: Any) -> dict[Target, tuple[str, str, str]]:
    """State, reason and description of each target."""
    state = elbv2_state(backend("elbv2", region))
    instances = instance_states(region) if group.target_type == "instance" else {}
    patience = int(group.health_check_interval_seconds) * int(group.healthy_threshold_count)
    found: dict[Target, tuple[str, str, str]] = {}
    for target, since in state.registered.get(group.arn, {}).items():
        if group.target_type == "instance" and instances.get(target[0]) in (None, "terminated"):
            continue
        if instances.get(target[0], "running") != "running":
            found[target] = STOPPED
        elif not group.load_balancer_arns:
            found[target] = NOT_IN_USE
        else:
            found[target] = INITIAL if CLOCK.elapsed(since) < patience else ("healthy", "", "")
    for target, until in state.draining.get(group.arn, {}).items():
        if until > CLOCK.now() and group.load_balancer_arns:
            found.setdefault(target, DRAINED)
    return found


def instance_states(region: str) -> dict[str, str]:
    reservations = backend("ec2", region).reservations.values()
    return {instance.id: instance.state for one in reservations for instance in one.instances}
