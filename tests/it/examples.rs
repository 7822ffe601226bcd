//! Each example of docs/examples, from nothing to nothing: made, planned empty, changed in place, by replacement and
//! by removal, planned empty again, removed. boto3 says what is there.

use crate::common::{Provider, example};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// An example, and what a test does with it.
struct Journey {
    file: &'static str,
    region: &'static str,
    /// The environment that the file asks for.
    environment: Vec<(&'static str, String)>,
    /// Text of the file, and what stands there afterwards.
    edits: &'static [(&'static str, &'static str)],
    /// All that the second plan shows, as action and address.
    expected: &'static [(&'static str, &'static str)],
    /// boto3's view, a Python expression over `of(service)`, before and after the change.
    witness: &'static str,
    before: Value,
    after: Value,
}

impl Journey {
    fn go(self) {
        let world = Provider::new(&example(self.file));
        world.sandbox(600);
        self.go_in(&world);
    }

    fn go_in(self, world: &Provider) {
        let clean = self.census(world);
        self.run(world, &["up", "--yes"], 0);
        self.is_settled(world);
        assert_eq!(self.ask(world, self.witness), self.before, "{}: boto3 after the first up", self.file);

        let mut text = example(self.file);
        for (from, to) in self.edits {
            assert_eq!(text.matches(from).count(), 1, "{}: {from:?} once in\n{text}", self.file);
            text = text.replace(from, to);
        }
        world.stack(&text);
        let plan = self.ended(world, &["plan", "--json", "--detailed-exitcode"]);
        let planned: BTreeSet<(String, String)> = plan
            .lines("change")
            .iter()
            .map(|line| {
                let of = |field: &str| line[field].as_str().unwrap().to_owned();
                (of("action"), of("address"))
            })
            .collect();
        let expected = self.expected.iter().map(|(action, at)| ((*action).to_owned(), (*at).to_owned()));
        assert_eq!(planned, expected.collect(), "{}", self.file);
        // What holds data is replaced and deleted only on request.
        let lost = plan.lines("change").into_iter().filter(|change| change["loses"].is_string());
        let lost: Vec<String> = lost.map(|change| change["address"].as_str().unwrap().to_owned()).collect();
        let plan = plan.with(if lost.is_empty() { 2 } else { 3 });
        assert!(
            lost.iter().all(|address| plan.out.contains(&format!("--replace {address}"))),
            "{}",
            plan.out
        );
        let mut args = vec!["up", "--yes"];
        args.extend(lost.iter().flat_map(|address| ["--replace", address]));
        self.run(world, &args, 0);
        self.is_settled(world);
        assert_eq!(self.ask(world, self.witness), self.after, "{}: boto3 after the change", self.file);

        let down = self.run(world, &["down", "--yes", "--backend"], 0);
        assert!(down.err.contains("finds nothing"), "{}", down.err);
        assert_eq!(self.census(world), clean, "{}: what was there before, and nothing else", self.file);
    }

    fn run(&self, world: &Provider, args: &[&str], code: i32) -> crate::common::Ended {
        self.ended(world, args).with(code)
    }

    fn ended(&self, world: &Provider, args: &[&str]) -> crate::common::Ended {
        let mut command = world.command(args);
        command.arg("--sandbox").envs(self.environment.iter().map(|(name, value)| (name, value)));
        crate::common::Ended::of(&command.output().unwrap())
    }

    /// Nothing to do, and nothing said about it.
    fn is_settled(&self, world: &Provider) {
        let plan = self.run(world, &["plan", "--json", "--detailed-exitcode"], 0);
        assert_eq!(plan.out.lines().count(), 1, "{}", plan.out);
    }

    fn ask(&self, world: &Provider, expression: &str) -> Value {
        let (head, names) = (include_str!("common/census.py"), include_str!("common/names.py"));
        let region = self.region;
        world.boto3(&format!(
            "{head}\nregion = '{region}'\nof = lambda name: client(name, region)\n{names}\nprint(json.dumps({expression}))"
        ))
    }

    fn census(&self, world: &Provider) -> Value {
        self.ask(world, "census(region)")
    }
}

#[test]
fn default() {
    Journey {
        file: "default.yaml",
        region: "eu-central-1",
        environment: vec![],
        edits: &[(
            "cluster: {}",
            "cluster: {logging: {types: [api], retentionDays: 30}, addons: [{name: metrics-server, enabled: false}]}\n\
             nodeGroups: [{name: default, instanceTypes: [m7i.large], diskGiB: 50}]",
        )],
        expected: &[
            ("update", "cluster/eks"),
            ("update", "cluster/log-group"),
            ("delete", "cluster/addon/metrics-server"),
            ("update", "cluster/launch-template/default"),
            ("replace", "cluster/node-group/default"),
        ],
        witness: "[
            sorted(of('eks').list_addons(clusterName='hello')['addons']),
            [x['types'] for x in of('eks').describe_cluster(name='hello')['cluster']['logging']['clusterLogging']
                if x['enabled']],
            group('hello', 'default')['instanceTypes'],
            of('logs').describe_log_groups(logGroupNamePrefix='/aws/eks/')['logGroups'][0]['retentionInDays'],
            sorted({i['InstanceType'] for r in of('ec2').describe_instances()['Reservations'] for i in r['Instances']
                if i['State']['Name'] == 'running'})]",
        before: json!([
            ["coredns", "eks-node-monitoring-agent", "eks-pod-identity-agent", "kube-proxy", "metrics-server", "vpc-cni"],
            [["api", "audit", "authenticator", "controllerManager", "scheduler"]],
            ["t3.large"],
            365,
            ["t3.large"]
        ]),
        after: json!([
            ["coredns", "eks-node-monitoring-agent", "eks-pod-identity-agent", "kube-proxy", "vpc-cni"],
            [["api"]],
            ["m7i.large"],
            30,
            ["m7i.large"]
        ]),
    }
    .go();
}

#[test]
fn fargate_and_nodes() {
    Journey {
        file: "fargate-and-nodes.yaml",
        region: "eu-central-1",
        environment: vec![("PROVISIONER_MYIP", "198.51.100.7".to_owned())],
        edits: &[
            ("max: 4", "max: 6"),
            ("{namespace: demo-application}", "{namespace: demo-application, labels: {tier: web}}"),
            ("repositories:\n  - name: eks_python_demo/demo\n    keepImages: 20\n\n", ""),
            ("publicCidrs: [myip]", "publicCidrs: [myip, 203.0.113.0/24]"),
        ],
        expected: &[
            ("update", "cluster/node-group/bottlerocket"),
            ("replace", "cluster/fargate-profile/demo"),
            ("delete", "cluster/repository/eks_python_demo/demo"),
            ("update", "cluster/eks"),
        ],
        witness: "[
            group('eks_python_demo', 'bottlerocket')['scalingConfig']['maxSize'],
            profile('eks_python_demo', 'demo')['selectors'],
            [r['repositoryName'] for r in of('ecr').describe_repositories()['repositories']],
            sorted(of('eks').describe_cluster(name='eks_python_demo')['cluster']['resourcesVpcConfig']['publicAccessCidrs']),
            of('autoscaling').describe_auto_scaling_groups()['AutoScalingGroups'][0]['MaxSize']]",
        before: json!([
            4,
            [{"namespace": "demo-application"}],
            ["eks_python_demo/demo"],
            ["198.51.100.7/32"],
            4
        ]),
        after: json!([
            6,
            [{"namespace": "demo-application", "labels": {"tier": "web"}}],
            [],
            ["198.51.100.7/32", "203.0.113.0/24"],
            6
        ]),
    }
    .go();
}

#[test]
fn no_internet() {
    Journey {
        file: "no-internet.yaml",
        region: "us-east-1",
        environment: vec![],
        edits: &[
            ("value: hello", "value: goodbye"),
            ("instanceTypes: [m6i.large, m5.large]", "instanceTypes: [m6i.large]"),
            ("controllers:\n  clusterAutoscaler: true", ""),
            (
                "AAAAC3NzaC1lZDI1NTE5AAAAIJ4n0dmVtbhb9CHbkG9iFk7nUoMXdl0ZBQhZ0Y1cQk0k",
                "AAAAC3NzaC1lZDI1NTE5AAAAIFRXS4HYgrxKDTbjqkVoPmLCAeynmnB5kMsjtXpNHgKc",
            ),
        ],
        expected: &[
            ("update", "cluster/parameter/isolated/message"),
            ("replace", "cluster/node-group/workers"),
            ("delete", "cluster/service-account/kube-system/cluster-autoscaler"),
            ("delete", "cluster/repository/isolated/cluster-autoscaler"),
            ("delete", "application/copy/cluster-autoscaler"),
            ("delete", "application/clusterrole/cluster-autoscaler"),
            ("delete", "application/clusterrolebinding/cluster-autoscaler"),
            ("delete", "application/deployment/kube-system/cluster-autoscaler"),
            ("delete", "application/role/kube-system/cluster-autoscaler"),
            ("delete", "application/rolebinding/kube-system/cluster-autoscaler"),
            ("delete", "application/serviceaccount/kube-system/cluster-autoscaler"),
            // The autoscaler alone talks to Auto Scaling.
            ("delete", "network/endpoint/autoscaling"),
            ("replace", "cluster/key-pair/workers"),
            ("update", "cluster/launch-template/workers"),
        ],
        witness: "[
            of('ssm').get_parameter(Name='/isolated/message')['Parameter']['Value'],
            group('isolated', 'workers')['instanceTypes'],
            [r['RoleName'] for r in of('iam').list_roles()['Roles'] if 'autoscaler' in r['RoleName']],
            {r['repositoryName']: [t for i in of('ecr').describe_images(repositoryName=r['repositoryName'])['imageDetails']
                for t in i.get('imageTags', [])] for r in of('ecr').describe_repositories()['repositories']},
            of('ec2').describe_nat_gateways()['NatGateways'],
            sorted({i['Placement']['AvailabilityZone'] for r in of('ec2').describe_instances()['Reservations']
                for i in r['Instances'] if i['State']['Name'] == 'running'}),
            [p['PublicKey'].split()[1][-8:] for p in of('ec2').describe_key_pairs(IncludePublicKey=True)['KeyPairs']]]",
        before: json!([
            "hello",
            ["m6i.large", "m5.large"],
            ["isolated-us-east-1-sa-kube-system-cluster-autoscaler"],
            {"isolated/cluster-autoscaler": ["v1.35.2-amd64"], "isolated/web": []},
            [],
            ["us-east-1a", "us-east-1b", "us-east-1c"],
            ["0Y1cQk0k"]
        ]),
        after: json!([
            "goodbye",
            ["m6i.large"],
            [],
            {"isolated/web": []},
            [],
            ["us-east-1a", "us-east-1b", "us-east-1c"],
            ["tXpNHgKc"]
        ]),
    }
    .go();
}

#[test]
fn fargate_only() {
    Journey {
        file: "fargate-only.yaml",
        region: "eu-west-1",
        environment: vec![],
        edits: &[
            ("{namespace: jobs, labels: {size: small}}", "{namespace: jobs}"),
            (
                "fargateOnly: true",
                "fargateOnly: true\ncluster:\n  logging: {types: [audit]}\n  addons: [{name: metrics-server, enabled: false}]",
            ),
        ],
        expected: &[
            ("replace", "cluster/fargate-profile/jobs"),
            ("update", "cluster/eks"),
            ("delete", "cluster/addon/metrics-server"),
        ],
        witness: "[
            {first_name(p): of('eks').describe_fargate_profile(clusterName='serverless',
                fargateProfileName=p)['fargateProfile']['selectors']
                for p in of('eks').list_fargate_profiles(clusterName='serverless')['fargateProfileNames']},
            of('eks').list_nodegroups(clusterName='serverless')['nodegroups'],
            sorted(of('eks').list_addons(clusterName='serverless')['addons']),
            json.loads(of('eks').describe_addon(clusterName='serverless', addonName='coredns')['addon']['configurationValues'])]",
        before: json!([
            {"jobs": [{"namespace": "jobs", "labels": {"size": "small"}}], "kube-system": [{"namespace": "kube-system"}]},
            [],
            ["coredns", "eks-pod-identity-agent", "kube-proxy", "metrics-server", "vpc-cni"],
            {"computeType": "Fargate"}
        ]),
        after: json!([
            {"jobs": [{"namespace": "jobs"}], "kube-system": [{"namespace": "kube-system"}]},
            [],
            ["coredns", "eks-pod-identity-agent", "kube-proxy", "vpc-cni"],
            {"computeType": "Fargate"}
        ]),
    }
    .go();
}

#[test]
fn auto_mode() {
    let role = "arn:aws:iam::210987654321:role/data";
    Journey {
        file: "auto-mode.yaml",
        region: "eu-west-1",
        environment: vec![],
        edits: &[
            ("autoMode: true", "autoMode: {nodePools: [general-purpose]}"),
            ("zonalShift: true", "zonalShift: false"),
            ("nat: regional", "nat: single"),
            (
                "podIdentity: true",
                "podIdentity: true\n    targetRoleArn: arn:aws:iam::210987654321:role/data",
            ),
        ],
        expected: &[
            ("update", "cluster/eks"),
            ("create", "network/elastic-ip/eu-west-1a"),
            ("create", "network/nat-gateway/eu-west-1a"),
            ("update", "network/route/private-eu-west-1a"),
            ("update", "network/route/private-eu-west-1b"),
            ("update", "network/route/private-eu-west-1c"),
            ("delete", "network/nat-gateway/regional"),
            ("update", "cluster/pod-identity/jobs/worker"),
            // What it may assume.
            ("update", "cluster/service-account/jobs/worker"),
        ],
        witness: "[
            of('eks').describe_cluster(name='autopilot')['cluster']['computeConfig']['nodePools'],
            of('eks').describe_cluster(name='autopilot')['cluster']['zonalShiftConfig']['enabled'],
            [n['AvailabilityMode'] for n in of('ec2').describe_nat_gateways()['NatGateways'] if n['State'] == 'available'],
            of('eks').list_nodegroups(clusterName='autopilot')['nodegroups'],
            of('eks').list_addons(clusterName='autopilot')['addons'],
            [of('eks').describe_pod_identity_association(clusterName='autopilot',
                associationId=a['associationId'])['association'].get('targetRoleArn')
                for a in of('eks').list_pod_identity_associations(clusterName='autopilot')['associations']]]",
        before: json!([["general-purpose", "system"], true, ["regional"], [], ["metrics-server"], [null]]),
        after: json!([["general-purpose"], false, ["zonal"], [], ["metrics-server"], [role]]),
    }
    .go();
}

#[test]
fn arm64_spot() {
    let taint = |effect: &str| json!([{"key": "dedicated", "value": "batch", "effect": effect}]);
    Journey {
        file: "arm64-spot.yaml",
        region: "eu-north-1",
        environment: vec![],
        edits: &[
            ("value: batch, effect: NoSchedule", "value: batch, effect: PreferNoSchedule"),
            ("instanceTypes: [t4g.large]", "instanceTypes: [t4g.xlarge]"),
            ("nat: per-zone", "nat: single"),
            ("lockdown = \"integrity\"", "lockdown = \"confidentiality\""),
        ],
        expected: &[
            ("update", "cluster/node-group/batch"),
            ("update", "cluster/launch-template/batch"),
            ("replace", "cluster/node-group/base"),
            ("update", "network/route/private-eu-north-1b"),
            ("update", "network/route/private-eu-north-1c"),
            ("delete", "network/nat-gateway/eu-north-1b"),
            ("delete", "network/nat-gateway/eu-north-1c"),
            ("delete", "network/elastic-ip/eu-north-1b"),
            ("delete", "network/elastic-ip/eu-north-1c"),
        ],
        witness: "[
            group('graviton', 'batch')['taints'],
            group('graviton', 'batch')['capacityType'],
            group('graviton', 'base')['instanceTypes'],
            group('graviton', 'base')['amiType'],
            len([n for n in of('ec2').describe_nat_gateways()['NatGateways'] if n['State'] == 'available'])]",
        before: json!([taint("NO_SCHEDULE"), "SPOT", ["t4g.large"], "BOTTLEROCKET_ARM_64", 3]),
        after: json!([taint("PREFER_NO_SCHEDULE"), "SPOT", ["t4g.xlarge"], "BOTTLEROCKET_ARM_64", 1]),
    }
    .go();
}

#[test]
fn many_groups() {
    Journey {
        file: "many-groups.yaml",
        region: "eu-central-1",
        environment: vec![("PLATFORM_TOKEN", "correct horse".to_owned())],
        edits: &[
            ("{controller: {replicaCount: 2}}", "{controller: {replicaCount: 3}}"),
            ("instanceTypes: [r6i.large]", "instanceTypes: [r6i.xlarge]"),
            ("  - name: tools\n    selectors:\n      - {namespace: tools}\n", ""),
            ("    podIdentity: true\n", ""),
            ("rotationDays: 180", "rotationDays: 365"),
            ("value: welcome", "value: come in"),
        ],
        expected: &[
            ("update", "cluster/addon/aws-ebs-csi-driver"),
            ("replace", "cluster/node-group/memory"),
            ("delete", "cluster/fargate-profile/tools"),
            ("delete", "cluster/pod-identity/jobs/worker"),
            // Whom it trusts.
            ("update", "cluster/service-account/jobs/worker"),
            ("update", "network/key"),
            ("update", "cluster/parameter/platform/motd"),
        ],
        witness: "[
            json.loads(of('eks').describe_addon(clusterName='platform',
                addonName='aws-ebs-csi-driver')['addon']['configurationValues']),
            group('platform', 'memory')['instanceTypes'],
            sorted(first_name(p) for p in of('eks').list_fargate_profiles(clusterName='platform')['fargateProfileNames']),
            len(of('eks').list_pod_identity_associations(clusterName='platform')['associations']),
            of('ssm').get_parameter(Name='/platform/token', WithDecryption=True)['Parameter']['Value'],
            of('ssm').get_parameter(Name='/platform/motd')['Parameter']['Value']]",
        before: json!([
            {"controller": {"replicaCount": 2}},
            ["r6i.large"],
            ["jobs", "tools", "web"],
            1,
            "correct horse",
            "welcome"
        ]),
        after: json!([
            {"controller": {"replicaCount": 3}},
            ["r6i.xlarge"],
            ["jobs", "web"],
            0,
            "correct horse",
            "come in"
        ]),
    }
    .go();
}

#[test]
fn existing_network() {
    let world = Provider::new(&example("existing-network.yaml"));
    world.sandbox(600);
    let made = world.boto3(
        "
ec2 = client('ec2')
vpc = ec2.create_vpc(CidrBlock='10.9.0.0/16')['Vpc']['VpcId']
for name in ('EnableDnsHostnames', 'EnableDnsSupport'):
    ec2.modify_vpc_attribute(VpcId=vpc, **{name: {'Value': True}})
gateway = ec2.create_internet_gateway()['InternetGateway']['InternetGatewayId']
ec2.attach_internet_gateway(VpcId=vpc, InternetGatewayId=gateway)
subnet = lambda n, zone: ec2.create_subnet(VpcId=vpc, CidrBlock='10.9.%d.0/24' % n,
    AvailabilityZone='eu-central-1' + zone)['Subnet']['SubnetId']
subnets = [subnet(n, zone) for n, zone in enumerate('abab')]
table = ec2.create_route_table(VpcId=vpc)['RouteTable']['RouteTableId']
ec2.create_route(RouteTableId=table, DestinationCidrBlock='0.0.0.0/0', GatewayId=gateway)
for public in subnets[2:]:
    ec2.associate_route_table(RouteTableId=table, SubnetId=public)
address = ec2.allocate_address(Domain='vpc')['AllocationId']
nat = ec2.create_nat_gateway(SubnetId=subnets[2], AllocationId=address)['NatGateway']['NatGatewayId']
private = ec2.create_route_table(VpcId=vpc)['RouteTable']['RouteTableId']
for inner in subnets[:2]:
    ec2.associate_route_table(RouteTableId=private, SubnetId=inner)
ec2.get_waiter('nat_gateway_available').wait(NatGatewayIds=[nat], WaiterConfig={'Delay': 1})
ec2.create_route(RouteTableId=private, DestinationCidrBlock='0.0.0.0/0', NatGatewayId=nat)
print(json.dumps([vpc, *subnets]))",
    );
    let names = ["VPC_ID", "PRIVATE_A", "PRIVATE_B", "PUBLIC_A", "PUBLIC_B"];
    let ids = made.as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned());
    let all = json!([
        "coredns",
        "eks-node-monitoring-agent",
        "eks-pod-identity-agent",
        "kube-proxy",
        "metrics-server",
        "vpc-cni"
    ]);
    let fewer =
        json!(["coredns", "eks-node-monitoring-agent", "eks-pod-identity-agent", "kube-proxy", "vpc-cni"]);
    Journey {
        file: "existing-network.yaml",
        region: "eu-central-1",
        environment: names.into_iter().zip(ids).collect(),
        edits: &[
            ("  - name: default", "  - name: default\n    labels: {team: blue}\n    capacity: spot"),
            (
                "cluster: {}",
                "cluster: {upgradePolicy: extended, addons: [{name: metrics-server, enabled: false}]}",
            ),
        ],
        expected: &[
            ("replace", "cluster/node-group/default"),
            ("update", "cluster/eks"),
            ("delete", "cluster/addon/metrics-server"),
        ],
        witness: "[
            group('tenant', 'default')['labels'],
            group('tenant', 'default')['capacityType'],
            sorted(of('eks').list_addons(clusterName='tenant')['addons']),
            of('eks').describe_cluster(name='tenant')['cluster']['upgradePolicy']['supportType'],
            len([v for v in of('ec2').describe_vpcs()['Vpcs'] if not v['IsDefault']])]",
        before: json!([{}, "ON_DEMAND", all, "STANDARD", 1]),
        after: json!([{"team": "blue"}, "SPOT", fewer, "EXTENDED", 1]),
    }
    .go_in(&world);
}
