//! What a cluster leaves: the security groups that EKS and controllers created for it are deleted with its network, others
//! are named before anything is deleted, and so is what the proof finds in IAM.

use crate::common::Provider;
use serde_json::{Value, json};

const CLUSTER: &str = "name: shop\nregion: eu-central-1\nnetwork: {zones: 2}\ncluster: {}\n";
const NETWORK: &str = "name: shop\nregion: eu-central-1\nnetwork: {nat: none, zones: 2}\n";

/// Groups as the controllers create them, with rules that name each other, the cluster's group, a group of the stack and the
/// VPC's default one.
/// Sources: <https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/deploy/security_groups/>,
/// <https://github.com/kubernetes/cloud-provider-aws/blob/master/pkg/providers/v1/aws.go>
const LEFT: &str = "
of_vpc = [{'Name': 'vpc-id', 'Values': [vpc]}]
def group(name, text, **tags):
    tags = [{'Key': key.replace('__', '/').replace('_', '.'), 'Value': value} for key, value in tags.items()]
    return ec2.create_security_group(GroupName=name, Description=text, VpcId=vpc, TagSpecifications=[
        {'ResourceType': 'security-group', 'Tags': tags}])['GroupId']
def admit(to, other, text='elbv2.k8s.aws/targetGroupBinding=shared'):
    return ec2.authorize_security_group_ingress(GroupId=to, IpPermissions=[{'IpProtocol': 'tcp', 'FromPort': 1, 'ToPort': 9,
        'UserIdGroupPairs': [{'GroupId': other, 'Description': text}]}])['SecurityGroupRules'][0]['SecurityGroupRuleId']
def left():
    shared = group('k8s-traffic-shop-0a1b2c3d4e', '[k8s] Shared Backend SecurityGroup for LoadBalancer',
        elbv2_k8s_aws__cluster='shop', elbv2_k8s_aws__resource='backend-sg')
    managed = group('k8s-team-web-0a1b2c3d4e', '[k8s] Managed SecurityGroup for LoadBalancer',
        elbv2_k8s_aws__cluster='shop', elbv2_k8s_aws__resource='ManagedLBSecurityGroup', service_k8s_aws__stack='team/web')
    classic = group('k8s-elb-a0123456789', 'Security group for Kubernetes ELB a0123456789 (team/old)',
        kubernetes_io__cluster__shop='owned')
    admit(shared, managed)
    admit(managed, shared)
    for it in ec2.describe_security_groups(Filters=of_vpc)['SecurityGroups']:
        tags = {tag['Key']: tag['Value'] for tag in it.get('Tags', [])}
        if 'aws:eks:cluster-name' in tags:
            admit(it['GroupId'], shared)
            admit(classic, it['GroupId'])
        if it['GroupName'] == 'default' or 'provisioner:stack' in tags:
            admit(it['GroupId'], shared)
    return [shared, managed, classic]
";

/// The groups of the stack's VPC besides its default one, by name.
const GROUPS: &str = "
found = client('ec2').describe_security_groups()['SecurityGroups']
print(json.dumps(sorted(g['GroupName'] for g in found if g['GroupName'] != 'default')))";

const VPC: &str = "
ec2 = client('ec2')
vpc = ec2.describe_vpcs(Filters=[{'Name': 'tag:provisioner:resource', 'Values': ['network/vpc']}])['Vpcs'][0]['VpcId']";

fn in_network(world: &Provider, code: &str) -> Value {
    world.boto3(&format!("{VPC}{LEFT}{code}"))
}

#[track_caller]
fn nothing_is_left(world: &Provider) {
    let vpcs = "print(json.dumps([v['VpcId'] for v in client('ec2').describe_vpcs()['Vpcs'] if not v['IsDefault']]))";
    assert_eq!(world.boto3(vpcs), json!([]));
    assert_eq!(world.boto3(GROUPS), json!([]));
}

#[test]
fn groups_that_a_cluster_left_are_deleted_with_its_network() {
    let world = Provider::new(CLUSTER);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    in_network(&world, "left()\nprint('null')");
    // The stack's own policy is enough for it.
    let policy: Value = serde_json::from_str(&world.run(&["policy", "--sandbox"]).with(0).out).unwrap();
    world.configure(&json!({"timeScale": 60, "callerPolicy": [policy]}));
    let said = world.run(&["down", "--sandbox", "--yes"]).with(0);
    assert!(!said.err.contains("blocked by"), "{}", said.err);
    assert!(said.err.contains("queries for the tags of cluster shop find nothing"), "{}", said.err);
    nothing_is_left(&world);
}

/// The record of the cluster no longer exists then.
#[test]
fn so_are_those_of_a_cluster_that_an_earlier_run_deleted() {
    let world = Provider::new(CLUSTER);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    in_network(&world, "left()\nprint('null')");
    world.run(&["down", "--sandbox", "--yes", "--target", "cluster"]).with(0);
    // The network stays, and they are deleted with the cluster.
    assert_eq!(world.boto3(GROUPS), json!([]));
    // As if that run had been killed before.
    in_network(&world, "left()\nprint('null')");
    world.run(&["down", "--sandbox", "--yes"]).with(0);
    nothing_is_left(&world);
}

/// A network with two private subnets, which reach the internet through a NAT gateway in a public one.
const OF_OTHERS: &str = "
ec2 = client('ec2')
vpc = ec2.create_vpc(CidrBlock='10.9.0.0/16')['Vpc']['VpcId']
for name in ('EnableDnsHostnames', 'EnableDnsSupport'):
    ec2.modify_vpc_attribute(VpcId=vpc, **{name: {'Value': True}})
gateway = ec2.create_internet_gateway()['InternetGateway']['InternetGatewayId']
ec2.attach_internet_gateway(VpcId=vpc, InternetGatewayId=gateway)
a, b, public = [ec2.create_subnet(VpcId=vpc, CidrBlock=f'10.9.{n}.0/24', AvailabilityZone='eu-central-1' + zone)
    ['Subnet']['SubnetId'] for n, zone in enumerate('aba')]
table = ec2.create_route_table(VpcId=vpc)['RouteTable']['RouteTableId']
ec2.create_route(RouteTableId=table, DestinationCidrBlock='0.0.0.0/0', GatewayId=gateway)
ec2.associate_route_table(RouteTableId=table, SubnetId=public)
address = ec2.allocate_address(Domain='vpc')['AllocationId']
nat = ec2.create_nat_gateway(SubnetId=public, AllocationId=address)['NatGateway']['NatGatewayId']
ec2.get_waiter('nat_gateway_available').wait(NatGatewayIds=[nat], WaiterConfig={'Delay': 1})
private = ec2.create_route_table(VpcId=vpc)['RouteTable']['RouteTableId']
for subnet in (a, b):
    ec2.associate_route_table(RouteTableId=private, SubnetId=subnet)
ec2.create_route(RouteTableId=private, DestinationCidrBlock='0.0.0.0/0', NatGatewayId=nat)
team = ec2.create_security_group(GroupName='team', Description='team', VpcId=vpc)['GroupId']
print(json.dumps([vpc, a, b]))";

#[test]
fn in_a_network_of_others_only_groups_of_the_cluster_are_deleted() {
    let world = Provider::new(NETWORK);
    world.sandbox(600);
    let made = world.boto3(OF_OTHERS);
    let [vpc, a, b] = [0, 1, 2].map(|index| made[index].as_str().unwrap());
    world.stack(&format!(
        "name: shop\nregion: eu-central-1\nnetwork:\n  existing:\n    vpcId: {vpc}\n    privateSubnetIds: [{a}, {b}]\n    \
         publicSubnetIds: []\ncluster: {{}}\n"
    ));
    let before = world.boto3(GROUPS);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    world.boto3(&format!("ec2, vpc = client('ec2'), '{vpc}'{LEFT}left()\nprint('null')"));
    // The default group is of others: the rule that names a group of the cluster is theirs to remove.
    let rules = "rules = client('ec2').describe_security_group_rules()['SecurityGroupRules']
named = [r for r in rules if r.get('ReferencedGroupInfo', {}).get('GroupId') not in (None, r['GroupId'])]";
    let said = world.run(&["down", "--sandbox", "--yes"]).with(6);
    assert!(said.err.contains(":security-group/sg-"), "{}", said.err);
    let left = world.boto3(&format!("{rules}\nprint(json.dumps(len(named)))"));
    assert_eq!((left, world.boto3(GROUPS)), (json!(1), json!(["k8s-traffic-shop-0a1b2c3d4e", "team"])));
    world.boto3(&format!(
        "{rules}\nfor it in named:\n    client('ec2').revoke_security_group_ingress(GroupId=it['GroupId'], \
         SecurityGroupRuleIds=[it['SecurityGroupRuleId']])\nprint('null')"
    ));
    // Also when the cluster is no longer recorded. Nothing is deleted.
    let said = world.run(&["down", "--sandbox", "--yes"]).with(1);
    assert!(said.err.contains(":security-group/sg-"), "{}", said.err);
    world.boto3(
        "ec2 = client('ec2')
for it in ec2.describe_security_groups()['SecurityGroups']:
    if it['GroupName'].startswith('k8s-'):
        ec2.delete_security_group(GroupId=it['GroupId'])
print('null')",
    );
    world.run(&["down", "--sandbox", "--yes"]).with(0);
    assert_eq!(world.boto3(GROUPS), before);
}

#[test]
fn groups_that_only_carry_the_tags_are_named_and_keep_the_network() {
    let world = Provider::new(CLUSTER);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    let made = in_network(
        &world,
        "
shared = left()[0]
team = group('team', 'by hand', elbv2_k8s_aws__cluster='shop', kubernetes_io__cluster__shop='owned')
print(json.dumps([team, admit(team, shared)]))",
    );
    let before = world.boto3(GROUPS);
    let said = world.run(&["down", "--sandbox", "--yes", "--json"]).with(6);
    let text = |line: &Value| (line["kind"].clone(), line["id"].clone());
    let named: Vec<_> = said.lines("obstacle").iter().map(text).collect();
    let expected =
        [(json!("security group"), made[0].clone()), (json!("security group rule"), made[1].clone())];
    assert_eq!(named, expected);
    let of_network = |step: &Value| step["address"].as_str().is_some_and(|it| it.starts_with("network/"));
    assert!(!said.lines("step").iter().any(of_network), "{}", said.out);
    assert_eq!(world.boto3(GROUPS), before);

    let team = made[0].as_str().unwrap();
    world.boto3(&format!("client('ec2').delete_security_group(GroupId='{team}')\nprint('null')"));
    world.run(&["down", "--sandbox", "--yes"]).with(0);
    nothing_is_left(&world);
}

/// Without a cluster in the stack, they are of a cluster of others in its network.
#[test]
fn groups_of_a_cluster_of_others_are_named() {
    let world = Provider::new(NETWORK);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    let made = in_network(&world, "print(json.dumps(sorted(left())))");
    let said = world.run(&["down", "--sandbox", "--yes", "--json"]).with(3);
    let mut named: Vec<Value> = said.lines("obstacle").iter().map(|line| line["id"].clone()).collect();
    named.retain(|id| id.as_str().is_some_and(|id| id.starts_with("sg-")));
    named.sort_by_key(ToString::to_string);
    assert_eq!(json!(named), made);
    assert!(said.lines("step").is_empty(), "{}", said.out);
}

/// An interface of a load balancer that outlives the cluster, as one does whose load balancer is not deleted.
const INTERFACE: &str = "
ec2 = client('ec2')
subnet = ec2.describe_subnets(Filters=[{'Name': 'tag:provisioner:stack', 'Values': ['shop']}])['Subnets'][0]['SubnetId']
eni = ec2.create_network_interface(SubnetId=subnet, Description='ELB app/k8s-shop-web-0a1b2c3d4e/50dc6c495c0c9188')
print(json.dumps(eni['NetworkInterface']['NetworkInterfaceId']))";

/// Its name says that a controller created it, and the tagging API does not list it, so it is taken as deleted.
#[test]
fn a_load_balancer_s_interface_that_outlives_the_cluster_is_waited_for_and_named() {
    let world = Provider::new(CLUSTER);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    let interface = world.boto3(INTERFACE);
    let interface = interface.as_str().unwrap();
    let said = world.run(&["down", "--sandbox", "--yes", "--json"]).with(6);
    let named = format!("load balancer k8s-shop-web-0a1b2c3d4e (network interface {interface}, in subnet-");
    assert!(said.lines("obstacle").is_empty(), "{}", said.out);
    let waits = |line: &Value| line.to_string().contains(&format!("waiting for the end of {named}"));
    assert!(said.lines("step").iter().any(waits), "{}", said.out);
    let blocked = format!("blocked by {named}");
    assert!(said.out.contains(&blocked), "{}", said.out);
    assert!(said.out.contains("describe-load-balancers --names k8s-shop-web-0a1b2c3d4e"), "{}", said.out);
    let clusters = "print(json.dumps(client('eks').list_clusters()['clusters']))";
    assert_eq!(world.boto3(clusters), json!([]));

    world.boto3(&format!(
        "client('ec2').delete_network_interface(NetworkInterfaceId='{interface}')\nprint('null')"
    ));
    world.run(&["down", "--sandbox", "--yes"]).with(0);
    nothing_is_left(&world);
}

#[test]
fn an_oidc_provider_that_is_left_is_named() {
    let world = Provider::new(CLUSTER);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    // One with the stack's tag, one of its cluster's issuer that neither tag nor record names, and one of another region.
    let made = world.boto3(
        "
iam, left = client('iam'), []
for it in iam.list_open_id_connect_providers()['OpenIDConnectProviderList']:
    tags = iam.list_open_id_connect_provider_tags(OpenIDConnectProviderArn=it['Arn'])['Tags']
    iam.untag_open_id_connect_provider(OpenIDConnectProviderArn=it['Arn'], TagKeys=[tag['Key'] for tag in tags])
    left.append(it['Arn'])
for region in ['eu-central-1', 'us-east-1']:
    left.append(iam.create_open_id_connect_provider(Url=f'https://oidc.eks.{region}.amazonaws.com/id/0123456789ABCDEF',
        ClientIDList=['sts.amazonaws.com'], ThumbprintList=['a' * 40],
        Tags=[{'Key': 'provisioner:stack', 'Value': 'shop'}])['OpenIDConnectProviderArn'])
print(json.dumps(left))",
    );
    let [of_issuer, tagged, elsewhere] = [0, 1, 2].map(|index| made[index].as_str().unwrap());
    world.run(&["state", "forget", "cluster/oidc-provider", "--sandbox", "--yes"]).with(0);
    let said = world.run(&["down", "--sandbox", "--yes"]).with(6);
    for arn in [of_issuer, tagged] {
        assert!(said.err.contains(arn), "{arn}: {}", said.err);
    }
    assert!(!said.err.contains(elsewhere), "{}", said.err);
    // The issuer is no longer known; the tag still is.
    let said = world.run(&["down", "--sandbox", "--yes"]).with(1);
    assert!(said.err.contains(tagged) && !said.err.contains(elsewhere), "{}", said.err);
    world.boto3(&format!(
        "client('iam').delete_open_id_connect_provider(OpenIDConnectProviderArn='{tagged}')\nprint('null')"
    ));
    world.run(&["down", "--sandbox", "--yes"]).with(0);
}
