"""Load balancers of the AWS Load Balancer Controller that have a certificate."""

from __future__ import annotations

import time

from conftest import until
from kubernetes import SLOW

# The fixtures with their cluster are those of the other load balancers.
from test_kube_balancing import Balancing, cluster, kube

__all__ = ["cluster", "kube"]

POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"


def listeners(kube: Balancing, kind: str) -> list[tuple[int, str, str, str]]:
    arn = kube.one(kind)["LoadBalancerArn"]
    return sorted(
        (one["Port"], one["Protocol"], one.get("SslPolicy", ""), one["DefaultActions"][0]["Type"])
        for one in kube.elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]
    )


def test_an_ingress_with_a_certificate_redirects_to_it(kube: Balancing) -> None:
    acm = kube.sandbox.client("acm")
    certificate = acm.request_certificate(DomainName="a.example")["CertificateArn"]
    ports = '[{"HTTP": 80}, {"HTTPS": 443}]'
    kube.ingress(listen_ports=ports, ssl_redirect="443")
    until(lambda: any("no certificate found" in one for one in kube.events("FailedBuildModel")), SLOW)
    more = {"listen_ports": ports, "certificate_arn": certificate, "ssl_policy": POLICY}
    kube.ingress(**more, ssl_redirect="8443")
    until(lambda: any("SSL Redirect port: 8443" in one for one in kube.events("FailedBuildModel")), SLOW)
    kube.ingress(**more, ssl_redirect="443")
    until(
        lambda: listeners(kube, "application")
        == [(80, "HTTP", "", "redirect"), (443, "HTTPS", POLICY, "fixed-response")],
        SLOW,
    )
    arn = kube.one("application")["LoadBalancerArn"]
    by_port = {one["Port"]: one for one in kube.elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]}
    assert by_port[80]["DefaultActions"][0]["RedirectConfig"]["Port"] == "443"
    assert [len(kube.elb.describe_rules(ListenerArn=by_port[port]["ListenerArn"])["Rules"]) for port in (80, 443)] == [1, 2]
    assert by_port[443]["Certificates"] == [{"CertificateArn": certificate}]


def test_a_certificate_that_does_not_exist_is_refused(kube: Balancing) -> None:
    missing = "arn:aws:acm:eu-central-1:123456789012:certificate/11111111-2222-3333-4444-555555555555"
    ports = '[{"HTTP": 80}, {"HTTPS": 443}]'
    path = kube.ingress(listen_ports=ports, certificate_arn=missing)
    until(lambda: kube.events("FailedDeployModel"), SLOW)
    until(lambda: kube.one("application")["State"]["Code"] == "active", SLOW)
    time.sleep(1)
    assert not kube.api.get(path).get("status", {}).get("loadBalancer", {}).get("ingress")
    certificate = kube.sandbox.client("acm").request_certificate(DomainName="a.example")["CertificateArn"]
    kube.ingress(listen_ports=ports, certificate_arn=certificate)
    assert kube.hostname(path)
