"""What AWS implementations of others answer unlike AWS, and how each such answer is repaired: one table, `DIFFERENCES`.

A repair looks at one exchange. It returns the status and body that AWS would answer, or nothing if the answer is right.
Only what it returns counts as a use: a difference that no run needs fails the test, so that the table does not outlive
the faults. `python differences.py` prints the table of docs/TESTING.md.
"""

import json
import re
import urllib.parse
from typing import Callable, NamedTuple
from xml.etree import ElementTree
from xml.sax.saxutils import escape

EC2 = "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_"
EKS = "https://docs.aws.amazon.com/eks/latest/APIReference/API_"
S3 = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_"


class Difference(NamedTuple):
    emulator: str
    calls: str
    answers: str
    aws: str
    source: str
    does: str
    repair: Callable


class Exchange(NamedTuple):
    """A request and its answer. `ask` sends another request to the emulator, of the same service unless one is named,
    and returns status, headers and body; `memory` is kept while the emulator runs."""

    path: str
    request: bytes
    status: int
    body: bytes
    ask: Callable
    memory: dict

    def form(self):
        """The parameters of a call of the query protocol."""
        return dict(urllib.parse.parse_qsl(self.request.decode(), keep_blank_values=True))


# The calls of REST that a difference names: the method, the path, the call.
REST = [
    ("PUT", r"/[^/?]+/?", "s3:CreateBucket"),
    ("GET", r"/[^/?]+/?\?versioning.*", "s3:GetBucketVersioning"),
    ("PUT", r"/[^/?]+/?\?policy.*", "s3:PutBucketPolicy"),
    ("GET", r"/[^/?]+/?\?policy.*", "s3:GetBucketPolicy"),
    ("GET", r"/cluster-versions\b.*", "eks:DescribeClusterVersions"),
    ("GET", r"/addons/supported-versions\b.*", "eks:DescribeAddonVersions"),
    ("POST", r"/clusters", "eks:CreateCluster"),
    ("GET", r"/clusters/[^/?]+", "eks:DescribeCluster"),
    ("GET", r"/clusters/[^/?]+/access-entries/[^/?]+", "eks:DescribeAccessEntry"),
    ("GET", r"/clusters/[^/?]+/access-entries/[^/?]+/access-policies\b.*", "eks:ListAssociatedAccessPolicies"),
    ("GET", r"/clusters/[^/?]+/addons/[^/?]+", "eks:DescribeAddon"),
    ("GET", r"/clusters/[^/?]+/node-groups\b.*", "eks:ListNodegroups"),
]


def call_of(method, path, headers, request):
    """`service:Operation`; `service:METHOD path` of REST that no difference names."""
    scope = re.search(r"Credential=[^/]*/\d+/[^/]*/([^/]*)/", headers.get("Authorization", ""))
    service = scope.group(1) if scope else "unsigned"
    if target := headers.get("X-Amz-Target"):
        return f"{service}:{target.rsplit('.', 1)[-1]}"
    if action := re.search(rb"(?:^|&)Action=(\w+)", request):
        return f"{service}:{action.group(1).decode()}"
    for of_call, pattern, call in REST:
        if method == of_call and call.startswith(f"{service}:") and re.fullmatch(pattern, path):
            return call
    return f"{service}:{method} {path}"


def replaced(old, new):
    """Another text in the body."""
    return lambda exchange: (exchange.status, exchange.body.replace(old, new)) if old in exchange.body else None


def unknown(answer):
    """An answer to a call that the emulator does not know."""
    return lambda exchange: (200, answer) if exchange.status >= 400 else None


def bucket_policy(exchange):
    """Takes a policy away that moto uses to refuse the account's own calls, and remembers it."""
    bucket = exchange.path.split("?")[0].rstrip("/")
    if not exchange.request:
        policy = exchange.memory.get(bucket)
        return (200, policy) if policy and exchange.status == 404 else None
    if exchange.ask("GET", f"{bucket}/no-such-key")[0] != 403:
        return None
    exchange.ask("DELETE", f"{bucket}?policy")
    exchange.memory[bucket] = exchange.request
    return exchange.status, exchange.body


def bucket_tags(exchange):
    tags = re.search(rb"<Tags>(.*)</Tags>", exchange.request)
    if not tags or exchange.ask("GET", exchange.path + "?tagging")[0] != 404:
        return None
    tagging = b'<Tagging xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><TagSet>%s</TagSet></Tagging>' % tags.group(1)
    exchange.ask("PUT", exchange.path + "?tagging", tagging)
    return exchange.status, exchange.body


def flow_log_tags(exchange):
    form, found = exchange.form(), re.search(rb"<item>(fl-\w+)</item>", exchange.body)
    exchange.memory[form["ResourceId.1"]] = (form["LogGroupName"], form["DeliverLogsPermissionArn"])
    flow_log = {"Version": form["Version"], "FlowLogId.1": found.group(1).decode()}
    if b"<tagSet><item>" in exchange.ask("POST", "/", {"Action": "DescribeFlowLogs", **flow_log})[2]:
        return None
    tags = {name.removeprefix("TagSpecification.1."): text for name, text in form.items() if ".Tag." in name}
    tagged = {"Version": form["Version"], "ResourceId.1": flow_log["FlowLogId.1"]}
    exchange.ask("POST", "/", {"Action": "CreateTags", **tagged, **tags})
    return exchange.status, exchange.body


def flow_log_fields(exchange):
    if b"<logGroupName>" in exchange.body or b"<flowLogId>" not in exchange.body:
        return None

    def fields(found):
        group, role = exchange.memory[found.group(1)]
        added = f"<logGroupName>{group}</logGroupName><deliverLogsPermissionArn>{role}</deliverLogsPermissionArn>"
        return found.group() + added

    return exchange.status, re.sub(r"<resourceId>(.*?)</resourceId>", fields, exchange.body.decode()).encode()


def endpoint_policy(exchange):
    """Remembers policies, and adds them to what is described."""
    form = exchange.form()
    if "PolicyDocument" in form:
        name = form.get("VpcEndpointId") or re.search(r"<vpcEndpointId>(.*?)<", exchange.body.decode()).group(1)
        exchange.memory[name] = form["PolicyDocument"]
    if form["Action"] != "DescribeVpcEndpoints" or b"<policyDocument>" in exchange.body:
        return None

    def policy(found):
        return f"{found.group()}<policyDocument>{escape(exchange.memory.get(found.group(1), ''))}</policyDocument>"

    body = re.sub(r"<vpcEndpointId>(.*?)</vpcEndpointId>", policy, exchange.body.decode()).encode()
    return (exchange.status, body) if body != exchange.body else None


def nat_interfaces(exchange):
    """Names the interfaces of NAT gateways, and leaves out those of deleted ones."""
    call = {"Action": "DescribeNatGateways", "Version": exchange.form()["Version"]}
    gateways = exchange.ask("POST", "/", call)[2].decode()
    pattern = r"<networkInterfaceId>([^<]*)</networkInterfaceId>.*?<natGatewayId>([^<]*)</natGatewayId><state>([^<]*)"
    gateway_of = {interface: rest for interface, *rest in re.findall(pattern, gateways)}
    space = "{http://ec2.amazonaws.com/doc/2016-11-15}"
    ElementTree.register_namespace("", space.strip("{}"))
    answer = ElementTree.fromstring(exchange.body)
    interfaces, changed = answer.find(f"{space}networkInterfaceSet"), False
    for interface in list(interfaces):
        gateway, state = gateway_of.get(interface.findtext(f"{space}networkInterfaceId"), (None, None))
        if state == "deleted":
            interfaces.remove(interface)
        elif gateway and not interface.findtext(f"{space}description"):
            interface.find(f"{space}description").text = f"Interface for NAT Gateway {gateway}"
        else:
            continue
        changed = True
    return (exchange.status, ElementTree.tostring(answer)) if changed else None


def cluster(exchange):
    """Adds what was asked for and is not answered."""
    if exchange.status != 200:
        return None
    answer = json.loads(exchange.body)
    shown = answer["cluster"]
    if exchange.request:
        exchange.memory[f"cluster {shown['name']}"] = json.loads(exchange.request)
    asked = exchange.memory[f"cluster {shown['name']}"]
    fields = {name: asked[name] for name in ("accessConfig", "upgradePolicy", "deletionProtection") if name in asked}
    missing = {name: asked for name, asked in fields.items() if shown.get(name) is None}
    network = shown["resourcesVpcConfig"]
    if not network.get("vpcId"):
        subnet = {"Action": "DescribeSubnets", "Version": "2016-11-15", "SubnetId.1": network["subnetIds"][0]}
        found = exchange.ask("POST", "/", subnet, "ec2")[2].decode()
        missing["resourcesVpcConfig"] = network | {"vpcId": re.search(r"<vpcId>([^<]*)", found).group(1)}
    shown.update(missing)
    return (200, json.dumps(answer).encode()) if missing else None


def page(answer):
    """An answer in place of a page of the web server."""
    return lambda exchange: answer if exchange.body.startswith(b"<!doctype") else None


NOT_FOUND = (404, b'{"__type": "ResourceNotFoundException", "message": "not found"}')
NO_ATTACHMENTS = b"<DescribeTransitGatewayVpcAttachmentsResponse/>"


def endpoints_by_id(exchange):
    """Asks by parameter instead of by filter."""
    form = exchange.form()
    if exchange.status != 500 or form.get("Filter.1.Name") != "vpc-endpoint-id" or "Filter.2.Name" in form:
        return None
    del form["Filter.1.Name"]
    form = {name.replace("Filter.1.Value.", "VpcEndpointId."): text for name, text in form.items()}
    status, _, body = exchange.ask("POST", "/", form)
    return (status, body) if status == 200 else (200, b"<DescribeVpcEndpointsResponse/>")


VERSION = {"clusterVersion": "1.35", "defaultVersion": True, "versionStatus": "STANDARD_SUPPORT"}
VERSIONS = {"clusterVersions": [VERSION]}
ADDONS = {
    "addons": [
        {
            "addonName": name,
            "addonVersions": [
                {
                    "addonVersion": "v1.0.0-eksbuild.1",
                    "compatibilities": [{"clusterVersion": "1.35", "defaultVersion": True, "platformVersions": ["*"]}],
                }
            ],
        }
        for name in ("coredns", "eks-node-monitoring-agent", "eks-pod-identity-agent", "kube-proxy", "metrics-server", "vpc-cni")
    ]
}


def bottlerocket(exchange):
    names = [name for name in json.loads(exchange.request)["Names"] if name.startswith("/aws/service/bottlerocket/")]
    answer = json.loads(exchange.body)
    if not names or not set(names) & set(answer["InvalidParameters"]):
        return None
    answer["InvalidParameters"] = [name for name in answer["InvalidParameters"] if name not in names]
    answer["Parameters"] += [{"Name": name, "Type": "String", "Value": "1.50.0-0a1b2c3d"} for name in names]
    return 200, json.dumps(answer).encode()


DIFFERENCES = [
    Difference(
        "moto", "s3:CreateBucket", "drops the tags of the request", "keeps them", S3 + "CreateBucketConfiguration.html",
        "tags the bucket", bucket_tags,
    ),
    Difference(
        "moto", "s3:GetBucketVersioning", "root element `GetBucketVersioningResponse`", "`VersioningConfiguration`",
        S3 + "GetBucketVersioning.html", "renames the element",
        replaced(b"GetBucketVersioningResponse", b"VersioningConfiguration"),
    ),
    Difference(
        "moto", "s3:PutBucketPolicy s3:GetBucketPolicy", "applies each `Deny` without its conditions and refuses all calls",
        "applies a statement if its conditions are met",
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition.html",
        "keeps the policy itself and answers it", bucket_policy,
    ),
    Difference(
        "moto", "ec2:DescribeVpcEndpoints", "500 to the filter `vpc-endpoint-id`", "knows the filter",
        EC2 + "DescribeVpcEndpoints.html", "asks by id", endpoints_by_id,
    ),
    Difference(
        "moto", "ec2:DescribeNetworkInterfaces",
        "interfaces of NAT gateways without description, also after the gateway's deletion",
        "a description that names the gateway; an interface ends with its gateway",
        "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/requester-managed-eni.html",
        "adds the description, leaves out those of deleted gateways", nat_interfaces,
    ),
    Difference(
        "moto", "eks:DescribeClusterVersions", "404 page", "the versions", EKS + "DescribeClusterVersions.html",
        "answers 1.35", unknown(json.dumps(VERSIONS).encode()),
    ),
    Difference(
        "moto", "eks:DescribeAddonVersions", "404 page", "the versions", EKS + "DescribeAddonVersions.html",
        "answers one version of each default add-on", unknown(json.dumps(ADDONS).encode()),
    ),
    Difference(
        "moto", "ssm:GetParameters", "no parameters of Bottlerocket", "the newest release of each minor",
        "https://bottlerocket.dev/en/os/latest/install/quickstart/aws/kubernetes/", "adds them", bottlerocket,
    ),
    Difference(
        "moto", "eks:DescribeAccessEntry eks:ListAssociatedAccessPolicies eks:DescribeAddon eks:ListNodegroups",
        "404 or 500 page if the cluster does not exist", "`ResourceNotFoundException`", EKS + "DescribeAddon.html",
        "answers that", page(NOT_FOUND),
    ),
    Difference(
        "moto", "eks:CreateCluster eks:DescribeCluster",
        "no `vpcId`, `accessConfig`, `upgradePolicy`, `deletionProtection`", "the fields", EKS + "Cluster.html",
        "adds them as they were asked for", cluster,
    ),
    Difference(
        "ministack", "ec2:CreateFlowLogs", "drops tags of the type `vpc-flow-log`", "keeps them",
        EC2 + "CreateFlowLogs.html", "tags the flow log", flow_log_tags,
    ),
    Difference(
        "ministack", "ec2:DescribeFlowLogs", "no `logGroupName`, no `deliverLogsPermissionArn`", "both fields",
        EC2 + "FlowLog.html", "adds them as they were asked for", flow_log_fields,
    ),
    Difference(
        "ministack", "ec2:CreateVpcEndpoint ec2:ModifyVpcEndpoint ec2:DescribeVpcEndpoints", "no `policyDocument`",
        "the policy", EC2 + "VpcEndpoint.html", "adds it as it was asked for", endpoint_policy,
    ),
    Difference(
        "ministack", "ec2:DescribeTransitGatewayVpcAttachments", "`InvalidAction`", "the attachments",
        EC2 + "DescribeTransitGatewayVpcAttachments.html", "answers none", unknown(NO_ATTACHMENTS),
    ),
    Difference(
        "ministack", "eks:DescribeClusterVersions", "`InvalidRequestException`", "the versions",
        EKS + "DescribeClusterVersions.html", "answers 1.35", unknown(json.dumps(VERSIONS).encode()),
    ),
    Difference(
        "ministack", "eks:DescribeAddonVersions", "`InvalidRequestException`", "the versions",
        EKS + "DescribeAddonVersions.html", "answers one version of each default add-on",
        unknown(json.dumps(ADDONS).encode()),
    ),
    Difference(
        "ministack", "ssm:GetParameters", "no parameters of Bottlerocket", "the newest release of each minor",
        "https://bottlerocket.dev/en/os/latest/install/quickstart/aws/kubernetes/", "adds them", bottlerocket,
    ),
]


def markdown():
    rows = ["| emulator | call | it answers | AWS answers | repair |", "|---|---|---|---|---|"]
    for it in DIFFERENCES:
        calls = ", ".join(f"`{call}`" for call in it.calls.split())
        rows.append(f"| {it.emulator} | {calls} | {it.answers} | [{it.aws}]({it.source}) | {it.does} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(markdown())
