"""Listeners and their rules."""

from __future__ import annotations

from typing import Any

from moto.elbv2.ssl_policies import SSL_POLICIES

from provisioner_sandbox.backend import backend
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.wire.message import Answer


@handles("elbv2", "CreateListener")
def create(call: Call) -> Answer | dict:
    balancer = call.backend.load_balancers.get(call.params["LoadBalancerArn"])
    port = call.params.get("Port")
    if balancer is not None and any(int(one.port or 0) == port for one in balancer.listeners.values()):
        # moto compares the port with ARNs.
        message = f"A listener already exists on this port for this load balancer '{balancer.arn}'"
        raise AwsError("DuplicateListener", message)
    check_tls(call.region, certificates_of(call), call.params.get("SslPolicy", ""))
    return call.forward()


@handles("elbv2", "ModifyListener", "AddListenerCertificates")
def change(call: Call) -> Answer:
    check_tls(call.region, certificates_of(call), call.params.get("SslPolicy", ""))
    return call.forward()


def certificates_of(call: Call) -> list[str]:
    return [one.get("CertificateArn", "") for one in call.params.get("Certificates") or []]


def check_tls(region: str, certificates: list[str], policy: str) -> None:
    """Raises `AwsError` for what does not exist.

    Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateListener.html
    """
    elb = backend("elbv2", region)
    for arn in certificates:
        if not elb._certificate_exists(certificate_arn=arn):
            raise AwsError("CertificateNotFound", f"Certificate '{arn}' not found")
    if policy and policy not in SSL_POLICIES:
        raise AwsError("SSLPolicyNotFound", f"SSL policy '{policy}' not found")


@handles("elbv2", "DeleteListener")
def delete(call: Call) -> dict:
    arn = call.params["ListenerArn"]
    for balancer in call.backend.load_balancers.values():
        if arn in balancer.listeners:
            remove(call.backend, balancer, balancer.listeners[arn])
            return {}
    raise AwsError("ListenerNotFound", f"Listener '{arn}' not found")


def remove(elb: Any, balancer: Any, listener: Any) -> None:
    balancer.listeners.pop(listener.arn)
    forget_listener(elb, listener)
    detach_groups(elb, balancer)


def forget_listener(elb: Any, listener: Any) -> None:
    """Its tags and its rules' go with it; a target group is no longer the load balancer's."""
    for arn in [listener.arn, *(rule.arn for rule in listener._non_default_rules.values())]:
        elb.tagging_service.tags.pop(arn, None)
    for group in elb.target_groups.values():
        group.load_balancer_arns = [arn for arn in group.load_balancer_arns if arn != listener.load_balancer_arn]


def detach_groups(elb: Any, balancer: Any) -> None:
    """Target groups of the listeners that are left."""
    for listener in balancer.listeners.values():
        for rule in listener.rules.values():
            for action in rule.actions:
                for arn in elb._get_target_group_arns_from(action_data=action.data):
                    arns = elb.target_groups[arn].load_balancer_arns
                    if balancer.arn not in arns:
                        arns.append(balancer.arn)


@handles("elbv2", "DeleteRule")
def delete_rule(call: Call) -> dict:
    arn = call.params["RuleArn"]
    for balancer in call.backend.load_balancers.values():
        for listener in balancer.listeners.values():
            if arn in listener._non_default_rules:
                listener.remove_rule(arn)
                call.backend.tagging_service.tags.pop(arn, None)
                for group in call.backend.target_groups.values():
                    group.load_balancer_arns = [one for one in group.load_balancer_arns if one != balancer.arn]
                detach_groups(call.backend, balancer)
                return {}
    raise AwsError("RuleNotFound", "One or more rules not found")
