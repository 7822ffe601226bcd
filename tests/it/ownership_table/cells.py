"""Runs every verb on every situation, and prints the cells of the table and what was lost.

Arguments: the sandbox's endpoint, the program, the folder of the stack, this folder, the situations to run.
"""

import copy
import json
import pathlib
import subprocess
import sys

ENDPOINT, PROGRAM, FOLDER, HERE, CHOSEN = sys.argv[1:6]
sys.path.insert(0, HERE)
STACK_FILE = pathlib.Path(FOLDER) / "stack.yaml"

import account  # noqa: E402

account.ENDPOINT = ENDPOINT

import kinds_by_id as ids  # noqa: E402
import kinds_by_name as names  # noqa: E402
import kinds_of_eks as eks  # noqa: E402
from account import control, state  # noqa: E402

# Of one batch, none depends on another: what depends on a refused resource is not planned.
BATCHES = [
    {
        "ecr_repository": names.EcrRepository, "iam_role": names.IamRole,
        "ssm_parameter": names.PlainParameter,
        "ssm_parameter, secret": names.SsmParameter, "vpc": ids.Vpc, "subnet": ids.Subnet,
        "security_group": ids.SecurityGroup, "security_group_rule": ids.SecurityGroupRule,
        "default_security_group": ids.DefaultSecurityGroup, "elastic_ip": ids.ElasticIp,
        "internet_gateway": ids.InternetGateway, "nat_gateway": ids.NatGateway, "route_table": ids.RouteTable,
        "vpc_endpoint": ids.VpcEndpoint, "flow_log": ids.FlowLog,
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
]  # fmt: skip
# A change of the stack file that changes a fixed field: what stands in it, and what does afterwards.
FILE_CHANGES = {
    names.SsmParameter: ("secret: {file: token}", "value: plain"),
    eks.NodeGroup: ("name: default,", "name: default, instanceTypes: [m6i.large],"),
    eks.FargateProfile: ("namespace: jobs}]", "namespace: web}]"),
    eks.EksCluster: ("cluster: {}", "cluster: {serviceCidr: 172.21.0.0/16}"),
}
OTHERS = {"owner": "payroll", "provisioner:stack": "other", "provisioner:lineage": "l-2"}
SITUATIONS = {
    "other tags": lambda kind: hasattr(kind, "again") and kind is not ids.ScheduledKey,
    "no tags": lambda kind: hasattr(kind, "again") and kind is not ids.ScheduledKey,
    "copied tags": lambda kind: kind is not ids.ScheduledKey,
    "forged entry": lambda kind: kind is not ids.ScheduledKey,
    "reversible state": lambda kind: hasattr(kind, "suspend"),
    "fixed field": lambda kind: kind in FILE_CHANGES,
}
cells, lost = {}, []


def prepare(situation, batch):
    """Brings the account into a situation. Returns address and thing of each kind: what must not be lost."""
    document, things = state("shop"), {}
    for name, kind in batch.items():
        entry = document["resources"][kind.address]
        live, at = entry["live"], kind.address
        if situation == "reversible state":
            kind.suspend(live)
        elif situation == "fixed field":
            text = STACK_FILE.read_text()
            assert text.count(FILE_CHANGES[kind][0]) == 1, kind
            STACK_FILE.write_text(text.replace(*FILE_CHANGES[kind]))
        elif situation == "forged entry":
            at, live = forge(document, name, kind, entry)
        else:
            own = {"other tags": OTHERS, "no tags": {}, "copied tags": live.get("tags", {})}[situation]
            live = kind.again(live, own) if hasattr(kind, "again") else kind.other(own)
        things[name] = (at, live)
    if situation == "forged entry":
        account.seal("shop", document)
    return things


def forge(document, name, kind, entry):
    """Records another's thing, with its right birth mark."""
    made = kind.other({})
    forged = copy.deepcopy(entry)
    forged["live"].update(made)
    forged["live"]["tags"], forged["dependencies"] = {}, []
    forged["spec"].update({key: value for key, value in made.items() if key in forged["spec"]})
    at = f"{entry['stage']}/forged-{name.replace(', ', '-').replace('_', '-')}"
    document["resources"][at] = forged
    return at, forged["live"]


def run(*arguments):
    command = [PROGRAM, *arguments, "--sandbox", "--json"]
    print(arguments, file=sys.stderr, flush=True)
    ended = subprocess.run(command, cwd=FOLDER, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120)
    if not ended.stdout.strip() and ended.returncode:
        raise RuntimeError(f"{command}: {ended.returncode}\n{ended.stdout}\n{ended.stderr}")
    return [json.loads(line) for line in ended.stdout.splitlines()], ended.returncode


LOSES = "replaced with `--replace` only"
ACTIONS = {"create": "created", "update": "updated", "replace": "replaced", "delete": "deleted", "adopt": "adopted"}


def word(lines, at):
    """What a run says of one address."""
    of = [line for line in lines if line.get("address") in (at,) or str(line.get("address")).startswith(f"{at}#")]
    if any(line["type"] == "stray" for line in of):
        return "reported, left"
    errors = [line for line in of if line["type"] == "error"]
    if any("carries this stack's tags, but is not in its state" in line["message"] for line in errors):
        return "reported, left"
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
            targets = [part for at in chosen.values() for part in ("--target", at)]
            consent = [part for at in chosen.values() for part in ("--replace", at)] if more else []
            lines, code = run("up", "--yes", *targets, *consent)
            done = "replaced" if more and code == 0 else LOSES
            words.update({name: word(lines, at).replace(LOSES, done) for name, at in chosen.items()})
            note("up", code, lines)
    return words


def note(what, code, lines):
    errors = [(line.get("address"), line["message"][:150]) for line in lines if line["type"] == "error"]
    print(what, code, errors, file=sys.stderr)


def down(things, planned):
    words = {}
    # What is in the cluster ends with it, also what another caller created: only the resources themselves are to be deleted.
    another = all(text != "replaced" for text in planned.values())
    within = another and all(hasattr(BY_NAME[name], "verb") for name in things)
    targets = [part for at, _ in things.values() for part in ("--target", at)] if within else []
    for _ in range(3):
        lines, code = run("down", "--yes", *targets, "--timeout", "10s" if "eks_cluster" in things else "60s")
        note("down", code, lines)
        for name, (at, _) in things.items():
            words.setdefault(name, word(lines, at))
        if code == 3 and not any(line.get("address") for line in lines if line["type"] == "error"):
            # All of it is refused, such as the deletion of a cluster in which another's nodes run.
            words.update({name: "refused" for name, text in words.items() if text == "unchanged"})
            break
        refused = [at for name, (at, _) in things.items() if words[name] == "refused"]
        if code != 3:
            break
        run("state", "forget", *refused, "--yes")
        words = {name: text for name, text in words.items() if text == "refused"}
    return words


def plan(things, _):
    lines, code = run("plan")
    note("plan", code, lines)
    return {name: word(lines, at) for name, (at, _) in things.items()}


VERBS = {
    "plan": plan, "up": up, "replace": lambda things, planned: up(things, planned, "replace"), "down": down,
}  # fmt: skip
BY_NAME = {name: kind for batch in BATCHES for name, kind in batch.items()}


def told(text, situation, kind):
    """The word of the table: what is said of the recorded resource is not said of another's beside it."""
    if situation == "forged entry" and text in ("refused", "record dropped"):
        # By the last digit of a time of creation, which a forger in Python rounds in another way than AWS's SDK.
        return "refused or dropped"
    beside = situation == "copied tags" and not hasattr(kind, "again")
    if beside and text != "reported, left":
        return "left"
    alias = issubclass(kind, ids.KmsKey) and situation in ("other tags", "no tags", "copied tags")
    return "own one deleted" if alias and text == "deleted" else text


# What a person asks for with these verbs is theirs to lose.
ASKED = {("reversible state", "down"), ("fixed field", "down"), ("fixed field", "replace")}


def cell(situation, batch):
    control("restore", body="whole")
    STACK_FILE.write_text(WHOLE_FILE)
    things = prepare(situation, batch)
    control("save", body="prepared")
    planned = {}
    for verb, carry_out in VERBS.items():
        before = {name: batch[name].look(live) for name, (_, live) in things.items()}
        control("log", "DELETE")
        words = carry_out(things, planned)
        planned = planned or words
        if verb == "up" and any(text == LOSES for text in words.values()) and account.writes():
            lost.append(f"{situation}: calls without consent: {account.writes()}")
        for name, (at, live) in things.items():
            after = batch[name].look(live)
            if not before[name]:
                raise RuntimeError(f"{name}, {situation}: nothing to lose")
            asked = (situation, verb) in ASKED or (situation, words[name]) == ("fixed field", "replaced")
            if before[name] != after and not asked:
                lost.append(f"{name}, {situation}, {verb} ({words[name]}): {before[name]} became {after}")
            cells.setdefault(name, {}).setdefault(situation, {})[verb] = told(words[name], situation, batch[name])
        control("restore", body="prepared")


control("save", body="whole")
WHOLE_FILE = STACK_FILE.read_text()
for situation in CHOSEN.split(","):
    for batch in BATCHES:
        chosen = {name: kind for name, kind in batch.items() if SITUATIONS[situation](kind)}
        if chosen:
            print("##", situation, list(chosen), file=sys.stderr)
            cell(situation, chosen)
print(json.dumps({"cells": cells, "lost": lost}))
