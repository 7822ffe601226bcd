"""botocore's service models, and which of them a signature means."""

from __future__ import annotations

from functools import cache

from botocore.exceptions import UnknownServiceError
from moto.core.model import OperationModel, ServiceModel
from moto.core.utils import get_service_model

# Where the name in the credential scope is not botocore's. Source: `signingName` in botocore's models.
SIGNING_NAMES = {
    "tagging": "resourcegroupstaggingapi",
    "monitoring": "cloudwatch",
    "servicequotas": "service-quotas",
    "elasticfilesystem": "efs",
    "elasticmapreduce": "emr",
    "states": "stepfunctions",
}

# One signing name, two services: their API versions tell them apart.
ELB_VERSION_2 = "2015-12-01"


@cache
def service_model(name: str) -> ServiceModel | None:
    """The model that moto's serialisers expect, or None for a service botocore does not know."""
    try:
        return get_service_model(name)
    except UnknownServiceError:
        return None


def service_name(signing_name: str, version: str | None) -> str:
    if signing_name == "elasticloadbalancing":
        return "elbv2" if version == ELB_VERSION_2 else "elb"
    return SIGNING_NAMES.get(signing_name, signing_name)


def input_members(operation: OperationModel) -> dict:
    return operation.input_shape.members if operation.input_shape else {}


READ_PREFIXES = ("Describe", "List", "Get", "Head", "BatchGet", "Query", "Scan", "Search", "Simulate")


def is_read(operation: str) -> bool:
    return operation.startswith(READ_PREFIXES)
