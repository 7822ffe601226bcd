"""The controller's loop: it adds the finalizer and deploys the model, and does the opposite when an object is deleted.

While no pod of the controller is ready, finalizers and load balancers stay as they are.
Source: controllers/service/service_controller.go and controllers/ingress/group_controller.go of the controller.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from moto.core.exceptions import ServiceException

from provisioner_sandbox.backend import backend
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.kube.balancing import endpoints, of_ingresses, of_services, security
from provisioner_sandbox.kube.balancing.annotations import BuildError, Object
from provisioner_sandbox.kube.balancing.deploy import Stacks
from provisioner_sandbox.kube.balancing.installed import Installed, installed
from provisioner_sandbox.kube.balancing.model import INGRESS, SERVICE, Key, Model, TargetGroup
from provisioner_sandbox.kube.balancing.of_ingresses import Member
from provisioner_sandbox.kube.balancing.seen import (
    Cluster,
    Kube,
    Seen,
    finalizer_of,
    is_protected,
    pending,
    without_finalizer,
)
from provisioner_sandbox.kube.clock import Clock
from provisioner_sandbox.kube.status import Refused
from provisioner_sandbox.services.ec2.settling import settle
from provisioner_sandbox.services.elbv2.state import Target, is_active

# AWS seconds between two attempts, and until a failed deletion of a security group is reported.
RETRY = 10.0
PATIENCE = 120.0
IN_USE = "DependencyViolation"


@dataclass
class Progress:
    """Of one stack."""

    done: Any = None
    # Times by the clock of Kubernetes: of the next attempt, and of the start of the deletion.
    retry: float = 0.0
    since: float | None = None
    # Ports of pods by their security group.
    ports: dict[str, set[int]] = field(default_factory=dict)


class Reconciler:
    def __init__(self, cluster: Cluster, kube: Kube, stopped: Callable[[], bool]):
        self.cluster = cluster
        self.kube = kube
        self.stopped = stopped
        self.clock = Clock()
        self.progress: dict[Key, Progress] = {}
        # Uids and stacks of objects whose finalizer was removed: a look may still see it.
        self.finished: set[tuple[str, Key]] = set()
        # Uids of objects whose last change AWS, or the controller, has refused.
        self.failed: set[str] = set()

    def look(self, seen: Seen) -> dict[str, bool]:
        """Returns, by uid, for each object with a load balancer in AWS whether that is active."""
        controller = installed(seen.deployments)
        members = self.members(seen, controller or Installed(self.cluster.name))
        if controller is not None:
            for key, objects in members.items():
                self.reconcile(key, objects, seen, controller)
            for key, ones in members.items():
                self.finished -= {(one.document["metadata"]["uid"], key) for one in ones}
            for document, key, finalizer in self.pending(seen, members):
                self.finish(document, key, finalizer, members, seen, controller)
        return self.standing(seen, members)

    def pending(self, seen: Seen, members: dict[Key, list[Member]]) -> list[tuple[Object, Key, str]]:
        found = pending(seen, members)
        return [one for one in found if (one[0]["metadata"]["uid"], one[1]) not in self.finished]

    def members(self, seen: Seen, controller: Installed) -> dict[Key, list[Member]]:
        found: dict[Key, list[Member]] = {}
        for service in seen.services:
            if of_services.is_supported(service, controller) and not service["metadata"].get("deletionTimestamp"):
                found[of_services.key_of(service)] = [Member(service, {})]
        for ingress in seen.ingresses:
            if seen.is_ours(ingress, controller) and not ingress["metadata"].get("deletionTimestamp"):
                member = Member(ingress, seen.settings(ingress))
                found.setdefault(member.key, []).append(member)
        return found

    # --- create and update -------------------------------------------------------------------------------------------

    def reconcile(self, key: Key, members: list[Member], seen: Seen, controller: Installed) -> None:
        progress = self.progress.setdefault(key, Progress())
        progress.since = None
        if self.clock.now() < progress.retry:
            return
        objects = [member.document for member in members]
        try:
            # An Ingress has its finalizer before the model is built, a Service when it is.
            for document in objects if key.prefix == INGRESS else []:
                self.add_finalizer(document, finalizer_of(key))
            model = self.build(key, members, seen, controller)
            wanted, ports = self.behind(model, seen, controller)
            for document in objects if key.prefix == SERVICE else []:
                self.add_finalizer(document, finalizer_of(key))
            made_of = (model, wanted, ports, controller)
            if progress.done == made_of:
                self.failed -= {uid_of(document) for document in objects}
                return
            with self.cluster.guard:
                if self.stopped():
                    return
                stacks = self.stacks(controller)
                stacks.apply(model, wanted)
                progress.ports = ports
                self.let_through(stacks)
            progress.done = made_of
            self.failed -= {uid_of(document) for document in objects}
        except BuildError as error:
            self.fail(progress, objects, "FailedBuildModel", f"Failed build model due to {error}")
        except (AwsError, ServiceException) as error:
            self.fail(progress, objects, "FailedDeployModel", f"Failed deploy model due to {told(error)}")
        except Refused:
            # The object changed in the meantime.
            return

    def build(self, key: Key, members: list[Member], seen: Seen, controller: Installed) -> Model:
        if key.prefix == SERVICE:
            return of_services.build(members[0].document, controller)
        return of_ingresses.build(key, members, seen.service, controller)

    def behind(
        self, model: Model, seen: Seen, controller: Installed
    ) -> tuple[dict[str, set[Target]], dict[str, set[int]]]:
        """The targets by target group, and the ports by security group. Raises `BuildError` if no subnet fits."""
        wanted: dict[str, set[Target]] = {}
        ports: dict[str, set[int]] = {}
        with self.cluster.guard:
            stacks = self.stacks(controller)
            stacks.choose(model)
            for group in model.groups:
                found = [*self.targets(group, seen)]
                wanted[group.resource] = {target for target, _ in found}
                for (_, port), provider in found:
                    held = endpoints.group_for(stacks.ec2, stacks.vpc, controller.cluster, provider)
                    if held is not None and (not model.security_groups or model.manages_rules):
                        ports.setdefault(held, set()).add(port)
        return wanted, ports

    @staticmethod
    def targets(group: TargetGroup, seen: Seen) -> list[tuple[Target, str]]:
        """Each with the provider's id of its node."""
        service = seen.service(*group.service)
        ports = service["spec"].get("ports", []) if service else []
        port = next((one for one in ports if one["port"] == group.service_port), None)
        if service is None or port is None:
            return []
        if group.target_type == "instance":
            nodes = [one for one in seen.providers.values() if one.rpartition("/")[2].startswith("i-")]
            return [((node.rpartition("/")[2], group.port), node) for node in nodes]
        return [
            ((pod["status"]["podIP"], number), seen.providers.get(pod["spec"].get("nodeName", ""), ""))
            for pod, number in endpoints.ready(service, port, seen.pods)
        ]

    def stacks(self, controller: Installed) -> Stacks:
        stacks = Stacks(self.cluster.region, controller.vpc or self.cluster.vpc(), controller)
        settle(stacks.ec2)
        return stacks

    def let_through(self, stacks: Stacks) -> None:
        wanted = endpoints.join([one.ports for one in self.progress.values()])
        security.let_through(stacks.ec2, stacks.vpc, stacks.controller.cluster, wanted)

    def fail(self, progress: Progress, objects: list[Object], reason: str, message: str) -> None:
        progress.retry = self.clock.after(RETRY)
        self.failed |= {uid_of(document) for document in objects}
        for document in objects:
            self.kube.tell(document, "Warning", reason, message)

    # --- delete ------------------------------------------------------------------------------------------------------

    def finish(
        self,
        document: Object,
        key: Key,
        finalizer: str,
        members: dict[Key, list[Member]],
        seen: Seen,
        controller: Installed,
    ) -> None:
        """Deletes the stack of an object that is deleted, or no longer the controller's, and then the finalizer."""
        progress = self.progress.setdefault(key, Progress())
        if self.clock.now() < progress.retry:
            return
        if is_protected(document):
            kind = "service" if key.prefix == SERVICE else "ingress"
            why = f"deletion_protection is enabled, cannot delete the {kind}: {document['metadata']['name']}"
            self.fail(progress, [document], "FailedBuildModel", f"Failed build model due to {why}")
            return
        # If the group has other members, `reconcile` deletes the rules of this one.
        if key not in members and not self.remove(document, key, progress, members, seen, controller):
            return
        try:
            if key.prefix == SERVICE:
                self.kube.patch(document, {"status": {"loadBalancer": {"ingress": None}}}, "status")
            self.kube.patch(document, without_finalizer(document, finalizer), "")
        except Refused:
            # It changed in the meantime, or does not exist any more.
            return
        self.finished.add((document["metadata"]["uid"], key))
        if key not in members:
            self.progress.pop(key, None)

    def remove(
        self,
        document: Object,
        key: Key,
        progress: Progress,
        members: dict[Key, list[Member]],
        seen: Seen,
        controller: Installed,
    ) -> bool:
        """Returns whether nothing of the stack is left in AWS."""
        if progress.since is None:
            progress.since = self.clock.now()
        progress.done, progress.ports = None, {}
        try:
            with self.cluster.guard:
                if self.stopped():
                    return False
                stacks = self.stacks(controller)
                self.let_through(stacks)
                stacks.remove(key)
                if not members and not any(other != key for _, other, _ in self.pending(seen, members)):
                    security.remove_backend(stacks.ec2, stacks.vpc, controller.cluster)
            return True
        except (AwsError, ServiceException) as error:
            # The controller retries every two seconds for two minutes, and then starts over.
            waited = (self.clock.now() - progress.since) * self.clock.scale
            held = error.code == IN_USE
            if not held or waited > PATIENCE:
                why = f"failed to delete securityGroup: {told(error)}" if held else told(error)
                self.fail(progress, [document], "FailedDeployModel", f"Failed deploy model due to {why}")
            return False

    def add_finalizer(self, document: Object, finalizer: str) -> None:
        metadata = document["metadata"]
        there = metadata.get("finalizers") or []
        if finalizer not in there:
            version = metadata["resourceVersion"]
            self.kube.patch(document, {"metadata": {"finalizers": [*there, finalizer], "resourceVersion": version}}, "")

    # --- state -------------------------------------------------------------------------------------------------------

    def standing(self, seen: Seen, members: dict[Key, list[Member]]) -> dict[str, bool]:
        objects = {one.document["metadata"]["uid"]: key for key, ones in members.items() for one in ones}
        objects |= {document["metadata"]["uid"]: key for document, key, _ in self.pending(seen, members)}
        if not objects:
            return {}
        with self.cluster.guard:
            if self.stopped():
                return {}
            controller = installed(seen.deployments) or Installed(self.cluster.name)
            elb = backend("elbv2", self.cluster.region)
            stacks = Stacks(self.cluster.region, "", controller)
            found = {key: stacks.balancer(key) for key in set(objects.values())}
            # An address is published when the whole model is deployed, and stays.
            named = {uid_of(one) for one in [*seen.services, *seen.ingresses] if has_address(one)}
            done = {key for key, progress in self.progress.items() if progress.done is not None}
            return {
                uid: is_active(elb, found[key]) and bool(found[key].listeners) and (uid in named or key in done)
                for uid, key in objects.items()
                if found[key] is not None
            }


def uid_of(document: Object) -> str:
    return str(document["metadata"]["uid"])


def has_address(document: Object) -> bool:
    return bool(document.get("status", {}).get("loadBalancer", {}).get("ingress"))


def told(error: Exception) -> str:
    """As the SDK words an error of AWS."""
    return f"api error {getattr(error, 'code', type(error).__name__)}: {getattr(error, 'message', error)}"
