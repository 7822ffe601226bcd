"""CronJobs: a Job at each time of the schedule, by the clock of this machine. After `pkg/controller/cronjob` of Kubernetes."""

from __future__ import annotations

import copy
import time
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

from provisioner_sandbox.kube import cron, resources, status
from provisioner_sandbox.kube.clock import stamp
from provisioner_sandbox.kube.controllers.base import Context, owned, reference
from provisioner_sandbox.kube.controllers.jobs import finished
from provisioner_sandbox.kube.store import Object

COMPONENT = "cronjob-controller"
LOOK_SECONDS = 1.0
# Older ones were missed, as in a sandbox that slept.
MISSED_SECONDS = 600.0


class CronJobs:
    def __init__(self, context: Context):
        self.context = context
        # Up to when the schedule of each was followed.
        self.followed: dict[str, float] = {}

    def look(self) -> float | None:
        every = self.context.list(resources.CRON_JOBS)
        jobs = self.context.list(resources.JOBS) if every else []
        self.followed = {uid: at for uid, at in self.followed.items() if any(uid == one["metadata"]["uid"] for one in every)}
        for one in every:
            if not one["metadata"].get("deletionTimestamp"):
                self.sync(one, owned(jobs, one), time.time())
        return time.monotonic() + LOOK_SECONDS if every else None

    def sync(self, one: Object, jobs: list[Object], now: float) -> None:
        before = self.followed.get(one["metadata"]["uid"], now)
        self.followed[one["metadata"]["uid"]] = now
        moment = due(one["spec"], max(before, now - MISSED_SECONDS), now)
        found = dict(one.get("status", {}))
        active = [job for job in jobs if not finished(job)]
        if moment is not None and not one["spec"].get("suspend"):
            made = self.start(one, active, moment)
            if made is not None:
                active.append(made)
                found["lastScheduleTime"] = stamp(moment.timestamp())
        self.tidy(one, jobs)
        kept = ("apiVersion", "kind")
        found["active"] = [
            {**{key: job[key] for key in kept}, **{key: job["metadata"][key] for key in ("name", "namespace", "uid", "resourceVersion")}}
            for job in active
        ]
        done = [job["status"]["completionTime"] for job in jobs if job.get("status", {}).get("completionTime")]
        if done:
            found["lastSuccessfulTime"] = max(done)
        self.context.status(resources.CRON_JOBS, one, {key: value for key, value in found.items() if value})

    def start(self, one: Object, active: list[Object], moment: datetime) -> Object | None:
        policy, metadata, events = one["spec"].get("concurrencyPolicy"), one["metadata"], self.context.events
        if active and policy == "Forbid":
            text = "Not starting job because prior execution is running and concurrency policy is Forbid"
            events.tell(one, "Normal", "JobAlreadyActive", text, COMPONENT)
            return None
        if policy == "Replace":
            for job in active:
                self.context.delete(resources.JOBS, job, propagationPolicy="Background")
            active.clear()
        template = copy.deepcopy(one["spec"]["jobTemplate"])
        about = template.get("metadata") or {}
        annotations = {**(about.get("annotations") or {}), "batch.kubernetes.io/cronjob-scheduled-timestamp": moment.isoformat()}
        job = {
            "metadata": {
                **about,
                "name": f"{metadata['name']}-{int(moment.timestamp()) // 60}",
                "namespace": metadata["namespace"],
                "annotations": annotations,
                "ownerReferences": [reference(one)],
            },
            "spec": template["spec"],
        }
        try:
            made = self.context.create(resources.JOBS, job)
        except status.Refused as refused:
            if refused.code != 409:
                events.tell(one, "Warning", "FailedCreate", f"Error creating job: {refused.message}", COMPONENT)
            return None
        events.tell(one, "Normal", "SuccessfulCreate", f"Created job {made['metadata']['name']}", COMPONENT)
        return made

    def tidy(self, one: Object, jobs: list[Object]) -> None:
        """Deletes finished Jobs beyond the history limits, the oldest first."""
        def ended(job: Object, kind: str) -> bool:
            conditions = job.get("status", {}).get("conditions") or []
            return any(each["type"] == kind and each["status"] == "True" for each in conditions)

        for kind, limit in (("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")):
            old = sorted((job for job in jobs if ended(job, kind)), key=lambda job: job["metadata"]["creationTimestamp"])
            for job in old[: max(len(old) - one["spec"].get(limit, 1), 0)]:
                self.context.delete(resources.JOBS, job, propagationPolicy="Background")


def due(spec: Object, after: float, until: float) -> datetime | None:
    """The latest time of the schedule after the first moment, up to the second, that is not too late for it."""
    zone = ZoneInfo(spec["timeZone"]) if spec.get("timeZone") else timezone.utc
    start, end = (datetime.fromtimestamp(seconds, zone) for seconds in (after, until))
    found = cron.parse(spec["schedule"]).last(start, end)
    late = spec.get("startingDeadlineSeconds")
    if found is not None and late is not None and until - found.timestamp() > late:
        return None
    return found
