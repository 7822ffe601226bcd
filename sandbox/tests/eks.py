"""EKS as its tests need it: roles, a network, and a cluster in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from conftest import Sandbox, until
from network import Network

if TYPE_CHECKING:
    from typing import Self

POLICY = "arn:aws:iam::aws:policy/"
TAGS = {"provisioner:stack": "demo"}
# At the first nothing ends while a test looks at it; at the second everything is over at once.
SLOW, FAST = 0.1, 50_000


def trust(service: str, *actions: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": list(actions or ["sts:AssumeRole"])}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def trusted_by_account(**condition: Any) -> str:
    """The trust policy of a role that callers of the account may assume."""
    root = {"AWS": "arn:aws:iam::123456789012:root"}
    statement = {"Effect": "Allow", "Principal": root, "Action": "sts:AssumeRole", **condition}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


class Eks:
    """The client, the parts that it takes to make a cluster, and the hand on the clock."""

    def __init__(self, sandbox: Sandbox, name: str = "demo", **config: Any):
        self.sandbox = sandbox
        self.client = sandbox.client("eks")
        self.ec2 = sandbox.client("ec2")
        self.iam = sandbox.client("iam")
        self.name = name
        self.health: list[dict[str, Any]] = []
        # What of the sandbox's configuration stays through all of it.
        self.settings = config
        self.slow()
        self.network = Network(self.ec2)
        self.network.way_out()
        self.subnets = self.network.subnets
        self.cluster_role = self.role("cluster", "eks.amazonaws.com", policies=["AmazonEKSClusterPolicy"])

    @classmethod
    def again(cls, sandbox: Sandbox, **more: Any) -> Self:
        """As the constructor, in an empty account, and without its calls from the second time on."""
        made = sandbox.again(f"{cls.__module__}.{cls.__qualname__} {more}", lambda: cls(sandbox, **more))
        made.slow()
        return made

    def role(self, name: str, service: str, *actions: str, policies: list[str] | None = None) -> str:
        made = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(service, *actions))
        for policy in policies or []:
            self.iam.attach_role_policy(RoleName=name, PolicyArn=POLICY + policy)
        return made["Role"]["Arn"]

    def slow(self) -> None:
        self.sandbox.configure(timeScale=SLOW, health=self.health, **self.settings)

    def troubled(self, *entries: dict[str, Any]) -> None:
        """What is wrong from now on."""
        self.health = list(entries)
        self.slow()

    def wait(self, condition: Callable[[], Any]) -> Any:
        """Lets AWS's time fly until the condition holds, and then nearly stand still."""
        self.sandbox.configure(timeScale=FAST, health=self.health, **self.settings)
        try:
            return until(condition)
        finally:
            self.slow()

    def wanted(self, **more: Any) -> dict[str, Any]:
        """What creates the cluster; `network` is laid over its resourcesVpcConfig."""
        network = {"subnetIds": self.subnets[:2], **more.pop("network", {})}
        return {"name": self.name, "roleArn": self.cluster_role, "resourcesVpcConfig": network, **more}

    def create(self, **more: Any) -> dict[str, Any]:
        return self.client.create_cluster(**self.wanted(**more))["cluster"]

    def active(self, **more: Any) -> dict[str, Any]:
        """A cluster that is there."""
        self.create(**more)
        return self.has("ACTIVE", self.cluster)

    def cluster(self) -> dict[str, Any]:
        return self.client.describe_cluster(name=self.name)["cluster"]

    def has(self, status: str, describe: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        return self.wait(lambda: (found := describe())["status"] == status and found)

    def gone(self, describe: Callable[[], dict[str, Any]]) -> None:
        def is_gone() -> bool:
            try:
                describe()
            except self.client.exceptions.ResourceNotFoundException:
                return True
            return False

        assert self.wait(is_gone)

    def call(self, operation: str, **params: Any) -> dict[str, Any]:
        """An operation on the cluster, under the name by which most call it."""
        return getattr(self.client, operation)(clusterName=self.name, **params)

    def resources(self, kind: str) -> list[str]:
        """The ARNs of this kind that the tagging API lists for the stack."""
        api = self.sandbox.client("resourcegroupstaggingapi")
        filters = [{"Key": key, "Values": [value]} for key, value in TAGS.items()]
        found = api.get_resources(ResourceTypeFilters=[kind], TagFilters=filters)["ResourceTagMappingList"]
        return [resource["ResourceARN"] for resource in found]
