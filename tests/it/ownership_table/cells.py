"""Runs every verb on every situation, and prints the cells of the table and what was lost.

Arguments: the sandbox's endpoint, the program, the folder of the stack, this folder, the part of the kinds, and what of it is
run: situations, kinds and verbs, each separated by semicolons; empty: all.
"""

import copy
import json
import pathlib
import subprocess
import sys

ENDPOINT, PROGRAM, FOLDER, HERE, PART, *CHOSEN = sys.argv[1:9]
sys.path.insert(0, HERE)
STACK_FILE = pathlib.Path(FOLDER) / "stack.yaml"

import account  # noqa: E402

account.ENDPOINT, account.PROGRAM, account.FOLDER = ENDPOINT, PROGRAM, FOLDER

import kinds_by_id as ids  # noqa: E402
import kinds_by_name as names  # noqa: E402
import kinds_of_backend as backend  # noqa: E402
import kinds_of_eks as eks  # noqa: E402
import kinds_of_kubernetes as kubernetes  # noqa: E402
import kinds_of_parts as parts  # noqa: E402
from account import control, state  # noqa: E402

# Of one batch, none depends on another: what depends on a refused resource is not planned.
BATCHES = {
    "stack": [
        {
            "ecr_repository": names.EcrRepository, "iam_role": names.IamRole,
            "ssm_parameter": names.PlainParameter,
            "ssm_parameter, secret": names.SsmParameter, "vpc": ids.Vpc, "subnet": ids.Subnet,
            "security_group": ids.SecurityGroup, "security_group_rule": ids.SecurityGroupRule,
            "default_security_group": ids.DefaultSecurityGroup, "elastic_ip": ids.ElasticIp,
            "internet_gateway": ids.InternetGateway, "nat_gateway": ids.NatGateway, "route_table": ids.RouteTable,
            "vpc_endpoint": ids.VpcEndpoint, "flow_log": ids.FlowLog,
            "route": parts.Route, "route_table_association": parts.RouteTableAssociation,
        },
        {"oidc_provider": names.OidcProvider, "log_group": names.LogGroup, "launch_template": names.LaunchTemplate},
        {"key_pair": names.KeyPair},
        {
            "access_entry": eks.AccessEntry, "addon": eks.Addon,
            "pod_identity_association": eks.PodIdentityAssociation,
        },
        {"node_group": eks.NodeGroup, "fargate_profile": eks.FargateProfile},
        {"kms_key": ids.KmsKey},
        {"kms_key, deletion scheduled": ids.ScheduledKey},
        {"eks_cluster": eks.EksCluster},
    ],
    "application": [
        {"image": parts.Image}, {"manifest": kubernetes.Manifest},
        {"secret_environment": kubernetes.SecretEnvironment}, {"webhook_certificate": kubernetes.WebhookCertificate},
    ],
    "backend": [{"state_bucket": backend.StateBucket}, {"lock_table": backend.LockTable}],
}[PART]  # fmt: skip
# Of the first batch, what others of it depend on: a forged record at one of these addresses leaves the others without a plan.
ALONE = ("vpc", "subnet", "security_group", "elastic_ip", "internet_gateway", "nat_gateway", "route_table", "vpc_endpoint")
# A change of the stack file that changes a fixed field: what stands in it, and what does afterwards.
FILE_CHANGES = {
    eks.NodeGroup: ("name: default,", "name: default, instanceTypes: [m6i.large],"),
    eks.FargateProfile: ("namespace: jobs}]", "namespace: web}]"),
    eks.EksCluster: ("cluster: {}", "cluster: {serviceCidr: 172.21.0.0/16}"),
    backend.StateBucket: ("network:", "state: {bucket: provisioner-other-4711}\nnetwork:"),
    backend.LockTable: ("network:", "state: {table: provisioner-other}\nnetwork:"),
}
OTHERS = {"owner": "payroll", "provisioner:stack": "other", "provisioner:lineage": "l-2"}
SITUATIONS = {
    "other tags": lambda kind: hasattr(kind, "again") and kind is not ids.ScheduledKey,
    "no tags": lambda kind: hasattr(kind, "again") and kind is not ids.ScheduledKey,
    "copied tags": lambda kind: kind is not ids.ScheduledKey and not issubclass(kind, (parts.Route, parts.RouteTableAssociation)),
    "forged entry": lambda kind: kind is not ids.ScheduledKey,
    "changed entry": lambda kind: kind is not ids.ScheduledKey and not issubclass(kind, (parts.Route, parts.RouteTableAssociation)),
    "reversible state": lambda kind: hasattr(kind, "suspend"),
    "fixed field": lambda kind: kind in FILE_CHANGES,
}
cells, lost = {}, []


def prepare(situation, batch):
    """Brings the account into a situation. Returns address and thing of each kind: what must not be lost."""
    of_backend = PART == "backend"
    document, things = backend.read() if of_backend else state("shop"), {}
    for name, kind in batch.items():
        entry = document["resources"][kind.address]
        live, at = entry["live"], kind.address
        if situation == "reversible state":
            kind.suspend(live)
        elif situation == "fixed field":
            text = STACK_FILE.read_text()
            assert text.count(FILE_CHANGES[kind][0]) == 1, kind
            STACK_FILE.write_text(text.replace(*FILE_CHANGES[kind]))
        elif situation in FORGED:
            at, live = forge(document, situation, name, kind, entry)
        else:
            copied = kind.own(live) if hasattr(kind, "own") else live.get("tags", {})
            own = {"other tags": OTHERS, "no tags": {}, "copied tags": copied}[situation]
            live = kind.again(live, own) if hasattr(kind, "again") else kind.other(own)
        things[name] = (at, live)
    if situation in FORGED:
        backend.seal(document) if of_backend else account.seal("shop", document)
    return things


FORGED = ("forged entry", "changed entry")


def forge(document, situation, name, kind, entry):
    """Records another's thing, with its right birth mark, at an address of its own or at that of a wanted resource."""
    made = kind.other({})
    forged = copy.deepcopy(entry)
    forged["live"].update(made)
    forged["live"].setdefault("tags", {})
    if isinstance(forged["live"]["tags"], dict):
        forged["live"]["tags"] = {}
    forged["spec"].update({key: value for key, value in made.items() if key in forged["spec"] and key != "tags"})
    if hasattr(kind, "forge_spec"):
        kind.forge_spec(forged["spec"], made)
    if situation == "changed entry":
        forged["spec"] = entry["spec"]
        document["resources"][kind.address] = forged
        return kind.address, forged["live"]
    at = f"{entry['stage']}/forged-{name.replace(', ', '-').replace('_', '-')}"
    # A part names the parent that it depends on.
    forged["dependencies"] = entry["dependencies"] if "tags" not in made and issubclass(kind, PARTS) else []
    document["resources"][at] = forged
    return at, forged["live"]


PARTS = (parts.Route, parts.RouteTableAssociation, parts.Image)


def run(*arguments):
    command = [PROGRAM, *arguments, "--sandbox", "--json"]
    print(arguments, file=sys.stderr, flush=True)
    ended = subprocess.run(command, cwd=FOLDER, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=900)
    if not ended.stdout.strip() and ended.returncode:
        raise RuntimeError(f"{command}: {ended.returncode}\n{ended.stdout}\n{ended.stderr}")
    return [json.loads(line) for line in ended.stdout.splitlines()], ended.returncode


LOSES = "replaced with `--replace` only"
ACTIONS = {"create": "created", "update": "updated", "replace": "replaced", "delete": "deleted", "adopt": "adopted"}


def word(lines, at, beside=True):
    """What a run says of one address; `beside` it, under the same address, another's may be found."""
    twins = [line["address"] for line in lines if str(line.get("address")).startswith(f"{at}#") and beside]
    of = [line for line in lines if line.get("address") == at]
    if any(line["type"] == "stray" and str(line["address"]) in (at, *twins) for line in lines):
        return "reported, left"
    if any(at in line.get("blocks", []) for line in lines):
        return "refused"
    named = [line for line in lines if line["type"] == "error" and line.get("address") in (at, *twins)]
    if any("carries this stack's tags, but is not in its state" in line["message"] for line in named):
        return "reported, left"
    errors = [line for line in of if line["type"] == "error"]
    if errors:
        return "refused" if errors[0]["class"] == "refused" else f"failed: {errors[0]['message']}"
    if any(line["type"] == "notice" and "record" in line["message"] for line in of):
        return "record dropped"
    changes = [line for line in of if line["type"] == "change"]
    if changes and "only its record is dropped" in json.dumps(changes[0]):
        return "record dropped"
    if changes and changes[0].get("loses") and changes[0]["action"] == "replace":
        return LOSES
    return ACTIONS[changes[0]["action"]] if changes else "unchanged"


def up(things, planned, *more):
    """`up` of what the plan refuses, of what would lose data, and of the rest: each of the first two keeps all back."""
    words = {}
    blocking = ("refused", LOSES)
    for group in (*blocking, None):
        of = lambda text: text == group if group else text not in blocking
        chosen = {name: at for name, (at, _) in things.items() if of(planned[name])}
        if chosen:
            targets = [part for at in chosen.values() for part in ("--target", at)] if PART != "backend" else []
            consent = [part for at in chosen.values() for part in ("--replace", at)] if more else []
            lines, code = run("up", "--yes", *targets, *consent)
            done = "replaced" if more and code == 0 else LOSES
            words.update({name: said(lines, at, code).replace(LOSES, done) for name, at in chosen.items()})
            note("up", code, lines)
    return words


def note(what, code, lines):
    errors = [(line.get("address"), line["message"][:150]) for line in lines if line["type"] == "error"]
    print(what, code, errors, file=sys.stderr)


def down(things, planned):
    words = {}
    # What is in the cluster ends with it, also what another caller created: only the resources themselves are to be deleted.
    another = all(text != "replaced" for text in planned.values())
    # Objects in the cluster do not come back with it.
    within = another and (PART == "application" or all(hasattr(BY_NAME[name], "verb") for name in things))
    options = [part for at, _ in things.values() for part in ("--target", at)] if within else []
    options = ["--backend"] if PART == "backend" else options
    for _ in range(3):
        lines, code = run("down", "--yes", *options, "--timeout", "10s" if "eks_cluster" in things else "600s")
        note("down", code, lines)
        for name, (at, _) in things.items():
            words.setdefault(name, said(lines, at, code))
        refused = [at for name, (at, _) in things.items() if words[name] == "refused"]
        if code == 3 and not refused:
            # All of it is refused, such as the deletion of a cluster in which another's nodes run.
            words.update({name: "refused" for name, text in words.items() if text == "unchanged"})
        if code != 3 or PART == "backend" or not refused:
            break
        run("state", "forget", *refused, "--yes")
        words = {name: text for name, text in words.items() if text == "refused"}
    return words


def plan(things, _):
    lines, code = run("plan")
    note("plan", code, lines)
    return {name: said(lines, at, code) for name, (at, _) in things.items()}


VERBS = {
    "plan": plan, "up": up, "replace": lambda things, planned: up(things, planned, "replace"), "down": down,
}  # fmt: skip
BY_NAME = {name: kind for batch in BATCHES for name, kind in batch.items()}


def told(text, situation, verb, kind):
    """The word of the table: what is said of the recorded resource is not said of another's beside it."""
    either = situation == "forged entry" or (situation, verb) == ("changed entry", "down")
    if either and text in ("refused", "record dropped"):
        # By the last digit of a time of creation, which a forger in Python rounds in another way than AWS's SDK.
        return "refused or dropped"
    beside = situation == "copied tags" and not hasattr(kind, "again")
    if beside and text != "reported, left":
        return "left"
    alias = issubclass(kind, ids.KmsKey) and situation in ("other tags", "no tags", "copied tags")
    return "own one deleted" if alias and text == "deleted" else text


# What a person asks for with these verbs is theirs to lose.
ASKED = {("reversible state", "down"), ("fixed field", "down"), ("fixed field", "replace")}


FILES = {}


def save(name):
    """Account, records of the folder and stack file as they are."""
    control("save", body=name)
    FILES[name] = {path: path.read_bytes() for path in [STACK_FILE, *records()]}


def records():
    """What the folder knows of its stacks and their backend."""
    return [path for path in pathlib.Path(FOLDER, "state").rglob("*.json") if path.name != "endpoint.json"]


def restore(name):
    control("restore", body=name)
    for path in records():
        path.unlink()
    for path, content in FILES[name].items():
        path.write_bytes(content)


def said(lines, at, code=0):
    """The word of a run; the backend as a whole is refused without an address."""
    text = word(lines, at, beside=NOW["situation"] != "changed entry")
    return "refused" if (PART, code, text) == ("backend", 3, "unchanged") else text


NOW = {}


def cell(situation, batch, verbs):
    NOW["situation"] = situation
    restore("whole")
    things = prepare(situation, batch)
    save("prepared")
    planned = {}
    for verb in verbs:
        before = {name: batch[name].look(live) for name, (_, live) in things.items()}
        control("log", "DELETE")
        words = VERBS[verb](things, planned)
        planned = planned or words
        if verb == "up" and any(text == LOSES for text in words.values()) and account.writes():
            lost.append(f"{situation}: calls without consent: {account.writes()}")
        for name, (at, live) in things.items():
            after = batch[name].look(live)
            if (PART, verb, words[name]) == ("backend", "down", "unchanged"):
                # What is deleted of the backend is not listed.
                words[name] = "record dropped" if after else "deleted"
            if not before[name]:
                raise RuntimeError(f"{name}, {situation}: nothing to lose")
            asked = (situation, verb) in ASKED or (situation, words[name]) == ("fixed field", "replaced")
            # What carries the tag of the backend is the backend's.
            asked = asked or (PART, situation, verb) == ("backend", "copied tags", "down")
            if before[name] != after and not asked:
                lost.append(f"{name}, {situation}, {verb} ({words[name]}): {before[name]} became {after}")
            text = told(words[name], situation, verb, batch[name])
            print(f"  {name}, {situation}, {verb}: {text}", lost[-1:], file=sys.stderr, flush=True)
            cells.setdefault(name, {}).setdefault(situation, {})[verb] = text
        restore("prepared")
    for kind in batch.values():
        if hasattr(kind, "heal"):
            restore("whole")
            kind.heal()
            save("whole")


def batches(situation, kinds):
    """The batches of a situation: a record that names another's thing leaves all without a plan that depends on it."""
    for batch in BATCHES:
        chosen = {name: kind for name, kind in batch.items() if SITUATIONS[situation](kind) and name in (kinds or batch)}
        alone = [name for name in chosen if situation == "changed entry" and name in ALONE]
        yield {name: kind for name, kind in chosen.items() if name not in alone}
        yield from ({name: chosen[name]} for name in alone)


save("whole")
SOME_SITUATIONS, SOME_KINDS, SOME_VERBS = (part.split(";") if part else [] for part in CHOSEN)
for situation in SOME_SITUATIONS or SITUATIONS:
    for batch in filter(None, batches(situation, SOME_KINDS)):
        print("##", situation, list(batch), file=sys.stderr)
        cell(situation, batch, SOME_VERBS or VERBS)
print(json.dumps({"cells": cells, "lost": lost}))
