"""What kinds there are, and under which paths."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from provisioner_sandbox.kube.schema import Node, of_kind

VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
STATUS, SCALE, EVICTION = "status", "scale", "eviction"


@dataclass(frozen=True)
class Resource:
    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool
    subresources: tuple[str, ...] = ()
    short: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    # Whether `metadata.generation` counts its changes.
    counted: bool = False
    verbs: tuple[str, ...] = tuple(VERBS)
    # A custom one has its shape from its definition.
    custom: Any = field(default=None, compare=False)

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def singular(self) -> str:
        return self.kind.lower() if self.custom is None else self.custom["names"].get("singular", self.kind.lower())

    @property
    def node(self) -> Node:
        return of_kind(self.api_version, self.kind) if self.custom is None else self.custom["node"]

    @property
    def key(self) -> tuple[str, str]:
        """Under which objects are kept; their version is one way to see them."""
        return self.group, self.plural

    def path(self, namespace: str = "", name: str = "") -> str:
        base = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        within = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{base}{within}/{self.plural}" + (f"/{name}" if name else "")


def namespaced(group: str, version: str, kind: str, plural: str, *subresources: str, **more: Any) -> Resource:
    return Resource(group, version, kind, plural, True, subresources, **more)


def of_cluster(group: str, version: str, kind: str, plural: str, *subresources: str, **more: Any) -> Resource:
    return Resource(group, version, kind, plural, False, subresources, **more)


ALL = ("all",)
ADMISSION, RBAC = "admissionregistration.k8s.io", "rbac.authorization.k8s.io"
ASKED = ("create",)

PODS = namespaced("", "v1", "Pod", "pods", STATUS, "log", EVICTION, short=("po",), categories=ALL, counted=True)
NODES = of_cluster("", "v1", "Node", "nodes", STATUS, short=("no",))
SERVICES = namespaced("", "v1", "Service", "services", STATUS, short=("svc",), categories=ALL)
NAMESPACES = of_cluster(
    "", "v1", "Namespace", "namespaces", STATUS, "finalize", short=("ns",),
    verbs=tuple(verb for verb in VERBS if verb != "deletecollection"),
)  # fmt: skip
SERVICE_ACCOUNTS = namespaced("", "v1", "ServiceAccount", "serviceaccounts", short=("sa",))
CONFIG_MAPS = namespaced("", "v1", "ConfigMap", "configmaps", short=("cm",))
SECRETS = namespaced("", "v1", "Secret", "secrets")
EVENTS = namespaced("", "v1", "Event", "events", short=("ev",))
QUOTAS = namespaced("", "v1", "ResourceQuota", "resourcequotas", STATUS, short=("quota",))
DEPLOYMENTS = namespaced(
    "apps", "v1", "Deployment", "deployments", STATUS, SCALE, short=("deploy",), categories=ALL, counted=True
)
REPLICA_SETS = namespaced(
    "apps", "v1", "ReplicaSet", "replicasets", STATUS, SCALE, short=("rs",), categories=ALL, counted=True
)
JOBS = namespaced("batch", "v1", "Job", "jobs", STATUS, categories=ALL, counted=True)
CRON_JOBS = namespaced("batch", "v1", "CronJob", "cronjobs", STATUS, short=("cj",), categories=ALL, counted=True)
INGRESSES = namespaced("networking.k8s.io", "v1", "Ingress", "ingresses", STATUS, short=("ing",), counted=True)
INGRESS_CLASSES = of_cluster("networking.k8s.io", "v1", "IngressClass", "ingressclasses", counted=True)
NETWORK_POLICIES = namespaced(
    "networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", short=("netpol",), counted=True
)
DISRUPTION_BUDGETS = namespaced(
    "policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", STATUS, short=("pdb",), counted=True
)
AUTOSCALERS = namespaced(
    "autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", STATUS, short=("hpa",), categories=ALL
)
ENDPOINT_SLICES = namespaced("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", counted=True)
ROLES = namespaced(RBAC, "v1", "Role", "roles")
ROLE_BINDINGS = namespaced(RBAC, "v1", "RoleBinding", "rolebindings")
CLUSTER_ROLES = of_cluster(RBAC, "v1", "ClusterRole", "clusterroles")
CLUSTER_ROLE_BINDINGS = of_cluster(RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings")
DEFINITIONS = of_cluster(
    "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", STATUS,
    short=("crd", "crds"), counted=True,
)  # fmt: skip
MUTATING = of_cluster(ADMISSION, "v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", counted=True)
VALIDATING = of_cluster(
    ADMISSION, "v1", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations", counted=True
)
LEASES = namespaced("coordination.k8s.io", "v1", "Lease", "leases")
VOLUMES = of_cluster("", "v1", "PersistentVolume", "persistentvolumes", STATUS, short=("pv",))
CLAIMS = namespaced("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", STATUS, short=("pvc",))
STORAGE_CLASSES = of_cluster("storage.k8s.io", "v1", "StorageClass", "storageclasses", short=("sc",))
ACCESS_REVIEWS = of_cluster(
    "authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", verbs=ASKED
)
SUBJECT_REVIEWS = of_cluster("authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews", verbs=ASKED)

BUILT_IN = [value for value in globals().values() if isinstance(value, Resource)]


class Catalogue:
    """All that are known at a moment: the built-in ones, and those that definitions add."""

    def __init__(self) -> None:
        self.custom: dict[str, list[Resource]] = {}

    def all(self) -> list[Resource]:
        return BUILT_IN + [resource for resources in self.custom.values() for resource in resources]

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        return next((r for r in self.all() if (r.group, r.version, r.plural) == (group, version, plural)), None)

    def of_kind(self, api_version: str, kind: str) -> Resource | None:
        return next((r for r in self.all() if (r.api_version, r.kind) == (api_version, kind)), None)

    def groups(self) -> dict[str, list[str]]:
        """Their versions, the preferred one first."""
        found: dict[str, list[str]] = {}
        for resource in self.all():
            versions = found.setdefault(resource.group, [])
            if resource.version not in versions:
                versions.append(resource.version)
        return found
