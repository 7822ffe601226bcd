"""Services of VPC endpoints: in which zones they are, as `endpointZones` of the configuration says it.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeVpcEndpointServices.html
https://docs.aws.amazon.com/vpc/latest/privatelink/create-interface-endpoint.html
"""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Sandbox
from network import Network

EKS = "com.amazonaws.eu-central-1.eks"
STS = "com.amazonaws.eu-central-1.sts"
ALL = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]


@pytest.fixture
def network(sandbox: Sandbox, ec2: Any) -> Network:
    made = Network(ec2)
    made.dns_on()
    return made


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ([EKS], "endpointZones must be an object"),
        ({"eks": ["eu-central-1a"]}, "endpointZones.eks must be named"),
        ({EKS: "eu-central-1a"}, f"endpointZones.{EKS} must be a list of strings"),
        ({EKS: [1]}, f"endpointZones.{EKS} must be a list of strings"),
        ({EKS: ["us-east-1a"]}, "us-east-1a is not a zone of eu-central-1"),
    ],
)
def test_what_cannot_be_configured(sandbox: Sandbox, wrong: Any, words: str) -> None:
    status, answer = sandbox.ext("POST", "config", {"endpointZones": wrong})
    assert (status, words in answer["message"]) == (400, True), answer


class TestDescribe:
    def zones(self, ec2: Any, **params: Any) -> dict[str, list[str]]:
        details = ec2.describe_vpc_endpoint_services(**params)["ServiceDetails"]
        return {item["ServiceName"]: item["AvailabilityZones"] for item in details}

    def test_everywhere_unless_configured(self, sandbox: Sandbox, ec2: Any) -> None:
        assert self.zones(ec2, ServiceNames=[EKS, STS]) == {EKS: ALL, STS: ALL}
        sandbox.configure(endpointZones={EKS: ALL[:1]})
        assert self.zones(ec2, ServiceNames=[EKS, STS]) == {EKS: ALL[:1], STS: ALL}
        sandbox.configure()
        assert self.zones(ec2, ServiceNames=[EKS]) == {EKS: ALL}

    def test_an_interface_only(self, sandbox: Sandbox, ec2: Any) -> None:
        s3 = "com.amazonaws.eu-central-1.s3"
        sandbox.configure(endpointZones={s3: []})
        details = ec2.describe_vpc_endpoint_services(ServiceNames=[s3])["ServiceDetails"]
        found = {item["ServiceType"][0]["ServiceType"]: item["AvailabilityZones"] for item in details}
        assert found == {"Gateway": ALL, "Interface": []}

    def test_filters_and_pages(self, ec2: Any, refused: Any) -> None:
        names = {"Name": "service-name", "Values": [EKS, "*.st?"]}
        filters = [names, {"Name": "service-type", "Values": ["Interface"]}]
        assert self.zones(ec2, Filters=filters) == {EKS: ALL, STS: ALL}
        assert self.zones(ec2, ServiceNames=[EKS], Filters=[{"Name": "service-name", "Values": [STS]}]) == {}
        unknown = [{"Name": "colour", "Values": ["x"]}]
        refused("InvalidParameterValue", ec2.describe_vpc_endpoint_services, Filters=unknown)
        found, token = [], None
        while True:
            page = ec2.describe_vpc_endpoint_services(MaxResults=50, **({"NextToken": token} if token else {}))
            assert len(page["ServiceDetails"]) <= 50
            assert sorted({item["ServiceName"] for item in page["ServiceDetails"]}) == page["ServiceNames"]
            found += [item["ServiceId"] for item in page["ServiceDetails"]]
            token = page.get("NextToken")
            if not token:
                break
        everything = ec2.describe_vpc_endpoint_services(MaxResults=1000)["ServiceDetails"]
        assert found == [item["ServiceId"] for item in everything]
        assert len(found) == len(set(found)) > 100


class TestEndpoints:
    def words(self, service: str, subnet: str) -> str:
        return f"The VPC endpoint service {service} does not support the availability zone of the subnet: {subnet}."

    def test_a_subnet_without_the_service_is_refused(
        self, sandbox: Sandbox, ec2: Any, refused: Any, network: Network
    ) -> None:
        sandbox.configure(endpointZones={EKS: ALL[:2]})
        group = network.group()
        create = {"groups": [group], "service": "eks", "SubnetIds": network.subnets}
        error = refused("InvalidParameter", network.interface_endpoint, 400, **create)
        assert error.response["Error"]["Message"] == self.words(EKS, network.subnets[2])
        assert ec2.describe_vpc_endpoints()["VpcEndpoints"] == []
        endpoint = network.interface_endpoint([group], "eks", SubnetIds=network.subnets[:2])
        add = {"VpcEndpointId": endpoint, "AddSubnetIds": network.subnets[2:]}
        error = refused("InvalidParameter", ec2.modify_vpc_endpoint, 400, **add)
        assert error.response["Error"]["Message"] == self.words(EKS, network.subnets[2])
        sandbox.configure()
        ec2.modify_vpc_endpoint(**add)

    def test_the_others_are_not_concerned(self, sandbox: Sandbox, ec2: Any, network: Network) -> None:
        sandbox.configure(endpointZones={EKS: [], "com.amazonaws.eu-central-1.s3": []})
        network.interface_endpoint([network.group()], "sts", SubnetIds=network.subnets)
        network.gateway_endpoint([network.route_table()])
