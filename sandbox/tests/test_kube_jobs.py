"""Jobs and CronJobs: pods that run to completion, failures, limits, and what cannot be changed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
from conftest import Sandbox, until
from kubernetes import SLOW, Kube, pod_spec, push

from provisioner_sandbox.kube import cron
from provisioner_sandbox.kube.controllers.cron_jobs import due


@pytest.fixture(scope="module")
def cluster(running: Sandbox) -> Kube:
    assert running.ext("POST", "reset")[0] == 200
    return Kube(running, nodes=2)


@pytest.fixture
def kube(cluster: Kube) -> Iterator[Kube]:
    cluster.namespace()
    yield cluster
    cluster.clear()


@pytest.fixture(scope="module")
def image(cluster: Kube) -> str:
    return push(cluster.sandbox)


def job_spec(image: str, code: str = "print('done')", policy: str = "Never", **more: Any) -> dict[str, Any]:
    pod = pod_spec(image, command=["/usr/bin/python3", "-c", code], readinessProbe=None)
    del pod["containers"][0]["readinessProbe"]
    return {"template": {"spec": {**pod, "restartPolicy": policy}}, **more}


def job(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}


class TestJobs:
    def create(self, kube: Kube, name: str, spec: dict[str, Any]) -> dict[str, Any]:
        code, made = kube.api("POST", kube.group("batch/v1", "jobs"), job(name, spec))
        assert code == 201, made
        return made

    def ended(self, kube: Kube, name: str, kind: str) -> dict[str, Any]:
        def look() -> Any:
            found = kube.api.get(kube.group("batch/v1", "jobs", name))
            kinds = {one["type"]: one["reason"] for one in found["status"].get("conditions", [])}
            return found if kind in kinds else None

        return until(look, SLOW)

    def test_one_runs_its_pod_to_completion(self, kube: Kube, image: str) -> None:
        made = self.create(kube, "work", job_spec(image))
        uid = made["metadata"]["uid"]
        labels = {
            "controller-uid": uid, "job-name": "work", "batch.kubernetes.io/controller-uid": uid,
            "batch.kubernetes.io/job-name": "work",
        }  # fmt: skip
        assert made["spec"]["template"]["metadata"]["labels"] == labels
        assert made["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
        defaults = ("backoffLimit", "completionMode", "completions", "parallelism", "suspend")
        assert [made["spec"][key] for key in defaults] == [6, "NonIndexed", 1, 1, False]
        state = self.ended(kube, "work", "Complete")["status"]
        reasons = {one["type"]: one["reason"] for one in state["conditions"]}
        assert reasons == {"SuccessCriteriaMet": "CompletionsReached", "Complete": "CompletionsReached"}
        assert state["succeeded"] == 1 and "failed" not in state and state["startTime"] <= state["completionTime"]
        [pod] = kube.pods()
        assert pod["status"]["phase"] == "Succeeded" and pod["metadata"]["name"].startswith("work-")
        assert pod["metadata"]["ownerReferences"][0]["uid"] == uid
        assert kube.events("Completed") == ["Job completed"]
        # Its pods go with it.
        assert kube.api("DELETE", kube.group("batch/v1", "jobs", "work"), {"propagationPolicy": "Foreground"})[0] == 200
        until(lambda: not kube.pods() and kube.api("GET", kube.group("batch/v1", "jobs", "work"))[0] == 404)

    def test_several_completions_run_as_many_at_once_as_asked(self, kube: Kube, image: str) -> None:
        self.create(kube, "many", job_spec(image, completions=3, parallelism=2))
        until(lambda: kube.pods())
        assert len(kube.pods()) == 2
        assert self.ended(kube, "many", "Complete")["status"]["succeeded"] == 3
        assert len(kube.pods()) == 3

    def test_failed_pods_are_replaced_up_to_the_limit(self, kube: Kube, image: str) -> None:
        self.create(kube, "bad", job_spec(image, "raise SystemExit(3)", backoffLimit=1))
        state = self.ended(kube, "bad", "Failed")["status"]
        assert state["failed"] == 2 and "succeeded" not in state
        failed = next(one for one in state["conditions"] if one["type"] == "Failed")
        assert failed["reason"] == "BackoffLimitExceeded"
        assert failed["message"] == "Job has reached the specified backoff limit"
        assert [pod["status"]["phase"] for pod in kube.pods()] == ["Failed", "Failed"]

    def test_restarts_of_one_pod_count_too(self, kube: Kube, image: str) -> None:
        self.create(kube, "again", job_spec(image, "raise SystemExit(3)", "OnFailure", backoffLimit=1))
        assert self.ended(kube, "again", "Failed")["status"]["conditions"][-1]["reason"] == "BackoffLimitExceeded"
        until(lambda: not kube.pods())

    def test_a_deadline_ends_it(self, kube: Kube, image: str) -> None:
        self.create(kube, "slow", job_spec(image, "import time; time.sleep(600)", activeDeadlineSeconds=1))
        assert self.ended(kube, "slow", "Failed")["status"]["conditions"][-1]["reason"] == "DeadlineExceeded"
        until(lambda: not kube.pods(), SLOW)

    def test_it_is_deleted_after_its_time_to_live(self, kube: Kube, image: str) -> None:
        self.create(kube, "short", job_spec(image, ttlSecondsAfterFinished=20))
        until(lambda: kube.api("GET", kube.group("batch/v1", "jobs", "short"))[0] == 404, SLOW)
        until(lambda: not kube.pods())

    def test_a_suspended_one_waits(self, kube: Kube, image: str) -> None:
        self.create(kube, "later", job_spec(image, suspend=True))
        state = self.ended(kube, "later", "Suspended")["status"]
        assert "startTime" not in state and not kube.pods()
        code, _ = kube.api.apply(kube.group("batch/v1", "jobs", "later"), job("later", {"suspend": False}), force="true")
        assert code == 200
        self.ended(kube, "later", "Complete")

    def test_the_template_cannot_be_changed(self, kube: Kube, image: str) -> None:
        path = kube.group("batch/v1", "jobs", "work")
        assert kube.api.apply(path, job("work", job_spec(image)))[0] == 201
        assert kube.api.apply(path, job("work", job_spec(image)))[0] == 200
        code, said = kube.api.apply(path, job("work", job_spec(image, "print('other')")))
        assert (code, said["reason"]) == (422, "Invalid")
        assert [cause["field"] for cause in said["details"]["causes"]] == ["spec.template"]
        assert said["message"].endswith(": field is immutable")
        code, _ = kube.api.apply(path, job("work", job_spec(image, parallelism=2)))
        assert code == 200

    @pytest.mark.parametrize(
        ("more", "code", "text"),
        [
            ({"policy": "Always"}, 422, 'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'),
            ({"backoffLimit": -1}, 422, "spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0"),
            ({"completionMode": "Indexed", "completions": 2}, 501, "does not support Jobs with indexes"),
        ],
    )
    def test_refused(self, kube: Kube, image: str, more: dict[str, Any], code: int, text: str) -> None:
        found, said = kube.api("POST", kube.group("batch/v1", "jobs"), job("bad", job_spec(image, **more)))
        assert found == code and text in said["message"], said


class TestCronJobs:
    def create(self, kube: Kube, image: str, **spec: Any) -> tuple[int, Any]:
        wanted = {
            "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly"},
            "spec": {"schedule": "0 3 * * *", "jobTemplate": {"spec": job_spec(image)}, **spec},
        }  # fmt: skip
        return kube.api("POST", kube.group("batch/v1", "cronjobs"), wanted)

    def test_it_waits_for_its_time(self, kube: Kube, image: str) -> None:
        code, made = self.create(kube, image, schedule="0 3 30 2 *")
        assert code == 201 and made["status"] == {}
        assert (made["spec"]["concurrencyPolicy"], made["spec"]["suspend"]) == ("Allow", False)
        assert kube.api.get(kube.group("batch/v1", "jobs"))["items"] == []

    def test_at_its_time_it_creates_a_job(self, kube: Kube, image: str) -> None:
        assert self.create(kube, image, schedule="* * * * *")[0] == 201
        [made] = until(lambda: kube.api.get(kube.group("batch/v1", "jobs"))["items"], 90.0)
        minute = int(time.time()) // 60
        assert made["metadata"]["name"] in (f"nightly-{minute}", f"nightly-{minute - 1}")
        assert made["metadata"]["ownerReferences"][0]["kind"] == "CronJob"
        until(lambda: "lastSuccessfulTime" in kube.api.get(kube.group("batch/v1", "cronjobs", "nightly"))["status"], SLOW)

    @pytest.mark.parametrize(
        ("schedule", "text"),
        [
            ("nightly", "expected exactly 5 fields, found 1: [nightly]"),
            ("0 25 * * *", "end of range (25) above maximum (23): 25"),
            ("@sometimes", "unrecognized descriptor: @sometimes"),
        ],
    )
    def test_a_wrong_schedule_is_refused(self, kube: Kube, image: str, schedule: str, text: str) -> None:
        code, said = self.create(kube, image, schedule=schedule)
        assert code == 422 and f'spec.schedule: Invalid value: "{schedule}": {text}' in said["message"], said


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("schedule", "moment", "holds"),
    [
        ("*/15 3 * * *", "2026-12-01T03:45", True),
        ("*/15 3 * * *", "2026-12-01T03:46", False),
        ("0 0 * * mon-fri", "2026-12-05T00:00", False),
        ("0 0 13 * fri", "2026-12-04T00:00", True),
        ("0 0 13 * *", "2026-12-04T00:00", False),
        ("5,10-12 * * jan,dec 2", "2026-12-01T09:11", True),
        ("@weekly", "2026-12-06T00:00", True),
    ],
)
def test_schedules(schedule: str, moment: str, holds: bool) -> None:
    assert cron.parse(schedule).has(at(moment)) == holds


def test_the_latest_time_that_is_due() -> None:
    after, until_ = at("2026-12-01T02:00").timestamp(), at("2026-12-01T03:30").timestamp()
    assert due({"schedule": "*/20 3 * * *"}, after, until_) == at("2026-12-01T03:20")
    assert due({"schedule": "*/20 3 * * *", "startingDeadlineSeconds": 60}, after, until_) is None
    assert due({"schedule": "0 4 * * *", "timeZone": "Europe/Berlin"}, after, until_) == at("2026-12-01T03:00")
