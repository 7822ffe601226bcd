"""Availability zones, with the fields that moto leaves out."""

from __future__ import annotations

from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.registry import Call
from provisioner_sandbox.services.ec2.describe import Item, listing


def zones(call: Call) -> list[Item]:
    wanted = {
        "ZoneName": call.params.get("ZoneNames"),
        "ZoneId": call.params.get("ZoneIds"),
    }
    items = call.moto({})["AvailabilityZones"]
    for item in items:
        item["OptInStatus"] = "opt-in-not-required"
        item["GroupName"] = f"{item['RegionName']}-zg-1"
        item["NetworkBorderGroup"] = item["RegionName"]
    for member, values in wanted.items():
        if values:
            check_known(member, values, items)
            items = [item for item in items if item[member] in values]
    return items


def check_known(member: str, values: list[str], items: list[Item]) -> None:
    known = {item[member] for item in items}
    unknown = [value for value in values if value not in known]
    if unknown:
        raise AwsError("InvalidParameterValue", f"Invalid availability zone: [{', '.join(unknown)}]")


listing(
    result="AvailabilityZones",
    id_member="ZoneName",
    ids_param="",
    not_found=("InvalidParameterValue", "Invalid availability zone: [{}]"),
    source=zones,
    taggable=False,
    filters={
        "group-long-name": "GroupLongName",
        "group-name": "GroupName",
        "message": "Messages[].Message",
        "opt-in-status": "OptInStatus",
        "parent-zone-id": "ParentZoneId",
        "parent-zone-name": "ParentZoneName",
        "region-name": "RegionName",
        "state": "State",
        "zone-id": "ZoneId",
        "zone-name": "ZoneName",
        "zone-type": "ZoneType",
    },
)
