"""Service Quotas: AWS's defaults, and as applied values what the configuration sets.

https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/
"""

from __future__ import annotations

from typing import Any

from provisioner_sandbox import quotas
from provisioner_sandbox.backend import ACCOUNT
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.quotas import KNOWN, SERVICES, Quota
from provisioner_sandbox.registry import Call, handles

PAGE = 100


@handles("service-quotas", "GetServiceQuota")
def get(call: Call) -> dict:
    quota = find(call)
    if quota.code in quotas.ONLY_DEFAULT:
        raise missing("The request failed because the specified service quota does not exist.")
    return {"Quota": as_applied(call, quota)}


@handles("service-quotas", "GetAWSDefaultServiceQuota")
def get_default(call: Call) -> dict:
    quota = find(call)
    # The default belongs to no account, and its ARN names none.
    return {"Quota": document(quota, quota.default, arn(call, quota, ""))}


@handles("service-quotas", "ListServiceQuotas")
def list_all(call: Call) -> dict:
    params = call.params
    check_service(params["ServiceCode"])
    found = [
        quota
        for quota in sorted(KNOWN.values(), key=lambda quota: quota.code)
        if quota.service == params["ServiceCode"] and params.get("QuotaCode", quota.code) == quota.code
        and quota.code not in quotas.ONLY_DEFAULT
    ]
    start = position(params.get("NextToken"))
    end = start + params.get("MaxResults", PAGE)
    more = {"NextToken": str(end)} if len(found) > end else {}
    return {"Quotas": [as_applied(call, quota) for quota in found[start:end]], **more}


def position(token: str | None) -> int:
    """AWS's tokens are opaque, these count."""
    if token and not token.isdigit():
        raise AwsError("InvalidPaginationTokenException", "Invalid token was used.")
    return int(token or 0)


def find(call: Call) -> Quota:
    check_service(call.params["ServiceCode"])
    quota = KNOWN.get(call.params["QuotaCode"])
    if quota is None or quota.service != call.params["ServiceCode"]:
        raise missing("The request failed because the specified service quota does not exist.")
    return quota


def check_service(code: str) -> None:
    if code not in SERVICES:
        raise missing("The request failed because the specified service does not exist.")


def missing(message: str) -> AwsError:
    return AwsError("NoSuchResourceException", message)


def as_applied(call: Call, quota: Quota) -> dict[str, Any]:
    found = document(quota, quotas.applied(quota.code), arn(call, quota, ACCOUNT))
    return {**found, "QuotaAppliedAtLevel": "ACCOUNT"}


def arn(call: Call, quota: Quota, account: str) -> str:
    return f"arn:aws:servicequotas:{call.region}:{account}:{quota.service}/{quota.code}"


def document(quota: Quota, value: float, quota_arn: str) -> dict[str, Any]:
    return {
        "ServiceCode": quota.service,
        "ServiceName": SERVICES[quota.service],
        "QuotaArn": quota_arn,
        "QuotaCode": quota.code,
        "QuotaName": quota.name,
        "Value": float(value),
        "Unit": "None",
        "Adjustable": quota.adjustable,
        "GlobalQuota": False,
    }
