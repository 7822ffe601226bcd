"""Service Quotas, and the quotas that the configuration sets."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import REGION, Sandbox
from eks import Eks
from network import Network


@pytest.fixture
def quotas(sandbox: Sandbox) -> Any:
    return sandbox.client("service-quotas")


def value(quotas: Any, service: str, code: str) -> float:
    return quotas.get_service_quota(ServiceCode=service, QuotaCode=code)["Quota"]["Value"]


@pytest.mark.parametrize(
    ("service", "code", "name", "default"),
    [
        ("ec2", "L-0263D0A3", "EC2-VPC Elastic IPs", 5),
        ("ec2", "L-1216C47A", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", 5),
        ("ec2", "L-34B43A08", "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests", 5),
        ("vpc", "L-F678F1CE", "VPCs per Region", 5),
        ("vpc", "L-FE5A380F", "NAT gateways per Availability Zone", 5),
        ("vpc", "L-A4707A72", "Internet gateways per Region", 5),
        ("vpc", "L-29B6F2EB", "Interface VPC endpoints per VPC", 50),
        ("eks", "L-1194D53C", "Clusters", 100),
        ("eks", "L-6D54EA21", "Managed node groups per cluster", 30),
        ("eks", "L-BD136A63", "Nodes per managed node group", 450),
        ("eks", "L-33415657", "Fargate profiles per cluster", 10),
    ],
)
def test_defaults(quotas: Any, service: str, code: str, name: str, default: float) -> None:
    quota = quotas.get_service_quota(ServiceCode=service, QuotaCode=code)["Quota"]
    # VPCs and their like have room for many stacks.
    applied = {"L-0263D0A3": 50, "L-F678F1CE": 100, "L-A4707A72": 100}.get(code, default)
    assert (quota["QuotaName"], quota["Value"], quota["ServiceCode"]) == (name, applied, service)
    assert quota["QuotaArn"] == f"arn:aws:servicequotas:{REGION}:123456789012:{service}/{code}"
    assert quota["Adjustable"] is True
    assert quotas.get_aws_default_service_quota(ServiceCode=service, QuotaCode=code)["Quota"]["Value"] == default


def test_what_is_not_there(quotas: Any, refused: Any) -> None:
    refused("NoSuchResourceException", quotas.get_service_quota, 400, ServiceCode="eks", QuotaCode="L-F678F1CE")
    refused("NoSuchResourceException", quotas.get_service_quota, 400, ServiceCode="EKS", QuotaCode="L-1194D53C")
    refused("NoSuchResourceException", quotas.list_service_quotas, 400, ServiceCode="nothing")


def test_lists_in_pages(quotas: Any, refused: Any) -> None:
    pages = list(quotas.get_paginator("list_service_quotas").paginate(ServiceCode="eks", MaxResults=3))
    codes = [quota["QuotaCode"] for page in pages for quota in page["Quotas"]]
    assert len(pages) > 1
    assert codes == sorted(set(codes))
    assert {"L-1194D53C", "L-6D54EA21", "L-BD136A63"} < set(codes)
    one = quotas.list_service_quotas(ServiceCode="eks", QuotaCode="L-1194D53C")["Quotas"]
    assert [quota["QuotaName"] for quota in one] == ["Clusters"]
    refused("InvalidPaginationTokenException", quotas.list_service_quotas, ServiceCode="eks", NextToken="x")


def test_configuration_changes_what_is_applied_and_not_the_default(sandbox: Sandbox, quotas: Any) -> None:
    sandbox.configure(quotas={"L-F678F1CE": 1})
    assert value(quotas, "vpc", "L-F678F1CE") == 1
    default = quotas.get_aws_default_service_quota(ServiceCode="vpc", QuotaCode="L-F678F1CE")["Quota"]
    assert default["Value"] == 5
    sandbox.configure()
    assert value(quotas, "vpc", "L-F678F1CE") == 100


def test_a_quota_of_which_there_is_only_the_default(sandbox: Sandbox, quotas: Any, refused: Any) -> None:
    """https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_ListServiceQuotas.html"""
    sandbox.configure(quotas={"L-0263D0A3": None})
    asked = {"ServiceCode": "ec2", "QuotaCode": "L-0263D0A3"}
    refused("NoSuchResourceException", quotas.get_service_quota, 400, **asked)
    assert quotas.get_aws_default_service_quota(**asked)["Quota"]["Value"] == 5
    listed = quotas.list_service_quotas(ServiceCode="ec2")["Quotas"]
    assert listed and "L-0263D0A3" not in [quota["QuotaCode"] for quota in listed]
    # The default holds.
    ec2 = sandbox.client("ec2")
    for _ in range(5):
        ec2.allocate_address()
    refused("AddressLimitExceeded", ec2.allocate_address, 400)


@pytest.mark.parametrize(
    ("configured", "words"),
    [
        ({"L-00000000": 1}, "L-00000000"),
        ({"L-F678F1CE": "1"}, "L-F678F1CE"),
        ({"L-F678F1CE": True}, "L-F678F1CE"),
        ({"L-F678F1CE": -1}, "negative"),
        ([], "quotas"),
    ],
)
def test_bad_configuration(sandbox: Sandbox, configured: Any, words: str) -> None:
    status, answer = sandbox.ext("POST", "config", {"quotas": configured})
    assert status == 400
    assert words in answer["message"]


class TestEnforced:
    def test_vpcs(self, sandbox: Sandbox, ec2: Any, refused: Any) -> None:
        sandbox.configure(quotas={"L-F678F1CE": 2})  # the default one counts
        ec2.create_vpc(CidrBlock="10.0.0.0/16")
        error = refused("VpcLimitExceeded", ec2.create_vpc, 400, CidrBlock="10.1.0.0/16")
        assert error.response["Error"]["Message"] == "The maximum number of VPCs has been reached."
        sandbox.client("ec2", "eu-west-1").create_vpc(CidrBlock="10.1.0.0/16")

    def test_addresses(self, sandbox: Sandbox, ec2: Any, refused: Any) -> None:
        sandbox.configure(quotas={"L-0263D0A3": 1})
        first = ec2.allocate_address(Domain="vpc")["AllocationId"]
        error = refused("AddressLimitExceeded", ec2.allocate_address, 400, Domain="vpc")
        assert error.response["Error"]["Message"] == "The maximum number of addresses has been reached."
        ec2.release_address(AllocationId=first)
        ec2.allocate_address(Domain="vpc")

    def test_nat_gateways_of_a_zone(self, sandbox: Sandbox, ec2: Any, refused: Any) -> None:
        network = Network(ec2)
        network.internet_gateway()
        sandbox.configure(quotas={"L-FE5A380F": 1})
        first = network.nat_gateway(network.address())
        address = network.address()
        wanted = {"SubnetId": network.subnets[0], "AllocationId": address}
        error = refused("NatGatewayLimitExceeded", ec2.create_nat_gateway, 400, **wanted)
        message = "Performing this operation would exceed the limit of 1 NAT gateways"
        assert error.response["Error"]["Message"] == message
        ec2.create_nat_gateway(SubnetId=network.subnets[1], AllocationId=address)
        ec2.delete_nat_gateway(NatGatewayId=first)
        wanted["AllocationId"] = network.address()
        refused("NatGatewayLimitExceeded", ec2.create_nat_gateway, 400, **wanted)  # still deleting
        sandbox.configure(quotas={"L-FE5A380F": 1}, timeScale=100000)
        ec2.create_nat_gateway(**wanted)

    def test_internet_gateways(self, sandbox: Sandbox, ec2: Any, refused: Any) -> None:
        there = len(ec2.describe_internet_gateways()["InternetGateways"])
        sandbox.configure(quotas={"L-A4707A72": there + 1})
        ec2.create_internet_gateway()
        refused("InternetGatewayLimitExceeded", ec2.create_internet_gateway, 400)

    def test_interface_endpoints_of_a_vpc(self, sandbox: Sandbox, ec2: Any, refused: Any) -> None:
        network = Network(ec2)
        sandbox.configure(quotas={"L-29B6F2EB": 1})
        network.interface_endpoint([], PrivateDnsEnabled=False)
        refused(
            "VpcEndpointLimitExceeded",
            ec2.create_vpc_endpoint,
            400,
            VpcEndpointType="Interface",
            VpcId=network.vpc,
            ServiceName=network.service("sts"),
            PrivateDnsEnabled=False,
        )
        network.gateway_endpoint([network.route_table()])
        Network(ec2, "10.1.0.0/16").interface_endpoint([], PrivateDnsEnabled=False)

    def test_clusters(self, sandbox: Sandbox, refused: Any) -> None:
        eks = Eks.again(sandbox)
        sandbox.configure(quotas={"L-1194D53C": 0})
        error = refused("ResourceLimitExceededException", eks.client.create_cluster, 400, **eks.wanted())
        assert error.response["Error"]["Message"] == "Cluster limit exceeded for account."
        sandbox.configure(quotas={"L-1194D53C": 1})
        eks.create()

    def test_node_groups_of_a_cluster(self, sandbox: Sandbox, refused: Any) -> None:
        eks = Eks.again(sandbox)
        eks.active()
        sandbox.configure(quotas={"L-6D54EA21": 1})
        role = eks.role("nodes", "ec2.amazonaws.com")
        wanted = {"clusterName": eks.name, "subnets": eks.subnets, "nodeRole": role}
        eks.client.create_nodegroup(nodegroupName="one", **wanted)
        refused("ResourceLimitExceededException", eks.client.create_nodegroup, 400, nodegroupName="two", **wanted)

    def test_what_is_not_configured_is_not_enforced(self, sandbox: Sandbox, ec2: Any) -> None:
        sandbox.configure(quotas={"L-FE5A380F": 1})
        for n in range(7):
            ec2.create_vpc(CidrBlock=f"10.{n}.0.0/16")
            ec2.allocate_address(Domain="vpc")
