"""Pod Security: what the levels baseline and restricted demand, as far as a pod's spec says it.

https://kubernetes.io/docs/concepts/security/pod-security-standards/; wording: k8s.io/pod-security-admission/policy.
"""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]
PREFIX = "pod-security.kubernetes.io/"
VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
    "image",
}
BASELINE_CAPABILITIES = {
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
    "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
}  # fmt: skip
PROFILES = ("RuntimeDefault", "Localhost")


def level(namespace: Object | None, mode: str) -> tuple[str, str]:
    """`enforce`, `warn` or `audit` of a namespace: the level and its version."""
    labels = ((namespace or {}).get("metadata") or {}).get("labels") or {}
    # Who enforces a level and says nothing of warnings is warned of it where pods are only described.
    named = mode if PREFIX + mode in labels else "enforce"
    return labels.get(PREFIX + named, "privileged"), labels.get(f"{PREFIX}{named}-version", "latest")


def violations(spec: Object, wanted: str) -> str:
    """What is wrong, or nothing."""
    if wanted not in ("baseline", "restricted"):
        return ""
    found = baseline(spec, wanted)
    if wanted == "restricted":
        found = [one for one in found if not one.startswith("non-default capabilities")] + restricted(spec)
    return ", ".join(found)


def containers(spec: Object) -> list[Object]:
    return [*spec.get("initContainers", []), *spec.get("containers", []), *spec.get("ephemeralContainers", [])]


def named(names: list[str]) -> str:
    listed = ", ".join(f'"{name}"' for name in names)
    return f"container{'s' if len(names) > 1 else ''} {listed}"


def context(one: Object) -> Object:
    return one.get("securityContext") or {}


def baseline(spec: Object, wanted: str) -> list[str]:
    found: list[str] = []
    host = [name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    if host:
        found.append(f"host namespaces ({', '.join(f'{name}=true' for name in host)})")
    privileged = [one["name"] for one in containers(spec) if context(one).get("privileged")]
    if privileged:
        found.append(f"privileged ({named(privileged)} must not set securityContext.privileged=true)")
    added = [
        one["name"]
        for one in containers(spec)
        if set(context(one).get("capabilities", {}).get("add", [])) - BASELINE_CAPABILITIES
    ]
    if added:
        found.append(f"non-default capabilities ({named(added)} must not include more than the default set)")
    paths = [volume["name"] for volume in spec.get("volumes", []) if "hostPath" in volume]
    if paths and wanted == "baseline":
        listed = ", ".join(f'"{name}"' for name in paths)
        found.append(f"hostPath volumes (volume{'s' if len(paths) > 1 else ''} {listed})")
    ports = [one["name"] for one in containers(spec) if any(port.get("hostPort") for port in one.get("ports", []))]
    if ports:
        found.append(f"hostPort ({named(ports)} uses hostPorts)")
    return found


def restricted(spec: Object) -> list[str]:
    found: list[str] = []
    escalating = [one["name"] for one in containers(spec) if context(one).get("allowPrivilegeEscalation") is not False]
    if escalating:
        found.append(
            f"allowPrivilegeEscalation != false ({named(escalating)} must set "
            "securityContext.allowPrivilegeEscalation=false)"
        )
    keeping = [
        one["name"] for one in containers(spec) if "ALL" not in context(one).get("capabilities", {}).get("drop", [])
    ]
    adding = [
        one["name"]
        for one in containers(spec)
        if set(context(one).get("capabilities", {}).get("add", [])) - {"NET_BIND_SERVICE"}
    ]
    wrong = []
    if keeping:
        wrong.append(f'{named(keeping)} must set securityContext.capabilities.drop=["ALL"]')
    if adding:
        wrong.append(
            f"{named(adding)} must not include capabilities other than NET_BIND_SERVICE in securityContext.capabilities.add"
        )
    if wrong:
        found.append(f"unrestricted capabilities ({'; '.join(wrong)})")
    kinds = {
        volume["name"]: next((kind for kind in volume if kind != "name"), "") for volume in spec.get("volumes", [])
    }
    bad = {name: kind for name, kind in kinds.items() if kind not in VOLUMES and kind}
    if bad:
        many = "s" if len(bad) > 1 else ""
        names, types = (", ".join(f'"{one}"' for one in part) for part in (bad, dict.fromkeys(bad.values())))
        found.append(
            f"restricted volume types (volume{many} {names} use{'' if many else 's'} restricted volume type{many} {types})"
        )
    found += not_root(spec) + profile(spec)
    return found


def not_root(spec: Object) -> list[str]:
    pod = context(spec)
    found: list[str] = []
    explicit = [one["name"] for one in containers(spec) if context(one).get("runAsNonRoot") is False]
    silent = [one["name"] for one in containers(spec) if context(one).get("runAsNonRoot") is None]
    if pod.get("runAsNonRoot") is False:
        found.append("pod must not set securityContext.runAsNonRoot=false")
    if explicit:
        found.append(f"{named(explicit)} must not set securityContext.runAsNonRoot=false")
    if not found and silent and not pod.get("runAsNonRoot"):
        found.append(f"pod or {named(silent)} must set securityContext.runAsNonRoot=true")
    said = [f"runAsNonRoot != true ({'; '.join(found)})"] if found else []
    root = [one["name"] for one in containers(spec) if context(one).get("runAsUser") == 0]
    if pod.get("runAsUser") == 0 or root:
        who = "pod" if pod.get("runAsUser") == 0 else named(root)
        said.append(f"runAsUser=0 ({who} must not set runAsUser=0)")
    return said


def profile(spec: Object) -> list[str]:
    def kind(one: Object) -> str | None:
        return (context(one).get("seccompProfile") or {}).get("type")

    pod = kind(spec)
    bad = [one["name"] for one in containers(spec) if kind(one) not in (None, *PROFILES)]
    silent = [one["name"] for one in containers(spec) if kind(one) is None]
    if pod not in (None, *PROFILES):
        return [f'seccompProfile (pod must not set securityContext.seccompProfile.type to "{pod}")']
    if bad:
        return [f'seccompProfile ({named(bad)} must not set securityContext.seccompProfile.type to "Unconfined")']
    if silent and pod is None:
        return [
            f'seccompProfile (pod or {named(silent)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'
        ]
    return []
