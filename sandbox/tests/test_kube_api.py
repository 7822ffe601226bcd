"""The stand-in for a cluster's API server: objects, who manages their fields, watches, refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Sandbox, until
from kubernetes import APPLY, JSON_PATCH, MERGE, RESTRICTED, STRATEGIC, Kube, deployment, pod_spec, service

CONFIG = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "a", "labels": {"x": "1"}},
    "data": {"k": "v", "l": "w"},
}
OTHER = {**CONFIG, "metadata": {"name": "a", "labels": {"x": "2"}}, "data": {"k": "other", "l": "z"}}
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "things.example.io"},
    "spec": {
        "group": "example.io",
        "scope": "Namespaced",
        "names": {"plural": "things", "kind": "Thing"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["size"],
                                "properties": {
                                    "size": {"type": "integer"},
                                    "color": {"type": "string", "default": "red"},
                                },
                            },
                            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                        },
                    }
                },
            }
        ],
    },
}


@pytest.fixture(scope="module")
def cluster(running: Sandbox) -> Kube:
    assert running.ext("POST", "reset")[0] == 200
    return Kube(running)


@pytest.fixture
def kube(cluster: Kube) -> Iterator[Kube]:
    cluster.namespace()
    yield cluster
    cluster.clear()


def managers(document: dict[str, Any]) -> dict[str, Any]:
    return {entry["manager"]: entry["fieldsV1"] for entry in document["metadata"].get("managedFields", [])}


class TestApply:
    def test_owns_what_it_names(self, kube: Kube) -> None:
        code, made = kube.api.apply(f"{kube.ns}/configmaps/a", CONFIG, "one")
        assert code == 201
        assert managers(made) == {"one": {"f:data": {"f:k": {}, "f:l": {}}, "f:metadata": {"f:labels": {"f:x": {}}}}}
        again = kube.api.apply(f"{kube.ns}/configmaps/a", CONFIG, "one")
        assert again == (200, made)

    def test_conflicts(self, kube: Kube) -> None:
        path = f"{kube.ns}/configmaps/a"
        kube.api.apply(path, CONFIG, "one")
        code, refused = kube.api.apply(path, OTHER, "two")
        assert (code, refused["reason"]) == (409, "Conflict")
        assert refused["message"] == (
            'Apply failed with 3 conflicts: conflicts with "one":\n- .data.k\n- .data.l\n- .metadata.labels.x'
        )
        assert refused["details"]["causes"][0] == {
            "reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".data.k",
        }  # fmt: skip
        code, forced = kube.api.apply(path, OTHER, "two", force="true")
        assert (code, set(managers(forced)), forced["data"]) == (200, {"two"}, OTHER["data"])
        kube.api("PATCH", path, {"data": {"k": "mine"}}, MERGE)
        _, refused = kube.api.apply(path, OTHER, "two")
        assert refused["message"] == 'Apply failed with 1 conflict: conflict with "tests" using v1: .data.k'

    def test_what_kubectl_set_conflicts_until_it_is_forced(self, kube: Kube) -> None:
        kube.api.apply(kube.deployment, deployment("x:1", replicas=0), "one")
        name = pod_spec("x:1")["containers"][0]["name"]
        change = {"spec": {"template": {"spec": {"containers": [{"name": name, "image": "busybox"}]}}}}
        kube.api("PATCH", f"{kube.deployment}?fieldManager=kubectl-set", change, STRATEGIC)
        kube.api("PATCH", f"{kube.deployment}/scale?fieldManager=kubectl", {"spec": {"replicas": 1}}, MERGE)
        live = kube.api.get(kube.deployment)
        set_by = next(one for one in live["metadata"]["managedFields"] if one["manager"] == "kubectl-set")
        item = f'k:{{"name":"{name}"}}'
        owned = {"f:spec": {"f:template": {"f:spec": {"f:containers": {item: {"f:image": {}}}}}}}
        assert set_by == {
            "manager": "kubectl-set", "operation": "Update", "apiVersion": "apps/v1", "time": set_by["time"],
            "fieldsType": "FieldsV1", "fieldsV1": owned,
        }  # fmt: skip
        scaled = next(one for one in live["metadata"]["managedFields"] if one["manager"] == "kubectl")
        assert (scaled["subresource"], scaled["fieldsV1"]) == ("scale", {"f:spec": {"f:replicas": {}}})
        wanted = deployment("x:1", replicas=0)
        code, refused = kube.api.apply(kube.deployment, wanted, "one", dryRun="All")
        assert (code, [(cause["field"], cause["message"]) for cause in refused["details"]["causes"]]) == (
            409,
            [
                (".spec.replicas", 'conflict with "kubectl" with subresource "scale" using apps/v1'),
                (
                    f'.spec.template.spec.containers[name="{name}"].image',
                    'conflict with "kubectl-set" using apps/v1',
                ),
            ],
        )
        # With the live values, the fields have two owners, and nothing else of the object is held up.
        shared = deployment("busybox", replicas=1, revisionHistoryLimit=3)
        code, both = kube.api.apply(kube.deployment, shared, "one")
        assert (code, both["spec"]["revisionHistoryLimit"]) == (200, 3)
        assert {"one", "kubectl-set", "kubectl"} <= set(managers(both))
        code, told = kube.api.apply(kube.deployment, wanted, "one", dryRun="All", force="true")
        assert (code, told["spec"]["replicas"]) == (200, 0)
        assert kube.api.get(kube.deployment)["spec"]["replicas"] == 1
        code, forced = kube.api.apply(kube.deployment, wanted, "one", force="true")
        assert (code, forced["spec"]["replicas"]) == (200, 0)
        assert not {"kubectl-set", "kubectl"} & set(managers(forced))
        assert kube.api.apply(kube.deployment, wanted, "one")[0] == 200

    def test_shared_fields_stay_as_long_as_one_wants_them(self, kube: Kube) -> None:
        path = f"{kube.ns}/configmaps/a"
        kube.api.apply(path, CONFIG, "one")
        assert kube.api.apply(path, {**CONFIG, "data": {"l": "w"}}, "two")[0] == 200
        _, left = kube.api.apply(path, {**CONFIG, "data": {}}, "one")
        assert left["data"] == {"l": "w"}

    def test_lists_by_their_keys(self, kube: Kube) -> None:
        kube.api.apply(kube.deployment, deployment("x:1"), "one")
        second = {"name": "side", "image": "y:1", "env": [{"name": "A", "value": "1"}]}
        wanted = deployment("x:1", spec={"containers": [second]})
        code, both = kube.api.apply(kube.deployment, wanted, "two")
        assert code == 200, both
        assert [one["name"] for one in both["spec"]["template"]["spec"]["containers"]] == ["app", "side"]
        changed = deployment("x:2", spec={"containers": [{"name": "app", "image": "x:2"}]})
        _, refused = kube.api.apply(kube.deployment, changed, "two")
        assert refused["details"]["causes"][0]["field"] == '.spec.template.spec.containers[name="app"].image'
        _, alone = kube.api.apply(kube.deployment, deployment("x:1"), "two")
        assert [one["name"] for one in alone["spec"]["template"]["spec"]["containers"]] == ["app"]

    def test_what_hung_on_a_dropped_field_goes_with_it(self, kube: Kube) -> None:
        kube.api.apply(kube.deployment, deployment("x:1"))
        bare = pod_spec("x:1")
        del bare["containers"][0]["readinessProbe"]
        _, left = kube.api.apply(kube.deployment, deployment("", spec=bare))
        assert "readinessProbe" not in left["spec"]["template"]["spec"]["containers"][0]

    def test_dry_run_changes_nothing(self, kube: Kube) -> None:
        path = f"{kube.ns}/configmaps/a"
        code, shown = kube.api.apply(path, CONFIG, dryRun="All")
        assert (code, shown["data"]) == (201, CONFIG["data"])
        assert kube.api("GET", path)[0] == 404
        kube.api.apply(path, CONFIG)
        before = kube.api.get(path)
        assert kube.api.apply(path, OTHER, dryRun="All")[1]["data"] == OTHER["data"]
        assert kube.api.get(path) == before

    def test_unknown_fields(self, kube: Kube) -> None:
        code, refused = kube.api.apply(f"{kube.ns}/configmaps/a", {**CONFIG, "bogus": 1})
        assert (code, refused["message"]) == (
            500, "failed to create typed patch object (/a; /v1, Kind=ConfigMap): .bogus: field not declared in schema",
        )  # fmt: skip

    def test_a_manager_must_be_named(self, kube: Kube) -> None:
        code, refused = kube.api("PATCH", f"{kube.ns}/configmaps/a", CONFIG, APPLY)
        assert (code, refused["details"]["causes"][0]["field"]) == (422, "fieldManager")


class TestObjects:
    def test_strict_validation(self, kube: Kube) -> None:
        wrong = {**CONFIG, "metadata": {"name": "b", "foo": 1}, "bogus": 1}
        code, refused = kube.api("POST", f"{kube.ns}/configmaps?fieldValidation=Strict", wrong)
        assert code == 400
        assert refused["message"].endswith('strict decoding error: unknown field "metadata.foo", unknown field "bogus"')
        assert kube.api("POST", f"{kube.ns}/configmaps?fieldValidation=Warn", wrong)[0] == 201
        assert (
            kube.api.warning == '299 - "unknown field \\"metadata.foo\\"", 299 - "unknown field \\"bogus\\""'
            or kube.api.warning
        )

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"selector": {"matchLabels": {"app": "other"}}}, "spec.template.metadata.labels"),
            ({"replicas": -1}, "spec.replicas"),
            (
                {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}},
                "spec.strategy.rollingUpdate.maxUnavailable",
            ),
        ],
    )
    def test_what_cannot_be(self, kube: Kube, change: dict[str, Any], field: str) -> None:
        code, refused = kube.api.apply(kube.deployment, deployment("x:1", **change))
        assert (code, refused["reason"]) == (422, "Invalid")
        assert field in [cause["field"] for cause in refused["details"]["causes"]]

    def test_selectors_stay(self, kube: Kube) -> None:
        kube.api.apply(kube.deployment, deployment("x:1"))
        wanted = deployment("x:1", selector={"matchLabels": {"other": "label"}})
        wanted["spec"]["template"]["metadata"]["labels"]["other"] = "label"
        _, refused = kube.api.apply(kube.deployment, wanted)
        assert refused["message"].endswith("field is immutable")

    def test_patches_and_old_versions(self, kube: Kube) -> None:
        path = f"{kube.ns}/configmaps/a"
        _, made = kube.api("POST", f"{kube.ns}/configmaps", CONFIG)
        code, changed = kube.api("PATCH", path, [{"op": "replace", "path": "/data/k", "value": "j"}], JSON_PATCH)
        assert (code, changed["data"]["k"]) == (200, "j")
        assert kube.api("PATCH", path, {"data": {"k": None}}, MERGE)[1]["data"] == {"l": "w"}
        code, refused = kube.api("PUT", path, made)
        assert (code, refused["reason"]) == (409, "Conflict")
        assert "the object has been modified" in refused["message"]

    def test_finalizers_and_owners(self, kube: Kube) -> None:
        owner = kube.api(
            "POST", f"{kube.ns}/configmaps", {**CONFIG, "metadata": {"name": "owner", "finalizers": ["x.io/keep"]}}
        )[1]
        reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
        kube.api(
            "POST", f"{kube.ns}/configmaps", {**CONFIG, "metadata": {"name": "owned", "ownerReferences": [reference]}}
        )
        _, ending = kube.api("DELETE", f"{kube.ns}/configmaps/owner")
        assert ending["metadata"]["deletionTimestamp"]
        assert kube.api("GET", f"{kube.ns}/configmaps/owned")[0] == 200
        kube.api("PATCH", f"{kube.ns}/configmaps/owner", {"metadata": {"finalizers": None}}, MERGE)
        until(lambda: kube.api("GET", f"{kube.ns}/configmaps/owned")[0] == 404)

    def test_a_namespace_takes_all_along(self, kube: Kube) -> None:
        kube.api.apply(f"{kube.ns}/configmaps/a", CONFIG)
        assert kube.api("DELETE", kube.ns)[1]["status"]["phase"] == "Terminating"
        until(lambda: kube.api("GET", kube.ns)[0] == 404)
        code, refused = kube.api("POST", f"{kube.ns}/configmaps", CONFIG)
        assert (code, refused["message"]) == (404, 'namespaces "test" not found')
        kube.namespace()
        assert kube.api("GET", f"{kube.ns}/configmaps/a")[0] == 404

    def test_services_get_an_address(self, kube: Kube) -> None:
        _, made = kube.api.apply(f"{kube.ns}/services/web", service())
        assert made["spec"]["clusterIP"].startswith("172.20.")
        assert kube.api.apply(f"{kube.ns}/services/web", service())[1] == made

    def test_scale(self, kube: Kube) -> None:
        kube.api.apply(kube.deployment, deployment("x:1", replicas=0))
        _, scaled = kube.api("PATCH", f"{kube.deployment}/scale", {"spec": {"replicas": 3}}, MERGE)
        assert (scaled["kind"], scaled["spec"]["replicas"]) == ("Scale", 3)
        assert kube.api.get(kube.deployment)["spec"]["replicas"] == 3

    def test_custom_resources(self, kube: Kube) -> None:
        things = kube.group("example.io/v1", "things")
        thing = {"apiVersion": "example.io/v1", "kind": "Thing", "metadata": {"name": "t"}, "spec": {"size": 1}}
        assert kube.api("GET", things)[0] == 404
        definition = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.example.io"
        kube.api.apply(definition, DEFINITION)
        until(
            lambda: (
                {one["type"] for one in kube.api.get(definition).get("status", {}).get("conditions", [])}
                >= {"Established"}
            )
        )
        code, made = kube.api.apply(f"{things}/t", thing)
        assert (code, made["spec"]) == (201, {"size": 1, "color": "red"})
        assert kube.api.apply(f"{things}/t", {**thing, "spec": {"size": 1, "weight": 2}})[0] == 500
        code, refused = kube.api("POST", things, {**thing, "metadata": {"name": "u"}, "spec": {}})
        assert (code, refused["message"]) == (422, 'Thing.example.io "u" is invalid: spec.size: Required value')
        assert "example.io" in [group["name"] for group in kube.api.get("/apis")["groups"]]
        kube.api("DELETE", definition)
        until(lambda: kube.api("GET", definition)[0] == 404)
        assert kube.api("GET", f"{things}/t")[0] == 404

    def test_what_it_does_not_know_is_said(self, kube: Kube) -> None:
        code, refused = kube.api("GET", kube.group("apps/v1", "statefulsets"))
        assert (code, "provisioner sandbox start --kubernetes" in refused["message"]) == (501, True)
        assert kube.api("GET", kube.group("apps/v1", "bananas"))[0] == 404
        assert kube.api("POST", f"{kube.ns}/configmaps", CONFIG, "application/vnd.kubernetes.protobuf")[0] == 415

    def test_restricted_namespaces(self, kube: Kube) -> None:
        kube.api("PATCH", kube.ns, {"metadata": {"labels": RESTRICTED}}, MERGE)
        spec = {"containers": [{"name": "app", "image": "x:1"}]}
        code, refused = kube.api("POST", f"{kube.ns}/pods", {"metadata": {"name": "p"}, "spec": spec})
        assert code == 403
        for words in (
            "allowPrivilegeEscalation != false",
            "unrestricted capabilities",
            "runAsNonRoot != true",
            "seccompProfile",
        ):
            assert words in refused["message"]
        kube.api.apply(kube.deployment, deployment("", spec=spec))
        failure = until(lambda: kube.condition("ReplicaFailure"))
        assert (failure["reason"], failure["message"].partition(": ")[2]) == (
            "FailedCreate",
            refused["message"].partition(": ")[2],
        )
        kube.api("DELETE", kube.deployment)
        assert kube.api("POST", f"{kube.ns}/pods", {"metadata": {"name": "p"}, "spec": pod_spec("x:1")})[0] == 201

    def test_quotas(self, kube: Kube) -> None:
        kube.api("POST", f"{kube.ns}/resourcequotas", {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "1"}}})
        assert kube.api("POST", f"{kube.ns}/pods", {"metadata": {"name": "p"}, "spec": pod_spec("x:1")})[0] == 201
        code, refused = kube.api("POST", f"{kube.ns}/pods", {"metadata": {"name": "o"}, "spec": pod_spec("x:1")})
        assert (code, refused["message"]) == (
            403, 'pods "o" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1',
        )  # fmt: skip


class TestWatch:
    def test_from_a_list_on(self, kube: Kube) -> None:
        version = kube.api.get(f"{kube.ns}/configmaps")["metadata"]["resourceVersion"]
        watch = kube.api.watch(f"{kube.ns}/configmaps?watch=1&resourceVersion={version}&timeoutSeconds=5")
        kube.api.apply(f"{kube.ns}/configmaps/a", CONFIG)
        kube.api.apply(f"{kube.ns}/configmaps/a", OTHER)
        kube.api("DELETE", f"{kube.ns}/configmaps/a")
        seen = [json.loads(watch.readline()) for _ in range(3)]
        assert [one["type"] for one in seen] == ["ADDED", "MODIFIED", "DELETED"]
        assert seen[1]["object"]["data"] == OTHER["data"]

    def test_what_begins_to_fit_is_new(self, kube: Kube) -> None:
        kube.api.apply(f"{kube.ns}/configmaps/a", CONFIG)
        path = f"{kube.ns}/configmaps?watch=1&labelSelector=x%3D2&timeoutSeconds=5"
        watch = kube.api.watch(path)
        kube.api.apply(f"{kube.ns}/configmaps/a", OTHER)
        kube.api.apply(f"{kube.ns}/configmaps/a", CONFIG)
        assert [json.loads(watch.readline())["type"] for _ in range(2)] == ["ADDED", "DELETED"]

    def test_initial_events_end_with_a_bookmark(self, kube: Kube) -> None:
        query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
        watch = kube.api.watch(f"{kube.ns}/serviceaccounts?{query}")
        first, mark = (json.loads(watch.readline()) for _ in range(2))
        assert (first["type"], first["object"]["metadata"]["name"], mark["type"]) == ("ADDED", "default", "BOOKMARK")
        assert mark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}

    def test_versions_that_are_forgotten(self, kube: Kube) -> None:
        path = f"{kube.ns}/configmaps/a"
        for number in range(2):
            kube.api.apply(path, {**CONFIG, "data": {"k": str(number)}})
        # No cluster has been at a version before its first.
        code, refused = kube.api("GET", f"{kube.ns}/configmaps?watch=1&resourceVersion=0000&timeoutSeconds=1")
        assert (code, refused["reason"]) == (410, "Expired")
