from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from demo import parameter
from demo.logs import JsonFormatter
from tests.conftest import Open
from tests.fake_aws import ACCOUNT, TOKEN, FakeAws


def test_without_a_parameter(open_app: Open) -> None:
    answer = open_app().get("/config")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert "DEMO_PARAMETER" in answer.json()["detail"]


def test_the_value_through_the_web_identity(open_app: Open, irsa: FakeAws) -> None:
    client = open_app()
    answer = client.get("/config")
    assert answer.status_code == 200
    assert answer.json() == {"name": "/shop/message", "value": "hello from SSM", "version": 1}
    assert answer.headers["cache-control"] == "no-store"
    assert irsa.calls == ["AssumeRoleWithWebIdentity", "GetParameter"]
    assert irsa.decryption == [False]
    check = client.get("/health").json()["checks"]["ssm:responseTime"][0]
    assert (check["status"], check["componentId"], check["observedUnit"]) == ("pass", "/shop/message", "ms")


def test_nothing_is_read_before_it_is_asked_for(open_app: Open, irsa: FakeAws) -> None:
    check = open_app().get("/health").json()["checks"]["ssm:responseTime"][0]
    assert check["status"] == "pass"
    assert "observedValue" not in check
    assert irsa.calls == []


def test_many_at_once_are_one_read(open_app: Open, irsa: FakeAws) -> None:
    irsa.gate.clear()
    client = open_app()
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(client.get, "/config") for _ in range(8)]
        assert irsa.asked.wait(5)
        # The loop is free while AWS is waited for.
        assert client.get("/").status_code == 200
        irsa.gate.set()
        assert {answer.result().json()["version"] for answer in answers} == {1}
    assert irsa.calls.count("GetParameter") == 1


def test_read_again_when_it_is_old(open_app: Open, irsa: FakeAws, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    client = open_app(DEMO_PARAMETER_TTL="60")
    assert client.get("/config").json()["value"] == "hello from SSM"
    irsa.parameters["/shop/message"] = "changed"
    clock.now += 59
    assert client.get("/config").json()["value"] == "hello from SSM"
    clock.now += 2
    assert client.get("/config").json()["value"] == "changed"
    # The role's credentials are good for longer than the value.
    assert irsa.calls == ["AssumeRoleWithWebIdentity", "GetParameter", "GetParameter"]


def test_a_secure_string_is_not_shown(open_app: Open, irsa: FakeAws, caplog: pytest.LogCaptureFixture) -> None:
    irsa.types["/shop/message"] = "SecureString"
    client = open_app()
    answer = client.get("/config")
    assert (answer.status_code, answer.json()["code"]) == (403, "SecureString")
    everything = answer.text + client.get("/health").text + client.get("/metrics").text + caplog.text
    assert "hello from SSM" not in everything
    assert irsa.decryption == [False]


@pytest.mark.parametrize(
    ("operation", "status", "code", "answered"),
    [
        ("GetParameter", 400, "AccessDeniedException", 502),
        ("GetParameter", 400, "ParameterVersionNotFound", 502),
        ("GetParameter", 400, "ThrottlingException", 503),
        ("GetParameter", 500, "InternalServerError", 503),
        ("AssumeRoleWithWebIdentity", 403, "AccessDenied", 502),
        ("AssumeRoleWithWebIdentity", 400, "ExpiredTokenException", 502),
    ],
)
def test_what_aws_refuses_is_named_and_no_more(
    open_app: Open,
    irsa: FakeAws,
    caplog: pytest.LogCaptureFixture,
    operation: str,
    status: int,
    code: str,
    answered: int,
) -> None:
    irsa.failures[operation] = (status, code)
    client = open_app()
    answer = client.get("/config")
    assert (answer.status_code, answer.json()["code"]) == (answered, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert operation in answer.json()["detail"]
    assert ("retry-after" in answer.headers) == (answered == 503)
    assert ACCOUNT not in answer.text
    # The log has the cause, and not what proves the identity.
    logged = "".join(JsonFormatter().format(record) for record in caplog.records)
    assert ACCOUNT in logged
    assert TOKEN not in logged
    health = client.get("/health")
    assert (health.status_code, health.json()["status"], health.json()["output"]) == (200, "warn", code)
    assert client.get("/health/ready").json()["status"] == "pass"
    assert 'demo_parameter_reads_total{result="failed"} 1.0' in client.get("/metrics").text


def test_a_missing_parameter(open_app: Open, irsa: FakeAws) -> None:
    answer = open_app(DEMO_PARAMETER="/shop/other").get("/config")
    assert (answer.status_code, answer.json()["code"]) == (502, "ParameterNotFound")


def test_a_failure_is_held_for_seconds_and_then_forgotten(
    open_app: Open, irsa: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    irsa.failures["GetParameter"] = (400, "AccessDeniedException")
    client = open_app(DEMO_PARAMETER_TTL="600")
    assert [client.get("/config").status_code for _ in range(3)] == [502, 502, 502]
    assert irsa.calls.count("GetParameter") == 1
    irsa.failures.clear()
    clock.now += parameter.FAILURE_TTL
    assert client.get("/config").status_code == 200
    assert client.get("/health").json()["status"] == "pass"


def test_no_connection(open_app: Open, irsa: FakeAws, monkeypatch: pytest.MonkeyPatch) -> None:
    # A port that was given out and closed again.
    with FakeAws() as gone:
        monkeypatch.setenv("AWS_ENDPOINT_URL", gone.url)
    answer = open_app().get("/config")
    assert (answer.status_code, answer.json()["code"]) == (503, "EndpointConnectionError")
    assert answer.headers["retry-after"] == "5"


def test_no_answer_in_time(open_app: Open, irsa: FakeAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parameter, "READ_TIMEOUT", 0.1)
    irsa.gate.clear()
    answer = open_app().get("/config")
    assert (answer.status_code, answer.json()["code"]) == (503, "ReadTimeoutError")
    assert irsa.calls.count("GetParameter") == parameter.ATTEMPTS


def test_no_credentials(open_app: Open, irsa: FakeAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ROLE_ARN")
    monkeypatch.delenv("AWS_WEB_IDENTITY_TOKEN_FILE")
    answer = open_app().get("/config")
    assert (answer.status_code, answer.json()["code"]) == (503, "NoCredentialsError")
    assert irsa.calls == []


def test_no_token_file(open_app: Open, irsa: FakeAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere/token")
    answer = open_app().get("/config")
    assert (answer.status_code, answer.json()["code"]) == (503, "FileNotFoundError")
    assert "/nowhere" not in answer.text


class Clock:
    """The reader's clock, moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(parameter, "monotonic", lambda: self.now)
