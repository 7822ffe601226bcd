"""Kinds that carry no tags, and are part of another resource. Their functions are those of `kinds_by_name`."""

import json

from account import attempt, client, state
from kinds_by_id import ec2, elsewhere
from kinds_by_name import EcrRepository


def gateway():
    """The internet gateway of another's VPC."""
    filters = [{"Name": "attachment.vpc-id", "Values": [elsewhere()]}]
    if found := ec2().describe_internet_gateways(Filters=filters)["InternetGateways"]:
        return found[0]["InternetGatewayId"]
    made = ec2().create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2().attach_internet_gateway(InternetGatewayId=made, VpcId=elsewhere())
    return made


def table_of(live):
    found = attempt(ec2().describe_route_tables, RouteTableIds=[live["table"]])
    return found and [[one.get(key) for key in ("Tags", "Routes", "Associations")] for one in found["RouteTables"]]


class Route:
    address = "network/route/public"
    look = staticmethod(table_of)

    @staticmethod
    def other(own):
        table = ec2().create_route_table(VpcId=elsewhere())["RouteTable"]["RouteTableId"]
        ec2().create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway())
        return {"table": table, "destination": "0.0.0.0/0", "gateway": gateway()}


class RouteTableAssociation:
    address = "network/association/public-eu-central-1b"
    look = staticmethod(table_of)

    @staticmethod
    def other(own):
        table = ec2().create_route_table(VpcId=elsewhere())["RouteTable"]["RouteTableId"]
        subnet = ec2().create_subnet(VpcId=elsewhere(), CidrBlock="10.77.3.0/24")["Subnet"]["SubnetId"]
        made = ec2().associate_route_table(RouteTableId=table, SubnetId=subnet)["AssociationId"]
        return {"id": made, "subnet": subnet, "table": table}


class Image:
    """The image of the application, whose repository another person deletes and creates again."""

    address = "application/image"
    repository = "cluster/repository/shop/web"

    @classmethod
    def own(cls, live):
        return state("shop")["resources"][cls.repository]["live"]["tags"]

    @classmethod
    def again(cls, live, own):
        EcrRepository.again({"name": live["repository"]}, own)
        manifest = client("ecr").batch_get_image(repositoryName=live["repository"], imageIds=[{"imageTag": "theirs"}])
        client("ecr").put_image(
            repositoryName=live["repository"], imageManifest=manifest["images"][0]["imageManifest"],
            imageTag=live["content"], imageManifestMediaType=json.loads(manifest["images"][0]["imageManifest"])["mediaType"],
        )  # fmt: skip
        return live

    @classmethod
    def other(cls, own):
        made = EcrRepository.other(own)
        digest = client("ecr").list_images(repositoryName="payroll")["imageIds"][0]["imageDigest"]
        # A forger may name the stack's repository in every field that AWS does not return.
        return {"repository": "payroll", "registry": "shop/web", "digest": digest, "uri": f"{made['uri']}@{digest}",
                "content": "theirs", "tags": [], "taken": []}  # fmt: skip

    @staticmethod
    def look(live):
        return EcrRepository.look({"name": live["repository"]})
