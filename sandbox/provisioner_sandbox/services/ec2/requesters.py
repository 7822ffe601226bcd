"""Who made a network interface: the `RequesterId`, and how AWS's own are attached.

"The alias or AWS account ID of the principal or service that created the network interface":
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/requester-managed-eni.html
The id of an endpoint's is that page's example. AWS documents no others, which differ between regions: a NAT gateway's is
from an item of AWS Config, and EKS's from an output of `describe-network-interfaces`, that users published. A service that
acts with a role is told by the role's id and the name of the session.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

AWS_OWNER = "amazon-aws"
EKS = "339713109942"
BALANCER = "amazon-elb"


@dataclass(frozen=True)
class Requester:
    id: str
    # Whether AWS alone may change the interface.
    managed: bool
    # InterfaceType: most services have none of their own.
    kind: str = "interface"
    # InstanceOwnerId of the attachment, and the beginning of its id.
    owner: str = AWS_OWNER
    attachment: str = "ela-attach"
    delete_on_termination: bool = False
    # IpOwnerId of public addresses that are not the account's own; empty: as of any interface.
    address_owner: str = ""


NAT_GATEWAY = Requester("036872051663", True, "nat_gateway")
ENDPOINT = Requester("727180483921", True, "vpc_endpoint")
CONTROL_PLANE = Requester(EKS, True, owner=EKS, attachment="eni-attach", delete_on_termination=True)
# An interface of an Application Load Balancer: https://github.com/hashicorp/terraform-provider-aws/pull/1036; of a
# Network Load Balancer: https://github.com/boto/boto3/issues/2218 and
# https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/elbv2/load_balancer.go
BALANCERS = {
    "application": Requester(BALANCER, True, owner=BALANCER, attachment="eni-attach", address_owner=BALANCER),
    "network": Requester(BALANCER, True, "network_load_balancer", address_owner="amazon"),
    "gateway": Requester(
        BALANCER, True, "gateway_load_balancer", owner=BALANCER, attachment="eni-attach", address_owner=BALANCER
    ),
}
# AWS documents no id of a transit gateway's interfaces, only their type.
TRANSIT_GATEWAY = Requester(AWS_OWNER, True, "transit_gateway")
FILE_SYSTEM = Requester("AROASANDBOXAMAZONEFS1:001540145697", True)


def of_role(role: Any, session: str) -> str:
    """The id of a session of moto's role; of a role that was deleted only the session is known."""
    return f"{role.id if role else 'AROADELETED'}:{session}"


def function(role: Any) -> Requester:
    """Lambda acts with the function's own role.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-enis
    """
    session = f"awslambda_{uuid.uuid4().int % 1000}_{uuid.uuid4().hex[:17]}"
    return Requester(of_role(role, session), True, "lambda")
