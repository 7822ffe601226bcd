"""What a pod's spec asks of the cluster before a container can start: its environment and its volumes."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from decimal import ROUND_CEILING, Decimal
from typing import Any

from provisioner_sandbox.kube.kubelet.client import Api

REFERENCE = re.compile(r"\$(\$|\(([^()]*)\))")
SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['(.*)'\]")
UNITS: dict[str, int | Decimal] = {
    "m": Decimal("0.001"), "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50,
}  # fmt: skip


class Missing(Exception):
    """What the spec names is not there; worded as the kubelet words it."""


def quantity(text: str) -> Decimal:
    number = text.rstrip("".join(UNITS))
    return Decimal(number) * UNITS.get(text[len(number) :], 1)


def expand(text: str, known: dict[str, str]) -> str:
    """`$(NAME)` by what is known; what is unknown stays as it is, and `$$` is one dollar."""

    def value(found: re.Match[str]) -> str:
        return "$" if found[1] == "$" else known.get(found[2], found[0])

    return REFERENCE.sub(value, text)


class Spec:
    """Reads what pods refer to."""

    def __init__(self, api: Api, allocatable: dict[str, str]):
        self.api = api
        self.allocatable = allocatable

    def environment(self, pod: dict[str, Any], container: dict[str, Any], address: str, host: str) -> dict[str, str]:
        """Raises `Missing`."""
        # Where the API server can be reached from: pods have no network of their own.
        found = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(self.api.port)}
        namespace = pod["metadata"]["namespace"]
        for source in container.get("envFrom", []):
            kind = "configMapRef" if "configMapRef" in source else "secretRef"
            reference = source[kind]
            data = self.data(kind.removesuffix("Ref"), namespace, reference)
            found.update({source.get("prefix", "") + name: value for name, value in data.items()})
        fields = self.fields(pod, address, host)
        for variable in container.get("env", []):
            value = self.value(variable, pod, container, fields, found)
            if value is not None:
                found[variable["name"]] = value
        return found

    def value(
        self,
        variable: dict[str, Any],
        pod: dict[str, Any],
        container: dict[str, Any],
        fields: Callable[[str], str],
        known: dict[str, str],
    ) -> str | None:
        source = variable.get("valueFrom")
        if source is None:
            return expand(variable.get("value", ""), known)
        if "fieldRef" in source:
            path: str = source["fieldRef"]["fieldPath"]
            return fields(path)
        if "resourceFieldRef" in source:
            return self.resource(source["resourceFieldRef"], pod, container)
        kind = "configMapKeyRef" if "configMapKeyRef" in source else "secretKeyRef"
        if kind not in source:
            raise Missing(f"env {variable['name']}: valueFrom {', '.join(source)} is not known to this kubelet")
        return self.key(kind.removesuffix("KeyRef"), pod["metadata"]["namespace"], source[kind])

    def data(self, kind: str, namespace: str, reference: dict[str, Any]) -> dict[str, str]:
        """`kind` is `configMap` or `secret`."""
        name = reference.get("name", "")
        thing = self.api.get(f"/api/v1/namespaces/{namespace}/{kind.lower()}s/{name}")
        if thing is None:
            if reference.get("optional"):
                return {}
            raise Missing(f'{kind.lower()} "{name}" not found')
        data: dict[str, str] = thing.get("data") or {}
        if kind == "secret":
            return {key: base64.b64decode(value).decode("utf-8", "replace") for key, value in data.items()}
        return data

    def key(self, kind: str, namespace: str, reference: dict[str, Any]) -> str | None:
        data = self.data(kind, namespace, reference)
        if reference["key"] in data:
            return data[reference["key"]]
        if reference.get("optional"):
            return None
        proper = {"configMap": "ConfigMap", "secret": "Secret"}[kind]
        raise Missing(f"couldn't find key {reference['key']} in {proper} {namespace}/{reference['name']}")

    def fields(self, pod: dict[str, Any], address: str, host: str) -> Callable[[str], str]:
        metadata, spec = pod["metadata"], pod["spec"]
        plain = {
            "metadata.name": metadata["name"],
            "metadata.namespace": metadata["namespace"],
            "metadata.uid": metadata["uid"],
            "spec.nodeName": spec.get("nodeName", ""),
            "spec.serviceAccountName": spec.get("serviceAccountName", ""),
            "status.hostIP": host,
            "status.hostIPs": host,
            "status.podIP": address,
            "status.podIPs": address,
        }

        def field(path: str) -> str:
            if path in plain:
                known: str = plain[path]
                return known
            inside = SUBSCRIPT.fullmatch(path)
            if inside is None:
                raise Missing(f"fieldPath {path} is not known to this kubelet")
            found: str = metadata.get(inside[1], {}).get(inside[2], "")
            return found

        return field

    def resource(self, reference: dict[str, Any], pod: dict[str, Any], container: dict[str, Any]) -> str:
        name = reference.get("containerName", container["name"])
        everyone = pod["spec"].get("initContainers", []) + pod["spec"]["containers"]
        owner = next((other for other in everyone if other["name"] == name), container)
        what, _, resource = reference["resource"].partition(".")
        # A limit that is not set is what the node has.
        otherwise = self.allocatable.get(resource, "0") if what == "limits" else "0"
        amount: str = owner.get("resources", {}).get(what, {}).get(resource, otherwise)
        divisor = quantity(str(reference.get("divisor", "1"))) or Decimal(1)
        return str((quantity(amount) / divisor).to_integral_value(ROUND_CEILING))

    def check_volumes(self, pod: dict[str, Any]) -> None:
        """Raises `Missing` for the first volume that cannot be filled."""
        namespace = pod["metadata"]["namespace"]
        for volume in pod["spec"].get("volumes", []):
            try:
                for kind, reference in sources(volume):
                    data = self.data(kind, namespace, reference)
                    for item in reference.get("items", []):
                        if item["key"] not in data and not reference.get("optional"):
                            raise Missing(f"references non-existent {kind.lower()} key: {item['key']}")
            except Missing as error:
                raise Missing(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}') from error


def sources(volume: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Config maps and secrets that a volume is made of."""
    if "configMap" in volume:
        return [("configMap", volume["configMap"])]
    if "secret" in volume:
        secret = volume["secret"]
        return [("secret", {**secret, "name": secret.get("secretName", "")})]
    projected = volume.get("projected", {}).get("sources", [])
    return [(kind, source[kind]) for source in projected for kind in ("configMap", "secret") if kind in source]
