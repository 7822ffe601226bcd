"""Objects of the cluster, which `restore` does not bring back: `heal` does. Other functions are those of `kinds_by_name`."""

import base64
import json
import ssl
import subprocess
import urllib.error
import urllib.request

import account
from account import client, seal, state

MARKS = {
    "provisioner:stack": "provisioner/stack", "provisioner:lineage": "provisioner/lineage",
    "provisioner:resource": "provisioner/resource", "provisioner:intent": "provisioner/intent",
}  # fmt: skip


def ask(path, method="GET", body=None):
    """The API server's answer to the caller; nothing if there is no such object."""
    cluster = client("eks").describe_cluster(name="shop")["cluster"]
    authority = base64.b64decode(cluster["certificateAuthority"]["data"]).decode()
    token = subprocess.run(
        [account.PROGRAM, "token", "--sandbox"], cwd=account.FOLDER, capture_output=True, check=True, stdin=subprocess.DEVNULL
    )
    kind = "application/apply-patch+yaml" if method == "PATCH" else "application/json"
    head = {"Authorization": f"Bearer {json.loads(token.stdout)['status']['token']}", "Content-Type": kind}
    asked = urllib.request.Request(cluster["endpoint"] + path, body and json.dumps(body).encode(), head, method=method)
    try:
        return json.loads(urllib.request.urlopen(asked, context=ssl.create_default_context(cadata=authority)).read())
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise RuntimeError(error.read().decode()) from error


class Object:
    """`plural` and `kind` are Kubernetes' words, `theirs` what another person puts into it."""

    address, plural, kind = "", "", ""
    theirs = {}

    @classmethod
    def path(cls, live, name=True):
        return f"/api/v1/namespaces/{live['namespace']}/{cls.plural}" + (f"/{live['name']}" if name else "")

    @classmethod
    def make(cls, live, own):
        marks = {MARKS[key]: value for key, value in own.items() if key in MARKS}
        metadata = {"name": live["name"], "namespace": live["namespace"], "annotations": marks}
        body = {"apiVersion": "v1", "kind": cls.kind, "metadata": metadata, "data": cls.theirs}
        return ask(cls.path(live, name=False), "POST", body)["metadata"]["uid"]

    @classmethod
    def again(cls, live, own):
        ask(cls.path(live), "DELETE")
        cls.make(live, own)
        return live

    @classmethod
    def other(cls, own):
        live = {**state("shop")["resources"][cls.address]["live"], "name": "payroll"}
        ask(cls.path(live), "DELETE")
        return {"name": "payroll", "namespace": live["namespace"], "id": cls.make(live, own)}

    @classmethod
    def look(cls, live):
        found = ask(cls.path(live))
        return found and [found["metadata"]["uid"], found["metadata"].get("annotations"), found.get("data")]

    @classmethod
    def heal(cls):
        """Puts the stack's object back, and its new uid into the state."""
        document = state("shop")
        entry = document["resources"][cls.address]
        live = entry["live"]
        if cls.look(live)[0] == live["id"]:
            return
        ask(cls.path(live), "DELETE")
        body = cls.wanted(entry)
        ask(cls.path(live) + "?fieldManager=provisioner&force=true", "PATCH", body)
        live["id"] = ask(cls.path(live))["metadata"]["uid"]
        seal("shop", document)


class Manifest(Object):
    address = "application/configmap/demo-application/demo-application"
    plural, kind, theirs = "configmaps", "ConfigMap", {"theirs": "1"}

    @staticmethod
    def wanted(entry):
        return entry["spec"]["object"]

    @staticmethod
    def forge_spec(spec, made):
        spec["object"]["metadata"]["name"] = made["name"]


class Secret(Object):
    plural, kind, theirs = "secrets", "Secret", {"theirs": base64.b64encode(b"1").decode()}
    kept = None

    @classmethod
    def again(cls, live, own):
        cls.kept = ask(cls.path(live))
        return super().again(live, own)

    @classmethod
    def wanted(cls, entry):
        kept = cls.kept
        metadata = {key: kept["metadata"][key] for key in ("name", "namespace", "annotations", "labels") if key in kept["metadata"]}
        return {"apiVersion": "v1", "kind": "Secret", "type": kept.get("type"), "metadata": metadata, "data": kept["data"]}


class SecretEnvironment(Secret):
    address = "application/secret-environment"


class WebhookCertificate(Secret):
    address = "application/load-balancer-certificate"
