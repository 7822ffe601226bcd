from __future__ import annotations

import pytest

from demo.health import Lifecycle
from demo.parameter import ParameterReader
from tests.conftest import Open
from tests.fake_aws import FakeAws


def test_greetings_by_default(open_app: Open) -> None:
    client = open_app()
    root = client.get("/")
    assert (root.status_code, root.content) == (200, b"Welcome to ReaQta")
    assert root.headers["content-type"] == "text/plain; charset=utf-8"
    assert root.headers["x-content-type-options"] == "nosniff"
    assert client.get("/api").json() == {"message": "Welcome to ReaQta API"}


def test_greetings_of_the_environment(open_app: Open) -> None:
    client = open_app(DEMO_ROOT_RESPONSE='Grüße <b>"zwei"</b>', DEMO_API_RESPONSE='{"v": 2}')
    assert client.get("/").content.decode() == 'Grüße <b>"zwei"</b>'
    assert client.get("/api").json() == {"message": '{"v": 2}'}


@pytest.mark.parametrize("path", ["/", "/api", "/health", "/health/live", "/health/ready", "/metrics"])
def test_head_answers_as_get(open_app: Open, path: str) -> None:
    assert open_app().head(path).status_code == 200


@pytest.mark.parametrize("path", ["/nothing", "/api/", "/docs", "/openapi.json", "//evil.example/"])
def test_unknown_paths_are_problems(open_app: Open, path: str) -> None:
    answer = open_app().get(f"http://testserver{path}", follow_redirects=False)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["title"] == "Not Found"


def test_other_methods_are_refused(open_app: Open) -> None:
    answer = open_app().post("/", content=b"x" * 100_000)
    assert answer.status_code == 405
    assert {"GET", "HEAD"} == {method.strip() for method in answer.headers["allow"].split(",")}
    assert answer.headers["content-type"] == "application/problem+json"


def test_request_ids_are_kept_when_harmless(open_app: Open) -> None:
    client = open_app()
    assert client.get("/", headers={"X-Request-ID": "abc-1.2_3"}).headers["x-request-id"] == "abc-1.2_3"
    for given in ("a b", "x" * 65, '{"a":1}', ""):
        made = client.get("/", headers={"X-Request-ID": given}).headers["x-request-id"]
        assert len(made) == 32
        assert made != given


def test_an_unforeseen_error_is_a_problem_without_its_text(
    open_app: Open, irsa: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: ParameterReader) -> None:
        raise ZeroDivisionError("a detail of the inside")

    monkeypatch.setattr(ParameterReader, "_fetch", broken)
    client = open_app()
    answer = client.get("/config")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "inside" not in answer.text
    assert "ZeroDivision" not in answer.text
    assert answer.json()["requestId"] == answer.headers["x-request-id"]
    assert 'http_requests_total{method="GET",route="/config",status="500"} 1.0' in client.get("/metrics").text


def test_health_passes(open_app: Open) -> None:
    client = open_app()
    for path in ("/health", "/health/live", "/health/ready"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/health+json"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.json()["status"] == "pass"
    checks = client.get("/health").json()["checks"]
    assert set(checks) == {"uptime", "server:state"}
    assert checks["uptime"][0]["observedUnit"] == "s"
    assert checks["uptime"][0]["observedValue"] >= 0


def test_a_process_that_stops_is_alive_but_not_ready(open_app: Open, lifecycle: Lifecycle) -> None:
    client = open_app()
    lifecycle.draining = True
    for path in ("/health", "/health/ready"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["status"]) == (503, "fail")
        assert answer.json()["checks"]["server:state"][0]["observedValue"] == "draining"
    live = client.get("/health/live")
    assert (live.status_code, live.json()["status"]) == (200, "pass")
    # It still serves, and sends clients to other connections.
    assert client.get("/").headers["connection"] == "close"


def test_metrics_count_by_route_and_status(open_app: Open) -> None:
    client = open_app()
    for path in ("/", "/", "/api?token=1", "/scan/1", "/scan/2"):
        client.get(path)
    client.post("/api")
    client.request("BREW", "/")
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    lines = set(answer.text.splitlines())
    assert 'http_requests_total{method="GET",route="/",status="200"} 2.0' in lines
    assert 'http_requests_total{method="GET",route="/api",status="200"} 1.0' in lines
    assert 'http_requests_total{method="POST",route="/api",status="405"} 1.0' in lines
    assert 'http_requests_total{method="GET",route="unmatched",status="404"} 2.0' in lines
    assert 'http_requests_total{method="other",route="/",status="405"} 1.0' in lines
    assert 'http_request_duration_seconds_count{method="GET",route="/",status="200"} 2.0' in lines
    assert "http_requests_in_progress 1.0" in lines
    assert "scan" not in answer.text
    assert "token" not in answer.text


def test_metrics_in_openmetrics(open_app: Open) -> None:
    answer = open_app().get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
