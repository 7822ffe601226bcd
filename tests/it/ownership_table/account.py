"""The account as another person sees it: boto3 clients, the recorded state, and what the sandbox keeps."""

import hashlib
import json
import time
import urllib.request

import boto3

ENDPOINT = PROGRAM = FOLDER = ""
CLIENTS = {}
REGION = "eu-central-1"
TRUST = json.dumps({
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
})


def client(name):
    if name not in CLIENTS:
        CLIENTS[name] = boto3.client(
            name, endpoint_url=ENDPOINT, region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x"
        )
    return CLIENTS[name]


def control(path, method="POST", body=""):
    request = urllib.request.Request(f"{ENDPOINT}/_ext/{path}", body.encode() if method == "POST" else None, method=method)
    return json.loads(urllib.request.urlopen(request).read())


def tags(of, key="Key", value="Value"):
    """Tags as most services take them."""
    return [{key: name, value: text} for name, text in sorted(of.items())]


def attempt(call, **arguments):
    """What a call returns, or nothing if AWS refuses it."""
    try:
        answer = call(**arguments)
        answer.pop("ResponseMetadata", None)
        return answer
    except Exception as error:
        if not hasattr(error, "response"):
            raise
        return None


def until(look):
    """Looks until there is an answer; AWS is some thousand times faster here."""
    for _ in range(1500):
        if found := look():
            return found
        time.sleep(0.02)
    raise TimeoutError("the account does not get there")


def bucket():
    return next(one["Name"] for one in client("s3").list_buckets()["Buckets"] if one["Name"].startswith("provisioner-"))


def state(stack):
    body = client("s3").get_object(Bucket=bucket(), Key=f"{stack}/state.json")["Body"]
    return json.loads(body.read())


def seal(stack, document):
    """Writes a state as the program does, with its digest."""
    document["resources"] = dict(sorted(document["resources"].items()))
    text = lambda: json.dumps(document, indent=2, ensure_ascii=False)
    document["digest"] = ""
    document["digest"] = hashlib.sha256(text().encode()).hexdigest()
    etag = client("s3").head_object(Bucket=bucket(), Key=f"{stack}/state.json")["ETag"]
    client("s3").put_object(Bucket=bucket(), Key=f"{stack}/state.json", Body=text().encode(), IfMatch=etag)


def stamp(moment):
    """A time as the state holds it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3].rstrip("0").rstrip(".") + "Z"


READS = ("Describe", "Get", "List", "Head", "Batch", "Simulate", "Assume")


def writes():
    """The calls since the log was emptied that change anything, without those on lease and state."""
    calls = [f"{one['service']}:{one['action']}" for one in control("log", "GET")]
    own = ("s3:PutObject", "dynamodb:UpdateItem", "dynamodb:PutItem")
    return [call for call in calls if not call.partition(":")[2].startswith(READS) and call not in own]
