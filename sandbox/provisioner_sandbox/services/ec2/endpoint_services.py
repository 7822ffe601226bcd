"""Which services endpoints can be made for, in the region: the ones that `CreateVpcEndpoint` takes."""

from __future__ import annotations

from typing import Any

from moto.ec2.models.vpcs import AWS_ENDPOINT_SERVICES

from provisioner_sandbox.endpoint_zones import has
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.ec2.describe import Item, Listing, select

# https://docs.aws.amazon.com/vpc/latest/privatelink/gateway-endpoints.html
GATEWAY_SERVICES = ("s3", "dynamodb")

SERVICES = Listing(
    operation="DescribeVpcEndpointServices",
    result="ServiceDetails",
    id_member="ServiceId",
    ids_param="ServiceNames",
    not_found=("InvalidServiceName", "The Vpc Endpoint Service '{}' does not exist"),
    filters={
        "owner": "Owner",
        "service-name": "ServiceName",
        "service-region": "ServiceRegion",
        "service-type": "ServiceType[].ServiceType",
        "supported-ip-address-types": "SupportedIpAddressTypes",
    },
)


def known(region: str, name: str) -> bool:
    prefix = f"com.amazonaws.{region}."
    short = name.removeprefix(prefix)
    return name.startswith(prefix) and (short in AWS_ENDPOINT_SERVICES or short in GATEWAY_SERVICES)


def types(short: str) -> list[str]:
    gateway = ["Gateway"] if short in GATEWAY_SERVICES else []
    return gateway + (["Interface"] if short in AWS_ENDPOINT_SERVICES or short in GATEWAY_SERVICES else [])


def details(region: str, zones: list[str]) -> list[Item]:
    return [
        {
            "ServiceId": f"vpce-svc-{short}-{kind.lower()}",
            "ServiceName": f"com.amazonaws.{region}.{short}",
            "ServiceType": [{"ServiceType": kind}],
            "ServiceRegion": region,
            "AvailabilityZones": [
                zone for zone in zones if kind == "Gateway" or has(f"com.amazonaws.{region}.{short}", zone)
            ],
            "Owner": "amazon",
            "AcceptanceRequired": False,
            "ManagesVpcEndpoints": False,
            "VpcEndpointPolicySupported": True,
            "SupportedIpAddressTypes": ["ipv4"],
            "Tags": [],
        }
        for short in sorted({*AWS_ENDPOINT_SERVICES, *GATEWAY_SERVICES})
        for kind in types(short)
    ]


@handles("ec2", "DescribeVpcEndpointServices")
def describe(call: Call) -> dict[str, Any]:
    """By hand, for its answer has two lists, and moto's asks every backend it has."""
    wanted = call.params.get("ServiceNames") or []
    for name in wanted:
        if not known(call.region, name):
            raise SERVICES.missing(name)
    zones = [zone.name for zone in call.backend.describe_availability_zones()]
    items = [item for item in details(call.region, zones) if not wanted or item["ServiceName"] in wanted]
    page, token = select(call, SERVICES, items)
    names = sorted({item["ServiceName"] for item in page})
    return {"ServiceNames": names, "ServiceDetails": page, "NextToken": token}
