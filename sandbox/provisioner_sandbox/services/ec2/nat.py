"""NAT gateways."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from provisioner_sandbox.clock import CLOCK
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.ec2.describe import Item, listing
from provisioner_sandbox.services.ec2.gateways import attached_to
from provisioner_sandbox.services.ec2.interfaces import managed_interface
from provisioner_sandbox.services.ec2.state import NAT_DELETING, ec2_state, nat_state

# AWS takes the request and fails later:
# https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-troubleshooting.html
NO_GATEWAY = "Gateway.NotAttached"


@handles("ec2", "CreateNatGateway")
def create(call: Call) -> dict:
    backend = call.backend
    public = call.params.get("ConnectivityType", "public") == "public"
    allocation_id = call.params.get("AllocationId")
    if public:
        check_address(backend, allocation_id)
    elif allocation_id:
        message = "AllocationId cannot be specified for a NAT gateway with private connectivity"
        raise AwsError("InvalidParameterCombination", message)
    result = call.moto({**call.params, "ConnectivityType": "public" if public else "private"})
    nat = backend.nat_gateways[result["NatGateway"]["NatGatewayId"]]
    managed_interface(backend, nat._eni, "nat_gateway", f"Interface for NAT Gateway {nat.id}")
    state = ec2_state(backend)
    state.begin(nat.id)
    if public and not attached_to(backend, nat.vpc_id):
        state.failures[nat.id] = (NO_GATEWAY, f"Network {nat.vpc_id} has no Internet gateway attached")
    return {"NatGateway": decorate(call, [result["NatGateway"]])[0], "ClientToken": call.params.get("ClientToken")}


def check_address(backend: Any, allocation_id: str | None) -> None:
    if not allocation_id:
        raise AwsError("MissingParameter", "The request must contain the parameter AllocationId")
    address = next((eip for eip in backend.addresses if eip.allocation_id == allocation_id), None)
    if not address:
        message = f"The elasticIp ID '{allocation_id}' does not exist"
        raise AwsError("InvalidElasticIpID.NotFound", message)
    if address.association_id:
        message = f"Elastic IP address [{allocation_id}] is already associated"
        raise AwsError("Resource.AlreadyAssociated", message)


@handles("ec2", "DeleteNatGateway")
def delete(call: Call) -> dict:
    nat_id = call.params["NatGatewayId"]
    if nat_id not in call.backend.nat_gateways:
        raise AwsError("NatGatewayNotFound", f"NatGateway {nat_id} was not found")
    ec2_state(call.backend).end(nat_id)
    return {"NatGatewayId": nat_id}


def decorate(call: Call, items: list[Item]) -> list[Item]:
    backend = call.backend
    state = ec2_state(backend)
    for item in items:
        nat = backend.nat_gateways[item["NatGatewayId"]]
        item["State"] = nat_state(backend, nat.id)
        item["ConnectivityType"] = nat.connectivity_type or "public"
        gone = state.gone_for(nat.id)
        if gone is not None and gone >= NAT_DELETING:
            ended_ago = (CLOCK.now() - state.deleted[nat.id]) - NAT_DELETING / CLOCK.scale
            item["DeleteTime"] = datetime.now(timezone.utc) - timedelta(seconds=ended_ago)
        if item["State"] == "failed":
            item["FailureCode"], item["FailureMessage"] = state.failures[nat.id]
    return items


listing(
    operation="DescribeNatGateways",
    result="NatGateways",
    id_member="NatGatewayId",
    ids_param="NatGatewayIds",
    not_found=("NatGatewayNotFound", "NatGateway {} was not found"),
    filters_param="Filter",
    decorate=decorate,
    filters={
        "nat-gateway-id": "NatGatewayId",
        "state": "State",
        "subnet-id": "SubnetId",
        "vpc-id": "VpcId",
    },
)
