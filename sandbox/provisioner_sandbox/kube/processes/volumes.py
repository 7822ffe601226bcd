"""What a pod's volumes are made of: folders of its own, filled where the spec says with what."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

from provisioner_sandbox.kube.kubelet.client import Api
from provisioner_sandbox.kube.kubelet.runner import Refused
from provisioner_sandbox.kube.kubelet.spec import Missing, Spec

KNOWN = "emptyDir, configMap, secret, downwardAPI, projected and persistentVolumeClaim"


class Volumes:
    def __init__(self, api: Api, spec: Spec, token: Any):
        self.api = api
        self.spec = spec
        # A token of a pod's service account for an audience: (pod, audience, seconds) to text.
        self.token = token

    def fill(self, pod: dict[str, Any], folder: Path, address: str, host: str) -> dict[str, tuple[Path, bool]]:
        """The folder of each volume, and whether it may be written to. Raises `Refused` and `Missing`."""
        found = {}
        group = (pod["spec"].get("securityContext") or {}).get("fsGroup")
        for volume in pod["spec"].get("volumes", []):
            path = folder / volume["name"]
            path.mkdir(parents=True, exist_ok=True)
            if "persistentVolumeClaim" in volume:
                given = volume["persistentVolumeClaim"]
                # Beside the pods' folders, since it outlives them.
                path = folder.parent.parent / "claims" / self.volume_of(pod, given["claimName"])
                path.mkdir(parents=True, exist_ok=True)
            if "emptyDir" in volume or "persistentVolumeClaim" in volume:
                # As in a kubelet, for all; and of the pod's group where it has one.
                path.chmod(0o2777 if group is not None else 0o777)
                if group is not None and os.geteuid() == 0:
                    os.chown(path, -1, group)
                found[volume["name"]] = (path, not volume.get("persistentVolumeClaim", {}).get("readOnly"))
                continue
            for name, data in self.files(pod, volume, address, host).items():
                target = path / name
                if not target.resolve().is_relative_to(path.resolve()):
                    raise Refused("FailedMount", f"volume {volume['name']}: {name} leads out of it")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
                target.chmod(0o644)
            found[volume["name"]] = (path, False)
        return found

    def volume_of(self, pod: dict[str, Any], claim: str) -> str:
        """Returns the name of the PersistentVolume that a claim is bound to."""
        namespace = pod["metadata"]["namespace"]
        found = self.api.get(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{claim}")
        if found is None:
            raise Missing(f'persistentvolumeclaim "{claim}" not found')
        if found.get("status", {}).get("phase") != "Bound":
            raise Missing(f'persistentvolumeclaim "{claim}" is not bound to a volume')
        return str(found["spec"]["volumeName"])

    def files(self, pod: dict[str, Any], volume: dict[str, Any], address: str, host: str) -> dict[str, bytes]:
        kinds = [kind for kind in ("configMap", "secret", "downwardAPI") if kind in volume]
        if kinds:
            return self.source(pod, kinds[0], volume[kinds[0]], address, host)
        if "projected" in volume:
            made: dict[str, bytes] = {}
            for source in volume["projected"].get("sources", []):
                kind = next(iter(source))
                if kind == "serviceAccountToken":
                    wanted = source[kind]
                    token = self.token(pod, wanted.get("audience", ""), wanted.get("expirationSeconds", 3600))
                    made[wanted["path"]] = token.encode()
                else:
                    made |= self.source(pod, kind, source[kind], address, host)
            return made
        kind = next((one for one in volume if one != "name"), "")
        text = f"volume {volume['name']}: the sandbox does not support {kind}, only {KNOWN}"
        raise Refused("FailedMount", text)

    def source(
        self, pod: dict[str, Any], kind: str, given: dict[str, Any], address: str, host: str
    ) -> dict[str, bytes]:
        if kind == "downwardAPI":
            field = self.spec.fields(pod, address, host)
            return {
                one["path"]: field(one["fieldRef"]["fieldPath"]).encode()
                for one in given.get("items", [])
                if "fieldRef" in one
            }
        if kind not in ("configMap", "secret"):
            raise Refused("FailedMount", f"the sandbox does not support volumes of the type {kind}")
        name = given.get("secretName") or given.get("name", "")
        namespace = pod["metadata"]["namespace"]
        thing = self.api.get(f"/api/v1/namespaces/{namespace}/{kind.lower()}s/{name}")
        if thing is None:
            if given.get("optional"):
                return {}
            raise Missing(f'{kind.lower()} "{name}" not found')
        data = thing.get("data") or {}
        plain = {key: value.encode() if kind == "configMap" else base64.b64decode(value) for key, value in data.items()}
        plain |= {key: base64.b64decode(value) for key, value in (thing.get("binaryData") or {}).items()}
        if not given.get("items"):
            return plain
        return {one["path"]: plain[one["key"]] for one in given["items"] if one["key"] in plain}
