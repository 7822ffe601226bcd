"""A clean environment for each test, clients of the application, and an AWS on loopback."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from demo import settings
from demo.health import Lifecycle
from demo.service import create_app
from tests.fake_aws import ROLE, TOKEN, FakeAws


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of this machine's account, proxies or settings."""
    for name in os.environ:
        if name.startswith(("AWS_", "DEMO_")) or name.lower().endswith("_proxy") or name in ("HOST", "PORT"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def aws() -> Iterator[FakeAws]:
    with FakeAws() as fake:
        yield fake


@pytest.fixture
def irsa(aws: FakeAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeAws:
    """What EKS puts into a pod whose service account has a role."""
    token = tmp_path / "token"
    token.write_text(TOKEN)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)
    monkeypatch.setenv("DEMO_PARAMETER", "/shop/message")
    aws.parameters["/shop/message"] = "hello from SSM"
    return aws


Open = Callable[..., TestClient]


@pytest.fixture
def lifecycle() -> Lifecycle:
    return Lifecycle()


@pytest.fixture
def open_app(lifecycle: Lifecycle) -> Iterator[Open]:
    """Opens the application with this environment and these variables beside it. One event loop each."""
    clients: list[TestClient] = []

    def opened(**variables: Any) -> TestClient:
        app = create_app(settings.read({**os.environ, **variables}), lifecycle)
        clients.append(TestClient(app))
        return clients[-1].__enter__()

    yield opened
    for client in clients:
        client.__exit__(None, None, None)
