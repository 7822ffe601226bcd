"""A stack in AWS: created and updated from its model, and deleted in the controller's order.

Source: pkg/deploy of the controller. The lock over AWS's state is the caller's.
"""

from __future__ import annotations

from typing import Any

from provisioner_sandbox.backend import backend
from provisioner_sandbox.kube.balancing import security, subnets
from provisioner_sandbox.kube.balancing.installed import Installed
from provisioner_sandbox.kube.balancing.model import LOAD_BALANCER, Key, Listener, Model, TargetGroup
from provisioner_sandbox.services.elbv2 import load_balancers, target_groups, targets
from provisioner_sandbox.services.elbv2.listeners import check_tls, detach_groups, remove
from provisioner_sandbox.services.elbv2.state import Target, elbv2_state
from provisioner_sandbox.services.elbv2.tags import tag, tags_of

SSL_POLICY = "ELBSecurityPolicy-2016-08"
CONDITIONS = {"host-header": "HostHeaderConfig", "path-pattern": "PathPatternConfig"}
NOT_FOUND = {"ContentType": "text/plain", "StatusCode": "404"}
NO_BACKEND = {"ContentType": "text/plain", "StatusCode": "503", "MessageBody": "Backend service does not exist"}


class Stacks:
    """Of one cluster, in its VPC."""

    def __init__(self, region: str, vpc: str, controller: Installed):
        self.region, self.vpc, self.controller = region, vpc, controller
        self.elb, self.ec2 = backend("elbv2", region), backend("ec2", region)

    def having(self, things: dict[str, Any], tags: dict[str, str]) -> list[Any]:
        return [thing for arn, thing in things.items() if tags.items() <= tags_of(self.elb, arn).items()]

    def balancer(self, key: Key) -> Any:
        tags = key.tags(self.controller.cluster, LOAD_BALANCER)
        return next(iter(self.having(self.elb.load_balancers, tags)), None)

    def target_groups(self, key: Key) -> dict[str, list[Any]]:
        """By resource, as their tags say."""
        found: dict[str, list[Any]] = {}
        for group in self.having(self.elb.target_groups, key.tags(self.controller.cluster)):
            resource = tags_of(self.elb, group.arn).get(f"{key.prefix}/resource", "")
            found.setdefault(resource, []).append(group)
        return found

    def tags(self, model: Model, resource: str) -> dict[str, str]:
        return {**model.tags, **self.controller.tags, **model.key.tags(self.controller.cluster, resource)}

    # --- create and update -------------------------------------------------------------------------------------------

    def apply(self, model: Model, wanted: dict[str, set[Target]]) -> None:
        """`wanted`: the targets of each target group, by its resource."""
        chosen = self.choose(model)
        group_ids, managed = list(model.security_groups), not model.security_groups
        if managed:
            group_ids.append(security.ensure_managed(self.ec2, self.vpc, model, self.controller))
        if managed or model.manages_rules:
            group_ids.append(security.ensure_backend(self.ec2, self.vpc, self.controller))
        groups, left = self.apply_groups(model)
        balancer = self.apply_balancer(model, chosen, group_ids)
        self.apply_listeners(model, balancer, groups)
        for resource, group in groups.items():
            self.apply_targets(group, wanted.get(resource, set()))
        for group in left:
            target_groups.delete(self.elb, group.arn)
        if not managed:
            security.remove_managed(self.ec2, self.vpc, model.key, self.controller.cluster)

    def apply_groups(self, model: Model) -> tuple[dict[str, Any], list[Any]]:
        """The target groups by resource, and those that are left over."""
        there = self.target_groups(model.key)
        found = {}
        for wanted in model.groups:
            fits = [group for group in there.get(wanted.resource, []) if group.name == wanted.name]
            found[wanted.resource] = fits[0] if fits else self.make_group(model, wanted)
            self.change_group(found[wanted.resource], wanted)
        kept = {group.arn for group in found.values()}
        return found, [group for groups in there.values() for group in groups if group.arn not in kept]

    def make_group(self, model: Model, wanted: TargetGroup) -> Any:
        check = wanted.check
        group = self.elb.create_target_group(
            wanted.name, vpc_id=self.vpc, protocol=wanted.protocol, protocol_version=wanted.version, port=wanted.port,
            healthcheck_protocol=check.protocol, healthcheck_port=check.port, healthcheck_path=check.path,
            healthcheck_interval_seconds=check.interval, healthcheck_timeout_seconds=check.timeout,
            healthcheck_enabled="true", healthy_threshold_count=check.healthy,
            unhealthy_threshold_count=check.unhealthy,
            matcher={"HttpCode": check.matcher} if check.matcher else None, ip_address_type="ipv4",
            target_type=wanted.target_type,
        )  # fmt: skip
        tag(self.elb, group.arn, self.tags(model, wanted.resource))
        return group

    def change_group(self, group: Any, wanted: TargetGroup) -> None:
        check = wanted.check
        self.elb.modify_target_group(
            group.arn, check.protocol, check.port, check.path, check.interval, check.timeout, check.healthy,
            check.unhealthy, check.matcher,
        )  # fmt: skip
        group.attributes.update(dict(wanted.attributes))

    def choose(self, model: Model) -> list[str]:
        """Returns the subnets of a new load balancer. An existing one stays in its own."""
        balancer = self.balancer(model.key)
        if balancer is not None and balancer.scheme == model.scheme and not model.subnets:
            return [subnet.id for subnet in balancer.subnets]
        return subnets.choose(self.ec2, self.vpc, self.controller.cluster, model.kind, model.scheme, model.subnets)

    def apply_balancer(self, model: Model, chosen: list[str], group_ids: list[str]) -> Any:
        balancer = self.balancer(model.key)
        if balancer is not None and (balancer.type, balancer.scheme) != (model.kind, model.scheme):
            self.remove_balancer(balancer)
            balancer = None
        if balancer is None:
            balancer = load_balancers.create(
                self.region, model.name, model.kind, model.scheme, chosen, group_ids, self.tags(model, LOAD_BALANCER),
                allocations=dict(zip(chosen, model.allocations)),
            )  # fmt: skip
        if set(balancer.security_groups) != set(group_ids):
            load_balancers.change_groups(self.region, balancer, group_ids)
        if {subnet.id for subnet in balancer.subnets} != set(chosen):
            load_balancers.move(self.region, balancer, chosen, {})
        balancer.attrs.update(model.attributes)
        return balancer

    def apply_listeners(self, model: Model, balancer: Any, groups: dict[str, Any]) -> None:
        """Raises `AwsError` for a certificate or policy that AWS refuses; listeners are then as they were."""
        for wanted in model.listeners:
            check_tls(self.region, list(wanted.certificates), wanted.policy)
        there = {int(one.port): one for one in balancer.listeners.values()}
        ports = {one.port for one in model.listeners}
        for port, listener in there.items():
            if port not in ports:
                remove(self.elb, balancer, listener)
        arns = {resource: group.arn for resource, group in groups.items()}
        for wanted in model.listeners:
            made_of = (wanted, tuple(sorted(arns.items())))
            listener = there.get(wanted.port)
            if listener is not None and listener.__dict__.get("made_of") == made_of:
                continue
            if listener is not None and (listener.protocol, listener.certificates) != (
                wanted.protocol,
                list(wanted.certificates[:1]),
            ):
                remove(self.elb, balancer, listener)
                listener = None
            if listener is None:
                listener = self.make_listener(model, balancer, wanted, arns)
            self.apply_rules(model, listener, wanted, arns)
            listener.made_of = made_of
        # moto names a load balancer once for each listener and rule.
        for group in self.elb.target_groups.values():
            group.load_balancer_arns = [arn for arn in group.load_balancer_arns if arn != balancer.arn]
        detach_groups(self.elb, balancer)

    def make_listener(self, model: Model, balancer: Any, wanted: Listener, arns: dict[str, str]) -> Any:
        certificate = wanted.certificates[0] if wanted.certificates else None
        listener = self.elb.create_listener(
            balancer.arn, wanted.protocol, wanted.port, (wanted.policy or SSL_POLICY) if certificate else None,
            certificate, [default_action(wanted, arns)],
        )  # fmt: skip
        tag(self.elb, listener.arn, self.tags(model, str(wanted.port)))
        return listener

    def apply_rules(self, model: Model, listener: Any, wanted: Listener, arns: dict[str, str]) -> None:
        policy = wanted.policy or (SSL_POLICY if wanted.certificates else None)
        self.elb.modify_listener(listener.arn, None, None, policy, [], [default_action(wanted, arns)])
        for arn in list(listener._non_default_rules):
            listener.remove_rule(arn)
            self.elb.tagging_service.tags.pop(arn, None)
        for priority, rule in enumerate(wanted.rules, 1):
            conditions = [
                {"Field": field, CONDITIONS[field]: {"Values": list(values)}} for field, values in rule.conditions
            ]
            made = self.elb.create_rule(listener.arn, conditions, priority, [action(rule.group, arns)])
            tag(self.elb, made.arn, self.tags(model, f"{wanted.port}:{priority}"))

    def apply_targets(self, group: Any, wanted: set[Target]) -> None:
        there = set(elbv2_state(self.elb).registered.get(group.arn, {}))
        targets.deregister(self.elb, group, sorted(there - wanted))
        targets.register(self.elb, group, sorted(wanted - there))

    # --- delete ------------------------------------------------------------------------------------------------------

    def remove(self, key: Key) -> None:
        """Raises `DependencyViolation` while the interfaces of the deleted load balancer use its security group."""
        balancer = self.balancer(key)
        if balancer is not None:
            self.remove_balancer(balancer)
        for groups in self.target_groups(key).values():
            for group in groups:
                target_groups.delete(self.elb, group.arn)
        security.remove_managed(self.ec2, self.vpc, key, self.controller.cluster)

    def remove_balancer(self, balancer: Any) -> None:
        """Deletes a load balancer. The controller disables a protection that no annotation asks for."""
        balancer.attrs[load_balancers.PROTECTION] = "false"
        load_balancers.delete(self.region, balancer)


def default_action(listener: Listener, arns: dict[str, str]) -> dict[str, Any]:
    if listener.redirect is None:
        return action(listener.group, arns)
    to = {"Protocol": "HTTPS", "Port": str(listener.redirect), "StatusCode": "HTTP_301"}
    return {"Type": "redirect", "RedirectConfig": to}


def action(group: str | None, arns: dict[str, str]) -> dict[str, Any]:
    if group is None:
        return {"Type": "fixed-response", "FixedResponseConfig": NOT_FOUND}
    if group not in arns:
        return {"Type": "fixed-response", "FixedResponseConfig": NO_BACKEND}
    return {"Type": "forward", "TargetGroupArn": arns[group]}
