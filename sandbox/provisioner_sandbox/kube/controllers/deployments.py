"""Deployments: ReplicaSets for each of their templates, and the way from one to the next. After
`pkg/controller/deployment` of Kubernetes."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import time
from typing import Any

from provisioner_sandbox.kube import resources
from provisioner_sandbox.kube.controllers.base import (
    Context,
    is_active,
    owned,
    reference,
    set_condition,
    without_condition,
)
from provisioner_sandbox.kube.store import Object
from provisioner_sandbox.kube.writer import LETTERS

COMPONENT = "deployment-controller"
HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
DESIRED, MOST = "deployment.kubernetes.io/desired-replicas", "deployment.kubernetes.io/max-replicas"
# Of a Deployment's annotations, what its ReplicaSets do not take along.
NOT_COPIED = {"kubectl.kubernetes.io/last-applied-configuration", REVISION, DESIRED, MOST}


def template_hash(template: Object) -> str:
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).digest()
    return "".join(LETTERS[byte % len(LETTERS)] for byte in digest[:10])


def bare(template: Object) -> Object:
    made = copy.deepcopy(template)
    made["metadata"].setdefault("labels", {}).pop(HASH, None)
    return made


def share(value: Any, whole: int, up: bool) -> int:
    """A number, or a share of the whole."""
    if isinstance(value, str):
        exact = whole * int(value.rstrip("%")) / 100
        return math.ceil(exact) if up else math.floor(exact)
    return int(value or 0)


def number(one: Object, name: str) -> int:
    found: int = one.get("status", {}).get(name, 0)
    return found


def replicas(one: Object) -> int:
    found: int = one["spec"].get("replicas", 0)
    return found


class Deployments:
    def __init__(self, context: Context):
        self.context = context
        # When each last came further, by what it had reached then.
        self.progress: dict[str, tuple[Any, float]] = {}

    def look(self) -> float | None:
        context = self.context
        due: list[float] = []
        everyone = context.list(resources.REPLICA_SETS)
        present = set()
        for deployment in context.list(resources.DEPLOYMENTS):
            present.add(deployment["metadata"]["uid"])
            if deployment["metadata"].get("deletionTimestamp"):
                continue
            when = self.sync(deployment, owned(everyone, deployment))
            if when is not None:
                due.append(when)
        self.progress = {uid: one for uid, one in self.progress.items() if uid in present}
        return min(due, default=None)

    def sync(self, deployment: Object, sets: list[Object]) -> float | None:
        spec = deployment["spec"]
        template = bare(spec["template"])
        current = next((one for one in sets if bare(one["spec"]["template"]) == template), None)
        old = [one for one in sets if one is not current]
        if not spec.get("paused"):
            current = self.current(deployment, current, sets, template)
            if spec["strategy"]["type"] == "Recreate":
                self.recreate(deployment, current, old)
            else:
                self.roll(deployment, current, old)
        elif current is not None and not any(replicas(one) for one in old):
            self.scale(deployment, current, replicas(deployment))
        return self.report(deployment)

    # --- the ReplicaSets --------------------------------------------------------------------------------------------

    def current(self, deployment: Object, found: Object | None, sets: list[Object], template: Object) -> Object:
        """That of the template, made where there is none, with the newest revision."""
        others = [one for one in sets if one is not found]
        newest = max((int(one["metadata"].get("annotations", {}).get(REVISION, 0)) for one in others), default=0)
        metadata = deployment["metadata"]
        if found is None:
            surge, _ = self.limits(deployment)
            rolls = deployment["spec"]["strategy"]["type"] != "Recreate"
            room = replicas(deployment) + surge - sum(map(replicas, others)) if rolls or not others else 0
            count = max(min(room, replicas(deployment)), 0)
            found = self.make(deployment, template, newest + 1, count)
            text = f"Scaled up replica set {found['metadata']['name']} from 0 to {count}"
            if count:
                self.context.events.tell(deployment, "Normal", "ScalingReplicaSet", text, COMPONENT)
        elif int(found["metadata"].get("annotations", {}).get(REVISION, 0)) <= newest:
            annotations = {**found["metadata"].get("annotations", {}), REVISION: str(newest + 1)}
            found = self.context.change(resources.REPLICA_SETS, found, metadata={"annotations": annotations})
        least = deployment["spec"].get("minReadySeconds", 0)
        if found["spec"].get("minReadySeconds", 0) != least:
            found = self.context.change(resources.REPLICA_SETS, found, spec={"minReadySeconds": least})
        revision = found["metadata"]["annotations"][REVISION]
        if metadata.get("annotations", {}).get(REVISION) != revision:
            annotations = {**metadata.get("annotations", {}), REVISION: revision}
            self.context.change(resources.DEPLOYMENTS, deployment, metadata={"annotations": annotations})
        return found

    def make(self, deployment: Object, template: Object, revision: int, count: int) -> Object:
        spec, metadata = deployment["spec"], deployment["metadata"]
        mark = template_hash(template)
        template = copy.deepcopy(template)
        template["metadata"]["labels"] = {**template["metadata"].get("labels", {}), HASH: mark}
        selector = copy.deepcopy(spec["selector"])
        selector["matchLabels"] = {**selector.get("matchLabels", {}), HASH: mark}
        annotations = {key: value for key, value in metadata.get("annotations", {}).items() if key not in NOT_COPIED}
        made = {
            "metadata": {
                "name": f"{metadata['name']}-{mark}",
                "namespace": metadata["namespace"],
                "labels": template["metadata"]["labels"],
                "annotations": {**annotations, **self.counts(deployment), REVISION: str(revision)},
                "ownerReferences": [reference(deployment)],
            },
            "spec": {"replicas": count, "selector": selector, "template": template},
        }
        if spec.get("minReadySeconds"):
            made["spec"]["minReadySeconds"] = spec["minReadySeconds"]
        return self.context.create(resources.REPLICA_SETS, made)

    def counts(self, deployment: Object) -> dict[str, str]:
        wanted = replicas(deployment)
        surge, _ = self.limits(deployment)
        return {DESIRED: str(wanted), MOST: str(wanted + surge)}

    @staticmethod
    def limits(deployment: Object) -> tuple[int, int]:
        """Pods more than wanted, and fewer that are available."""
        strategy, wanted = deployment["spec"]["strategy"], replicas(deployment)
        if strategy["type"] == "Recreate":
            return 0, wanted
        rolling = strategy.get("rollingUpdate") or {}
        surge, missing = (
            share(rolling.get("maxSurge"), wanted, True),
            share(rolling.get("maxUnavailable"), wanted, False),
        )
        if surge == 0 and missing == 0:
            missing = 1
        return surge, min(missing, wanted)

    def scale(self, deployment: Object, one: Object, to: int) -> Object:
        before = replicas(one)
        counts = self.counts(deployment)
        annotations = one["metadata"].get("annotations", {})
        if before == to and counts.items() <= annotations.items():
            return one
        metadata = {"annotations": {**annotations, **counts}}
        made = self.context.change(resources.REPLICA_SETS, one, metadata=metadata, spec={"replicas": to})
        if before != to:
            way = "up" if to > before else "down"
            text = f"Scaled {way} replica set {one['metadata']['name']} from {before} to {to}"
            self.context.events.tell(deployment, "Normal", "ScalingReplicaSet", text, COMPONENT)
        return made

    def recreate(self, deployment: Object, current: Object, old: list[Object]) -> None:
        for one in old:
            self.scale(deployment, one, 0) if replicas(one) else None
        pods = self.context.list(resources.PODS, deployment["metadata"]["namespace"])
        if not any(owned(pods, one) for one in old):
            self.scale(deployment, current, replicas(deployment))

    def roll(self, deployment: Object, current: Object, old: list[Object]) -> None:
        wanted = replicas(deployment)
        surge, missing = self.limits(deployment)
        total = sum(map(replicas, [current, *old]))
        if replicas(current) > wanted:
            current = self.scale(deployment, current, wanted)
        elif replicas(current) < wanted:
            room = min(max(wanted + surge - total, 0), wanted - replicas(current))
            current = self.scale(deployment, current, replicas(current) + room)
        else:
            current = self.scale(deployment, current, wanted)
        total = sum(map(replicas, [current, *old]))
        least = wanted - missing
        spare = total - least - (replicas(current) - number(current, "availableReplicas"))
        left = []
        # Those that are broken anyway go first.
        for one in sorted(old, key=lambda one: one["metadata"]["creationTimestamp"]):
            broken = replicas(one) - number(one, "availableReplicas")
            if spare > 0 and broken > 0:
                gone = min(spare, broken)
                spare -= gone
                one = self.scale(deployment, one, replicas(one) - gone)
            left.append(one)
        available = sum(number(one, "availableReplicas") for one in [current, *left])
        spare = min(spare, available - least)
        for one in left:
            if spare <= 0:
                break
            gone = min(spare, replicas(one))
            if gone:
                spare -= gone
                self.scale(deployment, one, replicas(one) - gone)

    # --- what is said of it -----------------------------------------------------------------------------------------

    def report(self, deployment: Object) -> float | None:
        context, metadata = self.context, deployment["metadata"]
        found = context.store.get(resources.DEPLOYMENTS, metadata["namespace"], metadata["name"])
        if found is None or found["metadata"]["uid"] != metadata["uid"]:
            return None
        sets = owned(context.list(resources.REPLICA_SETS, metadata["namespace"]), deployment)
        template = bare(deployment["spec"]["template"])
        current = next((one for one in sets if bare(one["spec"]["template"]) == template), None)
        pods = context.list(resources.PODS, metadata["namespace"])
        ours = [pod for one in sets for pod in owned(pods, one)]
        total = sum(number(one, "replicas") for one in sets)
        available = sum(number(one, "availableReplicas") for one in sets)
        updated = number(current, "replicas") if current else 0
        counts = {
            "replicas": total,
            "updatedReplicas": updated,
            "readyReplicas": sum(number(one, "readyReplicas") for one in sets),
            "availableReplicas": available,
            # Of what the ReplicaSets are to have: more than is wanted, while one template follows another.
            "unavailableReplicas": max(sum(map(replicas, sets)) - available, 0),
        }
        wanted: Object = {"observedGeneration": metadata["generation"]}
        wanted |= {key: count for key, count in counts.items() if count}
        wanted["terminatingReplicas"] = len(
            [pod for pod in ours if not is_active(pod) and pod["metadata"].get("deletionTimestamp")]
        )
        conditions, due = self.conditions(found, current, sets, counts)
        wanted["conditions"] = conditions
        context.status(resources.DEPLOYMENTS, found, wanted)
        if counts["updatedReplicas"] == counts["replicas"] == replicas(deployment) == available:
            self.clean(deployment, [one for one in sets if one is not current])
        return due

    def conditions(
        self, deployment: Object, current: Object | None, sets: list[Object], counts: dict[str, int]
    ) -> tuple[list[Object], float | None]:
        uid, spec = deployment["metadata"]["uid"], deployment["spec"]
        conditions = deployment.get("status", {}).get("conditions", [])
        name = current["metadata"]["name"] if current else ""
        wanted = replicas(deployment)
        done = counts["updatedReplicas"] == wanted == counts["replicas"] == counts["availableReplicas"]
        # What counts as having come further: a new template, more of it, fewer of others, more that are ready.
        reached = (
            name, counts["updatedReplicas"], counts["replicas"] - counts["updatedReplicas"], counts["readyReplicas"],
            counts["availableReplicas"],
        )  # fmt: skip
        before, since = self.progress.get(uid, (None, 0.0))
        now = time.monotonic()
        due: float | None = None
        further = before is None or self.further(before, reached)
        if further or before != reached:
            since = now if further else since
            self.progress[uid] = (reached, since)
        limit = since + spec.get("progressDeadlineSeconds", 600)
        known = next((one for one in conditions if one["type"] == "Progressing"), None)
        if current is None:
            pass
        elif done:
            text = f'ReplicaSet "{name}" has successfully progressed.'
            conditions = set_condition(conditions, "Progressing", "True", "NewReplicaSetAvailable", text, True)
        elif (
            known is not None
            and known["reason"] == "NewReplicaSetAvailable"
            and before is not None
            and before[0] == name
        ):
            # It was rolled out: pods that fail later do not undo that.
            pass
        elif now >= limit:
            text = f'ReplicaSet "{name}" has timed out progressing.'
            conditions = set_condition(conditions, "Progressing", "False", "ProgressDeadlineExceeded", text, True)
        else:
            due = limit
            if before is None or before[0] != name:
                text = f'Created new replica set "{name}"'
                conditions = set_condition(conditions, "Progressing", "True", "NewReplicaSetCreated", text, True)
            elif further:
                text = f'ReplicaSet "{name}" is progressing.'
                conditions = set_condition(conditions, "Progressing", "True", "ReplicaSetUpdated", text, True)
        _, missing = self.limits(deployment)
        if counts["availableReplicas"] >= wanted - missing:
            text = "Deployment has minimum availability."
            conditions = set_condition(conditions, "Available", "True", "MinimumReplicasAvailable", text, True)
        else:
            text = "Deployment does not have minimum availability."
            conditions = set_condition(conditions, "Available", "False", "MinimumReplicasUnavailable", text, True)
        failures = [
            one
            for each in ([current] if current else []) + sets
            for one in each.get("status", {}).get("conditions", [])
            if one["type"] == "ReplicaFailure"
        ]
        if failures:
            conditions = set_condition(
                conditions, "ReplicaFailure", "True", failures[0]["reason"], failures[0]["message"], True
            )
        else:
            conditions = without_condition(conditions, "ReplicaFailure")
        return conditions, due

    @staticmethod
    def further(before: Any, now: Any) -> bool:
        return (
            now[0] != before[0] or now[1] > before[1] or now[2] < before[2] or now[3] > before[3] or now[4] > before[4]
        )

    def clean(self, deployment: Object, old: list[Object]) -> None:
        """ReplicaSets of the past beyond the number that is kept."""
        past = [one for one in old if not replicas(one) and not number(one, "replicas")]
        past.sort(key=lambda one: int(one["metadata"].get("annotations", {}).get(REVISION, 0)))
        for one in past[: max(len(past) - deployment["spec"].get("revisionHistoryLimit", 10), 0)]:
            if not one["metadata"].get("deletionTimestamp"):
                self.context.delete(resources.REPLICA_SETS, one)
