"""Jobs: pods that run to their end. After `pkg/controller/job` and `ttlafterfinished` of Kubernetes.

`activeDeadlineSeconds` counts the seconds of this machine, since it bounds a real process; back-offs between failed pods and
`ttlSecondsAfterFinished` merely wait, and are as much faster as the sandbox is.
"""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, field

from provisioner_sandbox.kube import resources, status
from provisioner_sandbox.kube.controllers.base import Context, is_active, is_ready, owned, reference
from provisioner_sandbox.kube.managed import stamp
from provisioner_sandbox.kube.store import Object

COMPONENT = "job-controller"
FIRST_BACKOFF, LONGEST_BACKOFF = 10.0, 600.0
# Between two tries at a pod that was refused.
RETRY_SECONDS = 1.0
COMPLETED = ("CompletionsReached", "Reached expected number of succeeded pods")
LIMIT = ("BackoffLimitExceeded", "Job has reached the specified backoff limit")
DEADLINE = ("DeadlineExceeded", "Job was active longer than specified deadline")


def finished(job: Object) -> bool:
    conditions = job.get("status", {}).get("conditions") or []
    return any(one["type"] in ("Complete", "Failed") and one["status"] == "True" for one in conditions)


def condition(kind: str, why: tuple[str, str], holds: str = "True") -> Object:
    now = stamp()
    return {
        "type": kind, "status": holds, "reason": why[0], "message": why[1], "lastProbeTime": now, "lastTransitionTime": now,
    }  # fmt: skip


@dataclass
class Memory:
    """Of one Job: what became of its pods, also of those that are deleted since; when it began, failed and ended."""

    pods: dict[str, str] = field(default_factory=dict)
    began: float | None = None
    failed_at: float = 0.0
    ended_at: float | None = None
    again_at: float = 0.0


class Jobs:
    def __init__(self, context: Context):
        self.context = context
        self.memory: dict[str, Memory] = {}

    def look(self) -> float | None:
        pods = self.context.list(resources.PODS)
        jobs = self.context.list(resources.JOBS)
        self.memory = {uid: kept for uid, kept in self.memory.items() if any(uid == one["metadata"]["uid"] for one in jobs)}
        due = [self.sync(job, owned(pods, job)) for job in jobs if not job["metadata"].get("deletionTimestamp")]
        return min((when for when in due if when is not None), default=None)

    def sync(self, job: Object, pods: list[Object]) -> float | None:
        memory = self.memory.setdefault(job["metadata"]["uid"], Memory())
        if finished(job):
            return self.expire(job, memory)
        spec, now = job["spec"], time.monotonic()
        for pod in pods:
            phase, uid = pod.get("status", {}).get("phase", ""), pod["metadata"]["uid"]
            if phase in ("Succeeded", "Failed") and uid not in memory.pods:
                memory.pods[uid] = phase
                memory.failed_at = now if phase == "Failed" else memory.failed_at
        active = [pod for pod in pods if is_active(pod)]
        if spec.get("suspend"):
            memory.began = None
            self.end_pods(job, active)
            self.report(job, memory, pods, [condition("Suspended", ("JobSuspended", "Job suspended"))])
            return None
        memory.began = now if memory.began is None else memory.began
        deadline = spec.get("activeDeadlineSeconds")
        ends = None if deadline is None else memory.began + deadline
        if past_limit(spec, active, memory):
            return self.finish(job, memory, pods, "Failed", LIMIT)
        if ends is not None and now >= ends:
            return self.finish(job, memory, pods, "Failed", DEADLINE)
        wanted = missing_pods(spec, len(active), memory)
        if wanted is None:
            return self.finish(job, memory, pods, "Complete", COMPLETED)
        due = [] if ends is None else [ends]
        if wanted > 0:
            start = max(memory.again_at, self.backoff(memory))
            if now >= start and self.fill(job, wanted):
                memory.again_at = now + RETRY_SECONDS
                start = memory.again_at
            if now < start:
                due.append(start)
        elif wanted < 0:
            self.end_pods(job, active[wanted:])
        pods = owned(self.context.list(resources.PODS, job["metadata"]["namespace"]), job)
        self.report(job, memory, pods, [])
        return min(due, default=None)

    def backoff(self, memory: Memory) -> float:
        """When the next pod may start after failed ones."""
        failed = count(memory, "Failed")
        if not failed:
            return 0.0
        return memory.failed_at + min(FIRST_BACKOFF * 2 ** (failed - 1), LONGEST_BACKOFF) / self.context.clock.scale

    def fill(self, job: Object, wanted: int) -> bool:
        """Creates pods, and tells whether one was refused."""
        template, metadata = job["spec"]["template"], job["metadata"]
        about = {
            "generateName": f"{metadata['name']}-",
            "namespace": metadata["namespace"],
            "ownerReferences": [reference(job)],
            **{key: template["metadata"][key] for key in ("labels", "annotations") if template["metadata"].get(key)},
        }
        for _ in range(wanted):
            pod = {"metadata": copy.deepcopy(about), "spec": copy.deepcopy(template["spec"])}
            try:
                made = self.context.create(resources.PODS, pod)
            except status.Refused as refused:
                self.context.events.tell(job, "Warning", "FailedCreate", f"Error creating: {refused.message}", COMPONENT)
                return True
            text = f"Created pod: {made['metadata']['name']}"
            self.context.events.tell(job, "Normal", "SuccessfulCreate", text, COMPONENT)
        return False

    def end_pods(self, job: Object, pods: list[Object]) -> None:
        for pod in pods:
            self.context.delete(resources.PODS, pod)
            text = f"Deleted pod: {pod['metadata']['name']}"
            self.context.events.tell(job, "Normal", "SuccessfulDelete", text, COMPONENT)

    def finish(self, job: Object, memory: Memory, pods: list[Object], kind: str, why: tuple[str, str]) -> float | None:
        self.end_pods(job, [pod for pod in pods if is_active(pod)])
        before = "SuccessCriteriaMet" if kind == "Complete" else "FailureTarget"
        pods = owned(self.context.list(resources.PODS, job["metadata"]["namespace"]), job)
        self.report(job, memory, pods, [condition(before, why), condition(kind, why)])
        if kind == "Complete":
            self.context.events.tell(job, "Normal", "Completed", "Job completed", COMPONENT)
        else:
            self.context.events.tell(job, "Warning", *why, COMPONENT)
        memory.ended_at = time.monotonic()
        ttl = job["spec"].get("ttlSecondsAfterFinished")
        return None if ttl is None else memory.ended_at + ttl / self.context.clock.scale

    def expire(self, job: Object, memory: Memory) -> float | None:
        ttl = job["spec"].get("ttlSecondsAfterFinished")
        if ttl is None:
            return None
        memory.ended_at = time.monotonic() if memory.ended_at is None else memory.ended_at
        due = memory.ended_at + ttl / self.context.clock.scale
        if time.monotonic() < due:
            return due
        self.context.delete(resources.JOBS, job, propagationPolicy="Foreground")
        return None

    def report(self, job: Object, memory: Memory, pods: list[Object], conditions: list[Object]) -> None:
        now, before = stamp(), job.get("status", {})
        active = [pod for pod in pods if is_active(pod)]
        ended = {one["type"] for one in conditions} & {"Complete", "Failed"}
        known = {one["type"]: one for one in before.get("conditions") or []}
        if "Suspended" in known and not conditions:
            resumed = condition("Suspended", ("JobResumed", "Job resumed"), "False")
            conditions = [known["Suspended"] if known["Suspended"]["status"] == "False" else resumed]
        elif [one["type"] for one in conditions] == ["Suspended"] and known.get("Suspended", {}).get("status") == "True":
            conditions = [known["Suspended"]]
        counts = {"active": len(active), "succeeded": count(memory, "Succeeded"), "failed": count(memory, "Failed")}
        wanted: Object = {key: number for key, number in counts.items() if number}
        wanted["ready"] = 0 if ended else len([pod for pod in active if is_ready(pod)])
        wanted["terminating"] = len([pod for pod in pods if pod["metadata"].get("deletionTimestamp")])
        wanted["uncountedTerminatedPods"] = {}
        if memory.began is not None:
            wanted["startTime"] = before.get("startTime") or now
        if "Complete" in ended:
            wanted["completionTime"] = now
        if conditions:
            wanted["conditions"] = conditions
        self.context.status(resources.JOBS, job, wanted)


def count(memory: Memory, phase: str) -> int:
    return list(memory.pods.values()).count(phase)


def past_limit(spec: Object, active: list[Object], memory: Memory) -> bool:
    limit = spec.get("backoffLimit", 6)
    if count(memory, "Failed") > limit:
        return True
    if spec["template"]["spec"].get("restartPolicy") != "OnFailure":
        return False
    started = [one for pod in active for one in pod.get("status", {}).get("containerStatuses") or []]
    restarts = sum(one.get("restartCount", 0) for one in started)
    return restarts > 0 and restarts >= limit


def missing_pods(spec: Object, active: int, memory: Memory) -> int | None:
    """How many pods more, or fewer; `None` if all is done."""
    parallelism, completions, done = spec.get("parallelism", 1), spec.get("completions"), count(memory, "Succeeded")
    if completions is None:
        # A queue of work: the first pod that succeeds says that it is empty.
        if done:
            return 0 if active else None
        return parallelism - active
    if done >= completions:
        return None
    return min(parallelism, completions - done) - active
