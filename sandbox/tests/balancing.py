"""What tests of load balancers ask of the sandbox."""

from __future__ import annotations

import hashlib
from typing import Any

from conftest import Sandbox, until
from kubernetes import SLOW, Kube, fetch, install, push, service

NLB = "service.beta.kubernetes.io/aws-load-balancer"
ALB = "alb.ingress.kubernetes.io"
STACK = {"provisioner:stack": "demo"}


class Balancing(Kube):
    def __init__(self, sandbox: Sandbox):
        super().__init__(sandbox, nodes=1)
        self.elb = sandbox.client("elbv2")
        self.vpc = self.network.vpc
        install(self, default_tags="provisioner:stack=demo")
        self.image = push(sandbox)

    def balanced(self, namespace: str = "test", name: str = "web", **more: Any) -> str:
        """A Service of the controller's; its path."""
        wanted = service(type="LoadBalancer", loadBalancerClass="service.k8s.aws/nlb", **more)
        wanted["metadata"] = {"name": name, "annotations": {f"{NLB}-scheme": "internal"}}
        path = f"/api/v1/namespaces/{namespace}/services/{name}"
        assert self.api.apply(path, wanted)[0] in (200, 201)
        return path

    def ingress(self, name: str = "web", **annotations: str) -> str:
        self.api.apply(f"{self.ns}/services/web", service())
        backend = {"service": {"name": "web", "port": {"name": "http"}}}
        paths = [{"path": f"/{name}", "pathType": "Prefix", "backend": backend}]
        wanted = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {
                "name": name,
                "annotations": {f"{ALB}/{key.replace('__', '.').replace('_', '-')}": annotations[key] for key in annotations},
            },
            "spec": {"ingressClassName": "alb", "rules": [{"host": "a.example", "http": {"paths": paths}}]},
        }
        path = self.group("networking.k8s.io/v1", "ingresses", name)
        code, made = self.api.apply(path, wanted)
        assert code in (200, 201), made
        return path

    def balancers(self) -> list[dict[str, Any]]:
        return self.elb.describe_load_balancers()["LoadBalancers"]

    def one(self, kind: str = "network") -> dict[str, Any]:
        return until(lambda: next((one for one in self.balancers() if one["Type"] == kind), None), SLOW)

    def listener(self, balancer: dict[str, Any]) -> dict[str, Any]:
        arn = balancer["LoadBalancerArn"]
        return until(lambda: self.elb.describe_listeners(LoadBalancerArn=arn)["Listeners"], SLOW)[0]

    def tags(self, arn: str) -> dict[str, str]:
        return plain(self.elb.describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"])

    def groups(self) -> list[dict[str, Any]]:
        """Those of the controller."""
        wanted = [{"Name": "tag:elbv2.k8s.aws/cluster", "Values": ["demo"]}]
        return self.ec2.describe_security_groups(Filters=wanted)["SecurityGroups"]

    def of_cluster(self) -> dict[str, Any]:
        group = self.cluster()["resourcesVpcConfig"]["clusterSecurityGroupId"]
        return self.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]

    def interfaces(self) -> list[dict[str, Any]]:
        wanted = [{"Name": "requester-id", "Values": ["amazon-elb"]}]
        return self.ec2.describe_network_interfaces(Filters=wanted)["NetworkInterfaces"]

    def finalizers(self, path: str) -> list[str]:
        return self.api.get(path)["metadata"].get("finalizers", [])

    def hostname(self, path: str) -> str:
        found = until(lambda: self.api.get(path)["status"]["loadBalancer"].get("ingress"), SLOW)[0]
        return ":".join([found["hostname"], *(str(one["port"]) for one in found.get("ports", []))])

    def delete(self, path: str) -> None:
        assert self.api("DELETE", path)[0] in (200, 202)
        until(lambda: self.api("GET", path)[0] == 404, SLOW)

    def nothing_left(self) -> bool:
        api = self.sandbox.client("resourcegroupstaggingapi")
        filters = [{"Key": key, "Values": [value]} for key, value in STACK.items()]
        kinds = ["elasticloadbalancing", "ec2:security-group"]
        found = api.get_resources(TagFilters=filters, ResourceTypeFilters=kinds)["ResourceTagMappingList"]
        return not (found or self.balancers() or self.groups() or self.interfaces())


def plain(tags: list[dict[str, str]]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags}


def name_of(*parts: str, first: str = "test", second: str = "web") -> str:
    return f"k8s-{first}-{second}-{hashlib.sha256(''.join(parts).encode()).hexdigest()[:10]}"


def answer(where: str, host: str = "", path: str = "/") -> str | None:
    try:
        return fetch(where, path, timeout=1, host=host)["host"]
    except OSError:
        return None
