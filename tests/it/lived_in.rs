//! `down` in an account that others use too: what they put into the stack's network is named before anything is deleted, and
//! is never deleted.

use crate::common::{Ended, Provider, kube::kubectl, until};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const NETWORK: &str = "name: shop\nregion: eu-central-1\nnetwork: {nat: none}\n";

/// The stack's network as boto3 sees it: `ec2`, `vpc`, `subnet`, `group` and `table`.
const FIND: &str = "
ec2 = client('ec2')
tag = lambda address: [{'Name': 'tag:provisioner:resource', 'Values': [address]}]
vpc = ec2.describe_vpcs(Filters=tag('network/vpc'))['Vpcs'][0]['VpcId']
of_vpc = [{'Name': 'vpc-id', 'Values': [vpc]}]
own = [{'Name': 'tag:provisioner:stack', 'Values': ['shop']}]
subnet = ec2.describe_subnets(Filters=of_vpc + own)['Subnets'][0]['SubnetId']
group = ec2.describe_security_groups(Filters=of_vpc + tag('network/security-group/endpoints'))['SecurityGroups'][0]['GroupId']
table = ec2.describe_route_tables(Filters=of_vpc + own)['RouteTables'][0]['RouteTableId']
";

fn created() -> Provider {
    let world = Provider::new(NETWORK);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    world
}

fn in_network(world: &Provider, code: &str) -> Value {
    world.boto3(&format!("{FIND}{code}"))
}

/// What the JSON lines of a run name as obstacles: kind and name or id.
fn named(lines: &[Value]) -> BTreeSet<(String, String)> {
    let text = |line: &Value, field: &str| line[field].as_str().unwrap_or_default().to_owned();
    lines.iter().map(|line| (text(line, "kind"), text(line, "id"))).collect()
}

#[test]
fn everything_of_others_is_named_before_the_rest_is_deleted() {
    let world = created();
    let foreign = in_network(
        &world,
        "
iam = client('iam')
named = []
def add(kind, id): named.append([kind, id])
team = ec2.create_security_group(GroupName='team', Description='team', VpcId=vpc)['GroupId']
add('security group', team)
rule = ec2.authorize_security_group_ingress(GroupId=team, IpPermissions=[{'IpProtocol': 'tcp', 'FromPort': 1, 'ToPort': 1,
    'UserIdGroupPairs': [{'GroupId': group}]}])['SecurityGroupRules'][0]['SecurityGroupRuleId']
add('security group rule', rule)
image = ec2.describe_images(Owners=['amazon'])['Images'][0]['ImageId']
bastion = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, SubnetId=subnet, TagSpecifications=[
    {'ResourceType': 'instance', 'Tags': [{'Key': 'Name', 'Value': 'bastion'}]}])['Instances'][0]['InstanceId']
add('instance', bastion)
for text in ['EFS mount target for fs-1 (fsmt-1)', 'AWS Lambda VPC ENI-report-1']:
    eni = ec2.create_network_interface(SubnetId=subnet, Description=text)['NetworkInterface']['NetworkInterfaceId']
    add('network interface', eni)
client('elbv2').create_load_balancer(Name='by-hand', Type='network', Scheme='internal', Subnets=[subnet])
add('load balancer', 'by-hand')
other = ec2.create_subnet(VpcId=vpc, CidrBlock='10.0.250.0/24')['Subnet']['SubnetId']
add('subnet', other)
association = ec2.associate_route_table(SubnetId=other, RouteTableId=table)['AssociationId']
add('route table association', association)
foreign = ec2.create_route_table(VpcId=vpc)['RouteTable']['RouteTableId']
add('route table', foreign)
acl = ec2.create_network_acl(VpcId=vpc)['NetworkAcl']['NetworkAclId']
add('network ACL', acl)
egress = ec2.create_egress_only_internet_gateway(VpcId=vpc)['EgressOnlyInternetGateway']['EgressOnlyInternetGatewayId']
add('egress-only internet gateway', egress)
vpn = ec2.create_vpn_gateway(Type='ipsec.1')['VpnGateway']['VpnGatewayId']
ec2.attach_vpn_gateway(VpcId=vpc, VpnGatewayId=vpn)
add('VPN gateway', vpn)
away = ec2.create_vpc(CidrBlock='172.30.0.0/16')['Vpc']['VpcId']
peering = ec2.create_vpc_peering_connection(VpcId=vpc, PeerVpcId=away)['VpcPeeringConnection']['VpcPeeringConnectionId']
ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=peering)
transit = ec2.create_transit_gateway()['TransitGateway']['TransitGatewayId']
attachment = ec2.create_transit_gateway_vpc_attachment(TransitGatewayId=transit, VpcId=vpc, SubnetIds=[subnet])
add('transit gateway attachment', attachment['TransitGatewayVpcAttachment']['TransitGatewayAttachmentId'])
endpoint = ec2.create_vpc_endpoint(VpcId=vpc, ServiceName='com.amazonaws.eu-central-1.dynamodb')['VpcEndpoint']['VpcEndpointId']
add('VPC endpoint', endpoint)
role = [it['RoleName'] for it in iam.list_roles()['Roles'] if it['RoleName'].startswith('shop')][0]
iam.create_instance_profile(InstanceProfileName='team')
iam.add_role_to_instance_profile(InstanceProfileName='team', RoleName=role)
add('instance profile', 'team')
print(json.dumps(named))
",
    );
    let pair = |it: &Value| (it[0].as_str().unwrap().to_owned(), it[1].as_str().unwrap().to_owned());
    let foreign: BTreeSet<_> = foreign.as_array().unwrap().iter().map(pair).collect();

    // Something uses the VPC, so all of the network stays.
    let said = world.run(&["down", "--sandbox", "--yes", "--json"]).with(3);
    assert_eq!(named(&said.lines("obstacle")), foreign);
    assert!(said.lines("step").is_empty(), "{}", said.out);
    for line in said.lines("obstacle") {
        assert!(line["address"].as_str().unwrap().starts_with("network/"), "{line}");
        assert!(!line["hint"].as_str().unwrap().is_empty(), "{line}");
    }
    let bastion = said.lines("obstacle").into_iter().find(|line| line["kind"] == "instance").unwrap();
    assert_eq!(bastion["name"], "bastion");

    // Nothing of theirs is touched, and nothing that theirs need.
    let left = in_network(&world, "print(json.dumps([vpc, subnet, group, table]))");
    assert_eq!(left.as_array().unwrap().len(), 4);
    let text = world.run(&["down", "--sandbox", "--yes"]).with(3);
    assert!(text.err.contains("\"bastion\"") && text.err.contains("terminate-instances"), "{}", text.err);
    assert!(!text.err.contains("peering"), "{}", text.err);

    in_network(
        &world,
        "
iam = client('iam')
iam.remove_role_from_instance_profile(InstanceProfileName='team', RoleName=
    iam.get_instance_profile(InstanceProfileName='team')['InstanceProfile']['Roles'][0]['RoleName'])
elb = client('elbv2')
for it in elb.describe_load_balancers()['LoadBalancers']: elb.delete_load_balancer(LoadBalancerArn=it['LoadBalancerArn'])
instances = [it['InstanceId'] for r in ec2.describe_instances(Filters=of_vpc)['Reservations'] for it in r['Instances']]
ec2.terminate_instances(InstanceIds=instances)
for eni in ec2.describe_network_interfaces(Filters=of_vpc)['NetworkInterfaces']:
    if eni['Description'].startswith(('EFS', 'AWS Lambda')):
        ec2.delete_network_interface(NetworkInterfaceId=eni['NetworkInterfaceId'])
ec2.delete_vpc_endpoints(VpcEndpointIds=[it['VpcEndpointId'] for it in ec2.describe_vpc_endpoints(Filters=of_vpc)['VpcEndpoints']
    if it['ServiceName'].endswith('dynamodb') and not it['Tags']])
for it in ec2.describe_transit_gateway_vpc_attachments()['TransitGatewayVpcAttachments']:
    ec2.delete_transit_gateway_vpc_attachment(TransitGatewayAttachmentId=it['TransitGatewayAttachmentId'])
for it in ec2.describe_vpn_gateways()['VpnGateways']:
    ec2.detach_vpn_gateway(VpcId=vpc, VpnGatewayId=it['VpnGatewayId'])
for it in ec2.describe_egress_only_internet_gateways()['EgressOnlyInternetGateways']:
    ec2.delete_egress_only_internet_gateway(EgressOnlyInternetGatewayId=it['EgressOnlyInternetGatewayId'])
for it in ec2.describe_network_acls(Filters=of_vpc)['NetworkAcls']:
    if not it['IsDefault']: ec2.delete_network_acl(NetworkAclId=it['NetworkAclId'])
for it in ec2.describe_route_tables(Filters=of_vpc)['RouteTables']:
    for a in it['Associations']:
        if a.get('SubnetId') and 'provisioner:stack' not in str(ec2.describe_subnets(SubnetIds=[a['SubnetId']])):
            ec2.disassociate_route_table(AssociationId=a['RouteTableAssociationId'])
for it in ec2.describe_route_tables(Filters=of_vpc)['RouteTables']:
    if not it['Tags'] and not any(a['Main'] for a in it['Associations']):
        ec2.delete_route_table(RouteTableId=it['RouteTableId'])
for it in ec2.describe_subnets(Filters=of_vpc)['Subnets']:
    if not it.get('Tags'): ec2.delete_subnet(SubnetId=it['SubnetId'])
for it in ec2.describe_security_groups(Filters=of_vpc)['SecurityGroups']:
    if it['GroupName'] == 'team': ec2.delete_security_group(GroupId=it['GroupId'])
print('null')
",
    );
    // Those of a load balancer end after it.
    let interfaces = "len([i for i in ec2.describe_network_interfaces(Filters=of_vpc)['NetworkInterfaces'] if i['Description'].startswith('ELB')])";
    until("the interfaces end", || in_network(&world, &format!("print({interfaces})")) == json!(0));
    let said = world.run(&["down", "--sandbox", "--yes"]).with(0);
    assert!(said.err.contains("warning: peering connection pcx-"), "{}", said.err);
    let vpcs = world.boto3("print(json.dumps([v['CidrBlock'] for v in client('ec2').describe_vpcs()['Vpcs'] if not v['IsDefault']]))");
    assert_eq!(vpcs, json!(["172.30.0.0/16"]));
}

#[test]
fn what_services_left_in_the_network_goes_with_it() {
    let world = created();
    in_network(
        &world,
        "
ec2.create_network_interface(SubnetId=subnet, Groups=[group], Description='aws-K8S-i-0123456789abcdef0', TagSpecifications=[
    {'ResourceType': 'network-interface', 'Tags': [{'Key': 'cluster.k8s.amazonaws.com/name', 'Value': 'shop'}]}])
tags = lambda kind: [{'ResourceType': kind, 'Tags': [{'Key': 'GuardDutyManaged', 'Value': 'true'}]}]
managed = ec2.create_security_group(GroupName='GuardDutyManagedSecurityGroup-' + vpc, Description='x', VpcId=vpc,
    TagSpecifications=tags('security-group'))['GroupId']
ec2.create_vpc_endpoint(VpcId=vpc, VpcEndpointType='Interface', SubnetIds=[subnet], SecurityGroupIds=[managed],
    ServiceName='com.amazonaws.eu-central-1.guardduty-data', TagSpecifications=tags('vpc-endpoint'))
default = ec2.describe_security_groups(Filters=of_vpc + [{'Name': 'group-name', 'Values': ['default']}])['SecurityGroups'][0]
ec2.authorize_security_group_ingress(GroupId=default['GroupId'], IpPermissions=[{'IpProtocol': 'tcp', 'FromPort': 1, 'ToPort': 1,
    'UserIdGroupPairs': [{'GroupId': group}]}])
print('null')
",
    );
    let said = world.run(&["down", "--sandbox", "--yes"]).with(0);
    assert!(!said.err.contains("block"), "{}", said.err);
    let left = "e = client('ec2'); print(json.dumps([len(e.describe_network_interfaces()['NetworkInterfaces']), \
        [v for v in e.describe_vpcs()['Vpcs'] if not v['IsDefault']]]))";
    assert_eq!(world.boto3(left), json!([0, []]));
}

#[test]
fn a_plan_that_replaces_a_network_in_use_is_refused() {
    let world = created();
    in_network(
        &world,
        "ec2.create_network_interface(SubnetId=subnet, Description='RDSNetworkInterface'); print('null')",
    );
    world.stack("name: shop\nregion: eu-central-1\nnetwork: {nat: none, cidr: 10.9.0.0/16}\n");
    let said = world.run(&["plan", "--sandbox"]).with(3);
    assert!(
        said.err.contains("RDSNetworkInterface") && said.err.contains("delete the database"),
        "{}",
        said.err
    );
    let log = world.calls_of(&["up", "--sandbox", "--yes"], 3);
    assert!(!log.iter().any(|call| call.contains(":Delete")), "{log:?}");
    let doctor = world.run(&["doctor", "--sandbox"]).with(1);
    assert!(doctor.out.contains("RDSNetworkInterface"), "{}", doctor.out);
}

#[test]
fn queries_that_are_denied_are_reported_and_do_not_stop_a_deletion() {
    let world = created();
    world.configure(&json!({"faults": [
        {"on": "ec2:DescribeVpnGateways", "kind": "error", "code": "UnauthorizedOperation", "status": 403, "message": "no"},
    ]}));
    let said = world.run(&["down", "--sandbox", "--yes"]).with(0);
    assert!(said.err.contains("could not be looked at: VPN gateways"), "{}", said.err);
}

/// Only the controller in the cluster deletes a load balancer, so both stay until a team has deleted its Service.
#[test]
fn a_load_balancer_of_another_service_keeps_the_cluster_and_its_controller() {
    let Some(kubectl) = kubectl() else { return };
    let world = Provider::new(
        "name: shop\nregion: eu-central-1\nnetwork: {zones: 2}\ncluster: {}\napp: {replicas: 1, ingress: none}\n\
         controllers: {loadBalancerController: true}\n",
    );
    world.sandbox(600);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    let kubeconfig = world.path().join("kubeconfig");
    let write = world.command(&["kubeconfig", "--sandbox"]).env("KUBECONFIG", &kubeconfig).output().unwrap();
    Ended::of(&write).with(0);
    let asked = |args: &[&str]| {
        let mut command = std::process::Command::new(&kubectl);
        command.args(args).env("KUBECONFIG", &kubeconfig).stdin(std::process::Stdio::null());
        Ended::of(&command.output().unwrap()).with(0)
    };
    let file = world.path().join("team.yaml");
    let text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: team}\n---\n\
        apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n  namespace: team\n  annotations:\n    \
        service.beta.kubernetes.io/aws-load-balancer-scheme: internet-facing\nspec:\n  type: LoadBalancer\n  \
        loadBalancerClass: service.k8s.aws/nlb\n  selector: {app: web}\n  ports: [{port: 80, targetPort: 8080}]\n";
    std::fs::write(&file, text).unwrap();
    asked(&["apply", "--filename", file.to_str().unwrap()]);
    let balancers = "print(json.dumps([b['LoadBalancerName'] for b in client('elbv2').describe_load_balancers()['LoadBalancers']]))";
    until("the Service has a load balancer", || world.boto3(balancers).as_array().unwrap().len() == 1);

    let said = world.run(&["down", "--sandbox", "--yes"]).with(6);
    assert!(said.err.contains("of Service team/web in cluster shop"), "{}", said.err);
    assert!(said.err.contains("kubectl delete service -n team web"), "{}", said.err);
    assert!(!said.err.contains("finds nothing"), "{}", said.err);
    assert_eq!(world.boto3(balancers).as_array().unwrap().len(), 1);
    let deployments = asked(&["get", "deployments", "--all-namespaces", "--output", "name"]).out;
    assert_eq!(deployments.trim(), "deployment.apps/aws-load-balancer-controller");

    asked(&["delete", "service", "--namespace", "team", "web"]);
    until("the load balancer is deleted", || world.boto3(balancers).as_array().unwrap().is_empty());
    let said = world.run(&["down", "--sandbox", "--yes"]).with(0);
    assert!(said.err.contains("queries for the tags of cluster shop find nothing"), "{}", said.err);
}

/// What others have in the account, as boto3 describes it.
const FOREIGN: &str = "
def foreign():
    ec2, iam, logs, elb = client('ec2'), client('iam'), client('logs'), client('elbv2')
    mine = [{'Name': 'tag:team', 'Values': ['web']}]
    return {
        'vpcs': ec2.describe_vpcs(Filters=mine)['Vpcs'],
        'subnets': ec2.describe_subnets(Filters=mine)['Subnets'],
        'groups': ec2.describe_security_groups(Filters=mine)['SecurityGroups'],
        'volumes': ec2.describe_volumes(Filters=mine)['Volumes'],
        'role': [r for r in iam.list_roles()['Roles'] if r['RoleName'] == 'shopper'],
        'logs': [g for g in logs.describe_log_groups()['logGroups'] if g['logGroupName'] == '/aws/eks/shopper/cluster'],
        'balancers': elb.describe_load_balancers()['LoadBalancers'],
    }
";

const PUT_FOREIGN: &str = "
ec2, iam = client('ec2'), client('iam')
tags = lambda kind: [{'ResourceType': kind, 'Tags': [{'Key': 'team', 'Value': 'web'}]}]
vpc = ec2.create_vpc(CidrBlock='172.30.0.0/16', TagSpecifications=tags('vpc'))['Vpc']['VpcId']
subnet = ec2.create_subnet(VpcId=vpc, CidrBlock='172.30.0.0/24', AvailabilityZone='eu-central-1a',
    TagSpecifications=tags('subnet'))['Subnet']['SubnetId']
ec2.create_security_group(GroupName='team', Description='team', VpcId=vpc, TagSpecifications=tags('security-group'))
ec2.create_volume(AvailabilityZone='eu-central-1a', Size=1, TagSpecifications=tags('volume'))
iam.create_role(RoleName='shopper', AssumeRolePolicyDocument=json.dumps({'Version': '2012-10-17', 'Statement': [
    {'Effect': 'Allow', 'Principal': {'Service': 'ec2.amazonaws.com'}, 'Action': 'sts:AssumeRole'}]}))
client('logs').create_log_group(logGroupName='/aws/eks/shopper/cluster')
client('elbv2').create_load_balancer(Name='by-hand', Type='network', Scheme='internal', Subnets=[subnet])
";

/// A stack that was in use for a while, in an account with resources of others: boto3 asks every service, before and after.
#[test]
fn nothing_of_a_stack_in_use_is_left_but_its_data_and_nothing_of_others_is_touched() {
    let Some(kubectl) = kubectl() else { return };
    let world = Provider::new(
        "name: shop\nregion: eu-central-1\nnetwork: {zones: 2}\ncluster:\n  addons: [{name: aws-ebs-csi-driver}]\n\
         nodeGroups: [{name: main}]\napp: {replicas: 1, ingress: none}\n",
    );
    world.sandbox(120);
    let census = include_str!("common/census.py");
    let seen = || {
        world.boto3(&format!(
            "{census}\n{FOREIGN}\nprint(json.dumps([census('eu-central-1'), foreign()], default=str))"
        ))
    };
    world.boto3(&format!("{PUT_FOREIGN}\nprint('null')"));
    let balancer =
        "print(json.dumps(client('elbv2').describe_load_balancers()['LoadBalancers'][0]['State']['Code']))";
    until("the load balancer is active", || world.boto3(balancer) == json!("active"));
    let before = seen();

    world.run(&["up", "--sandbox", "--yes"]).with(0);
    world.configure(&json!({"lateLogs": true, "cniLeftovers": 2}));
    let kubeconfig = world.path().join("kubeconfig");
    let write = world.command(&["kubeconfig", "--sandbox"]).env("KUBECONFIG", &kubeconfig).output().unwrap();
    Ended::of(&write).with(0);
    let file = world.path().join("claim.yaml");
    let text = "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: now}\nprovisioner: ebs.csi.aws.com\n\
        reclaimPolicy: Delete\nvolumeBindingMode: Immediate\n---\napiVersion: v1\nkind: PersistentVolumeClaim\n\
        metadata: {name: data, namespace: demo-application}\nspec:\n  accessModes: [ReadWriteOnce]\n  \
        storageClassName: now\n  resources: {requests: {storage: 1Gi}}\n";
    std::fs::write(&file, text).unwrap();
    let mut apply = std::process::Command::new(&kubectl);
    apply.args(["apply", "--filename", file.to_str().unwrap()]).env("KUBECONFIG", &kubeconfig);
    Ended::of(&apply.stdin(std::process::Stdio::null()).output().unwrap()).with(0);
    let volumes = "print(json.dumps([v['VolumeId'] for v in client('ec2').describe_volumes(Filters=\
        [{'Name': 'tag:ebs.csi.aws.com/cluster', 'Values': ['true']}])['Volumes']]))";
    until("the claim has a volume", || world.boto3(volumes).as_array().unwrap().len() == 1);

    world.run(&["down", "--backend", "--sandbox", "--yes"]).with(0);
    let volume = world.boto3(volumes);
    assert_eq!(volume.as_array().unwrap().len(), 1);
    // The last log events arrive two minutes after the end of the cluster, which is a second here.
    std::thread::sleep(std::time::Duration::from_secs(2));
    world.boto3(&format!("client('ec2').delete_volume(VolumeId={})\nprint('null')", volume[0]));
    assert_eq!(seen(), before);
}
