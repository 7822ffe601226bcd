"""The testbed's parts that need no cluster."""

from __future__ import annotations

import base64
import json
import os
import tempfile
import threading
import time
import unittest
import urllib.parse
from decimal import Decimal
from pathlib import Path
from typing import Any

from plane import binary, supervisor, webhook
from plane.kubelet import behaviour

from provisioner_sandbox.kube import tokens
from provisioner_sandbox.kube.clock import Clock
from provisioner_sandbox.kube.kubelet import spec, status
from provisioner_sandbox.kube.kubelet.container import Container
from provisioner_sandbox.kube.kubelet.log import Log
from provisioner_sandbox.kube.kubelet.probes import Probe

try:
    from botocore.credentials import Credentials
    from botocore.model import ServiceId
    from botocore.session import Session
    from botocore.signers import RequestSigner
except ImportError:
    Session = None

# The keys of AWS's own examples.
KEY = "AKIDEXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
ROLE = "arn:aws:iam::111122223333:role/admin"
# 2026-01-02T03:04:05Z
WHEN = 1767323045.0
# What botocore makes for these keys, the session token below, the cluster my-cluster and eu-west-1 at that time.
SESSION = "SESSIONTOKEN/+="
GOLDEN = (
    "k8s-aws-v1.aHR0cHM6Ly9zdHMuZXUtd2VzdC0xLmFtYXpvbmF3cy5jb20vP0FjdGlvbj1HZXRDYWxsZXJJZGVudGl0eSZWZXJzaW9uPTIwMTEt"
    "MDYtMTUmWC1BbXotQWxnb3JpdGhtPUFXUzQtSE1BQy1TSEEyNTYmWC1BbXotQ3JlZGVudGlhbD1BS0lERVhBTVBMRSUyRjIwMjYwMTAyJTJGZXUt"
    "d2VzdC0xJTJGc3RzJTJGYXdzNF9yZXF1ZXN0JlgtQW16LURhdGU9MjAyNjAxMDJUMDMwNDA1WiZYLUFtei1FeHBpcmVzPTYwJlgtQW16LVNpZ25l"
    "ZEhlYWRlcnM9aG9zdCUzQngtazhzLWF3cy1pZCZYLUFtei1TZWN1cml0eS1Ub2tlbj1TRVNTSU9OVE9LRU4lMkYlMkIlM0QmWC1BbXotU2lnbmF0"
    "dXJlPWQzMDhkYjk3MTY3OTYwZmNlZTAyMjQ1MDYwN2ZhZjViYWRjMGYwZjEwMThkNzRhOGVmNDRlMTY1YjRhZjZkNmY"
)


def changed(token: str, **parameters: str | None) -> str:
    """With other parameters in its URL; `None` takes one away. Dashes are written as underscores."""
    encoded = token.removeprefix(tokens.PREFIX)
    url = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    base, _, text = url.partition("?")
    query = dict(urllib.parse.parse_qsl(text))
    for name, value in parameters.items():
        name = name.replace("_", "-")
        if value is None:
            del query[name]
        else:
            query[name] = value
    return wrapped(f"{base}?{urllib.parse.urlencode(query, quote_via=urllib.parse.quote)}")


def wrapped(url: str) -> str:
    return tokens.PREFIX + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def unwrapped(token: str) -> str:
    encoded = token.removeprefix(tokens.PREFIX)
    return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()


class Tokens(unittest.TestCase):
    plain = {KEY: {"secret": SECRET, "arn": ROLE}}

    def verify(self, token: str, cluster: str = "demo", now: float = WHEN, **more: Any) -> str:
        known = more.pop("credentials", self.plain)
        return tokens.verify(token, cluster=cluster, region="eu-west-1", credentials=known, now=now, **more)

    def token(self, **more: Any) -> str:
        given = {"cluster": "demo", "region": "eu-west-1", "key": KEY, "secret": SECRET, "now": WHEN, **more}
        return tokens.presign(**given)

    def refused(self, token: str, why: str, **more: Any) -> None:
        with self.assertRaisesRegex(tokens.Refused, why):
            self.verify(token, **more)

    def test_botocores_own(self) -> None:
        known = {KEY: {"secret": SECRET, "arn": ROLE, "sessionToken": SESSION}}
        self.assertEqual(self.verify(GOLDEN, "my-cluster", credentials=known), ROLE)
        self.assertEqual(self.token(cluster="my-cluster", session=SESSION), GOLDEN)
        self.refused(GOLDEN, "another cluster", cluster="other", credentials=known)
        self.refused(GOLDEN, "session token", cluster="my-cluster")
        self.refused(changed(GOLDEN, X_Amz_Security_Token="other"), "session token", credentials=known)
        self.refused(changed(GOLDEN, X_Amz_Security_Token=None), "session token", credentials=known)

    @unittest.skipIf(Session is None, "botocore is not installed for this Python")
    def test_botocore_of_today(self) -> None:
        signer = RequestSigner(
            ServiceId("sts"),
            "eu-west-1",
            "sts",
            "v4",
            Credentials(KEY, SECRET),
            Session().get_component("event_emitter"),
        )
        url = "https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15"
        request = {"method": "GET", "url": url, "body": {}, "headers": {"x-k8s-aws-id": "demo"}, "context": {}}
        signed = signer.generate_presigned_url(request, region_name="eu-west-1", expires_in=60, operation_name="")
        self.assertEqual(self.verify(wrapped(signed), now=time.time()), ROLE)
        self.refused(wrapped(signed), "another cluster", cluster="other", now=time.time())

    def test_time(self) -> None:
        token = self.token()
        self.assertEqual(self.verify(token, now=WHEN + 15 * 60), ROLE)
        self.refused(token, "expired", now=WHEN + 15 * 60 + 1)
        self.assertEqual(self.verify(token, now=WHEN - 5 * 60), ROLE)
        self.refused(token, "future", now=WHEN - 5 * 60 - 1)
        self.refused(changed(token, X_Amz_Date="today"), "not a date")
        self.refused(changed(token, X_Amz_Date="20260102T030406Z"), "signature")

    def test_what_is_signed(self) -> None:
        token = self.token()
        self.refused(changed(token, X_Amz_SignedHeaders="host"), "not signed")
        self.refused(changed(token, X_Amz_SignedHeaders="x-k8s-aws-id"), "other headers")
        self.refused(changed(token, X_Amz_SignedHeaders="host;x-k8s-aws-id;x-more"), "other headers")
        self.refused(changed(token, X_Amz_Signature="0" * 64), "signature")
        self.refused(changed(token, X_Amz_Signature="\u00e4"), "not the base64url of a URL|signature")
        self.refused(changed(token, X_Amz_Expires="61"), "signature")
        self.refused(self.token(secret="other"), "signature")
        self.refused(self.token(key="AKIDOTHER"), "access key is not known")

    def test_form(self) -> None:
        token = self.token()
        for name in ("Action", "Version", "X_Amz_Date", "X_Amz_Expires", "X_Amz_Signature", "X_Amz_SignedHeaders"):
            self.refused(changed(token, **{name: None}), "has no")
        self.refused(changed(token, Action="AssumeRole"), "Action")
        self.refused(changed(token, X_Amz_Expires="901"), "X-Amz-Expires")
        self.refused(changed(token, X_Amz_Expires="-1"), "X-Amz-Expires")
        self.refused(changed(token, X_Amz_Algorithm="AWS4-ECDSA-P256-SHA256"), "Algorithm")
        self.refused(changed(token, RoleArn="x"), "not allowed: rolearn")
        self.refused(wrapped(unwrapped(token) + "&action=GetCallerIdentity"), "twice")
        self.refused(wrapped(unwrapped(token) + "#x"), "fragment")
        self.refused("k8s-aws-v1." + "A" * 5000, "longer")
        self.refused(token.replace("v1", "v2"), "does not begin")
        self.refused("k8s-aws-v1.!!!", "base64url")
        self.refused("k8s-aws-v1.", "STS")
        self.refused("Bearer", "does not begin")

    def test_host(self) -> None:
        url = unwrapped(self.token())
        for other in ("http://sts.eu-west-1", "https://sts.eu-west-2", "https://sts.evil.eu-west-1", "https://sts"):
            self.refused(wrapped(url.replace("https://sts.eu-west-1", other)), "not one of STS")
        for other in (
            "sts.eu-west-1.amazonaws.com.evil.org",
            "sts.eu-west-1.amazonaws.com:8443",
            "x@sts.eu-west-1.amazonaws.com",
        ):
            self.refused(wrapped(url.replace("sts.eu-west-1.amazonaws.com", other)), "not one of STS")
        self.refused(wrapped(url.replace("/?", "/x?")), "path")
        self.refused(self.token(region="us-east-1"), "not one of STS")

    def test_another_sts(self) -> None:
        mine = "http://127.0.0.1:5700"
        token = self.token(sts=mine)
        self.refused(token, "not one of STS")
        self.assertEqual(self.verify(token, sts=mine), ROLE)
        self.assertEqual(self.verify(self.token(), sts=mine), ROLE)
        self.refused(token, "another cluster", cluster="other", sts=mine)

    def test_a_refusal_gives_nothing_away(self) -> None:
        for token in (GOLDEN, self.token(secret="other"), changed(self.token(), X_Amz_Date="today")):
            with self.assertRaises(tokens.Refused) as caught:
                self.verify(token)
            self.assertNotIn("X-Amz-Signature", str(caught.exception))
            self.assertNotIn(SESSION, str(caught.exception))


class Access(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "identities.json"
        self.reviewer = webhook.Reviewer("demo", "eu-west-1", webhook.Identities(self.path))

    def review(self, arn: str, access: dict[str, Any]) -> dict[str, Any]:
        document = {"credentials": {KEY: {"secret": SECRET, "arn": arn}}, "access": access}
        self.path.write_text(json.dumps(document))
        token = tokens.presign(cluster="demo", region="eu-west-1", key=KEY, secret=SECRET, now=WHEN)
        return self.reviewer.review(token, WHEN)

    def test_an_entry_for_a_role_is_for_each_caller_that_assumed_it(self) -> None:
        session = "arn:aws:sts::111122223333:assumed-role/admin/me"
        status = self.review(session, {ROLE: {"groups": ["system:masters"]}})
        self.assertTrue(status["authenticated"])
        self.assertEqual(status["user"]["username"], session)
        self.assertEqual(status["user"]["groups"], ["system:masters"])

    def test_names_by_the_entry(self) -> None:
        status = self.review(ROLE, {ROLE: {"username": "boss", "groups": []}})
        self.assertEqual((status["user"]["username"], status["user"]["groups"]), ("boss", []))

    def test_without_an_entry_there_is_no_access(self) -> None:
        status = self.review(ROLE, {})
        self.assertEqual(status, {"authenticated": False, "error": f"{ROLE} has no access entry"})

    def test_without_a_file_no_caller_is_known(self) -> None:
        token = tokens.presign(cluster="demo", region="eu-west-1", key=KEY, secret=SECRET, now=WHEN)
        self.assertEqual(self.reviewer.review(token, WHEN)["error"], "the access key is not known")

    def test_a_broken_file_is_named(self) -> None:
        self.path.write_text("{")
        self.assertIn(str(self.path), self.reviewer.review("x", WHEN)["error"])


class Behaviours(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "behaviour.json"
        self.book = behaviour.Book(self.path)

    def of(self, image: str = "nginx", annotation: Any = None) -> behaviour.Behaviour:
        metadata: dict[str, Any] = {"namespace": "shop", "name": "web-1"}
        if annotation is not None:
            metadata["annotations"] = {behaviour.ANNOTATION: json.dumps(annotation)}
        return self.book.of({"metadata": metadata}, {"name": "web", "image": image})

    def write(self, document: Any) -> None:
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(document))
        partial.replace(self.path)

    def test_the_nearest_counts(self) -> None:
        self.assertEqual(self.of(), {})
        self.assertEqual(self.of("testplane.test/crash:3")["exit"], {"code": 3})
        self.write([{"pod": "web-*", "behaviour": {"ready": False}}])
        self.assertEqual(self.of("testplane.test/crash:3"), {"ready": False})
        self.assertEqual(self.of(annotation={"web": {"alive": False}}), {"alive": False})
        self.assertEqual(self.of(annotation={"other": {"alive": False}}), {"ready": False})

    def test_a_rule_fits_by_all_of_its_globs(self) -> None:
        self.write([
            {"namespace": "other", "behaviour": {"ready": False}},
            {"namespace": "shop", "container": "db", "behaviour": {"ready": False}},
            {"image": "ngin?", "behaviour": {"stop": 3}},
        ])  # fmt: skip
        self.assertEqual(self.of(), {"stop": 3})
        self.assertEqual(self.of("apache"), {})

    def test_what_is_written_counts_at_once(self) -> None:
        for seconds in range(5):
            self.write([{"behaviour": {"stop": seconds}}])
            self.assertEqual(self.of(), {"stop": seconds})

    def test_mistakes_are_told(self) -> None:
        for bad in ({"redy": False}, {"ready": "no"}, {"exit": {"kode": 1}}, {"exit": 1}, {"stop": "1"}, []):
            with self.assertRaises(behaviour.Invalid):
                self.of(annotation={"web": bad})
            self.write([{"behaviour": bad}])
            with self.assertRaises(behaviour.Invalid):
                self.of()
        for bad in ({}, [1], [{"pod": "x"}], [{"name": "x", "behaviour": {}}]):
            self.write(bad)
            with self.assertRaises(behaviour.Invalid):
                self.of()


class Specs(unittest.TestCase):
    def test_quantities(self) -> None:
        for text, value in {"250m": "0.25", "2": "2", "1Gi": str(2**30), "1.5k": "1500", "3M": "3000000"}.items():
            self.assertEqual(spec.quantity(text), Decimal(value))

    def test_references_are_expanded_as_kubernetes_does(self) -> None:
        known = {"A": "1"}
        for text, value in {"$(A)": "1", "$$(A)": "$(A)", "$(B)": "$(B)", "a$(A)b$": "a1b$", "$A": "$A"}.items():
            self.assertEqual(spec.expand(text, known), value)

    def test_environment(self) -> None:
        class Cluster:
            port = 4711

            def get(self, path: str) -> Any:
                return {
                    "/api/v1/namespaces/shop/configmaps/settings": {"data": {"colour": "red"}},
                    "/api/v1/namespaces/shop/secrets/key": {"data": {"word": base64.b64encode(b"open").decode()}},
                }.get(path)

        pod = {
            "metadata": {"name": "web-1", "namespace": "shop", "uid": "u", "labels": {"app": "web"}},
            "spec": {"containers": []},
        }
        container = {
            "name": "web",
            "resources": {"limits": {"cpu": "1500m"}},
            "envFrom": [
                {"prefix": "S_", "configMapRef": {"name": "settings"}},
                {"secretRef": {"name": "no", "optional": True}},
            ],
            "env": [
                {"name": "A", "value": "x$(S_colour)"},
                {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "key", "key": "word"}}},
                {"name": "NONE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "no", "optional": True}}},
                {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
                {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
                {"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
            ],
        }
        reader = spec.Spec(Cluster(), {"cpu": "4", "memory": "16Gi"})
        found = reader.environment(pod, container, "10.0.128.2", "127.0.0.1")
        own = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "4711"}
        wanted = {"S_colour": "red", "A": "xred", "WORD": "open", "APP": "web", "IP": "10.0.128.2", "CPU": "2"}
        self.assertEqual(found, {**own, **wanted, "MEMORY": "16384"})
        for reference, message in {
            ("configMapKeyRef", "no", "x"): 'configmap "no" not found',
            ("secretKeyRef", "no", "x"): 'secret "no" not found',
            ("configMapKeyRef", "settings", "x"): "couldn't find key x in ConfigMap shop/settings",
            ("secretKeyRef", "key", "x"): "couldn't find key x in Secret shop/key",
        }.items():
            kind, name, key = reference
            container["env"] = [{"name": "X", "valueFrom": {kind: {"name": name, "key": key}}}]
            with self.assertRaises(spec.Missing) as caught:
                reader.environment(pod, container, "", "")
            self.assertEqual(str(caught.exception), message)


class Logs(unittest.TestCase):
    def test_reading(self) -> None:
        log = Log()
        for number in range(5):
            log.write(f"line {number}")
        self.assertEqual(log.read(tail=2), (5, ["line 3", "line 4"]))
        self.assertEqual(log.read(tail=0), (5, []))
        self.assertEqual(log.read(since=time.time() + 1), (5, []))
        self.assertRegex(log.read(tail=1, stamps=True)[1][0], r"^\d{4}-\d\d-\d\dT[\d:.]+Z line 4$")

    def test_following(self) -> None:
        log = Log()
        log.write("before")
        count, _ = log.read()
        heard: list[str] = []
        reader = threading.Thread(target=lambda: heard.extend(log.follow(count)))
        reader.start()
        log.write("after")
        log.close()
        reader.join(5)
        self.assertEqual(heard, ["after"])


class States(unittest.TestCase):
    def container(self, policy: str, path: str = "spec.containers") -> Container:
        return Container({"name": "web", "image": "nginx"}, policy, path, "ContainerCreating")

    def finished(self, policy: str, code: int) -> Container:
        container = self.container(policy)
        container.finished, container.starts = True, 1
        container.state = {"terminated": {"exitCode": code}}
        return container

    def test_phases(self) -> None:
        waiting, running = self.container("Always"), self.container("Always")
        running.starts = 1
        good, bad = self.finished("Never", 0), self.finished("Never", 1)
        for main, wanted in {
            (waiting,): "Pending",
            (running,): "Running",
            (running, waiting): "Pending",
            (good,): "Succeeded",
            (good, bad): "Failed",
            (good, running): "Running",
        }.items():
            self.assertEqual(status.phase([], list(main)), wanted)
        self.assertEqual(status.phase([bad], [waiting]), "Failed")

    def test_a_condition_keeps_the_time_of_its_last_change(self) -> None:
        memory = status.Conditions()
        first = memory.set("Ready", False, 0.0)["lastTransitionTime"]
        self.assertEqual(memory.set("Ready", False, 60.0)["lastTransitionTime"], first)
        self.assertNotEqual(memory.set("Ready", True, 60.0)["lastTransitionTime"], first)

    def test_probes_count_in_a_row(self) -> None:
        probe = Probe("readiness", {"failureThreshold": 2, "successThreshold": 2}, 0.0)
        clock = Clock(1000.0)
        seen = []
        for failure in (None, None, "no", None, "no", "no"):
            tipped = probe.take(failure, clock)
            seen.append((probe.holds, tipped))
        self.assertEqual(
            seen, [(False, False), (True, False), (True, False), (True, False), (True, False), (False, True)]
        )


class Building(unittest.TestCase):
    def test_versions_are_those_of_go_mod(self) -> None:
        self.assertRegex(binary.kubernetes(), r"^1\.\d+\.\d+$")
        self.assertRegex(binary.required("go"), r"^1\.\d+")

    def test_go_too_old_or_not_there_is_told_apart(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            fake = Path(folder) / "go"
            path, os.environ["PATH"] = os.environ["PATH"], folder
            try:
                with self.assertRaisesRegex(binary.GoMissing, "no `go` is in PATH"):
                    binary.find_go()
                for says, wanted in {
                    "echo go1.22.1": "is go1.22.1",
                    "echo too old >&2; exit 1": "says: too old",
                }.items():
                    fake.write_text(f"#!/bin/sh\n{says}\n")
                    fake.chmod(0o755)
                    with self.assertRaisesRegex(binary.GoMissing, wanted):
                        binary.find_go()
                fake.write_text("#!/bin/sh\necho go1.999.0\n")
                self.assertEqual(binary.find_go(), str(fake))
            finally:
                os.environ["PATH"] = path

    def test_progress_and_failure_are_told(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            fake = Path(folder) / "go"
            lines = ["go: downloading a v1", "one", "two", "# two", "two.go:1: does not compile"]
            fake.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines) + '[ "$1" = list ]\n')
            fake.chmod(0o755)
            told: list[str] = []
            every, binary.TELL_EVERY = binary.TELL_EVERY, -1.0
            try:
                with self.assertRaisesRegex(binary.BuildFailed, "does not compile"):
                    binary.build(str(fake), Path(folder) / "testplane", told.append)
            finally:
                binary.TELL_EVERY = every
            self.assertIn("2 modules downloaded, 2 of 2 packages compiled", told[-1])
            self.assertEqual([path.name for path in Path(folder).iterdir()], ["go"])

    def test_one_cluster_a_folder(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            self.assertIsNone(supervisor.holder(folder))
            held = supervisor.lock(folder)
            self.assertEqual(supervisor.holder(folder), os.getpid())
            with self.assertRaisesRegex(supervisor.Busy, "runs in"):
                supervisor.lock(folder)
            held.close()
            self.assertIsNone(supervisor.holder(folder))
            self.assertIsNone(supervisor.details(folder))


if __name__ == "__main__":
    unittest.main()
