"""Attachments of transit gateways to VPCs: one network interface in each of their subnets, which hold VPC and subnets.

https://docs.aws.amazon.com/vpc/latest/tgw/how-transit-gateways-work.html; the interface is described as in
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/requester-managed-eni.html
"""

from __future__ import annotations

from typing import Any

from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.ec2.interfaces import create_managed
from provisioner_sandbox.services.ec2.requesters import TRANSIT_GATEWAY
from provisioner_sandbox.services.ec2.state import remove
from provisioner_sandbox.wire.message import Answer


def attached(backend: Any, vpc_id: str) -> list[Any]:
    """The attachments of a VPC that are not deleted."""
    return [one for one in backend.transit_gateway_attachments.values() if getattr(one, "vpc_id", "") == vpc_id]


def description(attachment_id: str) -> str:
    return f"Network Interface for Transit Gateway Attachment {attachment_id}"


@handles("ec2", "CreateTransitGatewayVpcAttachment")
def create(call: Call) -> Answer:
    backend = call.backend
    before = set(backend.transit_gateway_attachments)
    answer = call.forward()
    for attachment_id in set(backend.transit_gateway_attachments) - before:
        for subnet_id in backend.transit_gateway_attachments[attachment_id].subnet_ids:
            create_managed(backend, subnet_id, [], TRANSIT_GATEWAY, description(attachment_id))
    return answer


@handles("ec2", "DeleteTransitGatewayVpcAttachment")
def delete(call: Call) -> Answer:
    backend = call.backend
    answer = call.forward()
    if answer.ok:
        text = description(call.params["TransitGatewayAttachmentId"])
        for interface_id in [one.id for one in backend.enis.values() if one.description == text]:
            remove(backend, backend.enis, interface_id)
            backend.enis.pop(interface_id, None)
    return answer
