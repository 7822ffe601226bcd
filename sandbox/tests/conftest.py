"""One sandbox for the whole session, emptied before each test."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from ecr import Registry

ROOT = Path(__file__).resolve().parent.parent
REGION = "eu-central-1"
# Fast enough that nothing is waited for, slow enough that "pending" can be seen.
TIME_SCALE = 200.0
START_LIMIT = 60
T = TypeVar("T")
CREATING = threading.Lock()


class Sandbox:
    def __init__(self, endpoint: str, keys: tuple[str, str] = ("sandbox", "sandbox")):
        self.endpoint = endpoint
        # For tokens of clusters.
        self.keys = keys
        self.clients: dict[tuple[str, str], Any] = {}
        self.made: dict[str, Any] = {}

    def client(self, service: str, region: str = REGION) -> Any:
        """Without botocore's own checks, so that the sandbox's are seen, and without its repeats."""
        # A session of boto3 creates one client at a time.
        with CREATING:
            if (service, region) not in self.clients:
                self.clients[service, region] = boto3.client(
                    service,
                    region_name=region,
                    endpoint_url=self.endpoint,
                    aws_access_key_id="any",
                    aws_secret_access_key="thing",
                    config=Config(parameter_validation=False, retries={"max_attempts": 0}, max_pool_connections=32),
                )
        return self.clients[service, region]

    def ext(self, method: str, path: str, document: Any = None) -> tuple[int, Any]:
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(f"{self.endpoint}/_ext/{path}", body, method=method)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def configure(self, **document: Any) -> None:
        document.setdefault("timeScale", TIME_SCALE)
        status, answer = self.ext("POST", "config", document)
        assert status == 200, answer

    def log(self) -> list[dict[str, Any]]:
        return self.ext("GET", "log")[1]

    def again(self, name: str, make: Callable[[], T]) -> T:
        """What `make` returns, for an empty account: it is called once, and what it left is saved and then restored."""
        if name in self.made:
            assert self.ext("POST", "restore", name)[0] == 200
        else:
            self.made[name] = make()
            assert self.ext("POST", "save", name)[0] == 200
        return copy.copy(self.made[name])


def start(directory: Path, *options: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "provisioner_sandbox", "--state-dir", str(directory), *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=(directory / "stderr").open("wb"),
    )


def await_endpoint(directory: Path, process: subprocess.Popen) -> dict[str, Any]:
    limit = time.monotonic() + START_LIMIT
    while not (directory / "endpoint.json").exists():
        assert process.poll() is None, (directory / "stderr").read_text()
        assert time.monotonic() < limit, "the sandbox did not come up"
        time.sleep(0.01)
    return json.loads((directory / "endpoint.json").read_text())


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    directory = tmp_path_factory.mktemp("sandbox")
    process = start(directory, "--time-scale", str(TIME_SCALE))
    try:
        yield Sandbox(await_endpoint(directory, process)["endpoint"])
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    assert running.ext("POST", "reset")[0] == 200
    return running


@pytest.fixture
def ec2(sandbox: Sandbox) -> Any:
    return sandbox.client("ec2")


@pytest.fixture
def ecr(sandbox: Sandbox) -> Any:
    return sandbox.client("ecr")


@pytest.fixture
def app(ecr: Any) -> Registry:
    """The repository `app`."""
    return Registry(ecr)


@pytest.fixture
def refused() -> Callable[..., ClientError]:
    """Calls, and demands that the call is refused with this code (and status)."""

    def check(code: str, call: Callable[..., Any], status: int | None = None, **params: Any) -> ClientError:
        with pytest.raises(ClientError) as caught:
            call(**params)
        response = caught.value.response
        assert response["Error"]["Code"] == code, response
        if status is not None:
            assert response["ResponseMetadata"]["HTTPStatusCode"] == status
        return caught.value

    return check


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    limit = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < limit, "it did not come true"
        time.sleep(0.02)
    return value
