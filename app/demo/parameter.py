"""One SSM parameter, read with the credentials that botocore finds: in a pod those of its service account, by
AssumeRoleWithWebIdentity (AWS_ROLE_ARN, AWS_WEB_IDENTITY_TOKEN_FILE)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timezone
from time import monotonic
from typing import Any

from demo.logs import fields, log
from demo.metrics import Metrics
from demo.problems import Problem

# A failure is kept for a moment too: callers of /config must not become as many calls to AWS.
FAILURE_TTL = 5
# Per attempt. With two attempts each of STS and SSM the longest read stays below DEMO_SHUTDOWN_TIMEOUT's default.
CONNECT_TIMEOUT = 1
READ_TIMEOUT = 3
ATTEMPTS = 2
THROTTLED = {"ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded"}


@dataclass(frozen=True)
class Parameter:
    name: str
    value: str
    version: int


@dataclass(frozen=True)
class Read:
    """How the last read went: wall-clock time, duration, and the error's code if it failed."""

    time: str
    seconds: float
    code: str | None


class ParameterReader:
    """Reads at most once in ``ttl`` seconds, however many ask; one read at a time, in a thread."""

    def __init__(self, name: str, region: str | None, ttl: int, metrics: Metrics) -> None:
        self.name = name
        self.last: Read | None = None
        self._region = region
        self._ttl = ttl
        self._metrics = metrics
        self._lock = asyncio.Lock()
        self._client: Any = None
        self._held: Parameter | Problem | None = None
        self._expires = 0.0

    async def read(self) -> Parameter:
        """The parameter; raises Problem when AWS refuses, fails or cannot be reached, or when it is a secret."""
        async with self._lock:
            if self._held is None or monotonic() >= self._expires:
                self._held = await self._fresh()
                ttl = min(self._ttl, FAILURE_TTL) if isinstance(self._held, Problem) else self._ttl
                self._expires = monotonic() + ttl
            held = self._held
        if isinstance(held, Problem):
            # A new one for each request: an exception that is raised again grows its traceback.
            raise Problem(held.status, held.detail, held.code, held.retry_after)
        return held

    async def _fresh(self) -> Parameter | Problem:
        started = monotonic()
        result = await asyncio.to_thread(self._fetch)
        seconds = monotonic() - started
        code = result.code if isinstance(result, Problem) else None
        when = datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
        self.last = Read(when, seconds, code)
        self._metrics.parameter_reads.labels("ok" if code is None else "failed").inc()
        self._metrics.parameter_duration.observe(seconds)
        return result

    def _fetch(self) -> Parameter | Problem:
        # Half of the start-up time; a service without a parameter does without it.
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            if self._client is None:
                self._client = self._connect()
            # Without decryption: no right to the key is needed, and no clear text of a secret can get here.
            found = self._client.get_parameter(Name=self.name, WithDecryption=False)["Parameter"]
        except ClientError as error:
            return self._refused(error)
        except (BotoCoreError, OSError) as error:
            # No credentials, no connection, no token file: nothing that AWS has answered.
            code = type(error).__name__
            log.warning("reading %s failed", self.name, extra=fields(code=code, cause=str(error)))
            return Problem(503, "AWS could not be asked for the parameter.", code, FAILURE_TTL)
        if found["Type"] == "SecureString":
            detail = "The parameter is a SecureString. Secrets are not shown; a String or StringList is."
            return Problem(403, detail, "SecureString")
        return Parameter(self.name, found["Value"], found["Version"])

    def _connect(self) -> Any:
        from botocore.config import Config
        from botocore.session import Session

        session = Session()
        # The session's, so that its own STS client is as impatient.
        session.set_default_client_config(
            Config(
                connect_timeout=CONNECT_TIMEOUT,
                read_timeout=READ_TIMEOUT,
                retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
                user_agent_appid="demo",
            )
        )
        # botocore reads only AWS_DEFAULT_REGION.
        return session.create_client("ssm", region_name=self._region)

    def _refused(self, error: Any) -> Problem:
        code = str(error.response.get("Error", {}).get("Code", "Unknown"))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        operation = error.operation_name
        log.warning("%s failed", operation, extra=fields(code=code, status=status, cause=str(error)))
        # AWS's message stays in the log: it names the account and the role.
        if status >= 500 or code in THROTTLED:
            return Problem(503, f"AWS could not answer {operation}.", code, FAILURE_TTL)
        return Problem(502, f"AWS refused {operation}.", code)
