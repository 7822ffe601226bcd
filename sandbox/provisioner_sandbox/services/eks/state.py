"""What there is of EKS in a region, and what time does to it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from provisioner_sandbox.backend import ACCOUNT, backend, is_past
from provisioner_sandbox.clock import CLOCK
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.policy_conditions import as_list
from provisioner_sandbox.registry import Call

GONE = "GONE"


@dataclass
class Thing:
    """One resource: its describe document, and the status that it has from `due` on."""

    kind: str
    doc: dict[str, Any]
    due: float | None = None
    becomes: str = ""
    # An access entry's policies, by ARN: listed by a call of their own.
    policies: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        return self.doc[ARN_FIELDS[self.kind]]

    @property
    def status(self) -> str:
        return self.doc.get("status", "ACTIVE")

    def turn(self, status: str, after: float, becomes: str) -> None:
        """`status` now, and `becomes` when `after` AWS seconds are over."""
        self.doc["status"] = status
        self.due = CLOCK.now() + after
        self.becomes = becomes


ARN_FIELDS = {
    "cluster": "arn",
    "nodegroup": "nodegroupArn",
    "addon": "addonArn",
    "fargateprofile": "fargateProfileArn",
    "access-entry": "accessEntryArn",
    "podidentityassociation": "associationArn",
}


@dataclass
class Update:
    doc: dict[str, Any]
    target: Thing
    changes: dict[str, Any]
    due: float


@dataclass
class Cluster(Thing):
    nodegroups: dict[str, Thing] = field(default_factory=dict)
    addons: dict[str, Thing] = field(default_factory=dict)
    profiles: dict[str, Thing] = field(default_factory=dict)
    entries: dict[str, Thing] = field(default_factory=dict)
    associations: dict[str, Thing] = field(default_factory=dict)
    updates: dict[str, Update] = field(default_factory=dict)
    interfaces: list[str] = field(default_factory=list)
    endpoint: dict[str, Any] = field(default_factory=dict)
    is_furnished: bool = False
    # The zones that it was made in: its subnets may change, these do not.
    zones: list[str] = field(default_factory=list)
    creator_is_admin: bool = True
    # The add-ons' software that it has without add-ons.
    self_managed: set[str] = field(default_factory=set)

    def children(self) -> list[dict[str, Thing]]:
        return [self.nodegroups, self.addons, self.profiles, self.entries, self.associations]


@dataclass
class EksState:
    clusters: dict[str, Cluster] = field(default_factory=dict)

    def things(self) -> list[Thing]:
        found: list[Thing] = []
        for cluster in self.clusters.values():
            found.append(cluster)
            found += [thing for things in cluster.children() for thing in things.values()]
        return found


# What happens when a thing reaches a status, or an update of it ends: (kind, status or type of the update).
Hook = Callable[[str, Cluster, Thing], None]
REACHED: dict[tuple[str, str], list[tuple[Hook, bool]]] = {}


def reaches(kind: str, status: str, elsewhere: bool = False) -> Callable[[Hook], Hook]:
    """`elsewhere`: it changes what other services have."""

    def register(hook: Hook) -> Hook:
        REACHED.setdefault((kind, status), []).append((hook, elsewhere))
        return hook

    return register


def eks_state(region: str) -> EksState:
    """Kept on moto's backend itself, so that a reset or a copy of that takes it along."""
    return backend("eks", region).__dict__.setdefault("sandbox_state", EksState())


def settle(region: str) -> None:
    """Lets happen what time has brought since the last call.

    A copy of EKS's past changes by itself only, and nothing comes to copies of what it changes elsewhere:
    what is due there is done by the next call that sees the world as it is.
    """
    is_copy = is_past("eks", region)
    if not is_copy and any(is_past(service, region) for service in ("ec2", "logs")):
        return

    def reached(cluster: Cluster, thing: Thing, what: str) -> None:
        for hook, elsewhere in REACHED.get((thing.kind, what), []):
            if not (elsewhere and is_copy):
                hook(region, cluster, thing)

    state = eks_state(region)
    for cluster in list(state.clusters.values()):
        for update in cluster.updates.values():
            if end_update(update):
                reached(cluster, update.target, update.doc["type"])
        parts: list[tuple[dict[str, Any], str, Thing]] = [(state.clusters, cluster.doc["name"], cluster)]
        parts += [(things, key, thing) for things in cluster.children() for key, thing in things.items()]
        for things, key, thing in parts:
            if thing.due is None or thing.due > CLOCK.now():
                continue
            thing.due = None
            thing.doc["status"] = thing.becomes
            reached(cluster, thing, thing.becomes)
            if thing.becomes == GONE:
                things.pop(key)


def end_update(update: Update) -> bool:
    """Whether it ended just now."""
    if update.doc["status"] != "InProgress" or update.due > CLOCK.now():
        return False
    document = update.target.doc
    update.doc["status"] = "Successful"
    merge(document, update.changes)
    if "modifiedAt" in document:
        document["modifiedAt"] = now()
    if document["status"] == "UPDATING":
        document["status"] = "ACTIVE"
    return True


def merge(document: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(document.get(key), dict) and key in MERGED:
            merge(document[key], value)
        else:
            document[key] = value


# Of these only the members that a request names change.
MERGED = {"accessConfig", "launchTemplate", "resourcesVpcConfig", "scalingConfig", "upgradePolicy"}


def start_update(
    cluster: Cluster,
    target: Thing,
    kind: str,
    params: dict[str, Any],
    changes: dict[str, Any],
    seconds: float,
) -> dict[str, Any]:
    """An update on its way, as the call that asked for it answers it."""
    document = {
        "id": str(uuid.uuid4()),
        "status": "InProgress",
        "type": kind,
        "params": [{"type": name, "value": in_text(value)} for name, value in params.items() if value is not None],
        "createdAt": now(),
        "errors": [],
    }
    target.doc["status"] = "UPDATING"
    cluster.updates[document["id"]] = Update(document, target, changes, CLOCK.now() + seconds)
    return dict(document)


def in_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def cluster_of(call: Call, member: str = "clusterName") -> Cluster:
    name = call.params[member]
    cluster = eks_state(call.region).clusters.get(name)
    if cluster is None:
        raise not_found(f"No cluster found for name: {name}.")
    return cluster


def active_cluster(call: Call, member: str = "clusterName") -> Cluster:
    cluster = cluster_of(call, member)
    if cluster.status not in ("ACTIVE", "UPDATING"):
        raise AwsError("InvalidRequestException", f"Cluster '{cluster.doc['name']}' is not in ACTIVE status", 400)
    return cluster


def arn(region: str, rest: str) -> str:
    return f"arn:aws:eks:{region}:{ACCOUNT}:{rest}"


def now() -> datetime:
    return datetime.now(timezone.utc)


def not_found(message: str) -> AwsError:
    return AwsError("ResourceNotFoundException", message, 404)


def in_use(message: str) -> AwsError:
    return AwsError("ResourceInUseException", message, 409)


def invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterException", message, 400)


def refused(message: str) -> AwsError:
    return AwsError("InvalidRequestException", message, 400)


def page(call: Call, items: list[Any]) -> tuple[list[Any], str | None]:
    """One page of a list; EKS's tokens are opaque, these count."""
    start = int(call.params.get("nextToken") or 0)
    size = call.params.get("maxResults") or 100
    more = str(start + size) if len(items) > start + size else None
    return items[start : start + size], more


def role_of(region: str, role_arn: str) -> Any:
    """moto's role of this ARN, or None."""
    return next((role for role in backend("iam", region).roles.values() if role.arn == role_arn), None)


def trusts(role: Any, service: str, *actions: str) -> bool:
    """Whether a role's trust lets a service do all of `actions` with it."""
    document = role.assume_role_policy_document
    policy = json.loads(document) if isinstance(document, str) else document
    allowed: set[str] = set()
    for statement in as_list(policy.get("Statement")):
        principal = statement.get("Principal")
        services = as_list(principal.get("Service")) if isinstance(principal, dict) else []
        if statement.get("Effect") == "Allow" and service in services:
            allowed.update(as_list(statement.get("Action")))
    return "sts:*" in allowed or all(action in allowed for action in actions)
