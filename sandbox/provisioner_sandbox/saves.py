"""The account as it was at one moment, so that a test can try several things on the same one.

Objects of Kubernetes are not part of it: a cluster that was deleted since then comes back empty.
"""

from __future__ import annotations

import copy
from typing import Any

from moto.core.base_backend import BackendDict
from moto.s3.models import FakeKey, FakeMultipart, s3_backends

from provisioner_sandbox import parameter_copies
from provisioner_sandbox.backend import ACCOUNT
from provisioner_sandbox.kube import planes
from provisioner_sandbox.services.eks.clusters import attach
from provisioner_sandbox.services.eks.state import eks_state
from provisioner_sandbox.tokens import Tokens

parameter_copies.install()


def used() -> list[BackendDict]:
    return [backends for backends in BackendDict._instances if ACCOUNT in backends]


def save(tokens: Tokens) -> Any:
    """A copy of everything: all services in one, since resources of one refer to those of another."""
    backends = used()
    tracked = [(model.instances_tracked, len(model.instances_tracked)) for model in (FakeKey, FakeMultipart)]
    copies = copy.deepcopy(([dict(of[ACCOUNT]) for of in backends], tokens))
    # A reset closes the content of all objects that moto tracks; this copy outlasts it.
    for instances, before in tracked:
        del instances[before:]
    return backends, copies


def restore(saved: Any) -> Tokens:
    """Puts a copy of what was saved into place, and returns the tokens of that time."""
    backends, copies = saved
    accounts, tokens = copy.deepcopy(copies)
    for of in used():
        dict.clear(of[ACCOUNT])
    # Which names of buckets are taken is not in a backend.
    s3_backends.bucket_accounts.clear()
    for of, regions in zip(backends, accounts):
        # After a reset this creates the account's dictionary.
        dict.update(of[ACCOUNT], regions)
        if of.service_name == "s3":
            for partition, one in regions.items():
                s3_backends.bucket_accounts.update({name: (partition, ACCOUNT) for name in one.buckets})
    clusters = {
        (region, name): cluster
        for of, regions in zip(backends, accounts)
        if of.service_name == "eks"
        for region in regions
        for name, cluster in eks_state(region).clusters.items()
    }
    for region, name in set(planes.PLANES) - set(clusters):
        planes.close(region, name)
    for (region, _), cluster in clusters.items():
        attach(region, cluster)
    return tokens
