"""A cluster for node groups, and short ways to make and change one of the name `g`."""

from __future__ import annotations

from typing import Any

from conftest import Sandbox
from eks import Eks
from network import tagged


class Groups(Eks):
    def __init__(self, sandbox: Sandbox, version: str = "1.34"):
        super().__init__(sandbox)
        self.active(accessConfig={"authenticationMode": "API"}, version=version)
        self.node_role = self.role("nodes", "ec2.amazonaws.com")

    def group_wanted(self, name: str = "g", **more: Any) -> dict[str, Any]:
        basis = {"subnets": self.subnets, "nodeRole": self.node_role, "amiType": "BOTTLEROCKET_x86_64"}
        wanted = {"nodegroupName": name, **basis, **more}
        return {member: value for member, value in wanted.items() if value is not None}

    def group(self, name: str = "g", **more: Any) -> dict[str, Any]:
        return self.call("create_nodegroup", **self.group_wanted(name, **more))["nodegroup"]

    def there(self, name: str = "g", **more: Any) -> dict[str, Any]:
        self.group(name, **more)
        return self.has("ACTIVE", lambda: self.described(name))

    def described(self, name: str = "g") -> dict[str, Any]:
        return self.call("describe_nodegroup", nodegroupName=name)["nodegroup"]

    def config(self, **change: Any) -> dict[str, Any]:
        return self.call("update_nodegroup_config", nodegroupName="g", **change)["update"]

    def version(self, **change: Any) -> dict[str, Any]:
        return self.call("update_nodegroup_version", nodegroupName="g", **change)["update"]

    def done(self) -> dict[str, Any]:
        return self.has("ACTIVE", self.described)

    def delete(self, name: str = "g") -> None:
        self.call("delete_nodegroup", nodegroupName=name)
        self.gone(lambda: self.described(name))

    def instances(self, *states: str) -> list[dict[str, Any]]:
        filters = [{"Name": "tag:eks:nodegroup-name", "Values": ["g"]}]
        filters.append({"Name": "instance-state-name", "Values": list(states or ("running",))})
        found = self.ec2.describe_instances(Filters=filters)["Reservations"]
        return [instance for reservation in found for instance in reservation["Instances"]]

    def names(self) -> list[str]:
        return self.call("list_nodegroups")["nodegroups"]

    def key(self, policy: str | None = None) -> str:
        more = {"Policy": policy} if policy else {}
        return self.sandbox.client("kms").create_key(**more)["KeyMetadata"]["Arn"]

    def template(self, **data: Any) -> dict[str, str]:
        made = self.ec2.create_launch_template(
            LaunchTemplateName="tpl",
            LaunchTemplateData={"MetadataOptions": {"HttpTokens": "required"}, **data},
            TagSpecifications=tagged("launch-template"),
        )
        return {"id": made["LaunchTemplate"]["LaunchTemplateId"], "version": "1"}


def sizes(low: int, high: int, desired: int) -> dict[str, Any]:
    return {"scalingConfig": {"minSize": low, "maxSize": high, "desiredSize": desired}}


def params(update: dict[str, Any]) -> dict[str, str]:
    return {param["type"]: param["value"] for param in update["params"]}


def tags_of(thing: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in thing["Tags"]}
