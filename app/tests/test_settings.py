from __future__ import annotations

import pytest

from demo.settings import Settings, SettingsError, read


def test_defaults() -> None:
    assert read({}) == Settings()
    empty = ("HOST", "PORT", "LOG_LEVEL", "DEMO_ROOT_RESPONSE", "DEMO_API_RESPONSE", "DEMO_PARAMETER", "AWS_REGION")
    assert read(dict.fromkeys(empty, "")) == Settings()


def test_every_variable() -> None:
    found = read(
        {
            "HOST": "::",
            "PORT": "9000",
            "LOG_LEVEL": "WARNING",
            "DEMO_ROOT_RESPONSE": "one",
            "DEMO_API_RESPONSE": "two",
            "DEMO_PARAMETER": "arn:aws:ssm:eu-central-1:123456789012:parameter/shop/message",
            "DEMO_PARAMETER_TTL": "1",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_REGION": "eu-central-1",
            "DEMO_SHUTDOWN_DELAY": "0",
            "DEMO_SHUTDOWN_TIMEOUT": "300",
        }
    )
    assert found == Settings(
        host="::",
        port=9000,
        log_level="warning",
        root_response="one",
        api_response="two",
        parameter="arn:aws:ssm:eu-central-1:123456789012:parameter/shop/message",
        parameter_ttl=1,
        region="eu-central-1",
        shutdown_delay=0,
        shutdown_timeout=300,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOST", "localhost"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("PORT", "tcp://10.0.0.1:80"),
        ("PORT", "8000 "),
        ("PORT", "٨٠"),
        ("LOG_LEVEL", "loud"),
        ("DEMO_ROOT_RESPONSE", "\udcff"),
        ("DEMO_API_RESPONSE", "\udcff"),
        ("DEMO_PARAMETER", "a b"),
        ("DEMO_PARAMETER", "x" * 2049),
        ("DEMO_PARAMETER_TTL", "0"),
        ("DEMO_SHUTDOWN_DELAY", "1.5"),
        ("DEMO_SHUTDOWN_TIMEOUT", "0"),
        ("AWS_ENDPOINT_URL", "localhost:4566"),
        ("AWS_ENDPOINT_URL_SSM", "http://host:port"),
    ],
)
def test_a_bad_value_is_named(name: str, value: str) -> None:
    environ = {"DEMO_PARAMETER": "/a", "AWS_REGION": "eu-central-1", name: value}
    with pytest.raises(SettingsError) as raised:
        read(environ)
    (problem,) = raised.value.problems
    assert problem.startswith(f"{name}: ")


def test_a_parameter_needs_a_region() -> None:
    with pytest.raises(SettingsError, match="AWS_REGION: must be set"):
        read({"DEMO_PARAMETER": "/a"})


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as raised:
        read({"PORT": "x", "HOST": "x", "LOG_LEVEL": "x", "DEMO_PARAMETER": "?"})
    assert {problem.partition(":")[0] for problem in raised.value.problems} == {
        "PORT", "HOST", "LOG_LEVEL", "DEMO_PARAMETER", "AWS_REGION",
    }  # fmt: skip
