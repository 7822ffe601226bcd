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
from provisioner_sandbox.health import configured
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
    # The processes of a node group's Auto Scaling group that are suspended, with the time.
    suspended: dict[str, str] = field(default_factory=dict)
    # The instances of a node group that became nodes.
    joined: set[str] = field(default_factory=set)
    # Whether a node group was active once, and since when instances of it are waited for.
    is_created: bool = False
    waiting_since: float | None = None
    # Why Auto Scaling could not launch the nodes that are missing.
    launch_issue: dict[str, Any] | None = None

    @property
    def arn(self) -> str:
        return self.doc[ARN_FIELDS[self.kind]]

    @property
    def on(self) -> str:
        """How the sandbox's configuration names it: `cluster`, `nodegroup/NAME`."""
        return "cluster" if self.kind == "cluster" else f"{self.kind}/{self.doc.get(NAME_FIELDS.get(self.kind, ''))}"

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


# Of the kinds that the configuration can name.
NAME_FIELDS = {"nodegroup": "nodegroupName", "addon": "addonName", "fargateprofile": "fargateProfileName"}


@dataclass
class Update:
    doc: dict[str, Any]
    target: Thing
    changes: dict[str, Any]
    due: float
    # What it fails with when its time is over, whatever the configuration says then.
    error: dict[str, Any] | None = None
    # `force`: pods are ended whatever their PodDisruptionBudget says.
    forced: bool = False
    # Until when `CancelUpdate` ends it: while the nodes of Auto Mode go back, the cluster is active.
    cancellable_until: float | None = None

    def is_cancellable(self) -> bool:
        is_open = self.cancellable_until is not None and CLOCK.now() < self.cancellable_until
        return is_open and self.doc["status"] == "InProgress"


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
    # The user or role that created it.
    creator: str = ""
    # The add-ons' software that it has without add-ons.
    self_managed: set[str] = field(default_factory=set)
    # What EKS found when it looked last, when that was, and the look that was asked for.
    insights: list[dict[str, Any]] = field(default_factory=list)
    insights_at: float | None = None
    refresh: dict[str, Any] | None = None

    def children(self) -> list[dict[str, Thing]]:
        return [self.nodegroups, self.addons, self.profiles, self.entries, self.associations]


@dataclass
class EksState:
    clusters: dict[str, Cluster] = field(default_factory=dict)
    # When events will still arrive in these log groups, of clusters that are gone.
    late_events: dict[str, list[float]] = field(default_factory=dict)

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


# What else an update may fail with at its end, in view of other services: (kind, type of the update).
Check = Callable[[str, Cluster, Update], "dict[str, Any] | None"]
CHECKS: dict[tuple[str, str], Check] = {}


def fails(kind: str, update_type: str) -> Callable[[Check], Check]:
    def register(check: Check) -> Check:
        CHECKS[kind, update_type] = check
        return check

    return register


def eks_state(region: str) -> EksState:
    """Kept on moto's backend itself, so that a reset or a copy of that takes it along."""
    return backend("eks", region).__dict__.setdefault("sandbox_state", EksState())


def settle(region: str) -> None:
    """Applies the state changes that are due since the last call.

    In a copy of the past only EKS's own resources change; changes in other services are applied by the next call on
    the current state.
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
            if is_due(update) and end_update(update, failure(region, cluster, update, is_copy)):
                reached(cluster, update.target, update.doc["type"])
        parts: list[tuple[dict[str, Any], str, Thing]] = [(state.clusters, cluster.doc["name"], cluster)]
        parts += [(things, key, thing) for things in cluster.children() for key, thing in things.items()]
        for things, key, thing in parts:
            if thing.due is None or thing.due > CLOCK.now() or thing.status == "UPDATING":
                continue
            thing.due = None
            if fail(thing):
                continue
            thing.doc["status"] = thing.becomes
            reached(cluster, thing, thing.becomes)
            if thing.becomes == GONE:
                things.pop(key)


# How a creation or a deletion that failed is shown. A cluster has one status for both: botocore's ClusterStatus.
FAILED = {
    "ACTIVE": {"cluster": "FAILED", **dict.fromkeys(NAME_FIELDS, "CREATE_FAILED")},
    GONE: {"cluster": "FAILED", **dict.fromkeys(NAME_FIELDS, "DELETE_FAILED")},
}


def fail(thing: Thing) -> bool:
    """Whether its creation or deletion fails now. It stays so until the delete call is sent, or is repeated."""
    wanted = FAILED.get(thing.becomes, {}).get(thing.kind)
    entry = configured(thing.on)
    if wanted is None or entry is None or entry.get("status") != wanted or thing.status not in ("CREATING", "DELETING"):
        return False
    thing.doc["status"] = wanted
    thing.doc["health"] = {"issues": [issue(entry)]}
    return True


def issue(entry: dict[str, Any]) -> dict[str, Any]:
    """A health issue of a describe call, for an entry of the configuration."""
    resources = entry.get("resourceIds", [])
    return {"code": entry.get("code", "Unknown"), "message": entry.get("message", ""), "resourceIds": resources}


def failure(region: str, cluster: Cluster, update: Update, is_copy: bool) -> dict[str, Any] | None:
    """What the update fails with, or None. A copy of the past has no copies of the other services to check."""
    check = CHECKS.get((update.target.kind, update.doc["type"]))
    entry = configured(update.target.on)
    error = update.error
    if error is None and entry is not None and entry.get("status") == "UPDATE_FAILED":
        found = issue(entry)
        error = {"errorCode": found["code"], "errorMessage": found["message"], "resourceIds": found["resourceIds"]}
    if error is None and check is not None and not is_copy:
        error = check(region, cluster, update)
    if update.forced and error is not None and error["errorCode"] == "PodEvictionFailure":
        return None
    return error


def is_due(update: Update) -> bool:
    return update.doc["status"] == "InProgress" and update.due <= CLOCK.now()


def end_update(update: Update, error: dict[str, Any] | None) -> bool:
    """Whether it ended well. One that fails is rolled back: nothing of the target changes."""
    document = update.target.doc
    if error is not None:
        update.doc["status"] = "Failed"
        update.doc["errors"] = [error]
        if document["status"] == "UPDATING":
            document["status"] = "UPDATE_FAILED" if update.target.kind == "addon" else "ACTIVE"
        if update.target.kind == "addon":
            issues = {"code": error["errorCode"], "message": error["errorMessage"]}
            document["health"] = {"issues": [{**issues, "resourceIds": error["resourceIds"]}]}
        return False
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
    call: Call,
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
    forced, due = call.params.get("force") is True, CLOCK.now() + seconds
    cluster.updates[document["id"]] = Update(document, target, changes, due, call.update_error, forced)
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
