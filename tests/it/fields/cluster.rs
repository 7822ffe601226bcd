//! The control plane: who reaches it, what it logs, who may do what, and its add-ons.

use super::case::{Case, Group, case};

const BASE: &str = "
name: fields
region: eu-central-1
tags: {team: platform}
network: {zones: 2, flowLogs: false}
cluster:
  version: '1.34'
  endpoint: {public: true, publicCidrs: [198.51.100.0/24]}
  serviceCidr: 172.20.0.0/16
  logging: {types: [api, audit], retentionDays: 365}
  access:
    - principalArn: arn:aws:iam::123456789012:role/developers
      policy: view
      namespaces: [demo]
      groups: [readers]
    - principalArn: arn:aws:iam::123456789012:role/testers
      policy: edit
  adminCaller: true
  addons:
    - {name: aws-ebs-csi-driver, version: v1.53.0-eksbuild.1, configuration: {controller: {replicaCount: 2}}}
    - {name: metrics-server, enabled: true}
    - {name: snapshot-controller}
  deletionProtection: false
  upgradePolicy: standard
  zonalShift: false
  autoMode: false
  tier: standard
  egress: aws-managed
nodeGroups: [{name: general}]
";

const BEFORE: &str = "
for name in ('developers', 'testers', 'operators'):
    trust = {'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Action': 'sts:AssumeRole',
        'Principal': {'AWS': 'arn:aws:iam::123456789012:root'}}]}
    client('iam').create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
key = shared_key()
print(json.dumps({'KEY': key}))";

/// What lives in the cluster goes with it.
const WITHIN: &[&str] = &[
    "replace cluster/access/caller cluster",
    "replace cluster/access/role/developers cluster",
    "replace cluster/access/role/testers cluster",
    "replace cluster/addon/aws-ebs-csi-driver cluster",
    "replace cluster/addon/coredns cluster",
    "replace cluster/addon/eks-node-monitoring-agent cluster",
    "replace cluster/addon/eks-pod-identity-agent cluster",
    "replace cluster/addon/kube-proxy cluster",
    "replace cluster/addon/metrics-server cluster",
    "replace cluster/addon/snapshot-controller cluster",
    "replace cluster/addon/vpc-cni cluster",
    "replace cluster/node-group/general cluster",
    "replace cluster/oidc-provider issuer",
    "update cluster/addon-role/aws-ebs-csi-driver trust",
    "update cluster/addon-role/vpc-cni trust",
];

pub fn group() -> Group {
    let mut cases = control_plane();
    cases.extend(people());
    cases.extend(addons());
    Group { base: BASE, before: BEFORE, files: &[], environment: &[("PROVISIONER_MYIP", "192.0.2.9")], cases }
}

fn control_plane() -> Vec<Case> {
    let logs = "update cluster/eks logTypes";
    let all = "{types: [api, audit, authenticator, controllerManager, scheduler], retentionDays: 365}";
    vec![
        case("cluster.version", "'1.35'")
            .plan(&[
                "update cluster/eks version='1.35'",
                "update cluster/addon/coredns version",
                "update cluster/addon/kube-proxy version",
                "update cluster/node-group/general version='1.35'",
            ])
            .aws("[cluster()['version'], group('general')['version']]", "['1.35', '1.35']")
            .stays(),
        case("cluster.version", "'1.33'").refused("it was created with that version"),
        case("cluster.version", "'1.32'").refused("goes back by one minor version at most"),
        case("cluster.version", "'1.36'").refused("EKS does not offer Kubernetes 1.36"),
        case("cluster.endpoint.publicCidrs", "[myip, 203.0.113.0/24]")
            .plan(&["update cluster/eks publicCidrs=[192.0.2.9/32, 203.0.113.0/24]"])
            .aws(
                "sorted(cluster()['resourcesVpcConfig']['publicAccessCidrs'])",
                "[192.0.2.9/32, 203.0.113.0/24]",
            ),
        case("cluster.endpoint.public", "false")
            .and("cluster.endpoint.publicCidrs", "")
            .plan(&["update cluster/eks endpointPublic=false"])
            .aws_in(2, "cluster()['resourcesVpcConfig']['endpointPublicAccess']", "false"),
        case("cluster.endpoint.publicCidrs", "[0.0.0.0/0]").refused("reachable from the whole internet"),
        case("cluster.endpoint.publicCidrs", "[0.0.0.0/0]")
            .and("cluster.endpoint.allowWorld", "true")
            .plan(&["update cluster/eks publicCidrs=[0.0.0.0/0]"]),
        case("cluster.endpoint.allowWorld", "true").plan(&[]),
        case("cluster.serviceCidr", "172.21.0.0/16")
            .plan(WITHIN)
            .plan(&["replace cluster/eks serviceCidr=172.21.0.0/16"])
            .aws_in(3, "cluster()['kubernetesNetworkConfig']['serviceIpv4Cidr']", "172.21.0.0/16"),
        case("cluster.logging.types", "[authenticator]")
            .plan(&["update cluster/eks logTypes=[authenticator]"])
            .aws("logged()", "[[authenticator]]"),
        case("cluster.logging.types", "[api, controllerManager]").plan(&[logs]),
        case("cluster.logging.types", "[scheduler, audit]").plan(&[logs]),
        case("cluster.logging", all).plan(&[logs]).aws_in(
            2,
            "logged()",
            "[[api, audit, authenticator, controllerManager, scheduler]]",
        ),
        case("cluster.logging.retentionDays", "400")
            .plan(&["update cluster/log-group retentionDays=400"])
            .aws("log_group('/aws/eks/fields/cluster')['retentionInDays']", "400"),
        case("cluster.deletionProtection", "true")
            .plan(&["update cluster/eks deletionProtection=true"])
            .aws("cluster()['deletionProtection']", "true"),
        case("cluster.upgradePolicy", "extended")
            .plan(&["update cluster/eks upgradePolicy=EXTENDED"])
            .aws("cluster()['upgradePolicy']['supportType']", "EXTENDED"),
        case("cluster.zonalShift", "true")
            .plan(&["update cluster/eks zonalShift=true"])
            .aws("cluster()['zonalShiftConfig']['enabled']", "true"),
        case("cluster.tier", "tier-xl")
            .plan(&["update cluster/eks tier=tier-xl"])
            .aws("cluster()['controlPlaneScalingConfig']['tier']", "tier-xl"),
        case("cluster.tier", "tier-2xl").plan(&["update cluster/eks tier=tier-2xl"]),
        case("cluster.tier", "tier-4xl").plan(&["update cluster/eks tier=tier-4xl"]),
        case("cluster.tier", "tier-8xl").plan(&["update cluster/eks tier=tier-8xl"]),
        case("cluster.autoMode", "true")
            .plan(&[
                "create cluster/auto-node-role",
                "update cluster/eks autoMode=[general-purpose, system]",
                "update cluster/role managed",
                "update cluster/role trust",
            ])
            .aws("cluster()['computeConfig']['nodePools']", "[general-purpose, system]"),
        case("cluster.autoMode", "{nodePools: [system]}")
            .plan(&[
                "create cluster/auto-node-role",
                "update cluster/eks autoMode=[system]",
                "update cluster/role managed",
                "update cluster/role trust",
            ])
            .aws_in(2, "cluster()['computeConfig']['nodePools']", "[system]"),
        case("cluster.autoMode", "{nodePools: [general-purpose]}")
            .plan_has(&["update cluster/eks autoMode=[general-purpose]"]),
        case("cluster.egress", "customer-routed")
            .plan(&["update cluster/eks egress=CUSTOMER_ROUTED"])
            .aws("cluster()['resourcesVpcConfig']['controlPlaneEgressMode']", "CUSTOMER_ROUTED")
            .stays(),
        case("network.cidr", "10.4.0.0/16").plan_has(WITHIN).plan_has(&[
            "replace network/vpc cidr=10.4.0.0/16",
            "replace cluster/eks vpc",
            "replace cluster/node-group/general subnets",
        ]),
        case("encryption", "{keyArn: '${KEY}'}")
            .plan(WITHIN)
            .plan(&[
                "delete network/key",
                "replace cluster/eks key=${KEY}",
                "update cluster/log-group key=${KEY}",
                "update cluster/launch-template/general key=${KEY}",
                "replace cluster/node-group/general templateVersion",
            ])
            .aws_in(3, "cluster()['encryptionConfig'][0]['provider']['keyArn']", "${KEY}")
            .aws_in(3, "disk('general')['KmsKeyId']", "${KEY}")
            .aws_in(3, "log_group('/aws/eks/fields/cluster')['kmsKeyId']", "${KEY}"),
        case("protect", "true")
            .and("cluster.serviceCidr", "172.21.0.0/16")
            .refused("cluster/eks would be replaced: serviceCidr"),
        case("tags.team", "blue")
            .plan_has(&[
                "update cluster/eks tags.team=blue",
                "update cluster/role tags.team=blue",
                "update cluster/oidc-provider tags.team=blue",
                "update cluster/log-group tags.team=blue",
                "update cluster/access/role/developers tags.team=blue",
                "update cluster/addon/coredns tags.team=blue",
                "update cluster/addon-role/vpc-cni tags.team=blue",
                "update cluster/launch-template/general tags.team=blue",
                "update cluster/launch-template/general instanceTags.team=blue",
                "update cluster/node-group/general tags.team=blue",
                "update cluster/node-role tags.team=blue",
            ])
            .aws("untagged('blue')", "[]"),
    ]
}

fn people() -> Vec<Case> {
    let developers = "update cluster/access/role/developers policies";
    vec![
        case("cluster.access[0].policy", "edit")
            .plan(&[developers])
            .aws("granted('developers')", "[[AmazonEKSEditPolicy, [demo]]]"),
        case("cluster.access[0].policy", "admin").plan(&[developers]).aws_in(
            2,
            "granted('developers')",
            "[[AmazonEKSAdminPolicy, [demo]]]",
        ),
        case("cluster.access[0].policy", "cluster-admin")
            .and("cluster.access[0].namespaces", "")
            .plan(&[developers])
            .aws_in(3, "granted('developers')", "[[AmazonEKSClusterAdminPolicy, []]]"),
        case("cluster.access[1].namespaces", "[one, two]")
            .plan(&["update cluster/access/role/testers policies"])
            .aws("granted('testers')", "[[AmazonEKSEditPolicy, [one, two]]]"),
        case("cluster.access[0].groups", "[writers]")
            .plan(&["update cluster/access/role/developers groups=[writers]"])
            .aws("entry('developers')['groups']", "[writers]"),
        case("cluster.access[1].principalArn", "arn:aws:iam::123456789012:role/operators")
            .plan(&["create cluster/access/role/operators", "delete cluster/access/role/testers"])
            .aws_in(2, "granted('operators')", "[[AmazonEKSEditPolicy, []]]"),
        case("cluster.adminCaller", "false")
            .plan(&["delete cluster/access/caller"])
            .aws(
                "[a for a in eks.list_access_entries(clusterName='fields')['accessEntries'] if a.endswith('user/sandbox')]",
                "[]",
            ),
    ]
}

fn addons() -> Vec<Case> {
    vec![
        case("cluster.addons[0].version", "v1.54.0-eksbuild.1")
            .plan(&["update cluster/addon/aws-ebs-csi-driver version=v1.54.0-eksbuild.1"])
            .aws("addon('aws-ebs-csi-driver')['addonVersion']", "v1.54.0-eksbuild.1"),
        case("cluster.addons[0].version", "v0.1.0-eksbuild.1").refused("does not support Kubernetes 1.34"),
        case("cluster.addons[0].configuration", "{controller: {replicaCount: 3}}")
            .plan(&["update cluster/addon/aws-ebs-csi-driver configuration={controller: {replicaCount: 3}}"])
            .aws(
                "json.loads(addon('aws-ebs-csi-driver')['configurationValues'])",
                "{controller: {replicaCount: 3}}",
            ),
        case("cluster.addons[0].configuration", "{replicas: 3}").refused("invalid configuration for"),
        case("cluster.addons[1].enabled", "false")
            .plan(&["delete cluster/addon/metrics-server"])
            .aws("'metrics-server' in eks.list_addons(clusterName='fields')['addons']", "false"),
        case("cluster.addons[2].name", "aws-efs-csi-driver")
            .plan(&[
                "create cluster/addon/aws-efs-csi-driver",
                "create cluster/addon-role/aws-efs-csi-driver",
                "delete cluster/addon/snapshot-controller",
            ])
            .aws(
                "addon('aws-efs-csi-driver')['serviceAccountRoleArn'].split('-')[-4:]",
                "[aws, efs, csi, driver]",
            ),
        case("cluster.addons[2].name", "snapshot-controler").refused("did you mean `snapshot-controller`"),
    ]
}
