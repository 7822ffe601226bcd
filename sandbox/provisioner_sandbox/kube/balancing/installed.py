"""The controller's own Deployment: whether it runs, and with which flags.

Source: pkg/config/controller_config.go of the controller.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]
IMAGE = "aws-load-balancer-controller"


@dataclass(frozen=True)
class Installed:
    cluster: str
    vpc: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    target_type: str = "instance"
    scheme: str = "internal"
    service_class: str = "service.k8s.aws/nlb"
    ingress_class: str = "alb"


def installed(deployments: list[Object]) -> Installed | None:
    """Returns its settings; None if no pod of it is ready, or if it has no cluster name, without which it exits."""
    for deployment in deployments:
        if deployment["metadata"].get("deletionTimestamp") or deployment["spec"].get("replicas") == 0:
            continue
        if not deployment.get("status", {}).get("readyReplicas"):
            continue
        for container in deployment["spec"]["template"]["spec"]["containers"]:
            if is_controller(container.get("image", "")):
                found = flags(container.get("args") or [])
                if found.get("cluster-name"):
                    return read(found)
    return None


def is_controller(image: str) -> bool:
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0] == IMAGE


def flags(args: list[str]) -> dict[str, str]:
    """`--name=value` and `--name value`."""
    found: dict[str, str] = {}
    name = ""
    for arg in args:
        if arg.startswith("--"):
            name, _, value = arg[2:].partition("=")
            found[name] = value
        elif name:
            found[name] = arg
    return found


def read(found: dict[str, str]) -> Installed:
    pairs = (part.partition("=") for part in found.get("default-tags", "").split(",") if part)
    return Installed(
        found["cluster-name"],
        found.get("aws-vpc-id", ""),
        {key: value for key, _, value in pairs},
        found.get("default-target-type", Installed.target_type),
        found.get("default-load-balancer-scheme", Installed.scheme),
        found.get("load-balancer-class", Installed.service_class),
        found.get("ingress-class") or Installed.ingress_class,
    )
