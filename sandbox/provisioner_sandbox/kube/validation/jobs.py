"""Jobs and CronJobs. After `pkg/apis/batch/validation` of Kubernetes."""

from __future__ import annotations

from provisioner_sandbox.kube import cron, status
from provisioner_sandbox.kube.status import Cause, missing, unsupported, wrong
from provisioner_sandbox.kube.validation.checks import IMMUTABLE, Causes, Object, of
from provisioner_sandbox.kube.validation.workloads import pod_spec

COUNTS = ("parallelism", "completions", "backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished")
FIXED = ("completions", "selector", "template", "completionMode")
# What no controller here carries out.
UNKNOWN = ("podFailurePolicy", "successPolicy", "backoffLimitPerIndex", "maxFailedIndexes", "managedBy")


def spec(spec: Object, path: str) -> Causes:
    for field in UNKNOWN:
        if spec.get(field) is not None:
            raise status.unknown_to_us(f"{path}.{field} of Jobs")
    if spec.get("completionMode", "NonIndexed") != "NonIndexed" or spec.get("manualSelector"):
        raise status.unknown_to_us("Jobs with indexes or with selectors of their own")
    causes: Causes = []
    for field in COUNTS:
        if (spec.get(field) or 0) < 0:
            causes.append(wrong(f"{path}.{field}", spec[field], "must be greater than or equal to 0"))
    pod = spec.get("template", {}).get("spec", {})
    causes += pod_spec(pod, f"{path}.template.spec")
    policy = pod.get("restartPolicy", "Always")
    if policy == "Always":
        where = f"{path}.template.spec.restartPolicy"
        causes.append(missing(where, 'valid values: "OnFailure", "Never"'))
    elif policy not in ("OnFailure", "Never"):
        causes.append(unsupported(f"{path}.template.spec.restartPolicy", policy, ["OnFailure", "Never"]))
    return causes


@of("Job")
def job(document: Object, old: Object | None) -> Causes:
    causes = spec(document["spec"], "spec")
    if old is not None:
        for field in FIXED:
            if document["spec"].get(field) != old["spec"].get(field):
                causes.append(wrong(f"spec.{field}", document["spec"].get(field), IMMUTABLE))
    return causes


@of("CronJob")
def cron_job(document: Object, old: Object | None) -> Causes:
    own = document["spec"]
    causes = spec(own.get("jobTemplate", {}).get("spec", {}), "spec.jobTemplate.spec")
    schedule = own.get("schedule", "")
    if not schedule:
        causes.append(missing("spec.schedule"))
    else:
        try:
            cron.parse(schedule)
        except cron.Malformed as error:
            causes.append(wrong("spec.schedule", schedule, str(error)))
    known = ["Allow", "Forbid", "Replace"]
    if own.get("concurrencyPolicy", "Allow") not in known:
        causes.append(Cause("FieldValueNotSupported", "spec.concurrencyPolicy", own["concurrencyPolicy"], f"supported values: {', '.join(known)}"))
    # Names of its Jobs end in eleven characters more.
    if len(document["metadata"]["name"]) > 52:
        causes.append(wrong("metadata.name", document["metadata"]["name"], "must be no more than 52 characters"))
    return causes
