"""The API server's token webhook, in the manner of aws-iam-authenticator: EKS tokens in, users and groups out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provisioner_sandbox.kube.kubelet.serving import Handler, Server
from provisioner_sandbox.kube.tokens import Refused, verify

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Identities:
    """Who has which keys, and what the cluster's access entries make of them.

    The file is `{"credentials": {KEY: {"secret", "arn", "sessionToken"?}}, "access": {ARN: {"username"?, "groups"}}}`.
    It is read at each review: the creator of an access entry replaces it (by rename), and it counts at once.
    """

    path: Path

    def read(self) -> tuple[dict[str, Any], dict[str, Any]]:
        try:
            document = json.loads(self.path.read_text())
            return document["credentials"], document["access"]
        except FileNotFoundError:
            return {}, {}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Refused(f"{self.path} cannot be read: {error!r}") from error


def canonical(arn: str) -> str:
    """An access entry names a role; who assumed it is known by the session's ARN."""
    head, _, rest = arn.partition(":assumed-role/")
    if not rest:
        return arn
    _, partition, _, _, account = head.split(":")
    return f"arn:{partition}:iam::{account}:role/{rest.rpartition('/')[0]}"


def user_of(arn: str, access: dict[str, Any]) -> dict[str, Any]:
    principal = canonical(arn)
    if principal not in access:
        raise Refused(f"{principal} has no access entry")
    entry = access[principal]
    return {"username": entry.get("username") or arn, "uid": f"aws:{arn}", "groups": entry["groups"]}


@dataclass(frozen=True)
class Reviewer:
    cluster: str
    region: str
    identities: Identities
    sts: str | None = None

    def review(self, token: str, now: float) -> dict[str, Any]:
        """The status of a TokenReview."""
        try:
            credentials, access = self.identities.read()
            arn = verify(
                token, cluster=self.cluster, region=self.region, credentials=credentials, now=now, sts=self.sts
            )
            return {"authenticated": True, "user": user_of(arn, access)}
        except Refused as refused:
            return {"authenticated": False, "error": str(refused)}


def serve(pki: Path, reviewer: Reviewer, tell: Tell) -> Server:
    """`tell` hears the outcome of each review, never the token."""

    class Review(Handler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            try:
                token = json.loads(body)["spec"]["token"]
            except (ValueError, KeyError, TypeError):
                self.answer(400, "text/plain", b"not a TokenReview\n")
                return
            status = reviewer.review(token, time.time())
            tell(f"{status['user']['username']}" if status["authenticated"] else f"refused: {status['error']}")
            review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status}
            self.answer(200, "application/json", json.dumps(review).encode())

    server = Server(pki, Review)
    server.start()
    return server
