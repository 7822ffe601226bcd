"""Kinds whose resources AWS gives an id, so that another person can only create one beside the recorded one.

`other(tags)` creates it and returns how a state would record it; `look(live)` returns what is there.
"""

from account import attempt, client, state, tags, until
from kinds_by_name import network


def given(kind, own):
    return [{"ResourceType": kind, "Tags": tags(own)}] if own else []


def ec2():
    return client("ec2")


def recorded(address):
    return state("shop")["resources"][address]["live"]


class IdKind:
    """`list` is the call that describes it, `ids` its parameter, `key` the field of its answer."""

    list, ids, key = "", "", ""
    kept = ()

    @classmethod
    def look(cls, live):
        found = attempt(getattr(ec2(), cls.list), **{cls.ids: [live["id"]]})
        return found and [[one.get(key) for key in ("Tags", *cls.kept)] for one in found[cls.key]]


class Vpc(IdKind):
    address, list, ids, key, kept = "network/vpc", "describe_vpcs", "VpcIds", "Vpcs", ("CidrBlock", "State")

    @staticmethod
    def other(own):
        return {"id": ec2().create_vpc(CidrBlock="10.9.0.0/16", TagSpecifications=given("vpc", own))["Vpc"]["VpcId"]}


def elsewhere():
    """A VPC of another person, for what has to be in one."""
    found = ec2().describe_vpcs(Filters=[{"Name": "cidr", "Values": ["10.77.0.0/16"]}])["Vpcs"]
    return found[0]["VpcId"] if found else ec2().create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]


class Subnet(IdKind):
    address, list, ids, key = "network/subnet/public-eu-central-1b", "describe_subnets", "SubnetIds", "Subnets"
    kept = ("CidrBlock", "VpcId")

    @staticmethod
    def other(own):
        made = ec2().create_subnet(
            VpcId=elsewhere(), CidrBlock="10.77.1.0/24", AvailabilityZone="eu-central-1b",
            TagSpecifications=given("subnet", own),
        )["Subnet"]  # fmt: skip
        return {"id": made["SubnetId"], "vpc": made["VpcId"], "cidr": "10.77.1.0/24"}


class SecurityGroup(IdKind):
    address, list, ids = "network/security-group/endpoints", "describe_security_groups", "GroupIds"
    key, kept = "SecurityGroups", ("IpPermissions", "GroupName")

    @staticmethod
    def other(own):
        vpc = elsewhere()
        made = ec2().create_security_group(
            GroupName="payroll", Description="theirs", VpcId=vpc, TagSpecifications=given("security-group", own)
        )
        return {"id": made["GroupId"], "name": "payroll", "vpc": vpc, "description": "theirs"}


class SecurityGroupRule(IdKind):
    address, list = "network/security-group-rule/endpoints-https", "describe_security_group_rules"
    ids, key, kept = "SecurityGroupRuleIds", "SecurityGroupRules", ("CidrIpv4", "FromPort", "GroupId")

    @staticmethod
    def other(own):
        group = ec2().create_security_group(GroupName="payroll-rule", Description="theirs", VpcId=elsewhere())["GroupId"]
        permission = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "192.0.2.0/24"}]}
        made = ec2().authorize_security_group_ingress(
            GroupId=group, IpPermissions=[permission], TagSpecifications=given("security-group-rule", own)
        )["SecurityGroupRules"][0]
        return {"id": made["SecurityGroupRuleId"], "group": group}


class DefaultSecurityGroup(SecurityGroup):
    address = "network/default-security-group"

    @staticmethod
    def other(own):
        vpc = ec2().create_vpc(CidrBlock="10.78.0.0/16")["Vpc"]["VpcId"]
        filters = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "group-name", "Values": ["default"]}]
        group = ec2().describe_security_groups(Filters=filters)["SecurityGroups"][0]["GroupId"]
        if own:
            ec2().create_tags(Resources=[group], Tags=tags(own))
        return {"id": group, "vpc": vpc}


class ElasticIp(IdKind):
    address, list, ids = "network/elastic-ip/eu-central-1a", "describe_addresses", "AllocationIds"
    key, kept = "Addresses", ("PublicIp",)

    @staticmethod
    def other(own):
        made = ec2().allocate_address(Domain="vpc", TagSpecifications=given("elastic-ip", own))
        return {"id": made["AllocationId"], "address": made["PublicIp"]}


class InternetGateway(IdKind):
    address, list, ids = "network/internet-gateway", "describe_internet_gateways", "InternetGatewayIds"
    key, kept = "InternetGateways", ("Attachments",)

    @staticmethod
    def other(own):
        made = ec2().create_internet_gateway(TagSpecifications=given("internet-gateway", own))["InternetGateway"]
        vpc = elsewhere()
        attempt(ec2().attach_internet_gateway, InternetGatewayId=made["InternetGatewayId"], VpcId=vpc)
        return {"id": made["InternetGatewayId"], "vpc": vpc}


class NatGateway(IdKind):
    address, list, ids = "network/nat-gateway/eu-central-1a", "describe_nat_gateways", "NatGatewayIds"
    key, kept = "NatGateways", ("State", "SubnetId")

    @staticmethod
    def other(own):
        made = ec2().create_subnet(VpcId=elsewhere(), CidrBlock="10.77.2.0/24")["Subnet"]["SubnetId"]
        gateway = ec2().create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        attempt(ec2().attach_internet_gateway, InternetGatewayId=gateway, VpcId=elsewhere())
        address = ec2().allocate_address(Domain="vpc")["AllocationId"]
        nat = ec2().create_nat_gateway(
            SubnetId=made, AllocationId=address, TagSpecifications=given("natgateway", own)
        )["NatGateway"]["NatGatewayId"]  # fmt: skip
        look = lambda: ec2().describe_nat_gateways(NatGatewayIds=[nat])["NatGateways"][0]["State"] == "available"
        until(look)
        return {"id": nat, "subnet": made, "allocation": address}


class RouteTable(IdKind):
    address, list, ids = "network/route-table/public", "describe_route_tables", "RouteTableIds"
    key, kept = "RouteTables", ("Routes", "VpcId")

    @staticmethod
    def other(own):
        made = ec2().create_route_table(VpcId=elsewhere(), TagSpecifications=given("route-table", own))["RouteTable"]
        return {"id": made["RouteTableId"], "vpc": made["VpcId"]}


class VpcEndpoint(IdKind):
    address, list, ids, key = "network/endpoint/s3", "describe_vpc_endpoints", "VpcEndpointIds", "VpcEndpoints"
    kept = ("State", "ServiceName", "VpcId")

    @staticmethod
    def other(own):
        vpc = elsewhere()
        made = ec2().create_vpc_endpoint(
            VpcId=vpc, ServiceName="com.amazonaws.eu-central-1.s3", TagSpecifications=given("vpc-endpoint", own)
        )["VpcEndpoint"]["VpcEndpointId"]
        look = lambda: ec2().describe_vpc_endpoints(VpcEndpointIds=[made])["VpcEndpoints"][0]["State"] == "available"
        until(look)
        return {"id": made, "vpc": vpc, "routeTables": []}


class FlowLog(IdKind):
    address, list, ids, key = "network/flow-log", "describe_flow_logs", "FlowLogIds", "FlowLogs"
    kept = ("LogGroupName", "ResourceId")

    @staticmethod
    def other(own):
        vpc, like = elsewhere(), recorded("network/flow-log")
        made = ec2().create_flow_logs(
            ResourceIds=[vpc], ResourceType="VPC", TrafficType="ALL", LogGroupName="/payroll/flows",
            DeliverLogsPermissionArn=like["role"], TagSpecifications=given("vpc-flow-log", own),
        )["FlowLogIds"][0]  # fmt: skip
        return {"id": made, "vpc": vpc, "group": "/payroll/flows"}


class KmsKey:
    address = "network/key"
    alias = "alias/provisioner/shop"

    @staticmethod
    def make(own):
        listed = tags(own, "TagKey", "TagValue")
        return client("kms").create_key(Description="payroll", Tags=listed)["KeyMetadata"]["KeyId"]

    @classmethod
    def again(cls, live, own):
        """The alias leads to another's key; the recorded one stays, as no key can be deleted at once."""
        made = cls.make(own)
        client("kms").update_alias(AliasName=cls.alias, TargetKeyId=made)
        return {"id": made}

    @classmethod
    def other(cls, own):
        made = cls.make(own)
        return {"id": made, "arn": f"arn:aws:kms:eu-central-1:123456789012:key/{made}", "alias": "alias/payroll"}

    @staticmethod
    def look(live):
        kms = client("kms")
        found = attempt(kms.describe_key, KeyId=live["id"])
        return found and [
            found["KeyMetadata"]["KeyState"], found["KeyMetadata"]["Description"],
            kms.list_resource_tags(KeyId=live["id"])["Tags"],
            kms.get_key_policy(KeyId=live["id"], PolicyName="default")["Policy"],
            kms.list_aliases(KeyId=live["id"])["Aliases"] and 1,
        ]  # fmt: skip

    @staticmethod
    def suspend(live):
        client("kms").disable_key(KeyId=live["id"])


class ScheduledKey(KmsKey):
    @staticmethod
    def suspend(live):
        client("kms").schedule_key_deletion(KeyId=live["id"])
