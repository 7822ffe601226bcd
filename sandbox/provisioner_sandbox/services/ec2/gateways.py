"""Internet gateways."""

from __future__ import annotations

from provisioner_sandbox import quotas
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.ec2.describe import listing
from provisioner_sandbox.services.ec2.state import nat_state
from provisioner_sandbox.services.ec2.vpc import dependency
from provisioner_sandbox.wire.message import Answer

GATEWAYS = listing(
    result="InternetGateways",
    id_member="InternetGatewayId",
    not_found=("InvalidInternetGatewayID.NotFound", "The internetGateway ID '{}' does not exist"),
    filters={
        "attachment.state": "Attachments[].State",
        "attachment.vpc-id": "Attachments[].VpcId",
        "internet-gateway-id": "InternetGatewayId",
        "owner-id": "OwnerId",
    },
)


@handles("ec2", "CreateInternetGateway")
def create(call: Call) -> Answer | dict:
    used, message = len(call.backend.internet_gateways), "The maximum number of internet gateways has been reached."
    quotas.check(quotas.INTERNET_GATEWAYS, used, "InternetGatewayLimitExceeded", message)
    return call.forward()


@handles("ec2", "AttachInternetGateway")
def attach(call: Call) -> Answer:
    backend, vpc_id = call.backend, call.params["VpcId"]
    gateway = find(backend, call.params["InternetGatewayId"])
    if gateway.vpc:
        message = f"resource {gateway.id} is already attached to network {gateway.vpc.id}"
        raise AwsError("Resource.AlreadyAssociated", message)
    if attached_to(backend, vpc_id):
        message = f"Network {vpc_id} already has an internet gateway attached"
        raise AwsError("InvalidParameterValue", message)
    return call.forward()


@handles("ec2", "DetachInternetGateway")
def detach(call: Call) -> Answer:
    backend, vpc_id = call.backend, call.params["VpcId"]
    gateway = find(backend, call.params["InternetGatewayId"])
    if not gateway.vpc or gateway.vpc.id != vpc_id:
        raise AwsError("Gateway.NotAttached", f"resource {gateway.id} is not attached to network {vpc_id}")
    if has_public_addresses(backend, vpc_id):
        message = (
            f"Network {vpc_id} has some mapped public address(es). "
            "Please unmap those public address(es) before detaching the gateway."
        )
        raise dependency(message)
    return call.forward()


@handles("ec2", "DeleteInternetGateway")
def delete(call: Call) -> Answer:
    gateway = find(call.backend, call.params["InternetGatewayId"])
    if gateway.vpc:
        raise dependency(f"The internetGateway '{gateway.id}' has dependencies and cannot be deleted.")
    answer = call.forward()
    call.backend.tags.pop(gateway.id, None)
    return answer


def find(backend, gateway_id: str):
    gateway = backend.internet_gateways.get(gateway_id)
    if not gateway:
        raise GATEWAYS.missing(gateway_id)
    return gateway


def attached_to(backend, vpc_id: str):
    return next((gw for gw in backend.internet_gateways.values() if gw.vpc and gw.vpc.id == vpc_id), None)


def has_public_addresses(backend, vpc_id: str) -> bool:
    public_nat = any(
        nat.vpc_id == vpc_id
        and nat.connectivity_type != "private"
        and nat_state(backend, nat.id) not in ("deleted", "failed")
        for nat in backend.nat_gateways.values()
    )
    return public_nat or any(eni.vpc_id == vpc_id and eni.public_ip for eni in backend.enis.values())
