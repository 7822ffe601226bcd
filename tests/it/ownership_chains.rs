//! Forged states beyond single records: intents, records that depend on forged ones, parts that name parents of others, and
//! tags on subnets of an existing network.

use crate::common::Provider;
use serde_json::{Value, json};

const STACK: &str = "name: shop\nregion: eu-central-1\nnetwork: {zones: 2, nat: none, endpoints: []}\n\
    repositories: [{name: team/app}]\n";

fn up(stack: &str) -> Provider {
    let world = Provider::new(stack);
    world.sandbox(1200);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    world
}

/// Python that changes the state by `change` and seals it as the program does.
fn forge(change: &str) -> String {
    format!(
        "import copy, hashlib, time\ns3 = client('s3')\nbucket = s3.list_buckets()['Buckets'][0]['Name']\n\
         o = s3.get_object(Bucket=bucket, Key='shop/state.json')\nstate = json.loads(o['Body'].read())\n\
         records = state['resources']\n{change}\n\
         for key in ('resources', 'intents', 'outputs'): state[key] = dict(sorted(state[key].items()))\n\
         def text(): return json.dumps(state, indent=2, ensure_ascii=False)\n\
         state['digest'] = ''\nstate['digest'] = hashlib.sha256(text().encode()).hexdigest()\n\
         s3.put_object(Bucket=bucket, Key='shop/state.json', Body=text().encode(), IfMatch=o['ETag'])\nprint('null')"
    )
}

/// The calls of a run that change anything, without those on lease and state.
fn writes(world: &Provider, args: &[&str], code: i32) -> Vec<String> {
    let reads = ["Describe", "Get", "List", "Head", "Batch", "Assume"];
    let changes = |call: &String| {
        let (service, action) = call.split_once(':').unwrap();
        !reads.iter().any(|read| action.starts_with(read)) && service != "dynamodb" && call != "s3:PutObject"
    };
    world.calls_of(args, code).into_iter().filter(changes).collect()
}

/// Python that creates a role and a repository of others.
const THEIRS: &str = "iam, ecr = client('iam'), client('ecr')\n\
    trust = json.dumps({'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Principal': {'Service': 'ec2.amazonaws.com'}, 'Action': 'sts:AssumeRole'}]})\n\
    role = iam.create_role(RoleName='prod-admin', AssumeRolePolicyDocument=trust)['Role']\n\
    repository = ecr.create_repository(repositoryName='prod/payments')['repository']\n";

const THEIRS_LEFT: &str = "iam, ecr = client('iam'), client('ecr')\n\
    role = [r for r in iam.list_roles()['Roles'] if r['RoleName'] == 'prod-admin']\n\
    repository = [r for r in ecr.describe_repositories()['repositories'] if r['repositoryName'] == 'prod/payments']\n\
    print(json.dumps([[r['RoleId'] for r in role], iam.list_role_tags(RoleName='prod-admin')['Tags'] if role else None,\n  \
    [str(r['createdAt']) for r in repository],\n  \
    [ecr.list_tags_for_resource(resourceArn=r['repositoryArn'])['tags'] for r in repository]]))";

/// An intent says that its create was accepted, and nothing on the resource does.
#[test]
fn a_forged_intent_acts_on_nothing_that_carries_no_tags() {
    let world = up(STACK);
    let before = world.boto3(&format!("{THEIRS}{THEIRS_LEFT}"));
    world.boto3(&forge(
        "def intent(like, name):\n    \
         request = copy.deepcopy(records[like]['spec'])\n    request['name'] = name\n    \
         process = {'host': '', 'bootId': '', 'pidNamespace': '', 'pid': 1, 'started': 1}\n    \
         return {'kind': records[like]['kind'], 'stage': 'network', 'nonce': 'n', 'token': 't', 'signedAt': int(time.time()),\n        \
         'request': request, 'dependencies': [], 'owner': 'o', 'process': process, 'made': True}\n\
         state['intents']['network/forged-role'] = intent('network/flow-log-role', 'prod-admin')\n\
         state['intents']['network/forged-repository'] = intent('cluster/repository/team/app', 'prod/payments')",
    ));
    let ended = world.run(&["up", "--sandbox", "--yes"]);
    assert_eq!(world.boto3(THEIRS_LEFT), before, "{}", ended.err);
    let ended = world.run(&["down", "--sandbox", "--yes"]);
    assert_eq!(world.boto3(THEIRS_LEFT), before, "{}", ended.err);
    world.run(&["down", "--sandbox", "--yes"]).with(0);
}

/// Python that creates a route table with a route, and a repository with an image, of others.
const PARTS: &str = "ec2, ecr = client('ec2'), client('ecr')\n\
    vpc = ec2.create_vpc(CidrBlock='10.9.0.0/16')['Vpc']['VpcId']\n\
    gateway = ec2.create_internet_gateway()['InternetGateway']['InternetGatewayId']\n\
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)\n\
    table = ec2.create_route_table(VpcId=vpc)['RouteTable']['RouteTableId']\n\
    ec2.create_route(RouteTableId=table, DestinationCidrBlock='0.0.0.0/0', GatewayId=gateway)\n\
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock='10.9.1.0/24')['Subnet']['SubnetId']\n\
    association = ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)['AssociationId']\n";

const PARTS_LEFT: &str = "ec2 = client('ec2')\n\
    vpc = ec2.describe_vpcs(Filters=[{'Name': 'cidr', 'Values': ['10.9.0.0/16']}])['Vpcs'][0]['VpcId']\n\
    tables = ec2.describe_route_tables(Filters=[{'Name': 'vpc-id', 'Values': [vpc]}])['RouteTables']\n\
    tables = sorted(tables, key=lambda t: t['RouteTableId'])\n\
    print(json.dumps([[t['Routes'], t['Associations'], t['Tags']] for t in tables]))";

#[test]
fn records_that_depend_on_forged_ones_prove_nothing() {
    let world = up(STACK);
    let before = world.boto3(&format!("{PARTS}{PARTS_LEFT}"));
    let found = format!("{PARTS_LEFT}\n").replace("print(", "found = (");
    let change = "def record(like, live, *dependencies):\n    \
        made = copy.deepcopy(records[like])\n    made['live'].update(live)\n    \
        if 'tags' in made['live']: made['live']['tags'] = {}\n    \
        made['dependencies'] = sorted(dependencies)\n    return made\n\
        theirs = [t for t in tables if any('GatewayId' in r and r['GatewayId'].startswith('igw-') for r in t['Routes'])][0]\n\
        table, route = theirs['RouteTableId'], {'table': theirs['RouteTableId'], 'destination': '0.0.0.0/0', 'gateway': None, 'nat': None}\n\
        association = [a for a in theirs['Associations'] if 'SubnetId' in a][0]\n\
        association = {'id': association['RouteTableAssociationId'], 'subnet': association['SubnetId'], 'table': table}\n\
        public = 'network/route/public'\n\
        subnet = [at for at in records if at.startswith('network/association/')][0]\n\
        records['network/forged-table'] = record('network/route-table/public', {'id': table, 'vpc': vpc})\n\
        records['network/forged-route'] = record(public, route, 'network/forged-table')\n\
        records['network/ghost'] = record('network/route-table/public', {'id': 'rtb-0ffffffffffffffff'})\n\
        records['network/forged-of-ghost'] = record(public, route, 'network/ghost')\n\
        records['network/forged-of-own'] = record(public, route, 'network/route-table/public')\n\
        records['network/forged-association'] = record(subnet, association, 'network/vpc', 'network/ghost')";
    world.boto3(&forge(&format!("{found}{change}")));
    assert_eq!(writes(&world, &["up", "--sandbox", "--yes"], 3), Vec::<String>::new());
    let up = world.run(&["up", "--sandbox", "--yes"]).with(3);
    assert!(up.err.contains("error: network/forged-table: "), "{}", up.err);
    // The tables of others are not even looked into.
    for address in ["forged-route", "forged-of-ghost", "forged-of-own", "forged-association"] {
        let line = up.err.lines().find(|line| line.contains(&format!("network/{address} "))).unwrap();
        assert!(line.contains("only its record is dropped"), "{line}");
    }
    assert_eq!(world.boto3(PARTS_LEFT), before);
    // The record with the right id has to be dropped by hand; the others are dropped with what they depend on.
    let down = world.run(&["down", "--sandbox", "--yes"]).with(3);
    assert!(down.err.contains("state forget network/forged-table"), "{}", down.err);
    world.run(&["state", "forget", "network/forged-table", "--sandbox", "--yes"]).with(0);
    world.run(&["down", "--sandbox", "--yes"]).with(0);
    assert_eq!(world.boto3(PARTS_LEFT), before);
}

/// A record at the address of a wanted resource names another's, with its right birth mark: nothing of it is tagged or
/// changed, so that no later run takes it for the stack's.
#[test]
fn a_wanted_address_does_not_lend_its_record_an_owner() {
    let world = up(STACK);
    let before = world.boto3(&format!("{THEIRS}{THEIRS_LEFT}"));
    world.boto3(&forge(
        "role = client('iam').get_role(RoleName='prod-admin')['Role']\n\
         records['network/flow-log-role']['live'].update({'name': 'prod-admin', 'arn': role['Arn'], 'birth': role['RoleId']})",
    ));
    let import = "`provisioner state import network/flow-log-role prod-admin --take-over`";
    for _ in 0..2 {
        let up = world.run(&["up", "--sandbox", "--yes"]).with(3);
        assert!(up.err.contains(import), "{}", up.err);
        assert_eq!(world.boto3(THEIRS_LEFT), before);
    }
    let down = world.run(&["down", "--sandbox", "--yes"]).with(3);
    assert!(down.err.contains("`provisioner state forget network/flow-log-role`"), "{}", down.err);
    assert_eq!(world.boto3(THEIRS_LEFT), before);
}

#[test]
fn tags_that_were_removed_are_put_back_on_request() {
    let world = up(STACK);
    let untag = "ec2 = client('ec2')\n\
        vpc = ec2.describe_vpcs(Filters=[{'Name': 'tag:provisioner:stack', 'Values': ['shop']}])['Vpcs'][0]\n\
        ec2.delete_tags(Resources=[vpc['VpcId']], Tags=[{'Key': t['Key']} for t in vpc['Tags'] if t['Key'] != 'Name'])\n\
        print(json.dumps(vpc['VpcId']))";
    let id = world.boto3(untag);
    let id = id.as_str().unwrap();
    let plan = world.run(&["plan", "--sandbox"]).with(3);
    let import = ["state", "import", "network/vpc", id, "--take-over"];
    assert!(plan.err.contains(&format!("`provisioner {}`", import.join(" "))), "{}", plan.err);
    let sandbox = ["--sandbox", "--yes"];
    world.run(&[&import[..4], &sandbox].concat()).with(3);
    world.run(&[&import[..3], &["vpc-0ffffffffffffffff", "--take-over"], &sandbox].concat()).with(3);
    world.run(&[&import[..], &sandbox].concat()).with(0);
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    world.run(&["down", "--sandbox", "--yes"]).with(0);
}

#[test]
fn more_hostile_numbers_end_in_an_answer() {
    let world = up(STACK);
    let process =
        "{'host': '', 'bootId': '', 'pidNamespace': '', 'pid': 4294967295, 'started': 18446744073709551615}";
    let intent = format!(
        "state['intents']['network/x'] = {{'kind': 'vpc', 'stage': 'network', 'nonce': 'n', 'token': 't', 'signedAt': 253402300799,\n  \
         'request': None, 'dependencies': ['network/x'], 'owner': 'o', 'process': {process}}}"
    );
    let changes = [
        "state['outputs']['duration/vpc'] = 18446744073709551615",
        "state['outputs']['duration/vpc'] = -1e308",
        "state['outputs']['zones'] = [1, None, 'eu-central-1a']",
        "state['outputs']['abandoned'] = {'n': -1}",
        "records['cluster/repository/team/app']['dependencies'] = ['cluster/repository/team/app']",
        "state['version'] = 9007199254740992",
        "records['network/vpc']['live']['id'] = -1",
        "records['network/vpc']['live'] = []",
        "records['network/vpc']['spec'] = 18446744073709551615",
        &intent,
    ];
    let look = "s3 = client('s3')\nbucket = s3.list_buckets()['Buckets'][0]['Name']\n";
    for change in changes {
        world.boto3(&forge(change));
        let ended = world.run(&["plan", "--sandbox", "--timeout", "600s"]);
        assert!(matches!(ended.code, Some(0 | 1 | 3)), "{change}: {ended:?}");
        assert!(
            !ended.err.contains("panicked") && !ended.err.contains("fault of provisioner"),
            "{change}: {}",
            ended.err
        );
        world.boto3(&format!(
            "{look}v = [x for x in s3.list_object_versions(Bucket=bucket, Prefix='shop/')['Versions'] if x['IsLatest']][0]\n\
             s3.delete_object(Bucket=bucket, Key='shop/state.json', VersionId=v['VersionId'])\nprint('null')"
        ));
        world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    }
}

/// Only tags that the marker of this stack lists are removed, and only from subnets of the file.
#[test]
fn tags_of_others_on_an_existing_subnet_stay() {
    let world = Provider::new("name: shop\nregion: eu-central-1\n");
    world.sandbox(1200);
    let made = world.boto3(
        "ec2 = client('ec2')\nvpc = ec2.create_vpc(CidrBlock='10.9.0.0/16')['Vpc']['VpcId']\n\
         gateway = ec2.create_internet_gateway()['InternetGateway']['InternetGatewayId']\n\
         ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)\n\
         table = ec2.create_route_table(VpcId=vpc)['RouteTable']['RouteTableId']\n\
         ec2.create_route(RouteTableId=table, DestinationCidrBlock='0.0.0.0/0', GatewayId=gateway)\n\
         nets = [ec2.create_subnet(VpcId=vpc, CidrBlock=f'10.9.{n}.0/24', AvailabilityZone='eu-central-1' + 'ab'[n % 2])['Subnet']['SubnetId'] for n in range(5)]\n\
         for net in nets[2:4]: ec2.associate_route_table(RouteTableId=table, SubnetId=net)\n\
         ec2.create_tags(Resources=nets[4:], Tags=[{'Key': 'kubernetes.io/role/elb', 'Value': '1'}, {'Key': 'owner', 'Value': 'team'}])\n\
         print(json.dumps([vpc, *nets]))",
    );
    let [vpc, private_a, private_b, public_a, public_b, theirs] =
        [0, 1, 2, 3, 4, 5].map(|index| made[index].as_str().unwrap().to_owned());
    world.stack(&format!(
        "name: shop\nregion: eu-central-1\nnetwork:\n  existing:\n    vpcId: {vpc}\n    \
         privateSubnetIds: [{private_a}, {private_b}]\n    publicSubnetIds: [{public_a}, {public_b}]\n"
    ));
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    let look = format!(
        "s = client('ec2').describe_subnets(SubnetIds=['{theirs}'])['Subnets'][0]\n\
         print(json.dumps(sorted(t['Key'] + '=' + t['Value'] for t in s['Tags'])))"
    );
    let before: Value = world.boto3(&look);
    // A record of its own, and one at a wanted address, that name another's subnet.
    let own = format!("network/subnet-tags/{public_a}");
    world.boto3(&forge(&format!(
        "forged = copy.deepcopy(records['{own}'])\nforged['live']['id'] = '{theirs}'\nforged['spec']['subnet'] = '{theirs}'\n\
         records['network/subnet-tags/forged'] = forged\n\
         records['network/subnet-tags/{public_b}']['live']['id'] = '{theirs}'"
    )));
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    assert_eq!(world.boto3(&look), before);
    // The stack's marker, which anyone can write, on a subnet that no record names.
    world.boto3(&format!(
        "marker = {{'Key': 'provisioner:role-tags/shop', 'Value': 'kubernetes.io/role/elb'}}\n\
         client('ec2').create_tags(Resources=['{theirs}'], Tags=[marker])\nprint('null')"
    ));
    let before = world.boto3(&look);
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    // It is left, and named like any tag of the stack on what no record names.
    let said = world.run(&["down", "--sandbox", "--yes"]).with(6);
    assert!(said.err.contains(&format!("left on subnets of others: {theirs}\n")), "{}", said.err);
    assert_eq!(world.boto3(&look), before);
    let left = world.boto3(&format!(
        "s = client('ec2').describe_subnets(SubnetIds=['{private_a}', '{public_a}'])['Subnets']\n\
         print(json.dumps([x.get('Tags', []) for x in s]))"
    ));
    assert_eq!(left, json!([[], []]));
}
