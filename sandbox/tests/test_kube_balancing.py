"""What the AWS Load Balancer Controller makes in AWS, what it takes away, and what stays without it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from balancing import ALB, NLB, STACK, Balancing, answer, name_of, plain
from conftest import Sandbox, until
from kubernetes import CONTROLLER, MERGE, SLOW, deployment, fetch, install, pod_spec, service


@pytest.fixture(scope="module")
def cluster(running: Sandbox) -> Balancing:
    assert running.ext("POST", "reset")[0] == 200
    return Balancing(running)


@pytest.fixture
def kube(cluster: Balancing) -> Iterator[Balancing]:
    cluster.namespace()
    yield cluster
    cluster.sandbox.configure()
    install(cluster, default_tags="provisioner:stack=demo")
    cluster.clear()
    until(cluster.nothing_left, SLOW)


def test_a_service_is_a_network_load_balancer(kube: Balancing) -> None:
    path = kube.balanced()
    kube.roll_out(deployment(kube.image))
    balancer = kube.one()
    uid = kube.api.get(path)["metadata"]["uid"]
    assert balancer["LoadBalancerName"] == name_of("demo", uid, "internal")
    assert balancer["Scheme"] == "internal"
    base = {"elbv2.k8s.aws/cluster": "demo", "service.k8s.aws/stack": "test/web", **STACK}
    assert kube.tags(balancer["LoadBalancerArn"]) == {**base, "service.k8s.aws/resource": "LoadBalancer"}
    assert kube.finalizers(path) == ["service.k8s.aws/resources"]
    # In each zone, through interfaces with both groups.
    groups = {group["GroupName"]: group for group in kube.groups()}
    managed, shared = groups[name_of("demo", "web", "test", uid)], next(
        group for name, group in groups.items() if name.startswith("k8s-traffic-demo-")
    )  # fmt: skip
    assert plain(managed["Tags"]) == {**base, "service.k8s.aws/resource": "ManagedLBSecurityGroup"}
    assert plain(shared["Tags"]) == {
        "elbv2.k8s.aws/cluster": "demo", "elbv2.k8s.aws/resource": "backend-sg", **STACK,
    }  # fmt: skip
    assert [(one["FromPort"], one["IpRanges"][0]["CidrIp"]) for one in managed["IpPermissions"]] == [(80, "0.0.0.0/0")]
    assert balancer["SecurityGroups"] == [managed["GroupId"], shared["GroupId"]]
    interfaces = kube.interfaces()
    assert sorted(one["SubnetId"] for one in interfaces) == sorted(kube.subnets)
    rest = balancer["LoadBalancerArn"].partition(":loadbalancer/")[2]
    assert {one["Description"] for one in interfaces} == {f"ELB {rest}"}
    assert rest.startswith(f"net/{balancer['LoadBalancerName']}/")
    # From the listener to the pod.
    listener = kube.listener(balancer)
    assert (listener["Port"], listener["Protocol"]) == (80, "TCP")
    group = kube.elb.describe_target_groups()["TargetGroups"][0]
    assert listener["DefaultActions"][0]["TargetGroupArn"] == group["TargetGroupArn"]
    assert kube.tags(group["TargetGroupArn"]) == {**base, "service.k8s.aws/resource": "test/web:80"}
    assert (group["TargetType"], group["Protocol"], group["HealthCheckProtocol"]) == ("ip", "TCP", "TCP")
    assert group["TargetGroupName"] == name_of("demo", uid, "1", "80", "ip", "TCP", "TCP", "10")
    pod = kube.pods()[0]["status"]["podIP"]

    def healthy() -> list[tuple[str, int, str]]:
        found = kube.elb.describe_target_health(TargetGroupArn=group["TargetGroupArn"])["TargetHealthDescriptions"]
        return [(one["Target"]["Id"], one["Target"]["Port"], one["TargetHealth"]["State"]) for one in found]

    until(lambda: healthy() == [(pod, 8000, "healthy")], SLOW)
    rules = [one for one in kube.of_cluster()["IpPermissions"] if one["IpProtocol"] == "tcp"]
    assert [(one["FromPort"], one["ToPort"]) for one in rules] == [(8000, 8000)]
    pair = rules[0]["UserIdGroupPairs"][0]
    assert (pair["GroupId"], pair["Description"]) == (shared["GroupId"], "elbv2.k8s.aws/targetGroupBinding=shared")
    # Its name leads to the pod when it is active.
    where = kube.hostname(path)
    assert kube.one()["State"]["Code"] == "active"
    assert until(lambda: answer(where), SLOW) == pod
    kube.delete(path)
    assert kube.nothing_left()
    assert [one for one in kube.of_cluster()["IpPermissions"] if one["IpProtocol"] == "tcp"] == []


def test_an_ingress_is_an_application_load_balancer(kube: Balancing) -> None:
    path = kube.ingress(healthcheck_path="/ready", scheme="internal", tags="team=web")
    kube.roll_out(deployment(kube.image))
    balancer = kube.one("application")
    assert balancer["LoadBalancerName"] == name_of("demo", "test/web", "internal")
    base = {"elbv2.k8s.aws/cluster": "demo", "ingress.k8s.aws/stack": "test/web", "team": "web", **STACK}
    assert kube.tags(balancer["LoadBalancerArn"]) == {**base, "ingress.k8s.aws/resource": "LoadBalancer"}
    assert kube.finalizers(path) == ["ingress.k8s.aws/resources"]
    rest = balancer["LoadBalancerArn"].partition(":loadbalancer/")[2]
    assert rest.startswith("app/")
    assert {one["Description"] for one in kube.interfaces()} == {f"ELB {rest}"}
    listener = kube.listener(balancer)
    assert kube.tags(listener["ListenerArn"]) == {**base, "ingress.k8s.aws/resource": "80"}
    assert listener["DefaultActions"][0]["FixedResponseConfig"]["StatusCode"] == "404"
    rules = kube.elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]
    rule = next(one for one in rules if not one["IsDefault"])
    assert kube.tags(rule["RuleArn"]) == {**base, "ingress.k8s.aws/resource": "80:1"}
    assert {one["Field"] for one in rule["Conditions"]} == {"host-header", "path-pattern"}
    group = kube.elb.describe_target_groups()["TargetGroups"][0]
    assert rule["Actions"][0]["TargetGroupArn"] == group["TargetGroupArn"]
    assert kube.tags(group["TargetGroupArn"]) == {**base, "ingress.k8s.aws/resource": "test/web-web:http"}
    assert (group["Protocol"], group["HealthCheckPath"], group["HealthCheckIntervalSeconds"]) == ("HTTP", "/ready", 15)
    own = kube.pods()[0]["status"]["podIP"]
    assert until(lambda: answer(kube.hostname(path), "a.example", "/web/a"), SLOW) == own
    assert answer(kube.hostname(path), path="/web/a") is None
    assert answer(kube.hostname(path), "a.example") is None
    kube.delete(path)
    assert kube.nothing_left()


def test_a_group_of_ingresses_shares_one(kube: Balancing) -> None:
    """It ends with its last member, and the first to leave takes its rules along."""
    paths = [kube.ingress(name, group__name="all") for name in ("one", "two")]
    balancer = kube.one("application")
    digest = hashlib.sha256(b"demoallinternal").hexdigest()[:10]
    assert balancer["LoadBalancerName"] == f"k8s-all-{digest}"
    assert kube.tags(balancer["LoadBalancerArn"])["ingress.k8s.aws/stack"] == "all"

    def conditions() -> list[list[str]]:
        listener = kube.listener(balancer)["ListenerArn"]
        found = [one for one in kube.elb.describe_rules(ListenerArn=listener)["Rules"] if not one["IsDefault"]]
        return sorted(
            condition["PathPatternConfig"]["Values"]
            for one in found
            for condition in one["Conditions"]
            if condition["Field"] == "path-pattern"
        )

    until(lambda: conditions() == [["/one", "/one/*"], ["/two", "/two/*"]], SLOW)
    assert kube.finalizers(paths[0]) == ["group.ingress.k8s.aws/all"]
    kube.delete(paths[0])
    until(lambda: conditions() == [["/two", "/two/*"]], SLOW)
    kube.delete(paths[1])
    assert kube.nothing_left()


def test_it_holds_the_network_in_which_it_stands(kube: Balancing, refused: Callable[..., Any]) -> None:
    kube.balanced()
    managed = until(kube.groups, SLOW)
    until(kube.interfaces, SLOW)
    refused("DependencyViolation", kube.ec2.delete_subnet, SubnetId=kube.subnets[2])
    for group in managed:
        refused("DependencyViolation", kube.ec2.delete_security_group, GroupId=group["GroupId"])


def test_the_finalizer_waits_for_the_interfaces(kube: Balancing) -> None:
    path = kube.balanced()
    kube.hostname(path)
    # Now nothing of AWS ends.
    kube.sandbox.configure(timeScale=0.1)
    assert kube.api("DELETE", path)[0] == 200
    until(lambda: not kube.balancers(), SLOW)
    assert kube.finalizers(path) == ["service.k8s.aws/resources"]
    assert len(kube.groups()) == 2
    assert kube.interfaces()
    kube.sandbox.configure()
    until(lambda: kube.api("GET", path)[0] == 404, SLOW)
    assert kube.nothing_left()


@pytest.mark.parametrize("how", ["scaled", "deleted"])
def test_without_the_controller_all_stays(kube: Balancing, how: str) -> None:
    path = kube.balanced()
    kube.roll_out(deployment(kube.image))
    where = kube.hostname(path)
    if how == "scaled":
        assert kube.api("PATCH", CONTROLLER, {"spec": {"replicas": 0}}, MERGE)[0] == 200
    else:
        kube.delete(CONTROLLER)
    # A namespace that ends waits for it too.
    assert kube.api("DELETE", kube.ns)[0] == 200
    until(lambda: kube.api.get(path)["metadata"].get("deletionTimestamp"), SLOW)
    with pytest.raises(AssertionError):
        until(lambda: kube.api("GET", path)[0] == 404 or not kube.balancers(), 2)
    assert kube.finalizers(path) == ["service.k8s.aws/resources"]
    assert kube.hostname(path) == where
    assert kube.interfaces()
    # When it is back it ends what it began.
    install(kube, default_tags="provisioner:stack=demo")
    until(lambda: kube.api("GET", kube.ns)[0] == 404, SLOW)
    assert kube.nothing_left()
    kube.namespace()


def test_without_the_controller_there_is_none(kube: Balancing) -> None:
    kube.delete(CONTROLLER)
    path = kube.balanced()
    with pytest.raises(AssertionError):
        until(lambda: kube.balancers() or kube.finalizers(path) or kube.api.get(path)["status"]["loadBalancer"], 2)
    install(kube, default_tags="provisioner:stack=demo")
    kube.hostname(path)


def test_two_in_two_namespaces_share_the_group_to_pods(kube: Balancing) -> None:
    assert kube.api("POST", "/api/v1/namespaces", {"metadata": {"name": "team"}})[0] == 201
    first, second = kube.balanced(), kube.balanced("team", "shop")
    until(lambda: len(kube.balancers()) == 2, SLOW)
    assert len(kube.groups()) == 3
    kube.delete(first)
    assert len(kube.balancers()) == 1
    assert len(kube.groups()) == 2
    kube.delete(second)
    assert kube.nothing_left()
    kube.delete("/api/v1/namespaces/team")


def test_an_internet_facing_one_takes_public_subnets(kube: Balancing) -> None:
    wanted = service(type="LoadBalancer", loadBalancerClass="service.k8s.aws/nlb")
    wanted["metadata"] = {"name": "web", "annotations": {f"{NLB}-scheme": "internet-facing"}}
    kube.api.apply(f"{kube.ns}/services/web", wanted)
    # No subnet has a way out, and none is tagged.
    until(lambda: any("unable to resolve at least one subnet" in one for one in kube.events("FailedBuildModel")), SLOW)
    tags = [{"Key": "kubernetes.io/role/elb", "Value": "1"}]
    kube.ec2.create_tags(Resources=kube.subnets[:2], Tags=tags)
    until(lambda: any("has no internet gateway" in one for one in kube.events("FailedDeployModel")), SLOW)
    gateway = kube.network.internet_gateway()
    assert kube.one()["Scheme"] == "internet-facing"
    assert sorted(one["SubnetId"] for one in kube.interfaces()) == sorted(kube.subnets[:2])
    assert all(one["Association"]["PublicIp"] for one in kube.interfaces())
    kube.delete(f"{kube.ns}/services/web")
    kube.ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=kube.vpc)
    kube.ec2.delete_internet_gateway(InternetGatewayId=gateway)
    kube.ec2.delete_tags(Resources=kube.subnets[:2], Tags=tags)


def test_ports_and_targets_follow(kube: Balancing) -> None:
    ports = [{"name": "http", "port": 80, "targetPort": 8000}, {"name": "more", "port": 81, "targetPort": 8001}]
    path = kube.balanced(ports=ports)
    kube.roll_out(deployment(kube.image, 2, pod_spec(kube.image)))
    balancer = kube.one()

    def listening() -> list[int]:
        found = kube.elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
        return sorted(one["Port"] for one in found)

    def let_through() -> list[tuple[int, int]]:
        return [(one["FromPort"], one["ToPort"]) for one in kube.of_cluster()["IpPermissions"] if "FromPort" in one]

    until(lambda: listening() == [80, 81] and let_through() == [(8000, 8001)], SLOW)
    kube.balanced(ports=ports[:1])
    until(lambda: listening() == [80] and let_through() == [(8000, 8000)], SLOW)
    assert len(kube.elb.describe_target_groups()["TargetGroups"]) == 1
    assert kube.one()["LoadBalancerArn"] == balancer["LoadBalancerArn"]
    # One that stops to be of this type is taken away as if it were deleted.
    spec = {"type": "ClusterIP", "loadBalancerClass": None}
    assert kube.api("PATCH", path, {"spec": spec}, MERGE)[0] == 200
    until(lambda: kube.nothing_left() and not kube.finalizers(path), SLOW)


def test_a_protected_one_stays(kube: Balancing) -> None:
    path = kube.balanced()
    protected = {f"{NLB}-attributes": "deletion_protection.enabled=true"}
    kube.api("PATCH", path, {"metadata": {"annotations": protected}}, MERGE)
    kube.hostname(path)
    kube.api("DELETE", path)
    until(lambda: any("deletion_protection is enabled" in one for one in kube.events("FailedBuildModel")), SLOW)
    assert kube.balancers()
    kube.api("PATCH", path, {"metadata": {"annotations": {f"{NLB}-attributes": None}}}, MERGE)
    until(lambda: kube.api("GET", path)[0] == 404, SLOW)
    assert kube.nothing_left()


def test_a_service_without_a_class_is_not_the_controllers(kube: Balancing) -> None:
    path = f"{kube.ns}/services/web"
    kube.api.apply(path, service(type="LoadBalancer"))
    kube.roll_out(deployment(kube.image))
    assert until(lambda: answer(kube.hostname(path)), SLOW)
    assert not kube.balancers()
    assert kube.finalizers(path) == []


def test_a_certificate_that_is_not_there(kube: Balancing) -> None:
    """The controller tries again and again, says so each time, and leaves what there is: elbv2 answers CertificateNotFound.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateListener.html#API_CreateListener_Errors
    """
    acm = kube.sandbox.client("acm")
    there = acm.request_certificate(DomainName="a.example")["CertificateArn"]
    path = kube.ingress(certificate_arn=there)
    balancer = kube.one("application")
    assert kube.listener(balancer)["Certificates"] == [{"CertificateArn": there}]
    where = kube.hostname(path)
    wrong = there[:-12] + "0" * 12
    kube.ingress(certificate_arn=wrong)

    def told() -> int:
        found = kube.api.get(f"{kube.ns}/events")["items"]
        text = f"Failed deploy model due to api error CertificateNotFound: Certificate '{wrong}' not found"
        wanted = ("Warning", "FailedDeployModel", text)
        return sum(one["count"] for one in found if (one["type"], one["reason"], one["message"]) == wanted)

    until(told, SLOW)
    before = told()
    until(lambda: told() > before, SLOW)
    assert kube.listener(balancer)["Certificates"] == [{"CertificateArn": there}]
    # Nor does an annotation change the ports, as long as it is refused.
    kube.ingress(certificate_arn=wrong, listen_ports='[{"HTTPS": 8443}]')
    before = told()
    until(lambda: told() > before, SLOW)
    assert kube.hostname(path) == where and kube.listener(balancer)["Port"] == 443
    kube.ingress(certificate_arn=there, listen_ports='[{"HTTPS": 8443}]')
    until(lambda: kube.listener(balancer)["Port"] == 8443, SLOW)
    kube.delete(path)


def test_a_group_has_one_address_and_its_rules_in_order(kube: Balancing) -> None:
    """https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/ingress/annotations/#ingressgroup"""
    for name in ("one", "two"):
        env = [{"name": "WORD", "value": name}]
        wanted = deployment("", spec=pod_spec(kube.image, env=env))
        labels = {"app": name}
        wanted["metadata"]["name"] = name
        wanted["spec"]["selector"]["matchLabels"] = labels
        wanted["spec"]["template"] = {**wanted["spec"]["template"], "metadata": {"labels": labels}}
        assert kube.api.apply(kube.group("apps/v1", "deployments", name), wanted)[0] == 201
        body = service(selector=labels)
        body["metadata"]["name"] = name
        assert kube.api.apply(f"{kube.ns}/services/{name}", body)[0] == 201

    def made(name: str, order: int, *paths: str) -> str:
        backend = {"service": {"name": name, "port": {"name": "http"}}}
        rules = [{"path": path, "pathType": "Prefix", "backend": backend} for path in paths]
        wanted = {
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": name, "annotations": {f"{ALB}/group.name": "all", f"{ALB}/group.order": str(order)}},
            "spec": {"ingressClassName": "alb", "rules": [{"http": {"paths": rules}}]},
        }  # fmt: skip
        path = kube.group("networking.k8s.io/v1", "ingresses", name)
        code, said = kube.api.apply(path, wanted)
        assert code in (200, 201), said
        return path

    def word(path: str) -> str | None:
        try:
            return str(fetch(where, path)["environment"]["WORD"])
        except OSError:
            return None

    # By its name, `one` would be the first.
    paths = [made("one", 2, "/"), made("two", 1, "/two")]
    where = kube.hostname(paths[0])
    assert kube.hostname(paths[1]) == where and len(kube.balancers()) == 1
    until(lambda: (word("/"), word("/two/a?b")) == ("one", "two"), SLOW)
    made("two", 3, "/two")
    until(lambda: word("/two") == "one", SLOW)
    kube.delete(paths[1])
    assert kube.hostname(paths[0]) == where and len(kube.balancers()) == 1
    kube.delete(paths[0])
    until(lambda: not kube.balancers(), SLOW)
    until(lambda: word("/") is None, SLOW)
