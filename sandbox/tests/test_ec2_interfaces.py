"""Network interfaces: who made them, and what the end of an instance does to them.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/requester-managed-eni.html
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/how-ec2-instance-termination-works.html
"""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest
from conftest import Sandbox, until
from eks import trust
from eks_groups import Groups, sizes
from network import Network

OWN_USER = "AIDASANDBOXSANDBOXUSE"


def interfaces(ec2: Any, **filters: str) -> list[dict[str, Any]]:
    asked = [{"Name": name.replace("_", "-"), "Values": [value]} for name, value in filters.items()]
    found: list[dict[str, Any]] = ec2.describe_network_interfaces(Filters=asked)["NetworkInterfaces"]
    return found


def told(interface: dict[str, Any]) -> tuple[Any, ...]:
    owner = interface.get("Attachment", {}).get("InstanceOwnerId")
    members = ("InterfaceType", "RequesterManaged", "RequesterId", "Description", "Status")
    return (*(interface[member] for member in members), owner)


class TestRequesters:
    def test_the_caller(self, ec2: Any) -> None:
        network = Network(ec2)
        ec2.create_network_interface(SubnetId=network.subnets[0], Description="mine")
        assert told(interfaces(ec2)[0]) == ("interface", False, OWN_USER, "mine", "available", None)

    def test_a_session(self, sandbox: Sandbox, ec2: Any) -> None:
        sandbox.configure(caller="arn:aws:sts::123456789012:assumed-role/ops/jane")
        ec2.create_network_interface(SubnetId=Network(ec2).subnets[0])
        assert interfaces(ec2)[0]["RequesterId"] == sandbox.client("sts").get_caller_identity()["UserId"]

    def test_a_nat_gateway(self, ec2: Any, refused: Any) -> None:
        network = Network(ec2)
        network.internet_gateway()
        nat = network.nat_gateway(network.address())
        (found,) = interfaces(ec2, requester_managed="true")
        words = f"Interface for NAT Gateway {nat}"
        assert told(found) == ("nat_gateway", True, "036872051663", words, "in-use", "amazon-aws")
        assert found["SourceDestCheck"] is False
        attachment = found["Attachment"]["AttachmentId"]
        error = refused("OperationNotPermitted", ec2.detach_network_interface, 400, AttachmentId=attachment)
        assert "You are not allowed to manage 'ela-attach' attachments." in str(error)

    @pytest.mark.parametrize("service", ["sts", "guardduty-data"])
    def test_an_endpoint(self, ec2: Any, service: str) -> None:
        network = Network(ec2)
        network.dns_on()
        endpoint = network.interface_endpoint([network.group()], service, SubnetIds=network.subnets[:1])
        (found,) = interfaces(ec2, requester_id="727180483921")
        words = f"VPC Endpoint Interface {endpoint}"
        assert told(found) == ("vpc_endpoint", True, "727180483921", words, "in-use", "amazon-aws")

    def test_a_control_plane_and_its_nodes(self, sandbox: Sandbox) -> None:
        groups = Groups.again(sandbox)
        groups.there(**sizes(1, 1, 1))
        planes = interfaces(groups.ec2, requester_id="339713109942")
        wanted = ("interface", True, "339713109942", "Amazon EKS demo", "in-use", "339713109942")
        assert [told(found) for found in planes] == [wanted, wanted]
        (instance,) = groups.instances()
        role = groups.iam.get_role(RoleName="nodes")["Role"]["RoleId"]
        (found,) = interfaces(groups.ec2, description=f"aws-K8S-{instance['InstanceId']}")
        assert (found["RequesterManaged"], found["RequesterId"]) == (False, f"{role}:{instance['InstanceId']}")
        assert found["Attachment"]["DeleteOnTermination"] is True

    def test_a_mount_target(self, sandbox: Sandbox, ec2: Any, refused: Any) -> None:
        efs, network = sandbox.client("efs"), Network(ec2)
        system = efs.create_file_system(CreationToken="one")["FileSystemId"]
        target = efs.create_mount_target(FileSystemId=system, SubnetId=network.subnets[0])["MountTargetId"]
        (found,) = interfaces(ec2)
        kind, managed, requester, words, status, _ = told(found)
        assert (kind, managed, status) == ("interface", True, "in-use")
        assert (requester[:4], words) == ("AROA", f"EFS mount target for {system} ({target})")
        refused("DependencyViolation", ec2.delete_subnet, SubnetId=network.subnets[0])
        efs.delete_mount_target(MountTargetId=target)
        ec2.delete_subnet(SubnetId=network.subnets[0])


class Function:
    """A function of Lambda in a network."""

    def __init__(self, sandbox: Sandbox, ec2: Any):
        self.client, iam = sandbox.client("lambda"), sandbox.client("iam")
        self.network = Network(ec2)
        self.group = self.network.group()
        made = iam.create_role(RoleName="f", AssumeRolePolicyDocument=trust("lambda.amazonaws.com"))["Role"]
        self.role, self.role_id = made["Arn"], made["RoleId"]

    def create(self, subnets: list[str]) -> dict[str, Any]:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("a.py", "def f(event, context): pass")
        network = {"SubnetIds": subnets, "SecurityGroupIds": [self.group]} if subnets else {}
        created: dict[str, Any] = self.client.create_function(
            FunctionName="f", Runtime="python3.12", Role=self.role, Handler="a.f", Code={"ZipFile": packed.getvalue()},
            VpcConfig=network,
        )  # fmt: skip
        return created


class TestFunctions:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html"""

    def test_their_interfaces_stay_for_a_while(self, sandbox: Sandbox, ec2: Any, refused: Any) -> None:
        sandbox.configure(timeScale=1)
        function = Function(sandbox, ec2)
        subnet = function.network.subnets[0]
        assert function.create([subnet])["VpcConfig"]["VpcId"] == function.network.vpc
        (found,) = interfaces(ec2)
        kind, managed, requester, words, status, owner = told(found)
        assert (kind, managed, status, owner) == ("lambda", True, "in-use", "amazon-aws")
        assert requester.startswith(f"{function.role_id}:awslambda_")
        assert words.startswith("AWS Lambda VPC ENI-f-")
        function.client.delete_function(FunctionName="f")
        refused("DependencyViolation", ec2.delete_subnet, SubnetId=subnet)
        refused("DependencyViolation", ec2.delete_security_group, GroupId=function.group)
        sandbox.configure(timeScale=50_000)
        until(lambda: interfaces(ec2) == [])
        ec2.delete_subnet(SubnetId=subnet)

    def test_they_move(self, sandbox: Sandbox, ec2: Any) -> None:
        sandbox.configure(timeScale=1)
        function = Function(sandbox, ec2)
        one, two = function.network.subnets[:2]
        function.create([])
        assert interfaces(ec2) == []
        for subnet in (one, two):
            config = {"SubnetIds": [subnet], "SecurityGroupIds": [function.group]}
            function.client.update_function_configuration(FunctionName="f", VpcConfig=config)
        assert len(interfaces(ec2)) == 2
        sandbox.configure(timeScale=50_000)
        until(lambda: [found["SubnetId"] for found in interfaces(ec2)] == [two])

    def test_their_network_exists(self, sandbox: Sandbox, ec2: Any, refused: Any) -> None:
        function = Function(sandbox, ec2)
        error = refused("InvalidParameterValueException", function.create, subnets=["subnet-0123456789abcdef0"])
        assert "InvalidSubnetID.NotFound" in str(error)
        assert interfaces(ec2) == []


class TestRoom:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html"""

    def full(self, ec2: Any, network: Network) -> str:
        made = ec2.create_subnet(VpcId=network.vpc, CidrBlock="10.0.9.0/28", AvailabilityZone="eu-central-1a")
        subnet: str = made["Subnet"]["SubnetId"]
        for _ in range(11):
            ec2.create_network_interface(SubnetId=subnet)
        assert ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["AvailableIpAddressCount"] == 0
        return subnet

    def test_of_interfaces_and_instances(self, ec2: Any, refused: Any) -> None:
        subnet, code = self.full(ec2, Network(ec2)), "InsufficientFreeAddressesInSubnet"
        refused(code, ec2.create_network_interface, 400, SubnetId=subnet)
        launch = {"ImageId": "ami-12345678", "MinCount": 1, "MaxCount": 1, "InstanceType": "t3.micro"}
        error = refused(code, ec2.run_instances, 400, SubnetId=subnet, **launch)
        assert f"There are not enough free addresses in subnet '{subnet}'" in str(error)
        interface = {"DeviceIndex": 0, "SubnetId": subnet}
        refused(code, ec2.run_instances, 400, NetworkInterfaces=[interface], **launch)

    def test_of_nat_gateways(self, ec2: Any) -> None:
        network = Network(ec2)
        network.internet_gateway()
        made = ec2.create_nat_gateway(SubnetId=self.full(ec2, network), AllocationId=network.address())
        nat = made["NatGateway"]["NatGatewayId"]
        failed = {"Filter": [{"Name": "state", "Values": ["failed"]}]}
        (found,) = until(lambda: ec2.describe_nat_gateways(NatGatewayIds=[nat], **failed)["NatGateways"])
        assert found["FailureCode"] == "InsufficientFreeAddressesInSubnet"


class TestInstances:
    def launch(self, ec2: Any, **more: Any) -> str:
        made = ec2.run_instances(ImageId="ami-12345678", MinCount=1, MaxCount=1, InstanceType="t3.micro", **more)
        instance: str = made["Instances"][0]["InstanceId"]
        return instance

    def test_their_interfaces_and_addresses_end_with_them(self, ec2: Any, refused: Any) -> None:
        network = Network(ec2, zones="a")
        gateway, address, group = network.internet_gateway(), network.address(), network.group("bastion")
        subnet = network.subnets[0]
        instance = self.launch(ec2, SubnetId=subnet, SecurityGroupIds=[group])
        ec2.associate_address(AllocationId=address, InstanceId=instance)
        (found,) = interfaces(ec2)
        assert found["Attachment"]["DeleteOnTermination"] is True
        refused("DependencyViolation", ec2.detach_internet_gateway, InternetGatewayId=gateway, VpcId=network.vpc)
        for _ in range(2):
            ec2.terminate_instances(InstanceIds=[instance])
        assert interfaces(ec2) == []
        assert "AssociationId" not in ec2.describe_addresses()["Addresses"][0]
        ec2.release_address(AllocationId=address)
        ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=network.vpc)
        ec2.delete_security_group(GroupId=group)
        ec2.delete_subnet(SubnetId=subnet)
        ec2.delete_vpc(VpcId=network.vpc)
        (reservation,) = ec2.describe_instances()["Reservations"]
        assert reservation["Instances"][0]["State"]["Name"] == "terminated"

    def test_an_interface_that_is_to_stay_is_detached(self, ec2: Any, refused: Any) -> None:
        subnet = Network(ec2).subnets[0]
        kept = {"DeviceIndex": 0, "SubnetId": subnet, "DeleteOnTermination": False}
        instance = self.launch(ec2, NetworkInterfaces=[kept])
        ec2.terminate_instances(InstanceIds=[instance])
        (found,) = interfaces(ec2)
        assert (found["Status"], "Attachment" in found) == ("available", False)
        refused("DependencyViolation", ec2.delete_subnet, SubnetId=subnet)
        ec2.delete_network_interface(NetworkInterfaceId=found["NetworkInterfaceId"])
        ec2.delete_subnet(SubnetId=subnet)

    def test_an_interface_from_before_stays(self, ec2: Any) -> None:
        network = Network(ec2)
        own = ec2.create_network_interface(SubnetId=network.subnets[0])["NetworkInterface"]["NetworkInterfaceId"]
        given = [{"DeviceIndex": 0, "NetworkInterfaceId": own}]
        instance, other = self.launch(ec2, NetworkInterfaces=given), self.launch(ec2, SubnetId=network.subnets[0])
        more = ec2.create_network_interface(SubnetId=network.subnets[0])["NetworkInterface"]["NetworkInterfaceId"]
        ec2.attach_network_interface(NetworkInterfaceId=more, InstanceId=other, DeviceIndex=1)
        ec2.terminate_instances(InstanceIds=[instance, other])
        assert {found["NetworkInterfaceId"]: found["Status"] for found in interfaces(ec2)} == {
            own: "available",
            more: "available",
        }
